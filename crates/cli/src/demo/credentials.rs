//! Credentials as whoever holds them has them: what the demo tries.

use severance_sandbox::aws::{Attempt, KeyPair};

use super::secrets::Strategy;

/// Temporary credentials.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) token: String,
}

/// One way in.
#[derive(Clone)]
pub(super) enum Way {
    /// A long-term key.
    Key(KeyPair),
    /// A live session, of a user or of a role.
    Session(Session),
    /// A partner's own key taking a role of ours, and using it: the route in.
    Route { partner: KeyPair, role_arn: String },
    /// A password, an SSH key, a certificate, a service's password, an MFA device.
    Side(Attempt),
}

/// One credential of one identity.
#[derive(Clone)]
pub(super) struct Credential {
    /// The identity's place in the scenario.
    pub(super) identity: usize,
    /// What a person reads where it did not behave.
    pub(super) label: String,
    pub(super) way: Way,
    /// Whether it must go on working: the other key of a user of whom one key is compromised.
    pub(super) bystander: bool,
}

/// One secret, and what it held at first.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) arn: String,
    pub(super) strategy: Strategy,
    pub(super) first: String,
    /// A live session of the user whose key it held at first, for secrets that are compromised.
    pub(super) session: Option<Session>,
}

/// Everything that was seeded.
pub(super) struct Seeded {
    pub(super) credentials: Vec<Credential>,
    /// The secrets, as in the scenario.
    pub(super) secrets: Vec<Holder>,
    /// The access key that a notice names, by identity, where it names a key.
    pub(super) named_keys: std::collections::BTreeMap<usize, String>,
}

impl Seeded {
    /// The credentials of these identities.
    pub(super) fn of<'a>(&'a self, about: &'a [usize]) -> impl Iterator<Item = &'a Credential> {
        self.credentials.iter().filter(|credential| about.contains(&credential.identity))
    }
}
