//! The real binary, from an event on Kafka to a PostgreSQL login that is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use aws_sdk_secretsmanager::types::Tag;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use severance_lifecycle::case::{CaseState, Closing};
use severance_tests::clock::{monotonic, now};
use severance_tests::events::{Event, notice, secret_rotation};
use severance_tests::wait::until;
use severance_tests::worker::Worker;
use severance_tests::world::World;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

use crate::database::{connect, login, tls, value};
use crate::server::{ADMIN, Server};

const FIRST: &str = "F1rstS3cr3tF1rstS3cr3t";
const LIMIT: Duration = Duration::from_mins(2);
/// How often an application logs in.
const EVERY: Duration = Duration::from_millis(50);

/// Says another `proof.interval` than the tests' usual one, so that the gap of one login can be measured with
/// it (docs/OPERATIONS.md, "One database login has a gap").
const INTERVAL: &str = "SEVERANCE_TEST_PROOF_INTERVAL";

/// A server, a sandbox with the secrets of two logins on it, and a worker that may log in there.
struct Scene {
    server: Server,
    world: World,
    worker: Worker,
    /// Of two users in turns.
    app: String,
    /// Of one user.
    solo: String,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start_with(&["authentication_timeout=1s"]);
        let admin = connect(server.port, tls(&server), ADMIN.0, ADMIN.1).await.unwrap();
        let verifier = scram_sha_256(FIRST.as_bytes());
        for name in ["app", "solo"] {
            let create = format!("CREATE ROLE {name} LOGIN PASSWORD '{verifier}'");
            admin.batch_execute(&create).await.unwrap();
        }
        let world = World::new().await;
        let strategy = ("severance:strategy", "database");
        let turns = ("severance:alternating", "true");
        let app = secret(&world, "app", &value(&server, "app", FIRST), &[strategy, turns]).await;
        let solo = secret(&world, "solo", &value(&server, "solo", FIRST), &[strategy]).await;
        let admin = secret(&world, "admin", &value(&server, ADMIN.0, ADMIN.1), &[]).await;
        let mut settings = world.settings();
        settings.zone += "secrets = { grace = \"2s\" }\n";
        if let Ok(interval) = std::env::var(INTERVAL) {
            settings.zone = settings
                .zone
                .replace("interval = \"100ms\"", &format!("interval = \"{interval}\""));
            assert!(settings.zone.contains(&interval), "{}", settings.zone);
        }
        settings.more = format!(
            "[issuers.database]\nca_file = \"{}\"\n\
             [[issuers.database.administrators]]\nserver = \"localhost:{}\"\nsecret = \"{admin}\"\n",
            server.ca_file().display(),
            server.port
        );
        let worker = world.worker(&settings).await;
        world.inventory_done(&worker).await;
        Self { server, world, worker, app, solo }
    }

    async fn handed_out(&self, arn: &str) -> (String, String) {
        let read = self.world.secrets().get_secret_value().secret_id(arn).send().await.unwrap();
        login(&read.secret_string.unwrap())
    }

    async fn log_in(&self, (user, password): &(String, String)) -> Result<Client, String> {
        let made = connect(self.server.port, tls(&self.server), user, password).await;
        made.map_err(|error| code(&error))
    }

    /// Publishes an event and waits until its case is closed with everything done.
    async fn settle(&self, event: &Event) {
        self.world.publisher.publish(event).await;
        let closed = CaseState::Closed { how: Closing::Done };
        self.worker.api.case_when(&event.id, LIMIT, |it| it.summary.case.state == closed).await;
    }

    /// The login was replaced by another one, which works, and works no more itself.
    async fn was_replaced(&self, arn: &str, old: &(String, String)) {
        let new = self.handed_out(arn).await;
        assert_ne!(new.1, old.1);
        self.log_in(&new).await.unwrap();
        assert_eq!(self.log_in(old).await.err().as_deref(), Some("28P01"), "{}", old.0);
    }
}

async fn secret(world: &World, name: &str, value: &str, tags: &[(&str, &str)]) -> String {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
    let create = world.secrets().create_secret().name(name).secret_string(value);
    create.set_tags(Some(tags.collect())).send().await.unwrap().arn.unwrap()
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

/// How an application fared that reads its secret and logs in with it, again and again.
#[derive(Default)]
struct Logins {
    accepted: usize,
    refused: Vec<String>,
    /// The longest time from a login that was accepted to the next one.
    gap: Duration,
}

struct Application {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Logins>,
}

impl Application {
    fn start(scene: &Scene, arn: &str, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stops, arn) = (Arc::clone(&stop), arn.to_owned());
        let (port, tls, secrets) = (scene.server.port, tls(&scene.server), scene.world.secrets());
        let task = tokio::spawn(async move {
            let mut logins = Logins::default();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = monotonic();
            while !stops.load(SeqCst) {
                ticks.tick().await;
                let read = secrets.get_secret_value().secret_id(&arn).send().await.unwrap();
                let (user, password) = login(&read.secret_string.unwrap());
                match connect(port, tls.clone(), &user, &password).await {
                    Ok(_) => {
                        logins.accepted += 1;
                        logins.gap = logins.gap.max(monotonic() - last);
                        last = monotonic();
                    }
                    Err(error) => logins.refused.push(code(&error)),
                }
            }
            logins
        });
        Self { stop, task }
    }

    async fn stop(self) -> Logins {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_in_turns_never_miss_a_login_and_a_compromise_ends_their_sessions() {
    let scene = Scene::new().await;
    let first = scene.handed_out(&scene.app).await;
    let application = Application::start(&scene, &scene.app, EVERY);
    scene.settle(&secret_rotation("routine", &scene.app)).await;
    let logins = application.stop().await;
    println!("users in turns: {} logins; longest pause {:?}", logins.accepted, logins.gap);
    assert!(logins.accepted > 0);
    assert!(logins.refused.is_empty(), "{:?}", logins.refused);
    assert_eq!(scene.handed_out(&scene.app).await.0, "app_clone");
    scene.was_replaced(&scene.app, &first).await;

    let second = scene.handed_out(&scene.app).await;
    let sessions = [scene.log_in(&second).await.unwrap(), scene.log_in(&second).await.unwrap()];
    // AWS tells when a version was stored in whole seconds: what comes after is surely later.
    let stored = now();
    until("the next second", LIMIT, async || {
        (now() - stored > chrono::TimeDelta::seconds(1)).then_some(())
    })
    .await;
    scene.settle(&notice("leak", &[json!({ "secret": scene.app })])).await;
    for session in &sessions {
        assert!(session.simple_query("SELECT 1").await.is_err(), "its password was exposed");
    }
    scene.was_replaced(&scene.app, &second).await;
}

/// What `severance check` says of the administrator.
fn administrator(scene: &Scene) -> (bool, String) {
    let output = scene.worker.check();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains(ADMIN.1), "{said}");
    let checks: Vec<Value> = serde_json::from_str(&said).unwrap();
    let what = format!("administrator of localhost:{}", scene.server.port);
    let check = checks.iter().find(|check| check["what"] == what.as_str()).unwrap();
    let ok = check["ok"].as_bool().unwrap();
    assert_eq!(output.status.success(), ok, "{said}");
    (ok, check["detail"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_logs_in_as_the_administrator_and_names_what_it_may_not_do() {
    let mut scene = Scene::new().await;
    let (ok, detail) = administrator(&scene);
    assert!(ok && detail.starts_with("logs in as admin"), "{detail}");

    // Another login takes the administrator's place in the secret.
    let put = scene.world.secrets().put_secret_value().secret_id("admin");
    put.secret_string(value(&scene.server, "solo", FIRST)).send().await.unwrap();
    let (ok, detail) = administrator(&scene);
    assert!(!ok && detail.contains(":secret:admin-"), "{detail}");
    let missing = "solo lacks CREATEROLE, pg_signal_backend";
    assert!(detail.ends_with(missing), "{detail}");

    scene.server.stop();
    let (ok, detail) = administrator(&scene);
    assert!(!ok && detail.contains(":secret:admin-"), "{detail}");
    assert!(detail.contains("database:Login: NoAnswer"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_is_replaced_with_a_gap_that_is_measured() {
    let scene = Scene::new().await;
    let first = scene.handed_out(&scene.solo).await;
    // As often as it can, since the gap is short.
    let application = Application::start(&scene, &scene.solo, Duration::from_millis(1));
    scene.settle(&secret_rotation("routine", &scene.solo)).await;
    let logins = application.stop().await;
    println!(
        "one user: {} logins, {} refused; longest time without one {:?}",
        logins.accepted,
        logins.refused.len(),
        logins.gap
    );
    // Between the password's change and the label's move the old one is handed out and refused.
    assert!(logins.refused.iter().all(|code| code == "28P01"), "{:?}", logins.refused);
    assert!(logins.accepted > 0);
    scene.was_replaced(&scene.solo, &first).await;
}
