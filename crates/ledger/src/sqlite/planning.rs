//! Claiming cases for planning, and storing plans.

use chrono::{DateTime, Utc};
use severance_engine::ports::{
    CaseLease, ClaimRequest, ClaimedCase, NewTask, PlanCommit, PlanPortion,
};
use severance_lifecycle::case::{Case, CaseState, closing};
use severance_lifecycle::credential::TargetKind;
use severance_lifecycle::event::{ContractChange, Event, Payload};
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::task::{Lane, Task};
use sqlx::SqliteConnection;

use super::cases::CaseRow;
use super::earlier::Earlier;
use super::tasks::Parking;
use super::{cases, earlier, journal, outbox, tasks};
use crate::codec::{from_json, micros, to_json};
use crate::fault::Fault;

/// Leases cases of one lane that are due.
pub(super) const CLAIM: &str = "UPDATE cases
     SET lease_token = ?1, lease_from = ?2, lease_until = ?2
     WHERE number IN (SELECT number FROM cases INDEXED BY cases_due
         WHERE due_at IS NOT NULL AND lease_until IS NULL AND lane = ?3 AND due_at <= ?4
         ORDER BY due_at LIMIT ?5)
     RETURNING number, due_at";

/// Claims cases that are due, compromise first.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
) -> Result<Vec<ClaimedCase>, Fault> {
    sqlx::query(
        "UPDATE cases INDEXED BY cases_leased
         SET lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE lease_until IS NOT NULL AND lease_until <= ?",
    )
    .bind(micros(request.now))
    .execute(&mut *connection)
    .await?;
    let mut claimed = Vec::new();
    for lane in Lane::ALL.into_iter().filter(|lane| *lane <= request.least_urgent) {
        let room = request.limit.saturating_sub(claimed.len());
        let mut rows: Vec<(i64, i64)> = sqlx::query_as(CLAIM)
            .bind(request.token)
            .bind(micros(request.until))
            .bind(lane.rank())
            .bind(micros(request.now))
            .bind(i64::try_from(room).unwrap_or(i64::MAX))
            .fetch_all(&mut *connection)
            .await?;
        rows.sort_unstable_by_key(|(number, due_at)| (*due_at, *number));
        let numbers: Vec<i64> = rows.into_iter().map(|(number, _)| number).collect();
        read(connection, &numbers, request, &mut claimed).await?;
    }
    Ok(claimed)
}

/// Reads what was claimed, in its order.
async fn read(
    connection: &mut SqliteConnection,
    numbers: &[i64],
    request: &ClaimRequest,
    claimed: &mut Vec<ClaimedCase>,
) -> Result<(), Fault> {
    if numbers.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, String, i64, bool)> = sqlx::query_as(
        "SELECT c.body, i.event, c.attempts, c.state = 'accepted' AND c.n_open + c.n_blocked > 0
         FROM json_each(?) AS wanted
             CROSS JOIN cases AS c ON c.number = wanted.value
             JOIN inbox AS i ON i.number = c.number
         ORDER BY wanted.key",
    )
    .bind(to_json("numbers", &numbers)?)
    .fetch_all(&mut *connection)
    .await?;
    for (case, event, attempts, half_planned) in rows {
        let case: Case = from_json("case", &case)?;
        if half_planned {
            // Nothing of it ever ran. What it names is looked up anew, and may be less by now.
            sqlx::query("DELETE FROM tasks WHERE case_id = ?")
                .bind(case.id.as_str())
                .execute(&mut *connection)
                .await?;
        }
        let event: Event = from_json("event", &event)?;
        let reinstates = matches!(&event.payload,
            Payload::ContractEnd(end) if end.change == ContractChange::Reinstated);
        let undo = if reinstates { undo(connection, &case).await? } else { Vec::new() };
        let admits =
            case.state == CaseState::Open && tasks::has_parked(connection, &case.id).await?;
        let again = case.state == CaseState::Open;
        let earlier = if again { Some(earlier::read(connection, &case.id).await?) } else { None };
        let (unresolved, Earlier { looked_on, known, secrets, keys, .. }) = match earlier {
            Some(mut earlier) => (Some(std::mem::take(&mut earlier.unresolved)), earlier),
            None => (None, Earlier::default()),
        };
        let lease = CaseLease { case: case.id.clone(), token: request.token, until: request.until };
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        claimed.push(ClaimedCase {
            lease,
            case,
            event,
            attempts,
            undo,
            unresolved,
            looked_on,
            known,
            secrets,
            keys,
            admits,
        });
    }
    Ok(())
}

/// What the contract's other cases changed and no reinstatement has put back yet: what was put back once
/// is its owner's again, and what he does with it stays.
async fn undo(connection: &mut SqliteConnection, case: &Case) -> Result<Vec<Task>, Fault> {
    let (Some(zone), Some(contract)) = (&case.zone, &case.contract) else {
        return Ok(Vec::new());
    };
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT t.body FROM cases AS c INDEXED BY cases_contract
             CROSS JOIN tasks AS t INDEXED BY tasks_case ON t.case_id = c.id
         WHERE c.zone = ? AND c.contract = ? AND c.id <> ?
             AND t.desired IN ('revoked', 'rotated') AND t.changed = 1
             AND NOT EXISTS (SELECT 1 FROM tasks AS back INDEXED BY tasks_lock
                 WHERE back.lock = t.lock AND back.desired = 'reinstated'
                     AND back.target_key = t.target_key
                     AND back.undoes = c.id AND back.state = 'done')
         ORDER BY t.number",
    )
    .bind(zone.as_str())
    .bind(contract.as_str())
    .bind(case.id.as_str())
    .fetch_all(connection)
    .await?;
    bodies.iter().map(|body| from_json("task", body)).collect()
}

/// Stores a portion of a plan: its tasks wait until the rest is stored.
pub(super) async fn store_portion(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    portion: PlanPortion,
) -> Result<(), Fault> {
    check(connection, lease).await?;
    for new in &portion.tasks {
        tasks::insert(connection, new, Parking::Parked, new.next_at).await?;
    }
    let sequence = journal::append_all(connection, &portion.journal).await?;
    outbox::push_all(connection, portion.messages, sequence).await
}

/// Lets some of the tasks of a case go. Whether more may wait.
pub(super) async fn admit(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    check(connection, lease).await?;
    tasks::admit(connection, &lease.case, now).await
}

/// Whether the lease on a case still is the caller's.
async fn check(connection: &mut SqliteConnection, lease: &CaseLease) -> Result<(), Fault> {
    let holds: Option<i64> = sqlx::query_scalar(
        "SELECT number FROM cases WHERE id = ? AND lease_token = ? AND lease_from <= ?",
    )
    .bind(lease.case.as_str())
    .bind(lease.token)
    .bind(micros(lease.until))
    .fetch_optional(&mut *connection)
    .await?;
    holds.map(drop).ok_or_else(|| Fault::lease_lost(format!("case {}", lease.case)))
}

/// Stores a plan.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    plan: PlanCommit,
) -> Result<(), Fault> {
    let state = match &plan.state {
        // Closing is a step of its own below.
        CaseState::Closed { .. } => &CaseState::Open,
        state => state,
    };
    let again_at = again_at(lease, state, plan.again_at);
    let is_unresolved = |new: &NewTask| new.task.target.kind() == TargetKind::Unresolved;
    let looks_up = plan.tasks.iter().any(is_unresolved);
    let CaseRow { case, tally } =
        cases::save_planned(connection, lease, state, again_at, looks_up).await?;
    let at = moment(&plan, &case);
    let parking = match case.state {
        CaseState::Open => Parking::Free,
        _ => Parking::Parked,
    };
    for id in &plan.resolved {
        sqlx::query("DELETE FROM tasks WHERE id = ? AND case_id = ? AND kind = 'unresolved'")
            .bind(id.as_str())
            .bind(case.id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    let mut leaves_open = false;
    for new in &plan.tasks {
        let stored = tasks::insert(connection, new, parking, at).await?;
        if !stored && is_unresolved(new) {
            look_again(connection, &new.task, new.next_at).await?;
        }
        leaves_open |= stored && new.task.counts && !new.task.state.is_final();
    }
    let sequence = journal::append_all(connection, &plan.journal).await?;
    outbox::push_all(connection, plan.messages, sequence).await?;
    let looks_up = looks_up || tally.blocked > 0;
    if looks_up && again_at.is_none() && case.state == CaseState::Open {
        look_up_later(connection, lease).await?;
    }
    if plan.in_portions
        && parking == Parking::Free
        && tasks::admit(connection, &case.id, at).await?
    {
        cases::plan_at(connection, &case.id, at).await?;
        return Ok(());
    }
    if leaves_open && plan.state == CaseState::Open {
        return Ok(());
    }
    end(connection, &case.id, &plan.state, at).await
}

/// When the plan was made: a plan has no time of its own.
fn moment(plan: &PlanCommit, case: &Case) -> DateTime<Utc> {
    let told = plan.journal.iter().map(|entry| entry.at).max();
    let planned = plan.tasks.iter().map(|new| new.task.planned_at).max();
    told.or(planned).unwrap_or(case.start_at)
}

/// An unresolved task that stays: only its timer changes.
async fn look_again(
    connection: &mut SqliteConnection,
    task: &Task,
    next_at: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query("UPDATE tasks SET next_at = ? WHERE id = ?")
        .bind(micros(next_at))
        .bind(task.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// When a case is planned again, as far as its plan says. A case that is not planned yet is planned again by
/// the end of this lease, so that a plan that sets no time cannot turn in circles.
fn again_at(lease: &CaseLease, state: &CaseState, planned: Option<DateTime<Utc>>) -> Option<i64> {
    match (planned, state) {
        (Some(at), CaseState::Accepted | CaseState::Open) => Some(micros(at)),
        (None, CaseState::Accepted) => Some(micros(lease.until)),
        (_, CaseState::Open | CaseState::Held { .. } | CaseState::Closed { .. }) => None,
    }
}

/// The case is planned again when the first of its unresolved is looked up again, and not before this lease
/// would have ended.
async fn look_up_later(connection: &mut SqliteConnection, lease: &CaseLease) -> Result<(), Fault> {
    let next = next_lookup(connection, &lease.case).await?;
    let at = next.map(|at| at.max(micros(lease.until)));
    cases::plan_again(connection, &lease.case, at).await
}

/// When the first unresolved task of a case is to be looked up again.
pub(super) async fn next_lookup(
    connection: &mut SqliteConnection,
    case: &CaseId,
) -> Result<Option<i64>, Fault> {
    let next = sqlx::query_scalar(
        "SELECT MIN(next_at) FROM tasks INDEXED BY tasks_blocked
         WHERE case_id = ? AND state = 'blocked' AND kind = 'unresolved'",
    )
    .bind(case.as_str())
    .fetch_one(connection)
    .await?;
    Ok(next)
}

/// Closes the case where the plan says so or nothing is left to do.
async fn end(
    connection: &mut SqliteConnection,
    case: &CaseId,
    planned: &CaseState,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let row = cases::load(connection, case).await?;
    match planned {
        CaseState::Closed { .. } if closing(row.tally).is_none() => Err(Fault::conflict(
            format!("case {case}"),
            "it has tasks that are open or blocked, so it cannot close",
        )),
        CaseState::Closed { how } => cases::close(connection, row, *how, at).await,
        CaseState::Open => cases::close_if_finished(connection, row, at).await.map(drop),
        CaseState::Accepted | CaseState::Held { .. } => Ok(()),
    }
}
