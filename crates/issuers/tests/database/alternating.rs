//! Two users that take turns.

use std::sync::{Arc, Mutex};

use severance_engine::ports::SecretValue;
use severance_issuers::database::RotationMode;
use tokio::sync::watch;

use crate::world::{World, connect, login, next};

/// A client that reads the current value and logs in with it, all the time.
struct Application {
    /// The value that is current, and how many were before it.
    current: Arc<Mutex<(usize, SecretValue)>>,
    /// How many were before the one that it logged in with last.
    used: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<usize>,
    stop: Arc<Mutex<bool>>,
}

impl Application {
    fn start(world: &World) -> Self {
        let current = Arc::new(Mutex::new((0, world.first())));
        let stop = Arc::new(Mutex::new(false));
        let (tell, used) = watch::channel(0);
        let (port, tls) = (world.server.port, world.tls());
        let (reads, stops) = (Arc::clone(&current), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut logins = 0;
            while !*stops.lock().unwrap() {
                let (number, value) = reads.lock().unwrap().clone();
                let (username, password) = login(&value);
                let client = connect(port, tls.clone(), &username, &password).await.unwrap();
                client.simple_query("SELECT 1").await.unwrap();
                logins += 1;
                tell.send_replace(number);
            }
            logins
        });
        Self { current, used, task, stop }
    }

    /// Makes a value the current one, and waits until it is used, as a grace period does.
    async fn promote(&mut self, value: &SecretValue) {
        let number = {
            let mut current = self.current.lock().unwrap();
            *current = (current.0 + 1, value.clone());
            current.0
        };
        // Fails where the client has ended, which is where a login failed.
        self.used.wait_for(|used| *used == number).await.expect("a login failed");
    }

    /// How many logins there were. Fails where one of them did.
    async fn stop(self) -> usize {
        *self.stop.lock().unwrap() = true;
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_no_gap_and_what_was_retired_is_refused() {
    let world = World::new().await;
    let admin = world.admin();
    let mut application = Application::start(&world);
    let mut current = world.first();
    for round in 0..4 {
        let pending = next(&current, RotationMode::AlternatingUsers);
        world.issuer.set(&current, &pending, Some(&admin)).await.unwrap();
        assert!(world.is_accepted(&pending).await && world.is_accepted(&current).await);
        application.promote(&pending).await;

        // By turns by the administrator and by the old user itself.
        let by = (round % 2 == 0).then_some(&admin);
        let retired = world.issuer.retire(&current, &pending, by).await.unwrap();
        assert!(!retired.already && retired.code == "28P01");
        assert!(!world.is_accepted(&current).await && world.is_accepted(&pending).await);
        let again = world.issuer.retire(&current, &pending, by).await.unwrap();
        assert!(again.already && again.code == "28P01");
        current = pending;
    }
    assert!(application.stop().await >= 4);
}

#[tokio::test]
async fn the_other_user_may_do_what_the_first_may() {
    let world = World::new().await;
    world.create_login("keeper", "K33perS3cr3t", "CREATEROLE").await;
    world
        .sql(
            "CREATE ROLE readers; CREATE ROLE writers; GRANT readers TO app; \
             GRANT writers TO app WITH ADMIN OPTION; \
             ALTER ROLE app CONNECTION LIMIT 7 CREATEDB VALID UNTIL '2099-01-01'; \
             CREATE SCHEMA \"odd, name\" AUTHORIZATION app; \
             CREATE TABLE \"odd, name\".own (a int); ALTER TABLE \"odd, name\".own OWNER TO app; \
             ALTER ROLE app SET search_path TO \"odd, name\", public; \
             ALTER ROLE app IN DATABASE postgres SET work_mem TO '5MB'",
        )
        .await;
    let keeper = world.value("keeper", "K33perS3cr3t");
    let current = world.first();
    let pending = next(&current, RotationMode::AlternatingUsers);
    world.sql("ALTER ROLE keeper CREATEDB").await;
    world.issuer.set(&current, &pending, Some(&keeper)).await.unwrap();

    let client = world.open(&pending).await;
    client.batch_execute("INSERT INTO own VALUES (1)").await.unwrap();
    let memory: String = client.query_one_scalar("SHOW work_mem", &[]).await.unwrap();
    assert_eq!(memory, "5MB");
    let attributes = "SELECT rolconnlimit || ' ' || rolcreatedb || ' ' || rolcreaterole || ' ' || \
        extract(year FROM rolvaliduntil) FROM pg_roles WHERE rolname = 'app_clone'";
    assert_eq!(world.sql(attributes).await, ["7 true false 2099"]);
    let memberships = "SELECT roleid::regrole || ' ' || admin_option FROM pg_auth_members \
        WHERE member = 'app_clone'::regrole ORDER BY 1";
    assert_eq!(world.sql(memberships).await, ["app false", "readers false", "writers true"]);

    // What the clone is granted meanwhile, the first user gets when its turn comes.
    world.sql("CREATE ROLE auditors; GRANT auditors TO app_clone").await;
    let third = next(&pending, RotationMode::AlternatingUsers);
    world.issuer.set(&pending, &third, Some(&keeper)).await.unwrap();
    let memberships = memberships.replace("app_clone", "app");
    assert_eq!(world.sql(&memberships).await, ["auditors false", "readers false", "writers true"]);
}
