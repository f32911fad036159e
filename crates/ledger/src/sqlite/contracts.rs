//! Contract revisions: which holds, and what that means for the cases before it.

use chrono::{DateTime, Utc};
use severance_lifecycle::case::{Case, Closing};
use severance_lifecycle::contract::{ContractState, Verdict, judge as judge_revision};
use severance_lifecycle::event::{ContractChange, ContractEnd};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::journal::Happening;
use sqlx::SqliteConnection;

use super::{cases, journal, tasks};
use crate::codec::{from_json, to_json};
use crate::fault::Fault;

/// Judges the revision that opened `case` and does what follows from it.
pub(super) async fn judge(
    connection: &mut SqliteConnection,
    case: &Case,
    end: &ContractEnd,
    digest: &str,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let known = known(connection, end).await?;
    match judge_revision(known.as_ref(), end, digest) {
        Verdict::Holds { .. } => hold(connection, case, end, digest, at).await,
        Verdict::Stale => {
            if let Some(newer) = known {
                let what = Happening::Superseded { by: newer.case };
                journal::about_case(connection, &case.id, at, what).await?;
            }
            let row = cases::load(connection, &case.id).await?;
            cases::close(connection, row, Closing::Superseded, at).await
        }
        Verdict::Conflict => {
            let finding = Finding::RevisionConflict { revision: end.revision };
            journal::found(connection, &case.id, Some(&end.zone), at, finding).await?;
            let row = cases::load(connection, &case.id).await?;
            cases::close(connection, row, Closing::NothingToDo, at).await
        }
    }
}

async fn known(
    connection: &mut SqliteConnection,
    end: &ContractEnd,
) -> Result<Option<ContractState>, Fault> {
    let body: Option<String> =
        sqlx::query_scalar("SELECT body FROM contracts WHERE zone = ? AND contract = ?")
            .bind(end.zone.as_str())
            .bind(end.contract.as_str())
            .fetch_optional(connection)
            .await?;
    body.map(|body| from_json("contract", &body)).transpose()
}

/// The revision is the highest: it is remembered, and what earlier cases of the contract still had to
/// do ends.
///
/// That goes for closed cases too: a deletion after quarantine would take from a reinstatement what
/// it is to restore, and a later look would revoke again what it restored. Whatever is still wanted,
/// the new case wants.
async fn hold(
    connection: &mut SqliteConnection,
    case: &Case,
    end: &ContractEnd,
    digest: &str,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    remember(connection, case, end, digest).await?;
    let mut revoked_by = None;
    for earlier in earlier_cases(connection, case, end).await? {
        if earlier.revoked {
            revoked_by = Some(earlier.id.clone());
        }
        tasks::end_all(connection, &earlier.id, &case.id, at).await?;
        if !earlier.closed {
            let what = Happening::Superseded { by: case.id.clone() };
            journal::about_case(connection, &earlier.id, at, what).await?;
            let row = cases::load(connection, &earlier.id).await?;
            cases::close(connection, row, Closing::Superseded, at).await?;
        }
    }
    match revoked_by {
        Some(revoked_by) if end.change == ContractChange::Extended => {
            let finding = Finding::ExtendedAfterRevocation { revoked_by };
            journal::found(connection, &case.id, Some(&end.zone), at, finding).await
        }
        _ => Ok(()),
    }
}

async fn remember(
    connection: &mut SqliteConnection,
    case: &Case,
    end: &ContractEnd,
    digest: &str,
) -> Result<(), Fault> {
    let state = ContractState {
        revision: end.revision,
        change: end.change,
        effective_at: end.effective_at,
        case: case.id.clone(),
        digest: digest.to_owned(),
    };
    sqlx::query(
        "INSERT INTO contracts (zone, contract, body) VALUES (?, ?, ?)
         ON CONFLICT (zone, contract) DO UPDATE SET body = excluded.body",
    )
    .bind(end.zone.as_str())
    .bind(end.contract.as_str())
    .bind(to_json("contract", &state)?)
    .execute(connection)
    .await?;
    Ok(())
}

struct Earlier {
    id: CaseId,
    closed: bool,
    /// Whether something of it is revoked, or may be, and was not put back.
    revoked: bool,
}

async fn earlier_cases(
    connection: &mut SqliteConnection,
    case: &Case,
    end: &ContractEnd,
) -> Result<Vec<Earlier>, Fault> {
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT c.id, c.state = 'closed', EXISTS (
             SELECT 1 FROM tasks AS t INDEXED BY tasks_case
             WHERE t.case_id = c.id AND t.desired IN ('revoked', 'rotated')
                 AND (t.changed = 1 OR t.state = 'done')
                 AND NOT EXISTS (SELECT 1 FROM tasks AS back INDEXED BY tasks_lock
                     WHERE back.lock = t.lock AND back.desired = 'reinstated'
                         AND back.target_key = t.target_key
                         AND back.undoes = c.id AND back.state = 'done'))
         FROM cases AS c INDEXED BY cases_contract
         WHERE c.zone = ? AND c.contract = ? AND c.id <> ? ORDER BY c.number",
    )
    .bind(end.zone.as_str())
    .bind(end.contract.as_str())
    .bind(case.id.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, closed, revoked)| Earlier { id: CaseId(id), closed, revoked })
        .collect())
}
