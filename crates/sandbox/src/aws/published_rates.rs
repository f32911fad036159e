//! The rates that AWS publishes for Secrets Manager, each per account and region.
//!
//! AWS: Secrets Manager User Guide, "AWS Secrets Manager quotas". None of them can be raised.

use super::request::Service;
use super::throttle::ThrottleRule;

/// Calls a second, and the operations that share them.
const RATES: &[(f64, &[&str])] = &[
    (10_000.0, &["DescribeSecret", "GetSecretValue"]),
    (
        50.0,
        &[
            "PutSecretValue",
            "RemoveRegionsFromReplication",
            "ReplicateSecretToRegions",
            "StopReplicationToReplica",
            "UpdateSecret",
            "UpdateSecretVersionStage",
        ],
    ),
    (
        50.0,
        &[
            "DeleteResourcePolicy",
            "GetResourcePolicy",
            "PutResourcePolicy",
            "ValidateResourcePolicy",
        ],
    ),
    (50.0, &["CancelRotateSecret", "RotateSecret"]),
    (50.0, &["TagResource", "UntagResource"]),
    (50.0, &["CreateSecret"]),
    (50.0, &["DeleteSecret"]),
    (50.0, &["RestoreSecret"]),
    (50.0, &["GetRandomPassword"]),
    (50.0, &["ListSecretVersionIds"]),
    (100.0, &["ListSecrets"]),
    (100.0, &["BatchGetSecretValue"]),
];

/// The published rates as rules.
pub(crate) fn rules() -> Vec<ThrottleRule> {
    let rule = |(rate, operations): &(f64, &[&str])| ThrottleRule {
        service: Some(Service::SecretsManager),
        operations: operations.iter().map(|&it| it.to_owned()).collect(),
        per_region: true,
        ..ThrottleRule::per_account(*rate, *rate)
    };
    RATES.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::super::clock::monotonic;
    use super::super::throttle::Throttles;
    use super::*;

    #[test]
    fn writes_share_fifty_a_second_in_each_region() {
        let throttles = Throttles::default();
        throttles.keep_published(true);
        let now = monotonic();
        let admit = |account, region, operation| {
            throttles.admit((account, region), "K", Service::SecretsManager, operation, now)
        };
        for _ in 0..25 {
            assert!(admit("1", "a", "PutSecretValue"));
            assert!(admit("1", "a", "UpdateSecretVersionStage"));
        }
        assert!(!admit("1", "a", "UpdateSecret"));
        assert!(admit("1", "b", "UpdateSecret") && admit("2", "a", "UpdateSecret"));
        assert!(admit("1", "a", "PutResourcePolicy") && admit("1", "a", "GetSecretValue"));
        throttles.keep_published(false);
        assert!(admit("1", "a", "UpdateSecret"));
    }
}
