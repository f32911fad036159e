//! The inventory and its lookups.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{Rig, at};
use serde_json::{Value, json};
use severance_engine::ports::Ledger;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail};

const ACCOUNT: &str = "111122223333";

fn identity(kind: &str, name: &str, tags: &[(&str, &str)], detail: IdentityDetail) -> Identity {
    Identity {
        account: ACCOUNT.into(),
        arn: format!("arn:aws:iam::{ACCOUNT}:{kind}/path/{name}"),
        name: name.into(),
        unique_id: format!("A{name}"),
        created: at(0),
        tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        detail,
    }
}

fn user(name: &str, key: &str, tags: &[(&str, &str)]) -> Identity {
    let detail = IdentityDetail::User {
        access_keys: vec![key.to_owned()],
        policies: Vec::new(),
        credentials: 1,
    };
    identity("user", name, tags, detail)
}

fn role(name: &str, trust: Value) -> Identity {
    let detail = IdentityDetail::Role { trust, max_session_seconds: 3_600, service_linked: false };
    identity("role", name, &[], detail)
}

async fn stocked() -> Rig {
    let rig = Rig::new().await;
    let acme = [("Severance:Zone", "acme"), ("severance:contract", "c-1"), ("team", "X")];
    let torn = [("severance:zone", "acme globex"), ("team", "X y")];
    let identities = [
        user("ann", "AKIA0000000000000ANN", &acme),
        user("bob", "AKIA0000000000000BOB", &torn),
        role(
            "deploy",
            json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": ["arn:a", "arn:b"]}}}),
        ),
        role("other", json!({"Statement": [{"Effect": "Deny", "Principal": {"AWS": "arn:a"}}]})),
    ];
    rig.ledger.store_identities(&ACCOUNT.into(), 1, &identities).await.unwrap();
    rig
}

async fn find(rig: &Rig, target: SelectorTarget, account: Option<&str>) -> Vec<String> {
    let account = account.map(AccountId::from);
    let selector = Selector { target, account, region: None };
    let found = rig.ledger.find_identities(&selector).await.unwrap();
    found.into_iter().map(|identity| identity.name).collect()
}

#[tokio::test]
async fn pages_come_to_everything_once_in_whatever_steps() {
    let rig = stocked().await;
    let selectors = [
        SelectorTarget::Zone("acme".into()),
        SelectorTarget::Tags([("team".to_owned(), "X".to_owned())].into()),
        SelectorTarget::User("ann".into()),
    ];
    for target in selectors {
        let whole = find(&rig, target.clone(), None).await;
        assert!(!whole.is_empty(), "{target:?}");
        let selector = Selector { target, account: None, region: None };
        for limit in 1..4 {
            let (mut names, mut after) = (Vec::new(), Some(0));
            while let Some(from) = after {
                let page = rig.ledger.identities_page(&selector, from, limit).await.unwrap();
                assert!(page.identities.len() <= limit);
                names.extend(page.identities.into_iter().map(|identity| identity.name));
                after = page.next;
            }
            names.sort();
            assert_eq!(names, whole, "{limit} at a time of {selector:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_selector_finds_what_it_names() {
    use SelectorTarget::{AccessKeyId, Contract, Role, Secret, Tags, User, Zone};
    let rig = stocked().await;
    let tags = |pairs: &[(&str, &str)]| {
        Tags(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/path/ann");
    let expected: Vec<(SelectorTarget, &[&str])> = vec![
        (AccessKeyId("AKIA0000000000000ANN".into()), &["ann"]),
        (User("ann".into()), &["ann"]),
        (User(arn.clone()), &["ann"]),
        (User("deploy".into()), &[]),
        (Role("deploy".into()), &["deploy"]),
        (Role(arn), &[]),
        (Contract("c-1".into()), &["ann"]),
        (Zone("acme".into()), &["ann", "bob"]),
        (Zone("globex".into()), &["bob"]),
        (tags(&[("TEAM", "X")]), &["ann"]),
        (tags(&[("team", "x")]), &[]),
        (tags(&[("team", "X"), ("severance:zone", "acme")]), &["ann"]),
        (tags(&[("team", "X"), ("severance:zone", "globex")]), &[]),
        (Secret("ann".into()), &[]),
    ];
    for (target, names) in expected {
        assert_eq!(find(&rig, target.clone(), None).await, names, "{target:?}");
        assert!(find(&rig, target, Some("999999999999")).await.is_empty());
    }
}

#[tokio::test]
async fn roles_are_found_by_whom_they_allow() {
    let rig = stocked().await;
    let trusting = rig.ledger.roles_trusting(&["arn:a".into(), "arn:b".into()]).await.unwrap();
    let names: Vec<_> = trusting.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["deploy"], "once, and not by a deny");
}

#[tokio::test]
async fn what_a_newer_listing_has_not_is_gone_and_an_older_one_changes_nothing() {
    let rig = stocked().await;
    let account = AccountId::from(ACCOUNT);
    let renewed = user("ann", "AKIA000000000000ANN2", &[]);
    rig.ledger.store_identities(&account, 2, std::slice::from_ref(&renewed)).await.unwrap();
    let late = user("ann", "AKIA0000000000000OLD", &[("severance:zone", "acme")]);
    rig.ledger.store_identities(&account, 1, &[late]).await.unwrap();
    rig.ledger.finish_inventory(&account, 2, at(9)).await.unwrap();
    let key = |id: &str| SelectorTarget::AccessKeyId(id.into());
    assert_eq!(find(&rig, key("AKIA000000000000ANN2"), None).await, ["ann"]);
    assert!(find(&rig, key("AKIA0000000000000ANN"), None).await.is_empty());
    assert!(find(&rig, key("AKIA0000000000000OLD"), None).await.is_empty());
    assert!(find(&rig, SelectorTarget::Zone("acme".into()), None).await.is_empty());
    assert!(find(&rig, SelectorTarget::User("bob".into()), None).await.is_empty());
}
