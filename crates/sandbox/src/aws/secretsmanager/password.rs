//! `GetRandomPassword`.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

use super::SmCall;
use super::input::invalid;
use crate::aws::error::AwsError;

const USUAL_LENGTH: i64 = 32;
const LONGEST: i64 = 4_096;
const MOST_EXCLUDED: usize = 4_096;

/// The kinds of characters, and the option that leaves each out.
const KINDS: [(&str, &str); 4] = [
    ("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"),
    ("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("ExcludeNumbers", "0123456789"),
    ("ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
];

pub(super) fn get(call: &mut SmCall<'_>) -> Result<Value, AwsError> {
    call.permit_on("*")?;
    let length = call.input.integer("PasswordLength")?.unwrap_or(USUAL_LENGTH);
    if !(1..=LONGEST).contains(&length) {
        return Err(invalid(format!("PasswordLength must be between 1 and {LONGEST}")));
    }
    let length = usize::try_from(length).unwrap_or(1);
    let kinds = kinds(call)?;
    if kinds.is_empty() {
        return Err(invalid("You excluded every character that a password could have"));
    }
    let each = call.input.flag("RequireEachIncludedType")?.unwrap_or(true);
    if each && kinds.len() > length {
        return Err(invalid(
            "The password length is too short to have a character of each required type",
        ));
    }
    let password = draw(&mut call.world.rng, &kinds, length, each);
    Ok(json!({ "RandomPassword": password }))
}

/// The characters of each kind that may be used; kinds without any are left out.
fn kinds(call: &SmCall<'_>) -> Result<Vec<Vec<char>>, AwsError> {
    let excluded = call.input.text("ExcludeCharacters")?.unwrap_or_default();
    if excluded.chars().count() > MOST_EXCLUDED {
        return Err(invalid(format!(
            "ExcludeCharacters must have at most {MOST_EXCLUDED} characters"
        )));
    }
    let mut kinds = Vec::new();
    for (option, characters) in KINDS {
        if !call.input.flag(option)?.unwrap_or(false) {
            kinds.push(characters.chars().filter(|it| !excluded.contains(*it)).collect());
        }
    }
    if call.input.flag("IncludeSpace")?.unwrap_or(false) && !excluded.contains(' ') {
        kinds.push(vec![' ']);
    }
    kinds.retain(|characters: &Vec<char>| !characters.is_empty());
    Ok(kinds)
}

fn draw(rng: &mut StdRng, kinds: &[Vec<char>], length: usize, each: bool) -> String {
    let all: Vec<char> = kinds.concat();
    let mut password: Vec<char> = Vec::with_capacity(length);
    if each {
        password.extend(kinds.iter().filter_map(|characters| characters.choose(rng)));
    }
    while password.len() < length {
        password.push(all[rng.random_range(0..all.len())]);
    }
    password.shuffle(rng);
    password.into_iter().collect()
}
