//! The HTTP server: one port for all services and for the sandbox's own controls.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming as HyperBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::clock::SandboxClock;
use super::config::SandboxConfig;
use super::due::advance;
use super::error::AwsError;
use super::faults::{Fault, Faults, Plan, Struck};
use super::log::{CallLog, CallRecord};
use super::request::{Incoming, Service};
use super::service_call::{Outcome, run, throttled};
use super::state::World;
use super::throttle::Throttles;
use super::{control, ids, render};

/// The largest request that is read.
const LARGEST_REQUEST: usize = 4 << 20;

/// All that the server, the handle and the controls share.
pub(crate) struct Shared {
    pub(crate) world: Mutex<World>,
    pub(crate) clock: SandboxClock,
    pub(crate) faults: Faults,
    pub(crate) throttles: Throttles,
    pub(crate) log: CallLog,
    pub(crate) latency: Mutex<Duration>,
}

impl Shared {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        let clock = SandboxClock::default();
        let throttles = Throttles::default();
        throttles.set(config.throttles.clone());
        throttles.keep_published(config.published_rates);
        Self {
            world: Mutex::new(World::new(config, clock.now())),
            clock,
            faults: Faults::new(config.seed),
            throttles,
            log: CallLog::new(config.log_capacity),
            latency: Mutex::new(config.latency),
        }
    }

    /// The world as it is now: what fell due since the last look has happened, and is in the log.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        advance(&mut world, self.clock.now());
        for record in world.happened.drain(..) {
            self.log.push(record);
        }
        world
    }

    pub(crate) fn latency(&self) -> Duration {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(crate) fn set_latency(&self, latency: Duration) {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
struct CloseUnanswered;

/// Why a connection was closed without an answer.
#[derive(Debug)]
struct ClosedOnPurpose;

impl fmt::Display for ClosedOnPurpose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("closed without an answer, as a fault demands")
    }
}

impl std::error::Error for ClosedOnPurpose {}

/// Accepts connections until it is dropped; then they all end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router =
        Router::new().nest("/_sandbox", control::router()).fallback(answer).with_state(shared);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve_connection(stream, peer, router.clone()));
                }
                // Too many open files, say: the next one may go better.
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, router: Router) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let guarded = service_fn(move |request: http::Request<HyperBody>| {
        let answer = hyper::service::Service::call(&service, request);
        async move {
            let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<CloseUnanswered>().is_some() {
                return Err(ClosedOnPurpose);
            }
            Ok(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), guarded);
    if let Err(error) = connection.await {
        tracing::trace!(%peer, %error, "a connection to the sandbox ended early");
    }
}

/// Answers one request to AWS.
async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let started = shared.clock.now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, started);
    };
    let request = Incoming::read(parts, body);
    // What has arrived is carried out whether or not its caller still waits, as AWS does it: a caller
    // that is killed meanwhile has made its change.
    let carried_out = tokio::spawn(carry_out(shared, request, started));
    let Ok((response, fault)) = carried_out.await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, started);
    };
    match fault {
        Some(Fault::Hang | Fault::AppliedHang) => std::future::pending().await,
        Some(Fault::Refuse | Fault::AppliedUnanswered) => {
            let mut response = plain(StatusCode::OK, started);
            response.extensions_mut().insert(CloseUnanswered);
            response
        }
        _ => response,
    }
}

/// Delays, strikes, runs and logs one call.
async fn carry_out(
    shared: Arc<Shared>,
    request: Incoming,
    started: DateTime<Utc>,
) -> (Response, Option<Fault>) {
    let (request_id, plan) = prepare(&shared, &request);
    let delay = plan.delay + shared.latency();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let before = plan.fault.and_then(|fault| strike_before(fault, request.service));
    let now = shared.clock.now();
    let outcome = match before {
        Some(error) => struck_outcome(&shared, &request, &request_id, &error),
        None => run(&mut shared.world(), &shared.throttles, &request, &request_id, now),
    };
    let answered = !matches!(
        plan.fault,
        Some(Fault::Refuse | Fault::Hang | Fault::AppliedUnanswered | Fault::AppliedHang)
    );
    let finished = shared.clock.now();
    shared.log.push(record(&request, &outcome, &plan, &request_id, (started, finished), answered));
    (respond(request.service, outcome, &request_id, finished), plan.fault)
}

fn prepare(shared: &Shared, request: &Incoming) -> (String, Plan) {
    let mut world = shared.world();
    let request_id = ids::uuid(&mut world.rng);
    let account = claimed_account(&world, request.key_id());
    let plan = shared.faults.plan(&Struck {
        account: account.as_deref(),
        service: request.service,
        operation: &request.operation,
        key: request.key_id(),
    });
    (request_id, plan)
}

/// The account of the key that a request claims to be signed with.
fn claimed_account(world: &World, key: &str) -> Option<String> {
    let by_key = world.keys.get(key).map(|it| &it.account);
    by_key.or_else(|| world.sessions.get(key).map(|it| &it.account)).cloned()
}

/// The error that stands for a fault which keeps a call from being carried out.
fn strike_before(fault: Fault, service: Service) -> Option<AwsError> {
    let json = service == Service::SecretsManager;
    let message = "a fault of the sandbox, on demand";
    Some(match fault {
        Fault::InternalError if json => AwsError::new(500, "InternalServiceError", message),
        Fault::InternalError => AwsError::new(500, "ServiceFailure", message),
        Fault::Unavailable => AwsError::new(503, "ServiceUnavailable", message),
        Fault::Throttle => throttled(service),
        Fault::Refuse => AwsError::new(503, "SandboxConnectionRefused", message),
        Fault::Hang => AwsError::new(503, "SandboxHang", message),
        Fault::Delay { .. } | Fault::AppliedUnanswered | Fault::AppliedHang => return None,
    })
}

fn struck_outcome(
    shared: &Shared,
    request: &Incoming,
    request_id: &str,
    error: &AwsError,
) -> Outcome {
    Outcome {
        account: claimed_account(&shared.world(), request.key_id()).unwrap_or_default(),
        caller: String::new(),
        resource: String::new(),
        changed: false,
        code: error.code.to_owned(),
        status: error.status,
        body: render::error(request.service, error, request_id),
    }
}

fn record(
    request: &Incoming,
    outcome: &Outcome,
    plan: &Plan,
    request_id: &str,
    (started, finished): (DateTime<Utc>, DateTime<Utc>),
    answered: bool,
) -> CallRecord {
    CallRecord {
        sequence: 0,
        started,
        finished,
        account: outcome.account.clone(),
        caller: outcome.caller.clone(),
        access_key_id: request.key_id().to_owned(),
        service: request.service,
        region: request.region().to_owned(),
        operation: request.operation.clone(),
        resource: outcome.resource.clone(),
        subject: request.subject(),
        outcome: outcome.code.clone(),
        status: outcome.status.as_u16(),
        changed: outcome.changed,
        answered,
        fault: plan.fault,
        request_id: request_id.to_owned(),
    }
}

fn respond(service: Service, outcome: Outcome, request_id: &str, now: DateTime<Utc>) -> Response {
    let mut response = Response::new(Body::from(outcome.body));
    *response.status_mut() = outcome.status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(render::content_type(service)));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    stamp(&mut response, now);
    response
}

fn plain(status: StatusCode, now: DateTime<Utc>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    stamp(&mut response, now);
    response
}

/// The `Date` header, from the sandbox's clock.
fn stamp(response: &mut Response, now: DateTime<Utc>) {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert("date", date);
    }
}
