//! Who we are ourselves.

use severance_lifecycle::failure::{Failure, FailureClass};

use crate::arn::IamArn;
use crate::calls::Calls;

/// The ARN of our own identity in an account, as a user or role and not as a session.
pub(crate) async fn identity(calls: &Calls<'_>) -> Result<String, Failure> {
    let request = calls.account.sts().get_caller_identity().send();
    let answer = calls.call("sts:GetCallerIdentity", request).await?;
    let arn = answer.arn.unwrap_or_default();
    let Some((account, role)) = role_of_session(&arn) else {
        return Ok(arn);
    };
    // A session's ARN leaves the role's path out. Where the role cannot be asked for, it has none, as
    // far as we can know.
    let there = calls.sibling(&account.into());
    let found = match &there {
        Some(there) => match there.role(role).await {
            Ok(found) => found,
            Err(failure) if failure.class == FailureClass::Cannot => None,
            Err(failure) => return Err(failure),
        },
        None => None,
    };
    let partition = &calls.account.partition;
    Ok(found.map_or_else(|| format!("arn:{partition}:iam::{account}:role/{role}"), |it| it.arn))
}

fn role_of_session(arn: &str) -> Option<(&str, &str)> {
    let arn = IamArn::parse(arn)?;
    Some((arn.account, arn.assumed_role()?))
}
