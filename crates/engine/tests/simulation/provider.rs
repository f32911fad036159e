//! The provider's port over the model world, with faults and crashes around every action.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use async_trait::async_trait;
use chrono::TimeDelta;
use severance_engine::Gate;
use severance_engine::ports::{
    Admission, Applied, Clock, InventorySink, KeyLocation, Look, Permit, Provider,
};
use severance_lifecycle::action::{Action, DenyOrder, DenyScope};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::Selector;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::{AccountId, CaseId};
use severance_lifecycle::observe::{
    AssumableRole, DenyState, Intruder, KeyState, KeyStatus, KeyView, Observed, Presence,
    RoleStanding, RoleView, Routes, SideState, UserView, View,
};
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::task::Lane;
use severance_lifecycle::trust;

use crate::bug::Bug;
use crate::check;
use crate::clock::{epoch, pause};
use crate::coverage::{CrashPoint, Fault};
use crate::issuers::secret_view;
use crate::ledger::matches;
use crate::sim::{Process, Sim};
use crate::vault::Secret;
use crate::world::{Denies, Role, Time, User, World};
use crate::{others, usable};

pub struct SimProvider {
    pub sim: Arc<Sim>,
    pub gate: Arc<Gate>,
    pub process: Process,
}

pub fn accounts() -> Vec<AccountId> {
    vec!["111111111111".into(), "222222222222".into()]
}

pub fn failure(class: FailureClass, operation: &str, code: &str) -> Failure {
    Failure {
        class,
        operation: operation.into(),
        code: code.into(),
        message: "by the simulation".into(),
        request_id: None,
    }
}

impl SimProvider {
    async fn admit(&self, account: &AccountId, lane: Lane) -> Permit {
        self.sim.living(self.process).await;
        let permit = if self.sim.has(Bug::LowerLaneFirst) {
            Permit::free()
        } else {
            self.gate.admit(account, lane).await
        };
        self.sim.living(self.process).await;
        check::lane(&self.sim, self.process, lane);
        permit
    }

    /// A read that may be throttled or fail in passing.
    pub async fn read(
        &self,
        account: &AccountId,
        lane: Lane,
        operation: &str,
    ) -> Result<(), Failure> {
        let permit = self.admit(account, lane).await;
        pause(self.sim.chance.between(3, 30)).await;
        self.sim.living(self.process).await;
        drop(permit);
        if self.sim.clock.provider() > self.sim.faults_until {
            return Ok(());
        }
        match self.sim.chance.below(100) {
            0 => {
                self.gate.throttled(account);
                Err(failure(FailureClass::Throttled, operation, "Throttling"))
            }
            1 => Err(failure(FailureClass::RetrySoon, operation, "ServiceFailure")),
            _ => Ok(()),
        }
    }

    /// One call that changes or tries something: whatever befalls it befalls it here. `apply` is told whether
    /// only the first half of it is done.
    pub async fn attempt<T>(
        &self,
        action: &Action,
        lane: Lane,
        apply: impl FnOnce(bool) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let account = check::account(action);
        let permit = self.admit(&account, lane).await;
        let _busy = check::action_begins(&self.sim, self.process, action);
        if action.changes_provider() {
            let at = self.sim.clock.provider();
            self.sim.changes.lock().unwrap().push((at, action.name()));
        }
        let (crash, fault) = self.sim.fate(self.process, action.name());
        self.sim.trace(&format!("{} calls {action}: {crash:?} {fault:?}", self.process));
        pause(self.sim.chance.between(1, 20)).await;
        if crash == CrashPoint::BeforeCall {
            self.sim.crash(self.process).await;
        }
        self.sim.living(self.process).await;
        // What surely came to nothing is told from the rest by the operation's name.
        let operation =
            if action.name() == "make-key" { "iam:CreateAccessKey" } else { action.name() };
        let refusal = |class, code| Err(failure(class, operation, code));
        let answer = match fault {
            Fault::Throttled => {
                self.gate.throttled(&account);
                refusal(FailureClass::Throttled, "Throttling")
            }
            Fault::Refused => refusal(FailureClass::RetrySoon, "ServiceFailure"),
            Fault::Conflict => refusal(FailureClass::RetryLater, "ConcurrentModification"),
            Fault::Denied => refusal(FailureClass::Cannot, "AccessDenied"),
            Fault::None | Fault::LostReply => {
                let cut = fault == Fault::LostReply || crash == CrashPoint::AfterCall;
                apply(cut && self.sim.chance.happens(5_000))
            }
        };
        usable::check(&self.sim);
        pause(self.sim.chance.between(1, 20)).await;
        if crash == CrashPoint::AfterCall {
            self.sim.crash(self.process).await;
        }
        self.sim.living(self.process).await;
        drop(permit);
        if fault == Fault::LostReply {
            return refusal(FailureClass::RetrySoon, "Timeout");
        }
        answer
    }

    pub fn lag(&self, most_ms: i64) -> TimeDelta {
        TimeDelta::milliseconds(self.sim.chance.between(0, most_ms))
    }

    fn apply(&self, action: &Action) -> Result<(), Failure> {
        let now = self.sim.clock.provider();
        let gone = || failure(FailureClass::Gone, action.name(), "NoSuchEntity");
        let mut world = self.sim.world.lock().unwrap();
        // Longer than the window in which a key is proven dead: probes must see it, sometimes.
        let key_lag =
            if self.sim.chance.happens(2_500) { self.lag(4_500) } else { self.lag(3_500) };
        let policy_lag = self.lag(8_000);
        match action {
            Action::DeactivateKey { user, key_id } => {
                let named = self.sim.scope.lock().unwrap().compromised.contains(key_id);
                let of_one = self.sim.scope.lock().unwrap().taken.contains(&user.id);
                if of_one && !named {
                    self.sim.note("an intruder's key taken");
                }
                set_key(&mut world, user, key_id, KeyStatus::Inactive, key_lag, now)
                    .ok_or_else(gone)
            }
            Action::ReactivateKey { user, key_id } => {
                set_key(&mut world, user, key_id, KeyStatus::Active, key_lag, now).ok_or_else(gone)
            }
            Action::DeleteKey { user, key_id } => {
                let user = world.user_mut(user).ok_or_else(gone)?;
                let before = user.keys.len();
                let orphan =
                    user.keys.iter().find(|key| key.id == *key_id && key.version.is_some());
                let orphan = orphan.cloned();
                user.keys.retain(|key| key.id != *key_id);
                if user.keys.len() == before {
                    return Err(gone());
                }
                // A look that finds it gone is one of the two that a stale read must not spoil.
                self.sim.sees_well(&format!("access-key/{key_id}"), now);
                if orphan.is_some_and(|key| world.is_orphan(&key)) {
                    self.sim.note("an orphan key taken away");
                }
                Ok(())
            }
            Action::DeleteLoginProfile { user } => {
                world.user_mut(user).ok_or_else(gone)?.login.take().map(|_| ()).ok_or_else(gone)
            }
            Action::Deactivate { user, id, .. } | Action::Reactivate { user, id, .. } => {
                let active = matches!(action, Action::Reactivate { .. });
                let user = world.user_mut(user).ok_or_else(gone)?;
                let side = user.sides.iter_mut().find(|side| side.id == *id).ok_or_else(gone)?;
                side.active = active;
                Ok(())
            }
            Action::Delete { user, id, .. } => {
                let user = world.user_mut(user).ok_or_else(gone)?;
                user.sides.retain(|side| side.id != *id);
                Ok(())
            }
            Action::DeactivateMfa { user, serial } => {
                let user = world.user_mut(user).ok_or_else(gone)?;
                if user.mfa.remove(serial) { Ok(()) } else { Err(gone()) }
            }
            Action::DenyUser { user, deny } => {
                let user = world.user_mut(user).ok_or_else(gone)?;
                if user.full.contains(&deny.handle.place) {
                    return Err(failure(FailureClass::Full, action.name(), "LimitExceeded"));
                }
                put(&mut user.denies, deny, policy_lag, now);
                Ok(())
            }
            Action::DenyRole { role, deny } => {
                let role = world.role_mut(role).ok_or_else(gone)?;
                if role.is_of_a_service() {
                    self.sim.note("sessions of a service's role cut");
                }
                put(&mut role.denies, deny, policy_lag, now);
                Ok(())
            }
            Action::AllowUser { user, deny } => {
                let denies = &mut world.user_mut(user).ok_or_else(gone)?.denies;
                let mut all = denies.read().clone();
                all.remove(deny).ok_or_else(gone)?;
                denies.set(all, now, policy_lag);
                Ok(())
            }
            Action::AllowRole { role, deny } => {
                let denies = &mut world.role_mut(role).ok_or_else(gone)?.denies;
                let mut all = denies.read().clone();
                all.remove(deny).ok_or_else(gone)?;
                denies.set(all, now, policy_lag);
                Ok(())
            }
            Action::RemoveTrust { role, removed } => {
                let role = world.role_mut(role).ok_or_else(gone)?;
                let malformed = || failure(FailureClass::Cannot, action.name(), "MalformedPolicy");
                let before = role.trust.read().clone();
                let document = trust::without(&before, removed).ok_or_else(malformed)?;
                role.trust.set(document, now, policy_lag);
                let id = role.id.clone();
                self.second_look(&mut world, action, &id, &before)
            }
            Action::RestoreTrust { role, removed } => {
                let role = world.role_mut(role).ok_or_else(gone)?;
                let before = role.trust.read().clone();
                role.trust.set(trust::with(&before, removed), now, policy_lag);
                let id = role.id.clone();
                self.second_look(&mut world, action, &id, &before)
            }
            Action::Probe { .. } => Ok(()),
            Action::Secret { .. } => unreachable!("see `act_on_secret`"),
        }
    }

    /// What is there afterwards is compared with what was written: somebody may have written meanwhile.
    fn second_look(
        &self,
        world: &mut World,
        action: &Action,
        role: &str,
        before: &serde_json::Value,
    ) -> Result<(), Failure> {
        if self.sim.clock.provider() > self.sim.faults_until || !self.sim.chance.happens(1_000) {
            return Ok(());
        }
        others::writes_over(&self.sim, world, role, before);
        Err(failure(FailureClass::Replan, action.name(), "Edited"))
    }

    fn probe(&self, key_id: &str, sample: u32) -> ProbeAnswer {
        let now = self.sim.clock.provider();
        let endpoint = format!("region-{}", sample % 2);
        let world = self.sim.world.lock().unwrap();
        let key = world.users.values().flat_map(|user| &user.keys).find(|key| key.id == key_id);
        // Each try meets another host, and hosts learn of a change at different times.
        let host = i32::try_from(self.sim.chance.below(5)).unwrap();
        let works = key.is_some_and(|key| key.status.holds_at(now, host).is_active());
        drop(world);
        let inconclusive = self.sim.chance.happens(300);
        let refused = (!inconclusive).then_some(!works);
        let entry = (now, endpoint.clone(), refused);
        self.sim.answers.lock().unwrap().insert(key_id.to_owned(), entry);
        match refused {
            None => ProbeAnswer::Inconclusive { endpoint, why: "timeout".into() },
            Some(true) => ProbeAnswer::Refused { endpoint },
            Some(false) if self.sim.has(Bug::ProbeRowNotReset) => {
                ProbeAnswer::Inconclusive { endpoint, why: "accepted, and not taken in".into() }
            }
            Some(false) => ProbeAnswer::Accepted { endpoint },
        }
    }
}

fn set_key(
    world: &mut World,
    user: &UserRef,
    key_id: &str,
    status: KeyStatus,
    lag: TimeDelta,
    now: Time,
) -> Option<()> {
    let user = world.user_mut(user)?;
    let key = user.keys.iter_mut().find(|key| key.id == key_id)?;
    if *key.status.read() != status {
        key.status.set(status, now, lag);
    }
    Some(())
}

fn put(denies: &mut Denies, order: &DenyOrder, lag: TimeDelta, now: Time) {
    let mut all = denies.read().clone();
    all.insert(order.handle.clone(), order.scope);
    denies.set(all, now, lag);
}

fn denies_of(denies: &Denies, case: &CaseId) -> Vec<DenyState> {
    let ours = denies.read().iter().filter(|(handle, _)| handle.case == *case);
    ours.map(|(handle, scope): (_, &DenyScope)| DenyState {
        handle: handle.clone(),
        scope: Some(*scope),
    })
    .collect()
}

fn presence<T>(found: Option<&T>, same: impl FnOnce(&T) -> bool) -> Presence {
    match found {
        None => Presence::Missing,
        Some(found) if same(found) => Presence::Same,
        Some(_) => Presence::Replaced,
    }
}

pub fn key_state(key: &crate::world::Key) -> KeyState {
    KeyState {
        id: key.id.clone(),
        status: *key.status.read(),
        created: key.created,
        probeable: key.probeable,
    }
}

fn standings(world: &World, look: &Look) -> Vec<RoleStanding> {
    let standing = |assumable: &AssumableRole| {
        let at = (assumable.role.account.clone(), assumable.role.name.clone());
        let role = world.roles.get(&at);
        RoleStanding {
            role: assumable.clone(),
            presence: presence(role, |role| role.id == assumable.role.id),
            denies: role.map(|role| denies_of(&role.denies, &look.case)).unwrap_or_default(),
        }
    };
    look.assumable.iter().map(standing).collect()
}

pub fn key_view(world: &World, look: &Look, key_id: &str, at: &UserRef, blind: bool) -> KeyView {
    let found = world.users.get(&(at.account.clone(), at.name.clone())).filter(|_| !blind);
    let is_same = |user: &User| user.id == at.id;
    let same = found.filter(|user| is_same(user));
    let key = same.and_then(|user| user.keys.iter().find(|key| key.id == key_id));
    let mut intruders = Vec::new();
    let mut others = BTreeMap::new();
    if let Some(user) = same {
        let rest = user.keys.iter().filter(|key| key.id != key_id);
        others.extend(rest.map(|key| (key.id.clone(), *key.status.read())));
        let later = user.keys.iter().filter(|k| k.id != key_id && k.created > look.exposed_since);
        let active = later.filter(|k| k.status.read().is_active());
        let active = active.filter(|k| k.version.is_none() || world.is_orphan(k));
        intruders.extend(active.map(|k| Intruder::AccessKey { key_id: k.id.clone() }));
        if user.login.is_some_and(|at| at > look.exposed_since) {
            intruders.push(Intruder::LoginProfile);
        }
    }
    KeyView {
        user: presence(found, is_same),
        key: key.map(key_state),
        denies: same.map(|user| denies_of(&user.denies, &look.case)).unwrap_or_default(),
        roles: standings(world, look),
        intruders,
        others,
    }
}

fn user_view(world: &World, look: &Look, at: &UserRef, blind: bool) -> UserView {
    let found = world.users.get(&(at.account.clone(), at.name.clone())).filter(|_| !blind);
    let is_same = |user: &User| user.id == at.id;
    let same = found.filter(|user| is_same(user));
    let side = |side: &crate::world::Side| SideState {
        kind: side.kind,
        id: side.id.clone(),
        active: side.active,
        created: epoch(),
    };
    UserView {
        user: presence(found, is_same),
        keys: same.map(|u| u.keys.iter().map(key_state).collect()).unwrap_or_default(),
        login_profile: same.is_some_and(|user| user.login.is_some()),
        side: same.map(|u| u.sides.iter().map(side).collect()).unwrap_or_default(),
        mfa_devices: same.map(|u| u.mfa.iter().cloned().collect()).unwrap_or_default(),
        denies: same.map(|user| denies_of(&user.denies, &look.case)).unwrap_or_default(),
        routes: Routes::default(),
        roles: standings(world, look),
    }
}

fn view(world: &World, look: &Look, blind: bool, now: Time) -> View {
    match &look.target {
        Target::AccessKey { key_id, user } => {
            View::AccessKey(key_view(world, look, key_id, user, blind))
        }
        Target::User { user } => View::User(user_view(world, look, user, blind)),
        Target::Role { role } => {
            let found = world.roles.get(&(role.account.clone(), role.name.clone()));
            let found = found.filter(|_| !blind);
            let is_same = |here: &Role| here.id == role.id;
            View::Role(RoleView {
                role: presence(found, is_same),
                service_linked: false,
                trust: found.map(|r| r.trust.read().clone()).unwrap_or_default(),
                max_session_seconds: found.map_or(0, |r| u32::try_from(r.max_session).unwrap()),
                denies: found.map(|r| denies_of(&r.denies, &look.case)).unwrap_or_default(),
            })
        }
        Target::Secret { secret, issuer } => {
            View::Secret(secret_view(world, look, secret, issuer, blind, now))
        }
        Target::Unresolved { .. } => unreachable!("nobody looks at what names nothing"),
    }
}

#[async_trait]
impl Provider for SimProvider {
    async fn observe(&self, look: &Look) -> Result<Observed, Failure> {
        let account = look.target.account().unwrap();
        self.read(account, look.lane, "iam:ListAccessKeys").await?;
        self.read(account, look.lane, "iam:GetUserPolicy").await?;
        let at = self.sim.clock.provider();
        self.sim.looked.lock().unwrap().insert(look.target.key(), at);
        // Now and then a read meets a host that does not know the identity yet.
        let blind = at < self.sim.faults_until && self.sim.goes_blind(&look.target.key(), at);
        if blind {
            self.sim.note("stale read");
        }
        let mut world = self.sim.world.lock().unwrap();
        world.pass(at);
        Ok(Observed { at, view: view(&world, look, blind, at) })
    }

    async fn act(&self, action: &Action, lane: Lane) -> Result<Applied, Failure> {
        self.attempt(action, lane, |half| {
            if let Action::Secret { secret, what } = action {
                return self.act_on_secret(secret, what, half);
            }
            let probe = match action {
                Action::Probe { key_id, sample, .. } => Some(self.probe(key_id, *sample)),
                _ => None,
            };
            let at = self.sim.clock.provider();
            let applied = Applied { request_id: None, at, probe, stragglers_until: None };
            self.apply(action).map(|()| applied)
        })
        .await
    }

    async fn locate_key(&self, key_id: &str, lane: Lane) -> Result<KeyLocation, Failure> {
        self.read(&accounts()[0], lane, "sts:GetAccessKeyInfo").await?;
        pause(self.sim.slow_lookup.load(SeqCst)).await;
        if key_id.starts_with("ASIA") {
            return Ok(KeyLocation::Session { account: None });
        }
        let world = self.sim.world.lock().unwrap();
        Ok(match world.user_of_key(key_id) {
            Some(user) => KeyLocation::User(Box::new(user.identity())),
            None => KeyLocation::Unknown,
        })
    }

    async fn find(&self, selector: &Selector, lane: Lane) -> Result<Vec<Identity>, Failure> {
        self.read(&accounts()[0], lane, "iam:GetUser").await?;
        let world = self.sim.world.lock().unwrap();
        let users = world.users.values().map(User::identity);
        let all = users.chain(world.roles.values().map(Role::identity));
        let all = all.chain(world.secrets.values().map(Secret::identity));
        Ok(all.filter(|identity| matches(selector, identity, false)).collect())
    }

    async fn assumable(
        &self,
        identity: &Identity,
        candidates: &[Identity],
        lane: Lane,
    ) -> Result<Vec<AssumableRole>, Failure> {
        self.read(&identity.account, lane, "iam:SimulatePrincipalPolicy").await?;
        Ok(candidates
            .iter()
            .filter_map(|role| match &role.detail {
                IdentityDetail::Role { trust, max_session_seconds, service_linked } => {
                    trust::principals(trust).contains(&identity.arn).then(|| AssumableRole {
                        role: role.role().unwrap(),
                        max_session_seconds: *max_session_seconds,
                        service_linked: *service_linked,
                        service_assumed: !trust::read(trust, &trust::Partner::default())
                            .services
                            .is_empty(),
                    })
                }
                IdentityDetail::User { .. } | IdentityDetail::Secret(_) => None,
            })
            .collect())
    }

    async fn inventory(
        &self,
        account: &AccountId,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        self.sim.listings.fetch_add(1, SeqCst);
        for page in 0..3 {
            self.sim.trace(&format!("{} lists {account}", self.process));
            // What work waits for is listed on its behalf.
            let urgent = severance_engine::Presence::current().is_some();
            let lane = if urgent { Lane::Compromise } else { Lane::Rest };
            self.read(account, lane, "iam:GetAccountAuthorizationDetails").await?;
            if self.sim.unlistable.lock().unwrap().contains(account) {
                let passing = FailureClass::RetrySoon;
                return Err(failure(
                    passing,
                    "iam:GetAccountAuthorizationDetails",
                    "ServiceFailure",
                ));
            }
            let page = {
                let world = self.sim.world.lock().unwrap();
                let all: Vec<Identity> = match page {
                    0 => world.users.values().map(User::identity).collect(),
                    1 => world.roles.values().map(Role::identity).collect(),
                    _ => world.secrets.values().map(Secret::identity).collect(),
                };
                all.into_iter().filter(|identity| identity.account == *account).collect()
            };
            sink.page(page).await?;
        }
        Ok(())
    }

    async fn roles(
        &self,
        account: &AccountId,
        lane: Lane,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        self.sim.role_listings.fetch_add(1, SeqCst);
        pause(self.sim.slow_roles.load(SeqCst)).await;
        if self.sim.roles_fail.load(SeqCst) {
            return Err(failure(FailureClass::RetrySoon, "iam:ListRoles", "ServiceFailure"));
        }
        self.read(account, lane, "iam:ListRoles").await?;
        let roles = {
            let world = self.sim.world.lock().unwrap();
            let all = world.roles.values().map(Role::identity);
            all.filter(|identity| identity.account == *account).collect()
        };
        sink.page(roles).await
    }

    fn accounts(&self) -> Vec<AccountId> {
        accounts()
    }

    async fn own_identities(&self) -> Result<Vec<String>, Failure> {
        self.read(&accounts()[0], Lane::Compromise, "sts:GetCallerIdentity").await?;
        Ok(vec!["arn:aws:iam::111111111111:role/severance".into()])
    }
}

/// The worker's clock, for what is timed by it.
pub fn worker_now(sim: &Sim) -> Time {
    sim.clock.now()
}
