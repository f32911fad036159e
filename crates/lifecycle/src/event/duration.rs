//! Durations in events: ISO 8601, as JSON Schema's `duration` and RFC 3339's appendix A have it, without
//! what has no fixed length (years, months) and without fractions.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::TimeDelta;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// What [`parse`] accepts, as a regular expression: what the schema says.
pub(super) const PATTERN: &str = "^P(?:[0-9]{1,2}W|(?=[0-9T])(?:[0-9]{1,3}D)?\
     (?:T(?=[0-9])(?:[0-9]{1,4}H)?(?:[0-9]{1,6}M)?(?:[0-9]{1,8}S)?)?)$";

/// A unit: its letter, the most digits that its number may have, and its length in seconds. The digits
/// bound the whole to nine years, so that arithmetic on moments cannot overflow.
type Unit = (char, usize, i64);
const WEEK: Unit = ('W', 2, 7 * 86_400);
const DAY: Unit = ('D', 3, 86_400);
const TIMES: [Unit; 3] = [('H', 4, 3_600), ('M', 6, 60), ('S', 8, 1)];

const REFUSED: &str = "not a duration: ISO 8601 in weeks, or in days, hours, minutes and seconds, \
                       for example PT2H or P1DT12H";

/// Reads a duration.
fn parse(text: &str) -> Option<TimeDelta> {
    let rest = text.strip_prefix('P')?;
    if rest.ends_with('W') {
        return sum(rest, &[WEEK]).map(TimeDelta::seconds);
    }
    let (days, times) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    Some(TimeDelta::seconds(sum(days, &[DAY])? + sum(times, &TIMES)?))
}

/// The seconds of numbers with their units, which come in this order or not at all.
fn sum(mut text: &str, units: &[Unit]) -> Option<i64> {
    let mut total = 0;
    for (letter, digits, seconds) in units {
        if let Some((number, rest)) = text.split_once(*letter) {
            let fits = (1..=*digits).contains(&number.len());
            if !fits || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total += number.parse::<i64>().ok()? * seconds;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

/// Writes a duration so that [`parse`] reads the same one: the largest units first, each with as much as
/// its digits hold.
fn print(duration: TimeDelta) -> String {
    let mut left = duration.num_seconds().max(0);
    let mut text = String::from("P");
    for (unit, before) in std::iter::once((DAY, "")).chain(TIMES.map(|unit| (unit, "T"))) {
        let (letter, digits, seconds) = unit;
        let most = 10_i64.pow(u32::try_from(digits).unwrap_or(0)) - 1;
        let number = if letter == 'S' { left } else { (left / seconds).min(most) };
        left -= number * seconds;
        let nothing_yet = text == "P";
        if number > 0 || (letter == 'S' && nothing_yet) {
            let before = if text.contains('T') { "" } else { before };
            // Writing to a string does not fail.
            let _ = write!(text, "{before}{number}{letter}");
        }
    }
    text
}

/// For `serialize_with`.
#[allow(clippy::ref_option, reason = "serde passes the field as it is")]
pub(super) fn serialize<S: Serializer>(
    duration: &Option<TimeDelta>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&print(*duration)),
        None => serializer.serialize_none(),
    }
}

/// For `deserialize_with`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TimeDelta>, D::Error> {
    let text = Option::<Cow<'_, str>>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| D::Error::custom(REFUSED))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601_has_them() {
        for (text, seconds) in [
            ("PT0S", 0),
            ("PT2H", 7_200),
            ("PT90M", 5_400),
            ("PT1H30M5S", 5_405),
            ("P1D", 86_400),
            ("P1DT12H", 129_600),
            ("P2W", 1_209_600),
        ] {
            assert_eq!(parse(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn what_has_no_fixed_length_or_no_end_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "T2H",
            "2h",
            "7200",
            "P1Y",
            "P1M",
            "PT1.5H",
            "PT1,5H",
            "-PT1H",
            "PT-1H",
            "PT+1H",
            "P1W2D",
            "PT1M1H",
            "PT1H1H",
            "P1H",
            "PT1D",
            "pt2h",
            "P1000D",
            "PT10000H",
            "PT100000000S",
            "PT1H ",
            "P 1D",
            "PTH",
            "P100W",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same() {
        let longest = "P999DT9999H999999M99999999S";
        for text in [longest, "PT0S", "PT1S", "PT26H", "P2W", "PT99999999S", "P1DT1S", "PT61M"] {
            let read = parse(text);
            assert!(read.is_some(), "{text}");
            assert_eq!(read.map(print).as_deref().and_then(parse), read, "{text}");
        }
        assert_eq!(print(TimeDelta::hours(2)), "PT2H");
        assert_eq!(print(TimeDelta::hours(26)), "P1DT2H");
    }
}
