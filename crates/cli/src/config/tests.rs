use super::*;
use severance_lifecycle::task::Mode;

const GOOD: &str = r#"
[kafka]
brokers = "localhost:9092"

[[aws.accounts]]
id = "111122223333"

[zones.default]
quarantine = "7d"
mode = "enforce"

[zones.acme]
spread = "3s"

[zones.acme-payments]
mode = "enforce"
partner.accounts = ["444455556666"]
"#;

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::parse("s.toml", text, &env).map_err(|error| error.to_string())
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let refused = parse(&GOOD.replace("brokers", "brokrs"), &[]).unwrap_err();
    assert!(refused.starts_with("s.toml:3: "), "{refused}");
    assert!(refused.contains("brokrs"), "{refused}");
    let refused = parse(&GOOD.replace("spread", "sprad"), &[]).unwrap_err();
    assert!(refused.starts_with("s.toml:13: ") && refused.contains("sprad"), "{refused}");
    let refused = parse("[kafak]\n", &[]).unwrap_err();
    assert!(refused.starts_with("s.toml:1: ") && refused.contains("kafak"), "{refused}");
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_line() {
    for (from, to, line, key) in [
        ("\"3s\"", "\"soon\"", 13, "zones.acme.spread"),
        ("\"3s\"", "3", 13, "zones.acme.spread"),
        ("\"enforce\"\n\n[zones.acme]", "\"on\"\n\n[zones.acme]", 10, "zones.default.mode"),
        ("444455556666", "4444", 17, "zones.acme-payments.partner.accounts"),
        ("111122223333", "1111", 6, "aws.accounts[0].id"),
        ("\"localhost:9092\"", "\"\"", 3, "kafka.brokers"),
        ("brokers = ", "brokers == ", 3, ""),
    ] {
        let refused = parse(&GOOD.replace(from, to), &[]).unwrap_err();
        assert!(refused.starts_with(&format!("s.toml:{line}: {key}")), "{to}: {refused}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let text = GOOD.replace("111122223333", "1111")
        + "[engine]\nconcurrency = 0\nlease = \"1s\"\n[protected]\nbreak_glass = [\"admin\"]\n";
    let refused = parse(&text, &[]).unwrap_err();
    for key in ["aws.accounts[0].id", "engine.concurrency", "engine.lease", "break_glass"] {
        assert!(refused.lines().any(|line| line.contains(key)), "{key}: {refused}");
    }
}

#[test]
fn a_zone_is_in_observe_until_it_says_otherwise_itself() {
    let zones = parse(GOOD, &[]).unwrap().zones();
    assert_eq!(
        zones.get(&"acme".into()).mode,
        Mode::Observe,
        "the default's mode is not inherited"
    );
    assert_eq!(zones.get(&"acme-payments".into()).mode, Mode::Enforce);
    assert_eq!(zones.get(&"elsewhere".into()).mode, Mode::Enforce, "the default's own");
    assert_eq!(Config::default().zones().get(&"any".into()).mode, Mode::Observe);
}

#[test]
fn a_zone_inherits_what_it_does_not_set() {
    let zones = parse(GOOD, &[]).unwrap().zones();
    let acme = zones.get(&"acme".into());
    assert_eq!(acme.quarantine, chrono::TimeDelta::days(7));
    assert_eq!(acme.spread, chrono::TimeDelta::seconds(3));
}

#[test]
fn the_environment_overrides_the_file() {
    let config = parse(
        GOOD,
        &[
            ("SEVERANCE__KAFKA__BROKERS", "kafka:9"),
            ("SEVERANCE__ENGINE__CONCURRENCY", "7"),
            ("SEVERANCE__HTTP__HOSTS", "[\"a.b\"]"),
            ("SEVERANCE__ZONES__ACME_PAYMENTS__MODE", "observe"),
        ],
    )
    .unwrap();
    assert_eq!(config.kafka.brokers, "kafka:9");
    assert_eq!(config.engine.concurrency, 7);
    assert_eq!(config.http.hosts, ["a.b"]);
    assert_eq!(config.zones().get(&"acme-payments".into()).mode, Mode::Observe);
}

#[test]
fn a_wrong_override_is_named_by_its_variable() {
    for (variable, value) in [
        ("SEVERANCE__KAFKA__BROKRS", "x"),
        ("SEVERANCE__ENGINE__CONCURRENCY", "many"),
        ("SEVERANCE__ENGINE__CONCURRENCY", "0"),
        ("SEVERANCE__ENGINE", "x"),
        ("SEVERANCE__KAFKA__BROKERS__MORE", "x"),
    ] {
        let refused = parse(GOOD, &[(variable, value)]).unwrap_err();
        assert!(refused.contains(&format!("environment variable {variable}")), "{refused}");
    }
}
