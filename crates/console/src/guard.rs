//! Who may ask, and who may write.
//!
//! DNS rebinding lets a page read from a local server under a name of its own, so only `localhost`,
//! configured names and bare addresses pass as `Host`: a page cannot come from an address that it
//! does not control. A write must carry the token, which no page knows; `Origin` and
//! `Sec-Fetch-Site` are checked as well, so that one leaked token is not enough from a browser.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;
use crate::state::Console;

/// Refuses what may not pass, before any handler runs.
pub(crate) async fn guard(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = host(&request)?;
    if !host_allowed(&host, &console.hosts) {
        return Err(forbidden(format!(
            "Host {host:?} is not one of this worker's names; add it to `hosts` in [http]"
        )));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        same_origin(request.headers(), &host)?;
        authorised(request.headers(), &console)?;
    }
    Ok(next.run(request).await)
}

fn host(request: &Request) -> Result<String, ApiError> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let (first, second) = (values.next(), values.next());
    match (first.and_then(|v| v.to_str().ok()), second) {
        (Some(host), None) => Ok(host.to_ascii_lowercase()),
        _ => Err(ApiError::new(StatusCode::BAD_REQUEST, "exactly one Host header is needed")),
    }
}

fn host_allowed(host: &str, configured: &[String]) -> bool {
    let name = without_port(host);
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    name == "localhost"
        || bare.parse::<IpAddr>().is_ok()
        || configured.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let own = [format!("http://{host}"), format!("https://{host}")];
        let same = origin.to_str().is_ok_and(|o| own.iter().any(|own| own.eq_ignore_ascii_case(o)));
        if !same {
            return Err(forbidden("a write from another origin"));
        }
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(forbidden("a write from another site")),
    }
}

fn authorised(headers: &HeaderMap, console: &Console) -> Result<(), ApiError> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match presented {
        Some(token) if console.token.matches(token) => Ok(()),
        Some(_) => Err(ApiError::new(StatusCode::UNAUTHORIZED, "the token is not this worker's")),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "a write needs `Authorization: Bearer TOKEN`; the token is in the worker's token file",
        )),
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_hosts_and_other_names_are_not() {
        let own = ["severance.internal".to_owned()];
        for host in [
            "localhost",
            "localhost:9464",
            "127.0.0.1:9464",
            "[::1]:9464",
            "10.1.2.3",
            "severance.internal:9464",
        ] {
            assert!(host_allowed(host, &own), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "", "x:y"]
        {
            assert!(!host_allowed(host, &own), "{host}");
        }
    }
}
