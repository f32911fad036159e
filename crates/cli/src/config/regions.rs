//! The regions of each account: enough of them that a key can be proven dead.

use std::collections::BTreeSet;

use severance_aws::AwsConfig;

use super::Problem;

/// By partition, the regions that every account has from the start. (AWS: Account Management User
/// Guide, "Enable or disable AWS Regions in your account".)
const USUAL: [(&str, [&str; 2]); 3] = [
    ("aws", ["us-east-1", "us-west-2"]),
    ("aws-cn", ["cn-north-1", "cn-northwest-1"]),
    ("aws-us-gov", ["us-gov-west-1", "us-gov-east-1"]),
];

/// Gives two regions to each account that names none: the configuration's own, and another that every
/// account has. In one region alone no key is ever proven dead.
pub(super) fn fill_in(aws: &mut AwsConfig) {
    let usual = USUAL.iter().find(|(partition, _)| *partition == aws.partition);
    let other = usual.and_then(|(_, regions)| regions.iter().find(|other| **other != aws.region));
    let both: Vec<_> = [Some(aws.region.as_str()), other.copied()]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    for account in aws.accounts.iter_mut().filter(|account| account.regions.is_empty()) {
        account.regions.clone_from(&both);
    }
}

/// Accounts with too few regions for the zone that wants the most.
pub(super) fn problems(aws: &AwsConfig, endpoints: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, account) in aws.accounts.iter().enumerate() {
        let distinct = account.regions.iter().collect::<BTreeSet<_>>().len();
        if distinct < endpoints {
            let key = format!("aws.accounts[{place}].regions");
            let why = format!(
                "{distinct} where proof.endpoints is {endpoints}: a key would never be proven dead \
                 in so many regions"
            );
            problems.push(Problem::new(key, why));
        }
    }
    problems
}
