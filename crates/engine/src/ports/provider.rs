//! The provider of credentials: looks, actions, lookups.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::event::Selector;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::{AccountId, CaseId};
use severance_lifecycle::observe::{AssumableRole, Observed};
use severance_lifecycle::plan::Identity;
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::task::Lane;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Look {
    /// The target.
    pub target: Target,
    /// Whose denies to read back.
    pub case: CaseId,
    /// Roles to look at beside the target.
    pub assumable: Vec<AssumableRole>,
    /// What appeared on the user after this moment is reported as an intruder.
    pub exposed_since: DateTime<Utc>,
    /// What the user had when the inventory last saw it: policies there are no intruders.
    pub known: Option<Identity>,
    /// Of a secret that holds an access key: the key that leaves; `None` while the one that is current
    /// does.
    pub old_key: Option<String>,
    /// What else to look at, where it is a secret.
    pub secret: SecretLook,
    /// Which lane's budget the calls use.
    pub lane: Lane,
}

/// What to look at of a secret beside its labelled versions and those that Severance stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretLook {
    /// The version that leaves, which may have lost its labels; `None` while the current one does.
    pub old_version: Option<String>,
    /// Every version that is still listed: what the secret holds is exposed, or ends.
    pub every_version: bool,
    /// What to read of its resource policy.
    pub deny: DenyLook,
}

/// What to read of a secret's resource policy. What does not matter is not asked: it may be forbidden to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DenyLook {
    /// Nothing.
    #[default]
    Nothing,
    /// Whether the case's deny stands for all of these, as it is put.
    For(BTreeSet<String>),
    /// Whether anything is left of the case's deny.
    Rest,
}

/// An action that the provider accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The provider's request id.
    pub request_id: Option<String>,
    /// The provider's clock when it answered.
    pub at: DateTime<Utc>,
    /// For [`Action::Probe`] and a try of a secret's version: what it told. For the end of an old value: that it
    /// was accepted until then, where it was.
    pub probe: Option<ProbeAnswer>,
    /// After sessions at an issuer were ended: who had begun to log in before may come in until then, by
    /// the provider's clock, and what they open must be ended too. After a value was retired: its sessions
    /// were ended on the way, for good.
    pub stragglers_until: Option<DateTime<Utc>>,
}

/// Where an access key id belongs.
#[allow(missing_docs, reason = "the fields are named for what they are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// A user of a configured account has it.
    User(Box<Identity>),
    /// The account's root user has it.
    Root { account: AccountId },
    /// It belongs to an account that is not configured.
    OtherAccount { account: AccountId },
    /// A session's key id (`ASIA…`).
    Session { account: Option<AccountId> },
    /// No account of this partition has it.
    Unknown,
    /// The account is configured but has no such key (deleted, or never was). Carries the account that
    /// was confirmed.
    NotInAccount { account: AccountId },
}

/// IAM, STS and what they need. Every method makes as many calls as it needs, each admitted through
/// [`Admission`](super::Admission), each bounded in time; none retries an action on its own.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Looks at a target.
    ///
    /// # Errors
    /// A [`Failure`]; never one for "it is not there", which is something seen.
    async fn observe(&self, look: &Look) -> Result<Observed, Failure>;

    /// Carries out one action, one attempt. A read-change-write verifies by reading again and fails
    /// with [`FailureClass::Replan`](severance_lifecycle::failure::FailureClass::Replan) where
    /// somebody else wrote meanwhile.
    ///
    /// # Errors
    /// A [`Failure`]. After anything but a clear refusal the call may have been applied.
    async fn act(&self, action: &Action, lane: Lane) -> Result<Applied, Failure>;

    /// Finds whose an access key is: `GetAccessKeyInfo` for the account, `GetAccessKeyLastUsed` for
    /// the user.
    ///
    /// # Errors
    /// A [`Failure`].
    async fn locate_key(&self, key_id: &str, lane: Lane) -> Result<KeyLocation, Failure>;

    /// Looks up live what a selector names by `user`, `role` or `secret`, in its account or in all that are
    /// configured. Empty where there is none.
    ///
    /// # Errors
    /// A [`Failure`].
    async fn find(&self, selector: &Selector, lane: Lane) -> Result<Vec<Identity>, Failure>;

    /// Which of the candidates (roles whose trust policy lets the identity in, or its account) it may
    /// in fact assume, asked of IAM's own simulation where the trust alone does not say.
    ///
    /// # Errors
    /// A [`Failure`].
    async fn assumable(
        &self,
        identity: &Identity,
        candidates: &[Identity],
        lane: Lane,
    ) -> Result<Vec<AssumableRole>, Failure>;

    /// Lists every user, role and secret of an account into `sink`, page by page.
    ///
    /// # Errors
    /// A [`Failure`], or what the sink failed with, as one.
    async fn inventory(
        &self,
        account: &AccountId,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure>;

    /// Lists every role of an account into `sink` as it is now, page by page; others may come with them. Cheaper
    /// than the [`inventory`](Self::inventory) where that lists more.
    ///
    /// # Errors
    /// A [`Failure`], or what the sink failed with, as one.
    async fn roles(
        &self,
        account: &AccountId,
        _lane: Lane,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        self.inventory(account, sink).await
    }

    /// The configured accounts.
    fn accounts(&self) -> Vec<AccountId>;

    /// ARNs of the worker's own identities, one per account, as users or roles (not sessions).
    ///
    /// # Errors
    /// A [`Failure`].
    async fn own_identities(&self) -> Result<Vec<String>, Failure>;
}

/// Takes in pages of identities, so that a large account is never held in memory as a whole.
#[async_trait]
pub trait InventorySink: Send {
    /// Takes in a page.
    ///
    /// # Errors
    /// A [`Failure`] that ends the listing.
    async fn page(&mut self, identities: Vec<Identity>) -> Result<(), Failure>;
}
