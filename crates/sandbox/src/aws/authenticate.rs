//! From a signed request to a caller, or to AWS's refusal.

use chrono::{DateTime, Utc};

use super::caller::{Caller, Identity, SessionFacts};
use super::error::AwsError;
use super::request::{Incoming, Service};
use super::sigv4::{self, Authorization, Flaw, Signed};
use super::state::key::LastUse;
use super::state::{KeyOwner, KeyStatus, Moment, Session, SessionKind, World};

/// Finds out who signed `request`.
///
/// AWS tells an unknown, inactive or deleted key and one of a region where the account is not
/// enabled all the same thing: `InvalidClientTokenId`.
pub(crate) fn authenticate(
    world: &mut World,
    request: &Incoming,
    at: &Moment,
) -> Result<Caller, AwsError> {
    let authorization = request.authorization.as_ref().ok_or_else(|| missing(request))?;
    if authorization.scope.service != request.service.name() {
        let message = format!(
            "Credential should be scoped to correct service: '{}'.",
            request.service.name()
        );
        return Err(AwsError::new(403, "SignatureDoesNotMatch", message));
    }
    if !world.settings.regions.contains(&authorization.scope.region) {
        return Err(unknown_key(request.service));
    }
    let token = request.headers.get("x-amz-security-token").and_then(|it| it.to_str().ok());
    let caller = match token {
        None => by_key(world, request, authorization, at),
        Some(token) => by_session(world, request, authorization, token, at),
    }?;
    refuse_weak_session(&caller, request)?;
    Ok(caller)
}

fn by_key(
    world: &mut World,
    request: &Incoming,
    authorization: &Authorization,
    at: &Moment,
) -> Result<Caller, AwsError> {
    let unknown = || unknown_key(request.service);
    let key = world.keys.get_mut(&authorization.key_id).ok_or_else(unknown)?;
    if *key.status.holding(at) != KeyStatus::Active {
        return Err(unknown());
    }
    check_signature(request, authorization, &key.secret, at.now)?;
    key.last_used = Some(LastUse {
        at: at.now,
        service: request.service.name().to_owned(),
        region: authorization.scope.region.clone(),
    });
    let (account, owner) = (key.account.clone(), key.owner.clone());
    let identity = match owner {
        KeyOwner::Root => Identity::Root,
        KeyOwner::User(id) => user_identity(world, &account, &id, at).ok_or_else(unknown)?,
    };
    Ok(caller(account, authorization, identity, None))
}

fn by_session(
    world: &World,
    request: &Incoming,
    authorization: &Authorization,
    token: &str,
    at: &Moment,
) -> Result<Caller, AwsError> {
    let unknown = || unknown_key(request.service);
    let session = world.sessions.get(&authorization.key_id).ok_or_else(unknown)?;
    if session.token != token {
        return Err(unknown());
    }
    check_signature(request, authorization, &session.secret, at.now)?;
    if session.expires_at <= at.now {
        return Err(expired(request.service));
    }
    let identity = session_identity(world, session, at).ok_or_else(unknown)?;
    let facts = SessionFacts { issued_at: session.issued_at, mfa: session.mfa };
    Ok(caller(session.account.clone(), authorization, identity, Some(facts)))
}

fn caller(
    account: String,
    authorization: &Authorization,
    identity: Identity,
    session: Option<SessionFacts>,
) -> Caller {
    Caller {
        account,
        key_id: authorization.key_id.clone(),
        region: authorization.scope.region.clone(),
        identity,
        session,
    }
}

fn user_identity(world: &World, account: &str, id: &str, at: &Moment) -> Option<Identity> {
    let user = world.accounts.get(account)?.users.with_id(id)?;
    (!user.deleted.holding(at)).then(|| Identity::User {
        id: user.id.clone(),
        name: user.name.clone(),
        arn: user.arn(),
    })
}

fn session_identity(world: &World, session: &Session, at: &Moment) -> Option<Identity> {
    match &session.kind {
        SessionKind::Root => Some(Identity::Root),
        SessionKind::User { user } => user_identity(world, &session.account, user, at),
        SessionKind::Federated { user, name, policies } => {
            user_identity(world, &session.account, user, at)?;
            let (user, name, policies) = (user.clone(), name.clone(), policies.clone());
            Some(Identity::Federated { user, name, policies })
        }
        SessionKind::Role { role, name, policies } => {
            let role = world.accounts.get(&session.account)?.roles.with_id(role)?;
            (!role.deleted.holding(at)).then(|| Identity::Role {
                id: role.id.clone(),
                name: role.name.clone(),
                arn: role.arn(),
                session: name.clone(),
                policies: policies.clone(),
            })
        }
    }
}

/// AWS: IAM User Guide, "Compare AWS STS credentials": sessions from `GetSessionToken` without
/// MFA, and those from `GetFederationToken`, cannot call IAM at all, and of STS only a little.
fn refuse_weak_session(caller: &Caller, request: &Incoming) -> Result<(), AwsError> {
    let weak = match (&caller.identity, &caller.session) {
        (Identity::Federated { .. }, _) => true,
        (Identity::User { .. } | Identity::Root, Some(session)) => !session.mfa,
        _ => false,
    };
    if weak && request.service == Service::Iam {
        return Err(AwsError::invalid_client_token());
    }
    Ok(())
}

fn check_signature(
    request: &Incoming,
    authorization: &Authorization,
    secret: &str,
    now: DateTime<Utc>,
) -> Result<(), AwsError> {
    let signed = Signed {
        method: &request.method,
        uri: &request.uri,
        headers: &request.headers,
        body: &request.body,
    };
    sigv4::check(&signed, authorization, secret, now)
        .map_err(|flaw| refusal(request.service, &flaw))
}

/// The error that each service has for a bad signature: the Query services call every flaw
/// `SignatureDoesNotMatch`, Secrets Manager `InvalidSignatureException`.
fn refusal(service: Service, flaw: &Flaw) -> AwsError {
    match (service, flaw) {
        (Service::SecretsManager, Flaw::NoDate | Flaw::UnsignedHeader(_)) => {
            AwsError::new(400, "IncompleteSignatureException", flaw.to_string())
        }
        (Service::SecretsManager, _) => {
            AwsError::new(400, "InvalidSignatureException", flaw.to_string())
        }
        (_, Flaw::NoDate) => AwsError::new(403, "IncompleteSignature", flaw.to_string()),
        _ => AwsError::new(403, "SignatureDoesNotMatch", flaw.to_string()),
    }
}

fn missing(request: &Incoming) -> AwsError {
    if request.headers.contains_key("authorization") {
        let code = match request.service {
            Service::SecretsManager => "IncompleteSignatureException",
            _ => "IncompleteSignature",
        };
        return AwsError::new(400, code, "Authorization header is not of Signature Version 4");
    }
    let code = match request.service {
        Service::SecretsManager => "MissingAuthenticationTokenException",
        _ => "MissingAuthenticationToken",
    };
    let status = if request.service == Service::SecretsManager { 400 } else { 403 };
    AwsError::new(status, code, "Request is missing Authentication Token")
}

fn unknown_key(service: Service) -> AwsError {
    match service {
        Service::SecretsManager => AwsError::new(
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => AwsError::invalid_client_token(),
    }
}

fn expired(service: Service) -> AwsError {
    let message = "The security token included in the request is expired";
    match service {
        Service::SecretsManager => AwsError::new(400, "ExpiredTokenException", message),
        _ => AwsError::new(403, "ExpiredToken", message),
    }
}
