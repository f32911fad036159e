//! Secrets Manager, JSON 1.1: what finding and reading a secret needs.
//!
//! An operation is one line of [`OPERATIONS`] and one function; each gets an [`SmCall`] that has
//! been authenticated, and asks [`SmCall::permit`] once it knows which secret it is about.

mod create;
mod input;
mod list;
mod read;
mod tag;

use serde_json::Value;

use super::caller::Caller;
use super::error::AwsError;
use super::request::Service;
use super::service_call::{Trace, permit};
use super::state::{Moment, Secret, World};
use input::Input;

pub(crate) use create::new_secret;

/// One call, while it runs.
pub(crate) struct SmCall<'a> {
    world: &'a mut World,
    caller: &'a Caller,
    at: Moment,
    input: Input<'a>,
    operation: &'static str,
    trace: &'a mut Trace,
}

struct Operation {
    name: &'static str,
    mutates: bool,
    /// The input fields that it understands; any other is refused rather than ignored.
    fields: &'static [&'static str],
    run: fn(&mut SmCall<'_>) -> Result<Value, AwsError>,
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateSecret",
        mutates: true,
        fields: &[
            "Name",
            "ClientRequestToken",
            "Description",
            "KmsKeyId",
            "SecretBinary",
            "SecretString",
            "Tags",
        ],
        run: create::create,
    },
    Operation {
        name: "ListSecrets",
        mutates: false,
        fields: &["MaxResults", "NextToken", "Filters", "SortOrder", "IncludePlannedDeletion"],
        run: list::list,
    },
    Operation {
        name: "DescribeSecret",
        mutates: false,
        fields: &["SecretId"],
        run: read::describe,
    },
    Operation {
        name: "GetSecretValue",
        mutates: false,
        fields: &["SecretId", "VersionId", "VersionStage"],
        run: read::value,
    },
    Operation { name: "TagResource", mutates: true, fields: &["SecretId", "Tags"], run: tag::tag },
    Operation {
        name: "UntagResource",
        mutates: true,
        fields: &["SecretId", "TagKeys"],
        run: tag::untag,
    },
];

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
    let mut call = SmCall { world, caller, at, input, operation: found.name, trace };
    (found.run)(&mut call)
}

impl SmCall<'_> {
    /// Refuses the call unless the caller may carry it out on `resource`.
    fn permit(&mut self, resource: &str) -> Result<(), AwsError> {
        resource.clone_into(&mut self.trace.resource);
        let action = format!("secretsmanager:{}", self.operation);
        permit(self.world, self.caller, &self.at, Service::SecretsManager, &action, resource)
    }

    /// The secret of `SecretId` (an ARN, whole or without its random end, or a name), permitted.
    fn secret(&mut self) -> Result<&mut Secret, AwsError> {
        let id = self.input.required("SecretId")?.to_owned();
        let (region, account) = (self.caller.region.clone(), self.caller.account.clone());
        let secrets = &self.world.account(&account)?.secrets;
        let found = candidates(&id).find_map(|name| {
            let secret = secrets.get(&(region.clone(), name.to_owned()))?;
            (!id.starts_with("arn:") || secret.arn.starts_with(&id)).then_some(secret)
        });
        let found = found.map(|secret| (secret.arn.clone(), secret.name.clone()));
        let arn = match &found {
            Some((arn, _)) => arn.clone(),
            None if id.starts_with("arn:") => id,
            None => format!("arn:aws:secretsmanager:{region}:{account}:secret:{id}"),
        };
        self.permit(&arn)?;
        let (_, name) = found.ok_or_else(missing)?;
        let secrets = &mut self.world.account_mut(&account)?.secrets;
        secrets.get_mut(&(region, name)).ok_or_else(missing)
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

fn missing() -> AwsError {
    let message = "Secrets Manager can't find the specified secret.";
    AwsError::new(400, "ResourceNotFoundException", message)
}
