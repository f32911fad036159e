//! The commands, as a person runs them: the real binary, its exit codes and its words.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use severance_tests::aws::{Tried, try_key};
use severance_tests::binary::severance;
use severance_tests::sandbox::Sandbox;
use severance_tests::world::{World, probeable, user};

const ACCOUNT: &str = "111111111111";

fn run(arguments: &[&str], variables: &[(&str, &str)], directory: &Path) -> Output {
    let mut command = Command::new(severance());
    command.args(arguments).current_dir(directory).envs(variables.iter().copied());
    command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../severance.example.toml")
}

#[test]
fn a_broken_configuration_is_named_by_line_and_key_and_the_command_fails() {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(example()).unwrap();
    for (from, to, key) in [
        ("brokers = ", "brokrs = ", "brokrs"),
        ("lease = \"90s\"", "lease = \"soon\"", "engine.lease"),
        ("mode = \"enforce\"", "mode = \"on\"", "zones.acme.mode"),
        ("id = \"111111111111\"", "id = \"1\"", "aws.accounts[0].id"),
    ] {
        let broken = text.replacen(from, to, 1);
        let line = 1 + broken.lines().position(|line| line.starts_with(to)).unwrap();
        std::fs::write(directory.path().join("severance.toml"), broken).unwrap();
        for command in ["check", "run"] {
            let output = run(&[command], &[], directory.path());
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command}: {said}");
            assert!(said.contains(&format!("severance.toml:{line}: ")), "{to}: {said}");
            assert!(said.contains(key), "{to}: {said}");
        }
    }
}

#[test]
fn schemas_are_listed_and_printed_and_an_unknown_one_is_refused() {
    let here = Path::new(".");
    let listed = run(&["schema"], &[], here);
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(names.lines().count(), 3, "{names}");
    for name in names.lines() {
        let schema = run(&["schema", name], &[], here);
        let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
        assert!(schema["properties"]["data"].is_object(), "{name}");
    }
    let unknown = run(&["schema", "nothing"], &[], here);
    assert!(!unknown.status.success() && stderr(&unknown).contains("nothing"));
}

#[test]
fn without_a_worker_the_commands_say_so_once_and_fail() {
    let directory = tempfile::tempdir().unwrap();
    // Port 9 (discard) is not listened on.
    let output = run(&["cases", "--api", "http://127.0.0.1:9"], &[], directory.path());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("http://127.0.0.1:9") && said.contains("severance run"), "{said}");
    assert_eq!(said.matches("severance: ").count(), 1, "{said}");
}

#[tokio::test]
async fn the_example_works_against_the_sandbox() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(directory.path(), &[ACCOUNT]).await;
    let config = example();
    let arguments = ["check", "--json", "--config", config.to_str().unwrap()];
    let key = (sandbox.worker_key.id.as_str(), sandbox.worker_key.secret.as_str());
    let variables = [
        ("SEVERANCE__KAFKA__BROKERS", sandbox.brokers.as_str()),
        ("SEVERANCE__AWS__ENDPOINTS__IAM", sandbox.endpoint.as_str()),
        ("SEVERANCE__AWS__ENDPOINTS__STS", sandbox.endpoint.as_str()),
        ("SEVERANCE__AWS__ENDPOINTS__SECRETSMANAGER", sandbox.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", key.0),
        ("AWS_SECRET_ACCESS_KEY", key.1),
    ];
    let output = run(&arguments, &variables, directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", stderr(&output));
    let checks: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert!(checks.iter().all(|check| check["ok"] == true), "{said}");

    // The same, with a key that AWS does not know: it says which account cannot be reached.
    let mut wrong = variables;
    wrong[4].1 = "AKIAIOSFODNN7EXAMPLE";
    let output = run(&arguments, &wrong, directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let checks: Vec<Value> = serde_json::from_str(&said).unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{said}");
    assert!(failed[0]["what"].as_str().unwrap().contains(ACCOUNT), "{said}");
}

#[test]
fn the_demo_ends_well_and_prints_one_object_of_the_agreed_shape() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        run(&["demo", "--json", "--identities", "40", "--seed", "3"], &[], directory.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&report),
        ["events", "rotations", "tasks", "time_to_revoke_seconds", "usable_after", "verification"]
    );
    assert_eq!(keys(&report["events"]), ["accepted", "dead_lettered", "duplicates", "published"]);
    assert_eq!(keys(&report["tasks"]), ["blocked", "done", "waiting"]);
    assert_eq!(keys(&report["verification"]), ["control_plane", "probed"]);
    assert_eq!(keys(&report["time_to_revoke_seconds"]), ["compromise-notice", "contract-end"]);
    for trigger in ["compromise-notice", "contract-end"] {
        let times = &report["time_to_revoke_seconds"][trigger];
        assert_eq!(keys(times), ["count", "max", "p50", "p95", "p99"]);
        assert!(times["count"].as_u64().unwrap() > 0, "{report}");
    }
    assert_eq!(report["usable_after"], 0);
    let rotations = &report["rotations"];
    assert_eq!(
        keys(rotations),
        ["blocked", "current_unusable", "done", "old_usable_after", "time_to_rotate_seconds"]
    );
    let times = &rotations["time_to_rotate_seconds"];
    assert_eq!(keys(times), ["count", "max", "p50", "p95", "p99"]);
    // Thirty secrets, four of them twice: a compromise came in the middle. One tag is wrong.
    assert_eq!((&rotations["done"], &rotations["blocked"]), (&34.into(), &1.into()), "{report}");
    assert_eq!(times["count"], rotations["done"]);
    assert_eq!(rotations["old_usable_after"], 0);
    assert_eq!(rotations["current_unusable"], 0);
    let events = &report["events"];
    let sum: u64 = ["accepted", "duplicates", "dead_lettered"]
        .iter()
        .map(|name| events[name].as_u64().unwrap())
        .sum();
    assert_eq!(events["published"].as_u64().unwrap(), sum);
}

/// Runs a command against a world's worker, off the test's own threads.
async fn against(world: &World, arguments: &[&str]) -> Output {
    let config = world.dir().join("worker.toml");
    let mut all: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    all.extend(["--config".to_owned(), config.display().to_string()]);
    let directory = world.dir().to_owned();
    tokio::task::spawn_blocking(move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        run(&all, &[], &directory)
    })
    .await
    .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_end_from_flags_is_held_by_the_blast_radius_and_goes_on_when_released() {
    let world = World::new().await;
    let tags = [("severance:zone", "acme"), ("severance:contract", "c-1")];
    world
        .seed(vec![
            severance_sandbox::aws::control::UserSeed { access_keys: 1, ..user("one", &tags) },
            severance_sandbox::aws::control::UserSeed { access_keys: 1, ..user("two", &tags) },
        ])
        .await;
    let mut settings = world.settings();
    settings.engine = "blast_radius = 1\n".to_owned();
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    let publish = [
        "publish",
        "contract-end",
        "--zone",
        "acme",
        "--contract",
        "c-1",
        "--revision",
        "1",
        "--reason",
        "over",
        "--event-id",
        "end-1",
        "--wait",
    ];
    let held = against(&world, &publish).await;
    assert_eq!(held.status.code(), Some(3), "{}", stderr(&held));
    assert!(stderr(&held).contains("is held") && stderr(&held).contains("cases release"));
    let listed = against(&world, &["cases", "--state", "held", "--json"]).await;
    let cases: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let id = cases[0]["case"]["id"].as_str().unwrap().to_owned();
    let released = against(&world, &["cases", "release", &id]).await;
    assert!(released.status.success() && stdout(&released).contains(&id), "{}", stderr(&released));
    worker.api.closed("end-1", std::time::Duration::from_mins(1)).await;
    let again = against(&world, &["cases", "release", &id]).await;
    assert_eq!(again.status.code(), Some(1), "a closed case cannot be released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_badly_where_the_case_is_blocked_and_blocked_tasks_can_be_retried() {
    let world = World::new().await;
    world.seed(vec![user("guarded", &[])]).await;
    let mut settings = world.settings();
    settings.more =
        "[protected]\nbreak_glass = [\"arn:aws:iam::111111111111:user/guarded\"]\n".to_owned();
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    let notice = |reason: &'static str| {
        [
            "publish",
            "compromise",
            "--user",
            "guarded",
            "--severity",
            "high",
            "--reporter",
            "t",
            "--event-id",
            "n-1",
            "--wait",
            "--reason",
            reason,
        ]
    };
    let blocked = against(&world, &notice("first")).await;
    assert_eq!(blocked.status.code(), Some(3), "{}", stderr(&blocked));
    assert!(stderr(&blocked).contains("is blocked"), "{}", stderr(&blocked));
    let conflict = against(&world, &notice("second")).await;
    assert_eq!(conflict.status.code(), Some(3));
    assert!(stderr(&conflict).contains("was not acted on"), "{}", stderr(&conflict));
    let retried = against(&world, &["tasks", "retry"]).await;
    assert!(stdout(&retried).contains("1 tasks run again now"), "{}", stderr(&retried));
    let refused = against(&world, &["tasks", "--state", "x"]).await;
    assert_eq!(refused.status.code(), Some(2), "not a state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_while_the_next_listing_is_all_that_is_waited_for() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.zone += "secrets = { grace = \"0s\" }\n";
    let worker = world.worker(&settings).await;
    world.inventory_done(&worker).await;
    let tags = [("severance:zone", "acme"), ("severance:strategy", "iam-access-key")];
    let (user, key) = world.seed_one(probeable("new", &tags)).await;
    let rotate = ["rotate", "--cause", "requested", "--access-key-id", &key.id];
    let rotated = against(&world, &rotate).await;
    assert!(rotated.status.success(), "{}\n{}", stdout(&rotated), stderr(&rotated));
    let said = stdout(&rotated);
    assert!(said.contains("to be listed once more") && !said.contains("STILL ACCEPTED"), "{said}");
    let notice = [
        "publish",
        "compromise",
        "--zone",
        "acme",
        "--severity",
        "high",
        "--reporter",
        "t",
        "--reason",
        "leak",
        "--wait",
    ];
    let (later, key) = world.seed_one(probeable("later", &tags)).await;
    let revoked = against(&world, &notice).await;
    assert!(revoked.status.success(), "{}\n{}", stdout(&revoked), stderr(&revoked));
    assert_ne!(try_key(&world.sandbox.endpoint, &key).await, Tried::Accepted);
    let listed = against(&world, &["cases"]).await;
    let zones = stdout(&listed);
    let of_acme = zones.lines().filter(|line| line.contains("acme")).count();
    assert_eq!(of_acme, 2, "{zones} ({}, {})", user.name, later.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_flags_is_followed_and_says_what_it_waits_for() {
    let world = World::new().await;
    let worker = world.worker(&world.settings()).await;
    world.inventory_done(&worker).await;
    let secret = ["--secret", "acme/not/there", "--event-id", "r-1", "--ticket", "CHG-1"];
    let rotate = ["rotate", "--cause", "owner-change", "--grace", "90m"];
    let blocked = against(&world, &[&rotate[..], &secret[..]].concat()).await;
    let said = stderr(&blocked);
    assert_eq!(blocked.status.code(), Some(3), "{said}");
    assert!(said.contains("waiting for new credentials to be handed out"), "{said}");
    assert!(said.contains("the grace of 1h 30m to end"), "{said}");
    assert!(said.contains("is blocked") && said.contains("acme/not/there"), "{said}");
    let listed = against(&world, &["cases", "--event-id", "r-1", "--json"]).await;
    let cases: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let case = &cases[0]["case"];
    assert_eq!((&case["trigger"], &case["cause"]), (&"rotation".into(), &"owner-change".into()));
    assert_eq!((&case["ticket"], &case["state"]["state"]), (&"CHG-1".into(), &"open".into()));
    let other = ["publish", "rotation", "--cause", "scheduled", "--wait"];
    let conflict = against(&world, &[&other[..], &secret[..]].concat()).await;
    assert_eq!(conflict.status.code(), Some(3));
    assert!(stderr(&conflict).contains("was not acted on"), "{}", stderr(&conflict));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_for_later_stays_accepted_and_a_wait_for_it_can_be_bounded() {
    let world = World::new().await;
    let worker = world.worker(&world.settings()).await;
    world.inventory_done(&worker).await;
    let publish = ["publish", "rotation", "--zone", "acme", "--not-before", "2199-01-01T00:00:00Z"];
    let wait = ["--event-id", "r-1", "--wait", "--wait-for", "1s"];
    let late = against(&world, &[&publish[..], &wait[..]].concat()).await;
    let said = stderr(&late);
    assert_eq!(late.status.code(), Some(3), "{said}");
    assert!(said.contains("waiting for 2199-01-01T00:00:00Z to come"), "{said}");
    assert!(said.contains("the zone's grace") && said.contains("not closed after 1s"), "{said}");
    let listed = against(&world, &["cases", "--state", "accepted", "--json"]).await;
    let cases: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(cases[0]["case"]["start_at"], "2199-01-01T00:00:00Z");
    assert_eq!(cases[0]["case"]["noticed_at"], "2199-01-01T00:00:00Z");
}

#[test]
fn wrong_flags_of_a_rotation_are_refused_by_their_names() {
    let secret = ["--secret", "a"];
    for (flags, named) in [
        (&["--grace", "soon"][..], "--grace"),
        (&["--grace", "500ms"], "--grace"),
        (&["--not-before", "tomorrow"], "--not-before"),
        (&["--cause", "boredom"], "--cause"),
    ] {
        for command in [&["rotate"][..], &["publish", "rotation"]] {
            let output = run(&[command, &secret, flags].concat(), &[], Path::new("."));
            assert_eq!(output.status.code(), Some(2), "{named}");
            assert!(stderr(&output).contains(named), "{}", stderr(&output));
        }
    }
    let nothing = run(&["rotate"], &[], Path::new("."));
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("--secret"), "{}", stderr(&nothing));
}
