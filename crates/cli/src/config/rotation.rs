//! `[zones.NAME.rotation]`: how old the secrets of a zone may become before they are rotated.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};
use severance_lifecycle::rotation_schedule::{Limit, MaxAge, STRATEGIES};

use super::{Problem, Span};

/// `[zones.NAME.rotation]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RotationSection {
    /// How old a secret may become.
    #[serde(rename = "max_age")]
    default: Option<Age>,
    /// The same, by tier.
    #[serde(rename = "max_age_by_tier")]
    by_tier: BTreeMap<String, Age>,
    /// The same, by strategy.
    #[serde(rename = "max_age_by_strategy")]
    by_strategy: BTreeMap<String, Age>,
}

/// An age: a duration, or `never`.
#[derive(Clone, Copy, Debug)]
struct Age(Limit);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "never" {
            return Ok(Self(Limit::Never));
        }
        let span = Span::deserialize(IntoDeserializer::<D::Error>::into_deserializer(text))?;
        Ok(Self(Limit::Age(span.delta())))
    }
}

impl RotationSection {
    /// The ages, each that is not set as it is inherited.
    pub(super) fn max_age_over(&self, base: &MaxAge) -> MaxAge {
        let over = |base: &BTreeMap<String, Limit>, own: &BTreeMap<String, Age>| {
            let mut all = base.clone();
            all.extend(own.iter().map(|(name, age)| (name.clone(), age.0)));
            all
        };
        MaxAge {
            default: self.default.map_or(base.default, |age| age.0),
            by_tier: over(&base.by_tier, &self.by_tier),
            by_strategy: over(&base.by_strategy, &self.by_strategy),
        }
    }

    pub(super) fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |key: &str, holds: bool, why: &str| {
            if !holds {
                problems.push(Problem::new(format!("{section}.{key}"), why));
            }
        };
        let own = [(String::from("max_age"), self.default)];
        let tables =
            [("max_age_by_tier", &self.by_tier), ("max_age_by_strategy", &self.by_strategy)];
        let named = tables.iter().flat_map(|(table, ages)| {
            ages.iter().map(move |(name, age)| (format!("{table}.{name}"), Some(*age)))
        });
        for (key, age) in own.into_iter().chain(named) {
            // Each secret is come by once a day.
            let lasts = age.is_none_or(|Age(limit)| limit >= Limit::Age(TimeDelta::days(1)));
            check(&key, lasts, "must be at least a day");
        }
        for name in self.by_strategy.keys() {
            let known = STRATEGIES.contains(&name.as_str());
            let why = format!("not a strategy: {}", STRATEGIES.join(", "));
            check(&format!("max_age_by_strategy.{name}"), known, &why);
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!("{text}[[aws.accounts]]\nid = \"111122223333\"\n");
        Config::parse("s.toml", &text, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn ages_are_set_by_zone_and_inherited_key_by_key() {
        let config = parse(
            "[zones.default.rotation]\nmax_age = \"90d\"\n\
             max_age_by_tier = { critical = \"30d\", low = \"never\" }\n\
             [zones.acme.rotation]\nmax_age = \"never\"\nmax_age_by_tier.critical = \"7d\"\n\
             max_age_by_strategy = { webhook = \"180d\" }\n",
        );
        let zones = config.unwrap().zones();
        let (other, acme) = (zones.get(&"other".into()), zones.get(&"acme".into()));
        let days = |n| Limit::Age(TimeDelta::days(n));
        assert_eq!(other.max_age.of(None, "webhook"), days(90));
        assert_eq!(other.max_age.of(Some("critical"), "webhook"), days(30));
        assert_eq!(acme.max_age.of(None, "database"), Limit::Never);
        assert_eq!(acme.max_age.of(None, "webhook"), days(180));
        assert_eq!(acme.max_age.of(Some("critical"), "webhook"), days(7));
        assert_eq!(acme.max_age.of(Some("low"), "database"), Limit::Never);
        assert!(parse("").unwrap().zones().get(&"any".into()).max_age.is_never());
    }

    #[test]
    fn a_wrong_age_is_named_with_its_line() {
        for (key, line, value) in [
            ("max_age", "max_age", "\"12h\""),
            ("max_age", "max_age", "\"always\""),
            ("max_age_by_tier.critical", "max_age_by_tier.critical", "\"1h\""),
            ("max_age_by_strategy.magic", "max_age_by_strategy.magic", "\"30d\""),
            ("max_age_by_strategy", "max_age_by_strategy", "\"30d\""),
        ] {
            let refused = parse(&format!("[zones.acme.rotation]\n{line} = {value}\n")).unwrap_err();
            let at = format!("s.toml:2: zones.acme.rotation.{key}");
            assert!(refused.starts_with(&at), "{at}: {refused}");
        }
    }
}
