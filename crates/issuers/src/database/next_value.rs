//! The value after this one: the same text with another password and, where two users take turns,
//! the other user.

use severance_engine::fields::Fields;
use severance_engine::ports::SecretValue;

use super::value::{DatabaseValue, LONGEST_NAME, ValueError};

/// What AWS's template for alternating users appends to the second one's name.
const CLONE: &str = "_clone";

/// How a secret's login is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationMode {
    /// One user gets another password. Between setting and promoting it there is a gap in which
    /// readers of `AWSCURRENT` are refused.
    SingleUser,
    /// `app` and `app_clone` take turns, so that the one in use is never changed.
    AlternatingUsers,
}

/// The value to store as `AWSPENDING`. Every field but `password` (and `username` for alternating
/// users) is kept as it is written, also unknown ones, in the same order.
///
/// # Errors
/// Where `current` is not what the strategy needs, or the other user's name would be too long.
pub fn next_value(
    current: &SecretValue,
    mode: RotationMode,
    password: &SecretValue,
) -> Result<SecretValue, ValueError> {
    let parsed = DatabaseValue::parse(current)?;
    let username = match mode {
        RotationMode::SingleUser => None,
        RotationMode::AlternatingUsers => Some(other_user(parsed.username())?),
    };
    Ok(Fields::of(current)?.replaced(|name| match name {
        "password" => Some(password.reveal()),
        "username" => username.as_deref(),
        _ => None,
    }))
}

/// The user that takes turns with this one: `app_clone` for `app`, and the other way round.
pub(super) fn other_user(username: &str) -> Result<String, ValueError> {
    if let Some(original) = username.strip_suffix(CLONE).filter(|name| !name.is_empty()) {
        return Ok(original.to_owned());
    }
    if username.len() + CLONE.len() > LONGEST_NAME {
        let problem = "longer than 63 bytes with _clone appended";
        return Err(ValueError::Unusable { field: "username", problem });
    }
    Ok(format!("{username}{CLONE}"))
}

/// Whether this user is the copy of the two.
pub(super) fn is_clone(username: &str) -> bool {
    username.strip_suffix(CLONE).is_some_and(|original| !original.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str = r#"{
        "zeta": [1.50, {"b":1,"a":2}], "engine": "postgres", "host": "db", "username": "app",
        "password": "old", "password_hint": "no \u00fc", "masterarn": "arn:aws:x", "port": 5432 }"#;

    fn next(current: &str, mode: RotationMode, password: &str) -> Result<String, ValueError> {
        let value = |text: &str| SecretValue::new(text.to_owned());
        let next = next_value(&value(current), mode, &value(password))?;
        Ok(next.reveal().to_owned())
    }

    #[test]
    fn only_the_password_changes_and_the_order_stays() {
        let expected = concat!(
            r#"{"zeta":[1.50, {"b":1,"a":2}],"engine":"postgres","host":"db","username":"app","#,
            r#""password":"new","password_hint":"no \u00fc","masterarn":"arn:aws:x","port":5432}"#
        );
        assert_eq!(next(CURRENT, RotationMode::SingleUser, "new").unwrap(), expected);
    }

    #[test]
    fn two_users_take_turns() {
        let second = next(CURRENT, RotationMode::AlternatingUsers, "two").unwrap();
        assert!(second.contains(r#""username":"app_clone","password":"two""#), "{second}");
        let third = next(&second, RotationMode::AlternatingUsers, "three").unwrap();
        assert!(third.contains(r#""username":"app","password":"three""#), "{third}");
    }

    #[test]
    fn any_password_comes_back_as_it_was() {
        let odd = "\" \\ \u{1f} \u{1}\n ü 🦀 </";
        let written = next(CURRENT, RotationMode::SingleUser, odd).unwrap();
        let read = DatabaseValue::parse(&SecretValue::new(written)).unwrap();
        assert_eq!(read.password().reveal(), odd);
    }

    #[test]
    fn a_name_that_has_no_room_for_its_clone_is_refused() {
        let long = CURRENT.replace("\"app\"", &format!("\"{}\"", "a".repeat(58)));
        let refused = next(&long, RotationMode::AlternatingUsers, "x").unwrap_err();
        let expected = "username: longer than 63 bytes with _clone appended";
        assert_eq!(refused.to_string(), expected);
        assert!(next(&long, RotationMode::SingleUser, "x").is_ok());
    }

    #[test]
    fn a_user_called_clone_alone_is_not_the_copy_of_nobody() {
        assert_eq!(other_user("_clone").unwrap(), "_clone_clone");
        assert!(!is_clone("_clone") && is_clone("app_clone") && !is_clone("app"));
    }

    #[test]
    fn a_bad_value_has_no_next() {
        let refused = next(r#"{"engine":"mysql"}"#, RotationMode::SingleUser, "x").unwrap_err();
        assert_eq!(refused.to_string(), "engine: mysql is not supported");
    }
}
