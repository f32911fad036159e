//! Rotation functions, by what becomes of the rotation.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::aws::state::Secret;

/// What the function of a secret's rotation does.
///
/// It is chosen per secret through the controls, or by the last part of `RotationLambdaARN`: the
/// kind, and where wanted a dash and the delay in milliseconds (`…:function:slow-2500`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationFunction {
    /// What becomes of the rotation.
    pub kind: RotationKind,
    /// How long the new value is `AWSPENDING` before it is promoted, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How many runs go wrong before one succeeds; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_runs: Option<u32>,
    /// Whether the access key that the new one follows is switched off once the new value is promoted.
    /// Without it, the old key goes on working until the next rotation needs its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retires_key: bool,
}

/// What becomes of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotationKind {
    /// The new value is made and promoted.
    Succeeding,
    /// As succeeding, half a minute later unless a delay is given.
    Slow,
    /// It fails at once: `AWSPENDING` stays on a version without a value.
    Failing,
    /// It fails at its last step: `AWSPENDING` stays on the version with the new value.
    StalePending,
}

const SLOW_MS: u64 = 30_000;

impl RotationFunction {
    /// A function of this kind, which takes its usual time.
    pub fn new(kind: RotationKind) -> Self {
        Self { kind, delay_ms: None, failing_runs: None, retires_key: false }
    }

    /// The function that a Lambda ARN names.
    pub(crate) fn of_arn(arn: &str) -> Option<Self> {
        const KINDS: [(&str, RotationKind); 4] = [
            ("succeeding", RotationKind::Succeeding),
            ("slow", RotationKind::Slow),
            ("failing", RotationKind::Failing),
            ("stale-pending", RotationKind::StalePending),
        ];
        let parts: Vec<&str> = arn.splitn(8, ':').collect();
        let ["arn", _, "lambda", _, _, "function", name] = parts.as_slice() else {
            return None;
        };
        KINDS.into_iter().find_map(|(word, kind)| {
            let delay_ms = match name.strip_prefix(word)? {
                "" => None,
                delay => Some(delay.strip_prefix('-')?.parse().ok()?),
            };
            Some(Self { delay_ms, ..Self::new(kind) })
        })
    }

    /// The function that rotates a secret: the one that the controls set, the one of its ARN, or,
    /// for a secret that a service manages, one that succeeds.
    pub(crate) fn of(secret: &Secret) -> Option<Self> {
        let by_arn = || Self::of_arn(secret.content.rotation.lambda_arn.as_deref()?);
        let managed =
            || secret.owning_service.is_some().then(|| Self::new(RotationKind::Succeeding));
        secret.function.clone().or_else(by_arn).or_else(managed)
    }

    pub(crate) fn delay(&self) -> TimeDelta {
        let usual = if self.kind == RotationKind::Slow { SLOW_MS } else { 0 };
        let delay = self.delay_ms.unwrap_or(usual);
        crate::aws::state::world::bounded(std::time::Duration::from_millis(delay))
    }

    /// Whether the next run goes wrong.
    pub(crate) fn goes_wrong(&self) -> bool {
        matches!(self.kind, RotationKind::Failing | RotationKind::StalePending)
            && self.failing_runs != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_a_kind_and_a_delay() {
        let named = |name: &str| {
            RotationFunction::of_arn(&format!(
                "arn:aws:lambda:us-east-1:111111111111:function:{name}"
            ))
        };
        assert_eq!(named("slow-250").unwrap().delay(), TimeDelta::milliseconds(250));
        assert_eq!(named("slow").unwrap().delay(), TimeDelta::seconds(30));
        assert_eq!(named("stale-pending").unwrap().kind, RotationKind::StalePending);
        assert_eq!(named("succeeding").unwrap().delay(), TimeDelta::zero());
        for unknown in ["mine", "slow-x", "slower", ""] {
            assert_eq!(named(unknown), None, "{unknown}");
        }
        assert_eq!(RotationFunction::of_arn("slow"), None);
    }
}
