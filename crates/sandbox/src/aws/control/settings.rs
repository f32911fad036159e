//! What may be changed while the sandbox runs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Controls;
use crate::aws::server::Shared;
use crate::aws::state::world::bounded;
use crate::aws::throttle::ThrottleRule;

/// The sandbox's settings. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a change takes to hold.
    pub spread_delay_ms: i64,
    /// How long a change to a secret takes to arrive in its replicas.
    pub replica_delay_ms: i64,
    /// Whether Secrets Manager's published rates are kept.
    pub published_rates: bool,
    /// The largest page of a listing.
    pub page_size: usize,
    /// How long each call takes before it is looked at.
    pub latency_ms: u64,
    /// Regions whose credential scope is accepted.
    pub regions: Vec<String>,
    /// How far the sandbox's clock is ahead of the machine's.
    pub clock_offset_ms: i64,
}

/// The settings to change; absent ones stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// How long a change takes to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_delay_ms: Option<u64>,
    /// How long a change to a secret takes to arrive in its replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_delay_ms: Option<u64>,
    /// Whether Secrets Manager's published rates are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_rates: Option<bool>,
    /// The largest page of a listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
    /// How long each call takes before it is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Regions whose credential scope is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// How far the sandbox's clock is ahead of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// All rate limits; an empty list lifts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttles: Option<Vec<ThrottleRule>>,
}

pub(super) async fn show(State(shared): Controls) -> Json<Settings> {
    Json(read(&shared))
}

pub(super) async fn change(
    State(shared): Controls,
    Json(patch): Json<SettingsPatch>,
) -> Json<Settings> {
    {
        let mut world = shared.world();
        let settings = &mut world.settings;
        if let Some(delay) = patch.spread_delay_ms {
            settings.spread_delay = bounded(Duration::from_millis(delay));
        }
        if let Some(delay) = patch.replica_delay_ms {
            settings.replica_delay = bounded(Duration::from_millis(delay));
        }
        if let Some(size) = patch.page_size {
            settings.page_size = size.max(1);
        }
        if let Some(regions) = patch.regions {
            settings.regions = regions;
        }
    }
    if let Some(latency) = patch.latency_ms {
        shared.set_latency(Duration::from_millis(latency));
    }
    if let Some(offset) = patch.clock_offset_ms.and_then(TimeDelta::try_milliseconds) {
        shared.clock.set_offset(offset);
    }
    if let Some(rules) = patch.throttles {
        shared.throttles.set(rules);
    }
    if let Some(keep) = patch.published_rates {
        shared.throttles.keep_published(keep);
    }
    Json(read(&shared))
}

fn read(shared: &Shared) -> Settings {
    let settings = shared.world().settings.clone();
    Settings {
        spread_delay_ms: settings.spread_delay.num_milliseconds(),
        replica_delay_ms: settings.replica_delay.num_milliseconds(),
        published_rates: shared.throttles.keeps_published(),
        page_size: settings.page_size,
        latency_ms: u64::try_from(shared.latency().as_millis()).unwrap_or(u64::MAX),
        regions: settings.regions,
        clock_offset_ms: shared.clock.offset().num_milliseconds(),
    }
}
