//! Putting this case's deny on an identity and taking it off again.

use serde_json::Value;
use severance_lifecycle::action::{DenyHandle, DenyOrder, DenyPlace, DenyPurpose, DenyScope};
use severance_lifecycle::credential::{RoleRef, UserRef};
use severance_lifecycle::failure::{Failure, FailureClass};

use super::managed::{self, Body};
use super::{same_role, same_user};
use crate::boundary::{self, replaced};
use crate::calls::Calls;
use crate::deny;
use crate::failure::{cannot, present};
use crate::reads::Holder;

pub(super) async fn put_on_user(
    calls: &Calls<'_>,
    user: &UserRef,
    order: &DenyOrder,
) -> Result<(), Failure> {
    let found = same_user(calls, user).await?;
    let document = deny::document(order.scope);
    match order.handle.place {
        DenyPlace::Inline => {
            let request = calls.account.iam().put_user_policy().user_name(&user.name);
            let request = request.policy_name(order.handle.policy_name());
            let request = request.policy_document(document.to_string()).send();
            calls.call("iam:PutUserPolicy", request).await.map(drop)
        }
        DenyPlace::Managed => {
            put_managed(calls, &order.handle, Holder::User(&user.name), &user.id, &document).await
        }
        DenyPlace::Boundary => {
            let whole = order.scope == DenyScope::Everything
                && order.handle.purpose == DenyPurpose::Everything;
            if !whole {
                // A boundary cuts the good key too, so it is never the place for a sessions deny.
                return Err(misplaced());
            }
            let now = found.permissions_boundary.and_then(|b| b.permissions_boundary_arn);
            put_boundary(calls, user, &order.handle, now.as_deref()).await
        }
    }
}

pub(super) async fn put_on_role(
    calls: &Calls<'_>,
    role: &RoleRef,
    order: &DenyOrder,
) -> Result<(), Failure> {
    same_role(calls, role).await?;
    let document = deny::document(order.scope);
    match order.handle.place {
        DenyPlace::Inline => {
            let request = calls.account.iam().put_role_policy().role_name(&role.name);
            let request = request.policy_name(order.handle.policy_name());
            let request = request.policy_document(document.to_string()).send();
            calls.call("iam:PutRolePolicy", request).await.map(drop)
        }
        DenyPlace::Managed => {
            put_managed(calls, &order.handle, Holder::Role(&role.name), &role.id, &document).await
        }
        DenyPlace::Boundary => Err(misplaced()),
    }
}

pub(super) async fn take_off_user(
    calls: &Calls<'_>,
    user: &UserRef,
    handle: &DenyHandle,
) -> Result<(), Failure> {
    let holder = Holder::User(&user.name);
    match handle.place {
        DenyPlace::Inline => {
            let request = calls.account.iam().delete_user_policy().user_name(&user.name);
            let request = request.policy_name(handle.policy_name()).send();
            present(calls.call("iam:DeleteUserPolicy", request).await).map(drop)
        }
        DenyPlace::Managed => take_off_managed(calls, handle, holder, &user.id).await,
        DenyPlace::Boundary => take_off_boundary(calls, user, handle).await,
    }
}

pub(super) async fn take_off_role(
    calls: &Calls<'_>,
    role: &RoleRef,
    handle: &DenyHandle,
) -> Result<(), Failure> {
    match handle.place {
        DenyPlace::Inline => {
            let request = calls.account.iam().delete_role_policy().role_name(&role.name);
            let request = request.policy_name(handle.policy_name()).send();
            present(calls.call("iam:DeleteRolePolicy", request).await).map(drop)
        }
        DenyPlace::Managed => {
            take_off_managed(calls, handle, Holder::Role(&role.name), &role.id).await
        }
        DenyPlace::Boundary => Err(misplaced()),
    }
}

async fn put_managed(
    calls: &Calls<'_>,
    handle: &DenyHandle,
    holder: Holder<'_>,
    unique_id: &str,
    document: &Value,
) -> Result<(), Failure> {
    let name = deny::managed_name(handle, unique_id);
    let description = format!("Severance: put by case {}.", handle.case);
    let body = Body { name: &name, description: &description, document };
    managed::write(calls, &body).await.map_err(not_there_yet)?;
    let attached = managed::attach(calls, holder, &calls.policy_arn(&name)).await;
    let attached = attached.map_err(not_there_yet);
    if attached.as_ref().is_err_and(|failure| failure.class == FailureClass::Full) {
        // Nothing is left behind; should this fail, undoing the case finds it by name.
        let _ = managed::delete(calls, &calls.policy_arn(&name)).await;
    }
    attached
}

async fn take_off_managed(
    calls: &Calls<'_>,
    handle: &DenyHandle,
    holder: Holder<'_>,
    unique_id: &str,
) -> Result<(), Failure> {
    let arn = calls.policy_arn(&deny::managed_name(handle, unique_id));
    managed::detach(calls, holder, &arn).await?;
    managed::delete(calls, &arn).await
}

/// Replaces the user's boundary by one that says the same and denies everything besides.
async fn put_boundary(
    calls: &Calls<'_>,
    user: &UserRef,
    handle: &DenyHandle,
    now: Option<&str>,
) -> Result<(), Failure> {
    let name = deny::managed_name(handle, &user.id);
    let ours = calls.policy_arn(&name);
    let in_force = boundary::layer(calls, now, &ours).await?;
    let old = if let Some(ours) = &in_force {
        // Ours is in place already, if below another case's: what it replaced is what it says.
        replaced(&ours.description)
    } else {
        let left = calls.managed_policy(&ours).await?;
        if left.is_some_and(|left| replaced(&left.description).as_deref() != now) {
            // Left by an attempt that did not end, and another boundary was set since.
            managed::delete(calls, &ours).await?;
        }
        now.map(str::to_owned)
    };
    let document = match old.as_deref() {
        None => deny::boundary(None),
        Some(arn) => {
            let Some(policy) = calls.managed_policy(arn).await? else {
                let message = format!("the boundary {arn} cannot be read");
                return Err(cannot("iam:GetPolicy", "NoSuchEntity", &message));
            };
            deny::boundary(Some(&policy.document))
        }
    };
    let description = boundary::description(&handle.case, old.as_deref());
    let body = Body { name: &name, description: &description, document: &document };
    managed::write(calls, &body).await.map_err(not_there_yet)?;
    if in_force.is_some() {
        return Ok(());
    }
    let request = calls.account.iam().put_user_permissions_boundary();
    let request = request.user_name(&user.name).permissions_boundary(&ours).send();
    let put = calls.call("iam:PutUserPermissionsBoundary", request).await;
    put.map(drop).map_err(not_there_yet)
}

/// A policy that was just made may not be seen everywhere yet (AWS: IAM User Guide, "Changes that I
/// make are not always immediately visible"). The identity was there a moment ago; if it is what is
/// gone, the next attempt finds that first.
fn not_there_yet(failure: Failure) -> Failure {
    match failure.class {
        FailureClass::Gone => Failure { class: FailureClass::RetrySoon, ..failure },
        _ => failure,
    }
}

/// Puts back the boundary that ours replaced. One that somebody else set meanwhile stays.
async fn take_off_boundary(
    calls: &Calls<'_>,
    user: &UserRef,
    handle: &DenyHandle,
) -> Result<(), Failure> {
    let ours = calls.policy_arn(&deny::managed_name(handle, &user.id));
    let found = calls.user(&user.name).await?.filter(|found| found.user_id == user.id);
    let now = found.and_then(|it| it.permissions_boundary).and_then(|b| b.permissions_boundary_arn);
    let covered = if now.as_deref() == Some(ours.as_str()) {
        let Some(policy) = calls.managed_policy(&ours).await? else {
            return Err(cannot("iam:GetPolicy", "NoSuchEntity", "our boundary cannot be read"));
        };
        let iam = calls.account.iam();
        if let Some(old) = replaced(&policy.description) {
            let request = iam.put_user_permissions_boundary();
            let request = request.user_name(&user.name).permissions_boundary(&old).send();
            let put = calls.call("iam:PutUserPermissionsBoundary", request).await;
            // Gone is not done here: the boundary that is to be restored does not exist any more.
            put.map_err(|failure| match failure.class {
                FailureClass::Gone => Failure { class: FailureClass::Cannot, ..failure },
                _ => failure,
            })?;
        } else {
            let request = iam.delete_user_permissions_boundary().user_name(&user.name).send();
            present(calls.call("iam:DeleteUserPermissionsBoundary", request).await)?;
        }
        false
    } else {
        // Another case's boundary lies on top only where it says so: it may also be the one that ours
        // replaced, put back by an attempt that did not end.
        boundary::layer(calls, now.as_deref(), &ours).await?.is_some()
    };
    if covered {
        open_boundary(calls, handle, user).await
    } else {
        managed::delete(calls, &ours).await
    }
}

/// Another case's boundary lies on top of ours and names ours as what it replaced. Ours stays, without
/// its deny, so that what is put back then says what the owner's own boundary said.
async fn open_boundary(
    calls: &Calls<'_>,
    handle: &DenyHandle,
    user: &UserRef,
) -> Result<(), Failure> {
    let name = deny::managed_name(handle, &user.id);
    let Some(ours) = calls.managed_policy(&calls.policy_arn(&name)).await? else {
        return Ok(());
    };
    let old = match replaced(&ours.description) {
        Some(arn) => calls.managed_policy(&arn).await?.map(|policy| policy.document),
        None => None,
    };
    let document = old.unwrap_or_else(deny::open_boundary);
    let body = Body { name: &name, description: &ours.description, document: &document };
    managed::write(calls, &body).await.map_err(not_there_yet)
}

fn misplaced() -> Failure {
    let message = "a boundary is only for a deny of everything on a whole user";
    cannot("iam:PutUserPermissionsBoundary", "Misplaced", message)
}
