//! Values that change at once for whoever reads them back, and later for whoever is held to them.
//!
//! AWS: IAM User Guide, "Changes that I make are not always immediately visible". The control
//! plane (`ListAccessKeys`, `GetUserPolicy`) shows a change immediately; authentication and
//! authorisation follow after a delay.

use chrono::{DateTime, TimeDelta, Utc};

/// The moment of a call, with what decides which changes hold by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: DateTime<Utc>,
    /// How long a change made now takes to hold.
    pub(crate) delay: TimeDelta,
    /// Changes made up to here hold, whatever their delay was.
    pub(crate) settled_until: DateTime<Utc>,
}

impl Moment {
    /// When a change made at this moment will hold.
    pub(crate) fn holds_at(&self) -> DateTime<Utc> {
        self.now + self.delay
    }
}

/// A value with the changes to it that have not spread yet.
#[derive(Debug, Clone)]
pub(crate) struct Spread<T> {
    settled: T,
    pending: Vec<Change<T>>,
}

#[derive(Debug, Clone)]
struct Change<T> {
    made_at: DateTime<Utc>,
    holds_at: DateTime<Utc>,
    value: T,
}

impl<T> Change<T> {
    fn holds(&self, at: &Moment) -> bool {
        self.holds_at <= at.now || self.made_at <= at.settled_until
    }
}

impl<T> Spread<T> {
    /// A value that holds from the start.
    pub(crate) fn settled(value: T) -> Self {
        Self { settled: value, pending: Vec::new() }
    }

    /// A value that replaces `before` once it has spread.
    pub(crate) fn appearing(before: T, value: T, at: &Moment) -> Self {
        let mut spread = Self::settled(before);
        spread.set(value, at);
        spread
    }

    /// What the control plane shows: the last value set.
    pub(crate) fn latest(&self) -> &T {
        self.pending.last().map_or(&self.settled, |change| &change.value)
    }

    /// What is enforced at `at`: the last value that has spread by then.
    pub(crate) fn holding(&self, at: &Moment) -> &T {
        let change = self.pending.iter().rev().find(|change| change.holds(at));
        change.map_or(&self.settled, |change| &change.value)
    }

    /// Changes the value; the change holds once `at`'s delay has passed.
    pub(crate) fn set(&mut self, value: T, at: &Moment) {
        self.fold(at);
        if at.delay <= TimeDelta::zero() {
            self.pending.clear();
            self.settled = value;
        } else {
            self.pending.push(Change { made_at: at.now, holds_at: at.holds_at(), value });
        }
    }

    /// Drops the history that nobody can see any more.
    fn fold(&mut self, at: &Moment) {
        if let Some(last) = self.pending.iter().rposition(|change| change.holds(at)) {
            let mut held = self.pending.drain(..=last);
            if let Some(change) = held.next_back() {
                self.settled = change.value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: i64, delay: i64) -> Moment {
        Moment {
            now: DateTime::UNIX_EPOCH + TimeDelta::seconds(second),
            delay: TimeDelta::seconds(delay),
            settled_until: DateTime::<Utc>::MIN_UTC,
        }
    }

    #[test]
    fn the_control_plane_sees_a_change_before_it_holds() {
        let mut value = Spread::settled(1);
        value.set(2, &moment(10, 3));
        assert_eq!(*value.latest(), 2);
        assert_eq!(*value.holding(&moment(12, 3)), 1);
        assert_eq!(*value.holding(&moment(13, 3)), 2);
    }

    #[test]
    fn changes_in_quick_succession_hold_one_after_the_other() {
        let mut value = Spread::settled(1);
        value.set(2, &moment(10, 3));
        value.set(3, &moment(11, 3));
        assert_eq!(*value.holding(&moment(13, 3)), 2);
        assert_eq!(*value.holding(&moment(14, 3)), 3);
        value.set(4, &moment(20, 3));
        assert_eq!(value.pending.len(), 1, "what has spread is folded away");
        assert_eq!(*value.holding(&moment(20, 3)), 3);
    }

    #[test]
    fn settling_makes_earlier_changes_hold_at_once() {
        let mut value = Spread::settled(1);
        value.set(2, &moment(10, 3600));
        let settled = Moment { settled_until: moment(10, 0).now, ..moment(11, 3600) };
        assert_eq!(*value.holding(&settled), 2);
        value.set(3, &moment(12, 3600));
        assert_eq!(*value.holding(&settled), 2);
    }
}
