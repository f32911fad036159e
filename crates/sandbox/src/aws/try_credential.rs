//! Trying credentials that sign no requests: passwords, SSH keys, certificates.
//!
//! The answer is what has spread, not what the control plane shows.

use serde::{Deserialize, Serialize};

use super::authorize::{Seen, bounds_of_user};
use super::policy::{Context, Question, Verdict as PolicyVerdict, judge};
use super::state::{KeyStatus, Moment, Spread, User, World};

/// One try of a credential.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Attempt {
    /// Signing in to the console with a user's password.
    Password {
        /// The account.
        account: String,
        /// The user.
        user: String,
        /// The password.
        password: String,
        /// What the user then does, for example `iam:GetUser`.
        #[serde(default)]
        action: Option<String>,
    },
    /// Fetching code with an SSH key.
    Ssh {
        /// The account.
        account: String,
        /// The user.
        user: String,
        /// The key's id (`APKA…`).
        key_id: String,
        /// What the user then does.
        #[serde(default)]
        action: Option<String>,
    },
    /// Signing in to a service with its own user name and password.
    ServiceSpecific {
        /// The account.
        account: String,
        /// The IAM user.
        user: String,
        /// The credential's id (`ACCA…`).
        credential_id: String,
        /// The password.
        password: String,
        /// What the user then does.
        #[serde(default)]
        action: Option<String>,
    },
    /// Signing a request with an X.509 certificate.
    SigningCertificate {
        /// The account.
        account: String,
        /// The user.
        user: String,
        /// The certificate's id.
        certificate_id: String,
        /// What the user then does.
        #[serde(default)]
        action: Option<String>,
    },
    /// Giving a code of an MFA device.
    Mfa {
        /// The account.
        account: String,
        /// The user.
        user: String,
        /// The device's serial number.
        serial: String,
    },
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The credential let its bearer in, and it could do something there.
    pub accepted: bool,
    /// The credential itself was recognised, whatever the policies then said.
    pub authenticated: bool,
    /// Why, in words.
    pub reason: String,
}

impl Verdict {
    fn refused(reason: &str) -> Self {
        Self { accepted: false, authenticated: false, reason: reason.to_owned() }
    }
}

pub(crate) fn attempt(world: &World, at: &Moment, what: &Attempt) -> Verdict {
    let (account, name) = what.whose();
    let user = world.accounts.get(account).and_then(|it| it.users.named(name));
    let Some(user) = user.filter(|user| !user.deleted.holding(at)) else {
        return Verdict::refused("there is no such user");
    };
    match recognised(user, at, what) {
        Err(reason) => Verdict::refused(reason),
        Ok(()) if matches!(what, Attempt::Mfa { .. }) => Verdict {
            accepted: true,
            authenticated: true,
            reason: "the device is enabled".to_owned(),
        },
        Ok(()) => allowed(world, user, at, what.action()),
    }
}

impl Attempt {
    fn whose(&self) -> (&str, &str) {
        match self {
            Attempt::Password { account, user, .. }
            | Attempt::Ssh { account, user, .. }
            | Attempt::ServiceSpecific { account, user, .. }
            | Attempt::SigningCertificate { account, user, .. }
            | Attempt::Mfa { account, user, .. } => (account, user),
        }
    }

    fn action(&self) -> Option<&str> {
        match self {
            Attempt::Password { action, .. }
            | Attempt::Ssh { action, .. }
            | Attempt::ServiceSpecific { action, .. }
            | Attempt::SigningCertificate { action, .. } => action.as_deref(),
            Attempt::Mfa { .. } => None,
        }
    }
}

/// Whether the credential is one of the user's that is in force.
fn recognised(user: &User, at: &Moment, what: &Attempt) -> Result<(), &'static str> {
    match what {
        Attempt::Password { password, .. } => match user.login.holding(at) {
            None => Err("the user has no login profile"),
            Some(login) if login.password != *password => Err("the password is wrong"),
            Some(_) => Ok(()),
        },
        Attempt::Ssh { key_id, .. } => in_force(user.ssh_keys.get(key_id).map(|it| &it.status), at),
        Attempt::SigningCertificate { certificate_id, .. } => {
            in_force(user.certificates.get(certificate_id).map(|it| &it.status), at)
        }
        Attempt::ServiceSpecific { credential_id, password, .. } => {
            let credential = user.service_credentials.get(credential_id);
            in_force(credential.map(|it| &it.status), at)?;
            match credential {
                Some(it) if it.password.holding(at) == password => Ok(()),
                _ => Err("the password is wrong"),
            }
        }
        Attempt::Mfa { serial, .. } => {
            let enabled = user.mfa.holding(at).contains_key(serial);
            if enabled { Ok(()) } else { Err("the device is not enabled for the user") }
        }
    }
}

fn in_force(status: Option<&Spread<KeyStatus>>, at: &Moment) -> Result<(), &'static str> {
    match status.map(|it| *it.holding(at)) {
        Some(KeyStatus::Active) => Ok(()),
        Some(KeyStatus::Inactive) => Err("the credential is inactive"),
        Some(KeyStatus::Gone) | None => Err("there is no such credential"),
    }
}

/// Whether the user may then do `action`; without one, whether anything is left that it could do.
fn allowed(world: &World, user: &User, at: &Moment, action: Option<&str>) -> Verdict {
    let bounds = bounds_of_user(world, &user.account, &user.id, Seen::Enforced(at));
    let mut context = Context::default();
    context.put("aws:username", &user.name);
    context.put("aws:PrincipalArn", user.arn());
    // A console session is a session: it has an issue time, which is now.
    context.put("aws:TokenIssueTime", super::xml::iso(at.now));
    let verdict = |accepted, reason: &str| Verdict {
        accepted,
        authenticated: true,
        reason: reason.to_owned(),
    };
    let Some(action) = action else {
        // `*` as the action is matched by a statement on everything only.
        let everything = Question { action: "*", resource: "*", context: &context };
        let denied = [&bounds.identity, &bounds.boundary].into_iter().flatten().any(|documents| {
            judge(documents.iter().map(AsRef::as_ref), &everything) == PolicyVerdict::Denied
        });
        return if denied {
            verdict(false, "an explicit deny covers everything the user could do")
        } else {
            verdict(true, "the credential is in force")
        };
    };
    let question = Question { action, resource: "*", context: &context };
    match bounds.decide(&question) {
        super::authorize::Decision::Allowed => verdict(true, "the action is allowed"),
        super::authorize::Decision::ExplicitDeny => {
            verdict(false, "the action is explicitly denied")
        }
        super::authorize::Decision::ImplicitDeny => verdict(false, "no policy allows the action"),
    }
}
