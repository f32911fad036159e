//! What people ask.

use severance_engine::ports::{
    CaseDetail, CaseFilter, CaseSummary, Counts, Exposure, Journaled, TaskDetail, TaskFilter,
};
use severance_lifecycle::credential::TargetKind;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{CaseId, TaskId, ZoneName};
use severance_lifecycle::journal::JournalEntry;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use crate::codec::{count, from_json, time, trigger};
use crate::fault::Fault;

/// Where no limit is given.
const LIMIT: u32 = 100;

#[derive(FromRow)]
struct CaseRow {
    body: String,
    n_open: i64,
    n_blocked: i64,
    n_done: i64,
    n_observed: i64,
    n_superseded: i64,
    first_zone: Option<String>,
    last_zone: Option<String>,
}

impl CaseRow {
    fn summary(&self) -> Result<CaseSummary, Fault> {
        let mut zones: Vec<_> = [&self.first_zone, &self.last_zone]
            .into_iter()
            .flatten()
            .cloned()
            .map(ZoneName)
            .collect();
        zones.dedup();
        let finished = self.n_done + self.n_observed + self.n_superseded;
        Ok(CaseSummary {
            case: from_json("case", &self.body)?,
            tasks: count(self.n_open + self.n_blocked + finished),
            finished: count(finished),
            blocked: count(self.n_blocked),
            observed: count(self.n_observed),
            zones,
        })
    }
}

/// A selector without an answer belongs to no zone of its own.
const CASES: &str = "
    SELECT body, n_open, n_blocked, n_done, n_observed, n_superseded,
        (SELECT MIN(t.zone) FROM tasks AS t INDEXED BY tasks_case
            WHERE t.case_id = c.id AND t.kind <> 'unresolved') AS first_zone,
        (SELECT MAX(t.zone) FROM tasks AS t INDEXED BY tasks_case
            WHERE t.case_id = c.id AND t.kind <> 'unresolved') AS last_zone
    FROM cases AS c WHERE 1 = 1";

/// Cases, the newest first.
pub(super) async fn cases(
    connection: &mut SqliteConnection,
    filter: &CaseFilter,
) -> Result<Vec<CaseSummary>, Fault> {
    let mut query = QueryBuilder::<Sqlite>::new(CASES);
    if let Some(state) = &filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
        if state != "closed" {
            // Says so to the planner: few are not closed, and those have an index.
            query.push(" AND state <> 'closed'");
        }
    }
    if let Some(event) = &filter.event_id {
        query.push(" AND event_id = ").push_bind(event.as_str());
    }
    if let Some(zone) = &filter.zone {
        query.push(" AND (zone = ").push_bind(zone.as_str());
        query.push(" OR EXISTS (SELECT 1 FROM tasks AS t WHERE t.case_id = c.id AND t.zone = ");
        query.push_bind(zone.as_str()).push("))");
    }
    query.push(" ORDER BY number DESC LIMIT ").push_bind(filter.limit.unwrap_or(LIMIT));
    let rows: Vec<CaseRow> = query.build_query_as().fetch_all(connection).await?;
    rows.iter().map(CaseRow::summary).collect()
}

/// One case with everything.
pub(super) async fn case(
    connection: &mut SqliteConnection,
    id: &CaseId,
) -> Result<CaseDetail, Fault> {
    let mut query = QueryBuilder::<Sqlite>::new(CASES);
    query.push(" AND id = ").push_bind(id.as_str());
    let row: Option<CaseRow> = query.build_query_as().fetch_optional(&mut *connection).await?;
    let summary = row.ok_or_else(|| Fault::not_found(format!("case {id}")))?.summary()?;
    let everything =
        TaskFilter { case: Some(id.clone()), limit: Some(u32::MAX), ..TaskFilter::default() };
    let tasks = tasks(connection, &everything).await?;
    let findings: Vec<String> =
        sqlx::query_scalar("SELECT finding FROM findings WHERE case_id = ? ORDER BY number")
            .bind(id.as_str())
            .fetch_all(&mut *connection)
            .await?;
    let findings = findings
        .iter()
        .map(|text| from_json::<Finding>("finding", text))
        .collect::<Result<_, _>>()?;
    Ok(CaseDetail { summary, tasks, findings, journal: journal(connection, id).await? })
}

async fn journal(connection: &mut SqliteConnection, id: &CaseId) -> Result<Vec<Journaled>, Fault> {
    let rows: Vec<(i64, i64, Option<String>, String)> = sqlx::query_as(
        "SELECT sequence, at, task_id, what FROM journal WHERE case_id = ? ORDER BY sequence",
    )
    .bind(id.as_str())
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(sequence, at, task, what)| {
            let what = from_json("journal entry", &what)?;
            let entry =
                JournalEntry { at: time(at)?, case: id.clone(), task: task.map(TaskId), what };
            Ok(Journaled { sequence, entry })
        })
        .collect()
}

#[derive(FromRow)]
struct TaskRow {
    body: String,
    next_at: Option<i64>,
    attempts: i64,
    leased: bool,
    last_reason: Option<String>,
}

impl TaskRow {
    fn detail(self) -> Result<TaskDetail, Fault> {
        Ok(TaskDetail {
            task: from_json("task", &self.body)?,
            next_at: self.next_at.map(time).transpose()?,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            leased: self.leased,
            last_reason: self.last_reason,
        })
    }
}

/// Tasks: open and blocked first, then by deadline.
pub(super) async fn tasks(
    connection: &mut SqliteConnection,
    filter: &TaskFilter,
) -> Result<Vec<TaskDetail>, Fault> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT body, next_at, attempts, lease_until IS NOT NULL AS leased, last_reason
         FROM tasks WHERE 1 = 1",
    );
    if let Some(state) = &filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(case) = &filter.case {
        query.push(" AND case_id = ").push_bind(case.as_str());
    }
    if let Some(zone) = &filter.zone {
        query.push(" AND zone = ").push_bind(zone.as_str());
    }
    query.push(" ORDER BY finished, deadline, number LIMIT ");
    query.push_bind(filter.limit.unwrap_or(LIMIT));
    let rows: Vec<TaskRow> = query.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(TaskRow::detail).collect()
}

/// How many of everything.
pub(super) async fn counts(connection: &mut SqliteConnection) -> Result<Counts, Fault> {
    let totals: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, n FROM totals").fetch_all(&mut *connection).await?;
    let outbox: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(connection).await?;
    let total = |name: &str| {
        let n = totals.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
        u64::try_from(n).unwrap_or_default()
    };
    Ok(Counts {
        accepted: total("accepted"),
        duplicates: total("duplicates"),
        conflicts: total("conflicts"),
        dead_lettered: total("dead-lettered"),
        cases_open: total("case-accepted") + total("case-held") + total("case-open"),
        cases_held: total("case-held"),
        cases_closed: total("case-closed"),
        tasks_open: total("task-open"),
        tasks_blocked: total("task-blocked"),
        tasks_done: total("task-done"),
        outbox: u64::try_from(outbox).unwrap_or_default(),
    })
}

/// Tasks that count, are enforced, want something dead, and are not verified: revocations, and rotations that
/// a compromise or a contract's end asks for.
pub(super) const EXPOSURES: &str = "
    SELECT zone, cause, kind, state = 'blocked', COUNT(*), MIN(noticed_at)
    FROM tasks INDEXED BY tasks_exposed
    WHERE counts = 1 AND enforced = 1 AND finished = 0
        AND (desired = 'revoked' OR (desired = 'rotated' AND cause <> 'rotation'))
    GROUP BY zone, cause, kind, state";

/// Open exposures by zone.
pub(super) async fn exposures(connection: &mut SqliteConnection) -> Result<Vec<Exposure>, Fault> {
    let rows: Vec<(String, String, String, bool, i64, i64)> =
        sqlx::query_as(EXPOSURES).fetch_all(connection).await?;
    rows.into_iter()
        .map(|(zone, cause, kind, blocked, open, oldest)| {
            Ok(Exposure {
                zone: ZoneName(zone),
                trigger: trigger(&cause)?,
                kind: target_kind(&kind)?,
                blocked,
                open: u64::try_from(open).unwrap_or_default(),
                oldest: time(oldest)?,
            })
        })
        .collect()
}

fn target_kind(name: &str) -> Result<TargetKind, Fault> {
    use TargetKind::{AccessKey, Role, Secret, Unresolved, User};
    [AccessKey, User, Role, Secret, Unresolved]
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .ok_or_else(|| Fault::Value { what: "kind of target", source: name.into() })
}
