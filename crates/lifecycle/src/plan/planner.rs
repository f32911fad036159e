//! The planner: which tasks a case has, and which of them must not be touched. Pure; what the selectors
//! matched was looked up before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::inventory::{Flattened, Identity, IdentityDetail, TagKeys};
use crate::case::Case;
use crate::credential::{RoleRef, Target, UserRef};
use crate::event::{Selector, SelectorTarget, Trigger};
use crate::finding::Finding;
use crate::ids::{CaseId, TaskId, UNASSIGNED_ZONE, ZoneName};
use crate::observe::AssumableRole;
use crate::policy::Desired;
use crate::record::Record;
use crate::task::{Binding, BlockReason, Lane, Task, TaskState};
use crate::zone::Zones;

/// What one selector of an event matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorMatch {
    /// The selector.
    pub selector: Selector,
    /// The identities; for an access key, the one user that has it.
    pub identities: Vec<MatchedIdentity>,
    /// Why what it names is not known, or not known in full: it stays as an unresolved task beside
    /// those of its identities.
    pub refused: Option<BlockReason>,
}

/// An identity that a selector matched, with the roles that it could assume.
pub type MatchedIdentity = (Identity, Vec<AssumableRole>);

/// What earlier portions of a plan leave for the rest of it to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portions {
    /// Selectors of which something was planned.
    selectors: Vec<Selector>,
    /// Roles that lose whoever leaves, set aside.
    roles: Vec<(Selector, MatchedIdentity)>,
    /// Locks of users that are revoked as a whole, where single keys may be named beside them.
    whole: BTreeSet<String>,
    /// Who leaves with the contract.
    leaving: BTreeSet<String>,
}

/// Identities that are never touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// ARNs of the worker's own identities (user or role, not session).
    pub own: BTreeSet<String>,
    /// ARNs of break-glass identities.
    pub break_glass: BTreeSet<String>,
}

/// What planning needs to know beside the case.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// Settings by zone.
    pub zones: &'a Zones,
    /// Which tags bind.
    pub tag_keys: &'a TagKeys,
    /// Who is never touched.
    pub protected: &'a Protected,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The tasks, each target once.
    pub tasks: Vec<Task>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// The task that stands for a selector without an answer.
pub fn unresolved_task(case: &CaseId, trigger: Trigger, selector: &Selector) -> TaskId {
    let target = Target::Unresolved { selector: selector.clone() };
    TaskId::of(case, &target.key(), of_unresolved(trigger).as_str())
}

/// A rotation exposes nothing: what it did not find is no exposure.
fn of_unresolved(trigger: Trigger) -> Desired {
    match trigger {
        Trigger::Rotation => Desired::Rotated,
        Trigger::CompromiseNotice | Trigger::ContractEnd => Desired::Revoked,
    }
}

impl Planned {
    /// How many credentials the tasks come to.
    pub fn credentials(&self) -> usize {
        self.tasks.iter().map(|task| task.credentials).sum()
    }
}

impl Protected {
    /// Whether an ARN is protected. Paths and partitions are left out of the comparison: a name is unique
    /// in its account whatever its path, and a session's ARN, from which our own is read, has no path
    /// (AWS: IAM User Guide, "IAM ARNs").
    pub fn has(&self, arn: &str) -> bool {
        self.own.contains(arn)
            || self.break_glass.contains(arn)
            || AccountKindName::of(arn)
                .is_some_and(|it| self.all().any(|other| AccountKindName::of(other) == Some(it)))
    }

    /// Whether a user is protected.
    pub fn has_user(&self, user: &UserRef) -> bool {
        self.names(AccountKindName {
            account: user.account.as_str(),
            kind: "user",
            name: &user.name,
        })
    }

    /// Whether a role is protected.
    pub fn has_role(&self, role: &RoleRef) -> bool {
        self.names(AccountKindName {
            account: role.account.as_str(),
            kind: "role",
            name: &role.name,
        })
    }

    /// Has protected roles within reach treated like service-linked ones: not cut, but listed until
    /// their sessions have ended.
    pub fn spare(&self, reached: &mut [AssumableRole]) {
        for role in reached {
            role.service_linked |= self.has_role(&role.role);
        }
    }

    fn names(&self, it: AccountKindName<'_>) -> bool {
        self.all().any(|other| AccountKindName::of(other) == Some(it))
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.own.iter().chain(&self.break_glass)
    }
}

/// What of an ARN says which identity it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AccountKindName<'a> {
    account: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> AccountKindName<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (account, resource) = (parts.next()?, parts.next()?);
        let (kind, path_and_name) = resource.split_once('/')?;
        Some(Self { account, kind, name: path_and_name.rsplit('/').next()? })
    }
}

impl Planner<'_> {
    /// Plans a case. The same matches give the same tasks, in any order.
    pub fn plan(&self, case: &Case, matches: &[SelectorMatch], now: DateTime<Utc>) -> Planned {
        self.plan_rest(case, matches, Portions::default(), now)
    }

    /// Plans a portion of what a selector matched, where that is too much to be held at once. The case's
    /// plan is what all its portions and [`plan_rest`](Self::plan_rest) come to: together they are what
    /// [`plan`](Self::plan) says of all at once.
    pub fn plan_portion(
        &self,
        case: &Case,
        mut portion: SelectorMatch,
        portions: &mut Portions,
        now: DateTime<Utc>,
    ) -> Planned {
        if !portions.selectors.contains(&portion.selector) {
            portions.selectors.push(portion.selector.clone());
        }
        if case.trigger == Trigger::ContractEnd {
            // What a role is to lose is known once everyone who leaves is.
            let is_role = |(identity, _): &mut MatchedIdentity| identity.role().is_some();
            let roles = portion.identities.extract_if(.., is_role);
            portions.roles.extend(roles.map(|role| (portion.selector.clone(), role)));
        }
        let matches = [portion];
        portions.leaving.extend(self.leaving(case, &matches));
        let mut planned = Planned::default();
        let tasks = self.tasks(case, &matches, &mut planned, now);
        if case.trigger != Trigger::ContractEnd {
            portions.whole.extend(whole(&tasks));
        }
        planned.tasks = tasks.into_values().collect();
        planned
    }

    /// Plans what is left of a case after its portions.
    pub fn plan_rest(
        &self,
        case: &Case,
        matches: &[SelectorMatch],
        portions: Portions,
        now: DateTime<Utc>,
    ) -> Planned {
        let Portions { selectors, roles, whole: earlier, mut leaving } = portions;
        let set_aside = roles.into_iter().map(|(selector, role)| SelectorMatch {
            selector,
            identities: vec![role],
            refused: None,
        });
        let set_aside: Vec<SelectorMatch> = set_aside.collect();
        let mut planned = Planned::default();
        let mut tasks = self.tasks(case, matches, &mut planned, now);
        tasks.extend(self.tasks(case, &set_aside, &mut planned, now));
        for found in matches {
            let nothing = found.identities.is_empty() && !selectors.contains(&found.selector);
            let nothing = nothing.then_some(BlockReason::NotFound);
            if let Some(reason) = found.refused.clone().or(nothing) {
                let task = self.unresolved(case, found, reason, now);
                tasks.insert(task.id.clone(), task);
            }
        }
        // A whole user covers its single keys: one task would otherwise wait for the other.
        let whole: BTreeSet<_> = whole(&tasks).chain(earlier).collect();
        tasks.retain(|_, t| {
            !(matches!(t.target, Target::AccessKey { .. }) && whole.contains(&t.target.lock()))
        });
        leaving.extend(self.leaving(case, matches));
        planned.tasks = tasks.into_values().collect();
        for task in &mut planned.tasks {
            if matches!(task.target, Target::Role { .. }) {
                task.leaving.clone_from(&leaving);
            }
        }
        planned
    }

    /// The tasks of what was matched, each target once.
    fn tasks(
        &self,
        case: &Case,
        matches: &[SelectorMatch],
        planned: &mut Planned,
        now: DateTime<Utc>,
    ) -> BTreeMap<TaskId, Task> {
        let mut tasks = BTreeMap::new();
        for found in matches {
            for (identity, roles) in &found.identities {
                if let Some(mismatch) = self.belongs_elsewhere(case, identity) {
                    planned.findings.push(mismatch);
                    continue;
                }
                let mut task = self.identity_task(case, found, (identity, roles), planned, now);
                task.credentials = credentials(&found.selector, identity);
                tasks.insert(task.id.clone(), task);
            }
        }
        tasks
    }

    /// Stands for a selector that has no answer, or not all of it.
    fn unresolved(
        &self,
        case: &Case,
        found: &SelectorMatch,
        reason: BlockReason,
        now: DateTime<Utc>,
    ) -> Task {
        // It may name something yet: the limit is not passed by failing lookups.
        let failed = matches!(reason, BlockReason::Refused { .. });
        let target = Target::Unresolved { selector: found.selector.clone() };
        let binding = unresolved_binding(case, &found.selector);
        let mut task = self.task(case, target, binding, Vec::new(), Some(reason), now);
        task.credentials = usize::from(failed && found.identities.is_empty());
        task
    }

    fn identity_task(
        &self,
        case: &Case,
        found: &SelectorMatch,
        (identity, roles): (&Identity, &[AssumableRole]),
        planned: &mut Planned,
        now: DateTime<Utc>,
    ) -> Task {
        let target = target(&found.selector, identity);
        let (binding, flattened) = match self.tag_keys.bind(&identity.tags) {
            Ok(binding) => (binding, None),
            Err(Flattened { tag }) => {
                planned.findings.push(Finding::FlattenedBoundary {
                    identity: identity.arn.clone(),
                    tag: tag.clone(),
                });
                let zone = case.zone.clone().unwrap_or_else(|| UNASSIGNED_ZONE.into());
                let binding = Binding { zone, contract: None, owner: None, tier: None };
                (binding, Some(BlockReason::FlattenedBoundary { tag }))
            }
        };
        let other_zone = case.zone.as_ref().filter(|zone| **zone != binding.zone);
        if let Some(event_zone) = other_zone.filter(|_| flattened.is_none()) {
            planned.findings.push(Finding::ZoneMismatch {
                identity: identity.arn.clone(),
                event_zone: event_zone.0.clone(),
                tag_zone: binding.zone.0.clone(),
            });
        }
        let refused = self.never(identity).or(flattened);
        self.task(case, target, binding, roles.to_vec(), refused, now)
    }

    /// Two partners may name their contracts alike: a contract's end takes nothing that is tagged with
    /// another zone. What no zone claims is taken, and the mismatch told.
    fn belongs_elsewhere(&self, case: &Case, identity: &Identity) -> Option<Finding> {
        let event_zone = case.zone.as_ref().filter(|_| case.trigger == Trigger::ContractEnd)?;
        let tag_zone = self.tag_keys.bind(&identity.tags).ok()?.zone;
        let elsewhere = tag_zone != *event_zone && tag_zone.as_str() != UNASSIGNED_ZONE;
        elsewhere.then(|| Finding::ZoneMismatch {
            identity: identity.arn.clone(),
            event_zone: event_zone.0.clone(),
            tag_zone: tag_zone.0,
        })
    }

    /// A contract's users leave with it: wherever a role trusts them, that trust goes.
    fn leaving(&self, case: &Case, matches: &[SelectorMatch]) -> BTreeSet<String> {
        if case.trigger != Trigger::ContractEnd {
            return BTreeSet::new();
        }
        matches
            .iter()
            .flat_map(|found| &found.identities)
            .filter(|(identity, _)| identity.user().is_some())
            .filter(|(identity, _)| self.belongs_elsewhere(case, identity).is_none())
            .flat_map(|(identity, _)| [identity.arn.clone(), identity.unique_id.clone()])
            .collect()
    }

    /// Why an identity is never touched.
    fn never(&self, identity: &Identity) -> Option<BlockReason> {
        let protected = self.protected.has(&identity.arn);
        if protected {
            return Some(BlockReason::Protected);
        }
        match identity.detail {
            IdentityDetail::Role { service_linked: true, .. } => {
                Some(BlockReason::ServiceLinkedRole)
            }
            _ => None,
        }
    }

    fn task(
        &self,
        case: &Case,
        target: Target,
        binding: Binding,
        mut assumable: Vec<AssumableRole>,
        refused: Option<BlockReason>,
        now: DateTime<Utc>,
    ) -> Task {
        self.protected.spare(&mut assumable);
        let zone = self.zones.get(&binding.zone);
        let desired = of_unresolved(case.trigger);
        Task {
            id: TaskId::of(&case.id, &target.key(), desired.as_str()),
            case: case.id.clone(),
            target,
            desired,
            trigger: case.trigger,
            severity: case.severity,
            cause: case.cause,
            ticket: case.ticket.clone(),
            lane: Lane::of(case.trigger, desired),
            mode: zone.mode,
            noticed_at: case.noticed_at,
            received_at: case.received_at,
            planned_at: now,
            deadline: case.noticed_at + zone.objective(case.trigger),
            assumable,
            leaving: BTreeSet::new(),
            credentials: 1,
            counts: true,
            grace: case.grace,
            undoes: None,
            delete_after: None,
            state: refused.map_or(TaskState::Open, |reason| TaskState::Blocked { reason }),
            record: Record::default(),
            accepted_at: None,
            verified_at: None,
            binding,
        }
    }
}

/// Locks of users that are revoked as a whole.
fn whole(tasks: &BTreeMap<TaskId, Task>) -> impl Iterator<Item = String> {
    let users = tasks
        .values()
        .filter(|task| matches!(task.target, Target::User { .. }) && task.state == TaskState::Open);
    users.map(|task| task.target.lock())
}

fn unresolved_binding(case: &Case, selector: &Selector) -> Binding {
    let zone = match (&selector.target, &case.zone) {
        (SelectorTarget::Zone(zone), _) | (_, Some(zone)) => zone.clone(),
        _ => ZoneName::from(UNASSIGNED_ZONE),
    };
    Binding { zone, contract: case.contract.clone(), owner: None, tier: None }
}

fn target(selector: &Selector, identity: &Identity) -> Target {
    match (&selector.target, identity.user(), identity.role()) {
        (SelectorTarget::AccessKeyId(key_id), Some(user), _) => {
            Target::AccessKey { key_id: key_id.clone(), user }
        }
        (_, Some(user), _) => Target::User { user },
        (_, _, Some(role)) => Target::Role { role },
        // An identity is a user or a role; a selector that matched neither names nothing.
        _ => Target::Unresolved { selector: selector.clone() },
    }
}

/// How many credentials a target comes to, for the blast radius.
fn credentials(selector: &Selector, identity: &Identity) -> usize {
    match (&selector.target, &identity.detail) {
        (SelectorTarget::AccessKeyId(_), _) | (_, IdentityDetail::Role { .. }) => 1,
        (_, IdentityDetail::User { credentials, .. }) => (*credentials).max(1),
    }
}
