//! Rotation by age: which secrets are to be rotated because they are older than their zone allows, and at
//! which moment of the day. Nothing is remembered: what is asked, and under which id, follows from the
//! secret and the clock alone, so that a restart asks for nothing twice and leaves nothing out.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::event::{Attributes, Cause, Event, Malformed, ROTATION_TYPE, parse};
use crate::ids::AccountId;
use crate::task::Mode;

/// CloudEvents `source` of the rotations that Severance asks for itself.
pub const SOURCE: &str = "/severance/policy";

/// Names of the strategies that an age can be allowed by.
pub const STRATEGIES: [&str; 4] = ["iam-access-key", "managed", "database", "webhook"];

const DAY: TimeDelta = TimeDelta::days(1);

/// How old something may become. The order is from strict to lenient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// So old.
    Age(TimeDelta),
    /// It is never too old.
    #[default]
    Never,
}

/// How old the secrets of a zone may become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaxAge {
    /// Where neither of the others says.
    pub default: Limit,
    /// By tier, compared without case.
    pub by_tier: BTreeMap<String, Limit>,
    /// By the name of the strategy.
    pub by_strategy: BTreeMap<String, Limit>,
}

impl MaxAge {
    /// How old a secret may become: the stricter of what its tier and its strategy say, else the default.
    pub fn of(&self, tier: Option<&str>, strategy: &str) -> Limit {
        let of_tier = tier.and_then(|tier| {
            let mut known = self.by_tier.iter();
            known.find(|(name, _)| name.eq_ignore_ascii_case(tier)).map(|(_, limit)| *limit)
        });
        let of_strategy = self.by_strategy.get(strategy).copied();
        of_tier.into_iter().chain(of_strategy).min().unwrap_or(self.default)
    }

    /// Whether no secret is ever too old.
    pub fn is_never(&self) -> bool {
        let mut all = self.by_tier.values().chain(self.by_strategy.values());
        self.default == Limit::Never && all.all(|limit| *limit == Limit::Never)
    }
}

/// What its age is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgingSecret {
    /// Its ARN.
    pub arn: String,
    /// The account that holds it.
    pub account: AccountId,
    /// The name of its strategy; `None` where nobody said, or what it says is not known: nobody could
    /// rotate it.
    pub strategy: Option<&'static str>,
    /// Its tier.
    pub tier: Option<String>,
    /// When its current version was stored, else when the secret was made.
    pub stored_at: DateTime<Utc>,
    /// Whether its zone lets anything be changed.
    pub mode: Mode,
    /// Whether it is scheduled for deletion.
    pub deleted: bool,
}

/// The moment in `(from, to]` at which a secret is to be asked to be rotated, if there is one.
///
/// Each day has one such moment for each secret, another one every day: derived from its ARN and the
/// date, so that a policy that thousands of secrets fall under at once spreads them over the day, and a
/// worker that is down at the same hours every night still comes by. A secret is asked for from two days
/// before it is too old (a quarter of its age at most), so that it is asked for in time.
pub fn due(
    secret: &AgingSecret,
    max_age: &MaxAge,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let strategy = secret.strategy.filter(|_| !secret.deleted)?;
    let Limit::Age(limit) = max_age.of(secret.tier.as_deref(), strategy) else { return None };
    let ripe = secret.stored_at.checked_add_signed(limit - (DAY * 2).min(limit / 4))?;
    // No further back than a day: what was missed for longer has another moment today.
    let from = from.max(to - DAY);
    let (first, last) = (from.date_naive(), to.date_naive());
    let mut moments = [first, last].into_iter().map(|day| moment(&secret.arn, day));
    moments.find(|at| *at > from && *at <= to && *at >= ripe)
}

/// A secret's moment of a day.
fn moment(arn: &str, day: NaiveDate) -> DateTime<Utc> {
    let mut hash = Sha256::new();
    hash.update(arn.as_bytes());
    hash.update([0]);
    hash.update(day.to_string().as_bytes());
    let digest = hash.finalize();
    let number = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let second = i64::try_from(number % 86_400).unwrap_or_default();
    day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::seconds(second)
}

/// The event that asks for a secret's rotation. Its id is derived from the secret and the version that is
/// too old, so that the ledger drops it where it was asked for before: a version is rotated once, whenever
/// and by how many workers that is found. Where the zone only observed, it is asked for again once the
/// zone enforces.
///
/// # Errors
/// [`Malformed`] where the secret's ARN or account is none.
pub fn event(secret: &AgingSecret) -> Result<Event, Malformed> {
    let attributes = Attributes {
        specversion: Some("1.0".to_owned()),
        event_type: Some(ROTATION_TYPE.to_owned()),
        source: Some(SOURCE.to_owned()),
        id: Some(id(secret)),
        // The record's: with a time of its own, the same event would not be the same every day.
        time: None,
    };
    parse(&attributes, data(secret).to_string().as_bytes(), &[ROTATION_TYPE])
}

/// What the event says, as it would stand on the topic.
pub fn data(secret: &AgingSecret) -> serde_json::Value {
    json!({
        "credentials": [{ "secret": secret.arn, "account": secret.account }],
        "cause": Cause::Policy.as_str(),
    })
}

fn id(secret: &AgingSecret) -> String {
    let mode = match secret.mode {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
    };
    let stored = secret.stored_at.timestamp_micros();
    let hash = Sha256::digest(format!("{}\0{stored}\0{mode}", secret.arn));
    format!("age-{}", hex::encode(&hash[..16]))
}

#[cfg(test)]
mod tests;
