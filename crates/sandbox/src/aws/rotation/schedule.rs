//! Schedule expressions: `rate(…)` and `cron(…)`.
//!
//! AWS: Secrets Manager User Guide, "Schedule expressions in Secrets Manager rotation".

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

/// When something happens again and again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Schedule {
    Rate(TimeDelta),
    Cron(Cron),
}

/// A cron expression, in full hours of UTC. `None` is every value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cron {
    hours: Option<Vec<u32>>,
    days: Option<Vec<u32>>,
    months: Option<Vec<u32>>,
    /// 1 is Sunday.
    weekdays: Option<Vec<u32>>,
    years: Option<Vec<u32>>,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// A schedule that names no hour of the next five years names none.
const HOURS_LOOKED_AT: i64 = 5 * 366 * 24;

impl Schedule {
    /// Reads an expression, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_suffix(')');
        if let Some(rate) = inner("rate(") {
            return parse_rate(rate).map(Self::Rate);
        }
        if let Some(cron) = inner("cron(") {
            return Cron::parse(cron).map(Self::Cron);
        }
        Err("The ScheduleExpression must be rate(…) or cron(…).".to_owned())
    }

    /// The first time after `time`.
    pub(crate) fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Rate(every) => Some(time + *every),
            Self::Cron(cron) => cron.next_after(time),
        }
    }
}

fn parse_rate(text: &str) -> Result<TimeDelta, String> {
    let wrong = "A rate must be of hours (4 at least) or days, for example rate(10 days).";
    let (number, unit) = text.split_once(' ').ok_or(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong)?;
    match unit {
        "hour" | "hours" if (4..=999).contains(&number) => Ok(TimeDelta::hours(number)),
        "day" | "days" if (1..=999).contains(&number) => Ok(TimeDelta::days(number)),
        _ => Err(wrong.to_owned()),
    }
}

impl Cron {
    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays, years] = fields.as_slice() else {
            return Err("A cron expression must have six fields.".to_owned());
        };
        if *minutes != "0" {
            return Err("The minutes of a cron expression must be 0.".to_owned());
        }
        if (*days == "?") == (*weekdays == "?") {
            let wrong = "One of day of month and day of week must be ?, and only one.";
            return Err(wrong.to_owned());
        }
        Ok(Self {
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            weekdays: field(weekdays, 1, 7, &WEEKDAYS)?,
            years: field(years, 1970, 2199, &[])?,
        })
    }

    fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let seconds = i64::from(time.minute() * 60 + time.second());
        let hour = time
            - TimeDelta::seconds(seconds)
            - TimeDelta::nanoseconds(i64::from(time.nanosecond()));
        (1..=HOURS_LOOKED_AT).map(|hours| hour + TimeDelta::hours(hours)).find(|it| self.names(*it))
    }

    fn names(&self, time: DateTime<Utc>) -> bool {
        let holds = |field: &Option<Vec<u32>>, value: u32| {
            field.as_ref().is_none_or(|values| values.contains(&value))
        };
        holds(&self.hours, time.hour())
            && holds(&self.days, time.day())
            && holds(&self.months, time.month())
            && holds(&self.weekdays, time.weekday().num_days_from_sunday() + 1)
            && holds(&self.years, time.year_ce().1)
    }
}

/// The values of a field: `*`, `?`, numbers and names, lists, ranges and steps.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Result<Option<Vec<u32>>, String> {
    if matches!(text, "*" | "?") {
        return Ok(None);
    }
    let wrong = || format!("the sandbox does not understand {text:?} in a cron expression");
    let value = |text: &str| -> Result<u32, String> {
        let by_name = names.iter().zip(least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = by_name.map(|(_, value)| value).or_else(|| text.parse().ok());
        value.filter(|value| (least..=most).contains(value)).ok_or_else(wrong)
    };
    let mut values = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().map_err(|_| wrong())?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(from)?, value(to)?),
            None if range == "*" => (least, most),
            None if step.is_some() => (value(range)?, most),
            None => (value(range)?, value(range)?),
        };
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(wrong());
        }
        values.extend((from..=to).step_by(step));
    }
    Ok(Some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, time: &str) -> String {
        let time = DateTime::parse_from_rfc3339(time).unwrap().with_timezone(&Utc);
        let next = Schedule::parse(expression).unwrap().next_after(time).unwrap();
        next.format("%F %H:%M").to_string()
    }

    #[test]
    fn expressions_name_the_next_time() {
        let time = "2026-03-03T10:20:30.5Z"; // a Tuesday
        assert_eq!(next("rate(10 days)", time), "2026-03-13 10:20");
        assert_eq!(next("rate(4 hours)", time), "2026-03-03 14:20");
        assert_eq!(next("cron(0 8 * * ? *)", time), "2026-03-04 08:00");
        assert_eq!(next("cron(0 0/6 * * ? *)", time), "2026-03-03 12:00");
        assert_eq!(next("cron(0 16 1,15 * ? *)", time), "2026-03-15 16:00");
        assert_eq!(next("cron(0 2 ? * SUN *)", time), "2026-03-08 02:00");
        assert_eq!(next("cron(0 2 ? JAN-FEB MON-FRI 2028)", time), "2028-01-03 02:00");
    }

    #[test]
    fn expressions_that_mean_nothing_are_refused() {
        for wrong in [
            "daily",
            "rate(3 hours)",
            "rate(0 days)",
            "rate(5 minutes)",
            "cron(5 8 * * ? *)",
            "cron(0 8 * * * *)",
            "cron(0 8 L * ? *)",
            "cron(0 24 * * ? *)",
            "cron(0 0/0 * * ? *)",
            "cron(0 8 * ?)",
        ] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
