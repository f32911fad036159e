use super::*;
use severance_lifecycle::ids::UNASSIGNED_ZONE;
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
fn a_section_without_a_mode_observes_and_the_default_s_is_of_zones_without_a_section() {
    let zones = parse(GOOD, &[]).unwrap().zones();
    assert_eq!(
        zones.get(&"acme".into()).mode,
        Mode::Observe,
        "the default's mode is not inherited"
    );
    assert_eq!(zones.get(&"acme-payments".into()).mode, Mode::Enforce);
    let unnamed = "the default's mode is that of zones without a section";
    assert_eq!(zones.get(&"elsewhere".into()).mode, Mode::Enforce, "{unnamed}");
    assert_eq!(zones.get(&UNASSIGNED_ZONE.into()).mode, Mode::Enforce, "{unnamed}");
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

#[test]
fn a_password_of_digits_is_taken_as_it_was_written_and_shown_nowhere() {
    for written in ["12345678", "1e5", "0x1F", "true", "1979-05-27"] {
        let file = GOOD.replace("[[aws", &format!("[kafka.security]\npassword = {written}\n[[aws"));
        let quoted =
            GOOD.replace("[[aws", &format!("[kafka.security]\npassword = '{written}'\n[[aws"));
        let from_quoted = parse(&quoted, &[]).unwrap().kafka.security.password;
        assert!(from_quoted.is_some());
        assert_eq!(parse(&file, &[]).unwrap().kafka.security.password, from_quoted, "{written}");
        let env = [("SEVERANCE__KAFKA__SECURITY__PASSWORD", written)];
        assert_eq!(parse(GOOD, &env).unwrap().kafka.security.password, from_quoted, "{written}");
    }
    let env = [("SEVERANCE__KAFKA__SECURITY__KEY_PASSWORD", "[12345678]")];
    assert!(parse(GOOD, &env).is_ok(), "a password may look like a list");
    for wrong in ["[12345678]", "{ a = 12345678 }"] {
        let file = GOOD.replace("[[aws", &format!("[kafka.security]\npassword = {wrong}\n[[aws"));
        let refused = parse(&file, &[]).unwrap_err();
        assert!(!refused.contains("12345678"), "{refused}");
        assert!(refused.starts_with("s.toml:6: kafka.security.password"), "{refused}");
    }
}

#[test]
fn an_account_without_regions_has_two_and_one_with_too_few_is_refused() {
    let config = parse(GOOD, &[]).unwrap();
    assert_eq!(config.aws.accounts[0].regions, ["us-east-1", "us-west-2"]);
    let one = GOOD.replace("3333\"\n", "3333\"\nregions = [\"eu-west-1\", \"eu-west-1\"]\n");
    let refused = parse(&one, &[]).unwrap_err();
    assert!(refused.starts_with("s.toml:7: aws.accounts[0].regions: 1 where"), "{refused}");
    let three = GOOD.to_owned() + "proof.endpoints = 3\n";
    let refused = parse(&three, &[]).unwrap_err();
    assert!(refused.contains("aws.accounts[0].regions: 2 where proof.endpoints is 3"), "{refused}");
    let china =
        GOOD.replace("[[aws", "[aws]\npartition = \"aws-cn\"\nregion = \"cn-northwest-1\"\n[[aws");
    let regions = &parse(&china, &[]).unwrap().aws.accounts[0].regions;
    assert_eq!(*regions, ["cn-northwest-1", "cn-north-1"]);
}

#[test]
fn a_proof_that_proves_nothing_is_refused() {
    for (key, value) in [("refusals", "0"), ("window", "\"0s\""), ("interval", "\"0s\"")] {
        let text = format!("{GOOD}proof.{key} = {value}\n");
        let refused = parse(&text, &[]).unwrap_err();
        let at = format!("s.toml:18: zones.acme-payments.proof.{key}");
        assert!(refused.starts_with(&at), "{refused}");
    }
}

#[test]
fn a_lease_outlives_three_calls() {
    let text = |lease: &str| {
        format!("{GOOD}[engine]\nlease = \"{lease}\"\n[aws.timeouts]\noperation = \"40s\"\n")
    };
    assert!(parse(&text("2m"), &[]).is_ok());
    let refused = parse(&text("90s"), &[]).unwrap_err();
    assert!(refused.starts_with("s.toml:19: engine.lease: must be at least 2m"), "{refused}");
}

#[test]
fn what_the_client_library_and_the_log_refuse_is_named_by_our_key_and_its_line() {
    for (section, key) in [
        ("[kafka.security]\nprotocol = \"sasl_sls\"", "kafka.security.protocol"),
        ("[kafka.security]\nmechanism = \"OAUTHBEARER\"", "kafka.security"),
        (
            "[kafka.properties]\n\"session.timeout.ms\" = \"soon\"",
            "kafka.properties.session.timeout.ms",
        ),
        ("[log]\nfilter = \"info,a=loud\"", "log.filter"),
    ] {
        let refused =
            parse(&GOOD.replace("[zones.default]", &format!("{section}\n[zones.default]")), &[])
                .unwrap_err();
        let lines = if key == "kafka.security" { 8 } else { 9 };
        assert!(refused.starts_with(&format!("s.toml:{lines}: {key}")), "{refused}");
    }
}

#[test]
fn what_rotations_go_by_is_set_per_zone_and_inherited() {
    let more = r#"
[zones.default.secrets]
grace = "30m"
recovery_days = 7

[zones.globex]
objectives.rotation = "1h"
secrets.compromised = "revoke-first"
"#;
    let zones = parse(&format!("{GOOD}{more}"), &[]).unwrap().zones();
    let of = |name: &str| zones.get(&name.into()).clone();
    assert_eq!(of("acme").grace, chrono::TimeDelta::minutes(30));
    assert_eq!((of("acme").recovery_days, of("acme").compromised_secrets), (7, None));
    assert_eq!(of("globex").grace, chrono::TimeDelta::minutes(30));
    assert_eq!(of("globex").rotation_objective, chrono::TimeDelta::hours(1));
    let order = Some(severance_lifecycle::rotation::RevokeOrder::RevokeFirst);
    assert_eq!(of("globex").compromised_secrets, order);
    for (wrong, key) in [
        ("secrets.recovery_days = 6", "zones.x.secrets.recovery_days"),
        ("secrets.compromised = \"later\"", "later"),
        ("secrets.graze = \"1h\"", "graze"),
    ] {
        let refused = parse(&format!("{GOOD}\n[zones.x]\n{wrong}\n"), &[]).unwrap_err();
        assert!(refused.contains(key), "{refused}");
    }
}

const ISSUERS: &str = r#"
[issuers.database]
ca_file = "/etc/ca.pem"

[[issuers.database.administrators]]
server = "DB.example.com:5433"
secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/admin-AbCdEf"

[issuers.webhooks.billing]
url = "https://rotate.example.com/hook"
key_file = "KEY"
"#;

#[test]
fn issuers_beyond_aws_are_those_that_are_named() {
    let none = parse(GOOD, &[]).unwrap().issuers;
    assert!(none.database.is_none() && none.webhooks.is_empty());

    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let text = GOOD.to_owned() + &ISSUERS.replace("KEY", &key.display().to_string());
    let issuers = parse(&text, &[]).unwrap().issuers;
    let administrators = issuers.database.unwrap().administrators();
    let administrator = administrators.first().unwrap();
    assert_eq!((administrator.host.as_str(), administrator.port), ("db.example.com", 5433));
    let secret = &administrator.secret;
    assert_eq!((secret.name.as_str(), secret.region.as_str()), ("team/admin", "eu-west-1"));
    assert_eq!(issuers.webhooks["billing"].field, "password");
    assert!(issuers.webhooks["billing"].endpoint().is_ok());

    for (from, to, key) in [
        (":5433", ":port", "issuers.database.administrators[0].server"),
        ("secret:team/admin-AbCdEf", "user:admin", "issuers.database.administrators[0].secret"),
        (":111122223333:", ":999988887777:", "issuers.database.administrators[0].secret"),
        ("ca_file", "plaintext = true\nca_file", "issuers.database.plaintext"),
        ("https:", "http:", "issuers.webhooks.billing.url"),
        ("key_file", "ca_file", "issuers.webhooks.billing.key_file"),
        ("/key\"", "/no-key\"", "issuers.webhooks.billing.key_file"),
        ("url =", "uri =", "uri"),
    ] {
        let refused = parse(&text.replacen(from, to, 1), &[]).unwrap_err();
        assert!(refused.contains(key), "{to}: {refused}");
    }
}

#[test]
fn a_grace_that_is_shorter_than_clients_keep_a_value_is_warned_of_by_its_key() {
    let warned = |text: &str| -> Vec<String> {
        let config = parse(&format!("{GOOD}\n{text}"), &[]).unwrap();
        config.zones.warnings().into_iter().map(|warning| warning.key).collect()
    };
    assert_eq!(warned(""), [""; 0]);
    let two = "[zones.globex]\nsecrets.grace = \"59m\"\n[zones.other]\nsecrets.grace = \"1h\"";
    assert_eq!(warned(two), ["zones.globex.secrets.grace"]);
    let config = parse(&format!("{GOOD}\n{two}"), &[]).unwrap();
    assert!(config.zones.warnings()[0].why.starts_with("59m is shorter"));
}
