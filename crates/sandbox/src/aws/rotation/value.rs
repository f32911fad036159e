//! The new value that a rotation function makes.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::aws::ids;
use crate::aws::request::Service;
use crate::aws::state::agenda::Place;
use crate::aws::state::secret::SecretValue;
use crate::aws::state::{KeyOwner, KeyStatus, Moment, Secret, World};

/// A new value, and when what it opens will open.
pub(super) struct Made {
    pub(super) value: SecretValue,
    pub(super) ready: DateTime<Utc>,
}

/// A user's key pair inside a secret's JSON: the names of its two fields, and the key's id.
struct Pair {
    id_field: String,
    secret_field: String,
    key_id: String,
}

/// A new value of the old one's shape: an IAM access key is made anew at IAM, a `password` field is
/// replaced, anything else becomes a random text. `None` where IAM refuses.
pub(super) fn new_value(world: &mut World, place: &Place, at: &Moment) -> Option<Made> {
    let current = object(world.secret(place)?, "AWSCURRENT");
    let random = ids::suffix(&mut world.rng, 32);
    let Some(mut fields) = current else {
        return Some(Made { value: SecretValue::Text(random.into()), ready: at.now });
    };
    let mut ready = at.now;
    match pair_in(&fields).filter(|pair| world.keys.contains_key(&pair.key_id)) {
        Some(pair) => {
            let id = next_key(world, place, &pair.key_id, at)?;
            let key = world.keys.get(&id)?;
            fields.insert(pair.secret_field, Value::String(key.secret.clone()));
            fields.insert(pair.id_field, Value::String(id));
            ready = at.holds_at();
        }
        None => {
            fields.insert("password".to_owned(), Value::String(random));
        }
    }
    Some(Made { value: SecretValue::Text(Value::Object(fields).to_string().into()), ready })
}

/// A new key of the user that has `key_id`. Where the user has two, the one that this secret held
/// before goes; a key that it never held is not touched, and then there can be no new one.
fn next_key(world: &mut World, place: &Place, key_id: &str, at: &Moment) -> Option<String> {
    let key = world.keys.get(key_id).filter(|key| key.account == place.account)?;
    let KeyOwner::User(owner) = key.owner.clone() else { return None };
    let before = object(world.secret(place)?, "AWSPREVIOUS").as_ref().and_then(pair_in);
    let user = world.account(&place.account).ok()?.users.with_id(&owner)?;
    if user.keys.len() >= 2 {
        let surplus = before?.key_id;
        if surplus == key_id || !user.keys.contains(&surplus) {
            return None;
        }
        world.keys.get_mut(&surplus)?.set_status(KeyStatus::Gone, at);
        let users = &mut world.account_mut(&place.account).ok()?.users;
        users.with_id_mut(&owner)?.keys.retain(|it| *it != surplus);
        note(world, place, "DeleteAccessKey", &surplus, at);
    }
    let id = world.make_key(&place.account, KeyOwner::User(owner.clone()), at);
    let users = &mut world.account_mut(&place.account).ok()?.users;
    users.with_id_mut(&owner)?.keys.push(id.clone());
    note(world, place, "CreateAccessKey", &id, at);
    Some(id)
}

/// Switches off the key that the secret hands out, which the new one is about to follow.
pub(super) fn switch_off_key(world: &mut World, place: &Place, at: &Moment) {
    let pair =
        world.secret(place).and_then(|it| object(it, "AWSCURRENT").as_ref().and_then(pair_in));
    let Some(Pair { key_id, .. }) = pair else { return };
    let Some(key) = world.keys.get_mut(&key_id) else { return };
    if key.account == place.account && *key.status.latest() == KeyStatus::Active {
        key.set_status(KeyStatus::Inactive, at);
        note(world, place, "UpdateAccessKey", &key_id, at);
    }
}

fn note(world: &mut World, place: &Place, operation: &str, key: &str, at: &Moment) {
    super::run::log(world, place, (Service::Iam, operation), key, at);
}

/// The JSON object that the labelled version holds.
fn object(secret: &Secret, label: &str) -> Option<Map<String, Value>> {
    let version = secret.content.versions.get(secret.content.labelled(label)?)?;
    match version.value.as_ref()? {
        SecretValue::Text(text) => serde_json::from_str(text).ok(),
        SecretValue::Binary(_) => None,
    }
}

/// Finds `access_key_id`, `AccessKeyId`, `AWS_ACCESS_KEY_ID`, … and the secret half that goes with
/// it.
fn pair_in(fields: &Map<String, Value>) -> Option<Pair> {
    let named = |wanted: &str| {
        fields.iter().find(|(name, _)| {
            let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            let letters = letters.to_ascii_lowercase();
            letters.strip_prefix("aws").unwrap_or(&letters) == wanted
        })
    };
    let (id_field, key_id) = named("accesskeyid")?;
    let (secret_field, _) = named("secretaccesskey")?;
    Some(Pair {
        id_field: id_field.clone(),
        secret_field: secret_field.clone(),
        key_id: key_id.as_str()?.to_owned(),
    })
}
