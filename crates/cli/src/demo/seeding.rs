//! Putting the scenario's identities into the embedded AWS, and taking live sessions from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use severance_sandbox::aws::{Attempt, KeyPair, SandboxHandle, SeedError, Seeder};

use super::attempts::{Bench, Tried};
use super::credentials::{Credential, Seeded, Session, Way};
use super::scenario::{Identity, Kind, PARTNERS, Scenario, ZONES};
use super::seeding_secrets;
use super::stage::Stage;
use crate::error::{Doing, Outcome};
use crate::sandbox::{REGIONS, trust};

/// What every identity may do: enough to see whether a session still opens anything.
pub(super) const WORK: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","secretsmanager:ListSecrets"],"Resource":"*"}]}"#;
/// The user of each partner's own account that takes roles of ours.
const INTEGRATOR: &str = "integrator";

/// Seeds everything, and mints a live session wherever one can be had.
pub(super) async fn seed(stage: &Stage, bench: &Bench<'_>, scenario: &Scenario) -> Outcome<Seeded> {
    let aws = &stage.sandbox.aws;
    let partners = partners(aws).doing("the partners cannot be seeded")?;
    let secrets = seeding_secrets::seed(stage, bench, scenario).await?;
    let mut seeded = Seeded { credentials: Vec::new(), secrets, named_keys: BTreeMap::new() };
    for (place, identity) in scenario.identities.iter().enumerate() {
        let partner = &partners[identity.zone];
        one(aws, place, identity, partner, &mut seeded)
            .doing(format!("{} cannot be seeded", identity.name))?;
    }
    sessions(bench, scenario, &mut seeded).await?;
    Ok(seeded)
}

fn partners(aws: &SandboxHandle) -> Result<Vec<KeyPair>, SeedError> {
    PARTNERS.iter().map(|account| aws.seed(account)?.administrator(INTEGRATOR)).collect()
}

fn one(
    aws: &SandboxHandle,
    place: usize,
    identity: &Identity,
    partner: &KeyPair,
    seeded: &mut Seeded,
) -> Result<(), SeedError> {
    let account = aws.seed(identity.account)?;
    let mut tags =
        vec![("severance:zone", ZONES[identity.zone]), ("severance:owner", "platform-team")];
    if let Some(contract) = &identity.contract {
        tags.push(("severance:contract", contract));
    }
    let name = identity.name.as_str();
    let mut maker = Maker { seeder: account, place, name, account: identity.account, seeded };
    if identity.kind == Kind::Role {
        return maker.role(identity.zone, &tags, partner);
    }
    maker.seeder.user(name, &tags)?;
    maker.seeder.user_policy(name, "work", WORK)?;
    match identity.kind {
        Kind::KeyHeld => maker.key_held()?,
        Kind::KeyBare => maker.key_bare()?,
        Kind::WholeUser | Kind::Role => maker.whole_user()?,
    }
    match identity.takes_role() {
        Some(role) => maker.taken_role(&role, &tags),
        None => Ok(()),
    }
}

/// Makes the credentials of one identity and keeps them.
struct Maker<'a> {
    seeder: Seeder<'a>,
    place: usize,
    name: &'a str,
    account: &'a str,
    seeded: &'a mut Seeded,
}

impl Maker<'_> {
    fn keep(&mut self, what: &str, way: Way, bystander: bool) {
        let label = format!("{what} of {}", self.name);
        self.seeded.credentials.push(Credential { identity: self.place, label, way, bystander });
    }

    fn key_held(&mut self) -> Result<(), SeedError> {
        let key = self.seeder.access_key(self.name)?;
        let value = serde_json::json!({
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret_access_key,
        });
        let tags = [("severance:access-key-id", key.access_key_id.as_str())];
        let secret = format!("{}/key", self.name);
        self.seeder.secret(REGIONS[0], &secret, &value.to_string(), &tags)?;
        self.seeded.named_keys.insert(self.place, key.access_key_id.clone());
        self.keep("the access key", Way::Key(key), false);
        Ok(())
    }

    fn key_bare(&mut self) -> Result<(), SeedError> {
        let leaked = self.seeder.access_key(self.name)?;
        let other = self.seeder.access_key(self.name)?;
        self.seeded.named_keys.insert(self.place, leaked.access_key_id.clone());
        self.keep("the leaked access key", Way::Key(leaked), false);
        self.keep("the other access key", Way::Key(other), true);
        Ok(())
    }

    fn whole_user(&mut self) -> Result<(), SeedError> {
        let (account, user) = (self.account.to_owned(), self.name.to_owned());
        let action = Some("iam:GetUser".to_owned());
        for number in ["first", "second"] {
            let key = self.seeder.access_key(&user)?;
            self.keep(&format!("the {number} access key"), Way::Key(key), false);
        }
        let password = format!("pass-word-of-{user}");
        self.seeder.login_profile(&user, &password)?;
        let (key_id, certificate_id) = (
            self.seeder.ssh_key(&user, &format!("ssh-rsa AAAA{} {user}", self.place))?,
            self.seeder.signing_certificate(&user, &certificate(self.place))?,
        );
        let (credential_id, service_password) =
            self.seeder.service_credential(&user, "codecommit.amazonaws.com")?;
        let serial = self.seeder.mfa_device(&user, &user)?;
        let (a, u) = (account, user);
        for (what, attempt) in [
            (
                "the password",
                Attempt::Password {
                    account: a.clone(),
                    user: u.clone(),
                    password,
                    action: action.clone(),
                },
            ),
            (
                "the SSH key",
                Attempt::Ssh {
                    account: a.clone(),
                    user: u.clone(),
                    key_id,
                    action: action.clone(),
                },
            ),
            (
                "the signing certificate",
                Attempt::SigningCertificate {
                    account: a.clone(),
                    user: u.clone(),
                    certificate_id,
                    action: action.clone(),
                },
            ),
            (
                "the service-specific credential",
                Attempt::ServiceSpecific {
                    account: a.clone(),
                    user: u.clone(),
                    credential_id,
                    password: service_password,
                    action,
                },
            ),
            ("the MFA device", Attempt::Mfa { account: a.clone(), user: u.clone(), serial }),
        ] {
            self.keep(what, Way::Side(attempt), false);
        }
        Ok(())
    }

    /// A role that the user takes, and nobody else.
    fn taken_role(&mut self, role: &str, tags: &[(&str, &str)]) -> Result<(), SeedError> {
        let user = format!("arn:aws:iam::{}:user/{}", self.account, self.name);
        self.seeder.role(role, &trust(&[user]), tags)?;
        self.seeder.role_policy(role, "work", WORK)?;
        Ok(())
    }

    fn role(
        &mut self,
        zone: usize,
        tags: &[(&str, &str)],
        partner: &KeyPair,
    ) -> Result<(), SeedError> {
        let principal = format!("arn:aws:iam::{}:user/{INTEGRATOR}", PARTNERS[zone]);
        self.seeder.role(self.name, &trust(&[principal]), tags)?;
        self.seeder.role_policy(self.name, "work", WORK)?;
        let role_arn = format!("arn:aws:iam::{}:role/{}", self.account, self.name);
        self.keep("the route into", Way::Route { partner: partner.clone(), role_arn }, false);
        Ok(())
    }
}

/// Not a certificate that anyone could use: the sandbox keeps what it is given.
fn certificate(place: usize) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    // Writing into a String does not fail.
    let _ = writeln!(text, "demo{place:08}");
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A session of each role, and of each user of whom nothing is to go on working; and of each role that
/// such a user takes.
async fn sessions(bench: &Bench<'_>, scenario: &Scenario, seeded: &mut Seeded) -> Outcome {
    let mut minted = Vec::new();
    let mut served = std::collections::BTreeSet::new();
    for credential in &seeded.credentials {
        let identity = &scenario.identities[credential.identity];
        let mut mint = |of: &str, session: Tried<Session>| -> Outcome {
            let session = session?.doing(format!("no session can be had of {of}"))?;
            minted.push(Credential {
                identity: credential.identity,
                label: format!("a live session of {of}"),
                way: Way::Session(session),
                bystander: false,
            });
            Ok(())
        };
        match &credential.way {
            Way::Key(key) if !credential.bystander && served.insert(credential.identity) => {
                mint(&identity.name, bench.session_token(key).await)?;
                if let Some(role) = identity.takes_role() {
                    let arn = format!("arn:aws:iam::{}:role/{role}", identity.account);
                    mint(&role, bench.assume_role(key, &arn).await)?;
                }
            }
            Way::Route { partner, role_arn } => {
                mint(&identity.name, bench.assume_role(partner, role_arn).await)?;
            }
            _ => {}
        }
    }
    seeded.credentials.extend(minted);
    Ok(())
}
