//! Which servers are believed: always by certificate and by name, never by encryption alone.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the operating system trusts.
    #[default]
    System,
    /// The authorities in this PEM file, and no others (for RDS: AWS's bundle of the region).
    CaFile(PathBuf),
}

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read the CA file {}", path.display())]
    Unreadable {
        /// The configured file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file was read and holds nothing to trust.
    #[error("the CA file {} holds no usable certificate", path.display())]
    Empty {
        /// The configured file.
        path: PathBuf,
    },
    /// The operating system has no certificates where they are looked for.
    #[error("the system has no CA certificates; name a CA file")]
    NoSystemRoots,
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up")]
    Library(#[from] rustls::Error),
}

/// TLS that checks the server's chain and name. Reads files; for use at start.
pub(crate) fn client_config(trust: &Trust) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(trust)?)
        .with_no_client_auth())
}

fn roots(trust: &Trust) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::System => {
            // One unreadable certificate among a hundred is no reason to trust none.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TrustError::NoSystemRoots);
            }
        }
        Trust::CaFile(path) => {
            let unreadable = |source| TrustError::Unreadable { path: path.clone(), source };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                roots.add(certificate.map_err(unreadable)?)?;
            }
            if roots.is_empty() {
                return Err(TrustError::Empty { path: path.clone() });
            }
        }
    }
    Ok(roots)
}

/// Whether `error` comes of a certificate that is not believed, which no retry repairs.
pub(crate) fn is_certificate_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An `io::Error` hides the error that it carries from `source`.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_is_missing_or_empty_or_no_pem_is_refused_at_start() {
        let directory = tempfile::tempdir().unwrap();
        let trust = |name: &str| Trust::CaFile(directory.path().join(name));
        std::fs::write(directory.path().join("empty"), "").unwrap();
        let torn = "-----BEGIN CERTIFICATE-----\nAAAA";
        std::fs::write(directory.path().join("torn"), torn).unwrap();

        let refused = |name| client_config(&trust(name)).unwrap_err();
        assert!(matches!(refused("missing"), TrustError::Unreadable { .. }));
        assert!(matches!(refused("torn"), TrustError::Unreadable { .. }));
        assert!(matches!(refused("empty"), TrustError::Empty { .. }));
    }
}
