//! Live lookups of what a selector names.

use std::collections::BTreeMap;

use severance_engine::ports::InventorySink;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::plan::Identity;

use crate::arn::IamArn;
use crate::calls::Calls;
use crate::failure::present;
use crate::identity::{Count, of_role};
use crate::inventory;

/// What a selector names in one account. A user, role or secret by name or ARN costs one look (a secret's
/// name one in every region); tags cost the
/// whole listing. Contracts and zones are bindings by configured tags, which the inventory knows, and
/// access keys are located instead: nothing is found for them here.
pub(crate) async fn find(calls: &Calls<'_>, selector: &Selector) -> Result<Vec<Identity>, Failure> {
    match &selector.target {
        SelectorTarget::User(text) => {
            let Some(name) = name_here(calls, text, "user") else { return Ok(Vec::new()) };
            let user = calls.user(name).await?.filter(|user| is_meant(text, &user.arn));
            let Some(user) = user else { return Ok(Vec::new()) };
            let identity = present(calls.identity_of_user(user, Count::All).await)?;
            Ok(identity.into_iter().collect())
        }
        SelectorTarget::Role(text) => {
            let Some(name) = name_here(calls, text, "role") else { return Ok(Vec::new()) };
            let role = calls.role(name).await?.filter(|role| is_meant(text, &role.arn));
            Ok(role.map(|role| of_role(calls.id(), role)).into_iter().collect())
        }
        SelectorTarget::Tags(wanted) => {
            let mut tagged = Tagged { wanted, found: Vec::new() };
            inventory::list(calls, Count::All, inventory::ALL, &mut tagged).await?;
            calls.account.secrets.list(calls, &mut tagged).await?;
            Ok(tagged.found)
        }
        SelectorTarget::Secret(text) => secrets(calls, text, selector.region.as_deref()).await,
        SelectorTarget::AccessKeyId(_) | SelectorTarget::Contract(_) | SelectorTarget::Zone(_) => {
            Ok(Vec::new())
        }
    }
}

/// Secrets of that name, which every region may have one of, or the one of that ARN, whole or without its
/// end (AWS: Secrets Manager API, `DescribeSecret`). Of a replica it is the primary.
async fn secrets(
    calls: &Calls<'_>,
    text: &str,
    only: Option<&str>,
) -> Result<Vec<Identity>, Failure> {
    let named = secret_here(calls, text);
    if text.starts_with("arn:") && named.is_none() {
        return Ok(Vec::new());
    }
    let mut found: Vec<Identity> = Vec::new();
    let mut denied = None;
    for (number, region) in calls.account.regions.iter().enumerate() {
        if named.is_some_and(|named| named != region) {
            continue;
        }
        match calls.account.secrets.find(calls, number, text).await {
            Ok(Some(secret)) if !found.iter().any(|known| known.arn == secret.arn) => {
                found.push(secret);
            }
            Ok(_) => {}
            Err(failure) if failure.class == FailureClass::Cannot => denied = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let is_wanted = |secret: &Identity| {
        let region = secret.secret().map(|(secret, _)| secret.region);
        only.is_none_or(|only| region.as_deref() == Some(only))
    };
    found.retain(is_wanted);
    denied.filter(|_| found.is_empty()).map_or(Ok(found), Err)
}

/// The region in a secret's ARN; `None` for an ARN of another account, partition or service.
fn secret_here<'a>(calls: &Calls<'_>, text: &'a str) -> Option<&'a str> {
    let mut parts = text.strip_prefix("arn:")?.splitn(6, ':');
    let (partition, service) = (parts.next()?, parts.next()?);
    let (region, account, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let here = partition == calls.account.partition
        && service == "secretsmanager"
        && account == calls.id().as_str()
        && kind == "secret";
    here.then_some(region)
}

/// The name in a name or an ARN; `None` for an ARN of another account, partition or kind.
fn name_here<'a>(calls: &Calls<'_>, text: &'a str, kind: &str) -> Option<&'a str> {
    if !text.starts_with("arn:") {
        return Some(text);
    }
    let arn = IamArn::parse(text)?;
    let here = arn.partition == calls.account.partition
        && arn.service == "iam"
        && arn.account == calls.id().as_str()
        && arn.kind == kind;
    here.then(|| arn.name())
}

/// A name means whoever has it; an ARN only the one at that path.
fn is_meant(text: &str, arn: &str) -> bool {
    !text.starts_with("arn:") || text == arn
}

/// Keeps what carries all of the tags. Keys are compared without case, as IAM does.
struct Tagged<'a> {
    wanted: &'a BTreeMap<String, String>,
    found: Vec<Identity>,
}

#[async_trait::async_trait]
impl InventorySink for Tagged<'_> {
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure> {
        let carries = |identity: &Identity| {
            self.wanted.iter().all(|(key, value)| {
                identity.tags.iter().any(|(k, v)| k.eq_ignore_ascii_case(key) && v == value)
            })
        };
        let matching: Vec<Identity> = identities.into_iter().filter(carries).collect();
        self.found.extend(matching);
        Ok(())
    }
}
