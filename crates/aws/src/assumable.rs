//! Which roles an identity may assume.

use std::collections::BTreeSet;

use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType};
use serde_json::Value;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::AssumableRole;
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::trust::{self, Partner};

use crate::arn::IamArn;
use crate::calls::Calls;

/// ARNs that one simulation is asked for.
const BATCH: usize = 50;

/// How far a trust policy lets an identity in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Named itself, in its own account: that alone lets it in.
    Named,
    /// Let in if its own policies allow it (its account's root, `*`, or named across accounts).
    IfAllowed,
    /// Not let in.
    No,
}

/// Those of the candidates that the identity may assume. Where the simulation is denied to us, every
/// role whose trust would let it in counts: listing one too many is the safer mistake.
pub(crate) async fn assumable(
    calls: &Calls<'_>,
    identity: &Identity,
    candidates: &[Identity],
) -> Result<Vec<AssumableRole>, Failure> {
    let let_in: Vec<(&Identity, Entry)> = candidates
        .iter()
        .map(|role| (role, entry(identity, role)))
        .filter(|(_, entry)| *entry != Entry::No)
        .collect();
    let asked: Vec<&str> = let_in
        .iter()
        .filter(|(_, entry)| *entry == Entry::IfAllowed)
        .map(|(role, _)| role.arn.as_str())
        .collect();
    let allowed = match allowed(calls, &identity.arn, &asked).await {
        Ok(allowed) => allowed,
        Err(failure) if failure.class == FailureClass::Cannot => {
            tracing::warn!(identity = %identity.arn, %failure, "every role that would let it in counts");
            asked.iter().map(|arn| (*arn).to_owned()).collect()
        }
        Err(failure) => return Err(failure),
    };
    let counts =
        |(role, entry): &(&Identity, Entry)| *entry == Entry::Named || allowed.contains(&role.arn);
    Ok(let_in.into_iter().filter(counts).filter_map(|(role, _)| standing(role)).collect())
}

fn entry(identity: &Identity, role: &Identity) -> Entry {
    let IdentityDetail::Role { trust, .. } = &role.detail else {
        return Entry::No;
    };
    let lets_in = |principals: &[&str]| {
        let principals = principals.iter().map(|text| (*text).to_owned()).collect();
        let partner = Partner { principals, accounts: BTreeSet::new() };
        !trust::read(trust, &partner).partner.is_empty()
    };
    let account = identity.account.as_str();
    let partition = identity.arn.split(':').nth(1).unwrap_or("aws");
    let root = format!("arn:{partition}:iam::{account}:root");
    if lets_in(&[&identity.arn, &identity.unique_id]) || lets_in_sessions(identity, trust) {
        if identity.account == role.account { Entry::Named } else { Entry::IfAllowed }
    } else if lets_in(&[account, &root, "*"]) || is_not_left_out(identity, trust) {
        Entry::IfAllowed
    } else {
        Entry::No
    }
}

/// Whether sessions of the identity, a role, are named (`arn:aws:sts::111122223333:assumed-role/NAME/…`,
/// which leaves its path out).
fn lets_in_sessions(identity: &Identity, trust: &Value) -> bool {
    let is_role = matches!(identity.detail, IdentityDetail::Role { .. });
    is_role
        && trust::principals(trust).iter().filter_map(|text| IamArn::parse(text)).any(|arn| {
            arn.account == identity.account.as_str()
                && arn.assumed_role() == Some(identity.name.as_str())
        })
}

/// Whether a statement lets in everyone but some (`NotPrincipal`), and the identity is none of them.
fn is_not_left_out(identity: &Identity, trust: &Value) -> bool {
    let statements = match trust.get("Statement") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let allowing = statements
        .iter()
        .filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Allow"));
    allowing.filter_map(|statement| statement.get("NotPrincipal")).any(|left_out| {
        let named = match left_out.get("AWS") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        !named.iter().any(|name| *name == identity.arn || *name == identity.unique_id)
    })
}

/// The roles that the identity's own policies let it assume, as IAM simulates them.
async fn allowed(
    calls: &Calls<'_>,
    identity: &str,
    roles: &[&str],
) -> Result<BTreeSet<String>, Failure> {
    let mut allowed = BTreeSet::new();
    for batch in roles.chunks(BATCH) {
        let results = simulate(calls, identity, &["sts:AssumeRole"], batch).await?;
        for result in results {
            let named = result.eval_resource_name.as_deref().unwrap_or_default().to_owned();
            if result.eval_decision == PolicyEvaluationDecisionType::Allowed {
                allowed.insert(named);
            }
            for one in result.resource_specific_results.unwrap_or_default() {
                if one.eval_resource_decision == PolicyEvaluationDecisionType::Allowed {
                    allowed.insert(one.eval_resource_name);
                } else {
                    allowed.remove(&one.eval_resource_name);
                }
            }
        }
    }
    Ok(allowed)
}

/// `SimulatePrincipalPolicy`, all pages.
pub(crate) async fn simulate(
    calls: &Calls<'_>,
    identity: &str,
    actions: &[&str],
    resources: &[&str],
) -> Result<Vec<EvaluationResult>, Failure> {
    let request = calls.account.iam().simulate_principal_policy().policy_source_arn(identity);
    let request = actions.iter().fold(request, |request, action| request.action_names(*action));
    let request = resources.iter().fold(request, |request, arn| request.resource_arns(*arn));
    let operation = "iam:SimulatePrincipalPolicy";
    let request = &request;
    calls
        .pages(operation, |marker| async move {
            let mut page = calls.call(operation, request.clone().set_marker(marker).send()).await?;
            let next = page.marker.take().filter(|_| page.is_truncated);
            Ok((page.evaluation_results.unwrap_or_default(), next))
        })
        .await
}

fn standing(role: &Identity) -> Option<AssumableRole> {
    let IdentityDetail::Role { trust, max_session_seconds, service_linked } = &role.detail else {
        return None;
    };
    Some(AssumableRole {
        role: role.role()?,
        max_session_seconds: *max_session_seconds,
        service_linked: *service_linked,
        service_assumed: is_service_assumed(trust),
    })
}

fn is_service_assumed(trust: &Value) -> bool {
    !trust::read(trust, &Partner::default()).services.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use severance_lifecycle::ids::AccountId;

    use super::*;

    fn identity(account: &str, kind: &str, detail: IdentityDetail) -> Identity {
        Identity {
            account: AccountId::from(account),
            arn: format!("arn:aws:iam::{account}:{kind}/x"),
            name: "x".into(),
            unique_id: "AIDAEXAMPLE".into(),
            created: chrono::DateTime::default(),
            tags: std::collections::BTreeMap::new(),
            detail,
        }
    }

    fn user() -> Identity {
        let detail = IdentityDetail::User { access_keys: vec![], policies: vec![], credentials: 0 };
        identity("111122223333", "user", detail)
    }

    fn role(account: &str, principal: &Value) -> Identity {
        let trust = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": principal}]});
        let detail =
            IdentityDetail::Role { trust, max_session_seconds: 3600, service_linked: false };
        identity(account, "role", detail)
    }

    #[test]
    fn a_trust_that_names_the_user_lets_it_in_and_one_that_names_its_account_asks_its_policies() {
        let own = "111122223333";
        let arn = json!({"AWS": "arn:aws:iam::111122223333:user/x"});
        assert_eq!(entry(&user(), &role(own, &arn)), Entry::Named);
        assert_eq!(entry(&user(), &role(own, &json!({"AWS": "AIDAEXAMPLE"}))), Entry::Named);
        assert_eq!(entry(&user(), &role("999988887777", &arn)), Entry::IfAllowed);
        let root = json!({"AWS": "arn:aws:iam::111122223333:root"});
        assert_eq!(entry(&user(), &role(own, &root)), Entry::IfAllowed);
        assert_eq!(entry(&user(), &role(own, &json!("*"))), Entry::IfAllowed);
        let other =
            json!({"AWS": "arn:aws:iam::999988887777:root", "Service": "ec2.amazonaws.com"});
        assert_eq!(entry(&user(), &role(own, &other)), Entry::No);
        assert!(standing(&role(own, &other)).unwrap().service_assumed);
    }

    #[test]
    fn a_trust_that_leaves_only_others_out_lets_the_identity_in() {
        let mut role = role("111122223333", &json!({"Service": "ec2.amazonaws.com"}));
        assert_eq!(entry(&user(), &role), Entry::No);
        let mut left_out = |principal: Value| {
            if let IdentityDetail::Role { trust, .. } = &mut role.detail {
                *trust = json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                    "NotPrincipal": principal}});
            }
            entry(&user(), &role)
        };
        let other = json!({"AWS": "arn:aws:iam::111122223333:user/other"});
        assert_eq!(left_out(other), Entry::IfAllowed);
        assert_eq!(left_out(json!({"Service": "ec2.amazonaws.com"})), Entry::IfAllowed);
        let named = json!({"AWS": ["999988887777", "arn:aws:iam::111122223333:user/x"]});
        assert_eq!(left_out(named), Entry::No);
    }

    #[test]
    fn a_trust_that_names_a_session_of_a_role_lets_the_role_in() {
        let from = role("111122223333", &json!("*"));
        let session = |name: &str| json!({"AWS": format!("arn:aws:sts::111122223333:assumed-role/{name}/deploy")});
        assert_eq!(entry(&from, &role("111122223333", &session("x"))), Entry::Named);
        assert_eq!(entry(&from, &role("999988887777", &session("x"))), Entry::IfAllowed);
        assert_eq!(entry(&from, &role("111122223333", &session("y"))), Entry::No);
        assert_eq!(entry(&user(), &role("111122223333", &session("x"))), Entry::No);
    }
}
