//! Rows of cases: how they are read, written and closed.

use chrono::{DateTime, Utc};
use severance_engine::ports::{Message, Topic};
use severance_lifecycle::case::{Case, CaseState, Closing, Tally, closing};
use severance_lifecycle::event::{Event, Payload, Trigger};
use severance_lifecycle::ids::{CaseId, ContractName, ZoneName};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::task::Lane;
use sqlx::SqliteConnection;

use super::{journal, outbox};
use crate::codec::{count, from_json, micros, to_json};
use crate::fault::Fault;

/// A case as the ledger has it.
pub(super) struct CaseRow {
    pub(super) case: Case,
    pub(super) tally: Tally,
}

/// Where a case queues for planning.
fn lane(trigger: Trigger) -> Lane {
    match trigger {
        Trigger::CompromiseNotice => Lane::Compromise,
        Trigger::ContractEnd => Lane::ContractEnd,
    }
}

/// Stores a new case, due for planning at its start. Whether its id was free: ids are derived from
/// 64 bits of a hash, so two events can be made to share one.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    number: i64,
    case: &Case,
    event: &Event,
) -> Result<bool, Fault> {
    let (revision, change) = match &event.payload {
        Payload::ContractEnd(end) => {
            let revision = i64::try_from(end.revision).unwrap_or(i64::MAX);
            (Some(revision), Some(to_json("change", &end.change)?))
        }
        Payload::CompromiseNotice(_) => (None, None),
    };
    let stored = sqlx::query(
        "INSERT INTO cases (number, id, event_id, lane, state, zone, contract, revision, change,
             due_at, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(number)
    .bind(case.id.as_str())
    .bind(&case.event.id)
    .bind(lane(case.trigger).rank())
    .bind(case.state.as_str())
    .bind(case.zone.as_ref().map(ZoneName::as_str))
    .bind(case.contract.as_ref().map(ContractName::as_str))
    .bind(revision)
    .bind(change)
    .bind(micros(case.start_at))
    .bind(to_json("case", case)?)
    .execute(connection)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// Reads a case.
pub(super) async fn load(connection: &mut SqliteConnection, id: &CaseId) -> Result<CaseRow, Fault> {
    type Columns = (String, i64, i64, i64, i64, i64);
    let row: Option<Columns> = sqlx::query_as(
        "SELECT body, n_open, n_blocked, n_done, n_observed, n_superseded FROM cases WHERE id = ?",
    )
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    let (body, open, blocked, done, observed, superseded) =
        row.ok_or_else(|| Fault::not_found(format!("case {id}")))?;
    let tally = Tally {
        open: count(open),
        blocked: count(blocked),
        done: count(done),
        observed: count(observed),
        superseded: count(superseded),
    };
    Ok(CaseRow { case: from_json("case", &body)?, tally })
}

/// Stores a case's state.
pub(super) async fn save(connection: &mut SqliteConnection, case: &Case) -> Result<(), Fault> {
    let how = match case.state {
        CaseState::Closed { how } => Some(to_json("closing", &how)?),
        _ => None,
    };
    sqlx::query("UPDATE cases SET state = ?, how = ?, body = ? WHERE id = ?")
        .bind(case.state.as_str())
        .bind(how)
        .bind(to_json("case", case)?)
        .bind(case.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Closes a case: state, journal and message. Nothing of it is planned any more.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    row: CaseRow,
    how: Closing,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let CaseRow { mut case, tally } = row;
    case.state = CaseState::Closed { how };
    case.closed_at = Some(at);
    save(connection, &case).await?;
    sqlx::query(
        "UPDATE cases SET due_at = NULL, lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE id = ?",
    )
    .bind(case.id.as_str())
    .execute(&mut *connection)
    .await?;
    let sequence = journal::about_case(connection, &case.id, at, Happening::Closed { how }).await?;
    let event = outcome::case_closed(&case, tally, how, at);
    outbox::push(connection, Message::event(Topic::Outcome, &event), Some(sequence)).await
}

/// Closes an open case that has nothing open or blocked any more. Whether it closed.
pub(super) async fn close_if_finished(
    connection: &mut SqliteConnection,
    row: CaseRow,
    at: DateTime<Utc>,
) -> Result<bool, Fault> {
    match closing(row.tally) {
        Some(how) if row.case.state == CaseState::Open => {
            close(connection, row, how, at).await.map(|()| true)
        }
        _ => Ok(false),
    }
}

/// Opens a closed case again, because one of its tasks is open again.
pub(super) async fn reopen(
    connection: &mut SqliteConnection,
    mut case: Case,
    because: String,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    case.state = CaseState::Open;
    case.closed_at = None;
    save(connection, &case).await?;
    journal::about_case(connection, &case.id, at, Happening::Reopened { because }).await?;
    Ok(())
}
