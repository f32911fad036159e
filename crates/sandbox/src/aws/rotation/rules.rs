//! `RotationRules`: how often, and in which window.

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::Schedule;

/// When a secret is rotated.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rules {
    pub(crate) days: Option<u32>,
    /// As it was written, and what it means.
    pub(crate) schedule: Option<(String, Schedule)>,
    pub(crate) duration: Option<String>,
}

impl Rules {
    /// Reads rules, or says what is wrong with them.
    pub(crate) fn read(
        days: Option<i64>,
        schedule: Option<&str>,
        duration: Option<&str>,
    ) -> Result<Self, String> {
        if days.is_some() && schedule.is_some() {
            return Err(
                "You can specify either AutomaticallyAfterDays or ScheduleExpression, but \
                        not both."
                    .to_owned(),
            );
        }
        let days = match days.map(u32::try_from) {
            None => None,
            Some(Ok(days @ 1..=1000)) => Some(days),
            Some(_) => return Err("AutomaticallyAfterDays must be between 1 and 1000.".to_owned()),
        };
        let schedule = match schedule {
            Some(text) => Some((text.to_owned(), Schedule::parse(text)?)),
            None => None,
        };
        let hours = duration.map(|it| it.strip_suffix('h').and_then(|it| it.parse::<u32>().ok()));
        if hours.is_some_and(|hours| !hours.is_some_and(|hours| (1..=24).contains(&hours))) {
            return Err(
                "Duration must be a number of hours up to a day, for example 3h.".to_owned()
            );
        }
        Ok(Self { days, schedule, duration: duration.map(str::to_owned) })
    }

    /// The first rotation after `time`.
    pub(crate) fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match (self.days, &self.schedule) {
            (Some(days), _) => Some(time + TimeDelta::days(days.into())),
            (None, Some((_, schedule))) => schedule.next_after(time),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_aws_refuses_are_refused() {
        assert!(Rules::read(Some(7), Some("rate(7 days)"), None).is_err());
        assert!(Rules::read(Some(0), None, None).is_err());
        assert!(Rules::read(Some(1001), None, None).is_err());
        assert!(Rules::read(None, None, Some("25h")).is_err());
        assert!(Rules::read(None, None, Some("3")).is_err());
        let rules = Rules::read(Some(7), None, Some("3h")).unwrap();
        let start = DateTime::UNIX_EPOCH;
        assert_eq!(rules.next_after(start), Some(start + TimeDelta::days(7)));
        assert_eq!(Rules::default().next_after(start), None);
    }
}
