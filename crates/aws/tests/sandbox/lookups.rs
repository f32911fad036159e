//! Finding whose a key is, live lookups, the inventory, who we are and what we may do.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use severance_aws::REQUIRED_PERMISSIONS;
use severance_engine::ports::{InventorySink, KeyLocation, Provider as _};
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::task::Lane;

use crate::support::{HOME, OTHER, World, policy, trust, world};

#[derive(Default)]
struct Keep(Vec<Identity>);

#[async_trait::async_trait]
impl InventorySink for Keep {
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure> {
        self.0.extend(identities);
        Ok(())
    }
}

async fn inventory(world: &World) -> BTreeMap<String, Identity> {
    let mut kept = Keep::default();
    world.provider.inventory(&HOME.into(), &mut kept).await.unwrap();
    let all = kept.0.len();
    let by_arn: BTreeMap<_, _> = kept.0.into_iter().map(|it| (it.arn.clone(), it)).collect();
    assert_eq!(by_arn.len(), all, "nobody is listed twice");
    by_arn
}

async fn locate(world: &World, key_id: &str) -> KeyLocation {
    world.provider.locate_key(key_id, Lane::Compromise).await.unwrap()
}

async fn find(world: &World, target: SelectorTarget, account: Option<&str>) -> Vec<Identity> {
    let selector = Selector { target, account: account.map(AccountId::from), region: None };
    world.provider.find(&selector, Lane::Compromise).await.unwrap()
}

#[tokio::test]
async fn a_key_is_located_in_the_account_that_has_it_before_any_inventory() {
    let world = world().await;
    let seed = world.aws.seed(OTHER).unwrap();
    let id = seed.user("there", &[("severance:zone", "acme")]).unwrap();
    let key = seed.access_key("there").unwrap();
    seed.user_policy("there", "p", &policy("Allow", "s3:*")).unwrap();
    let KeyLocation::User(found) = locate(&world, &key.access_key_id).await else {
        panic!("not located");
    };
    assert_eq!((found.account.as_str(), found.unique_id), (OTHER, id));
    assert_eq!(found.tags["severance:zone"], "acme");
    let expected = IdentityDetail::User {
        access_keys: vec![key.access_key_id],
        policies: vec!["p".into()],
        credentials: 1,
    };
    assert_eq!(found.detail, expected);
}

#[tokio::test]
async fn keys_that_no_user_has_are_told_apart() {
    let world = world().await;
    let root = world.aws.root_key(OTHER).unwrap().access_key_id;
    assert_eq!(locate(&world, &root).await, KeyLocation::Root { account: OTHER.into() });

    let user = world.user("ci");
    let key = world.key(&user);
    let delete = world.somebody().delete_access_key().user_name("ci");
    delete.access_key_id(&key.access_key_id).send().await.unwrap();
    let gone = KeyLocation::NotInAccount { account: HOME.into() };
    assert_eq!(locate(&world, &key.access_key_id).await, gone);

    let session = key.access_key_id.replacen("AKIA", "ASIA", 1);
    let expected = KeyLocation::Session { account: Some(HOME.into()) };
    assert_eq!(locate(&world, &session).await, expected);
    for nothing in ["AIDAIOSFODNN7EXAMPLE", "akiaiosfodnn7example", "AKIA1111111111111111"] {
        assert_eq!(locate(&world, nothing).await, KeyLocation::Unknown, "{nothing}");
    }
}

#[tokio::test]
async fn a_user_who_is_named_like_root_is_a_user() {
    let world = world().await;
    for name in ["root", HOME] {
        let user = world.user(name);
        let key = world.key(&user);
        let found = locate(&world, &key.access_key_id).await;
        assert!(matches!(&found, KeyLocation::User(it) if it.unique_id == user.id), "{found:?}");
    }
    let root = world.aws.root_key(HOME).unwrap().access_key_id;
    assert_eq!(locate(&world, &root).await, KeyLocation::Root { account: HOME.into() });
}

#[tokio::test]
async fn a_key_of_an_account_that_is_not_configured_is_not_looked_for_elsewhere() {
    let world = world().await;
    let world = world.configured(|c| c.accounts.truncate(1)).await;
    let seed = world.aws.seed(OTHER).unwrap();
    seed.user("there", &[]).unwrap();
    let key = seed.access_key("there").unwrap();
    let expected = KeyLocation::OtherAccount { account: OTHER.into() };
    assert_eq!(locate(&world, &key.access_key_id).await, expected);
    assert_eq!(world.calls("GetAccessKeyLastUsed"), 0);
}

#[tokio::test]
async fn a_key_whose_lookup_is_denied_to_us_is_found_by_listing() {
    let world = world().await;
    let user = world.user("ci");
    let key = world.key(&user);
    let deny = policy("Deny", "iam:GetAccessKeyLastUsed");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    let found = locate(&world, &key.access_key_id).await;
    assert!(matches!(found, KeyLocation::User(found) if found.name == "ci"));
}

#[tokio::test]
async fn selectors_find_by_name_arn_and_tags_and_only_where_they_say() {
    let world = world().await;
    world.user("ci");
    world.aws.seed(OTHER).unwrap().user("ci", &[("team", "x")]).unwrap();
    let user = |text: &str| SelectorTarget::User(text.to_owned());
    assert_eq!(find(&world, user("ci"), None).await.len(), 2);
    assert_eq!(find(&world, user("ci"), Some(OTHER)).await[0].account.as_str(), OTHER);
    assert_eq!(find(&world, user("nobody"), None).await, []);
    let arn = format!("arn:aws:iam::{HOME}:user/ci");
    assert_eq!(find(&world, user(&arn), None).await[0].arn, arn);
    for other in [
        format!("arn:aws-cn:iam::{HOME}:user/ci"),
        "arn:aws:iam::333333333333:user/ci".to_owned(),
        format!("arn:aws:iam::{HOME}:user/elsewhere/ci"),
        format!("arn:aws:iam::{HOME}:role/ci"),
    ] {
        assert_eq!(find(&world, user(&other), None).await, [], "{other}");
    }
    let role = find(&world, SelectorTarget::Role("severance".into()), Some(HOME)).await;
    assert!(matches!(role[0].detail, IdentityDetail::Role { max_session_seconds: 43_200, .. }));
    let tags = |value: &str| SelectorTarget::Tags([("Team".into(), value.into())].into());
    assert_eq!(find(&world, tags("x"), None).await[0].account.as_str(), OTHER);
    assert_eq!(find(&world, tags("X"), None).await, [], "values differ by case, keys do not");
}

#[tokio::test]
async fn the_inventory_lists_all_over_small_pages_with_or_without_the_permission_for_details() {
    let world = world().await;
    for number in 0..7 {
        let user = world.user(&format!("u{number}"));
        world.key(&user);
        world
            .seed()
            .role(&format!("r{number}"), &trust("*"), &[("severance:zone", "acme")])
            .unwrap();
    }
    world.seed().login_profile("u0", "a password").unwrap();
    world.seed().user_policy("u0", "p", &policy("Allow", "s3:*")).unwrap();
    world.aws.set_page_size(2);
    let by_details = inventory(&world).await;
    assert_eq!(by_details.len(), 7 + 7 + 2, "the base user and our own role are there too");
    let user = &by_details[&format!("arn:aws:iam::{HOME}:user/u0")];
    let IdentityDetail::User { access_keys, policies, credentials } = &user.detail else {
        panic!("{user:?}");
    };
    assert_eq!(
        (access_keys.len(), policies.as_slice(), *credentials),
        (1, &["p".to_owned()][..], 2)
    );
    let role = &by_details[&format!("arn:aws:iam::{HOME}:role/r6")];
    assert_eq!(role.tags["severance:zone"], "acme");

    let deny = policy("Deny", "iam:GetAccountAuthorizationDetails");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    assert_eq!(inventory(&world).await, by_details);
}

#[tokio::test]
async fn roles_alone_are_listed_as_the_inventory_has_them_and_no_user_is_asked() {
    let world = world().await;
    world.aws.set_page_size(2);
    let user = world.user("ann");
    world.key(&user);
    for number in 0..5 {
        world.role(&format!("r{number}"), &trust("*"));
    }
    let mut all = inventory(&world).await;
    all.retain(|_, identity| matches!(identity.detail, IdentityDetail::Role { .. }));
    for denied in [false, true] {
        if denied {
            let deny = policy("Deny", "iam:GetAccountAuthorizationDetails");
            world.seed().role_policy("severance", "no", &deny).unwrap();
        }
        world.aws.log().clear();
        let mut roles = Keep(Vec::new());
        world.provider.roles(&HOME.into(), Lane::Compromise, &mut roles).await.unwrap();
        let listed: BTreeMap<_, _> = roles.0.into_iter().map(|it| (it.arn.clone(), it)).collect();
        assert_eq!(listed, all, "denied: {denied}");
        assert_eq!((world.calls("ListAccessKeys"), world.calls("ListUsers")), (0, 0));
    }
}

#[tokio::test]
async fn what_a_sink_fails_with_ends_the_inventory() {
    struct Full;
    #[async_trait::async_trait]
    impl InventorySink for Full {
        async fn page(&mut self, _: Vec<Identity>) -> Result<(), Failure> {
            Err(Failure {
                class: FailureClass::RetrySoon,
                operation: "store".into(),
                code: "Disk".into(),
                message: "full".into(),
                request_id: None,
            })
        }
    }
    let world = world().await;
    let failed = world.provider.inventory(&HOME.into(), &mut Full).await;
    assert_eq!(failed.unwrap_err().code, "Disk");
}

#[tokio::test]
async fn our_own_identities_are_roles_and_the_user_that_takes_them() {
    let world = world().await;
    let own = world.provider.own_identities().await.unwrap();
    let expected = [
        format!("arn:aws:iam::{HOME}:role/severance"),
        format!("arn:aws:iam::{HOME}:user/severance-base"),
        format!("arn:aws:iam::{OTHER}:role/severance"),
    ];
    assert_eq!(own, expected);
}

#[tokio::test]
async fn roles_are_assumable_by_name_or_where_the_users_own_policies_allow_it() {
    let world = world().await;
    for name in ["plain", "allowed"] {
        world.user(name);
    }
    world.seed().user_policy("allowed", "p", &policy("Allow", "sts:AssumeRole")).unwrap();
    world.role("named", &trust(&format!("arn:aws:iam::{HOME}:user/plain")));
    world.role("account", &trust(&format!("arn:aws:iam::{HOME}:root")));
    world.role("closed", &trust(&format!("arn:aws:iam::{OTHER}:root")));
    let all = inventory(&world).await;
    let roles: Vec<Identity> = all.values().filter(|it| it.role().is_some()).cloned().collect();
    let assumable = |user: &'static str| {
        let identity = &all[&format!("arn:aws:iam::{HOME}:user/{user}")];
        let (world, roles) = (&world, &roles);
        async move {
            let found = world.provider.assumable(identity, roles, Lane::Compromise).await.unwrap();
            found.into_iter().map(|role| role.role.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(assumable("plain").await, ["named"]);
    assert_eq!(assumable("allowed").await, ["account"]);
    // Without the simulation, what the trust lets in counts.
    let deny = policy("Deny", "iam:SimulatePrincipalPolicy");
    world.seed().role_policy("severance", "no", &deny).unwrap();
    assert_eq!(assumable("plain").await, ["account", "named"]);
}

#[tokio::test]
async fn missing_permissions_are_named_and_without_simulation_what_can_be_tried_is_tried() {
    let world = world().await;
    let home = AccountId::from(HOME);
    let report = world.provider.check_permissions(&home).await.unwrap();
    assert_eq!(report.identity, format!("arn:aws:iam::{HOME}:role/severance"));
    assert_eq!((report.missing, report.unchecked), (vec![], vec![]));

    world.seed().role_policy("severance", "a", &policy("Deny", "iam:UpdateAccessKey")).unwrap();
    world.seed().role_policy("severance", "b", &policy("Deny", "iam:ListUsers")).unwrap();
    let named = |report: &severance_aws::PermissionReport| -> Vec<&str> {
        report.missing.iter().map(|it| it.action).collect()
    };
    let report = world.provider.check_permissions(&home).await.unwrap();
    assert_eq!(named(&report), ["iam:ListUsers", "iam:UpdateAccessKey"]);

    let deny = policy("Deny", "iam:SimulatePrincipalPolicy");
    world.seed().role_policy("severance", "c", &deny).unwrap();
    let report = world.provider.check_permissions(&home).await.unwrap();
    assert_eq!(named(&report), ["iam:ListUsers", "iam:SimulatePrincipalPolicy"]);
    assert_eq!(report.unchecked.len(), REQUIRED_PERMISSIONS.len() - 5);
    assert_eq!(world.aws.log().changes().iter().filter(|c| c.operation != "AssumeRole").count(), 0);
}

#[tokio::test]
async fn our_own_identities_are_known_although_an_account_refuses_us() {
    let world = world().await;
    let world = world.configured(|c| c.accounts[1].external_id = Some("refused".into())).await;
    let deny = policy("Deny", "sts:AssumeRole");
    world.seed().user_policy("severance-base", "no", &deny).unwrap();
    let own = world.provider.own_identities().await.unwrap();
    assert!(own.contains(&format!("arn:aws:iam::{OTHER}:role/severance")), "{own:?}");
    assert_eq!(own.len(), 3);
}

#[tokio::test]
async fn credentials_of_another_account_are_not_used_where_they_were_not_meant() {
    let world = world().await;
    // The base credentials are of the first account.
    let world = world.configured(|c| c.accounts[1].role_arn = None).await;
    world.user("ci");
    let selector = Selector {
        target: SelectorTarget::User("ci".into()),
        account: Some(OTHER.into()),
        region: None,
    };
    let found = world.provider.find(&selector, Lane::Compromise).await.unwrap_err();
    assert_eq!((found.class, found.code.as_str()), (FailureClass::Cannot, "WrongAccount"));
    assert_eq!(world.calls("GetUser"), 0);
    let checked = world.provider.check_permissions(&OTHER.into()).await.unwrap_err();
    assert_eq!(checked.code, "WrongAccount");
    let world = world.configured(|c| c.accounts[0].role_arn = None).await;
    for _ in 0..2 {
        assert_eq!(find(&world, SelectorTarget::User("ci".into()), Some(HOME)).await.len(), 1);
    }
    let asked = world.recorder.called.lock().unwrap().clone();
    let asked = asked.iter().filter(|(operation, _)| operation == "sts:GetCallerIdentity").count();
    assert_eq!(asked, 3, "twice refused, and once where they are right");
}

#[tokio::test]
async fn our_own_dead_credentials_do_not_say_that_there_is_no_such_key() {
    let world = world().await;
    let key = world.key(&world.user("ci"));
    let base = world.somebody().list_access_keys().user_name("severance-base").send().await;
    let base = base.unwrap().access_key_metadata.remove(0).access_key_id.unwrap();
    let off = world.somebody().update_access_key().user_name("severance-base");
    let off = off.access_key_id(base).status(aws_sdk_iam::types::StatusType::Inactive);
    off.send().await.unwrap();
    world.aws.settle();
    let failure = world.provider.locate_key(&key.access_key_id, Lane::Compromise).await;
    assert_eq!(failure.unwrap_err().code, "InvalidClientTokenId");
}

#[tokio::test]
async fn who_we_are_settles_whose_the_base_credentials_are_before_the_first_look() {
    let world = world().await;
    let world = world.configured(|c| c.accounts[0].role_arn = None).await;
    let user = world.user("ci");
    let key = world.key(&user);
    world.provider.own_identities().await.unwrap();
    let before = world.recorder.admitted.load(Ordering::SeqCst);
    world.key_view(&key, &user).await;
    assert_eq!(world.recorder.admitted.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn what_a_renamed_user_may_assume_is_asked_under_its_new_name() {
    let world = world().await;
    let user = world.user("ci");
    world.seed().user_policy("ci", "p", &policy("Allow", "sts:AssumeRole")).unwrap();
    world.role("open", &trust(&format!("arn:aws:iam::{HOME}:root")));
    let all = inventory(&world).await;
    let candidates = [all[&format!("arn:aws:iam::{HOME}:role/open")].clone()];
    let identity = &all[&format!("arn:aws:iam::{HOME}:user/ci")];
    assert_eq!(identity.unique_id, user.id);
    let rename = world.somebody().update_user().user_name("ci").new_user_name("hidden");
    rename.send().await.unwrap();
    let found = world.provider.assumable(identity, &candidates, Lane::Compromise).await.unwrap();
    assert_eq!(found.len(), 1);
}
