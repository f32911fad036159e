//! Reading this case's denies back.

use severance_engine::ports::Look;
use severance_lifecycle::action::{DenyHandle, DenyPlace, DenyPurpose, DenyScope};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::observe::DenyState;

use crate::boundary;
use crate::calls::Calls;
use crate::deny;
use crate::reads::Holder;

const PURPOSES: [DenyPurpose; 2] = [DenyPurpose::Sessions, DenyPurpose::Everything];

/// The case's denies among the identity's policies. Those that are not listed are not asked for.
pub(super) async fn read(
    calls: &Calls<'_>,
    look: &Look,
    holder: Holder<'_>,
    unique_id: &str,
    inline: &[String],
    attached: &[String],
) -> Result<Vec<DenyState>, Failure> {
    let mut denies = Vec::new();
    for purpose in PURPOSES {
        let handle = handle(look, purpose, DenyPlace::Inline);
        let name = handle.policy_name();
        if inline.contains(&name)
            && let Some(document) = calls.inline_document(holder, &name).await?
        {
            denies.push(DenyState { scope: deny::scope(&document, purpose), handle });
        }
        let handle = self::handle(look, purpose, DenyPlace::Managed);
        let arn = calls.policy_arn(&deny::managed_name(&handle, unique_id));
        if attached.contains(&arn) {
            let policy = calls.managed_policy(&arn).await?;
            let scope = policy.and_then(|policy| deny::scope(&policy.document, purpose));
            denies.push(DenyState { handle, scope });
        }
    }
    Ok(denies)
}

/// The case's deny as the user's permissions boundary, or below those of other cases: each of them
/// denies everything too, and what it replaced is in force again when it is taken off.
pub(super) async fn boundary(
    calls: &Calls<'_>,
    look: &Look,
    unique_id: &str,
    now: Option<&str>,
) -> Result<Option<DenyState>, Failure> {
    let handle = handle(look, DenyPurpose::Everything, DenyPlace::Boundary);
    let arn = calls.policy_arn(&deny::managed_name(&handle, unique_id));
    let ours = boundary::layer(calls, now, &arn).await?;
    Ok(ours.and_then(|policy| {
        let denies = deny::boundary_denies(&policy.document);
        // Below another case's and without its deny: taken off, and kept for what it says.
        let taken_off = !denies && now != Some(arn.as_str());
        let scope = denies.then_some(DenyScope::Everything);
        (!taken_off).then_some(DenyState { handle, scope })
    }))
}

fn handle(look: &Look, purpose: DenyPurpose, place: DenyPlace) -> DenyHandle {
    DenyHandle { case: look.case.clone(), purpose, place }
}
