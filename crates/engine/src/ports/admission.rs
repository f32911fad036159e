//! Admission: the one gate before every provider call, where urgency and rate limits meet.

use async_trait::async_trait;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;

/// Admits provider calls. An adapter asks before *every* call to the provider, also inside one look or
/// one action, and tells when the provider throttled.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Waits until a call to this account may start: no more urgent work is runnable, the account's
    /// rate allows it, and the share reserved for compromise is kept. The permit is held while the
    /// call runs. A call whose answer only the next one keeps may hold it until that has ended: it would
    /// be given up between the two for more urgent work.
    async fn admit(&self, account: &AccountId, lane: Lane) -> Permit;

    /// As [`admit`](Self::admit), for a call to an API that the provider limits by itself: that API's own
    /// rate must allow it too.
    async fn admit_to(&self, account: &AccountId, _api: Api<'_>, lane: Lane) -> Permit {
        self.admit(account, lane).await
    }

    /// The provider throttled a call: the account's rate is lowered for a while.
    fn throttled(&self, account: &AccountId);

    /// The provider throttled a call to an API: its rate is lowered for a while, and no other's.
    fn throttled_at(&self, account: &AccountId, _api: Api<'_>) {
        self.throttled(account);
    }
}

/// What a provider limits by itself within an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api<'a> {
    /// The service, as operations begin with it: `iam`, `sts`, `secretsmanager`.
    pub service: &'a str,
    /// Where; `None` for a service that is one everywhere.
    pub region: Option<&'a str>,
}

/// Held while a provider call runs; dropping it gives its slot back.
#[must_use = "the slot is given back when the permit is dropped"]
pub struct Permit(Option<Box<dyn FnOnce() + Send>>);

impl Permit {
    /// A permit that calls `give_back` when it is dropped.
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }

    /// A permit that holds nothing: for commands that are not tasks.
    pub fn free() -> Self {
        Self(None)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}
