//! An owner's endpoint: where it is, and the key that it knows.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::signing::SigningKey;

/// Why an address cannot be an endpoint. Does not repeat it, since addresses carry tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("webhook endpoint: not a URL")]
    NotAUrl,
    /// Another scheme than `https`, elsewhere than on a loopback address.
    #[error("webhook endpoint: must be https (http only on a loopback address, such as 127.0.0.1)")]
    NotHttps,
    /// User and password would be sent along.
    #[error("webhook endpoint: must not hold a user or a password")]
    Credentials,
    /// A fragment is never sent, so it cannot be meant.
    #[error("webhook endpoint: must not hold a fragment")]
    Fragment,
}

/// An owner's endpoint and the key that it knows.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    key: SigningKey,
}

impl Endpoint {
    /// An endpoint at this address.
    ///
    /// # Errors
    /// Where the address is not `https`, or not one.
    pub fn new(url: &str, key: SigningKey) -> Result<Self, EndpointError> {
        let url = Url::parse(url).map_err(|_| EndpointError::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err(EndpointError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        Ok(Self { url, key })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }
}

/// Only addresses: what a name such as `localhost` means is for somebody else to say.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port: paths and queries carry tokens.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.origin().ascii_serialization())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::new(url, SigningKey::new(vec![7; 32]).unwrap())
    }

    #[test]
    fn https_anywhere_and_http_only_on_loopback_addresses() {
        for good in [
            "https://rotate.example.com/hook?team=a",
            "http://127.0.0.1:8080/",
            "http://127.9.9.9/",
            "http://[::1]:9/",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/",
            "http://localhost/",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
        ] {
            assert_eq!(endpoint(bad).unwrap_err(), EndpointError::NotHttps, "{bad}");
        }
        assert_eq!(endpoint("/hook").unwrap_err(), EndpointError::NotAUrl);
        assert_eq!(endpoint("https://u:p@a/").unwrap_err(), EndpointError::Credentials);
        assert_eq!(endpoint("https://a/#b").unwrap_err(), EndpointError::Fragment);
    }

    #[test]
    fn neither_path_nor_query_nor_key_is_shown() {
        let shown = format!("{:?}", endpoint("https://a.example:8443/t0ken?k=t0ken").unwrap());
        assert_eq!(shown, "Endpoint(https://a.example:8443)");
    }
}
