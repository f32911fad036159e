//! The commands, as a person runs them: the real binary, its exit codes and its words.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use severance_tests::binary::severance;
use severance_tests::sandbox::Sandbox;

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
    assert_eq!(names.lines().count(), 2, "{names}");
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
        ["events", "tasks", "time_to_revoke_seconds", "usable_after", "verification"]
    );
    assert_eq!(keys(&report["events"]), ["accepted", "dead_lettered", "duplicates", "published"]);
    assert_eq!(keys(&report["tasks"]), ["blocked", "done", "waiting"]);
    assert_eq!(keys(&report["verification"]), ["control_plane", "probed"]);
    for trigger in ["compromise-notice", "contract-end"] {
        let times = &report["time_to_revoke_seconds"][trigger];
        assert_eq!(keys(times), ["count", "max", "p50", "p95", "p99"]);
        assert!(times["count"].as_u64().unwrap() > 0, "{report}");
    }
    assert_eq!(report["usable_after"], 0);
    let events = &report["events"];
    let sum: u64 = ["accepted", "duplicates", "dead_lettered"]
        .iter()
        .map(|name| events[name].as_u64().unwrap())
        .sum();
    assert_eq!(events["published"].as_u64().unwrap(), sum);
}
