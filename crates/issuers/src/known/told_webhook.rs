//! What an owner's endpoint is told.

use severance_engine::ports::{Errand, Telling, Told};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::record::ProbeAnswer;

use super::{Webhook, cannot, endpoint};
use crate::webhook::{Call, CallKind, Status};

/// Does an errand. It names versions and holds no value.
pub(super) async fn tell(
    webhook: &Webhook,
    errand: &Errand,
    operation: &str,
) -> Result<Told, Failure> {
    let call = Call {
        call: match errand.what {
            Telling::Set { .. } => CallKind::Set,
            Telling::Try => CallKind::Test,
            Telling::Finish => CallKind::Finish,
            // It ends the sessions too.
            Telling::Retire { .. } | Telling::EndSessions => CallKind::Revoke,
        },
        secret: errand.secret.arn.clone(),
        version: errand.version.id.clone(),
        attempt_id: errand.attempt.clone(),
    };
    let answer = webhook.issuer.call(&webhook.endpoint, &call).await;
    let answer = answer.map_err(|error| error.failure(operation))?;
    let endpoint = endpoint(&errand.issuer);
    let said = answer.reason.unwrap_or_default();
    let probe = match (answer.status, call.call) {
        (Status::Accepted, _) => ProbeAnswer::Accepted { endpoint },
        (Status::Refused, CallKind::Test) => ProbeAnswer::Refused { endpoint },
        (Status::Done, _) => return Ok(Told::default()),
        (Status::Pending, _) => {
            let pending = cannot(operation, "Pending", &format!("not yet: {said}"));
            return Err(Failure { class: FailureClass::RetrySoon, ..pending });
        }
        (Status::Refused, _) => return Err(cannot(operation, "Refused", &said)),
    };
    Ok(Told { probe: Some(probe), ..Told::default() })
}

/// Asks about a version that no secret has. Changes nothing; any documented answer will do.
pub(super) async fn reach(webhook: &Webhook) -> Result<(), Failure> {
    const NAME: &str = "severance-check";
    let call = Call {
        call: CallKind::Test,
        secret: NAME.to_owned(),
        version: NAME.to_owned(),
        attempt_id: NAME.to_owned(),
    };
    let answer = webhook.issuer.call(&webhook.endpoint, &call).await;
    answer.map(drop).map_err(|error| error.failure("webhook:Test"))
}
