//! What the planner makes of secrets, and of the keys that they hold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use severance_lifecycle::case::{Case, CaseState};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{Cause, Selector, SelectorTarget, Severity, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::EventKey;
use severance_lifecycle::plan::{
    Identity, IdentityDetail, Planned, Planner, Portions, Protected, SecretDetail, SelectorMatch,
    TagKeys, Ties, unresolved_task,
};
use severance_lifecycle::policy::{Desired, Holds};
use severance_lifecycle::rotation::{OldVersion, RevokeOrder};
use severance_lifecycle::secret::{Holding, Issuer, Strategy as How};
use severance_lifecycle::secret_view::Held;
use severance_lifecycle::task::{BlockReason, Lane, Mode, Task, TaskState, Verification};
use severance_lifecycle::zone::{ZoneSettings, Zones};

const ACCOUNT: &str = "111122223333";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn case(trigger: Trigger, severity: Severity) -> Case {
    let ends = trigger == Trigger::ContractEnd;
    Case {
        id: "c-1".into(),
        event: EventKey { source: "/s".into(), id: "1".into() },
        trigger,
        severity: (trigger == Trigger::CompromiseNotice).then_some(severity),
        zone: ends.then(|| "acme".into()),
        contract: ends.then(|| "acme-1".into()),
        cause: None,
        grace: None,
        ticket: None,
        noticed_at: now() - TimeDelta::minutes(5),
        received_at: now(),
        start_at: now(),
        state: CaseState::Accepted,
        released: 0,
        closed_at: None,
    }
}

fn rotation() -> Case {
    case(Trigger::Rotation, Severity::Low)
}

fn notice(severity: Severity) -> Case {
    case(Trigger::CompromiseNotice, severity)
}

fn end() -> Case {
    case(Trigger::ContractEnd, Severity::Low)
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn user(name: &str, keys: &[&str]) -> Identity {
    Identity {
        account: ACCOUNT.into(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
        name: name.into(),
        unique_id: format!("ID{name}"),
        created: now(),
        tags: tags(&[("severance:zone", "acme"), ("severance:contract", "acme-1")]),
        detail: IdentityDetail::User {
            access_keys: keys.iter().map(|key| (*key).into()).collect(),
            policies: Vec::new(),
            credentials: keys.len(),
        },
    }
}

fn key(id: &str) -> Holding {
    Holding::AccessKey { key_id: id.into() }
}

fn login(name: &str) -> Holding {
    Holding::Login { login: name.into() }
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:{name}-AbCdEf")
}

fn secret(name: &str, strategy: How, holds: &[Holding]) -> Identity {
    Identity {
        account: ACCOUNT.into(),
        arn: arn(name),
        name: name.into(),
        unique_id: arn(name),
        created: now() - TimeDelta::days(90),
        tags: tags(&[("severance:zone", "acme")]),
        detail: IdentityDetail::Secret(SecretDetail {
            region: "eu-west-1".into(),
            strategy,
            holds: holds.iter().cloned().collect(),
            last_rotated: None,
            deleted_at: None,
            owning_service: None,
        }),
    }
}

fn tagged(mut identity: Identity, pairs: &[(&str, &str)]) -> Identity {
    identity.tags.extend(tags(pairs));
    identity
}

fn found(target: SelectorTarget, identities: Vec<Identity>) -> SelectorMatch {
    let identities = identities.into_iter().map(|identity| (identity, Vec::new())).collect();
    let selector = Selector { target, account: None, region: None };
    SelectorMatch { selector, identities, refused: None }
}

fn named(identity: &Identity) -> SelectorMatch {
    found(SelectorTarget::Secret(identity.name.clone()), vec![identity.clone()])
}

fn by_key(owner: &Identity) -> SelectorMatch {
    found(SelectorTarget::AccessKeyId(KEY.into()), vec![owner.clone()])
}

fn by_contract(identities: Vec<Identity>) -> SelectorMatch {
    found(SelectorTarget::Contract("acme-1".into()), identities)
}

/// The ties of these users and secrets.
fn ties(users: &[&Identity], secrets: &[&Identity]) -> Ties {
    let mut ties = Ties::default();
    for user in users {
        let IdentityDetail::User { access_keys, .. } = &user.detail else { panic!("no user") };
        let owned = access_keys.iter().map(|id| (id.clone(), Ok((*user).clone())));
        ties.owners.extend(owned);
    }
    ties.secrets = secrets.iter().map(|secret| (*secret).clone()).collect();
    ties
}

fn zones() -> Zones {
    let enforced = ZoneSettings { mode: Mode::Enforce, ..ZoneSettings::default() };
    Zones { named: BTreeMap::from([("acme".into(), enforced)]), ..Zones::default() }
}

fn plan_with(protected: &Protected, case: &Case, found: &[SelectorMatch], ties: &Ties) -> Planned {
    let (zones, tag_keys) = (zones(), TagKeys::default());
    let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected };
    planner.plan(case, found, ties, now())
}

fn plan(case: &Case, found: &[SelectorMatch], ties: &Ties) -> Planned {
    plan_with(&Protected::default(), case, found, ties)
}

fn task_of<'a>(planned: &'a Planned, secret: &Identity) -> &'a Task {
    let is_it = |task: &&Task| matches!(&task.target, Target::Secret { secret: it, .. } if it.arn == secret.arn);
    planned.tasks.iter().find(is_it).expect("the secret has a task")
}

fn key_task(planned: &Planned) -> Option<&Task> {
    planned.tasks.iter().find(|task| matches!(task.target, Target::AccessKey { .. }))
}

fn blocked(task: &Task) -> Option<&BlockReason> {
    match &task.state {
        TaskState::Blocked { reason } => Some(reason),
        _ => None,
    }
}

#[test]
fn a_rotation_rotates_secrets_in_the_last_lane_and_without_exposure() {
    let app = secret("app", How::Database { alternating: true }, &[login("app@db:5432")]);
    let planned = plan(&rotation(), &[named(&app)], &Ties::default());
    let task = task_of(&planned, &app);
    assert_eq!((planned.tasks.len(), task.desired, task.lane), (1, Desired::Rotated, Lane::Rest));
    assert_eq!((&task.state, task.mode), (&TaskState::Open, Mode::Enforce));
    let Target::Secret { issuer, .. } = &task.target else { panic!("no secret") };
    assert_eq!(*issuer, Issuer::Database { alternating: true });
    let terms = zones().policy(task, Holds::default()).rotation;
    assert_eq!((terms.exposed_at, terms.leaving.is_empty()), (None, true));
}

#[test]
fn a_rotations_grace_comes_on_top_of_its_objective() {
    let app = secret("app", How::Database { alternating: true }, &[login("app@db:5432")]);
    let untold = secret("untold", How::Untold, &[]);
    let zone = zones().get(&"acme".into()).clone();
    for (grace, expected) in [(None, zone.grace), (Some(TimeDelta::hours(9)), TimeDelta::hours(9))]
    {
        let case = Case { grace, ..rotation() };
        let planned = plan(&case, &[named(&app), named(&untold)], &Ties::default());
        assert_eq!(planned.tasks.len(), 2);
        for task in &planned.tasks {
            assert_eq!(task.deadline - case.noticed_at, zone.rotation_objective + expected);
        }
    }
    let case = notice(Severity::High);
    let planned = plan(&case, &[named(&app)], &Ties::default());
    let task = task_of(&planned, &app);
    assert_eq!(task.deadline - case.noticed_at, zone.compromise_objective, "it leaves no grace");
}

#[test]
fn a_zones_grace_that_is_shorter_than_clients_keep_a_value_is_told_with_each_rotation() {
    let app = secret("app", How::Database { alternating: true }, &[login("app@db:5432")]);
    let told = |grace: i64, case: &Case| {
        let mut zones = zones();
        zones.named.get_mut(&"acme".into()).unwrap().grace = TimeDelta::minutes(grace);
        let (tag_keys, protected) = (TagKeys::default(), Protected::default());
        let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected: &protected };
        planner.plan(case, &[named(&app)], &Ties::default(), now()).findings
    };
    assert_eq!(told(30, &rotation()), [Finding::ShortGrace { seconds: 1_800 }]);
    assert_eq!(told(60, &rotation()), []);
    let asked = Case { grace: Some(TimeDelta::minutes(5)), ..rotation() };
    assert_eq!(told(30, &asked), [], "told when its event came");
    assert_eq!(told(30, &notice(Severity::High)), [], "what is exposed has none");
}

#[test]
fn a_rotation_of_a_user_rotates_what_holds_its_keys_and_says_which_key_nobody_holds() {
    let ann = user("ann", &[KEY, "AKIA0000000000OTHER1"]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let by_name = found(SelectorTarget::User("ann".into()), vec![ann.clone()]);
    let planned = plan(&rotation(), &[by_name], &ties(&[&ann], &[&app]));
    assert_eq!(planned.tasks.len(), 2, "{:?}", planned.tasks);
    assert_eq!(task_of(&planned, &app).state, TaskState::Open);
    let other = planned.tasks.iter().find(|it| it.target.kind().as_str() == "unresolved").unwrap();
    assert_eq!(blocked(other), Some(&BlockReason::KeyInNoSecret));
    let Target::Unresolved { selector } = &other.target else { panic!("resolved") };
    assert_eq!(selector.target, SelectorTarget::AccessKeyId("AKIA0000000000OTHER1".into()));
    assert_eq!(other.id, unresolved_task(&"c-1".into(), Trigger::Rotation, selector));
    assert_eq!((other.desired, other.binding.zone.as_str()), (Desired::Rotated, "acme"));
    // Looked up again once a secret holds it.
    let late = secret("late", How::IamAccessKey, &[key("AKIA0000000000OTHER1")]);
    let again = SelectorMatch {
        selector: selector.clone(),
        identities: vec![(ann.clone(), Vec::new())],
        refused: None,
    };
    let again = plan(&rotation(), &[again], &ties(&[&ann], &[&app, &late]));
    assert_eq!(again.tasks.len(), 1, "the other key is not rotated again");
    assert_eq!(task_of(&again, &late).state, TaskState::Open);
}

#[test]
fn a_support_handoff_rotates_all_that_its_selector_matches_whatever_the_strategy() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let own = secret("own", How::Managed, &[]);
    let single = secret("single", How::Database { alternating: false }, &[login("one@db:5432")]);
    let turns = secret("turns", How::Database { alternating: true }, &[login("two@db:5432")]);
    let hooked = secret("hooked", How::Webhook { name: "hook".into() }, &[]);
    let secrets = [&app, &own, &single, &turns, &hooked];
    let team = SelectorTarget::Tags(tags(&[("support", "team-a")]));
    let known = secrets.into_iter().chain([&ann]).cloned().collect();
    let case = Case { cause: Some(Cause::SupportHandoff), ..rotation() };
    let planned = plan(&case, &[found(team, known)], &ties(&[&ann], &[&app]));
    assert_eq!(planned.tasks.len(), secrets.len(), "the user's key is its secret's: {planned:?}");
    for secret in secrets {
        let task = task_of(&planned, secret);
        assert_eq!((task.desired, &task.state), (Desired::Rotated, &TaskState::Open));
        assert_eq!((task.cause, task.lane), (Some(Cause::SupportHandoff), Lane::Rest));
        let terms = zones().policy(task, Holds::default()).rotation;
        assert_eq!(terms.exposed_at, None, "a handoff exposes nothing");
    }
}

#[test]
fn a_rotation_of_what_holds_nothing_says_so() {
    let planned = plan(
        &rotation(),
        &[found(SelectorTarget::User("bob".into()), vec![user("bob", &[])])],
        &Ties::default(),
    );
    assert_eq!(blocked(&planned.tasks[0]), Some(&BlockReason::NothingToRotate));
}

#[test]
fn a_notice_that_names_a_key_kills_it_at_once_and_replaces_it_in_its_secret() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    for severity in [Severity::Low, Severity::Critical] {
        let planned = plan(&notice(severity), &[by_key(&ann)], &ties(&[&ann], &[&app]));
        assert_eq!((planned.tasks.len(), planned.credentials()), (2, 2));
        let (key, secret) = (key_task(&planned).unwrap(), task_of(&planned, &app));
        assert_eq!((key.desired, secret.desired), (Desired::Revoked, Desired::Rotated));
        assert_eq!(key.target.lock(), secret.target.lock(), "never both at a time");
        assert_eq!(secret.lane, Lane::Compromise);
        let terms = zones().policy(secret, Holds::default()).rotation;
        assert_eq!(terms.exposed_at, Some(secret.noticed_at));
    }
}

#[test]
fn a_secret_that_nobody_said_how_to_replace_is_told_with_the_key_it_holds() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::Untold, &[key(KEY)]);
    let planned = plan(&notice(Severity::High), &[by_key(&ann)], &ties(&[&ann], &[&app]));
    assert_eq!(planned.tasks.len(), 1);
    let told =
        Finding::HandsOutRevoked { secret: app.arn, credential: format!("access key {KEY}") };
    assert_eq!(planned.findings, [told]);
}

#[test]
fn a_named_secrets_key_dies_by_a_task_of_its_own_only_where_it_is_to_die_first() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let tied = ties(&[&ann], &[&app]);
    let later = plan(&notice(Severity::High), &[named(&app)], &tied);
    assert!(key_task(&later).is_none(), "it lives until there is another");
    let order =
        |planned: &Planned| zones().policy(task_of(planned, &app), Holds::default()).rotation.order;
    assert_eq!(order(&later), RevokeOrder::ReplaceThenRevoke);
    let first = plan(&notice(Severity::Critical), &[named(&app)], &tied);
    assert_eq!(key_task(&first).unwrap().desired, Desired::Revoked);
    assert_eq!(order(&first), RevokeOrder::RevokeFirst);
    let critical = tagged(app.clone(), &[("severance:tier", "critical")]);
    let by_tier = plan(&notice(Severity::Low), &[named(&critical)], &tied);
    assert!(key_task(&by_tier).is_some(), "the tier asks for it too");
}

#[test]
fn a_key_dies_whatever_the_order_where_its_secret_cannot_be_rotated() {
    let ann = user("ann", &[KEY]);
    let managed = {
        let mut app = secret("app", How::IamAccessKey, &[key(KEY)]);
        let IdentityDetail::Secret(detail) = &mut app.detail else { panic!("no secret") };
        detail.owning_service = Some("rds".into());
        app
    };
    let untold = secret("untold", How::Untold, &[key(KEY)]);
    let function = secret("function", How::Managed, &[key(KEY)]);
    for one in [managed, untold, function] {
        let planned = plan(&notice(Severity::Low), &[named(&one)], &ties(&[&ann], &[&one]));
        assert!(key_task(&planned).is_some(), "{}", one.name);
    }
}

#[test]
fn a_contracts_own_secret_has_its_key_die_or_the_key_does_by_itself() {
    let ann = user("ann", &[KEY]);
    for (how, by_itself) in [(How::IamAccessKey, false), (How::Untold, false), (How::Managed, true)]
    {
        let theirs = tagged(secret("app", how, &[key(KEY)]), &[("severance:contract", "acme-1")]);
        let tied = ties(&[&ann], &[&theirs]);
        let planned = plan(&end(), &[by_contract(vec![theirs.clone()])], &tied);
        assert_eq!(task_of(&planned, &theirs).desired, Desired::Revoked);
        assert_eq!(key_task(&planned).is_some(), by_itself);
    }
}

#[test]
fn an_unknown_strategy_is_told_with_its_tag_and_looked_up_again() {
    let (tag, value) = ("severance:strategy".to_owned(), "lambda".to_owned());
    let how = How::Unknown { tag: tag.clone(), value: value.clone() };
    let app = tagged(secret("app", how, &[]), &[("severance:contract", "acme-1")]);
    for case in [rotation(), notice(Severity::High), end()] {
        let planned = plan(&case, &[by_contract(vec![app.clone()])], &Ties::default());
        let task = &planned.tasks[0];
        let reason = BlockReason::UnknownStrategy { tag: tag.clone(), value: value.clone() };
        assert_eq!((planned.tasks.len(), blocked(task)), (1, Some(&reason)));
        assert!(
            reason.to_string().contains("severance:strategy")
                && reason.to_string().contains("lambda")
        );
        let Target::Unresolved { selector } = &task.target else { panic!("resolved") };
        assert_eq!(selector.target, SelectorTarget::Secret(app.arn.clone()));
        assert_eq!(task.mode, Mode::Enforce, "an open exposure of its zone");
        assert_eq!(task.binding.zone.as_str(), "acme");
    }
}

#[test]
fn a_key_of_nobody_that_is_known_blocks_its_secret_with_the_reason() {
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let mut tied = ties(&[], &[&app]);
    tied.owners.insert(KEY.into(), Err(BlockReason::RootKey));
    let planned = plan(&rotation(), &[named(&app)], &tied);
    let reason = blocked(&planned.tasks[0]).unwrap();
    assert!(matches!(reason, BlockReason::UnknownKeyOfSecret { .. }), "{reason}");
    assert!(reason.to_string().contains("root"), "{reason}");
    let empty = secret("empty", How::IamAccessKey, &[]);
    let planned = plan(&rotation(), &[named(&empty)], &Ties::default());
    assert!(matches!(blocked(&planned.tasks[0]), Some(BlockReason::UnfitValue { .. })));
}

#[test]
fn a_contracts_own_secret_ends_and_a_shared_one_is_rotated_without_its_leavers() {
    let ann = user("ann", &["AKIA0000000000000ANN"]);
    let contract = [("severance:contract", "acme-1")];
    let theirs = tagged(secret("theirs", How::Managed, &[]), &contract);
    let lent = tagged(
        secret("lent", How::Managed, &[]),
        &[("severance:contract", "acme-1"), ("severance:shared-with", "acme-2 acme-1")],
    );
    let ours = tagged(secret("ours", How::Managed, &[]), &[("severance:shared-with", "acme-1")]);
    let all = vec![ann.clone(), theirs.clone(), lent.clone(), ours.clone()];
    let planned = plan(&end(), &[by_contract(all)], &Ties::default());
    let desired = |secret| task_of(&planned, secret).desired;
    assert_eq!(desired(&theirs), Desired::Revoked);
    assert_eq!((desired(&lent), desired(&ours)), (Desired::Rotated, Desired::Rotated));
    for secret in [&theirs, &lent, &ours] {
        let task = task_of(&planned, secret);
        assert_eq!(task.leaving, BTreeSet::from([ann.arn.clone()]), "ARNs alone");
        assert_eq!(zones().policy(task, Holds::default()).rotation.leaving, task.leaving);
    }
    // Planned again, when nobody but the secret is looked up.
    let leaving = BTreeSet::from([ann.arn.clone(), ann.unique_id.clone()]);
    let late = Ties { leaving, ..Ties::default() };
    let again = plan(&end(), &[named(&ours)], &late);
    assert_eq!(task_of(&again, &ours).leaving, BTreeSet::from([ann.arn]));
}

#[test]
fn a_contracts_end_takes_no_secret_of_another_zone() {
    let other = tagged(
        secret("other", How::Managed, &[]),
        &[("severance:zone", "globex"), ("severance:shared-with", "acme-1")],
    );
    let planned = plan(&end(), &[by_contract(vec![other])], &Ties::default());
    assert!(planned.tasks.is_empty());
    assert!(matches!(planned.findings[..], [Finding::ZoneMismatch { .. }]));
}

#[test]
fn a_whole_user_that_is_revoked_gets_no_new_key_in_its_secret() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let all = || found(SelectorTarget::Zone("acme".into()), vec![ann.clone(), app.clone()]);
    let planned = plan(&notice(Severity::Critical), &[all()], &ties(&[&ann], &[&app]));
    assert!(matches!(planned.tasks[..], [Task { target: Target::User { .. }, .. }]));
    assert!(matches!(planned.findings[..], [Finding::HandsOutRevoked { .. }]));
    // A contract's own secret ends with its user.
    let theirs = tagged(app, &[("severance:contract", "acme-1")]);
    let both = by_contract(vec![ann.clone(), theirs.clone()]);
    let planned = plan(&end(), &[both], &ties(&[&ann], &[&theirs]));
    assert_eq!((planned.tasks.len(), planned.findings.len()), (2, 0));
    assert_eq!(task_of(&planned, &theirs).desired, Desired::Revoked);
}

#[test]
fn secrets_that_share_a_credential_wait_and_in_a_compromise_one_of_them_replaces_it() {
    let how = || How::Database { alternating: false };
    let [a, b] = ["a", "b"].map(|name| secret(name, how(), &[login("app@db:5432")]));
    let tied = ties(&[], &[&a, &b]);
    let routine = plan(&rotation(), &[named(&a)], &tied);
    let shared = BlockReason::SharedCredential { secrets: vec![a.arn.clone(), b.arn.clone()] };
    assert_eq!(blocked(task_of(&routine, &a)), Some(&shared));
    assert!(routine.findings.iter().any(|it| matches!(it, Finding::SharedCredential { .. })));
    // Whichever is named, both are exposed.
    for one in [&a, &b] {
        let planned = plan(&notice(Severity::High), &[named(one)], &tied);
        assert_eq!(planned.tasks.len(), 2);
        assert_eq!(task_of(&planned, &a).state, TaskState::Open);
        assert_eq!(blocked(task_of(&planned, &b)), Some(&shared));
    }
}

/// What is planned once a listing was looked at, after these tasks of an earlier plan.
fn plan_again(found: &[SelectorMatch], ties: &Ties, earlier: &[&Task]) -> Planned {
    let (zones, tag_keys, protected) = (zones(), TagKeys::default(), Protected::default());
    let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected: &protected };
    let mut portions = Portions::default();
    for task in earlier {
        portions.stands(task);
        portions.left_behind(task);
    }
    planner.plan_rest(&notice(Severity::High), found, ties, &portions, now())
}

#[test]
fn a_secret_that_is_found_later_waits_for_the_one_that_replaces_the_credential_already() {
    let how = || How::Database { alternating: false };
    let [a, b, c] = ["a", "b", "c"].map(|name| secret(name, how(), &[login("app@db:5432")]));
    let first = plan(&notice(Severity::High), &[named(&b)], &ties(&[], &[&b, &c]));
    let (writes, waits) = (task_of(&first, &b), task_of(&first, &c));
    let shared = BlockReason::SharedCredential {
        secrets: [&a, &b, &c].map(|secret| secret.arn.clone()).to_vec(),
    };
    let verification = Verification::ControlPlane;
    let through = Task { state: TaskState::Done { verification }, ..writes.clone() };
    for stands in [writes, &through] {
        let again = plan_again(&[named(&b)], &ties(&[], &[&a, &b, &c]), &[stands, waits]);
        assert_eq!(blocked(task_of(&again, &a)), Some(&shared));
        assert_eq!(blocked(task_of(&again, &b)), None, "it is at it, and nobody is told otherwise");
        assert_eq!(blocked(task_of(&again, &c)), Some(&shared));
        let told = Finding::SharedCredential {
            secrets: [&a, &b, &c].map(|secret| secret.arn.clone()).to_vec(),
        };
        assert!(again.findings.contains(&told));
    }
    // Whoever waits, or only observes, replaces nothing that another one could break.
    let quiet = Task { mode: Mode::Observe, ..writes.clone() };
    for stands in [waits, &quiet] {
        let again = plan_again(&[named(&b)], &ties(&[], &[&a, &b, &c]), &[stands]);
        assert_eq!(task_of(&again, &a).state, TaskState::Open);
    }
}

#[test]
fn what_a_secret_handed_out_stays_exposed_where_others_hand_it_out_still() {
    let [listed, found, beside, new] = [KEY, "AKIAFOUND", "AKIABESIDE", "AKIANEW"];
    let ann = user("ann", &[listed, found, beside, new]);
    let before = secret("b", How::IamAccessKey, &[key(listed)]);
    let first = plan(&notice(Severity::High), &[named(&before)], &ties(&[&ann], &[&before]));
    let mut stands = task_of(&first, &before).clone();
    let held = Held::AccessKey { key_id: found.into() };
    stands.record.rotation.old = Some(OldVersion { version: "v1".into(), held });
    stands.record.rotation.beside_keys = BTreeSet::from([beside.into()]);
    let now_hands_out = secret("b", How::IamAccessKey, &[key(new)]);
    for old in [listed, found, beside] {
        let other = secret("a", How::IamAccessKey, &[key(old)]);
        let untold = secret("u", How::Untold, &[key(old)]);
        let tied = ties(&[&ann], &[&now_hands_out, &other, &untold]);
        let again = plan_again(&[named(&now_hands_out)], &tied, &[&stands]);
        assert_eq!(task_of(&again, &other).state, TaskState::Open, "{old}");
        let told = Finding::HandsOutRevoked {
            secret: untold.arn.clone(),
            credential: format!("access key {old}"),
        };
        assert!(again.findings.contains(&told), "{old}: {:?}", again.findings);
    }
    // A login has its name, whatever its password; here the secret names another one by now.
    let named_before = secret("b", How::Managed, &[login("app@db:5432")]);
    let first = plan(&notice(Severity::High), &[named(&named_before)], &Ties::default());
    let [elsewhere, other] = [("b", "other@db:5432"), ("a", "app@db:5432")]
        .map(|(name, of)| secret(name, How::Managed, &[login(of)]));
    let stands = task_of(&first, &named_before);
    let again = plan_again(&[named(&elsewhere)], &ties(&[], &[&elsewhere, &other]), &[stands]);
    assert_eq!(task_of(&again, &other).desired, Desired::Rotated);
}

#[test]
fn a_key_dies_by_itself_where_all_the_secrets_that_share_it_end() {
    let owner = user("app", &[KEY]);
    let theirs = [("severance:contract", "acme-1")];
    let of = |name: &str| tagged(secret(name, How::IamAccessKey, &[key(KEY)]), &theirs);
    let (a, b) = (of("a"), of("b"));
    let both =
        plan(&end(), &[by_contract(vec![a.clone(), b.clone()])], &ties(&[&owner], &[&a, &b]));
    assert_eq!(task_of(&both, &a).desired, Desired::Revoked);
    assert_eq!(key_task(&both).map(|task| task.desired), Some(Desired::Revoked));
    // The other one goes on: a person sees to it.
    let one = plan(&end(), &[by_contract(vec![a.clone()])], &ties(&[&owner], &[&a, &b]));
    assert_eq!(task_of(&one, &a).desired, Desired::Revoked);
    assert!(key_task(&one).is_none());
}

#[test]
fn a_protected_users_secret_is_never_touched() {
    let ann = user("ann", &[KEY]);
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let break_glass = BTreeSet::from([ann.arn.clone()]);
    let protected = Protected { break_glass, ..Protected::default() };
    for case in [rotation(), notice(Severity::Critical)] {
        let tied = ties(&[&ann], &[&app]);
        let planned = plan_with(&protected, &case, &[named(&app)], &tied);
        for task in &planned.tasks {
            assert_eq!(blocked(task), Some(&BlockReason::Protected), "{}", task.target.label());
        }
    }
    // Nor is it denied a contract's secrets.
    let theirs = secret("theirs", How::Managed, &[]);
    let all = by_contract(vec![ann, theirs.clone()]);
    let planned = plan_with(&protected, &end(), &[all], &Ties::default());
    assert!(task_of(&planned, &theirs).leaving.is_empty());
}

#[test]
fn a_secret_without_a_zone_belongs_where_its_user_does() {
    let ann = user("ann", &[KEY]);
    let mut app = secret("app", How::IamAccessKey, &[key(KEY)]);
    app.tags.clear();
    let planned = plan(&rotation(), &[named(&app)], &ties(&[&ann], &[&app]));
    let task = task_of(&planned, &app);
    assert_eq!((task.binding.zone.as_str(), task.mode), ("acme", Mode::Enforce));
}

#[test]
fn what_is_to_be_deleted_already_is_killed_and_replaced_once_it_is_back() {
    let ann = user("ann", &[KEY]);
    let mut app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let IdentityDetail::Secret(detail) = &mut app.detail else { panic!("no secret") };
    detail.deleted_at = Some(now());
    let planned = plan(&notice(Severity::Low), &[named(&app)], &ties(&[&ann], &[&app]));
    assert_eq!(task_of(&planned, &app).desired, Desired::Rotated);
    assert!(key_task(&planned).is_some(), "it can no longer be read, and its key dies by itself");
    // Nobody said how it could be replaced.
    let mut untold = secret("app", How::Untold, &[key(KEY)]);
    let IdentityDetail::Secret(detail) = &mut untold.detail else { panic!("no secret") };
    detail.deleted_at = Some(now());
    let planned = plan(&notice(Severity::Low), &[named(&untold)], &ties(&[&ann], &[&untold]));
    assert_eq!(task_of(&planned, &untold).desired, Desired::Revoked);
}

#[test]
fn what_is_hidden_is_not_waited_for_by_another_secret_that_hands_out_the_same() {
    let ann = user("ann", &[KEY]);
    let mut hidden = secret("a", How::IamAccessKey, &[key(KEY)]);
    let IdentityDetail::Secret(detail) = &mut hidden.detail else { panic!("no secret") };
    detail.deleted_at = Some(now());
    let shown = secret("b", How::IamAccessKey, &[key(KEY)]);
    let both = ties(&[&ann], &[&hidden, &shown]);
    let planned = plan(&notice(Severity::Low), &[named(&hidden), named(&shown)], &both);
    for secret in [&hidden, &shown] {
        assert_eq!(task_of(&planned, secret).state, TaskState::Open);
    }
}

#[test]
fn a_shared_credential_is_replaced_by_a_secret_whose_zone_enforces() {
    let ann = user("ann", &[KEY]);
    let quiet = tagged(secret("a", How::IamAccessKey, &[key(KEY)]), &[("severance:zone", "quiet")]);
    let shown = secret("b", How::IamAccessKey, &[key(KEY)]);
    let both = ties(&[&ann], &[&quiet, &shown]);
    let planned = plan(&notice(Severity::Low), &[named(&quiet), named(&shown)], &both);
    assert_eq!(task_of(&planned, &quiet).mode, Mode::Observe);
    assert_eq!(task_of(&planned, &shown).state, TaskState::Open);
}

fn any_strategy() -> impl Strategy<Value = How> {
    prop_oneof![
        Just(How::IamAccessKey),
        Just(How::Managed),
        any::<bool>().prop_map(|alternating| How::Database { alternating }),
        Just(How::Webhook { name: "w".into() }),
        Just(How::Unknown { tag: "t".into(), value: "v".into() }),
        Just(How::Untold),
    ]
}

proptest! {
    /// Whatever secrets, keys and users there are: no target twice, the same plan in any order, no two open
    /// rotations of one credential, and no rotation of a user who is revoked as a whole.
    #[test]
    fn plans_of_any_secrets_are_sound(
        secrets in prop::collection::vec((any_strategy(), 0..4usize, any::<bool>()), 0..6),
        trigger in 0..3usize,
        with_users in any::<bool>(),
    ) {
        let keys = ["AKIA0000000000000000", "AKIA0000000000000001"];
        let users = [user("ann", &keys[..1]), user("bob", &keys[1..])];
        let made: Vec<Identity> = secrets
            .into_iter()
            .enumerate()
            .map(|(n, (how, held, theirs))| {
                let holds = match held {
                    0 => vec![],
                    1 => vec![login("app@db:5432")],
                    other => vec![key(keys[other - 2])],
                };
                let made = secret(&format!("s{n}"), how, &holds);
                if theirs { tagged(made, &[("severance:contract", "acme-1")]) } else { made }
            })
            .collect();
        let case = [rotation(), notice(Severity::High), end()][trigger].clone();
        let mut all: Vec<Identity> = made.clone();
        if with_users {
            all.extend(users.clone());
        }
        let tied = ties(&[&users[0], &users[1]], &made.iter().collect::<Vec<_>>());
        let planned = plan(&case, &[by_contract(all.clone())], &tied);
        all.reverse();
        let reversed = plan(&case, &[by_contract(all)], &tied);
        prop_assert_eq!(&planned.tasks, &reversed.tasks);
        let ids: BTreeSet<_> = planned.tasks.iter().map(|task| task.target.key()).collect();
        prop_assert_eq!(ids.len(), planned.tasks.len());
        let open = |task: &&Task| task.state == TaskState::Open;
        let whole: BTreeSet<_> = planned.tasks.iter().filter(open)
            .filter(|task| matches!(task.target, Target::User { .. }))
            .map(|task| task.target.lock())
            .collect();
        let mut handed: BTreeSet<Holding> = BTreeSet::new();
        for task in planned.tasks.iter().filter(open).filter(|it| it.desired == Desired::Rotated) {
            prop_assert!(!whole.contains(&task.target.lock()));
            let Target::Secret { secret, .. } = &task.target else { continue };
            let identity = made.iter().find(|it| it.arn == secret.arn).unwrap();
            for holding in &identity.secret().unwrap().1.holds {
                prop_assert!(handed.insert(holding.clone()), "one writer a credential");
            }
        }
    }
}

#[test]
fn a_secret_gives_its_zone_no_say_over_a_user_of_another_zone() {
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    for case in [rotation(), notice(Severity::Critical), notice(Severity::Low)] {
        for (zone, vouched) in [("acme", true), ("", false), ("quiet", false)] {
            let ann = tagged(user("ann", &[KEY]), &[("severance:zone", zone)]);
            let planned = plan(&case, &[named(&app)], &ties(&[&ann], &[&app]));
            let task = task_of(&planned, &app);
            assert_eq!(task.record.rotation.vouched, vouched, "{zone}");
            if zone != "quiet" {
                assert_eq!(task.state, TaskState::Open, "{zone}");
                continue;
            }
            assert!(
                matches!(blocked(task), Some(BlockReason::UserOfAnotherZone { user, zone, secret_zone })
                    if user == "ann" && zone.as_str() == "quiet" && secret_zone.as_str() == "acme"),
                "{:?}",
                task.state
            );
            let told = |it: &Finding| matches!(it, Finding::FlattenedBoundary { identity, .. } if *identity == ann.arn);
            assert!(planned.findings.iter().any(told), "{:?}", planned.findings);
            // Its key is its own zone's: in a compromise it is planned there, where nothing is changed.
            let own = key_task(&planned).map(|task| (task.binding.zone.as_str(), task.mode));
            let compromise = case.trigger == Trigger::CompromiseNotice;
            assert_eq!(own, compromise.then_some(("quiet", Mode::Observe)));
        }
    }
}

#[test]
fn nobody_vouches_for_a_user_without_a_zone_and_a_flattened_user_is_told_as_such() {
    let untagged = [("severance:zone", ""), ("severance:contract", "")];
    let app = tagged(secret("app", How::IamAccessKey, &[key(KEY)]), &untagged);
    let ann = tagged(user("ann", &[KEY]), &untagged);
    let planned = plan(&notice(Severity::High), &[named(&app)], &ties(&[&ann], &[&app]));
    let task = task_of(&planned, &app);
    assert_eq!((&task.state, task.record.rotation.vouched), (&TaskState::Open, false));

    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let ann = tagged(user("ann", &[KEY]), &[("severance:zone", "acme quiet")]);
    let planned = plan(&notice(Severity::High), &[named(&app)], &ties(&[&ann], &[&app]));
    let task = task_of(&planned, &app);
    assert!(
        matches!(blocked(task), Some(BlockReason::FlattenedBoundary { tag })
            if tag.contains("acme quiet")),
        "{:?}",
        task.state
    );
    assert!(!task.record.rotation.vouched);
}

#[test]
fn a_key_whose_secrets_are_not_listed_dies_at_once_and_what_stands_for_the_look_is_no_exposure() {
    let ann = user("ann", &[KEY]);
    let mut waits = by_key(&ann);
    waits.refused = Some(BlockReason::SecretsNotListed);
    let planned = plan(&notice(Severity::Critical), &[waits.clone()], &ties(&[&ann], &[]));
    assert_eq!(key_task(&planned).unwrap().state, TaskState::Open);
    assert_eq!(planned.credentials(), 1);
    let look = planned.tasks.iter().find(|it| it.target.kind().as_str() == "unresolved").unwrap();
    assert_eq!(blocked(look), Some(&BlockReason::SecretsNotListed));
    assert_eq!((look.mode, look.binding.zone.as_str()), (Mode::Observe, "acme"));
    assert!(look.counts, "the case stays open");

    // Listed: the secret is found, though the key was deleted meanwhile and names nobody any more.
    let app = secret("app", How::IamAccessKey, &[key(KEY)]);
    let gone = SelectorMatch { identities: Vec::new(), refused: None, ..waits };
    let (zones, tag_keys) = (zones(), TagKeys::default());
    let protected = Protected::default();
    let again = Planner { zones: &zones, tag_keys: &tag_keys, protected: &protected };
    let mut portions = Portions::default();
    portions.planned(gone.selector.clone());
    let case = notice(Severity::Critical);
    let planned = again.plan_rest(&case, &[gone], &ties(&[&ann], &[&app]), &portions, now());
    assert_eq!(task_of(&planned, &app).desired, Desired::Rotated);
    assert!(planned.tasks.iter().all(|task| blocked(task).is_none()), "{:?}", planned.tasks);
}

#[test]
fn the_key_that_a_case_made_is_not_planned_to_die_when_the_case_is_planned_again() {
    const NEXT: &str = "AKIA0000000000OTHER1";
    let ann = user("ann", &[KEY, NEXT]);
    let tag_keys = TagKeys::default();
    let (zones, protected) = (zones(), Protected::default());
    let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected: &protected };
    let case = notice(Severity::Critical);
    let before = secret("app", How::IamAccessKey, &[key(KEY)]);
    let first = plan(&case, &[named(&before)], &ties(&[&ann], &[&before]));
    let dies = |planned: &Planned, id: &str| {
        let is_it =
            |task: &Task| matches!(&task.target, Target::AccessKey { key_id, .. } if key_id == id);
        planned.tasks.iter().any(is_it)
    };
    assert!(dies(&first, KEY) && !dies(&first, NEXT));
    let mut portions = Portions::default();
    portions.stands(task_of(&first, &before));
    portions.left_behind(task_of(&first, &before));
    let after = secret("app", How::IamAccessKey, &[key(NEXT)]);
    let again =
        planner.plan_rest(&case, &[named(&after)], &ties(&[&ann], &[&after]), &portions, now());
    assert!(!dies(&again, NEXT), "{:?}", again.tasks);
    // A secret that is found then is planned with what it holds.
    let found = secret("late", How::IamAccessKey, &[key(NEXT)]);
    let again =
        planner.plan_rest(&case, &[named(&found)], &ties(&[&ann], &[&found]), &portions, now());
    assert!(dies(&again, NEXT));
}
