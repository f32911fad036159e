//! Rate limits: token buckets per account, or per account and operation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::published_rates;
use super::request::Service;

/// A limit on the rate of calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleRule {
    /// Only this account's calls; all accounts' (each on its own) when absent.
    #[serde(default)]
    pub account: Option<String>,
    /// Only this service's calls.
    #[serde(default)]
    pub service: Option<Service>,
    /// Only this operation's calls.
    #[serde(default)]
    pub operation: Option<String>,
    /// Only the calls of these operations, which share their bucket; all when empty.
    #[serde(default)]
    pub operations: Vec<String>,
    /// One bucket for each region, as the services have it that are regional.
    #[serde(default)]
    pub per_region: bool,
    /// One bucket for each operation, as AWS mostly has it, instead of one for them all.
    #[serde(default)]
    pub per_operation: bool,
    /// Calls a second.
    pub rate: f64,
    /// How many calls may come at once; at least 1.
    pub burst: f64,
    /// Access key ids whose calls are not counted.
    #[serde(default)]
    pub exempt_keys: Vec<String>,
}

impl ThrottleRule {
    /// `rate` calls a second for each account, whatever it calls.
    pub fn per_account(rate: f64, burst: f64) -> Self {
        Self {
            account: None,
            service: None,
            operation: None,
            operations: Vec::new(),
            per_region: false,
            per_operation: false,
            rate,
            burst,
            exempt_keys: Vec::new(),
        }
    }

    fn covers(&self, account: &str, key: &str, service: Service, operation: &str) -> bool {
        let named = self.operations.is_empty() || self.operations.iter().any(|it| it == operation);
        named
            && self.account.as_deref().is_none_or(|it| it == account)
            && self.service.is_none_or(|it| it == service)
            && self.operation.as_deref().is_none_or(|it| it == operation)
            && !self.exempt_keys.iter().any(|it| it == key)
    }
}

/// The rules and the state of their buckets.
#[derive(Debug, Default)]
pub(crate) struct Throttles(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rules: Vec<ThrottleRule>,
    published: Vec<ThrottleRule>,
    buckets: HashMap<(usize, String, String), Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Throttles {
    pub(crate) fn set(&self, rules: Vec<ThrottleRule>) {
        let mut inner = self.lock();
        inner.rules = rules;
        inner.buckets.clear();
    }

    /// Keeps Secrets Manager's published rates beside the other rules, or no longer does.
    pub(crate) fn keep_published(&self, keep: bool) {
        let mut inner = self.lock();
        inner.published = if keep { published_rates::rules() } else { Vec::new() };
        inner.buckets.clear();
    }

    pub(crate) fn keeps_published(&self) -> bool {
        !self.lock().published.is_empty()
    }

    /// Takes a token from every bucket that counts this call, or from none and says no.
    pub(crate) fn admit(
        &self,
        (account, region): (&str, &str),
        key: &str,
        service: Service,
        operation: &str,
        now: Instant,
    ) -> bool {
        let mut inner = self.lock();
        let Inner { rules, published, buckets } = &mut *inner;
        let mut wanted = Vec::new();
        for (place, rule) in rules.iter().chain(published.iter()).enumerate() {
            if !rule.covers(account, key, service, operation) {
                continue;
            }
            let name = if rule.per_operation { operation } else { "" };
            let region = if rule.per_region { region } else { "" };
            let place = (place, format!("{account}/{region}"), name.to_owned());
            let burst = rule.burst.max(1.0);
            let bucket = buckets
                .entry(place.clone())
                .or_insert_with(|| Bucket { tokens: burst, filled: now });
            let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
            bucket.tokens = (bucket.tokens + since * rule.rate).min(burst);
            bucket.filled = now;
            if bucket.tokens < 1.0 {
                return false;
            }
            wanted.push(place);
        }
        for place in wanted {
            if let Some(bucket) = buckets.get_mut(&place) {
                bucket.tokens -= 1.0;
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::clock::monotonic;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let throttles = Throttles::default();
        throttles.set(vec![ThrottleRule::per_account(10.0, 2.0)]);
        let start = monotonic();
        let admit =
            |account, at| throttles.admit((account, "r"), "AKIA", Service::Iam, "GetUser", at);
        assert!(admit("1", start));
        assert!(admit("1", start));
        assert!(!admit("1", start));
        assert!(admit("2", start), "another account has its own bucket");
        assert!(admit("1", start + Duration::from_millis(100)));
        assert!(!admit("1", start + Duration::from_millis(100)));
    }

    #[test]
    fn an_operation_has_its_own_bucket_where_the_rule_says_so() {
        let throttles = Throttles::default();
        let rule = ThrottleRule { per_operation: true, ..ThrottleRule::per_account(1.0, 1.0) };
        throttles.set(vec![ThrottleRule { exempt_keys: vec!["FREE".to_owned()], ..rule }]);
        let now = monotonic();
        let admit = |key, operation| throttles.admit(("1", "r"), key, Service::Iam, operation, now);
        assert!(admit("K", "GetUser"));
        assert!(admit("K", "ListUsers"));
        assert!(!admit("K", "GetUser"));
        assert!(admit("FREE", "GetUser"));
    }
}
