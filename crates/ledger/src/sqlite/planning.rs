//! Claiming cases for planning, and storing plans.

use chrono::{DateTime, Utc};
use severance_engine::ports::{CaseLease, ClaimRequest, ClaimedCase, PlanCommit};
use severance_lifecycle::case::{Case, CaseState, closing};
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::{ContractChange, Event, Payload, Selector};
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::task::{Lane, Task};
use sqlx::SqliteConnection;

use super::cases::CaseRow;
use super::tasks::Parking;
use super::{cases, journal, outbox, tasks};
use crate::codec::{from_json, micros};
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
        for (number, _) in rows {
            claimed.push(read(connection, number, request).await?);
        }
    }
    Ok(claimed)
}

async fn read(
    connection: &mut SqliteConnection,
    number: i64,
    request: &ClaimRequest,
) -> Result<ClaimedCase, Fault> {
    let (case, event, attempts): (String, String, i64) = sqlx::query_as(
        "SELECT c.body, i.event, c.attempts FROM cases AS c JOIN inbox AS i ON i.number = c.number
         WHERE c.number = ?",
    )
    .bind(number)
    .fetch_one(&mut *connection)
    .await?;
    let case: Case = from_json("case", &case)?;
    let event: Event = from_json("event", &event)?;
    let reinstates = matches!(&event.payload,
        Payload::ContractEnd(end) if end.change == ContractChange::Reinstated);
    let undo = if reinstates { undo(connection, &case).await? } else { Vec::new() };
    let unresolved = match case.state {
        CaseState::Open => Some(unresolved(connection, &case.id).await?),
        _ => None,
    };
    let lease = CaseLease { case: case.id.clone(), token: request.token, until: request.until };
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    Ok(ClaimedCase { lease, case, event, attempts, undo, unresolved })
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
             AND t.desired = 'revoked' AND t.changed = 1
             AND NOT EXISTS (SELECT 1 FROM tasks AS back INDEXED BY tasks_lock
                 WHERE back.lock = t.lock AND back.desired = 'reinstated'
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

/// The selectors that had no answer.
async fn unresolved(
    connection: &mut SqliteConnection,
    case: &CaseId,
) -> Result<Vec<Selector>, Fault> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM tasks INDEXED BY tasks_blocked
         WHERE case_id = ? AND state = 'blocked' AND kind = 'unresolved' ORDER BY number",
    )
    .bind(case.as_str())
    .fetch_all(connection)
    .await?;
    let mut selectors = Vec::new();
    for body in bodies {
        if let Target::Unresolved { selector } = from_json::<Task>("task", &body)?.target {
            selectors.push(selector);
        }
    }
    Ok(selectors)
}

/// Stores a plan.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    plan: PlanCommit,
) -> Result<(), Fault> {
    let CaseRow { mut case, .. } = held(connection, lease).await?;
    let at = moment(&plan, &case);
    case.state = match plan.state {
        // Closing is a step of its own below.
        CaseState::Closed { .. } => CaseState::Open,
        ref state => state.clone(),
    };
    cases::save(connection, &case).await?;
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
    for new in &plan.tasks {
        let stored = tasks::insert(connection, new, parking, at).await?;
        if !stored && new.task.target.kind().as_str() == "unresolved" {
            look_again(connection, &new.task, new.next_at).await?;
        }
    }
    let sequence = journal::append_all(connection, &plan.journal).await?;
    outbox::push_all(connection, plan.messages, sequence).await?;
    give_back(connection, lease, &case, plan.again_at).await?;
    end(connection, &case.id, &plan.state, at).await
}

/// The case, if its lease still is the caller's.
async fn held(connection: &mut SqliteConnection, lease: &CaseLease) -> Result<CaseRow, Fault> {
    let held: Option<i64> = sqlx::query_scalar(
        "SELECT number FROM cases WHERE id = ? AND lease_token = ? AND lease_from <= ?",
    )
    .bind(lease.case.as_str())
    .bind(lease.token)
    .bind(micros(lease.until))
    .fetch_optional(&mut *connection)
    .await?;
    if held.is_none() {
        return Err(Fault::lease_lost(format!("case {}", lease.case)));
    }
    cases::load(connection, &lease.case).await
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

/// Ends the lease and sets the timer for planning again: what the plan says, else when the first of
/// the unresolved is looked up again. That is never before this lease would have ended, so that a
/// plan that sets no time cannot turn in circles.
async fn give_back(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    case: &Case,
    again_at: Option<DateTime<Utc>>,
) -> Result<(), Fault> {
    let again_at = match (again_at, &case.state) {
        (Some(at), CaseState::Accepted | CaseState::Open) => Some(micros(at)),
        (None, CaseState::Accepted) => Some(micros(lease.until)),
        (None, CaseState::Open) => {
            next_lookup(connection, &case.id).await?.map(|at| at.max(micros(lease.until)))
        }
        (_, CaseState::Held { .. } | CaseState::Closed { .. }) => None,
    };
    sqlx::query(
        "UPDATE cases SET due_at = ?2, attempts = CASE WHEN ?3 THEN attempts + 1 ELSE 0 END,
             lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE id = ?1",
    )
    .bind(case.id.as_str())
    .bind(again_at)
    .bind(again_at.is_some())
    .execute(connection)
    .await?;
    Ok(())
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
