//! Planning a claimed case: what its event names becomes tasks.

mod undoing;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{ContractChange, ContractEnd, Payload, Selector, SelectorTarget};
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::plan::{Identity, Planned, Planner, SelectorMatch};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{BlockReason, Lane, Task, TaskState};

use crate::backoff::Growth;
use crate::ports::{ClaimedCase, EngineEvent, LedgerError, NewTask, PlanCommit};
use crate::reach::account_principals;
use crate::resolve::{self, Unanswered};
use crate::shared::Shared;
use crate::telling::Telling;

/// How often a case that waits for the first listing of every account asks again.
const LISTING: Growth = Growth::millis(1_000, 5_000);

/// Plans a claimed case and stores the plan. Returns when something of it is due next.
pub(crate) async fn plan(shared: Arc<Shared>, claimed: ClaimedCase) -> Option<DateTime<Utc>> {
    let lane = Lane::of(claimed.case.trigger, Desired::Revoked);
    let commit = match drawn_up(&shared, &claimed, lane).await {
        Ok(commit) => commit,
        Err(error) => postponed(&shared, &claimed, &error),
    };
    let tasks = commit.tasks.len();
    let held = matches!(commit.state, CaseState::Held { .. });
    let next = commit.tasks.iter().map(|task| task.next_at).chain(commit.again_at).min();
    let open = commit.tasks.iter().any(|new| new.task.state == TaskState::Open);
    match shared.ledger.commit_plan(&claimed.lease, commit).await {
        Ok(()) => {
            shared.observer.on(&EngineEvent::Planned { case: &claimed.case.id, tasks, held });
            shared.urgency.written();
            if open && !held && lane == Lane::Compromise {
                shared.urgency.raise();
            }
            next
        }
        Err(LedgerError::LeaseLost { .. }) => None,
        Err(error) => {
            shared.ledger_failed("store a plan", &error);
            Some(claimed.lease.until)
        }
    }
}

async fn drawn_up(
    shared: &Shared,
    claimed: &ClaimedCase,
    lane: Lane,
) -> Result<PlanCommit, Unanswered> {
    let selectors = match (&claimed.unresolved, &claimed.event.payload) {
        (Some(unresolved), _) => unresolved.clone(),
        (None, Payload::CompromiseNotice(notice)) => notice.credentials.clone(),
        (None, Payload::ContractEnd(end)) => match end.change {
            ContractChange::Reinstated => return Ok(undoing::plan(shared, claimed)),
            ContractChange::Ended | ContractChange::Extended => vec![contract(end)],
        },
    };
    // Taken before anything is looked up: a listing that ends meanwhile is newer than the plan.
    let now = shared.now();
    let mut matches = resolve::all(shared, selectors, lane).await?;
    if let Payload::ContractEnd(end) = &claimed.event.payload {
        add_roles_of_partner(shared, end, &mut matches).await?;
    }
    let zones = shared.zones();
    let protected = shared.protected();
    let planner = Planner {
        zones: &zones,
        tag_keys: &shared.config.tag_keys,
        protected: &protected,
        blast_radius: shared.config.blast_radius,
    };
    let plan = planner.plan(&claimed.case, &matches, now);
    Ok(commit(shared, claimed, plan))
}

fn contract(end: &ContractEnd) -> Selector {
    let target = SelectorTarget::Contract(end.contract.clone());
    Selector { target, account: None, region: None }
}

/// Roles of the contract's zone that trust the zone's partner are the way in of whoever works under
/// the contract, though nobody tagged them with it. One that carries another contract is left alone.
async fn add_roles_of_partner(
    shared: &Shared,
    end: &ContractEnd,
    matches: &mut [SelectorMatch],
) -> Result<(), LedgerError> {
    let zones = shared.zones();
    let partner = &zones.get(&end.zone).partner;
    let accounts =
        partner.accounts.iter().flat_map(|id| account_principals(&id.as_str().into(), ""));
    let principals: Vec<String> = partner.principals.iter().cloned().chain(accounts).collect();
    if principals.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<String> = matches
        .iter()
        .flat_map(|found| found.identities.iter().map(|(identity, _)| identity.arn.clone()))
        .collect();
    let trusting = shared.ledger.roles_trusting(&principals).await?;
    let belongs = |role: &Identity| {
        shared.config.tag_keys.bind(&role.tags).is_ok_and(|bound| {
            bound.zone == end.zone && bound.contract.is_none_or(|name| name == end.contract)
        })
    };
    if let Some(found) = matches.first_mut() {
        let more = trusting.into_iter().filter(|role| !known.contains(&role.arn) && belongs(role));
        found.identities.extend(more.map(|role| (role, Vec::new())));
    }
    Ok(())
}

fn commit(shared: &Shared, claimed: &ClaimedCase, planned: Planned) -> PlanCommit {
    let case = &claimed.case;
    let now = shared.now();
    let mut telling = Telling::default();
    let (tasks, credentials) = (planned.tasks.len(), planned.credentials);
    telling.case(&case.id, now, Happening::Planned { tasks, credentials });
    for finding in &planned.findings {
        tell_finding(&mut telling, claimed, finding, now);
    }
    let resolved = answered(claimed, &planned.tasks);
    let again = planned.tasks.iter().any(is_unresolved);
    let attempts = claimed.attempts.saturating_add(1);
    // What is not found may be listed the next time.
    let delay = shared.delay(shared.config.retries.blocked, attempts);
    let slowly = now + delay.min(shared.config.inventory_every);
    let mut new = Vec::with_capacity(planned.tasks.len());
    for task in planned.tasks {
        let known = claimed.unresolved.is_some() && is_unresolved(&task);
        let next_at = match &task.state {
            TaskState::Blocked { reason } => {
                if !known {
                    telling.blocked(&task, reason, now);
                    shared.observer.on(&EngineEvent::Blocked { task: &task });
                }
                slowly
            }
            _ => now,
        };
        new.push(NewTask { task, next_at });
    }
    let limit = shared.config.blast_radius;
    let state = if planned.held {
        telling.case(&case.id, now, Happening::Held { credentials, limit });
        telling.escalation(&outcome::escalation_of_hold(case, credentials, limit, now));
        CaseState::Held { credentials, limit }
    } else if claimed.unresolved.is_some() {
        case.state.clone()
    } else if new.is_empty() {
        CaseState::Closed { how: Closing::NothingToDo }
    } else {
        CaseState::Open
    };
    PlanCommit {
        state,
        tasks: new,
        resolved,
        journal: telling.journal,
        messages: telling.messages,
        again_at: again.then_some(slowly),
    }
}

fn tell_finding(
    telling: &mut Telling,
    claimed: &ClaimedCase,
    finding: &Finding,
    now: DateTime<Utc>,
) {
    let case = &claimed.case;
    if finding.escalates() {
        let zone = case.zone.as_ref();
        telling.escalation(&outcome::escalation(Some(&case.id), None, zone, finding, now));
    }
    telling.case(&case.id, now, Happening::Found { finding: finding.clone() });
}

/// Whether a task stands for a selector that may have an answer later.
fn is_unresolved(task: &Task) -> bool {
    let hopeless = matches!(
        task.state,
        TaskState::Blocked { reason: BlockReason::SecretSelector | BlockReason::SessionKey }
    );
    matches!(task.target, Target::Unresolved { .. }) && !hopeless
}

/// Unresolved tasks of an earlier plan whose selector has an answer now.
fn answered(claimed: &ClaimedCase, tasks: &[Task]) -> Vec<TaskId> {
    let selectors = claimed.unresolved.iter().flatten().cloned();
    selectors
        .map(|selector| Target::Unresolved { selector }.key())
        .map(|key| TaskId::of(&claimed.case.id, &key, Desired::Revoked.as_str()))
        .filter(|id| !tasks.iter().any(|task| task.id == *id))
        .collect()
}

/// Planning failed: the case stays as it is and is planned again.
fn postponed(shared: &Shared, claimed: &ClaimedCase, error: &Unanswered) -> PlanCommit {
    let now = shared.now();
    let mut telling = Telling::default();
    let retries = shared.config.retries;
    let growth = match error {
        Unanswered::Provider(failure) => {
            let failed = Happening::Failed { action: None, failure: failure.clone() };
            telling.case(&claimed.case.id, now, failed);
            if failure.class == FailureClass::RetryLater { retries.later } else { retries.soon }
        }
        Unanswered::Ledger(error) => {
            shared.ledger_failed("look up what an event names", error);
            retries.soon
        }
        Unanswered::NotListed => LISTING,
    };
    PlanCommit {
        state: claimed.case.state.clone(),
        tasks: Vec::new(),
        resolved: Vec::new(),
        journal: telling.journal,
        messages: Vec::new(),
        again_at: Some(now + shared.delay(growth, claimed.attempts.saturating_add(1))),
    }
}
