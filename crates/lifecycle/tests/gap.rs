//! The gap of a rotation, in its times and in its outcome.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use severance_lifecycle::rotation::{RotationRecord, RotationTimes};
use severance_lifecycle::secret::Issuer;

const ONE_USER: Issuer = Issuer::Database { alternating: false };

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// Told to its issuer at 10, handed out at 14, in step at 20, the old one dead at 90.
fn record() -> RotationRecord {
    RotationRecord {
        set: BTreeMap::from([("spoilt".to_owned(), at(3)), ("new".to_owned(), at(10))]),
        new: Some("new".to_owned()),
        promoted_at: Some(at(14)),
        in_step_at: Some(at(20)),
        old_dead_at: Some(at(90)),
        ..RotationRecord::default()
    }
}

fn gap(record: &RotationRecord, issuer: &Issuer) -> Option<f64> {
    record.times(issuer, at(0)).unwrap().gap
}

#[test]
fn one_database_user_has_a_gap_from_the_new_password_until_it_is_handed_out() {
    let times = record().times(&ONE_USER, at(0));
    let expected = RotationTimes { time_to_rotate: 20.0, overlap: Some(76.0), gap: Some(4.0) };
    assert_eq!(times, Some(expected));
}

#[test]
fn two_users_in_turns_webhooks_and_functions_have_none() {
    let webhook = Issuer::Webhook { name: "billing".into() };
    for issuer in [Issuer::Database { alternating: true }, webhook, Issuer::Managed] {
        assert_eq!(gap(&record(), &issuer), None, "{issuer:?}");
    }
}

#[test]
fn a_gap_needs_both_its_ends_and_is_never_negative() {
    let mut other = record();
    other.set.remove("new");
    assert_eq!(gap(&other, &ONE_USER), None);
    let mut other = record();
    other.promoted_at = None;
    assert_eq!(other.times(&ONE_USER, at(0)), None);
    let mut other = record();
    other.set.insert("new".to_owned(), at(15));
    assert_eq!(gap(&other, &ONE_USER), Some(0.0));
}
