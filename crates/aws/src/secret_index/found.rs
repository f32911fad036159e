//! What a search of secrets found.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::listed::State;

/// What secrets were found to hold.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) places: Places,
    /// What was read in values, by secret, with the state that it was read in.
    pub(super) read: HashMap<String, (State, Contents)>,
}

/// Where keys are: all places of each, since one that a secret stops handing out another may hand out still.
#[derive(Clone, Default)]
pub(super) struct Places(HashMap<String, Vec<Place>>);

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
    /// What was found unusable in it may be good after a change.
    pub(super) state: State,
    /// What it holds cannot be read or is wrong.
    pub(super) unusable: bool,
}

impl Found {
    /// Keeps what was known of a region, beside what is found.
    pub(super) fn keep(&mut self, before: &Self, region: usize) {
        let there = |place: &&Place| place.region == region;
        for (id, places) in &before.places.0 {
            for place in places.iter().filter(there) {
                self.places.add(id, place.clone());
            }
        }
        for (arn, read) in &before.read {
            self.read.entry(arn.clone()).or_insert_with(|| read.clone());
        }
    }
}

impl Places {
    pub(super) fn of(&self, key_id: &str) -> &[Place] {
        self.0.get(key_id).map_or(&[], Vec::as_slice)
    }

    /// Adds a place; a secret is one place, however often it is found.
    pub(super) fn add(&mut self, key_id: &str, place: Place) {
        let places = self.0.entry(key_id.to_owned()).or_default();
        if places.iter().all(|known| known.arn != place.arn) {
            places.push(place);
        }
    }

    /// What the secret holds cannot be read or is wrong.
    pub(super) fn is_unusable(&mut self, key_id: &str, arn: &str) {
        let places = self.0.get_mut(key_id).into_iter().flatten();
        places.filter(|place| place.arn == arn).for_each(|place| place.unusable = true);
    }

    /// What was unusable is so until its secret changes.
    pub(super) fn stay_unusable(&mut self, before: &Self) {
        for (id, places) in &mut self.0 {
            for place in places {
                let same = |old: &&Place| old.arn == place.arn && old.state == place.state;
                place.unusable = before.of(id).iter().find(same).is_some_and(|old| old.unusable);
            }
        }
    }
}

impl Place {
    pub(super) fn new(arn: &str, region: usize, state: State) -> Self {
        Self { arn: arn.to_owned(), region, state, unusable: false }
    }
}
