//! Listing an account's users and roles, page by page.

use std::collections::HashMap;

use aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput as Details;
use aws_sdk_iam::types::{AttachedPolicy, EntityType, Role, RoleDetail, User, UserDetail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use severance_engine::ports::InventorySink;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::plan::Identity;

use crate::calls::Calls;
use crate::document;
use crate::failure::{present, too_many_pages};
use crate::identity::{Count, LONGEST_SESSION, max_session, of_role, role_detail, tags};
use crate::reads::{all_pages, time};

const DETAILS: &str = "iam:GetAccountAuthorizationDetails";

/// What is listed.
pub(crate) const ALL: &[EntityType] = &[EntityType::User, EntityType::Role];
/// Roles alone: no user is asked for what it has.
pub(crate) const ROLES: &[EntityType] = &[EntityType::Role];

/// Lists users and roles, or roles alone, into `sink`. `GetAccountAuthorizationDetails` answers most of it in few
/// calls; where it is not allowed, users and roles are listed and asked for one by one.
pub(crate) async fn list(
    calls: &Calls<'_>,
    count: Count,
    what: &[EntityType],
    sink: &mut dyn InventorySink,
) -> Result<(), Failure> {
    match details(calls, what, None).await {
        Ok(first) => by_details(calls, count, (what, first), sink).await,
        Err(failure) if failure.class == FailureClass::Cannot => {
            tracing::warn!(account = %calls.id(), %failure, "listing users and roles one by one");
            one_by_one(calls, count, what, sink).await
        }
        Err(failure) => Err(failure),
    }
}

async fn details(
    calls: &Calls<'_>,
    what: &[EntityType],
    marker: Option<String>,
) -> Result<Details, Failure> {
    let request = calls.account.iam().get_account_authorization_details();
    let request = request.set_filter(Some(what.to_vec())).set_marker(marker);
    calls.call(DETAILS, request.send()).await
}

async fn by_details(
    calls: &Calls<'_>,
    count: Count,
    (what, first): (&[EntityType], Details),
    sink: &mut dyn InventorySink,
) -> Result<(), Failure> {
    let sessions = longest_sessions(calls).await?;
    let mut page = first;
    for _ in 0..calls.account.limits.pages {
        let next = page.marker.take().filter(|_| page.is_truncated);
        let roles = page.role_detail_list.take().unwrap_or_default();
        let mut identities: Vec<Identity> =
            roles.into_iter().filter_map(|role| listed_role(calls, &sessions, role)).collect();
        let users = page.user_detail_list.take().unwrap_or_default();
        let found: Vec<Option<Identity>> = stream::iter(users)
            .map(|user| listed_user(calls, count, user))
            .buffered(calls.account.limits.concurrency)
            .try_collect()
            .await?;
        identities.extend(found.into_iter().flatten());
        sink.page(identities).await?;
        match next {
            Some(next) => page = details(calls, what, Some(next)).await?,
            None => return Ok(()),
        }
    }
    Err(too_many_pages(DETAILS, calls.account.limits.pages))
}

/// How long each role's sessions may be, by role id: the details do not say.
async fn longest_sessions(calls: &Calls<'_>) -> Result<HashMap<String, u32>, Failure> {
    match roles(calls).await {
        Ok(roles) => {
            let pair = |role: Role| (role.role_id, max_session(role.max_session_duration));
            Ok(roles.into_iter().map(pair).collect())
        }
        // Then every role counts as one with the longest sessions that AWS allows.
        Err(failure) if failure.class == FailureClass::Cannot => {
            tracing::warn!(account = %calls.id(), %failure, "roles count with 12-hour sessions");
            Ok(HashMap::new())
        }
        Err(failure) => Err(failure),
    }
}

async fn roles(calls: &Calls<'_>) -> Result<Vec<Role>, Failure> {
    let iam = calls.account.iam();
    all_pages!(calls, "iam:ListRoles", iam.list_roles(), |page| page.roles)
}

fn listed_role(
    calls: &Calls<'_>,
    sessions: &HashMap<String, u32>,
    role: RoleDetail,
) -> Option<Identity> {
    let unique_id = role.role_id?;
    let trust = role.assume_role_policy_document.as_deref().and_then(document::read);
    let session = sessions.get(&unique_id).copied().unwrap_or(LONGEST_SESSION);
    Some(Identity {
        account: calls.id().clone(),
        arn: role.arn?,
        name: role.role_name?,
        created: role.create_date.as_ref().map(time).unwrap_or_default(),
        tags: tags(role.tags.unwrap_or_default()),
        detail: role_detail(trust, session, role.path.as_deref().unwrap_or("/")),
        unique_id,
    })
}

/// `None` for a user that was deleted meanwhile.
async fn listed_user(
    calls: &Calls<'_>,
    count: Count,
    user: UserDetail,
) -> Result<Option<Identity>, Failure> {
    let (Some(name), Some(arn), Some(unique_id)) = (user.user_name, user.arn, user.user_id) else {
        return Ok(None);
    };
    let Some(credentials) = present(calls.credentials(&name, count).await)? else {
        return Ok(None);
    };
    let inline =
        user.user_policy_list.unwrap_or_default().into_iter().filter_map(|p| p.policy_name);
    let attached = user.attached_managed_policies.unwrap_or_default();
    let attached = attached.into_iter().filter_map(|policy: AttachedPolicy| policy.policy_arn);
    Ok(Some(Identity {
        account: calls.id().clone(),
        arn,
        unique_id,
        created: user.create_date.as_ref().map(time).unwrap_or_default(),
        tags: tags(user.tags.unwrap_or_default()),
        detail: credentials.detail(inline.chain(attached).collect()),
        name,
    }))
}

/// The slow way: a page of users, then of roles, each asked for its tags and policies.
async fn one_by_one(
    calls: &Calls<'_>,
    count: Count,
    what: &[EntityType],
    sink: &mut dyn InventorySink,
) -> Result<(), Failure> {
    let iam = calls.account.iam();
    let users = if what.contains(&EntityType::User) {
        all_pages!(calls, "iam:ListUsers", iam.list_users(), |page| page.users)?
    } else {
        Vec::new()
    };
    for page in pages_of(users) {
        let found: Vec<Option<Identity>> = stream::iter(page)
            .map(|user| asked_user(calls, count, user))
            .buffered(calls.account.limits.concurrency)
            .try_collect()
            .await?;
        sink.page(found.into_iter().flatten().collect()).await?;
    }
    for page in pages_of(roles(calls).await?) {
        let found: Vec<Option<Identity>> = stream::iter(page)
            .map(|role| asked_role(calls, role))
            .buffered(calls.account.limits.concurrency)
            .try_collect()
            .await?;
        sink.page(found.into_iter().flatten().collect()).await?;
    }
    Ok(())
}

async fn asked_user(
    calls: &Calls<'_>,
    count: Count,
    mut user: User,
) -> Result<Option<Identity>, Failure> {
    let iam = calls.account.iam();
    let name = user.user_name.clone();
    let name = name.as_str();
    let asked = async {
        let tags =
            all_pages!(calls, "iam:ListUserTags", iam.list_user_tags().user_name(name), |page| {
                page.tags
            })?;
        user.tags = Some(tags);
        calls.identity_of_user(user, count).await
    };
    present(asked.await)
}

async fn asked_role(calls: &Calls<'_>, mut role: Role) -> Result<Option<Identity>, Failure> {
    let iam = calls.account.iam();
    let name = role.role_name.clone();
    let name = name.as_str();
    let asked =
        all_pages!(calls, "iam:ListRoleTags", iam.list_role_tags().role_name(name), |page| page
            .tags);
    Ok(present(asked)?.map(|tags| {
        role.tags = Some(tags);
        of_role(calls.id(), role)
    }))
}

fn pages_of<T>(all: Vec<T>) -> Vec<Vec<T>> {
    let mut pages = Vec::new();
    let mut rest = all.into_iter().peekable();
    while rest.peek().is_some() {
        pages.push(rest.by_ref().take(100).collect());
    }
    pages
}
