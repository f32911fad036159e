//! Values: read, and made out of the one before. They live no longer than a call, and are wiped.

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::fields::Fields;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::secret::{SecretRef, is_ours};
use severance_lifecycle::secret_view::Held;

use super::client;
use crate::calls::Calls;
use crate::config::FieldPair;
use crate::failure::{cannot, is_refused, present};
use crate::reads::time;
use crate::secret_value::{HeldKey, Secret, held_key};

/// So long a version that was stored may be listed by one host and not be read from another.
const SPREAD: TimeDelta = TimeDelta::minutes(1);

/// Reads a version's text; `None` where it is binary, or is not there any more.
pub(super) async fn read(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &str,
) -> Result<Option<Secret>, Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.get_secret_value().secret_id(&secret.arn).version_id(version).send();
    let answer = present(calls.call(("secretsmanager:GetSecretValue", region), request).await)?;
    Ok(answer.and_then(|answer| answer.secret_string).map(Secret::new))
}

/// When a version was stored, as its value tells; `None` where that may not be read.
pub(super) async fn stored_at(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &str,
) -> Result<Option<DateTime<Utc>>, Failure> {
    let (client, region) = client(calls, secret)?;
    let request = client.get_secret_value().secret_id(&secret.arn).version_id(version).send();
    let answer = match calls.call(("secretsmanager:GetSecretValue", region), request).await {
        Err(failure) if is_refused(&failure) => None,
        answer => present(answer)?,
    };
    // It is asked for its time alone.
    let answer = answer.map(|answer| (answer.created_date, answer.secret_string.map(Secret::new)));
    Ok(answer.and_then(|(created, _)| created).as_ref().map(time))
}

/// The access key that a version holds.
pub(super) async fn key(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &str,
) -> Result<Option<HeldKey>, Failure> {
    let text = read(calls, secret, version).await?;
    Ok(text.and_then(|text| held_key(&text, calls.account.secrets.fields())))
}

/// A version, as it was listed.
pub(super) struct Listed<'a> {
    pub(super) id: &'a str,
    pub(super) created: DateTime<Utc>,
    pub(super) labelled: bool,
    /// Of a secret that is scheduled for deletion nothing can be read.
    pub(super) readable: bool,
}

/// Which access key a version holds: from memory where it was read before.
pub(super) async fn held(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &Listed<'_>,
) -> Result<Held, Failure> {
    remembered(calls, secret, version, |text| {
        match held_key(text, calls.account.secrets.fields()) {
            Some(held) => Held::AccessKey { key_id: held.id },
            None => unfit("value", "it is no JSON object that holds an access key"),
        }
    })
    .await
}

/// Which login a version holds.
pub(super) async fn login(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &Listed<'_>,
) -> Result<Held, Failure> {
    remembered(calls, secret, version, login_in).await
}

async fn remembered(
    calls: &Calls<'_>,
    secret: &SecretRef,
    version: &Listed<'_>,
    tell: impl Fn(&Secret) -> Held,
) -> Result<Held, Failure> {
    let name = (secret.arn.clone(), version.id.to_owned());
    if let Some(held) = calls.account.secrets.held(&name) {
        return Ok(held);
    }
    if !version.readable {
        return Ok(Held::Opaque);
    }
    // Asked for again and again, there may be a hundred of these.
    if !version.labelled
        && let Some(why) = calls.account.secrets.unreadable(&name, calls.now())
    {
        return Ok(Held::Unreadable { why });
    }
    let text = match read(calls, secret, version.id).await {
        Err(failure) if is_refused(&failure) => {
            let why = format!("it cannot be read: {}", failure.code);
            calls.account.secrets.is_unreadable(name, &why, calls.now());
            return Ok(Held::Unreadable { why });
        }
        answer => answer?,
    };
    if let Some(text) = text {
        let held = tell(&text);
        calls.account.secrets.remember(name, held.clone());
        return Ok(held);
    }
    if is_ours(version.id) && calls.at() < version.created + SPREAD {
        return Err(not_yet(version.id));
    }
    // Not remembered: it may be readable yet.
    Ok(unfit("value", "it is binary, or was removed"))
}

/// Whoever took a version of ours for one without a value would make a second one, and take the key that
/// this one holds for one that a lost reply left.
fn not_yet(version: &str) -> Failure {
    Failure {
        class: FailureClass::RetrySoon,
        operation: "secretsmanager:GetSecretValue".to_owned(),
        code: "NotReadableYet".to_owned(),
        message: format!("version {version} is listed, and its value is not there yet"),
        request_id: None,
    }
}

fn unfit(field: &str, why: &str) -> Held {
    Held::Unfit { field: field.to_owned(), why: why.to_owned() }
}

fn login_in(text: &Secret) -> Held {
    const USERNAME: &str = "username";
    let Ok(fields) = Fields::of(text) else { return unfit("value", "it is no JSON object") };
    let Some(written) = fields.named(USERNAME).last() else {
        return unfit(USERNAME, "it is missing");
    };
    match serde_json::from_str(written.get()) {
        Ok(username) if username != "" => Held::Login { username },
        Ok(_) | Err(_) => unfit(USERNAME, "it is no text"),
    }
}

/// The value with another key in the place of the one that it holds; everything else in it stays as it is
/// written.
pub(super) fn with_key(
    before: &Secret,
    pairs: &[FieldPair],
    id: &str,
    secret: &str,
) -> Result<Secret, Failure> {
    let unfit = |why| cannot("secretsmanager:PutSecretValue", "UnfitValue", why);
    let Ok(fields) = Fields::of(before) else {
        return Err(unfit("the current value is no JSON object"));
    };
    let is_text = |name: &str| {
        let mut written = fields.named(name).peekable();
        written.peek().is_some() && written.all(|it| it.get().starts_with('"'))
    };
    let pair = pairs.iter().find(|pair| is_text(&pair.id) && is_text(&pair.secret));
    let Some(pair) = pair else { return Err(unfit("the current value holds no access key")) };
    Ok(fields.replaced(|name| match name {
        name if name == pair.id => Some(id),
        name if name == pair.secret => Some(secret),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::SecretFinding;

    fn replaced(json: &str) -> Result<String, String> {
        let pairs = SecretFinding::default().fields;
        let made = with_key(&Secret::new(json.to_owned()), &pairs, "AKIANEW", "new half");
        made.map(|made| made.reveal().to_owned()).map_err(|failure| failure.message)
    }

    #[test]
    fn only_the_key_changes() {
        for pair in SecretFinding::default().fields {
            let json = format!(
                r#"{{"host":"h","{}":"AKIAOLD","deep":{{"list":[1,"two"]}},"{}":"old half"}}"#,
                pair.id, pair.secret
            );
            let made: Value = serde_json::from_str(&replaced(&json).unwrap()).unwrap();
            assert_eq!(
                (&made[&pair.id], &made[&pair.secret]),
                (&"AKIANEW".into(), &"new half".into())
            );
            assert_eq!((&made["host"], &made["deep"]["list"][1]), (&"h".into(), &"two".into()));
        }
    }

    #[test]
    fn whatever_else_is_in_the_value_stays_as_it_is_written() {
        let json = r#"{"z":1.10,"access_key_id":"AKIAOLD","acct":12345678901234567890123,"secret_access_key":"old","deep":{"b": 1, "a":[ 2.50 ]}}"#;
        let made = replaced(json).unwrap();
        assert_eq!(made, json.replace("AKIAOLD", "AKIANEW").replace("\"old\"", "\"new half\""));
    }

    #[test]
    fn what_holds_no_key_is_left_as_it_is() {
        for json in ["", "[]", r#"{"a":"b"}"#, r#"{"access_key_id":"AKIA"}"#] {
            let why = replaced(json).unwrap_err();
            assert!(why.contains("current value"), "{why}");
        }
    }

    #[test]
    fn a_login_is_told_by_its_name_and_what_is_wrong_by_its_field() {
        let login = |json: &str| login_in(&Secret::new(json.to_owned()));
        let named = login(r#"{"username":"app","password":"p"}"#);
        assert_eq!(named, Held::Login { username: "app".into() });
        for (json, field) in [("p", "value"), ("{}", "username"), (r#"{"username":7}"#, "username")]
        {
            assert!(matches!(login(json), Held::Unfit { field: it, .. } if it == field), "{json}");
        }
    }
}
