//! Secrets Manager, JSON 1.1.
//!
//! An operation is one line of [`operations::OPERATIONS`] and one function; each gets an [`SmCall`]
//! that has been authenticated, and is authorised when it asks for the secret that it is about.

mod batch;
mod create;
mod delete;
mod describe;
mod input;
mod list;
mod operations;
mod password;
mod permit;
mod policy;
mod refusals;
mod replicas;
mod replicate;
mod rotate;
mod search;
mod stage;
mod tag;
mod value;
mod versions;
mod write;

use serde_json::Value;

use super::caller::Caller;
use super::error::AwsError;
use super::service_call::Trace;
use super::state::agenda::Place;
use super::state::{Moment, Secret, World};
use input::Input;
use operations::OPERATIONS;

pub(crate) use create::arn_for;
pub(crate) use replicas::{arrive, send_to_replicas};

/// One call, while it runs.
pub(crate) struct SmCall<'a> {
    world: &'a mut World,
    caller: &'a Caller,
    at: Moment,
    input: Input<'a>,
    operation: &'static str,
    trace: &'a mut Trace,
    /// The secret that it is about; its replicas follow where the call changes it.
    touched: Option<Place>,
}

/// Carries out an authenticated call.
pub(crate) fn handle(
    world: &mut World,
    caller: &Caller,
    at: Moment,
    operation: &str,
    body: Option<&Value>,
    trace: &mut Trace,
) -> Result<Value, AwsError> {
    let found = OPERATIONS.iter().find(|it| it.name == operation).ok_or_else(|| {
        let message = format!("the sandbox's secretsmanager has no operation {operation}");
        AwsError::new(400, "InvalidAction", message)
    })?;
    let body = body
        .ok_or_else(|| AwsError::new(400, "SerializationException", "a JSON object is needed"))?;
    let input = Input::new(body);
    if let Some(unknown) = input.unknown(found.fields) {
        let message = format!("the sandbox does not know the field {unknown} of {operation}");
        return Err(AwsError::new(400, "InvalidParameterException", message));
    }
    trace.mutates = found.mutates;
    let operation = found.name;
    let mut call = SmCall { world, caller, at, input, operation, trace, touched: None };
    let reply = (found.run)(&mut call)?;
    if let Some(place) = call.touched.take().filter(|_| call.trace.mutates) {
        send_to_replicas(call.world, &place, &at);
    }
    Ok(reply)
}

impl SmCall<'_> {
    /// The secret of `SecretId`, whatever its state, permitted.
    fn any(&mut self) -> Result<Place, AwsError> {
        let id = self.input.required("SecretId")?.to_owned();
        let place = self.find(&id, self.operation)?;
        self.touched = Some(place.clone());
        Ok(place)
    }

    /// The secret of `SecretId`, permitted, and not scheduled for deletion.
    fn live(&mut self) -> Result<Place, AwsError> {
        let place = self.any()?;
        if self.secret(&place)?.deleted.is_some() {
            return Err(refusals::scheduled_for_deletion());
        }
        Ok(place)
    }

    /// The secret of `SecretId`, permitted, not scheduled for deletion, and not a replica.
    fn primary(&mut self) -> Result<Place, AwsError> {
        let place = self.live()?;
        if self.secret(&place)?.replica_of.is_some() {
            return Err(refusals::replica());
        }
        Ok(place)
    }

    /// As [`SmCall::primary`], and its value is not another service's to write.
    fn writable(&mut self) -> Result<Place, AwsError> {
        let place = self.primary()?;
        match &self.secret(&place)?.owning_service {
            Some(service) => Err(refusals::managed_by(service)),
            None => Ok(place),
        }
    }

    /// The secret that `id` names (an ARN, whole or without its random end, or a name), where the
    /// caller may do `operation` to it.
    fn find(&mut self, id: &str, operation: &str) -> Result<Place, AwsError> {
        let (account, arn, place) = locate(self.world, self.caller, id);
        arn.clone_into(&mut self.trace.resource);
        let secret = place.as_ref().and_then(|place| self.world.secret(place));
        let asked = permit::Asked { operation, input: self.input, account: &account, arn: &arn };
        permit::permit(self.world, self.caller, &self.at, secret, &asked)?;
        place.ok_or_else(refusals::missing)
    }

    /// Refuses the call unless the caller may carry it out on `resource`, which is no secret yet.
    fn permit_on(&mut self, resource: &str) -> Result<(), AwsError> {
        resource.clone_into(&mut self.trace.resource);
        let account = self.caller.account.clone();
        let (operation, input) = (self.operation, self.input);
        let asked = permit::Asked { operation, input, account: &account, arn: resource };
        permit::permit(self.world, self.caller, &self.at, None, &asked)
    }

    fn secret(&self, place: &Place) -> Result<&Secret, AwsError> {
        self.world.secret(place).ok_or_else(refusals::missing)
    }

    fn secret_mut(&mut self, place: &Place) -> Result<&mut Secret, AwsError> {
        self.world.secret_mut(place).ok_or_else(refusals::missing)
    }

    /// The call turned out to change nothing.
    fn unchanged(&mut self) {
        self.trace.mutates = false;
    }
}

/// The account that `id` means, the ARN that policies are asked about, and where the secret is, if
/// there is one. Secrets of another region are not seen.
fn locate(world: &World, caller: &Caller, id: &str) -> (String, String, Option<Place>) {
    let region = &caller.region;
    let account = if id.starts_with("arn:") {
        id.split(':').nth(4).unwrap_or_default()
    } else {
        caller.account.as_str()
    };
    let named = |name: &str| {
        let place =
            Place { account: account.to_owned(), region: region.clone(), name: name.to_owned() };
        let arn = &world.secret(&place)?.arn;
        (!id.starts_with("arn:") || arn.starts_with(id)).then(|| (arn.clone(), place))
    };
    match candidates(id).find_map(named) {
        Some((arn, place)) => (account.to_owned(), arn, Some(place)),
        None if id.starts_with("arn:") => (account.to_owned(), id.to_owned(), None),
        None => {
            let arn = format!("arn:aws:secretsmanager:{region}:{account}:secret:{id}");
            (account.to_owned(), arn, None)
        }
    }
}

/// The names that a `SecretId` may mean: of an ARN, what is before its random end (`-` and six
/// characters), or all of it where that end was left out.
fn candidates(id: &str) -> impl Iterator<Item = &str> {
    let name = match id.strip_prefix("arn:") {
        Some(_) => id.splitn(7, ':').nth(6).unwrap_or_default(),
        None => id,
    };
    let stem = name.len().checked_sub(7).and_then(|end| {
        name.get(end..).filter(|end| end.starts_with('-'))?;
        name.get(..end)
    });
    let stem = stem.filter(|_| id.starts_with("arn:"));
    stem.into_iter().chain(std::iter::once(name))
}
