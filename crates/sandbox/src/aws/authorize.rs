//! Whether a caller's policies allow a call.

use std::sync::Arc;

use super::caller::{Caller, Identity};
use super::error::AwsError;
use super::policy::{Context, Document, Question, Verdict, judge};
use super::request::Service;
use super::state::{Grants, Moment, World};
use super::xml::iso;

/// What was decided, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    /// Some statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

/// The documents that bound a caller: each present set must allow a call, and none may deny it.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Of the user, its groups, or the role. `None` for root, whom nothing bounds.
    pub(crate) identity: Option<Vec<Arc<Document>>>,
    pub(crate) boundary: Option<Vec<Arc<Document>>>,
    pub(crate) session: Option<Vec<Arc<Document>>>,
}

impl Bounds {
    pub(crate) fn decide(&self, question: &Question<'_>) -> Decision {
        self.decide_with(question, false)
    }

    /// As [`Bounds::decide`], where another policy (a trust policy naming the caller) may stand in
    /// for the identity's own allow.
    pub(crate) fn decide_with(&self, question: &Question<'_>, granted_elsewhere: bool) -> Decision {
        let mut decision = Decision::Allowed;
        for (set, stood_in) in
            [(&self.identity, granted_elsewhere), (&self.boundary, false), (&self.session, false)]
        {
            let Some(documents) = set else { continue };
            match judge(documents.iter().map(AsRef::as_ref), question) {
                Verdict::Denied => return Decision::ExplicitDeny,
                Verdict::Silent if !stood_in => decision = Decision::ImplicitDeny,
                Verdict::Silent | Verdict::Allowed => {}
            }
        }
        decision
    }
}

/// Which state of the policies counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// What has spread by then.
    Enforced(&'a Moment),
    /// What the control plane shows.
    Latest,
}

/// The bounds of a caller as they are enforced at `at`.
pub(crate) fn bounds_of(world: &World, caller: &Caller, at: &Moment) -> Bounds {
    let seen = Seen::Enforced(at);
    match &caller.identity {
        Identity::Root => Bounds::default(),
        Identity::User { id, .. } => bounds_of_user(world, &caller.account, id, seen),
        Identity::Federated { user, policies, .. } => Bounds {
            session: Some(policies.clone()),
            ..bounds_of_user(world, &caller.account, user, seen)
        },
        Identity::Role { id, policies, .. } => Bounds {
            session: (!policies.is_empty()).then(|| policies.clone()),
            ..bounds_of_role(world, &caller.account, id, seen)
        },
    }
}

/// The bounds of a user, by unique id: its own policies and its groups'.
pub(crate) fn bounds_of_user(world: &World, account: &str, id: &str, seen: Seen<'_>) -> Bounds {
    let Some(home) = world.accounts.get(account) else {
        return Bounds::none();
    };
    let Some(user) = home.users.with_id(id) else {
        return Bounds::none();
    };
    let mut identity = Vec::new();
    collect(world, account, &user.grants, seen, &mut identity);
    let groups = match seen {
        Seen::Enforced(at) => user.groups.holding(at),
        Seen::Latest => user.groups.latest(),
    };
    for group in groups.iter().filter_map(|name| home.groups.named(name)) {
        collect(world, account, &group.grants, seen, &mut identity);
    }
    let boundary = match seen {
        Seen::Enforced(at) => user.boundary.holding(at),
        Seen::Latest => user.boundary.latest(),
    };
    let boundary = boundary.as_deref().map(|arn| boundary_documents(world, account, arn, seen));
    Bounds { identity: Some(identity), boundary, session: None }
}

/// The bounds of a role, by unique id.
pub(crate) fn bounds_of_role(world: &World, account: &str, id: &str, seen: Seen<'_>) -> Bounds {
    let role = world.accounts.get(account).and_then(|home| home.roles.with_id(id));
    let Some(role) = role else {
        return Bounds::none();
    };
    let mut identity = Vec::new();
    collect(world, account, &role.grants, seen, &mut identity);
    let boundary = match seen {
        Seen::Enforced(at) => role.boundary.holding(at),
        Seen::Latest => role.boundary.latest(),
    };
    let boundary = boundary.as_deref().map(|arn| boundary_documents(world, account, arn, seen));
    Bounds { identity: Some(identity), boundary, session: None }
}

impl Bounds {
    /// Nothing is allowed.
    fn none() -> Self {
        Self { identity: Some(Vec::new()), ..Self::default() }
    }
}

fn collect(
    world: &World,
    account: &str,
    grants: &Grants,
    seen: Seen<'_>,
    into: &mut Vec<Arc<Document>>,
) {
    let (inline, attached) = match seen {
        Seen::Enforced(at) => (grants.inline.holding(at), grants.attached.holding(at)),
        Seen::Latest => (grants.inline.latest(), grants.attached.latest()),
    };
    into.extend(inline.values().cloned());
    for arn in attached.iter() {
        into.extend(managed_document(world, account, arn, seen));
    }
}

/// A boundary whose policy is gone allows nothing.
fn boundary_documents(
    world: &World,
    account: &str,
    arn: &str,
    seen: Seen<'_>,
) -> Vec<Arc<Document>> {
    managed_document(world, account, arn, seen).into_iter().collect()
}

fn managed_document(
    world: &World,
    account: &str,
    arn: &str,
    seen: Seen<'_>,
) -> Option<Arc<Document>> {
    let policy = world.managed_policy(account, arn)?;
    Some(match seen {
        Seen::Enforced(at) => policy.document.holding(at).clone(),
        Seen::Latest => policy.document.latest().clone(),
    })
}

/// The condition keys that every call has. AWS: "AWS global condition context keys".
pub(crate) fn context_of(world: &World, caller: &Caller, at: &Moment) -> Context {
    let mut context = Context::default();
    context.put("aws:CurrentTime", iso(at.now));
    context.put("aws:EpochTime", at.now.timestamp().to_string());
    context.put("aws:PrincipalAccount", &caller.account);
    context.put("aws:RequestedRegion", &caller.region);
    context.put("aws:SecureTransport", "false");
    context.put("aws:SourceIp", "127.0.0.1");
    context.put("aws:userid", caller.user_id());
    if let Some(session) = &caller.session {
        context.put("aws:TokenIssueTime", iso(session.issued_at));
        context.put("aws:MultiFactorAuthPresent", session.mfa.to_string());
    }
    let home = world.accounts.get(&caller.account);
    let tags = match &caller.identity {
        Identity::Root => {
            context.put("aws:PrincipalType", "Account");
            context.put("aws:PrincipalArn", caller.arn());
            None
        }
        Identity::User { id, name, arn } => {
            context.put("aws:PrincipalType", "User");
            context.put("aws:PrincipalArn", arn);
            context.put("aws:username", name);
            home.and_then(|home| home.users.with_id(id)).map(|user| &user.tags)
        }
        Identity::Federated { .. } => {
            context.put("aws:PrincipalType", "FederatedUser");
            context.put("aws:PrincipalArn", caller.arn());
            None
        }
        Identity::Role { id, arn, .. } => {
            context.put("aws:PrincipalType", "AssumedRole");
            context.put("aws:PrincipalArn", arn);
            home.and_then(|home| home.roles.with_id(id)).map(|role| &role.tags)
        }
    };
    for (key, value) in tags.into_iter().flatten() {
        context.put(&format!("aws:PrincipalTag/{key}"), value);
    }
    context
}

/// AWS's words for a refusal.
pub(crate) fn denial(
    service: Service,
    caller: &Caller,
    action: &str,
    resource: &str,
    decision: Decision,
) -> AwsError {
    let because = match decision {
        Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
        _ => format!("because no identity-based policy allows the {action} action"),
    };
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} {because}",
        caller.arn()
    );
    match service {
        Service::SecretsManager => AwsError::new(400, "AccessDeniedException", message),
        _ => AwsError::access_denied(message),
    }
}
