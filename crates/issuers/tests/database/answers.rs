//! What counts as a yes, what as a no, and what says nothing.

use severance_engine::ports::SecretValue;
use severance_issuers::Trust;
use severance_issuers::database::{
    DatabaseError, DatabaseIssuer, DatabaseSettings, LoginAnswer, Transport,
};
use severance_lifecycle::failure::FailureClass;
use std::time::Duration;

use crate::server::Server;
use crate::world::{FIRST, World, settings};

#[tokio::test]
async fn only_a_refused_password_or_user_is_a_no() {
    let world = World::new().await;
    world.create_login("turned_away", FIRST, "").await;
    assert_eq!(world.issuer.accepts(&world.first()).await.unwrap(), LoginAnswer::Accepted);

    let refused = |code: &str| LoginAnswer::Refused { code: code.to_owned() };
    for (username, password) in [("app", "wr0ng"), ("nobody", FIRST)] {
        let answer = world.issuer.accepts(&world.value(username, password)).await.unwrap();
        assert_eq!(answer, refused("28P01"), "{username}");
    }
    world.sql("ALTER ROLE app NOLOGIN").await;
    assert_eq!(world.issuer.accepts(&world.first()).await.unwrap(), refused("28000"));
    world.sql("ALTER ROLE app LOGIN VALID UNTIL '2001-01-01'").await;
    assert_eq!(world.issuer.accepts(&world.first()).await.unwrap(), refused("28P01"));
    world.sql("ALTER ROLE app VALID UNTIL 'infinity'").await;

    // The same code as for NOLOGIN, but nobody looked at the password.
    let error = world.issuer.accepts(&world.value("turned_away", FIRST)).await.unwrap_err();
    assert_eq!(error.failure("x").code, "28000");
    // Without room for one more, the password is right all the same, and a wrong one is refused.
    world.sql("ALTER ROLE app CONNECTION LIMIT 0").await;
    assert_eq!(world.issuer.accepts(&world.first()).await.unwrap(), LoginAnswer::Accepted);
    let wrong = world.issuer.accepts(&world.value("app", "wr0ng")).await.unwrap();
    assert_eq!(wrong, refused("28P01"));
    world.sql("ALTER ROLE app CONNECTION LIMIT -1").await;
    let elsewhere = world.first().reveal().replace("\"postgres\",\"team\"", "\"none\",\"team\"");
    let error = world.issuer.accepts(&SecretValue::new(elsewhere)).await.unwrap_err();
    assert_eq!(error.failure("x").code, "3D000");
}

#[tokio::test]
async fn a_server_that_cannot_be_proven_gets_no_password() {
    let world = World::new().await;
    let with = |transport| {
        let settings = DatabaseSettings { transport, ..DatabaseSettings::default() };
        DatabaseIssuer::new(settings).unwrap()
    };
    let wrong_authority = with(Transport::Verified(Trust::CaFile(world.server.other_ca_file())));
    let error = wrong_authority.accepts(&world.first()).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Certificate { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::Cannot);

    // The right authority, and another name than the certificate's.
    let by_address = world.first().reveal().replace("localhost", "127.0.0.1");
    let error = world.issuer.accepts(&SecretValue::new(by_address)).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Certificate { .. }), "{error:?}");

    // This server wants TLS: without, nobody looks at the password, and that is no refusal.
    let error = with(Transport::Plaintext).accepts(&world.first()).await.unwrap_err();
    assert_eq!(error.failure("x").code, "28000");
    assert!(world.is_accepted(&world.first()).await);
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_unless_configured_so() {
    let server = Server::start_with(&["ssl=off"]);
    let value = SecretValue::new(format!(
        r#"{{"engine":"postgres","host":"localhost","port":{},"username":"app","password":"x"}}"#,
        server.port
    ));
    let issuer = DatabaseIssuer::new(settings(&server)).unwrap();
    let error = issuer.accepts(&value).await.unwrap_err();
    assert!(matches!(error, DatabaseError::NoTls { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::Cannot);
}

#[tokio::test]
async fn silence_and_a_closed_port_say_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let value = SecretValue::new(format!(
        r#"{{"engine":"postgres","host":"127.0.0.1","port":{port},"username":"a","password":"b"}}"#
    ));
    let issuer = DatabaseIssuer::new(DatabaseSettings {
        transport: Transport::Plaintext,
        connect_timeout: Duration::from_millis(100),
        ..DatabaseSettings::default()
    })
    .unwrap();
    let error = issuer.accepts(&value).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Timeout { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::RetrySoon);

    drop(silent);
    let error = issuer.accepts(&value).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Connection { .. }), "{error:?}");
    assert_eq!(error.class(), FailureClass::RetrySoon);
}
