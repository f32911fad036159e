//! Runs one request from authentication to answer, in the sandbox's own time.

use chrono::{DateTime, Utc};
use http::StatusCode;

use super::authenticate::authenticate;
use super::authorize::{Decision, bounds_of, context_of, denial};
use super::call::{Call, Operation, Target};
use super::caller::Caller;
use super::clock::monotonic;
use super::error::AwsError;
use super::params::Params;
use super::policy::Question;
use super::request::{IAM_VERSION, Incoming, Input, STS_VERSION, Service};
use super::state::{Moment, World};
use super::throttle::Throttles;
use super::{iam, render, secretsmanager, sts};

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) account: String,
    pub(crate) caller: String,
    pub(crate) resource: String,
    pub(crate) changed: bool,
    pub(crate) code: String,
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

/// What is known of a call as it proceeds, for the log.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) account: String,
    pub(crate) caller: String,
    pub(crate) resource: String,
    pub(crate) mutates: bool,
}

/// Authenticates, throttles, authorises and carries out `request`.
pub(crate) fn run(
    world: &mut World,
    throttles: &Throttles,
    request: &Incoming,
    request_id: &str,
    now: DateTime<Utc>,
) -> Outcome {
    let mut trace = Trace::default();
    let result = attempt(world, throttles, request, request_id, now, &mut trace);
    let (code, status, body) = match &result {
        Ok(body) => ("Success", StatusCode::OK, body.clone()),
        Err(error) => (error.code, error.status, render::error(request.service, error, request_id)),
    };
    Outcome {
        account: trace.account,
        caller: trace.caller,
        resource: trace.resource,
        changed: result.is_ok() && trace.mutates,
        code: code.to_owned(),
        status,
        body,
    }
}

fn attempt(
    world: &mut World,
    throttles: &Throttles,
    request: &Incoming,
    request_id: &str,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<String, AwsError> {
    let at = world.moment(now);
    let caller = authenticate(world, request, &at)?;
    trace.account.clone_from(&caller.account);
    trace.caller = caller.arn();
    let (service, operation) = (request.service, request.operation.as_str());
    let whose = (caller.account.as_str(), caller.region.as_str());
    if !throttles.admit(whose, &caller.key_id, service, operation, monotonic()) {
        return Err(throttled(service));
    }
    match (&request.input, service) {
        (Input::Json(value), Service::SecretsManager) => {
            secretsmanager::handle(world, &caller, at, operation, value.as_ref(), trace)
                .map(|reply| reply.to_string())
        }
        (Input::Query(params), Service::Iam | Service::Sts) => {
            let found = find(service, operation, params)?;
            query(world, &caller, at, (service, found), params, trace)
                .map(|xml| render::success(service, found.name, &xml, request_id))
        }
        _ => {
            Err(AwsError::new(400, "InvalidAction", "the request is not of its service's protocol"))
        }
    }
}

fn find(
    service: Service,
    operation: &str,
    params: &Params,
) -> Result<&'static Operation, AwsError> {
    let (found, version) = match service {
        Service::Sts => (sts::operation(operation), STS_VERSION),
        _ => (iam::operation(operation), IAM_VERSION),
    };
    let found = found.filter(|_| params.get("Version").is_none_or(|it| it == version));
    let found = found.ok_or_else(|| {
        let version = params.get("Version").unwrap_or_default();
        let message = format!(
            "Could not find operation {operation} for version {version} (the sandbox's {} does \
             not have it)",
            service.name()
        );
        AwsError::new(400, "InvalidAction", message)
    })?;
    match params.unknown(found.params) {
        Some(unknown) => Err(AwsError::validation(format!(
            "the sandbox does not know the parameter {unknown} of {operation}"
        ))),
        None => Ok(found),
    }
}

fn query(
    world: &mut World,
    caller: &Caller,
    at: Moment,
    (service, operation): (Service, &'static Operation),
    params: &Params,
    trace: &mut Trace,
) -> Result<super::xml::Xml, AwsError> {
    trace.mutates = operation.mutates;
    trace.resource = operation.resource(world, caller, params);
    if operation.target != Target::Free {
        let action = format!("{}:{}", service.name(), operation.name);
        permit(world, caller, &at, service, &action, &trace.resource)?;
    }
    (operation.run)(&mut Call { world, caller, at, params })
}

/// Refuses a call that the caller's policies do not allow.
pub(crate) fn permit(
    world: &World,
    caller: &Caller,
    at: &Moment,
    service: Service,
    action: &str,
    resource: &str,
) -> Result<(), AwsError> {
    let context = context_of(world, caller, at);
    let question = Question { action, resource, context: &context };
    match bounds_of(world, caller, at).decide(&question) {
        Decision::Allowed => Ok(()),
        refused => Err(denial(service, caller, action, resource, refused)),
    }
}

/// The service's throttling error.
pub(crate) fn throttled(service: Service) -> AwsError {
    match service {
        Service::SecretsManager => AwsError::new(400, "ThrottlingException", "Rate exceeded"),
        _ => AwsError::new(400, "Throttling", "Rate exceeded"),
    }
}
