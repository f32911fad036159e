//! Faults on demand: what a network and a provider do on a bad day.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::request::Service;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// HTTP 500; nothing was done.
    InternalError,
    /// HTTP 503; nothing was done.
    Unavailable,
    /// The service's throttling error; nothing was done.
    Throttle,
    /// The connection is closed without an answer; nothing was done.
    Refuse,
    /// No answer ever comes; nothing was done.
    Hang,
    /// The call goes on after this time (milliseconds).
    Delay {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// The call is carried out, and then the connection is closed without an answer.
    AppliedUnanswered,
    /// The call is carried out, and then no answer ever comes.
    AppliedHang,
}

/// A fault, which calls it strikes, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only calls signed with a key of this account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only calls of this service.
    #[serde(default)]
    pub service: Option<Service>,
    /// Only this operation.
    #[serde(default)]
    pub operation: Option<String>,
    /// Only calls signed with this key.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// Calls that match and are let through before the fault strikes for the first time.
    #[serde(default)]
    pub skip: u64,
    /// How many calls are struck; every one when absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// The chance that a call that matches is struck; 1 when absent.
    #[serde(default)]
    pub probability: Option<f64>,
}

impl FaultRule {
    /// Strikes every call until it is narrowed.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            account: None,
            service: None,
            operation: None,
            access_key_id: None,
            skip: 0,
            count: None,
            probability: None,
        }
    }

    /// Only this operation.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only calls by keys of this account.
    #[must_use]
    pub fn in_account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Only the next `count` calls that match.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    fn covers(&self, call: &Struck<'_>) -> bool {
        self.account.as_deref().is_none_or(|it| Some(it) == call.account)
            && self.service.is_none_or(|it| it == call.service)
            && self.operation.as_deref().is_none_or(|it| it == call.operation)
            && self.access_key_id.as_deref().is_none_or(|it| it == call.key)
    }
}

/// A call that a fault may strike.
pub(crate) struct Struck<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) service: Service,
    pub(crate) operation: &'a str,
    pub(crate) key: &'a str,
}

/// What happens to one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<Fault>,
}

/// A rule as it stands, with how many calls it has struck.
#[derive(Debug, Clone, Serialize)]
pub struct FaultStatus {
    /// Names the rule, for [`Faults::remove`].
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// How many calls it has struck.
    pub struck: u64,
}

/// The faults in force, in the order in which they were added. Delays add up; of the others the
/// first that strikes a call decides.
#[derive(Debug)]
pub struct Faults(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    rules: Vec<FaultStatus>,
    next_id: u64,
    rng: StdRng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Inner { rules: Vec::new(), next_id: 1, rng: StdRng::seed_from_u64(seed) }))
    }

    /// Puts a fault in force and returns its id.
    pub fn add(&self, rule: FaultRule) -> u64 {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        inner.rules.push(FaultStatus { id, rule, struck: 0 });
        id
    }

    /// Takes a fault out of force; says whether it was there.
    pub fn remove(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.rules.len();
        inner.rules.retain(|it| it.id != id);
        inner.rules.len() < before
    }

    /// Takes all faults out of force.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// The faults in force (those that have run out included).
    pub fn list(&self) -> Vec<FaultStatus> {
        self.lock().rules.clone()
    }

    /// How many calls the rule has struck, if it is in force.
    pub fn struck(&self, id: u64) -> Option<u64> {
        self.lock().rules.iter().find(|it| it.id == id).map(|it| it.struck)
    }

    pub(crate) fn plan(&self, call: &Struck<'_>) -> Plan {
        let mut inner = self.lock();
        let Inner { rules, rng, .. } = &mut *inner;
        let mut plan = Plan::default();
        for status in rules.iter_mut().filter(|status| status.rule.covers(call)) {
            let delays = matches!(status.rule.fault, Fault::Delay { .. });
            if (plan.fault.is_some() && !delays) || !status.strikes(rng) {
                continue;
            }
            match status.rule.fault {
                Fault::Delay { millis } => plan.delay += Duration::from_millis(millis),
                fault => plan.fault = Some(fault),
            }
        }
        plan
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultStatus {
    fn strikes(&mut self, rng: &mut StdRng) -> bool {
        if self.rule.count.is_some_and(|count| self.struck >= count) {
            return false;
        }
        if self.rule.skip > 0 {
            self.rule.skip -= 1;
            return false;
        }
        let lucky = self.rule.probability.is_some_and(|chance| rng.random::<f64>() >= chance);
        self.struck += u64::from(!lucky);
        !lucky
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: &Faults, operation: &str) -> Plan {
        let service = Service::Iam;
        faults.plan(&Struck { account: Some("1"), service, operation, key: "AKIA" })
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says_and_only_where_it_says() {
        let faults = Faults::new(1);
        let id =
            faults.add(FaultRule { skip: 1, ..FaultRule::new(Fault::Refuse).on("A").times(2) });
        assert_eq!(plan(&faults, "B").fault, None);
        let struck: Vec<_> = (0..4).map(|_| plan(&faults, "A").fault.is_some()).collect();
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(faults.struck(id), Some(2));
    }

    #[test]
    fn delays_add_to_the_fault_that_follows_them() {
        let faults = Faults::new(1);
        faults.add(FaultRule::new(Fault::Delay { millis: 10 }));
        faults.add(FaultRule::new(Fault::Hang).in_account("1"));
        faults.add(FaultRule::new(Fault::Delay { millis: 5 }));
        let expected = Plan { delay: Duration::from_millis(15), fault: Some(Fault::Hang) };
        assert_eq!(plan(&faults, "A"), expected);
        faults.clear();
        assert_eq!(plan(&faults, "A"), Plan::default());
    }

    #[test]
    fn a_chance_of_a_half_strikes_some_and_spares_some() {
        let faults = Faults::new(7);
        let rule = FaultRule { probability: Some(0.5), ..FaultRule::new(Fault::Throttle) };
        let id = faults.add(rule);
        for _ in 0..1000 {
            plan(&faults, "A");
        }
        let struck = faults.struck(id).unwrap();
        assert!((400..600).contains(&struck), "{struck}");
    }
}
