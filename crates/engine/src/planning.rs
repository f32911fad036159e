//! Planning a claimed case: what its event names becomes tasks.

pub(crate) mod ahead;
mod holding;
mod undoing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use severance_lifecycle::case::{CaseState, Closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{ContractChange, ContractEnd, Payload, Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::plan::{Identity, Planned, Planner, SelectorMatch, unresolved_task};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{BlockReason, Lane, Task, TaskState};

use self::ahead::Memory;
use crate::backoff::Growth;
use crate::call::under_case_lease;
use crate::ports::{ClaimedCase, EngineEvent, LedgerError, NewTask, PlanCommit};
use crate::reach::account_principals;
use crate::resolve::{self, Asking, Resolved, Unanswered};
use crate::shared::Shared;
use crate::telling::Telling;
use crate::ties;

/// How often a case that waits for a listing asks again.
const LISTING: Growth = Growth::millis(1_000, 5_000);

/// So often a lookup may fail in passing before its selector is told to be blocked.
const PASSING: u32 = 8;

/// Plans a claimed case and stores the plan. Returns when something of it is due next.
pub(crate) async fn plan(shared: Arc<Shared>, claimed: ClaimedCase) -> Option<DateTime<Utc>> {
    let lane = Lane::of(claimed.case.trigger, Desired::Revoked);
    let case = &claimed.case.id;
    let mut memory = shared.ahead.of(case, &shared.listings);
    let mut lease = claimed.lease.clone();
    let plan = drawn_up(&shared, &claimed, lane, &mut memory);
    let commit = match under_case_lease(&shared, &mut lease, plan).await.ok()? {
        Ok(commit) => {
            memory.planned = true;
            commit
        }
        Err(error) => postponed(&shared, &claimed, &error, &mut memory),
    };
    let tasks = commit.tasks.len();
    let held = matches!(commit.state, CaseState::Held { .. });
    let next = commit.tasks.iter().map(|task| task.next_at).chain(commit.again_at).min();
    let open = commit.tasks.iter().any(|new| new.task.state == TaskState::Open);
    let again = commit.again_at.is_some();
    match shared.ledger.commit_plan(&lease, commit).await {
        Ok(()) => {
            if again {
                shared.ahead.keep(case, memory);
            } else {
                shared.ahead.forget(case);
            }
            shared.observer.on(&EngineEvent::Planned { case, tasks, held });
            shared.urgency.written();
            if open && !held && lane == Lane::Compromise {
                shared.urgency.raise();
            }
            next
        }
        Err(LedgerError::LeaseLost { .. }) => None,
        Err(error) => {
            shared.ledger_failed("store a plan", &error);
            Some(lease.until)
        }
    }
}

async fn drawn_up(
    shared: &Shared,
    claimed: &ClaimedCase,
    lane: Lane,
    memory: &mut Memory,
) -> Result<PlanCommit, Unanswered> {
    let ends = matches!(&claimed.event.payload, Payload::ContractEnd(_));
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
    let again = claimed.unresolved.is_some();
    // A contract's end is planned once it is known in full, and that was so when it was first planned.
    let ticket = (!(ends && again)).then_some(memory.ticket);
    let resolved = resolve::all(shared, selectors, Asking { lane, ticket, again }).await?;
    if ends && !again && resolved.iter().any(Resolved::is_unlisted) {
        return Err(Unanswered::NotListed);
    }
    let failures = resolved
        .iter()
        .filter_map(|it| Some((unresolved_id(claimed, &it.matched.selector), it.failure.clone()?)));
    let mut failures: BTreeMap<TaskId, Failure> = failures.collect();
    let mut matches: Vec<SelectorMatch> = resolved.into_iter().map(|it| it.matched).collect();
    if let Payload::ContractEnd(end) = &claimed.event.payload {
        add_roles_of_partner(shared, end, &mut matches).await?;
    }
    let mut tied = ties::of(shared, &matches, lane).await?;
    failures.extend(
        tied.failures
            .iter()
            .map(|(selector, failure)| (unresolved_id(claimed, selector), failure.clone())),
    );
    if let Payload::ContractEnd(end) = &claimed.event.payload
        && again
    {
        // Whoever leaves was matched by an earlier plan.
        tied.ties.leaving = ties::leavers(shared, &contract(end)).await?;
    }
    let zones = shared.zones();
    let protected = shared.protected();
    let planner =
        Planner { zones: &zones, tag_keys: &shared.config.tag_keys, protected: &protected };
    let plan = planner.plan(&claimed.case, &matches, &tied.ties, now);
    Ok(commit(shared, claimed, plan, &failures, memory))
}

fn unresolved_id(claimed: &ClaimedCase, selector: &Selector) -> TaskId {
    unresolved_task(&claimed.case.id, claimed.case.trigger, selector)
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

fn commit(
    shared: &Shared,
    claimed: &ClaimedCase,
    planned: Planned,
    failures: &BTreeMap<TaskId, Failure>,
    memory: &mut Memory,
) -> PlanCommit {
    let case = &claimed.case;
    let now = shared.now();
    let first = claimed.unresolved.is_none();
    let mut telling = Telling::default();
    let (tasks, credentials) = (planned.tasks.len(), planned.credentials());
    if first || !planned.tasks.iter().all(is_unresolved) {
        telling.case(&case.id, now, Happening::Planned { tasks, credentials });
    }
    for finding in &planned.findings {
        if memory.findings.insert(finding.clone()) {
            tell_finding(&mut telling, claimed, finding, now);
        }
    }
    let times = Times::of(shared, claimed, &planned.tasks, failures, memory);
    let mut resolved = answered(claimed, &planned.tasks);
    let held = holding::hold(shared, claimed, &resolved, &planned.tasks, &mut telling);
    let mut new = Vec::with_capacity(planned.tasks.len());
    for task in planned.tasks {
        let next_at = times.of_task(&task, failures);
        if let TaskState::Blocked { reason } = &task.state {
            let failure = failures.get(&task.id);
            if let Some(failure) = failure.cloned() {
                telling.case(&case.id, now, Happening::Failed { action: None, failure });
            }
            let passes = failure.is_some() && claimed.attempts < PASSING;
            let waits = *reason == BlockReason::NotListed;
            if waits && first {
                let reason = reason.to_string();
                telling.case(&case.id, now, Happening::Waiting { until: next_at, reason });
            }
            if !passes && !waits {
                let replaced = !first && matches!(task.target, Target::Unresolved { .. });
                if replaced {
                    // It may be blocked for another reason than before.
                    resolved.push(task.id.clone());
                }
                // What an earlier process told long ago is not told again.
                let old = replaced && !memory.planned && claimed.attempts >= PASSING;
                if memory.blocked.insert(task.id.clone()) && !old {
                    telling.blocked(&task, reason, now);
                    shared.observer.on(&EngineEvent::Blocked { task: &task });
                }
            }
        }
        new.push(NewTask { task, next_at });
    }
    let state = held.unwrap_or_else(|| match (first, new.is_empty()) {
        (false, _) => case.state.clone(),
        (true, true) => CaseState::Closed { how: Closing::NothingToDo },
        (true, false) => CaseState::Open,
    });
    PlanCommit {
        state,
        again_at: times.again_at(&new, failures),
        tasks: new,
        resolved,
        journal: telling.journal,
        messages: telling.messages,
    }
}

/// When what a plan leaves is due.
struct Times {
    now: DateTime<Utc>,
    /// Lookups that failed in passing.
    failed: DateTime<Utc>,
    /// What waits for a listing.
    listed: DateTime<Utc>,
    /// What is not found may be listed the next time.
    slowly: DateTime<Utc>,
}

impl Times {
    fn of(
        shared: &Shared,
        claimed: &ClaimedCase,
        tasks: &[Task],
        failures: &BTreeMap<TaskId, Failure>,
        memory: &mut Memory,
    ) -> Self {
        let now = shared.now();
        let retries = shared.config.retries;
        let attempts = claimed.attempts.saturating_add(1);
        let slow = failures.is_empty() && !tasks.iter().any(is_unlisted);
        if claimed.attempts == 0 {
            memory.slow = 0;
        }
        memory.slow += u32::from(slow);
        let later = failures.values().all(|failure| failure.class == FailureClass::RetryLater);
        let growth = if later { retries.later } else { retries.soon };
        let slowly = shared.delay(retries.blocked, memory.slow.max(1));
        Self {
            now,
            failed: now + shared.delay(growth, attempts),
            listed: now + shared.delay(LISTING, attempts),
            slowly: now + slowly.min(shared.config.inventory_every),
        }
    }

    fn of_task(&self, task: &Task, failures: &BTreeMap<TaskId, Failure>) -> DateTime<Utc> {
        match task.state {
            TaskState::Blocked { .. } if failures.contains_key(&task.id) => self.failed,
            TaskState::Blocked { reason: BlockReason::NotListed } => self.listed,
            TaskState::Blocked { .. } => self.slowly,
            _ => self.now,
        }
    }

    fn again_at(
        &self,
        tasks: &[NewTask],
        failures: &BTreeMap<TaskId, Failure>,
    ) -> Option<DateTime<Utc>> {
        let unresolved = tasks.iter().map(|new| &new.task).filter(|task| is_unresolved(task));
        unresolved.map(|task| self.of_task(task, failures)).min()
    }
}

fn is_unlisted(task: &Task) -> bool {
    matches!(task.state, TaskState::Blocked { reason: BlockReason::NotListed })
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
    let hopeless = matches!(task.state, TaskState::Blocked { reason: BlockReason::SessionKey });
    matches!(task.target, Target::Unresolved { .. }) && !hopeless
}

/// Unresolved tasks of an earlier plan whose selector has an answer now.
fn answered(claimed: &ClaimedCase, tasks: &[Task]) -> Vec<TaskId> {
    let selectors = claimed.unresolved.iter().flatten();
    selectors
        .map(|selector| unresolved_id(claimed, selector))
        .filter(|id| !tasks.iter().any(|task| task.id == *id))
        .collect()
}

/// Planning failed: the case stays as it is and is planned again.
fn postponed(
    shared: &Shared,
    claimed: &ClaimedCase,
    error: &Unanswered,
    memory: &mut Memory,
) -> PlanCommit {
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
    let again_at = now + shared.delay(growth, claimed.attempts.saturating_add(1));
    if matches!(error, Unanswered::NotListed) && !memory.waiting {
        memory.waiting = true;
        let reason = BlockReason::NotListed.to_string();
        telling.case(&claimed.case.id, now, Happening::Waiting { until: again_at, reason });
    }
    PlanCommit {
        state: claimed.case.state.clone(),
        tasks: Vec::new(),
        resolved: Vec::new(),
        journal: telling.journal,
        messages: Vec::new(),
        again_at: Some(again_at),
    }
}
