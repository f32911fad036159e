//! The strategy `database`: a real PostgreSQL, and an application that logs in all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use postgres_protocol::password::scram_sha_256;
use severance_issuers::database::{DatabaseIssuer, DatabaseSettings, Transport};
use severance_issuers::{Administrator, Database, Trust};
use severance_lifecycle::event::Severity;
use severance_lifecycle::outcome::ROTATED_TYPE;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{BlockReason, TaskState, Verification};
use severance_tests::wait::until;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::rig::{Beyond, Rig, Why};
use crate::server::{ADMIN, Server};

const FIRST: &str = "F1rstS3cr3tF1rstS3cr3t";
const ALTERNATING: Issuer = Issuer::Database { alternating: true };
const SINGLE: Issuer = Issuer::Database { alternating: false };

struct World {
    server: Server,
    rig: Rig,
    secret: SecretRef,
}

impl World {
    /// A server with the login `app`, whose value a secret holds, and perhaps an administrator.
    async fn new(administered: bool) -> Self {
        let server = Server::start_with(&["authentication_timeout=1s"]);
        let mut rig = Rig::new().await;
        let secret = rig.secret("app", &value(&server, "app", FIRST));
        let admin = rig.secret("admin", &value(&server, ADMIN.0, ADMIN.1));
        let administrator =
            Administrator { host: "localhost".into(), port: server.port, secret: admin };
        let trust = Trust::CaFile(server.ca_file());
        let transport = Transport::Verified(trust);
        let settings = DatabaseSettings { transport, ..DatabaseSettings::default() };
        let database = Database {
            issuer: DatabaseIssuer::new(settings).unwrap(),
            administrators: if administered { vec![administrator] } else { Vec::new() },
        };
        rig.start(Beyond { database: Some(database), ..Beyond::default() }).await;
        let world = Self { server, rig, secret };
        let client = world.connect(ADMIN.0, ADMIN.1).await.unwrap();
        let verifier = scram_sha_256(FIRST.as_bytes());
        let create = format!("CREATE ROLE app LOGIN PASSWORD '{verifier}'");
        client.batch_execute(&create).await.unwrap();
        world
    }

    async fn connect(&self, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        connect(self.server.port, tls(&self.server), user, password).await
    }

    /// A session with what the secret hands out now.
    async fn open(&self) -> Client {
        let (user, password) = login(&self.rig.value(&self.secret, None).await);
        self.connect(&user, &password).await.unwrap()
    }

    /// The current login is let in, and this one is not.
    async fn only_the_new_works(&self, old: &str) {
        self.open().await.simple_query("SELECT 1").await.unwrap();
        let (user, password) = login(old);
        let refused = self.connect(&user, &password).await.expect_err("the old one works");
        assert_eq!(
            refused.code().map(tokio_postgres::error::SqlState::code),
            Some("28P01"),
            "{refused}"
        );
    }
}

pub(crate) fn value(server: &Server, user: &str, password: &str) -> String {
    let port = server.port;
    format!(
        r#"{{"engine":"postgres","host":"localhost","port":{port},"username":"{user}","password":"{password}","dbname":"postgres","team":"a"}}"#
    )
}

pub(crate) fn login(value: &str) -> (String, String) {
    let json: serde_json::Value = serde_json::from_str(value).unwrap();
    let field = |name: &str| json[name].as_str().unwrap().to_owned();
    (field("username"), field("password"))
}

pub(crate) fn tls(server: &Server) -> MakeRustlsConnect {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

pub(crate) async fn connect(
    port: u16,
    tls: MakeRustlsConnect,
    user: &str,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").port(port).user(user).password(password).dbname("postgres");
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(client)
}

/// Whether a session has been ended by the server.
async fn has_ended(client: &Client) {
    let limit = std::time::Duration::from_mins(1);
    until("the session ends", limit, async || {
        client.simple_query("SELECT 1").await.is_err().then_some(())
    })
    .await;
}

/// An application that reads the secret and logs in with it, all the time.
struct Application {
    stop: Arc<AtomicBool>,
    logins: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Application {
    fn start(world: &World) -> Self {
        let (stop, logins) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stops, counts) = (Arc::clone(&stop), Arc::clone(&logins));
        let (port, tls) = (world.server.port, tls(&world.server));
        let (secrets, arn) = (world.rig.secrets.clone(), world.secret.arn.clone());
        let task = tokio::spawn(async move {
            while !stops.load(SeqCst) {
                let read = secrets.get_secret_value().secret_id(&arn).send().await.unwrap();
                let (user, password) = login(&read.secret_string.unwrap());
                let client = connect(port, tls.clone(), &user, &password).await.unwrap();
                client.simple_query("SELECT 1").await.unwrap();
                counts.fetch_add(1, SeqCst);
            }
        });
        Self { stop, logins, task }
    }

    /// How many logins there were. Fails where one of them did.
    async fn stop(self) -> usize {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap();
        self.logins.load(SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_in_turns_are_rotated_without_a_gap_and_the_old_password_is_refused() {
    let world = World::new(true).await;
    let first = world.rig.value(&world.secret, None).await;
    let application = Application::start(&world);
    let case = world.rig.rotate(&world.secret, ALTERNATING, Why::Routine).await;
    let task = world.rig.done(&case).await;
    assert!(application.stop().await > 0);

    assert_eq!(task.state, TaskState::Done { verification: Verification::Probed });
    let second = world.rig.value(&world.secret, None).await;
    assert_eq!(login(&second).0, "app_clone");
    world.only_the_new_works(&first).await;
    let rotation = &task.record.rotation;
    let grace = rotation.old_dead_at.unwrap() - rotation.promoted_at.unwrap();
    assert!(grace >= chrono::TimeDelta::seconds(2), "{grace}");
    assert_eq!(world.rig.versions(&world.secret).await.0, 2);

    let outcome = world.rig.published(ROTATED_TYPE).remove(0);
    let told = &outcome["rotation"];
    assert_eq!(told["strategy"], "database");
    assert!(told["overlap_seconds"].as_f64().unwrap() >= 2.0, "{told}");
    assert!(told["time_to_rotate_seconds"].as_f64().unwrap() >= 0.0, "{told}");
    let labels = ["trigger=\"rotation\"", "strategy=\"database\"", "zone=\"acme\""];
    for name in
        ["severance_time_to_rotate_seconds_count", "severance_rotation_overlap_seconds_count"]
    {
        let parts: Vec<&str> = [name].into_iter().chain(labels).collect();
        assert_eq!(world.rig.metric(&parts), Some(1.0), "{name}");
    }

    // And back again, by another case; nobody ever saw a password but the store and the server.
    let passwords = [login(&first).1, login(&second).1, ADMIN.1.to_owned()];
    let said = world.rig.said(&[&case]).await;
    let log = world.server.log();
    for password in &passwords {
        assert!(!said.contains(password.as_str()) && !log.contains(password.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_compromise_the_sessions_of_the_old_password_are_gone_in_either_order() {
    for (severity, issuer) in [
        (Severity::Critical, ALTERNATING),
        (Severity::High, ALTERNATING),
        (Severity::Critical, SINGLE),
    ] {
        let world = World::new(true).await;
        let first = world.rig.value(&world.secret, None).await;
        let sessions = [world.open().await, world.open().await];
        let why = Why::Compromise(severity);
        world.aws_second().await;
        let case = world.rig.rotate(&world.secret, issuer, why).await;
        let task = world.rig.done(&case).await;
        assert_eq!(task.state, TaskState::Done { verification: Verification::Probed });
        for session in &sessions {
            assert!(session.simple_query("SELECT 1").await.is_err(), "{severity:?}");
        }
        world.only_the_new_works(&first).await;
        let (count, labels) = world.rig.versions(&world.secret).await;
        assert_eq!(count, 2);
        assert!(!labels.contains(&"AWSPREVIOUS".to_owned()), "{labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_without_an_administrator_is_replaced_even_where_revoking_first_is_the_order() {
    let world = World::new(false).await;
    let first = world.rig.value(&world.secret, None).await;
    let session = world.open().await;
    world.aws_second().await;
    let why = Why::Compromise(Severity::Critical);
    let case = world.rig.rotate(&world.secret, SINGLE, why).await;
    world.rig.done(&case).await;
    has_ended(&session).await;
    world.only_the_new_works(&first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_without_an_administrator_that_ends_takes_its_sessions_along() {
    let world = World::new(false).await;
    let first = login(&world.rig.value(&world.secret, None).await);
    let sessions = [world.open().await, world.open().await];
    let case = world.rig.rotate(&world.secret, SINGLE, Why::End).await;
    let task = world.rig.done(&case).await;
    assert_eq!(task.state, TaskState::Done { verification: Verification::Probed });
    for session in &sessions {
        has_ended(session).await;
    }
    assert!(world.connect(&first.0, &first.1).await.is_err());
    assert!(task.record.refused.is_empty(), "{:?}", task.record.refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromise_ends_sessions_that_fill_the_login_up() {
    let world = World::new(true).await;
    let admin = world.connect(ADMIN.0, ADMIN.1).await.unwrap();
    admin.batch_execute("ALTER ROLE app CONNECTION LIMIT 2").await.unwrap();
    let first = world.rig.value(&world.secret, None).await;
    let sessions = [world.open().await, world.open().await];
    world.aws_second().await;
    let why = Why::Compromise(Severity::High);
    let case = world.rig.rotate(&world.secret, SINGLE, why).await;
    world.rig.done(&case).await;
    for session in &sessions {
        has_ended(session).await;
    }
    world.only_the_new_works(&first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromise_takes_over_a_rotation_in_its_grace_and_that_one_ends_without_a_second_version()
 {
    let world = World::new(true).await;
    let first = world.rig.value(&world.secret, None).await;
    let opened_before = world.open().await;
    let routine = world.rig.rotate(&world.secret, ALTERNATING, Why::Routine).await;
    let promoted =
        |task: &severance_lifecycle::task::Task| task.record.rotation.promoted_at.is_some();
    world.rig.task_until("the new value is handed out", &routine, promoted).await;
    let second = world.rig.value(&world.secret, None).await;
    assert_ne!(first, second);
    let opened_after = world.open().await;

    world.aws_second().await;
    let why = Why::Compromise(Severity::High);
    let notice = world.rig.rotate(&world.secret, ALTERNATING, why).await;
    world.rig.done(&notice).await;
    world.rig.done(&routine).await;
    let third = world.rig.value(&world.secret, None).await;
    assert_ne!(second, third);
    for old in [&first, &second] {
        world.only_the_new_works(old).await;
    }
    has_ended(&opened_after).await;
    has_ended(&opened_before).await;
    assert_eq!(world.rig.versions(&world.secret).await.0, 3, "one by each of the two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromise_replaces_what_a_rotation_that_was_cut_short_told_the_server() {
    for severity in [Severity::Critical, Severity::High] {
        let world = World::new(false).await;
        let first = world.rig.value(&world.secret, None).await;
        // A rotation of another task stored its value, told the server, and ended there.
        let second = value(&world.server, "app", "S3condS3cr3tS3condS3cr3t");
        let stored = world.rig.secrets.put_secret_value().secret_id(&world.secret.arn);
        let stored = stored.client_request_token("severance-t-0123456789abcdef-0001");
        stored.version_stages("AWSPENDING").secret_string(&second).send().await.unwrap();
        let verifier = scram_sha_256(login(&second).1.as_bytes());
        let client = world.connect(ADMIN.0, ADMIN.1).await.unwrap();
        client.batch_execute(&format!("ALTER ROLE app PASSWORD '{verifier}'")).await.unwrap();
        let session = world.connect("app", &login(&second).1).await.unwrap();

        world.aws_second().await;
        let why = Why::Compromise(severity);
        let case = world.rig.rotate(&world.secret, SINGLE, why).await;
        world.rig.done(&case).await;
        has_ended(&session).await;
        world.only_the_new_works(&first).await;
        world.only_the_new_works(&second).await;
        let (count, labels) = world.rig.versions(&world.secret).await;
        assert_eq!(count, 3, "{severity:?}");
        assert!(!labels.contains(&"AWSPREVIOUS".to_owned()), "{labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_does_not_fit_is_blocked_with_the_reason_and_nothing_is_touched() {
    let world = World::new(false).await;
    for (name, value, issuer, field) in [
        ("plain", "hunter2".to_owned(), SINGLE, "value"),
        ("nameless", r#"{"password":"hunter2"}"#.to_owned(), SINGLE, "username"),
        (
            "hostless",
            r#"{"username":"app","password":"hunter2","engine":"postgres"}"#.to_owned(),
            SINGLE,
            "host",
        ),
        ("turns", value(&world.server, "app", FIRST), ALTERNATING, "administrator"),
    ] {
        let secret = world.rig.secret(name, &value);
        let case = world.rig.rotate(&secret, issuer, Why::Routine).await;
        let is_blocked = |task: &severance_lifecycle::task::Task| {
            matches!(task.state, TaskState::Blocked { .. })
        };
        let task = world.rig.task_until("it is blocked", &case, is_blocked).await;
        let TaskState::Blocked { reason } = task.state else { unreachable!() };
        assert!(matches!(reason, BlockReason::UnfitValue { .. } | BlockReason::Refused { .. }));
        let said = reason.to_string();
        assert!(said.contains(field) && !said.contains("hunter2"), "{said}");
        assert_eq!(world.rig.versions(&secret).await.0, 1, "{name}: nothing is half done");
        assert!(!world.rig.said(&[&case]).await.contains("hunter2"));
    }
    world.open().await.simple_query("SELECT 1").await.unwrap();
}

impl World {
    /// AWS tells when a version was stored in whole seconds: what comes after is surely later.
    async fn aws_second(&self) {
        let now = self.rig.aws.clock().now();
        until("the next second", std::time::Duration::from_mins(1), async || {
            (self.rig.aws.clock().now() - now > chrono::TimeDelta::seconds(1)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_gives_a_secret_no_login_that_it_only_names() {
    let world = World::new(true).await;
    let rig = &world.rig;
    for (name, issuer) in [("one", SINGLE), ("turns", ALTERNATING)] {
        let named = rig.secret(name, &value(&world.server, "app", "made-up-half"));
        let case = rig.rotate(&named, issuer, Why::Routine).await;
        let is_blocked = |task: &severance_lifecycle::task::Task| {
            matches!(&task.state, TaskState::Blocked { reason: BlockReason::NotHeld { credential, .. } }
                if credential == "login app")
        };
        rig.task_until("it is blocked", &case, is_blocked).await;
        assert_eq!(rig.versions(&named).await.0, 1, "nothing is stored");
    }
    world.open().await.simple_query("SELECT 1").await.unwrap();
    let admin = world.connect(ADMIN.0, ADMIN.1).await.unwrap();
    let clones = "SELECT 1 FROM pg_roles WHERE rolname LIKE 'app%clone'";
    assert!(admin.query(clones, &[]).await.unwrap().is_empty());
}
