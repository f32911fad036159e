//! The inventory and its lookups.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use common::{Rig, at};
use serde_json::{Value, json};
use severance_engine::ports::Ledger;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail, SecretDetail};
use severance_lifecycle::secret::{Holding, Strategy};

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

fn secret_arn(region: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-AbCdEf")
}

fn secret(region: &str, name: &str, tags: &[(&str, &str)], holds: &[Holding]) -> Identity {
    let detail = IdentityDetail::Secret(SecretDetail {
        region: region.into(),
        strategy: Strategy::Database { alternating: false },
        holds: holds.iter().cloned().collect(),
        last_rotated: Some(at(7)),
        deleted_at: None,
        owning_service: None,
    });
    let arn = secret_arn(region, name);
    Identity { arn: arn.clone(), unique_id: arn, ..identity("secret", name, tags, detail) }
}

fn key(id: &str) -> Holding {
    Holding::AccessKey { key_id: id.into() }
}

fn login(name: &str) -> Holding {
    Holding::Login { login: name.into() }
}

/// Beside users and roles: a secret that holds ann's key, and two that share a login.
async fn stocked_with_secrets() -> Rig {
    let rig = stocked().await;
    let acme = [("severance:zone", "acme"), ("severance:contract", "c-1")];
    let secrets = [
        secret("eu-west-1", "ann", &acme, &[key("AKIA0000000000000ANN")]),
        secret("eu-west-1", "app/db", &[("severance:shared-with", "c-2 c-1")], &[login("app@db")]),
        secret("us-east-1", "app/db", &[("team", "X")], &[login("app@db")]),
    ];
    rig.ledger.store_identities(&ACCOUNT.into(), 1, &secrets).await.unwrap();
    rig
}

fn arns(found: &[Identity]) -> Vec<&str> {
    found.iter().map(|identity| identity.arn.as_str()).collect()
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

#[tokio::test]
async fn secrets_are_found_by_name_arn_and_an_arn_without_its_end() {
    let rig = stocked_with_secrets().await;
    let [eu, us] = ["eu-west-1", "us-east-1"].map(|region| secret_arn(region, "app/db"));
    let find = async |text: &str, region: Option<&str>| {
        let target = SelectorTarget::Secret(text.into());
        let selector = Selector { target, account: None, region: region.map(str::to_owned) };
        rig.ledger.find_identities(&selector).await.unwrap()
    };
    assert_eq!(arns(&find("app/db", None).await), [&eu, &us]);
    assert_eq!(arns(&find("app/db", Some("us-east-1")).await), [&us]);
    assert_eq!(arns(&find(&eu, None).await), [&eu]);
    assert!(find(&eu, Some("us-east-1")).await.is_empty());
    assert_eq!(arns(&find(eu.trim_end_matches("-AbCdEf"), None).await), [&eu]);
    for other in ["app", "app/db-AbCdEf", &eu[..eu.len() - 1], "arn:aws:secretsmanager:x", "arn:"] {
        assert!(find(other, None).await.is_empty(), "{other}");
    }
    let found = find("ann", None).await;
    assert_eq!(found.len(), 1, "a user of that name is no secret");
    assert_eq!(found[0], {
        let acme = [("severance:zone", "acme"), ("severance:contract", "c-1")];
        secret("eu-west-1", "ann", &acme, &[key("AKIA0000000000000ANN")])
    });
}

#[tokio::test]
async fn secrets_are_found_beside_users_and_roles() {
    use SelectorTarget::{AccessKeyId, Contract, Tags, User, Zone};
    let rig = stocked_with_secrets().await;
    let tags = Tags([("team".to_owned(), "X".to_owned())].into());
    assert_eq!(find(&rig, AccessKeyId("AKIA0000000000000ANN".into()), None).await, ["ann"]);
    assert_eq!(find(&rig, User("ann".into()), None).await, ["ann"], "the user alone");
    assert_eq!(find(&rig, Contract("c-1".into()), None).await, ["ann", "ann", "app/db"]);
    assert_eq!(find(&rig, Contract("c-2".into()), None).await, ["app/db"], "shared with it");
    assert_eq!(find(&rig, Zone("acme".into()), None).await, ["ann", "bob", "ann"]);
    assert_eq!(find(&rig, tags, None).await, ["ann", "app/db"]);
}

#[tokio::test]
async fn secrets_are_found_by_what_they_hold_until_a_listing_says_otherwise() {
    let rig = stocked_with_secrets().await;
    let holding = async |holds: &[Holding]| rig.ledger.secrets_holding(holds).await.unwrap();
    let ann = secret_arn("eu-west-1", "ann");
    assert_eq!(arns(&holding(&[key("AKIA0000000000000ANN")]).await), [&ann]);
    let [eu, us] = ["eu-west-1", "us-east-1"].map(|region| secret_arn(region, "app/db"));
    assert_eq!(arns(&holding(&[login("app@db")]).await), [&eu, &us], "both share it");
    let all = [login("app@db"), key("AKIA0000000000000ANN"), key("AKIA00000000000000NO")];
    assert_eq!(arns(&holding(&all).await), [&ann, &eu, &us]);
    assert!(holding(&[key("app@db")]).await.is_empty(), "a key is no login");
    assert!(holding(&[]).await.is_empty());
    let renewed = secret("eu-west-1", "ann", &[], &[key("AKIA000000000000ANN2")]);
    rig.ledger.store_identities(&ACCOUNT.into(), 2, &[renewed]).await.unwrap();
    rig.ledger.finish_inventory(&ACCOUNT.into(), 2, at(9)).await.unwrap();
    assert!(holding(&all[..2]).await.is_empty());
    assert_eq!(arns(&holding(&[key("AKIA000000000000ANN2")]).await), [&ann]);
}

#[tokio::test]
async fn what_a_look_saw_in_a_secret_is_found_before_the_next_listing() {
    let rig = stocked_with_secrets().await;
    let holding = async |holds: &[Holding]| rig.ledger.secrets_holding(holds).await.unwrap();
    let ann = secret_arn("eu-west-1", "ann");
    let (old, new) = (key("AKIA0000000000000ANN"), key("AKIA000000000000ANN2"));
    rig.ledger.learn_holdings(&ann, &[new.clone()].into()).await.unwrap();
    assert!(holding(&[old]).await.is_empty(), "it was replaced");
    let found = holding(std::slice::from_ref(&new)).await;
    assert_eq!(arns(&found), [&ann]);
    assert_eq!(found[0].secret().unwrap().1.holds, [new].into());
    let unlisted = secret_arn("eu-west-1", "unlisted");
    let other = key("AKIA00000000000OTHER");
    rig.ledger.learn_holdings(&unlisted, &[other.clone()].into()).await.unwrap();
    assert!(holding(&[other]).await.is_empty(), "nothing else is known of it");
}

#[tokio::test]
async fn secrets_are_gone_through_in_pages_and_each_is_seen_once() {
    let rig = stocked_with_secrets().await;
    let mut seen = Vec::new();
    loop {
        let after = seen.last().map(String::as_str);
        let page = rig.ledger.secrets_after(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|secret| secret.arn));
    }
    let [eu, us] = ["eu-west-1", "us-east-1"].map(|region| secret_arn(region, "app/db"));
    assert_eq!(seen, [secret_arn("eu-west-1", "ann"), eu, us]);
}
