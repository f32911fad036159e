//! Filling an account directly: no HTTP, no rate limit, no spreading, no log.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, Utc};

use super::error::AwsError;
use super::iam::trust;
use super::ids;
use super::policy::{Document, Kind};
use super::server::Shared;
use super::state::user::{Certificate, Login, ServiceCredential, SshKey};
use super::state::{
    Grants, Group, Holder, KeyOwner, KeyStatus, Moment, Role, Spread, Tags, User, World,
};

/// Why something could not be seeded: AWS's own code and message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot seed account {account}: {code}: {message}")]
pub struct SeedError {
    /// The account.
    pub account: String,
    /// AWS's error code.
    pub code: String,
    /// AWS's message.
    pub message: String,
}

/// An access key with its secret half.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The key's id.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("KeyPair")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Makes things in one account. All of it holds at once.
pub struct Seeder<'s> {
    shared: &'s Shared,
    pub(crate) account: String,
}

impl<'s> Seeder<'s> {
    pub(crate) fn new(shared: &'s Shared, account: &str) -> Result<Self, SeedError> {
        let seeder = Self { shared, account: account.to_owned() };
        let known = shared.world().account(account).map(|_| ());
        known.map_err(|error| seeder.error(error))?;
        Ok(seeder)
    }

    /// The root user's access key.
    ///
    /// # Errors
    /// When it has been deleted.
    pub fn root_key(&self) -> Result<KeyPair, SeedError> {
        self.change(|world, _| {
            let id = world.account(&self.account)?.root_keys.first().cloned();
            let id = id.ok_or_else(|| AwsError::no_such_entity("the root user has no key"))?;
            Ok(pair(world, &id))
        })
    }

    /// A user with tags, at path `/`; returns its unique id.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn user(&self, name: &str, tags: &[(&str, &str)]) -> Result<String, SeedError> {
        self.change(|world, at| {
            if world.account(&self.account)?.users.contains(name) {
                return Err(AwsError::exists("User", name));
            }
            let id = ids::unique_id(&mut world.rng, "AIDA");
            let mut user = User::new(&self.account, id.clone(), name, "/", at.now);
            user.tags = tags_of(tags);
            world.account_mut(&self.account)?.users.insert(user);
            Ok(id)
        })
    }

    /// An access key of a user. The two-key limit is not kept: AWS itself has been seen to break it.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn access_key(&self, user: &str) -> Result<KeyPair, SeedError> {
        self.change(|world, at| {
            let owner = world.account(&self.account)?.user(user)?.id.clone();
            let id = world.make_key(&self.account, KeyOwner::User(owner), at);
            world.account_mut(&self.account)?.user_mut(user)?.keys.push(id.clone());
            Ok(pair(world, &id))
        })
    }

    /// A user with one access key and the right to do everything: an operator for tests and demos.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn administrator(&self, name: &str) -> Result<KeyPair, SeedError> {
        self.user(name, &[])?;
        self.attach_user_policy(name, "arn:aws:iam::aws:policy/AdministratorAccess")?;
        self.access_key(name)
    }

    /// An inline policy on a user.
    ///
    /// # Errors
    /// When there is no such user or the document is malformed.
    pub fn user_policy(&self, user: &str, name: &str, document: &str) -> Result<(), SeedError> {
        self.inline(Holder::User, user, name, document)
    }

    /// An inline policy on a role.
    ///
    /// # Errors
    /// When there is no such role or the document is malformed.
    pub fn role_policy(&self, role: &str, name: &str, document: &str) -> Result<(), SeedError> {
        self.inline(Holder::Role, role, name, document)
    }

    /// An inline policy on a group.
    ///
    /// # Errors
    /// When there is no such group or the document is malformed.
    pub fn group_policy(&self, group: &str, name: &str, document: &str) -> Result<(), SeedError> {
        self.inline(Holder::Group, group, name, document)
    }

    /// Attaches a managed policy (AWS's, or one of the account) to a user.
    ///
    /// # Errors
    /// When the user or the policy is not there.
    pub fn attach_user_policy(&self, user: &str, arn: &str) -> Result<(), SeedError> {
        self.attach(Holder::User, user, arn)
    }

    /// Attaches a managed policy to a role.
    ///
    /// # Errors
    /// When the role or the policy is not there.
    pub fn attach_role_policy(&self, role: &str, arn: &str) -> Result<(), SeedError> {
        self.attach(Holder::Role, role, arn)
    }

    /// A group, at path `/`; returns its unique id.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn group(&self, name: &str) -> Result<String, SeedError> {
        self.change(|world, at| {
            if world.account(&self.account)?.groups.contains(name) {
                return Err(AwsError::exists("Group", name));
            }
            let id = ids::unique_id(&mut world.rng, "AGPA");
            world.account_mut(&self.account)?.groups.insert(Group {
                id: id.clone(),
                name: name.to_owned(),
                path: "/".to_owned(),
                account: self.account.clone(),
                created: at.now,
                grants: Grants::default(),
                members: std::collections::BTreeSet::new(),
            });
            Ok(id)
        })
    }

    /// Puts a user into a group.
    ///
    /// # Errors
    /// When either is not there.
    pub fn member(&self, group: &str, user: &str) -> Result<(), SeedError> {
        self.change(|world, at| world.account_mut(&self.account)?.join(group, user, at))
    }

    /// A role, at path `/`, with its trust policy; returns its unique id.
    ///
    /// # Errors
    /// When the name is taken or the trust policy is malformed.
    pub fn role(
        &self,
        name: &str,
        trust_policy: &str,
        tags: &[(&str, &str)],
    ) -> Result<String, SeedError> {
        self.change(|world, at| {
            if world.account(&self.account)?.roles.contains(name) {
                return Err(AwsError::exists("Role", name));
            }
            let trust = trust::tie(world, trust_policy, Kind::Trust)?;
            let id = ids::unique_id(&mut world.rng, "AROA");
            world.account_mut(&self.account)?.roles.insert(Role {
                id: id.clone(),
                name: name.to_owned(),
                path: "/".to_owned(),
                account: self.account.clone(),
                created: at.now,
                description: None,
                max_session: 43_200,
                tags: tags_of(tags),
                grants: Grants::default(),
                boundary: Spread::settled(None),
                trust: Spread::settled(Some(Arc::new(trust))),
                service_linked: false,
                deleted: Spread::settled(false),
                last_used: None,
            });
            Ok(id)
        })
    }

    /// A console password.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn login_profile(&self, user: &str, password: &str) -> Result<(), SeedError> {
        self.on_user(user, |user, _, now| {
            let login =
                Login { password: password.to_owned(), created: now, reset_required: false };
            user.login = Spread::settled(Some(login));
        })
    }

    /// An SSH public key; returns its id.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn ssh_key(&self, user: &str, body: &str) -> Result<String, SeedError> {
        self.on_user(user, |user, rng, now| {
            let id = ids::unique_id(rng, "APKA");
            let key = SshKey {
                body: body.to_owned(),
                fingerprint: super::iam::ssh_fingerprint(body),
                uploaded: now,
                status: Spread::settled(KeyStatus::Active),
            };
            user.ssh_keys.insert(id.clone(), key);
            id
        })
    }

    /// A signing certificate; returns its id.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn signing_certificate(&self, user: &str, body: &str) -> Result<String, SeedError> {
        self.on_user(user, |user, rng, now| {
            let id = super::iam::certificate_id(rng);
            let status = Spread::settled(KeyStatus::Active);
            let certificate = Certificate { body: body.to_owned(), uploaded: now, status };
            user.certificates.insert(id.clone(), certificate);
            id
        })
    }

    /// A service-specific credential; returns its id and its password.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn service_credential(
        &self,
        user: &str,
        service: &str,
    ) -> Result<(String, String), SeedError> {
        let account = self.account.clone();
        self.on_user(user, |user, rng, now| {
            let id = ids::unique_id(rng, "ACCA");
            let password = ids::secret_access_key(rng);
            let credential = ServiceCredential {
                service: service.to_owned(),
                user_name: format!("{}-at-{account}", user.name),
                password: Spread::settled(password.clone()),
                created: now,
                status: Spread::settled(KeyStatus::Active),
            };
            user.service_credentials.insert(id.clone(), credential);
            (id, password)
        })
    }

    /// An enabled virtual MFA device; returns its serial number.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn mfa_device(&self, user: &str, name: &str) -> Result<String, SeedError> {
        self.change(|world, at| {
            let serial = format!("arn:aws:iam::{}:mfa/{name}", self.account);
            let account = world.account_mut(&self.account)?;
            account.enable_mfa(user, &serial, at)?;
            Ok(serial)
        })
    }

    fn inline(
        &self,
        holder: Holder,
        holder_name: &str,
        name: &str,
        document: &str,
    ) -> Result<(), SeedError> {
        self.change(|world, at| {
            let document = Arc::new(Document::parse(document, Kind::Identity)?);
            let grants = world.account_mut(&self.account)?.grants_mut(holder, holder_name)?;
            grants.change_inline(at, |inline| {
                inline.insert(name.to_owned(), document);
            });
            Ok(())
        })
    }

    fn attach(&self, holder: Holder, name: &str, arn: &str) -> Result<(), SeedError> {
        self.change(|world, at| {
            if world.managed_policy(&self.account, arn).is_none() {
                return Err(AwsError::no_such("policy", arn));
            }
            let account = world.account_mut(&self.account)?;
            account.grants_mut(holder, name)?.change_attached(at, |attached| {
                attached.insert(arn.to_owned());
            });
            account.note_attachment(holder, name, None, Some(arn));
            Ok(())
        })
    }

    fn on_user<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut User, &mut rand::rngs::StdRng, DateTime<Utc>) -> T,
    ) -> Result<T, SeedError> {
        self.change(|world, at| {
            let World { accounts, rng, .. } = world;
            let account = accounts.get_mut(&self.account);
            let user = account.and_then(|it| it.users.named_mut(name));
            let user = user.ok_or_else(|| AwsError::no_such("user", name))?;
            Ok(change(user, rng, at.now))
        })
    }

    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut World, &Moment) -> Result<T, AwsError>,
    ) -> Result<T, SeedError> {
        let mut world: MutexGuard<'_, World> = self.shared.world();
        let at = world.undelayed(self.shared.clock.now());
        change(&mut world, &at).map_err(|error| self.error(error))
    }

    fn error(&self, error: AwsError) -> SeedError {
        SeedError {
            account: self.account.clone(),
            code: error.code.to_owned(),
            message: error.message,
        }
    }
}

fn pair(world: &World, id: &str) -> KeyPair {
    let secret = world.keys.get(id).map(|key| key.secret.clone()).unwrap_or_default();
    KeyPair { access_key_id: id.to_owned(), secret_access_key: secret }
}

pub(crate) fn tags_of(tags: &[(&str, &str)]) -> Tags {
    tags.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect::<BTreeMap<_, _>>()
}
