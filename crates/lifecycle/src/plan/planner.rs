//! The planner: which tasks a case has, and which of them must not be touched. Pure; what the selectors
//! matched was looked up before.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::draft::Draft;
use super::inventory::{Flattened, Identity, IdentityDetail, TagKeys};
use super::portions::Portions;
use super::protected::Protected;
use super::ties::Ties;
use crate::case::Case;
use crate::credential::Target;
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

impl Planned {
    /// How many credentials the tasks come to.
    pub fn credentials(&self) -> usize {
        self.tasks.iter().map(|task| task.credentials).sum()
    }
}

/// What is wanted of a target.
pub(super) struct Wanted {
    pub(super) target: Target,
    pub(super) desired: Desired,
    pub(super) binding: Binding,
    pub(super) refused: Option<BlockReason>,
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

impl Planner<'_> {
    /// Plans a case. The same matches give the same tasks, in any order.
    pub fn plan(
        &self,
        case: &Case,
        matches: &[SelectorMatch],
        ties: &Ties,
        now: DateTime<Utc>,
    ) -> Planned {
        self.plan_rest(case, matches, ties, &Portions::default(), now)
    }

    /// Plans what is left of a case after its portions. The ties are those of the portions too.
    pub fn plan_rest(
        &self,
        case: &Case,
        matches: &[SelectorMatch],
        ties: &Ties,
        portions: &Portions,
        now: DateTime<Utc>,
    ) -> Planned {
        let mut draft = Draft::new(case, ties, portions, now);
        for found in matches {
            self.plan_selector(&mut draft, found);
        }
        self.plan_what_shares(&mut draft, matches);
        self.plan_keys_of_all_that_end(&mut draft);
        Self::whole_users_cover(&mut draft);
        Self::shared_wait(&mut draft);
        self.leave(&mut draft, matches);
        self.tell_short_graces(&mut draft);
        Planned { tasks: draft.tasks.into_values().collect(), findings: draft.findings }
    }

    fn plan_selector<'a>(&self, draft: &mut Draft<'a>, found: &'a SelectorMatch) {
        let mut planned = draft.portions.selectors.contains(&found.selector);
        let nothing_matched = found.identities.is_empty() && !planned;
        for (identity, roles) in &found.identities {
            planned |= self.plan_identity(draft, found, (identity, roles));
        }
        let nothing = match (nothing_matched, planned) {
            (true, _) => Some(BlockReason::NotFound),
            (false, false) => Some(BlockReason::NothingToRotate),
            (false, true) => None,
        };
        if let Some(reason) = found.refused.clone().or(nothing) {
            // It may name something yet: the limit is not passed by failing lookups.
            let failed = matches!(reason, BlockReason::Refused { .. });
            let looks_on = reason == BlockReason::SecretsNotListed;
            let mut task = self.unresolved(draft, found.selector.clone(), reason);
            task.credentials = usize::from(failed && nothing_matched);
            if looks_on {
                self.stands_for_a_look(&mut task, found);
            }
            draft.add(task);
        }
    }

    /// Answers whether there was anything to plan or to tell.
    fn plan_identity<'a>(
        &self,
        draft: &mut Draft<'a>,
        found: &'a SelectorMatch,
        (identity, roles): (&'a Identity, &[AssumableRole]),
    ) -> bool {
        if let Some(mismatch) = self.belongs_elsewhere(draft.case, identity) {
            draft.find(mismatch);
            return true;
        }
        match (&identity.detail, draft.case.trigger) {
            (IdentityDetail::Secret(_), _) => self.plan_secret(draft, identity),
            (IdentityDetail::User { .. }, Trigger::Rotation) => {
                return self.plan_rotation_of_keys(draft, found, identity);
            }
            // Whoever may take a role holds nothing that lasts.
            (IdentityDetail::Role { .. }, Trigger::Rotation) => return false,
            _ => {
                let mut task = self.plan_matched(draft, &found.selector, identity);
                task.assumable = roles.to_vec();
                self.protected.spare(&mut task.assumable);
                draft.add(task);
            }
        }
        true
    }

    /// The task of what a selector matched: a user, one of its keys, or a role.
    pub(super) fn plan_matched(
        &self,
        draft: &mut Draft<'_>,
        selector: &Selector,
        identity: &Identity,
    ) -> Task {
        let mut task = self.identity_task(draft, target(selector, identity), identity);
        task.credentials = credentials(selector, identity);
        task
    }

    /// The task of a user, a role or a key.
    pub(super) fn identity_task(
        &self,
        draft: &mut Draft<'_>,
        target: Target,
        identity: &Identity,
    ) -> Task {
        let (binding, flattened) = self.bind(draft, identity, identity);
        let refused = self.never(identity).or(flattened);
        self.task(draft, Wanted { target, desired: Desired::Revoked, binding, refused })
    }

    /// Where an identity belongs, by the tags of `bound`; what is wrong with that is told.
    pub(super) fn bind(
        &self,
        draft: &mut Draft<'_>,
        identity: &Identity,
        bound: &Identity,
    ) -> (Binding, Option<BlockReason>) {
        let case_zone = draft.case.zone.as_ref();
        let arn = || identity.arn.clone();
        match self.tag_keys.bind(&bound.tags) {
            Ok(binding) => {
                if let Some(event_zone) = case_zone.filter(|zone| **zone != binding.zone) {
                    let (event_zone, tag_zone) = (event_zone.0.clone(), binding.zone.0.clone());
                    draft.find(Finding::ZoneMismatch { identity: arn(), event_zone, tag_zone });
                }
                (binding, None)
            }
            Err(Flattened { tag }) => {
                let zone = case_zone.cloned().unwrap_or_else(|| UNASSIGNED_ZONE.into());
                draft.find(Finding::FlattenedBoundary { identity: arn(), tag: tag.clone() });
                let binding = Binding { zone, contract: None, owner: None, tier: None };
                (binding, Some(BlockReason::FlattenedBoundary { tag }))
            }
        }
    }

    /// Two partners may name their contracts alike: a contract's end takes nothing that is tagged with
    /// another zone. What no zone claims is taken, and the mismatch told.
    pub fn belongs_elsewhere(&self, case: &Case, identity: &Identity) -> Option<Finding> {
        let event_zone = case.zone.as_ref().filter(|_| case.trigger == Trigger::ContractEnd)?;
        let tag_zone = self.tag_keys.bind(&identity.tags).ok()?.zone;
        let elsewhere = tag_zone != *event_zone && tag_zone.as_str() != UNASSIGNED_ZONE;
        elsewhere.then(|| Finding::ZoneMismatch {
            identity: identity.arn.clone(),
            event_zone: event_zone.0.clone(),
            tag_zone: tag_zone.0,
        })
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

    /// The task that stands for a selector without an answer.
    pub(super) fn unresolved(
        &self,
        draft: &Draft<'_>,
        selector: Selector,
        reason: BlockReason,
    ) -> Task {
        let binding = unresolved_binding(draft.case, &selector);
        let desired = of_unresolved(draft.case.trigger);
        let target = Target::Unresolved { selector };
        self.task(draft, Wanted { target, desired, binding, refused: Some(reason) })
    }

    pub(super) fn task(&self, draft: &Draft<'_>, wanted: Wanted) -> Task {
        let Wanted { target, desired, binding, refused } = wanted;
        let case = draft.case;
        let zone = self.zones.get(&binding.zone);
        Task {
            id: TaskId::of(&case.id, &target.key(), desired.as_str()),
            case: case.id.clone(),
            target,
            desired,
            trigger: case.trigger,
            severity: case.severity,
            ticket: case.ticket.clone(),
            lane: Lane::of(case.trigger, desired),
            mode: zone.mode,
            noticed_at: case.noticed_at,
            received_at: case.received_at,
            planned_at: draft.now,
            deadline: zone.deadline(case),
            assumable: Vec::new(),
            leaving: BTreeSet::new(),
            credentials: 1,
            counts: true,
            grace: case.grace,
            cause: case.cause,
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
        // A selector that matched neither a user nor a role names nothing.
        _ => Target::Unresolved { selector: selector.clone() },
    }
}

/// How many credentials a target comes to, for the blast radius.
fn credentials(selector: &Selector, identity: &Identity) -> usize {
    match (&selector.target, &identity.detail) {
        (SelectorTarget::AccessKeyId(_), _)
        | (_, IdentityDetail::Role { .. } | IdentityDetail::Secret(_)) => 1,
        (_, IdentityDetail::User { credentials, .. }) => (*credentials).max(1),
    }
}
