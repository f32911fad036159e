//! An account's secrets, by name and by age.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Secret;

/// The secrets of all regions of an account.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// By region and name.
    by_name: BTreeMap<(String, String), Secret>,
    /// Region, microseconds since 1970 and name: the order in which they are listed.
    by_age: BTreeSet<(String, i64, String)>,
}

impl Secrets {
    pub(crate) fn get(&self, region: &str, name: &str) -> Option<&Secret> {
        self.by_name.get(&(region.to_owned(), name.to_owned()))
    }

    pub(crate) fn get_mut(&mut self, region: &str, name: &str) -> Option<&mut Secret> {
        self.by_name.get_mut(&(region.to_owned(), name.to_owned()))
    }

    /// Puts a secret in its place, where there must be none.
    pub(crate) fn insert(&mut self, secret: Secret) {
        self.by_age.insert(age(&secret));
        self.by_name.insert((secret.region.clone(), secret.name.clone()), secret);
    }

    pub(crate) fn remove(&mut self, region: &str, name: &str) -> Option<Secret> {
        let secret = self.by_name.remove(&(region.to_owned(), name.to_owned()))?;
        self.by_age.remove(&age(&secret));
        Some(secret)
    }

    /// A region's secrets from the oldest to the newest, those after `after` (age and name).
    pub(crate) fn by_age<'a>(
        &'a self,
        region: &'a str,
        after: Option<(i64, String)>,
    ) -> impl Iterator<Item = &'a Secret> {
        let from = match after {
            Some((age, name)) => Bound::Excluded((region.to_owned(), age, name)),
            None => Bound::Included((region.to_owned(), i64::MIN, String::new())),
        };
        let keys = self.by_age.range((from, Bound::Unbounded));
        keys.take_while(move |(it, _, _)| it == region)
            .filter_map(|(region, _, name)| self.get(region, name))
    }
}

fn age(secret: &Secret) -> (String, i64, String) {
    (secret.region.clone(), secret.created.timestamp_micros(), secret.name.clone())
}
