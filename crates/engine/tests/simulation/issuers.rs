//! Secrets and their issuers as the engine's ports show them, over the model: looks, actions, values.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::{
    Applied, Errand, Issuers, Look, SecretStore, SecretValue, Telling, Told,
};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::observe::{KeyStatus, Presence};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::secret::{Issuer, SecretRef, is_ours};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{
    CURRENT, Held, PENDING, ReplicaState, SecretView, UserKey, UserKeys, VersionState,
};
use severance_lifecycle::task::Lane;

use crate::bug::Bug;
use crate::provider::{SimProvider, failure, key_state, key_view};
use crate::usable;
use crate::vault::{Running, Secret, Value};
use crate::world::{Key, Spread, Time, World};
use crate::{logins, sharing};

/// A connection that had begun to log in is in by then.
pub const LOGIN: TimeDelta = TimeDelta::seconds(6);

/// What a look shows of a secret.
pub fn secret_view(
    world: &World,
    look: &Look,
    secret: &SecretRef,
    issuer: &Issuer,
    blind: bool,
    now: Time,
) -> SecretView {
    let here = world.secrets.get(&secret.arn).filter(|_| !blind);
    let mut view = SecretView {
        secret: if here.is_some() { Presence::Same } else { Presence::Missing },
        deleted_at: here.and_then(|it| it.deleted_at),
        owning_service: None,
        has_function: *issuer == Issuer::Managed,
        versions: here.map(|it| versions(it, look, issuer, now)).unwrap_or_default(),
        replicas: here.map(|it| replicas(it, now)).unwrap_or_default(),
        denied: here.is_some_and(|it| it.deleted_at.is_none() && it.denies.contains(&look.case)),
        keys: None,
    };
    if let Issuer::AccessKey { user } = issuer {
        view.keys = Some(user_keys(world, look, secret, user, &view, now));
    }
    view
}

fn versions(secret: &Secret, look: &Look, issuer: &Issuer, now: Time) -> Vec<VersionState> {
    let readable = secret.deleted_at.is_none();
    let shown = secret.versions.iter().filter(|it| it.listed <= now || it.stages.contains(CURRENT));
    // As a look at AWS does: keys live on when their version has lost its labels.
    let every = look.secret.every_version && matches!(issuer, Issuer::AccessKey { .. });
    let leaves = |it: &crate::vault::Version| look.secret.old_version.as_ref() == Some(&it.id);
    let matters =
        shown.filter(|it| every || leaves(it) || !it.stages.is_empty() || is_ours(&it.id));
    let held = |value: &Value| match (value, issuer) {
        (Value::Key(id), Issuer::AccessKey { .. }) if readable => {
            Held::AccessKey { key_id: id.clone() }
        }
        (Value::Login { user, .. }, Issuer::Database { .. }) if readable => {
            Held::Login { username: user.clone() }
        }
        (Value::Unfit, _) if readable => {
            Held::Unfit { field: "value".to_owned(), why: "not JSON".to_owned() }
        }
        _ => Held::Opaque,
    };
    let state = |it: &crate::vault::Version| VersionState {
        id: it.id.clone(),
        stages: it.stages.clone(),
        created: it.created,
        held: held(&it.value),
    };
    matters.map(state).collect()
}

fn replicas(secret: &Secret, now: Time) -> Vec<ReplicaState> {
    let state = |(region, lag): (&String, &TimeDelta)| ReplicaState {
        region: region.clone(),
        in_sync: secret.current_since + *lag <= now,
        status: "InProgress".into(),
    };
    secret.replicas.iter().map(state).collect()
}

fn user_keys(
    world: &World,
    look: &Look,
    secret: &SecretRef,
    user: &UserRef,
    view: &SecretView,
    now: Time,
) -> UserKeys {
    let found = world.users.get(&(user.account.clone(), user.name.clone()));
    let presence = match found {
        None => Presence::Missing,
        Some(found) if found.id != user.id => Presence::Replaced,
        Some(_) => Presence::Same,
    };
    let Some(found) = found.filter(|_| presence == Presence::Same) else {
        return UserKeys { user: presence, keys: Vec::new(), old: None };
    };
    let shown = found.keys.iter().filter(|key| key.listed <= now);
    let key = |key: &Key| UserKey {
        used: key.used || view.holders(&key.id).next().is_some(),
        state: key_state(key),
        elsewhere: sharing::is_elsewhere(world, &secret.arn, &key.id),
    };
    let current = view.current().and_then(|version| version.key_id()).map(str::to_owned);
    let old = look.old_key.clone().or(current);
    UserKeys {
        user: Presence::Same,
        keys: shown.map(key).collect(),
        old: old.map(|key_id| key_view(world, look, &key_id, user, false)),
    }
}

fn gone(operation: &str) -> Failure {
    failure(FailureClass::Gone, operation, "ResourceNotFoundException")
}

fn hidden(operation: &str) -> Failure {
    failure(FailureClass::Cannot, operation, "InvalidRequestException")
}

fn stale(operation: &str) -> Failure {
    failure(FailureClass::Replan, operation, "InvalidParameterException")
}

impl SimProvider {
    /// Carries out what AWS itself does about a secret.
    pub fn act_on_secret(
        &self,
        secret: &SecretRef,
        what: &SecretAction,
        half: bool,
    ) -> Result<Applied, Failure> {
        let now = self.sim.clock.provider();
        let mut world = self.sim.world.lock().unwrap();
        world.pass(now);
        let probe = match what {
            SecretAction::MakeKey { user, version, .. } => {
                // Now and then it cannot be stored, and cannot be taken away again either.
                let unstored = now < self.sim.faults_until && world.serial.is_multiple_of(16);
                self.make_key(&mut world, secret, user, version, half || unstored)?;
                if unstored {
                    let operation = "secretsmanager:PutSecretValue";
                    return Err(failure(
                        FailureClass::RetrySoon,
                        operation,
                        "InternalServiceError",
                    ));
                }
                None
            }
            SecretAction::Try { version, .. } => Some(self.try_key(&mut world, secret, version)?),
            _ => {
                let here = world.secrets.get_mut(&secret.arn);
                self.label(here.ok_or_else(|| gone(what.name()))?, what, now)?;
                None
            }
        };
        Ok(Applied { request_id: None, at: now, probe, stragglers_until: None })
    }

    fn label(&self, here: &mut Secret, what: &SecretAction, now: Time) -> Result<(), Failure> {
        let undoes = matches!(
            what,
            SecretAction::Restore
                | SecretAction::Allow { .. }
                | SecretAction::ScheduleDeletion { .. }
                | SecretAction::RemoveReplicas { .. }
        );
        if here.deleted_at.is_some() && !undoes {
            return Err(hidden(what.name()));
        }
        match what {
            SecretAction::Rotate { version } => self.run_function(here, version, now)?,
            SecretAction::Promote { version, from } => {
                let is_from = from.as_ref() == Some(&here.current().id);
                if !is_from || here.version(version).is_none() {
                    return Err(stale(what.name()));
                }
                here.move_label(CURRENT, version, now);
                here.meddled = false;
                self.gap_ends(here, version, now);
            }
            SecretAction::DropLabel { label, version } => {
                let it = here.versions.iter_mut().find(|it| it.id == *version);
                if !it.is_some_and(|it| it.stages.remove(label)) {
                    return Err(stale(what.name()));
                }
            }
            SecretAction::Deny { case, .. } => {
                here.denies.insert(case.clone());
            }
            SecretAction::Allow { case } => {
                here.denies.remove(case);
            }
            SecretAction::RemoveReplicas { .. } => here.replicas.clear(),
            SecretAction::ScheduleDeletion { .. } => here.deleted_at = Some(now),
            SecretAction::Restore => here.deleted_at = None,
            other => panic!("AWS does not issue what it holds: {other}"),
        }
        Ok(())
    }

    /// Once in a secret's life its function leaves it half done.
    fn run_function(&self, here: &mut Secret, version: &str, now: Time) -> Result<(), Failure> {
        if here.version(version).is_some() {
            return Ok(());
        }
        if let Some(running) = &here.function {
            let same = running.version == version;
            let busy = || failure(FailureClass::RetryLater, "rotate-secret", "InvalidRequest");
            return if same { Ok(()) } else { Err(busy()) };
        }
        if here.labelled(PENDING).is_some_and(|it| !it.stages.contains(CURRENT)) {
            return Err(failure(FailureClass::RetryLater, "rotate-secret", "InvalidRequest"));
        }
        let ready = now + TimeDelta::milliseconds(self.sim.chance.between(1_000, 90_000));
        let fails = !here.function_failed && self.sim.chance.happens(2_000);
        here.function = Some(Running { version: version.to_owned(), ready, fails });
        Ok(())
    }

    /// `CreateAccessKey`, and what it answered is stored; of half of it, only the first.
    fn make_key(
        &self,
        world: &mut World,
        secret: &SecretRef,
        user: &UserRef,
        version: &str,
        half: bool,
    ) -> Result<(), Failure> {
        let now = self.sim.clock.provider();
        let keys = world.user_mut(user).ok_or_else(|| gone("make-key"))?.keys.len();
        if keys >= 2 {
            return Err(failure(FailureClass::Full, "iam:CreateAccessKey", "LimitExceeded"));
        }
        if world.secrets.get(&secret.arn).is_none_or(|it| it.deleted_at.is_some()) {
            // What it made is taken away again.
            return Err(hidden("secretsmanager:PutSecretValue"));
        }
        usable::makes_key(&self.sim, world, version);
        let id = format!("AKIA{:016}", world.next_serial());
        let mut status = Spread::new(KeyStatus::Inactive);
        status.set(KeyStatus::Active, now, self.lag(4_500));
        let key = Key {
            id: id.clone(),
            status,
            created: now,
            probeable: true,
            listed: now + self.lag(6_000),
            used: false,
            version: Some(version.to_owned()),
        };
        world.user_mut(user).ok_or_else(|| gone("make-key"))?.keys.push(key);
        if half {
            self.sim.note("a key made whose secret half is lost");
            usable::half_made(&self.sim, version);
            return Ok(());
        }
        let here = world.secrets.get_mut(&secret.arn).ok_or_else(|| gone("make-key"))?;
        here.store(version, Value::Key(id), now, now + self.lag(3_000));
        Ok(())
    }

    fn try_key(
        &self,
        world: &mut World,
        secret: &SecretRef,
        version: &str,
    ) -> Result<ProbeAnswer, Failure> {
        let now = self.sim.clock.provider();
        let here = world.secrets.get(&secret.arn).ok_or_else(|| gone("try-version"))?;
        if here.deleted_at.is_some() {
            return Err(hidden("try-version"));
        }
        let held = here.version(version).map(|it| it.value.clone());
        let Some(Value::Key(id)) = held else { return Err(gone("try-version")) };
        // Each try meets another host, and hosts learn of a key at different times.
        let host = i32::try_from(self.sim.chance.below(5)).unwrap();
        let mut keys = world.users.values_mut().flat_map(|user| &mut user.keys);
        let key = keys.find(|key| key.id == id);
        let works = key.is_some_and(|key| {
            key.used = true;
            key.status.holds_at(now, host).is_active()
        });
        let endpoint = format!("region-{}", host % 2);
        Ok(self.answer(works, endpoint))
    }

    fn answer(&self, works: bool, endpoint: String) -> ProbeAnswer {
        if self.sim.chance.happens(300) {
            return ProbeAnswer::Inconclusive { endpoint, why: "timeout".into() };
        }
        if works { ProbeAnswer::Accepted { endpoint } } else { ProbeAnswer::Refused { endpoint } }
    }

    /// Of one login with one password: from the moment that the issuer was told until it is handed out.
    fn gap_ends(&self, here: &Secret, version: &str, now: Time) {
        let begun = self.sim.gaps.lock().unwrap().remove(version);
        if let Some(begun) = begun.filter(|_| here.is_single_login()) {
            self.sim.coverage.lock().unwrap().gaps.push((now - begun).num_milliseconds());
        }
    }

    /// What an issuer does that is told.
    fn tell_issuer(&self, errand: &Errand) -> Result<Told, Failure> {
        let now = self.sim.clock.provider();
        let mut world = self.sim.world.lock().unwrap();
        world.pass(now);
        let here = world.secrets.get_mut(&errand.secret.arn).ok_or_else(|| gone("tell"))?;
        // An endpoint reads what it is told of by itself.
        if here.deleted_at.is_some() {
            return Err(hidden("tell"));
        }
        let stored = here.version(&errand.version.id).ok_or_else(|| gone("tell"))?.clone();
        let value = errand.version.value.as_ref().map(|value| Value::read(value.reveal()));
        let value = value.unwrap_or_else(|| stored.value.clone());
        if value != stored.value {
            self.sim.violated(format!("{} is told as what it is not", stored.id));
        }
        let mut told = Told::default();
        match errand.what {
            Telling::Set { end_sessions } => {
                if let Value::Login { user, password } = &value {
                    let lost = if self.sim.has(Bug::ValueNotStored) { 1_000_000 } else { 0 };
                    logins::set(here, errand, user, *password + lost, end_sessions)?;
                    self.sim.gaps.lock().unwrap().entry(stored.id).or_insert(now);
                }
                if let Value::Opaque(number) = value {
                    // An endpoint may take it in a while after it said yes.
                    let slow = now < self.sim.faults_until && self.sim.more.happens(3_000);
                    if slow {
                        let takes = TimeDelta::milliseconds(self.sim.more.between(0, 40_000));
                        here.accepting.push((now + takes, number));
                    } else {
                        here.accepted.insert(number);
                    }
                }
            }
            Telling::Try => {
                let works = match &value {
                    Value::Login { user, password } => {
                        here.logins.get(user).copied().flatten() == Some(*password)
                    }
                    Value::Opaque(number) => here.accepted.contains(number),
                    Value::Key(_) | Value::Unfit => false,
                };
                told.probe = Some(self.answer(works, "issuer".to_owned()));
            }
            Telling::Finish => {}
            Telling::Retire { followed } => match value {
                Value::Login { user, password } => {
                    let works = here.logins.get(&user).copied().flatten() == Some(password);
                    logins::retire(here, &user, password, followed)?;
                    let accepted = || ProbeAnswer::Accepted { endpoint: "issuer".to_owned() };
                    told.probe = works.then(accepted);
                }
                Value::Opaque(number) => {
                    here.accepted.remove(&number);
                    here.accepting.retain(|(_, it)| *it != number);
                }
                Value::Key(_) | Value::Unfit => {}
            },
            Telling::EndSessions => {
                if let Value::Login { user, password } = value {
                    told = logins::end_sessions(here, errand, &user, password)?;
                }
            }
        }
        Ok(told)
    }
}

/// The action that an errand came from.
fn action(errand: &Errand) -> Action {
    let version = errand.version.id.clone();
    let beside = errand.beside.as_ref().map(|it| it.id.clone());
    let what = match errand.what {
        Telling::Set { .. } => {
            let (from, others) = (beside.unwrap_or_default(), Vec::new());
            SecretAction::Set { version, from, others }
        }
        Telling::Try => SecretAction::Try { version, sample: 0 },
        Telling::Finish => SecretAction::Finish { version },
        Telling::Retire { .. } => SecretAction::Retire { version, current: beside },
        Telling::EndSessions => SecretAction::EndSessions { version },
    };
    Action::Secret { secret: errand.secret.clone(), what }
}

#[async_trait]
impl Issuers for SimProvider {
    fn next_value(&self, issuer: &Issuer, current: &SecretValue) -> Result<SecretValue, Failure> {
        let serial = self.sim.world.lock().unwrap().next_serial();
        if Value::read(current.reveal()) == Value::Unfit {
            return Err(failure(FailureClass::Cannot, "next-value", "UnfitValue"));
        }
        let next = match (Value::read(current.reveal()), issuer) {
            (Value::Login { user, .. }, Issuer::Database { alternating: true }) => {
                let user = match user.strip_suffix("_clone") {
                    Some(user) => user.to_owned(),
                    None => format!("{user}_clone"),
                };
                Value::Login { user, password: serial }
            }
            (Value::Login { user, .. }, _) => Value::Login { user, password: serial },
            _ => Value::Opaque(serial),
        };
        Ok(SecretValue::new(next.text()))
    }

    fn administrator(&self, _: &Issuer, _: &SecretValue) -> Result<Option<SecretRef>, Failure> {
        Ok(None)
    }

    async fn tell(&self, errand: &Errand) -> Result<Told, Failure> {
        self.attempt(&action(errand), errand.lane, |_| self.tell_issuer(errand)).await
    }
}

#[async_trait]
impl SecretStore for SimProvider {
    async fn read(
        &self,
        secret: &SecretRef,
        version: Option<&str>,
        lane: Lane,
    ) -> Result<Option<SecretValue>, Failure> {
        let operation = "secretsmanager:GetSecretValue";
        Self::read(self, &secret.account, lane, operation).await?;
        let world = self.sim.world.lock().unwrap();
        let here = world.secrets.get(&secret.arn).ok_or_else(|| gone(operation))?;
        if here.deleted_at.is_some() {
            return Err(hidden(operation));
        }
        let found = match version {
            Some(id) => here.version(id).ok_or_else(|| gone(operation))?,
            None => here.current(),
        };
        Ok(Some(SecretValue::new(found.value.text())))
    }

    async fn store(
        &self,
        secret: &SecretRef,
        version: &str,
        value: &SecretValue,
        lane: Lane,
    ) -> Result<Applied, Failure> {
        let what = SecretAction::Prepare { version: version.to_owned(), from: String::new() };
        let action = Action::Secret { secret: secret.clone(), what };
        self.attempt(&action, lane, |_| {
            let now = self.sim.clock.provider();
            let mut world = self.sim.world.lock().unwrap();
            usable::prepares(&self.sim, &world, &secret.arn, version);
            let listed = now + self.lag(3_000);
            if world.secrets.get(&secret.arn).is_some_and(|it| it.deleted_at.is_some()) {
                return Err(hidden("secretsmanager:PutSecretValue"));
            }
            let here = world.secrets.get_mut(&secret.arn).ok_or_else(|| gone("store"))?;
            here.store(version, Value::read(value.reveal()), now, listed);
            Ok(Applied { request_id: None, at: now, probe: None, stragglers_until: None })
        })
        .await
    }

    async fn now(&self, secret: &SecretRef, lane: Lane) -> Result<DateTime<Utc>, Failure> {
        Self::read(self, &secret.account, lane, "secretsmanager:DescribeSecret").await?;
        Ok(self.sim.clock.provider())
    }
}
