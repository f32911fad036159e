//! Whose an access key is.

use severance_engine::ports::{InventorySink, KeyLocation};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, IdentityDetail};

use crate::calls::Calls;
use crate::failure::present;
use crate::identity::Count;
use crate::inventory;

/// What kind of id it is by its shape (AWS: IAM User Guide, "IAM identifiers", unique id prefixes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Of a user or of root.
    LongTerm,
    /// Of a session.
    Session,
    /// Of something else, or of nothing.
    Other,
}

fn shape(key_id: &str) -> Shape {
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if key_id.len() < 16 || !key_id.bytes().all(upper) {
        return Shape::Other;
    }
    match &key_id[..4] {
        "AKIA" => Shape::LongTerm,
        "ASIA" => Shape::Session,
        _ => Shape::Other,
    }
}

/// Finds whose a key is. The user's own details are those that a task of one key needs; its other
/// credentials are not counted.
pub(crate) async fn locate(calls: &Calls<'_>, key_id: &str) -> Result<KeyLocation, Failure> {
    match shape(key_id) {
        Shape::Other => Ok(KeyLocation::Unknown),
        Shape::Session => {
            let account = match account_of(calls, key_id).await {
                Ok(account) => account,
                // It stays a session whatever we may not ask.
                Err(failure) if failure.class == FailureClass::Cannot => None,
                Err(failure) => return Err(failure),
            };
            Ok(KeyLocation::Session { account })
        }
        Shape::LongTerm => match account_of(calls, key_id).await? {
            None => Ok(KeyLocation::Unknown),
            Some(account) => match calls.sibling(&account) {
                Some(there) => in_account(&there, account, key_id).await,
                None => Ok(KeyLocation::OtherAccount { account }),
            },
        },
    }
}

/// The account that a key id belongs to; `None` where no account of this partition has it.
async fn account_of(calls: &Calls<'_>, key_id: &str) -> Result<Option<AccountId>, Failure> {
    let request = calls.account.sts().get_access_key_info().access_key_id(key_id).send();
    match calls.call("sts:GetAccessKeyInfo", request).await {
        Ok(answer) => Ok(answer.account.map(AccountId)),
        Err(failure) if is_no_such_key(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What STS answers to an id that it cannot place. (`InvalidClientTokenId` is not among it: that is our
/// own credentials being refused, and tells nothing of the key.)
fn is_no_such_key(failure: &Failure) -> bool {
    failure.class == FailureClass::Gone
        || matches!(
            failure.code.as_str(),
            "ValidationError" | "InvalidParameterValue" | "InvalidAccessKeyId" | "InvalidInput"
        )
}

async fn in_account(
    calls: &Calls<'_>,
    account: AccountId,
    key_id: &str,
) -> Result<KeyLocation, Failure> {
    let request = calls.account.iam().get_access_key_last_used().access_key_id(key_id).send();
    let name = match present(calls.call("iam:GetAccessKeyLastUsed", request).await) {
        Ok(None) => return Ok(KeyLocation::NotInAccount { account }),
        Ok(Some(answer)) => answer.user_name,
        // IAM also answers so for a key that does not exist. The listing tells which it is.
        Err(failure) if failure.class == FailureClass::Cannot => {
            return by_listing(calls, account, key_id).await;
        }
        Err(failure) => return Err(failure),
    };
    let name = name.unwrap_or_default();
    let owner = owner(&name, &account);
    if owner == Owner::Root {
        return Ok(KeyLocation::Root { account });
    }
    let identity = match calls.user(&name).await? {
        Some(user) => present(calls.identity_of_user(user, Count::Keys).await)?,
        None => None,
    };
    Ok(match (identity.filter(|identity| has_key(identity, key_id)), owner) {
        (Some(identity), _) => KeyLocation::User(Box::new(identity)),
        (None, Owner::RootOrUser) => KeyLocation::Root { account },
        (None, _) => KeyLocation::NotInAccount { account },
    })
}

/// Whom the name that IAM gives for a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// No user can be named so.
    Root,
    /// A name that root goes by and that a user may have too: who lists the key is its owner.
    RootOrUser,
    User,
}

/// IAM's reference says of no name that it is root's. The credential report writes `<root_account>`,
/// ARNs write `root`; of these only the first cannot be a user's (AWS: IAM API, `UserName`).
fn owner(name: &str, account: &AccountId) -> Owner {
    let of_a_user = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || !name.chars().all(of_a_user) {
        Owner::Root
    } else if name == "root" || name == account.as_str() {
        Owner::RootOrUser
    } else {
        Owner::User
    }
}

async fn by_listing(
    calls: &Calls<'_>,
    account: AccountId,
    key_id: &str,
) -> Result<KeyLocation, Failure> {
    let mut search = Search { key_id, found: None };
    inventory::list(calls, Count::Keys, inventory::ALL, &mut search).await?;
    Ok(match search.found {
        Some(identity) => KeyLocation::User(Box::new(identity)),
        None => KeyLocation::NotInAccount { account },
    })
}

struct Search<'a> {
    key_id: &'a str,
    found: Option<Identity>,
}

#[async_trait::async_trait]
impl InventorySink for Search<'_> {
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure> {
        let mut matching = identities.into_iter().filter(|it| has_key(it, self.key_id));
        self.found = self.found.take().or_else(|| matching.next());
        Ok(())
    }
}

fn has_key(identity: &Identity, key_id: &str) -> bool {
    match &identity.detail {
        IdentityDetail::User { access_keys, .. } => access_keys.iter().any(|key| key == key_id),
        IdentityDetail::Role { .. } | IdentityDetail::Secret(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_tell_keys_sessions_and_what_is_neither() {
        assert_eq!(shape("AKIAIOSFODNN7EXAMPLE"), Shape::LongTerm);
        assert_eq!(shape("ASIAIOSFODNN7EXAMPLE"), Shape::Session);
        for other in
            ["AIDAIOSFODNN7EXAMPLE", "akiaiosfodnn7example", "AKIA", "AKIA_IOSFODNN7EXAMPLE"]
        {
            assert_eq!(shape(other), Shape::Other, "{other}");
        }
    }

    #[test]
    fn a_name_that_a_user_may_have_is_not_taken_for_root() {
        let account = AccountId::from("111122223333");
        let owner = |name| owner(name, &account);
        assert_eq!((owner(""), owner("<root_account>")), (Owner::Root, Owner::Root));
        assert_eq!((owner("root"), owner("111122223333")), (Owner::RootOrUser, Owner::RootOrUser));
        assert_eq!((owner("rooter"), owner("a+b=c,d.e@f_g-h")), (Owner::User, Owner::User));
    }
}
