//! Which versions of secrets, of any account, hold a key: as they were read. A rotation leaves the old key in a
//! version that no search for current values finds, and its user may live in another account.

use severance_lifecycle::failure::Failure;

use crate::account::Account;
use crate::calls::Calls;
use crate::failure::present;
use crate::secret_value::{HeldKey, Secret, held_key};

/// A version of a secret that holds a key.
pub(crate) struct Holder<'a> {
    account: &'a Account,
    pub(crate) arn: String,
    version: String,
}

/// Whether a version of some secret is known to hold the key.
pub(crate) fn is_held(calls: &Calls<'_>, key_id: &str) -> bool {
    calls.accounts().iter().any(|account| !account.secrets.holding(key_id).is_empty())
}

/// Every version that is known to hold the key.
pub(crate) fn holders<'a>(calls: &Calls<'a>, key_id: &str) -> Vec<Holder<'a>> {
    let mut all = Vec::new();
    for account in calls.accounts() {
        let of = |(arn, version)| Holder { account, arn, version };
        all.extend(account.secrets.holding(key_id).into_iter().map(of));
    }
    all
}

impl Holder<'_> {
    /// The secret half that it holds was tried, and is wrong.
    pub(crate) fn is_wrong(&self) {
        self.account.secrets.is_wrong((self.arn.clone(), self.version.clone()));
    }

    /// Reads the key; `None` where it is not there any more.
    pub(crate) async fn read(&self, calls: &Calls<'_>) -> Result<Option<HeldKey>, Failure> {
        let apart = calls.sibling(&self.account.id);
        let theirs = apart.as_ref().unwrap_or(calls);
        let named = self.arn.split(':').nth(3);
        let region = self.account.regions.iter().position(|it| Some(it.as_str()) == named);
        let Some(region) = region else { return Ok(None) };
        let request = self.account.secretsmanager(region).get_secret_value().secret_id(&self.arn);
        let request = request.version_id(&self.version).send();
        let answer =
            present(theirs.call(("secretsmanager:GetSecretValue", region), request).await)?;
        let text = answer.and_then(|answer| answer.secret_string).map(Secret::new);
        Ok(text.and_then(|text| held_key(&text, self.account.secrets.fields())))
    }
}
