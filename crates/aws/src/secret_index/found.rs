//! What a search of secrets found.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

/// What secrets were found to hold.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) places: HashMap<String, Place>,
    /// What was read in values, by secret, with the change that it was read at.
    pub(super) read: HashMap<String, (i64, Contents)>,
}

/// What a secret's current version was found to hold: names, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) key_id: Option<String>,
    pub(super) login: Option<String>,
    /// When the version was stored.
    pub(super) stored: Option<DateTime<Utc>>,
}

/// Where a key's secret half is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The secret.
    pub(crate) arn: String,
    /// Which of the account's regions it is in.
    pub(crate) region: usize,
    /// When it last changed, in seconds: what was found unusable may be good after a change.
    pub(super) changed: i64,
    /// What it holds cannot be read or is wrong.
    pub(super) unusable: bool,
}

impl Found {
    /// Keeps what was known of a region, beside what is found.
    pub(super) fn keep(&mut self, before: &Self, region: usize) {
        for (id, place) in before.places.iter().filter(|(_, place)| place.region == region) {
            self.places.entry(id.clone()).or_insert_with(|| place.clone());
        }
        for (arn, read) in &before.read {
            self.read.entry(arn.clone()).or_insert_with(|| read.clone());
        }
    }
}

impl Place {
    pub(super) fn new(arn: &str, region: usize, changed: i64) -> Self {
        Self { arn: arn.to_owned(), region, changed, unusable: false }
    }
}
