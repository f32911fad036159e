//! Issuers beyond the provider: what a secret's value opens there, and where it must die.

use async_trait::async_trait;
use chrono::TimeDelta;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::Lane;

use super::SecretValue;

/// Issuers that must be told of a value before they accept it
/// ([`Issuer::is_told`]).
#[async_trait]
pub trait Issuers: Send + Sync + 'static {
    /// The value that is to follow this one. Nothing is told to anyone yet.
    ///
    /// # Errors
    /// A [`Failure`]: the issuer is not configured, or the value is not what its strategy needs. Also where
    /// what comes next would be refused for want of an administrator: then nothing is begun.
    fn next_value(&self, issuer: &Issuer, current: &SecretValue) -> Result<SecretValue, Failure>;

    /// The secret that holds the login of whoever administers the issuer that this value is for; `None`
    /// where nobody does.
    ///
    /// # Errors
    /// A [`Failure`]: the value is not what its strategy needs.
    fn administrator(
        &self,
        issuer: &Issuer,
        value: &SecretValue,
    ) -> Result<Option<SecretRef>, Failure>;

    /// Tells the issuer, or asks it; one attempt, admitted through
    /// [`Admission`](super::Admission) and bounded in time. Done twice it is the same as done once.
    ///
    /// # Errors
    /// A [`Failure`]. After anything but a clear refusal it may have been done.
    async fn tell(&self, errand: &Errand) -> Result<Told, Failure>;
}

/// What an issuer is told or asked. Whatever holds a value is wiped when it is dropped.
#[derive(Debug)]
pub struct Errand {
    /// The secret.
    pub secret: SecretRef,
    /// Who issues what it holds.
    pub issuer: Issuer,
    /// The same for every repetition after a failure or a crash, and for no other wish.
    pub attempt: String,
    /// What to do.
    pub what: Telling,
    /// The version that it is about.
    pub version: Version,
    /// The version beside it: the one that a new one follows, or the one that stays where an old one goes. For a
    /// try: the one whose server it must be for.
    pub beside: Option<Version>,
    /// For [`Telling::Set`] without an administrator: other versions of the same login, in the order in
    /// which they may be tried where the one beside is refused.
    pub others: Vec<Version>,
    /// The login of whoever administers the issuer.
    pub administrator: Option<SecretValue>,
    /// Which lane's budget the calls use.
    pub lane: Lane,
}

/// See [`Errand::what`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Accept this version's value.
    Set {
        /// End what was opened with the value before it, where this takes that one's place.
        end_sessions: bool,
    },
    /// Is this version's value accepted? It is truly tried.
    Try,
    /// This version is current now.
    Finish,
    /// Refuse this version's value from now on.
    Retire {
        /// A new value is to follow: the login must stay one that can be given it.
        followed: bool,
    },
    /// End what was opened with this version's value.
    EndSessions,
}

/// One version of a secret.
#[derive(Debug)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Its value; `None` for an issuer that reads values itself.
    pub value: Option<SecretValue>,
}

/// What an issuer did or answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What a try told. After [`Telling::Retire`]: that the value was accepted until then, where it was.
    pub probe: Option<ProbeAnswer>,
    /// After sessions were ended: clients that had begun to log in before may still come in for so long.
    pub stragglers_for: Option<TimeDelta>,
    /// After [`Telling::Retire`]: what the value had opened was ended for good on the way, which nobody could
    /// do afterwards.
    pub sessions_ended: bool,
}

/// For tests and tools that have none.
#[async_trait]
impl Issuers for () {
    fn next_value(&self, issuer: &Issuer, _: &SecretValue) -> Result<SecretValue, Failure> {
        Err(not_configured(issuer))
    }

    fn administrator(
        &self,
        issuer: &Issuer,
        _: &SecretValue,
    ) -> Result<Option<SecretRef>, Failure> {
        Err(not_configured(issuer))
    }

    async fn tell(&self, errand: &Errand) -> Result<Told, Failure> {
        Err(not_configured(&errand.issuer))
    }
}

fn not_configured(issuer: &Issuer) -> Failure {
    super::secret_store::none(&format!("issuer:{}", issuer.as_str()))
}
