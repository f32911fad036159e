use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::event::{Payload, SelectorTarget};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn secret(number: u32) -> AgingSecret {
    AgingSecret {
        arn: format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:acme/{number}-AbCdEf"),
        account: "111122223333".into(),
        strategy: Some("database"),
        tier: Some("Critical".into()),
        stored_at: at(0),
        mode: Mode::Enforce,
        deleted: false,
    }
}

fn days(number: i64) -> TimeDelta {
    TimeDelta::days(number)
}

fn everything(limit: TimeDelta) -> MaxAge {
    MaxAge { default: Limit::Age(limit), ..MaxAge::default() }
}

/// When passes that come by so often, one after the other, ask for a secret: at first.
fn first(secret: &AgingSecret, ages: &MaxAge, every: TimeDelta) -> Option<DateTime<Utc>> {
    let passes = (days(60).num_seconds() / every.num_seconds()).try_into().unwrap_or(i32::MAX);
    (0..passes).find_map(|n| due(secret, ages, at(0) + every * n, at(0) + every * (n + 1)))
}

#[test]
fn the_stricter_of_tier_and_strategy_holds_and_else_the_default() {
    let table = |pairs: &[(&str, Limit)]| {
        pairs.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect()
    };
    let ages = MaxAge {
        default: Limit::Age(days(90)),
        by_tier: table(&[("critical", Limit::Age(days(30))), ("low", Limit::Never)]),
        by_strategy: table(&[("webhook", Limit::Age(days(14))), ("managed", Limit::Never)]),
    };
    for (tier, strategy, limit) in [
        (None, "database", Limit::Age(days(90))),
        (Some("CRITICAL"), "database", Limit::Age(days(30))),
        (Some("critical"), "webhook", Limit::Age(days(14))),
        (Some("critical"), "managed", Limit::Age(days(30))),
        (None, "managed", Limit::Never),
        (Some("low"), "database", Limit::Never),
        (Some("other"), "iam-access-key", Limit::Age(days(90))),
    ] {
        assert_eq!(ages.of(tier, strategy), limit, "{tier:?} {strategy}");
    }
    assert!(!ages.is_never() && MaxAge::default().is_never());
}

#[test]
fn what_nobody_limits_or_could_rotate_is_never_due() {
    let (ages, all) = (everything(days(2)), days(1));
    assert!(first(&secret(1), &ages, all).is_some());
    assert_eq!(first(&secret(1), &MaxAge::default(), all), None);
    assert_eq!(first(&AgingSecret { strategy: None, ..secret(1) }, &ages, all), None);
    assert_eq!(first(&AgingSecret { deleted: true, ..secret(1) }, &ages, all), None);
}

#[test]
fn a_policy_that_falls_on_many_at_once_spreads_them_over_the_day() {
    // All of them are too old already, and the worker begins to look.
    let (ages, now) = (everything(days(30)), at(0) + days(300));
    let mut by_hour = [0; 24];
    for number in 0..2_400 {
        let Some(found) = due(&secret(number), &ages, now, now + DAY) else { continue };
        if let Some(count) = by_hour.get_mut(usize::try_from((found - now).num_hours()).unwrap()) {
            *count += 1;
        }
    }
    // A hundred an hour at most, on average: a day that begins at noon holds no moment of some of them.
    assert!(by_hour.iter().sum::<usize>() > 1_200, "{by_hour:?}");
    assert!(by_hour.iter().all(|count| *count < 200), "{by_hour:?}");
}

#[test]
fn the_event_names_the_secret_and_nothing_else_and_is_the_same_until_it_was_rotated() {
    let asked = event(&secret(1)).unwrap();
    let Payload::Rotation(rotation) = &asked.payload else { panic!("{asked:?}") };
    assert_eq!((rotation.cause, rotation.grace, rotation.not_before), (Cause::Policy, None, None));
    let [selector] = &rotation.credentials[..] else { panic!("{rotation:?}") };
    assert_eq!(selector.target, SelectorTarget::Secret(secret(1).arn));
    assert_eq!(selector.account, Some(secret(1).account));
    assert_eq!(asked, event(&secret(1)).unwrap());
    let others = [
        secret(2),
        AgingSecret { stored_at: at(1), ..secret(1) },
        AgingSecret { mode: Mode::Observe, ..secret(1) },
    ];
    let ids: BTreeSet<_> = others.iter().map(|it| event(it).unwrap().key.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(!ids.contains(&asked.key.id));
    // What only changes how soon it is asked for does not ask twice.
    let sooner = AgingSecret { tier: None, ..secret(1) };
    assert_eq!(event(&sooner).unwrap(), asked);
    assert!(event(&AgingSecret { account: "1".into(), ..secret(1) }).is_err());
}

proptest! {
    #[test]
    fn each_is_asked_for_in_time_whatever_the_rhythm_of_the_passes(
        number in 0_u32..10_000,
        limit in 8_i64..40,
        minutes in 1_i64..1_440,
    ) {
        let asked = first(&secret(number), &everything(days(limit)), TimeDelta::minutes(minutes));
        let asked = asked.expect("it is asked for");
        let age = asked - at(0);
        prop_assert!(age >= days(limit) - days(2) && age <= days(limit), "{age}");
    }

    #[test]
    fn a_moment_is_found_by_one_pass_alone(
        number in 0_u32..10_000,
        cut in 1_i64..86_400,
    ) {
        let (ages, from) = (everything(days(30)), at(0) + days(100));
        let (middle, to) = (from + TimeDelta::seconds(cut), from + DAY);
        let whole = due(&secret(number), &ages, from, to);
        let halves =
            [due(&secret(number), &ages, from, middle), due(&secret(number), &ages, middle, to)];
        prop_assert_eq!(whole, halves[0].or(halves[1]));
    }

    #[test]
    fn whatever_was_missed_there_is_another_moment_within_two_days(
        number in 0_u32..10_000,
        start in 0_i64..864_000,
    ) {
        let (ages, from) = (everything(days(30)), at(start) + days(100));
        let asked = [0, 1].iter().any(|day| {
            due(&secret(number), &ages, from + days(*day), from + days(day + 1)).is_some()
        });
        prop_assert!(asked);
    }
}
