//! The API.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use severance_engine::ports::{CaseDetail, CaseFilter, CaseSummary, TaskDetail, TaskFilter};
use severance_lifecycle::ids::{CaseId, TaskId};

use crate::error::ApiError;
use crate::state::Console;
use crate::summary::{Released, Retried, Summary, time_to_revoke};

/// Who a write through this API is journaled as: the token says that somebody on this machine may,
/// not who it is. Governance names people later.
const BY: &str = "local api";

/// The summary's percentiles are taken over at most so many finished tasks, so that a scrape of a
/// large ledger stays cheap; the histogram on `/metrics` has them all.
const SUMMARY_TASKS: u32 = 20_000;

/// The states that cases are asked for by.
pub const CASE_STATES: [&str; 4] = ["accepted", "held", "open", "closed"];
/// The states that tasks are asked for by.
pub const TASK_STATES: [&str; 5] = ["open", "blocked", "done", "observed", "superseded"];

type Answer<T> = Result<Json<T>, ApiError>;

pub(crate) async fn cases(
    State(console): State<Console>,
    filter: Result<Query<CaseFilter>, QueryRejection>,
) -> Answer<Vec<CaseSummary>> {
    let filter = query(filter)?;
    known("state", filter.state.as_deref(), &CASE_STATES)?;
    Ok(Json(console.queries.cases(&filter).await?))
}

pub(crate) async fn case(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Answer<CaseDetail> {
    Ok(Json(console.queries.case(&CaseId(id)).await?))
}

pub(crate) async fn tasks(
    State(console): State<Console>,
    filter: Result<Query<TaskFilter>, QueryRejection>,
) -> Answer<Vec<TaskDetail>> {
    let filter = query(filter)?;
    known("state", filter.state.as_deref(), &TASK_STATES)?;
    Ok(Json(console.queries.tasks(&filter).await?))
}

pub(crate) async fn summary(State(console): State<Console>) -> Answer<Summary> {
    let done = TaskFilter {
        state: Some("done".into()),
        limit: Some(SUMMARY_TASKS),
        ..TaskFilter::default()
    };
    let tasks = console.queries.tasks(&done).await?;
    Ok(Json(Summary {
        counts: console.queries.counts().await?,
        exposures: console.queries.exposures().await?,
        time_to_revoke_seconds: time_to_revoke(&tasks),
    }))
}

pub(crate) async fn retry_all(State(console): State<Console>) -> Answer<Retried> {
    retry(&console, None).await
}

pub(crate) async fn retry_one(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Answer<Retried> {
    retry(&console, Some(TaskId(id))).await
}

async fn retry(console: &Console, task: Option<TaskId>) -> Answer<Retried> {
    let retried = console.queries.retry(task.as_ref(), BY, console.clock.now()).await?;
    tracing::info!(task = task.as_ref().map(TaskId::as_str), retried, "a retry was asked for");
    (console.changed)();
    Ok(Json(Retried { retried }))
}

pub(crate) async fn release(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Answer<Released> {
    let case = CaseId(id);
    console.queries.release(&case, BY, console.clock.now()).await?;
    tracing::info!(%case, "a held case was released");
    (console.changed)();
    Ok(Json(Released { released: case.0 }))
}

pub(crate) async fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "there is no such page; the API is under /api/v1")
}

pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this page does not take that method")
}

/// A name that is not known would find nothing, which looks like good news.
fn known(what: &str, name: Option<&str>, names: &[&str]) -> Result<(), ApiError> {
    match name {
        Some(name) if !names.contains(&name) => {
            let why = format!("{what} {name:?} is none of {}", names.join(", "));
            Err(ApiError::new(StatusCode::BAD_REQUEST, why))
        }
        _ => Ok(()),
    }
}

fn query<T>(filter: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    match filter {
        Ok(Query(filter)) => Ok(filter),
        Err(refused) => Err(ApiError::new(StatusCode::BAD_REQUEST, refused.body_text())),
    }
}
