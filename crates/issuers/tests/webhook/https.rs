//! Whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use severance_issuers::Trust;
use severance_issuers::webhook::{
    CallKind, Endpoint, SigningKey, Status, WebhookError, WebhookIssuer, WebhookSettings,
};
use severance_lifecycle::failure::FailureClass;
use tokio_rustls::TlsAcceptor;

use crate::raw::{Raw, answer};
use crate::world::{NOW, Standing, call, key};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn issuer(ca_file: &Path) -> WebhookIssuer {
    let trust = Trust::CaFile(ca_file.to_owned());
    let settings = WebhookSettings { trust, ..WebhookSettings::default() };
    WebhookIssuer::new(&settings, Standing::at(NOW)).unwrap()
}

#[tokio::test]
async fn only_the_right_authority_and_name_are_called() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (authority(), authority());
    let (right_file, wrong_file) = (directory.path().join("right"), directory.path().join("wrong"));
    std::fs::write(&right_file, right.pem()).unwrap();
    std::fs::write(&wrong_file, wrong.pem()).unwrap();
    let done = answer(200, "", r#"{"status":"done"}"#);
    let raw = Raw::start_over(vec![done], Some(acceptor(&right))).await;
    let endpoint = |host: &str| {
        let url = format!("https://{host}:{}/t0ken", raw.port);
        Endpoint::new(&url, SigningKey::new(key(1)).unwrap()).unwrap()
    };
    let asked = call(CallKind::Set, "v1");

    for (ca_file, host) in [(&wrong_file, "localhost"), (&right_file, "127.0.0.1")] {
        let error = issuer(ca_file).call(&endpoint(host), &asked).await.unwrap_err();
        assert!(matches!(error, WebhookError::Certificate { .. }), "{error:?}");
        assert_eq!(error.class(), FailureClass::Cannot);
        let failure = error.failure("webhook:set").to_string();
        assert!(failure.contains(host) && !failure.contains("t0ken"), "{failure}");
    }
    assert!(raw.requests().is_empty());
    let answer = issuer(&right_file).call(&endpoint("localhost"), &asked).await.unwrap();
    assert_eq!(answer.status, Status::Done);
}
