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

    /// The provider throttled a call: the account's rate is lowered for a while.
    fn throttled(&self, account: &AccountId);
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
