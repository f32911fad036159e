//! The sandbox's controls over HTTP, for a sandbox that runs as a process of its own.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /_sandbox/health` | `{"status":"ok"}` once it serves |
//! | `GET /_sandbox/accounts` | the accounts, each with its root access key |
//! | `POST /_sandbox/accounts` | `{"account":"222222222222"}` adds one |
//! | `GET`, `PATCH /_sandbox/settings` | spread delay, replica delay, page size, latency, regions, clock offset, throttles, published rates |
//! | `POST /_sandbox/settle` | makes every change made so far hold at once |
//! | `GET`, `POST`, `DELETE /_sandbox/faults` | lists, adds, clears faults ([`super::FaultRule`]) |
//! | `DELETE /_sandbox/faults/{id}` | takes one fault away |
//! | `GET /_sandbox/calls?after=N&limit=M` | the log of all calls |
//! | `GET /_sandbox/changes?after=N&limit=M` | the log of calls that changed something |
//! | `DELETE /_sandbox/log` | forgets both |
//! | `GET /_sandbox/keys/{id}` | how an access key stands ([`super::KeyState`]) |
//! | `POST /_sandbox/keys` | `{"ids":[…]}`: the same for many |
//! | `POST /_sandbox/try` | tries a credential ([`super::Attempt`]) |
//! | `POST /_sandbox/seed` | makes users with keys, in bulk ([`SeedRequest`]) |
//! | `POST /_sandbox/secrets` | makes a secret with all that one can have ([`SecretRequest`]) |
//! | `POST /_sandbox/rotation` | says what a secret's rotation function does ([`RotationRequest`]) |

mod secrets;
mod seeding;
mod settings;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{FaultRule, FaultStatus};
use super::handle::KeyState;
use super::log::CallRecord;
use super::seed::Seeder;
use super::server::Shared;
use super::try_credential::{Attempt, Verdict, attempt};

pub use secrets::{RotationRequest, SecretRequest};
pub use seeding::{SeedRequest, SeedResponse, SeededUser, UserSeed};
pub use settings::{Settings, SettingsPatch};

type Controls = State<Arc<Shared>>;
type Refusal = (StatusCode, Json<Value>);

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/accounts", get(accounts).post(add_account))
        .route("/settings", get(settings::show).patch(settings::change))
        .route("/settle", post(settle))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/calls", get(calls))
        .route("/changes", get(changes))
        .route("/log", delete(clear_log))
        .route("/keys", post(key_states))
        .route("/keys/{id}", get(key_state))
        .route("/try", post(try_one))
        .route("/seed", post(seeding::seed))
        .route("/secrets", post(secrets::make))
        .route("/rotation", post(secrets::set_rotation))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "the sandbox has no such control"))
}

fn refusal(status: StatusCode, message: impl Into<String>) -> Refusal {
    (status, Json(json!({ "error": message.into() })))
}

async fn accounts(State(shared): Controls) -> Json<Value> {
    let ids: Vec<String> = shared.world().accounts.keys().cloned().collect();
    let accounts: Vec<Value> = ids.iter().map(|id| account(&shared, id)).collect();
    Json(Value::Array(accounts))
}

fn account(shared: &Shared, id: &str) -> Value {
    let root = Seeder::new(shared, id).and_then(|seeder| seeder.root_key()).ok();
    json!({
        "account": id,
        "root_access_key_id": root.as_ref().map(|key| &key.access_key_id),
        "root_secret_access_key": root.as_ref().map(|key| &key.secret_access_key),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    account: String,
}

async fn add_account(
    State(shared): Controls,
    Json(new): Json<NewAccount>,
) -> Result<Json<Value>, Refusal> {
    if new.account.len() != 12 || !new.account.bytes().all(|it| it.is_ascii_digit()) {
        return Err(refusal(StatusCode::BAD_REQUEST, "an account number has 12 digits"));
    }
    let now = shared.clock.now();
    shared.world().add_account(&new.account, now);
    Ok(Json(account(&shared, &new.account)))
}

async fn settle(State(shared): Controls) -> StatusCode {
    let now = shared.clock.now();
    shared.world().settle(now);
    StatusCode::NO_CONTENT
}

async fn faults(State(shared): Controls) -> Json<Vec<FaultStatus>> {
    Json(shared.faults.list())
}

async fn add_fault(State(shared): Controls, Json(rule): Json<FaultRule>) -> Json<Value> {
    Json(json!({ "id": shared.faults.add(rule) }))
}

async fn clear_faults(State(shared): Controls) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): Controls, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    if shared.faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(refusal(StatusCode::NOT_FOUND, format!("there is no fault {id}")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    #[serde(default)]
    after: u64,
    #[serde(default = "LogQuery::default_limit")]
    limit: usize,
}

impl LogQuery {
    fn default_limit() -> usize {
        10_000
    }
}

async fn calls(State(shared): Controls, Query(query): Query<LogQuery>) -> Json<Vec<CallRecord>> {
    drop(shared.world()); // what fell due belongs into the log
    Json(shared.log.page(false, query.after, query.limit))
}

async fn changes(State(shared): Controls, Query(query): Query<LogQuery>) -> Json<Vec<CallRecord>> {
    drop(shared.world());
    Json(shared.log.page(true, query.after, query.limit))
}

async fn clear_log(State(shared): Controls) -> StatusCode {
    shared.log.clear();
    StatusCode::NO_CONTENT
}

async fn key_state(
    State(shared): Controls,
    Path(id): Path<String>,
) -> Result<Json<KeyState>, Refusal> {
    let unknown = || refusal(StatusCode::NOT_FOUND, format!("no key {id} was ever made here"));
    shared.key_state(&id).map(Json).ok_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyQuery {
    ids: Vec<String>,
}

async fn key_states(State(shared): Controls, Json(query): Json<KeyQuery>) -> Json<Vec<KeyState>> {
    Json(query.ids.iter().filter_map(|id| shared.key_state(id)).collect())
}

async fn try_one(State(shared): Controls, Json(what): Json<Attempt>) -> Json<Verdict> {
    let world = shared.world();
    Json(attempt(&world, &world.moment(shared.clock.now()), &what))
}
