//! Rows of cases: how they are read, written and closed.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use severance_engine::ports::{CaseLease, Message, Topic};
use severance_lifecycle::case::{Case, CaseState, Closing, Tally, closing};
use severance_lifecycle::event::{Event, Payload};
use severance_lifecycle::ids::{CaseId, ContractName, ZoneName};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::outcome;
use severance_lifecycle::task::Lane;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{journal, outbox};
use crate::codec::{count, from_json, micros, to_json};
use crate::fault::Fault;

/// A case as the ledger has it.
pub(super) struct CaseRow {
    pub(super) case: Case,
    pub(super) tally: Tally,
}

/// Stores new cases under their numbers, due for planning at their start. Answers the numbers of those whose
/// id was free: ids are derived from 64 bits of a hash, so two events can be made to share one.
pub(super) async fn insert<'a>(
    connection: &mut SqliteConnection,
    cases: impl Iterator<Item = (i64, &'a Case, &'a Event)>,
) -> Result<HashSet<i64>, Fault> {
    let rows: Vec<NewRow<'_>> = cases
        .map(|(number, case, event)| NewRow::of(number, case, event))
        .collect::<Result<_, _>>()?;
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let single = rows.len() == 1;
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO cases (number, id, event_id, lane, state, zone, contract, revision, change,
             due_at, body) ",
    );
    insert.push_values(rows, |mut values, row| {
        let NewRow { number, case, contract, body } = row;
        let (revision, change) = contract.unzip();
        values
            .push_bind(number)
            .push_bind(case.id.as_str())
            .push_bind(case.event.id.as_str())
            .push_bind(Lane::of_case(case.trigger).rank())
            .push_bind(case.state.as_str())
            .push_bind(case.zone.as_ref().map(ZoneName::as_str))
            .push_bind(case.contract.as_ref().map(ContractName::as_str))
            .push_bind(revision)
            .push_bind(change)
            .push_bind(micros(case.start_at))
            .push_bind(body);
    });
    insert.push(" ON CONFLICT (id) DO NOTHING RETURNING number");
    let query = insert.build_query_scalar().persistent(single);
    Ok(query.fetch_all(connection).await?.into_iter().collect())
}

struct NewRow<'a> {
    number: i64,
    case: &'a Case,
    /// Of a contract's end: its revision and its change.
    contract: Option<(i64, String)>,
    body: String,
}

impl<'a> NewRow<'a> {
    fn of(number: i64, case: &'a Case, event: &Event) -> Result<Self, Fault> {
        let contract = match &event.payload {
            Payload::ContractEnd(end) => {
                let revision = i64::try_from(end.revision).unwrap_or(i64::MAX);
                Some((revision, to_json("change", &end.change)?))
            }
            Payload::CompromiseNotice(_) | Payload::Rotation(_) => None,
        };
        Ok(Self { number, case, contract, body: to_json("case", case)? })
    }
}

/// Reads a case.
pub(super) async fn load(connection: &mut SqliteConnection, id: &CaseId) -> Result<CaseRow, Fault> {
    let row: Option<Columns> = sqlx::query_as(
        "SELECT body, n_open, n_blocked, n_done, n_observed, n_superseded FROM cases WHERE id = ?",
    )
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    CaseRow::of(row.ok_or_else(|| Fault::not_found(format!("case {id}")))?)
}

type Columns = (String, i64, i64, i64, i64, i64);

impl CaseRow {
    fn of(columns: Columns) -> Result<Self, Fault> {
        let (body, open, blocked, done, observed, superseded) = columns;
        let tally = Tally {
            open: count(open),
            blocked: count(blocked),
            done: count(done),
            observed: count(observed),
            superseded: count(superseded),
        };
        Ok(Self { case: from_json("case", &body)?, tally })
    }
}

/// Stores a case's state.
pub(super) async fn save(connection: &mut SqliteConnection, case: &Case) -> Result<(), Fault> {
    let how = how(case)?;
    sqlx::query("UPDATE cases SET state = ?, how = ?, body = ? WHERE id = ?")
        .bind(case.state.as_str())
        .bind(how)
        .bind(to_json("case", case)?)
        .bind(case.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// How a case closed, as its column says it.
fn how(case: &Case) -> Result<Option<String>, Fault> {
    match case.state {
        CaseState::Closed { how } => to_json("closing", &how).map(Some),
        _ => Ok(None),
    }
}

/// Stores the state that a plan leaves a case in and ends its lease, if that still is the caller's. In one
/// statement, since every notice of a burst comes by here. Where something is to be looked up again, and the
/// moment is not known yet, [`plan_again`] follows. Answers the case as it is now.
pub(super) async fn save_planned(
    connection: &mut SqliteConnection,
    lease: &CaseLease,
    state: &CaseState,
    again_at: Option<i64>,
    looks_up: bool,
) -> Result<CaseRow, Fault> {
    let row: Option<Columns> = sqlx::query_as(
        "UPDATE cases SET state = ?4, how = NULL, body = json_set(body, '$.state', json(?5)),
             due_at = ?6, attempts = CASE WHEN ?6 IS NOT NULL THEN attempts + 1
                 WHEN ?7 OR n_blocked > 0 THEN attempts ELSE 0 END,
             lease_token = NULL, lease_from = NULL, lease_until = NULL
         WHERE id = ?1 AND lease_token = ?2 AND lease_from <= ?3
         RETURNING body, n_open, n_blocked, n_done, n_observed, n_superseded",
    )
    .bind(lease.case.as_str())
    .bind(lease.token)
    .bind(micros(lease.until))
    .bind(state.as_str())
    .bind(to_json("case", state)?)
    .bind(again_at)
    .bind(looks_up)
    .fetch_optional(connection)
    .await?;
    CaseRow::of(row.ok_or_else(|| Fault::lease_lost(format!("case {}", lease.case)))?)
}

/// Sets the moment to plan a case again, if there is one.
pub(super) async fn plan_again(
    connection: &mut SqliteConnection,
    case: &CaseId,
    at: Option<i64>,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE cases SET due_at = ?2,
             attempts = CASE WHEN ?2 IS NULL THEN 0 ELSE attempts + 1 END
         WHERE id = ?1",
    )
    .bind(case.as_str())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// A case is due for planning, whatever it waited for.
pub(super) async fn plan_at(
    connection: &mut SqliteConnection,
    case: &CaseId,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query("UPDATE cases SET due_at = ? WHERE id = ?")
        .bind(micros(at))
        .bind(case.as_str())
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
