//! Checking Signature Version 4.
//!
//! The request is signed again by `aws-sigv4` from what was received (only the headers that the
//! client says it signed), with the secret that the sandbox holds; the two signatures must agree.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use axum::body::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use http::{HeaderMap, Method, Uri};

/// How far a request's time may be from ours. AWS: "Troubleshoot Signature Version 4 signing".
const TOLERANCE: Duration = Duration::from_mins(5);

/// A parsed `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) key_id: String,
    pub(crate) scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
}

/// What a signature is good for: one day, one region, one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Authorization {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("authorization")?.to_str().ok()?;
        let fields = text.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            fields.split(',').find_map(|it| it.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let mut credential = field("Credential")?.split('/');
        let key_id = credential.next()?.to_owned();
        let scope = Scope {
            date: credential.next()?.to_owned(),
            region: credential.next()?.to_owned(),
            service: credential.next()?.to_owned(),
        };
        if credential.next() != Some("aws4_request") || credential.next().is_some() {
            return None;
        }
        let signed_headers = field("SignedHeaders")?.split(';').map(str::to_owned).collect();
        Some(Self { key_id, scope, signed_headers, signature: field("Signature")?.to_owned() })
    }
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    UnsignedHeader(&'static str),
    #[error("Date must be in ISO-8601 'basic format'")]
    NoDate,
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
    )]
    ScopeDate,
    #[error("Signature expired: {0} is now earlier than {1} (5 min.)")]
    Expired(String, String),
    #[error("Signature not yet current: {0} is still later than {1} (5 min.)")]
    NotYetCurrent(String, String),
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details."
    )]
    Mismatch,
}

/// The parts of a request that a signature covers.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

/// Checks that `request` was signed with `secret` within the tolerated time of `now`.
pub(crate) fn check(
    request: &Signed<'_>,
    authorization: &Authorization,
    secret: &str,
    now: DateTime<Utc>,
) -> Result<(), Flaw> {
    require_signed(request.headers, authorization)?;
    let date = request.headers.get("x-amz-date").and_then(|it| it.to_str().ok());
    let date = date.ok_or(Flaw::NoDate)?;
    let time = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").map_err(|_| Flaw::NoDate)?;
    let time = time.and_utc();
    if !date.starts_with(&authorization.scope.date) {
        return Err(Flaw::ScopeDate);
    }
    let expected = signature(request, authorization, secret, time).ok_or(Flaw::Mismatch)?;
    if !same(expected.as_bytes(), authorization.signature.as_bytes()) {
        return Err(Flaw::Mismatch);
    }
    check_age(time, now)
}

fn require_signed(headers: &HeaderMap, authorization: &Authorization) -> Result<(), Flaw> {
    let signed = |name: &str| authorization.signed_headers.iter().any(|it| it == name);
    for name in ["host", "x-amz-date"] {
        if !signed(name) {
            return Err(Flaw::UnsignedHeader(name));
        }
    }
    for name in ["x-amz-security-token", "x-amz-target"] {
        if headers.contains_key(name) && !signed(name) {
            return Err(Flaw::UnsignedHeader(name));
        }
    }
    Ok(())
}

fn check_age(time: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Flaw> {
    let basic = |time: DateTime<Utc>| time.format("%Y%m%dT%H%M%SZ").to_string();
    if time + TOLERANCE < now {
        Err(Flaw::Expired(basic(time), basic(now - TOLERANCE)))
    } else if time > now + TOLERANCE {
        Err(Flaw::NotYetCurrent(basic(time), basic(now + TOLERANCE)))
    } else {
        Ok(())
    }
}

/// The signature that the holder of `secret` would have made, or `None` where there cannot be one.
fn signature(
    request: &Signed<'_>,
    authorization: &Authorization,
    secret: &str,
    time: DateTime<Utc>,
) -> Option<String> {
    let credentials = Credentials::new(&authorization.key_id, secret, None, None, "sandbox");
    let identity = Identity::from(credentials);
    let mut settings = SigningSettings::default();
    // The client has chosen which headers it signed: all of those count, and no others.
    settings.excluded_headers = None;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&authorization.scope.region)
        .name(&authorization.scope.service)
        .time(SystemTime::from(time))
        .settings(settings)
        .build()
        .ok()?;
    let headers = authorization
        .signed_headers
        .iter()
        .map(|name| Some((name.as_str(), request.headers.get(name)?.to_str().ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let host = request.headers.get("host")?.to_str().ok()?;
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let signable = SignableRequest::new(
        request.method.as_str(),
        format!("http://{host}{path}"),
        headers.into_iter(),
        SignableBody::Bytes(request.body),
    )
    .ok()?;
    let output = sign(signable, &params.into()).ok()?;
    Some(output.signature().to_owned())
}

/// Compares without telling by its duration where the difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// The example of AWS's documentation ("Create a signed AWS API request"), whose signature
    /// AWS computed: `GET` `ListUsers` of 2015-08-30.
    fn aws_example() -> (Method, Uri, HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let uri = "/?Action=ListUsers&Version=2010-05-08".parse().unwrap();
        (Method::GET, uri, headers, Bytes::new())
    }

    fn verdict(
        change: impl FnOnce(&mut (Method, Uri, HeaderMap, Bytes)),
        secret: &str,
        seconds_later: i64,
    ) -> Result<(), Flaw> {
        let mut example = aws_example();
        change(&mut example);
        let (method, uri, headers, body) = &example;
        let authorization = Authorization::read(headers).unwrap();
        let signed = NaiveDateTime::parse_from_str("20150830T123600Z", "%Y%m%dT%H%M%SZ").unwrap();
        let now = signed.and_utc() + chrono::TimeDelta::seconds(seconds_later);
        check(&Signed { method, uri, headers, body }, &authorization, secret, now)
    }

    #[test]
    fn the_example_of_aws_is_accepted() {
        assert_eq!(verdict(|_| {}, SECRET, 299), Ok(()));
    }

    #[test]
    fn a_changed_request_or_another_secret_is_refused() {
        assert_eq!(verdict(|_| {}, "another", 0), Err(Flaw::Mismatch));
        assert_eq!(verdict(|it| it.0 = Method::POST, SECRET, 0), Err(Flaw::Mismatch));
        assert_eq!(
            verdict(|it| it.1 = "/?Action=X".parse().unwrap(), SECRET, 0),
            Err(Flaw::Mismatch)
        );
        assert_eq!(verdict(|it| it.3 = Bytes::from("x"), SECRET, 0), Err(Flaw::Mismatch));
        let other_host = |it: &mut (Method, Uri, HeaderMap, Bytes)| {
            it.2.insert("host", "sts.amazonaws.com".parse().unwrap());
        };
        assert_eq!(verdict(other_host, SECRET, 0), Err(Flaw::Mismatch));
    }

    #[test]
    fn a_stale_or_future_signature_is_refused() {
        assert!(matches!(verdict(|_| {}, SECRET, 301), Err(Flaw::Expired(..))));
        assert!(matches!(verdict(|_| {}, SECRET, -301), Err(Flaw::NotYetCurrent(..))));
    }

    #[test]
    fn a_token_that_is_not_signed_is_refused() {
        let add_token = |it: &mut (Method, Uri, HeaderMap, Bytes)| {
            it.2.insert("x-amz-security-token", "token".parse().unwrap());
        };
        let refusal = Err(Flaw::UnsignedHeader("x-amz-security-token"));
        assert_eq!(verdict(add_token, SECRET, 0), refusal);
    }
}
