//! The example names every key that a configuration may have, and each in its place.

use toml::{Table, Value};

use super::document::Document;
use super::{Config, Span};

const EXAMPLE: &str = include_str!("../../../../severance.example.toml");

/// A name that no section has.
const NOBODY: &str = "zz";

/// A step from a section to what is in it.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A key that the section knows.
    Key(String),
    /// A name that the file chooses: a zone, an account.
    Name,
    /// An item of an array.
    Item,
}

/// The example, with the settings that are only shown in comments set.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    EXAMPLE.lines().map(line).collect()
}

fn is_setting(text: &str) -> bool {
    let key = text.split_once(" = ").map(|(key, _)| key);
    text.starts_with('[') || key.is_some_and(|key| !key.is_empty() && !key.contains(' '))
}

/// What the structs say to a file with this value, and nothing else, at this place.
fn refusal(place: &[Step], value: &str) -> String {
    let Some((Step::Key(first), below)) = place.split_first() else {
        return told(&format!("{NOBODY} = 1"));
    };
    let wrapped = below.iter().rev().fold(value.to_owned(), |value, step| match step {
        Step::Key(key) => format!("{{ {key} = {value} }}"),
        Step::Name => format!("{{ any = {value} }}"),
        Step::Item => format!("[{value}]"),
    });
    told(&format!("{first} = {wrapped}"))
}

fn told(text: &str) -> String {
    let document = Document::parse("s.toml", text, &[]).unwrap();
    document.read::<Config>().err().unwrap_or_default()
}

/// The keys of the section at this place, as serde lists them to whoever uses another one; `None` where
/// there is no section.
fn keys(place: &[Step]) -> Option<Vec<String>> {
    let refused = refusal(place, &format!("{{ {NOBODY} = 1 }}"));
    let (_, expected) = refused.split_once(&format!("unknown field `{NOBODY}`, expected "))?;
    Some(expected.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Every key below this place that is no section itself.
fn settings(place: &[Step], found: &mut Vec<Vec<Step>>) {
    let at = |step: Step| [place, &[step]].concat();
    let sections = [place.to_vec(), at(Step::Name), at(Step::Item)];
    let section = sections.into_iter().find_map(|place| Some((keys(&place)?, place)));
    match section {
        Some((keys, place)) => {
            for key in keys {
                settings(&[&place[..], &[Step::Key(key)]].concat(), found);
            }
        }
        None => found.push(place.to_vec()),
    }
}

fn is_there(value: &Value, place: &[Step]) -> bool {
    let Some((step, below)) = place.split_first() else { return true };
    match (step, value) {
        (Step::Key(key), Value::Table(table)) => {
            table.get(key).is_some_and(|value| is_there(value, below))
        }
        (Step::Name, Value::Table(table)) => table.values().any(|value| is_there(value, below)),
        (Step::Item, Value::Array(items)) => items.iter().any(|item| is_there(item, below)),
        _ => false,
    }
}

#[test]
fn the_example_names_every_key_that_a_configuration_may_have() {
    let mut all = Vec::new();
    settings(&[], &mut all);
    for known in [
        vec![
            Step::Key("kafka".into()),
            Step::Key("intake".into()),
            Step::Key("batch_records".into()),
        ],
        vec![
            Step::Key("zones".into()),
            Step::Name,
            Step::Key("proof".into()),
            Step::Key("window".into()),
        ],
        vec![
            Step::Key("aws".into()),
            Step::Key("accounts".into()),
            Step::Item,
            Step::Key("id".into()),
        ],
    ] {
        assert!(all.contains(&known), "{known:?} is not found among {all:?}");
    }
    let example = Value::Table(uncommented().parse::<Table>().unwrap());
    let missing: Vec<_> = all.iter().filter(|place| !is_there(&example, place)).collect();
    assert!(missing.is_empty(), "severance.example.toml does not name {missing:#?}");
}

#[test]
fn what_the_example_shows_in_comments_is_of_the_right_kind() {
    let text = uncommented();
    let config: Config = Document::parse("example", &text, &[]).unwrap().read().unwrap();
    assert_eq!(config.kafka.security.token_file, Some("/run/secrets/kafka-token".into()));
    assert_eq!(config.http.token_file, Some("severance.db.token".into()));
    assert_eq!(config.engine.lease, Span::seconds(90));
}
