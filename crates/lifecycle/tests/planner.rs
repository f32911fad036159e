//! What the planner makes of what the selectors matched.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::case::{Case, CaseState};
use severance_lifecycle::credential::{RoleRef, Target};
use severance_lifecycle::event::{Selector, SelectorTarget, Severity, Trigger};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{EventKey, TaskId};
use severance_lifecycle::observe::AssumableRole;
use severance_lifecycle::plan::{
    BlastRadius, Identity, IdentityDetail, MatchedIdentity, Planned, Planner, Portions, Protected,
    SelectorMatch, TagKeys, Ties,
};
use severance_lifecycle::policy::Holds;
use severance_lifecycle::task::{BlockReason, Lane, Mode, TaskState};
use severance_lifecycle::zone::{ZoneSettings, Zones};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn case(trigger: Trigger) -> Case {
    let ends = trigger == Trigger::ContractEnd;
    Case {
        id: "c-1".into(),
        event: EventKey { source: "/s".into(), id: "1".into() },
        trigger,
        severity: (!ends).then_some(Severity::High),
        cause: None,
        grace: None,
        zone: ends.then(|| "acme".into()),
        contract: ends.then(|| "acme-1".into()),
        ticket: None,
        noticed_at: now() - TimeDelta::minutes(5),
        received_at: now(),
        start_at: now(),
        state: CaseState::Accepted,
        released: 0,
        closed_at: None,
    }
}

fn identity(name: &str, tags: &[(&str, &str)], detail: IdentityDetail) -> Identity {
    let kind = if matches!(detail, IdentityDetail::User { .. }) { "user" } else { "role" };
    Identity {
        account: "111122223333".into(),
        arn: format!("arn:aws:iam::111122223333:{kind}/{name}"),
        name: name.into(),
        unique_id: format!("ID{name}"),
        created: now(),
        tags: tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>(),
        detail,
    }
}

fn user(name: &str, zone: &str, credentials: usize) -> Identity {
    let detail =
        IdentityDetail::User { access_keys: Vec::new(), policies: Vec::new(), credentials };
    identity(name, &[("severance:zone", zone)], detail)
}

fn role(name: &str, service_linked: bool) -> Identity {
    let trust = serde_json::json!({});
    identity(
        name,
        &[("severance:zone", "acme")],
        IdentityDetail::Role { trust, max_session_seconds: 3600, service_linked },
    )
}

fn select(target: SelectorTarget) -> Selector {
    Selector { target, account: None, region: None }
}

fn found(target: SelectorTarget, identities: Vec<Identity>) -> SelectorMatch {
    let identities = identities.into_iter().map(|identity| (identity, Vec::new())).collect();
    SelectorMatch { selector: select(target), identities, refused: None }
}

fn plan_with(protected: &Protected, case: &Case, found: &[SelectorMatch]) -> Planned {
    let enforced = ZoneSettings { mode: Mode::Enforce, ..ZoneSettings::default() };
    let zones = Zones { named: BTreeMap::from([("acme".into(), enforced)]), ..Zones::default() };
    let tag_keys = TagKeys::default();
    let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected };
    planner.plan(case, found, &Ties::default(), now())
}

fn plan(case: &Case, found: &[SelectorMatch]) -> Planned {
    plan_with(&Protected::default(), case, found)
}

#[test]
fn the_same_identity_by_two_selectors_is_one_task() {
    let by_name = found(SelectorTarget::User("a".into()), vec![user("a", "acme", 3)]);
    let by_zone = found(SelectorTarget::Zone("acme".into()), vec![user("a", "acme", 3)]);
    let planned = plan(&case(Trigger::CompromiseNotice), &[by_name, by_zone]);
    assert_eq!(planned.tasks.len(), 1);
    assert_eq!(planned.credentials(), 3);
}

#[test]
fn a_whole_user_covers_its_single_keys() {
    let key = SelectorTarget::AccessKeyId("AKIAIOSFODNN7EXAMPLE".into());
    let alone =
        plan(&case(Trigger::CompromiseNotice), &[found(key.clone(), vec![user("a", "acme", 3)])]);
    assert!(matches!(alone.tasks[0].target, Target::AccessKey { .. }));
    let both = plan(
        &case(Trigger::CompromiseNotice),
        &[
            found(key, vec![user("a", "acme", 3)]),
            found(SelectorTarget::User("a".into()), vec![user("a", "acme", 3)]),
        ],
    );
    assert_eq!((both.tasks.len(), both.credentials()), (1, 3));
    assert!(matches!(both.tasks[0].target, Target::User { .. }));
}

#[test]
fn our_own_and_break_glass_identities_are_never_touched() {
    let own = user("worker", "acme", 1);
    let glass = role("glass", false);
    let protected = Protected {
        own: BTreeSet::from([own.arn.clone()]),
        break_glass: BTreeSet::from([glass.arn.clone()]),
    };
    let matched = found(SelectorTarget::Zone("acme".into()), vec![own, glass]);
    let planned = plan_with(&protected, &case(Trigger::CompromiseNotice), &[matched]);
    assert_eq!(planned.tasks.len(), 2);
    for task in planned.tasks {
        assert_eq!(task.state, TaskState::Blocked { reason: BlockReason::Protected });
    }
}

#[test]
fn a_protected_identity_is_known_at_any_path() {
    let protected = Protected {
        own: BTreeSet::from(["arn:aws:iam::111122223333:role/worker".to_owned()]),
        break_glass: BTreeSet::from(["arn:aws-cn:iam::111122223333:user/ops/glass".to_owned()]),
    };
    assert!(protected.has("arn:aws:iam::111122223333:role/teams/security/worker"));
    assert!(protected.has("arn:aws-cn:iam::111122223333:user/glass"));
    assert!(!protected.has("arn:aws:iam::111122223333:user/worker"), "a user is not a role");
    assert!(!protected.has("arn:aws:iam::444455556666:role/worker"), "another account");
}

#[test]
fn a_protected_role_within_reach_is_never_cut() {
    let reached = |name: &str| AssumableRole {
        role: RoleRef { account: "111122223333".into(), name: name.into(), id: "R".into() },
        max_session_seconds: 3600,
        service_linked: false,
        service_assumed: false,
    };
    let own = BTreeSet::from(["arn:aws:iam::111122223333:role/worker".to_owned()]);
    let protected = Protected { own, ..Protected::default() };
    let mut roles = [reached("worker"), reached("deploy")];
    protected.spare(&mut roles);
    assert_eq!(roles.map(|role| role.service_linked), [true, false]);
}

#[test]
fn what_cannot_be_touched_is_blocked_and_says_why() {
    let linked = found(SelectorTarget::Role("r".into()), vec![role("r", true)]);
    let mut ended = found(SelectorTarget::User("nobody".into()), vec![]);
    let missing = plan(&case(Trigger::CompromiseNotice), &[linked, ended.clone()]);
    let reasons: Vec<_> = missing.tasks.iter().map(|t| t.state.clone()).collect();
    let blocked = |reason| TaskState::Blocked { reason };
    assert!(reasons.contains(&blocked(BlockReason::ServiceLinkedRole)));
    assert!(reasons.contains(&blocked(BlockReason::NotFound)));
    ended.refused = Some(BlockReason::RootKey);
    let root = plan(&case(Trigger::CompromiseNotice), &[ended]);
    assert_eq!(root.tasks[0].state, blocked(BlockReason::RootKey));
}

#[test]
fn a_zone_without_a_mode_is_only_observed() {
    let known = found(SelectorTarget::User("a".into()), vec![user("a", "acme", 1)]);
    let unknown = found(SelectorTarget::User("b".into()), vec![user("b", "elsewhere", 1)]);
    let planned = plan(&case(Trigger::CompromiseNotice), &[known, unknown]);
    for task in &planned.tasks {
        let enforced = task.binding.zone.as_str() == "acme";
        assert_eq!(task.mode == Mode::Enforce, enforced, "{}", task.binding.zone);
    }
}

#[test]
fn two_zones_on_one_identity_are_reported_and_never_guessed_at() {
    let both = found(SelectorTarget::User("a".into()), vec![user("a", "acme globex", 1)]);
    let planned = plan(&case(Trigger::CompromiseNotice), &[both]);
    let TaskState::Blocked { reason } = &planned.tasks[0].state else { panic!("not blocked") };
    assert!(matches!(reason, BlockReason::FlattenedBoundary { .. }));
    assert!(matches!(planned.findings[0], Finding::FlattenedBoundary { .. }));
}

#[test]
fn a_contracts_end_takes_nothing_of_another_zone_and_tells() {
    let globex = user("a", "globex", 1);
    let free = {
        let detail =
            IdentityDetail::User { access_keys: Vec::new(), policies: Vec::new(), credentials: 1 };
        identity("b", &[], detail)
    };
    let by_contract = |identities| found(SelectorTarget::Contract("acme-1".into()), identities);
    let planned =
        plan(&case(Trigger::ContractEnd), &[by_contract(vec![globex, free, role("r", false)])]);
    let zones: Vec<_> = planned.tasks.iter().map(|task| task.binding.zone.as_str()).collect();
    assert!(!zones.contains(&"globex") && zones.contains(&"unassigned"), "{zones:?}");
    assert_eq!(planned.tasks.len(), 2);
    let mismatches = planned.findings.iter().filter(|f| matches!(f, Finding::ZoneMismatch { .. }));
    assert_eq!(mismatches.count(), 2, "both are told");
    let leaving = planned.tasks.iter().flat_map(|task| &task.leaving).collect::<Vec<_>>();
    assert!(!leaving.is_empty() && leaving.iter().all(|one| !one.ends_with("user/a")));
}

#[test]
fn a_selector_that_is_known_in_part_stays_beside_what_it_named() {
    let mut part = found(SelectorTarget::User("a".into()), vec![user("a", "acme", 1)]);
    part.refused = Some(BlockReason::NotListed);
    let planned = plan(&case(Trigger::CompromiseNotice), &[part]);
    let open = planned.tasks.iter().filter(|task| task.state == TaskState::Open).count();
    let unresolved =
        |task: &&severance_lifecycle::task::Task| matches!(task.target, Target::Unresolved { .. });
    assert_eq!((open, planned.tasks.iter().filter(unresolved).count()), (1, 1));
}

/// How many credentials hold a case that has `known` tasks and is planned again with `found`.
fn exceeded(
    case: &Case,
    limit: usize,
    known: &[&Planned],
    answered: &[TaskId],
    found: &[SelectorMatch],
) -> Option<usize> {
    let tasks = known.iter().flat_map(|planned| &planned.tasks);
    let known = tasks.map(|task| (task.id.clone(), task.credentials)).collect();
    let plan = plan(case, found);
    let sizes = plan.tasks.iter().map(|task| (task.id.clone(), task.credentials)).collect();
    BlastRadius { limit, known: &known, answered }.exceeded(case, &sizes)
}

fn users(name: &str, credentials: usize) -> Vec<SelectorMatch> {
    vec![found(SelectorTarget::User(name.into()), vec![user(name, "acme", credentials)])]
}

#[test]
fn more_credentials_than_the_limit_are_held() {
    let notice = case(Trigger::CompromiseNotice);
    assert_eq!(exceeded(&notice, 5, &[], &[], &users("a", 5)), None);
    assert_eq!(exceeded(&notice, 5, &[], &[], &users("a", 6)), Some(6));
}

#[test]
fn a_case_that_grows_in_steps_is_held_like_one_that_was_large_at_once() {
    let notice = case(Trigger::CompromiseNotice);
    let (first, second) = (plan(&notice, &users("a", 3)), plan(&notice, &users("b", 2)));
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &users("b", 2)), None);
    assert_eq!(exceeded(&notice, 5, &[&first, &second], &[], &users("c", 1)), Some(6));
}

#[test]
fn what_a_case_has_already_is_counted_once_and_holds_nothing_anew() {
    let notice = case(Trigger::CompromiseNotice);
    let first = plan(&notice, &users("a", 6));
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &users("a", 6)), None, "nothing is added");
    let more = [users("a", 6), users("b", 1)].concat();
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &more), Some(7));
}

#[test]
fn a_failed_lookup_counts_until_it_has_an_answer() {
    let notice = case(Trigger::CompromiseNotice);
    let mut failing = found(SelectorTarget::User("a".into()), vec![]);
    let (operation, code, message) = ("iam:GetUser".into(), "Throttling".into(), String::new());
    failing.refused = Some(BlockReason::Refused { operation, code, message });
    let first = plan(&notice, &[failing]);
    assert_eq!(first.credentials(), 1, "it may name something");
    let gone = [first.tasks[0].id.clone()];
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &users("b", 5)), Some(6));
    assert_eq!(exceeded(&notice, 5, &[&first], &gone, &users("a", 5)), None);
}

#[test]
fn a_released_case_is_held_again_only_beyond_what_was_released() {
    let mut notice = case(Trigger::CompromiseNotice);
    let first = plan(&notice, &users("a", 6));
    notice.released = 8;
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &users("b", 2)), None);
    assert_eq!(exceeded(&notice, 5, &[&first], &[], &users("b", 3)), Some(9));
}

#[test]
fn a_contracts_users_leave_the_trust_of_its_roles_but_a_compromise_takes_nobody_along() {
    let matched = || {
        let identities = vec![user("a", "acme", 1), role("r", false)];
        vec![found(SelectorTarget::Contract("acme-1".into()), identities)]
    };
    let of_role = |planned: Planned| {
        planned.tasks.into_iter().find(|t| matches!(t.target, Target::Role { .. })).unwrap()
    };
    let ended = of_role(plan(&case(Trigger::ContractEnd), &matched()));
    assert!(ended.leaving.contains("arn:aws:iam::111122223333:user/a"));
    assert!(ended.leaving.contains("IDa"));
    assert!(of_role(plan(&case(Trigger::CompromiseNotice), &matched())).leaving.is_empty());
}

#[test]
fn lane_deadline_and_policy_follow_the_trigger_and_severity() {
    use severance_lifecycle::policy::RoleSessions;
    let matched = vec![found(SelectorTarget::User("a".into()), vec![user("a", "acme", 1)])];
    let notice = plan(&case(Trigger::CompromiseNotice), &matched).tasks.remove(0);
    let end = plan(&case(Trigger::ContractEnd), &matched).tasks.remove(0);
    assert_eq!((notice.lane, end.lane), (Lane::Compromise, Lane::ContractEnd));
    assert!(notice.deadline < end.deadline);
    let zones = Zones::default();
    let policy = |task| zones.policy(task, Holds::default());
    assert_eq!(policy(&notice).assumable_roles, RoleSessions::Cut);
    assert_eq!(policy(&end).assumable_roles, RoleSessions::List);
    let mut low = notice.clone();
    low.severity = Some(Severity::Low);
    assert_eq!(policy(&low).assumable_roles, RoleSessions::List);
}

#[test]
fn planning_again_gives_the_same_tasks() {
    let matched = vec![
        found(SelectorTarget::User("a".into()), vec![user("a", "acme", 1)]),
        found(SelectorTarget::User("nobody".into()), vec![]),
    ];
    let reversed: Vec<_> = matched.iter().rev().cloned().collect();
    let notice = case(Trigger::CompromiseNotice);
    assert_eq!(plan(&notice, &matched).tasks, plan(&notice, &reversed).tasks);
}

/// Users and roles of the contract, of another zone, and of none; every other user has two zones.
fn crowd(size: usize) -> Vec<Identity> {
    let zones = ["acme", "globex", "", "acme globex"];
    let named = |n: usize| match n % 3 {
        0 => role(&format!("r{n}"), n.is_multiple_of(2)),
        _ => user(&format!("u{n}"), zones[n % zones.len()], n % 4),
    };
    (0..size).map(named).collect()
}

proptest::proptest! {
    #[test]
    fn a_plan_in_portions_is_the_plan_of_all_at_once(
        size in 0_usize..24,
        cuts in proptest::collection::vec(1_usize..6, 0..8),
        ends in proptest::bool::ANY,
        unlisted in proptest::bool::ANY,
    ) {
        let case = case(if ends { Trigger::ContractEnd } else { Trigger::CompromiseNotice });
        let (protected, tag_keys) = (Protected::default(), TagKeys::default());
        let zones = Zones::default();
        let planner = Planner { zones: &zones, tag_keys: &tag_keys, protected: &protected };
        let mut listed = found(SelectorTarget::Zone("acme".into()), crowd(size));
        listed.refused = unlisted.then_some(BlockReason::NotListed);
        let key = found(SelectorTarget::AccessKeyId("AKIA1".into()), vec![user("u1", "acme", 1)]);
        let ties = Ties::default();
        let whole = planner.plan(&case, &[listed.clone(), key.clone()], &ties, now());
        let mut portions = Portions::default();
        let mut planned = Planned::default();
        let theirs: Vec<Identity> = listed
            .identities
            .iter()
            .map(|(identity, _)| identity.clone())
            .filter(|it| it.user().is_some() && planner.belongs_elsewhere(&case, it).is_none())
            .collect();
        let leaving = theirs.into_iter().flat_map(|user| [user.arn, user.unique_id]).collect();
        let ties = Ties { leaving, ..ties };
        for cut in cuts {
            let mut taken = 0;
            let takes = |(identity, _): &mut MatchedIdentity| {
                taken += usize::from(identity.user().is_some());
                identity.user().is_some() && taken <= cut
            };
            let identities: Vec<_> = listed.identities.extract_if(.., takes).collect();
            if identities.is_empty() {
                continue;
            }
            let selector = listed.selector.clone();
            let portion = SelectorMatch { selector, identities, refused: None };
            let part = planner.plan_portion(&case, portion, &mut portions, now());
            planned.tasks.extend(part.tasks);
            planned.findings.extend(part.findings);
        }
        let rest = planner.plan_rest(&case, &[listed, key], &ties, &portions, now());
        planned.tasks.extend(rest.tasks);
        planned.findings.extend(rest.findings);
        planned.tasks.sort_by(|one, other| one.id.cmp(&other.id));
        let by_text = |finding: &Finding| format!("{finding:?}");
        planned.findings.sort_by_key(by_text);
        let mut findings = whole.findings;
        findings.sort_by_key(by_text);
        proptest::prop_assert_eq!(planned.tasks, whole.tasks);
        proptest::prop_assert_eq!(planned.findings, findings);
    }
}
