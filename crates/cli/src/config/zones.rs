//! `[zones.default]` and `[zones.NAME]`: what holds in each trust zone.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use severance_lifecycle::policy::{Proof, RoleSessions, ServiceRoles};
use severance_lifecycle::rotation::RevokeOrder;
use severance_lifecycle::task::Mode;
use severance_lifecycle::trust::Partner;
use severance_lifecycle::zone::{ZoneSettings, Zones};

use super::rotation::RotationSection;
use super::{Problem, Span};

const DEFAULT: &str = "default";

/// `[zones]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct ZonesSection(pub(crate) BTreeMap<String, ZoneSection>);

/// `[zones.NAME]`: what is not set is as in `[zones.default]`, but for `mode` and the partner, which
/// no section inherits: one without a mode is in `observe`. `[zones.default] mode` is the mode of what has
/// no section, which is every zone that is not named and what is bound to none. So nothing is changed
/// anywhere before a line of the file says `enforce`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ZoneSection {
    pub(crate) mode: Option<ZoneModeSetting>,
    pub(crate) partner: PartnerSection,
    pub(crate) quarantine: Option<Span>,
    pub(crate) objectives: ObjectivesSection,
    pub(crate) rotation: RotationSection,
    pub(crate) proof: ProofSection,
    pub(crate) spread: Option<Span>,
    pub(crate) cutoff_margin: Option<Span>,
    pub(crate) recheck_after: Option<Span>,
    pub(crate) roles: RolesSection,
    pub(crate) take_intruders: Option<bool>,
    pub(crate) secrets: SecretsSection,
}

/// `mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ZoneModeSetting {
    Observe,
    Enforce,
}

/// `[zones.NAME.partner]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PartnerSection {
    pub(crate) accounts: BTreeSet<String>,
    pub(crate) principals: BTreeSet<String>,
}

/// `[zones.NAME.objectives]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ObjectivesSection {
    pub(crate) compromise_notice: Option<Span>,
    pub(crate) contract_end: Option<Span>,
    pub(crate) rotation: Option<Span>,
}

/// `[zones.NAME.secrets]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsSection {
    pub(crate) grace: Option<Span>,
    pub(crate) compromised: Option<RevokeOrder>,
    pub(crate) recovery_days: Option<u8>,
}

/// `[zones.NAME.proof]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProofSection {
    pub(crate) refusals: Option<u32>,
    pub(crate) window: Option<Span>,
    pub(crate) endpoints: Option<usize>,
    pub(crate) interval: Option<Span>,
}

/// `[zones.NAME.roles]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RolesSection {
    pub(crate) assumable: Option<RoleSessions>,
    pub(crate) shared: Option<RoleSessions>,
    pub(crate) service: Option<ServiceRoles>,
}

impl ZonesSection {
    pub(crate) fn zones(&self) -> Zones {
        let base = ZoneSettings::default();
        let default = self.0.get(DEFAULT).map_or_else(|| base.clone(), |zone| zone.over(&base));
        let named = self
            .0
            .iter()
            .filter(|(name, _)| name.as_str() != DEFAULT)
            .map(|(name, zone)| (name.as_str().into(), zone.over(&default)))
            .collect();
        Zones { default, named }
    }

    /// The most regions that any zone wants a key to be proven dead in.
    pub(super) fn most_endpoints(&self) -> usize {
        let Zones { default, named } = self.zones();
        let named = named.values().map(|zone| zone.proof.endpoints);
        named.fold(default.proof.endpoints, usize::max)
    }

    /// What may be meant, and is worth a second thought.
    pub(crate) fn warnings(&self) -> Vec<Problem> {
        let base = ZoneSettings::default();
        let own = self.0.iter().filter_map(|(name, zone)| Some((name, zone, zone.secrets.grace?)));
        own.filter(|(_, zone, _)| zone.over(&base).short_grace().is_some())
        .map(|(name, _, grace)| {
            let why = format!(
                "{grace:?} is shorter than clients commonly keep a secret's value (an hour): some may \
                 still use the old credential when it ends"
            );
            Problem::new(format!("zones.{name}.secrets.grace"), why)
        })
        .collect()
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.0.iter().flat_map(|(name, zone)| zone.problems(&format!("zones.{name}"))).collect()
    }
}

impl ZoneSection {
    fn over(&self, base: &ZoneSettings) -> ZoneSettings {
        let span = |own: Option<Span>, inherited| own.map_or(inherited, Span::delta);
        ZoneSettings {
            mode: match self.mode {
                Some(ZoneModeSetting::Enforce) => Mode::Enforce,
                Some(ZoneModeSetting::Observe) | None => Mode::Observe,
            },
            partner: Partner {
                accounts: self.partner.accounts.clone(),
                principals: self.partner.principals.clone(),
            },
            quarantine: span(self.quarantine, base.quarantine),
            compromise_objective: span(
                self.objectives.compromise_notice,
                base.compromise_objective,
            ),
            contract_end_objective: span(self.objectives.contract_end, base.contract_end_objective),
            proof: Proof {
                refusals: self.proof.refusals.unwrap_or(base.proof.refusals),
                window: span(self.proof.window, base.proof.window),
                endpoints: self.proof.endpoints.unwrap_or(base.proof.endpoints),
                interval: span(self.proof.interval, base.proof.interval),
            },
            spread: span(self.spread, base.spread),
            cutoff_margin: span(self.cutoff_margin, base.cutoff_margin),
            recheck_after: span(self.recheck_after, base.recheck_after),
            assumable_roles: self.roles.assumable.or(base.assumable_roles),
            shared_roles: self.roles.shared.or(base.shared_roles),
            service_roles: self.roles.service.or(base.service_roles),
            take_intruders: self.take_intruders.unwrap_or(base.take_intruders),
            max_age: self.rotation.max_age_over(&base.max_age),
            rotation_objective: span(self.objectives.rotation, base.rotation_objective),
            grace: span(self.secrets.grace, base.grace),
            compromised_secrets: self.secrets.compromised.or(base.compromised_secrets),
            recovery_days: self.secrets.recovery_days.unwrap_or(base.recovery_days),
        }
    }

    fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = self.rotation.problems(&format!("{section}.rotation"));
        let mut check = |key: &str, holds: bool, why: &str| {
            if !holds {
                problems.push(Problem::new(format!("{section}.{key}"), why));
            }
        };
        check("proof.refusals", self.proof.refusals != Some(0), "must be at least 1");
        check("proof.endpoints", self.proof.endpoints != Some(0), "must be at least 1");
        let lasts = |span: Option<Span>| span.is_none_or(|span| !span.is_zero());
        // A change takes seconds to spread: refusals all at once, or too close, prove nothing.
        check("proof.window", lasts(self.proof.window), "must be longer than nothing");
        check("proof.interval", lasts(self.proof.interval), "must be longer than nothing");
        let days = self.secrets.recovery_days.is_none_or(|days| (7..=30).contains(&days));
        check("secrets.recovery_days", days, "must be 7 to 30: AWS takes no other");
        let digits = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        let accounts = self.partner.accounts.iter().all(digits);
        check("partner.accounts", accounts, "an account id is twelve digits");
        let principal = |text: &String| {
            text.starts_with("arn:") || text.starts_with("AIDA") || text.starts_with("AROA")
        };
        let principals = self.partner.principals.iter().all(principal);
        check(
            "partner.principals",
            principals,
            "a principal is an ARN or a unique id (AIDA…, AROA…)",
        );
        problems
    }
}
