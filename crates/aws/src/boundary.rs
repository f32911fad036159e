//! Permissions boundaries of ours, which may lie on top of each other.
//!
//! A user has one boundary. Each case that denies by it puts one of its own, which says what the one
//! before it said and denies everything besides, and whose description names the one that it replaced.
//! A description cannot be changed after the policy was made (AWS: IAM API reference, `CreatePolicy`),
//! so neither a crash nor an edit loses what is to be restored.

use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::CaseId;

use crate::calls::Calls;
use crate::reads::ManagedPolicy;

/// What stands before the ARN of the boundary that was replaced.
const REPLACED: &str = "Replaced boundary: ";
const NONE: &str = "none";

/// More cases than this on one user are not followed: one that is not found is put again.
const MOST_LAYERS: usize = 16;

/// The description of a boundary that replaces `old`.
pub(crate) fn description(case: &CaseId, old: Option<&str>) -> String {
    format!("Severance: put by case {case}. {REPLACED}{}", old.unwrap_or(NONE))
}

/// The ARN of the boundary that one of ours replaced.
pub(crate) fn replaced(description: &str) -> Option<String> {
    let (_, arn) = description.split_once(REPLACED)?;
    (arn != NONE).then(|| arn.to_owned())
}

/// Finds the boundary `ours` in what the user has now: as the boundary itself, or below those of other
/// cases. `None` where it is in neither.
pub(crate) async fn layer(
    calls: &Calls<'_>,
    now: Option<&str>,
    ours: &str,
) -> Result<Option<ManagedPolicy>, Failure> {
    let mut next = now.map(str::to_owned);
    for _ in 0..MOST_LAYERS {
        let Some(arn) = next.filter(|arn| is_of_severance(calls, arn)) else {
            return Ok(None);
        };
        let Some(policy) = calls.managed_policy(&arn).await? else {
            return Ok(None);
        };
        if arn == ours {
            return Ok(Some(policy));
        }
        next = replaced(&policy.description);
    }
    Ok(None)
}

/// Whether it is a managed policy of ours, of whichever case.
fn is_of_severance(calls: &Calls<'_>, arn: &str) -> bool {
    arn.starts_with(&calls.policy_arn(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_keeps_the_boundary_that_was_replaced() {
        let arn = "arn:aws:iam::111122223333:policy/team/limits";
        let case = CaseId::from("c-1");
        assert_eq!(replaced(&description(&case, Some(arn))).as_deref(), Some(arn));
        assert_eq!(replaced(&description(&case, None)), None);
        assert_eq!(replaced("of somebody else"), None);
    }
}
