//! Time to revoke, by stages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// When a task passed each stage. A stage that it has not passed is absent, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Where the clock starts.
    pub noticed: DateTime<Utc>,
    /// The intake stored the event.
    pub received: DateTime<Utc>,
    /// The task was planned.
    pub planned: DateTime<Utc>,
    /// The provider accepted the last disabling call.
    pub accepted: Option<DateTime<Utc>>,
    /// The last way of using the credential was verified closed.
    pub verified: Option<DateTime<Utc>>,
}

impl Stages {
    /// Seconds from the notice to the verified end; `None` for a task that is not verified, which
    /// therefore never counts as done.
    pub fn time_to_revoke(&self) -> Option<f64> {
        self.verified.map(|end| seconds(self.noticed, end))
    }

    /// Seconds from the notice to each stage that was passed.
    pub fn since_notice(&self) -> Vec<(&'static str, f64)> {
        [
            ("received", Some(self.received)),
            ("planned", Some(self.planned)),
            ("accepted", self.accepted),
            ("verified", self.verified),
        ]
        .into_iter()
        .filter_map(|(name, at)| at.map(|at| (name, seconds(self.noticed, at))))
        .collect()
    }
}

/// Seconds between two moments, never negative: clocks of two machines may disagree a little.
fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64().max(0.0)
}

/// The nearest-rank percentile (`0 < q <= 100`) of values in any order; `None` of none.
pub fn percentile(values: &mut [f64], q: u32) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * q as usize).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unverified_task_has_no_time_to_revoke() {
        let at = |s| DateTime::from_timestamp(s, 0).unwrap();
        let mut stages = Stages {
            noticed: at(0),
            received: at(1),
            planned: at(2),
            accepted: Some(at(3)),
            verified: None,
        };
        assert_eq!(stages.time_to_revoke(), None);
        assert_eq!(stages.since_notice().len(), 3);
        stages.verified = Some(at(9));
        assert_eq!(stages.time_to_revoke(), Some(9.0));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 50), Some(50.0));
        assert_eq!(percentile(&mut values, 99), Some(99.0));
        assert_eq!(percentile(&mut values, 100), Some(100.0));
        assert_eq!(percentile(&mut [7.0], 50), Some(7.0));
        assert_eq!(percentile(&mut [], 50), None);
    }
}
