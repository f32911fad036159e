//! An account's budget, and the rates of the APIs in it, in virtual time.

use std::time::Duration;

use super::rate::tests::Virtual;
use super::*;

const IAM: Api<'_> = Api { service: "iam", region: None };

fn secrets(region: &str) -> Api<'_> {
    Api { service: "secretsmanager", region: Some(region) }
}

fn gate(per_second: u32) -> (Arc<Gate>, AccountId) {
    let rate = Rate { per_second, burst: 1 };
    let config = AdmissionConfig { rate, ..AdmissionConfig::default() };
    (Gate::new(config, Urgency::new(), Virtual::clock()), "111111111111".into())
}

/// How many calls are let through within a second, to each of these in turn and without end.
async fn in_a_second(gate: &Gate, account: &AccountId, apis: &[Api<'_>]) -> usize {
    let mut calls = 0;
    let all = async {
        for api in apis.iter().cycle() {
            drop(gate.admit_to(account, *api, Lane::Compromise).await);
            calls += 1;
        }
    };
    let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(1), all).await;
    calls
}

#[tokio::test(start_paused = true)]
async fn an_api_that_throttles_takes_nothing_from_another_nor_from_itself_in_another_region() {
    let (gate, account) = gate(500);
    gate.throttled_at(&account, secrets("eu-west-1"));
    assert!(gate.rate(&account, secrets("eu-west-1")) < 100.0);
    for other in [IAM, secrets("us-east-1")] {
        assert!(gate.rate(&account, other) >= 500.0, "{other:?}");
    }
    assert!(gate.rate(&"222222222222".into(), secrets("eu-west-1")) >= 500.0);
    let slow = in_a_second(&gate, &account, &[secrets("eu-west-1")]).await;
    let whole = in_a_second(&gate, &account, &[IAM]).await;
    assert!((450..=550).contains(&whole) && slow < whole, "{slow} and {whole}");
}

#[tokio::test(start_paused = true)]
async fn all_apis_together_stay_within_the_accounts_budget() {
    let (gate, account) = gate(100);
    let apis = [IAM, secrets("eu-west-1"), secrets("us-east-1")];
    let calls = in_a_second(&gate, &account, &apis).await;
    assert!((95..=105).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_no_api_of_the_providers_counts_in_the_budget_alone() {
    let (gate, account) = gate(100);
    gate.throttled(&account);
    assert!(gate.rate(&account, IAM) < 100.0, "the account itself was throttled");
    drop(gate.admit(&account, Lane::Compromise).await);
}
