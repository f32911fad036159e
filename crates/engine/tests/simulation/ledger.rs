//! The ledger's port over the store, with crashes before and after each commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use severance_engine::ports::{
    Acceptance, Agenda, Arrival, CaseLease, ClaimRequest, Claimed, ClaimedCase, Clock,
    IdentityPage, Inbox, Ledger, LedgerError, Message, OutboxEntry, PlanCommit, PlanPortion, Step,
    TaskLease,
};
use severance_lifecycle::action::Action;
use severance_lifecycle::case::CaseState;
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::failure::FailureClass;
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{AccountId, CaseId, TaskId};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::plan::{Identity, IdentityDetail, TagKeys};
use severance_lifecycle::policy::Holds;
use severance_lifecycle::secret::Holding;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::task::{Task, TaskState};
use severance_lifecycle::trust;

use crate::bug::Bug;
use crate::check;
use crate::clock::pause;
use crate::coverage::CrashPoint;
use crate::keys_of_others;
use crate::sim::{Process, Sim};
use crate::store::Store;
use crate::world::Time;

pub struct SimLedger {
    pub sim: Arc<Sim>,
    pub process: Process,
}

impl SimLedger {
    fn now(&self) -> Time {
        self.sim.clock.now()
    }

    async fn read<R>(&self, read: impl FnOnce(&Store) -> R) -> R {
        self.sim.living(self.process).await;
        read(&self.sim.store.lock().unwrap())
    }

    /// One transaction: it is stored as a whole or not at all, and the process may die on either side.
    async fn commit<R>(
        &self,
        name: &'static str,
        change: impl FnOnce(&mut Store) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        self.sim.living(self.process).await;
        pause(self.sim.chance.between(0, 3)).await;
        self.sim.living(self.process).await;
        let crash = self.sim.commit_crash(name);
        if crash == Some("before") {
            self.sim.crash(self.process).await;
        }
        if self.sim.store_fails() {
            let source = Box::new(std::io::Error::other("no space left on device"));
            return Err(LedgerError::Store { doing: name, source });
        }
        self.sim.trace(&format!("{} commits {name}", self.process));
        let answer = change(&mut self.sim.store.lock().unwrap());
        if crash == Some("after") {
            self.sim.crash(self.process).await;
        }
        answer
    }
}

#[async_trait]
impl Inbox for SimLedger {
    async fn accept(&self, batch: Vec<Arrival>) -> Result<Vec<Acceptance>, LedgerError> {
        let forgets = self.sim.has(Bug::DuplicateNotDropped);
        let process = self.process;
        self.commit("accept", |store| {
            let accepted: Vec<_> =
                batch.iter().map(|arrival| store.accept(arrival, forgets)).collect();
            for acceptance in &accepted {
                if let Acceptance::Accepted { case } = acceptance {
                    store.accepted_by.insert(case.clone(), process);
                }
            }
            Ok(accepted)
        })
        .await
    }

    async fn alarm(&self, finding: &Finding, at: Time) -> Result<(), LedgerError> {
        self.commit("alarm", |store| {
            store.alarms.push((at, finding.clone()));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Ledger for SimLedger {
    async fn claim_cases(&self, request: &ClaimRequest) -> Result<Vec<ClaimedCase>, LedgerError> {
        let forgets = self.sim.has(Bug::GrowthNotCounted);
        self.commit("claim-cases", |store| {
            let mut claimed = store.claim_cases(request, self.process);
            if forgets {
                for case in &mut claimed {
                    case.known.clear();
                }
            }
            Ok(claimed)
        })
        .await
    }

    async fn plan_portion(
        &self,
        lease: &CaseLease,
        portion: PlanPortion,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let parked = !self.sim.has(Bug::PortionRuns);
        self.commit("plan-portion", |store| store.plan_portion(lease, portion, parked, now)).await
    }

    async fn admit(&self, lease: &CaseLease, now: Time) -> Result<bool, LedgerError> {
        self.commit("admit", |store| store.admit_more(lease, now)).await
    }

    async fn commit_plan(&self, lease: &CaseLease, plan: PlanCommit) -> Result<(), LedgerError> {
        let now = self.now();
        let sim = Arc::clone(&self.sim);
        self.commit("commit-plan", |store| {
            let before = store.cases.get(&lease.case).map(|row| row.case.clone());
            let adds = plan.tasks.iter().any(|new| !store.tasks.contains_key(&new.task.id));
            store.commit_plan(lease, plan, now)?;
            if let Some(before) = before.filter(|_| adds) {
                check::sized(&sim, store, &before);
            }
            Ok(())
        })
        .await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, LedgerError> {
        let sim = Arc::clone(&self.sim);
        self.commit("claim", |store| {
            let claimed = store.claim(request, self.process);
            for Claimed { task, .. } in &claimed {
                if store.cases[&task.case].case.state == CaseState::Accepted {
                    sim.violated(format!("{} runs before its case is planned", task.id));
                }
            }
            Ok(claimed)
        })
        .await
    }

    async fn step(
        &self,
        lease: &TaskLease,
        now: Time,
        mut step: Step,
    ) -> Result<bool, LedgerError> {
        let outcomes: Vec<&'static str> = step
            .journal
            .iter()
            .filter_map(|entry| match &entry.what {
                Happening::Applied { action, .. }
                | Happening::Failed { action: Some(action), .. } => Some(action.name()),
                Happening::Probed { .. } => Some("probe"),
                Happening::Tried { .. } => Some("try-version"),
                _ => None,
            })
            .collect();
        for entry in &step.journal {
            self.sim.trace(&format!(
                "{} {} {:?}",
                self.process,
                step.task.target.label(),
                entry.what
            ));
        }
        let crash = self.sim.outcome_crash(self.process, &outcomes);
        if crash == Some(CrashPoint::BeforeOutcome) {
            self.sim.crash(self.process).await;
        }
        let ignores = self.sim.has(Bug::LostLeaseIgnored);
        if self.sim.has(Bug::IntentNotRecorded) && step.release.is_none() {
            return Ok(false);
        }
        if self.sim.has(Bug::BlockedDropped) && matches!(step.task.state, TaskState::Blocked { .. })
        {
            step.task.state = TaskState::Superseded;
            step.messages.clear();
        }
        if self.sim.has(Bug::DeletedBeforeQuarantine) {
            step.follow_ups.iter_mut().for_each(|new| new.next_at = now);
        }
        let probed: Vec<String> = step
            .journal
            .iter()
            .filter_map(|entry| match &entry.what {
                Happening::Probed { key_id, .. } => Some(key_id.clone()),
                _ => None,
            })
            .collect();
        let made_known: Vec<String> =
            step.journal.iter().filter_map(|entry| known_end(&entry.what)).collect();
        let name = if step.release.is_some() { "release" } else { "intent" };
        let sim = Arc::clone(&self.sim);
        let answer = self
            .commit(name, |store| {
                if !store.holds_lease(lease, now) {
                    if !ignores {
                        return Err(LedgerError::LeaseLost { what: lease.task.to_string() });
                    }
                    // Whatever let it through: a step of a lease that is gone overwrites another's.
                    sim.violated(format!("a step of {} is stored without its lease", lease.task));
                }
                for key_id in probed {
                    if let Some(told) = sim.answers.lock().unwrap().remove(&key_id) {
                        let row = format!("{} {key_id}", lease.task);
                        sim.probes.lock().unwrap().entry(row).or_default().push(told);
                    }
                }
                for version in made_known {
                    keys_of_others::ends(&sim, self.process, &version);
                }
                let was = store.tasks.get(&lease.task).map(|row| row.task.state.clone());
                let task = step.task.clone();
                let closed = store.step(lease, now, step);
                if was != Some(task.state.clone()) {
                    check::turned(&sim, store, was.as_ref(), &task);
                }
                Ok(closed)
            })
            .await;
        if crash == Some(CrashPoint::AfterOutcome) {
            self.sim.crash(self.process).await;
        }
        answer
    }

    async fn renew_case(&self, lease: &CaseLease, until: Time) -> Result<(), LedgerError> {
        self.commit("renew-case", |store| store.renew_case(lease, until)).await
    }

    async fn renew(&self, lease: &TaskLease, until: Time) -> Result<(), LedgerError> {
        let now = self.now();
        let ignores = self.sim.has(Bug::LostLeaseIgnored);
        self.commit("renew", |store| {
            if !ignores && !store.holds_lease(lease, now) {
                return Err(LedgerError::LeaseLost { what: lease.task.to_string() });
            }
            if !ignores {
                store.renew(lease, until);
            }
            Ok(())
        })
        .await
    }

    async fn holds(&self, task: &Task) -> Result<Holds, LedgerError> {
        Ok(self.read(|store| store.holds(task)).await)
    }

    async fn dead_keys(&self, user: &UserRef) -> Result<BTreeSet<String>, LedgerError> {
        Ok(self.read(|store| store.dead_keys(user)).await)
    }

    async fn agenda(&self, now: Time) -> Result<Agenda, LedgerError> {
        Ok(self.read(|store| store.agenda(now)).await)
    }

    async fn in_the_way(&self, now: Time) -> Result<BTreeSet<TaskId>, LedgerError> {
        Ok(self.read(|store| store.in_the_way(now)).await)
    }

    async fn release_all(&self, token: i64) -> Result<(), LedgerError> {
        self.commit("release-all", |store| {
            store.release_all(token);
            Ok(())
        })
        .await
    }

    async fn outbox(&self, now: Time, limit: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        let out = self.read(|store| store.outbox(now, limit)).await;
        let entry = |o: crate::store::Outgoing| OutboxEntry {
            id: o.id,
            message: o.message,
            attempts: o.attempts,
        };
        Ok(out.into_iter().map(entry).collect())
    }

    async fn published(&self, ids: &[i64]) -> Result<(), LedgerError> {
        self.commit("published", |store| {
            store.outbox.retain(|id, _| !ids.contains(id));
            Ok(())
        })
        .await
    }

    async fn defer(&self, id: i64, again_at: Time, _: &str) -> Result<(), LedgerError> {
        self.commit("defer", |store| {
            if let Some(out) = store.outbox.get_mut(&id) {
                out.due = again_at;
                out.attempts += 1;
            }
            Ok(())
        })
        .await
    }

    async fn spill(&self, id: i64, announcement: &Message) -> Result<(), LedgerError> {
        self.commit("spill", |store| {
            if let Some(out) = store.outbox.get_mut(&id) {
                // It is kept: as good as told.
                let kept = std::mem::replace(&mut out.message, announcement.clone());
                store.published.push(kept);
            }
            Ok(())
        })
        .await
    }

    async fn store_identities(
        &self,
        _: &AccountId,
        generation: i64,
        identities: &[Identity],
    ) -> Result<(), LedgerError> {
        self.commit("inventory", |store| {
            for identity in identities {
                let newer =
                    store.inventory.get(&identity.arn).is_some_and(|(_, g)| *g > generation);
                if !newer {
                    let place = i64::try_from(store.places.len()).unwrap_or(i64::MAX) + 1;
                    store.places.entry(identity.arn.clone()).or_insert(place);
                    store.inventory.insert(identity.arn.clone(), (identity.clone(), generation));
                }
            }
            Ok(())
        })
        .await
    }

    async fn finish_inventory(
        &self,
        account: &AccountId,
        generation: i64,
        at: Time,
    ) -> Result<(), LedgerError> {
        self.commit("inventory", |store| {
            store.listed.insert(account.clone(), at);
            store.inventory.retain(|_, (id, seen)| id.account != *account || *seen >= generation);
            Ok(())
        })
        .await
    }

    async fn inventories(&self) -> Result<BTreeMap<AccountId, Time>, LedgerError> {
        Ok(self.read(|store| store.listed.clone()).await)
    }

    async fn find_identities(&self, selector: &Selector) -> Result<Vec<Identity>, LedgerError> {
        let by_prefix = self.sim.has(Bug::WrongUserTouched);
        let found = self
            .read(|store| {
                let all = store.inventory.values().map(|(identity, _)| identity);
                all.filter(|identity| matches(selector, identity, by_prefix)).cloned().collect()
            })
            .await;
        Ok(found)
    }

    async fn identities_page(
        &self,
        selector: &Selector,
        after: i64,
        limit: usize,
    ) -> Result<IdentityPage, LedgerError> {
        let by_prefix = self.sim.has(Bug::WrongUserTouched);
        let page = self
            .read(|store| {
                let placed = store.inventory.iter().map(|(arn, (it, _))| (store.places[arn], it));
                let mut found: Vec<_> = placed
                    .filter(|(place, it)| *place > after && matches(selector, it, by_prefix))
                    .collect();
                found.sort_by_key(|(place, _)| *place);
                let next = found.get(limit - 1).map(|(place, _)| *place);
                let identities = found.into_iter().take(limit).map(|(_, it)| it.clone()).collect();
                IdentityPage { identities, next }
            })
            .await;
        Ok(page)
    }

    async fn secrets_holding(&self, holds: &[Holding]) -> Result<Vec<Identity>, LedgerError> {
        let found = self
            .read(|store| {
                let all = store.inventory.values().map(|(identity, _)| identity);
                let shares = |identity: &&Identity| {
                    let secret = identity.secret();
                    secret.is_some_and(|(_, it)| holds.iter().any(|one| it.holds.contains(one)))
                };
                all.filter(shares).cloned().collect()
            })
            .await;
        Ok(found)
    }

    async fn learn_holdings(
        &self,
        arn: &str,
        holds: &BTreeSet<Holding>,
    ) -> Result<(), LedgerError> {
        self.commit("inventory", |store| {
            if let Some((identity, _)) = store.inventory.get_mut(arn)
                && let IdentityDetail::Secret(detail) = &mut identity.detail
            {
                detail.holds.clone_from(holds);
            }
            Ok(())
        })
        .await
    }

    async fn secrets_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Identity>, LedgerError> {
        let found = self
            .read(|store| {
                let all = store.inventory.values().map(|(identity, _)| identity);
                let mut secrets: Vec<Identity> =
                    all.filter(|identity| identity.secret().is_some()).cloned().collect();
                secrets.retain(|identity| Some(identity.arn.as_str()) > after);
                secrets.sort_by(|one, other| one.arn.cmp(&other.arn));
                secrets.truncate(limit);
                secrets
            })
            .await;
        Ok(found)
    }

    async fn roles_trusting(&self, principals: &[String]) -> Result<Vec<Identity>, LedgerError> {
        let found = self
            .read(|store| {
                let names = |identity: &&Identity| match &identity.detail {
                    IdentityDetail::Role { trust, .. } => {
                        trust::principals(trust).iter().any(|p| principals.contains(p))
                    }
                    IdentityDetail::User { .. } | IdentityDetail::Secret(_) => false,
                };
                store.inventory.values().map(|(i, _)| i).filter(names).cloned().collect()
            })
            .await;
        Ok(found)
    }

    async fn note(&self, _: &CaseId, _: Time, _: Happening) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// The version for which a key was made, or surely was not.
fn known_end(what: &Happening) -> Option<String> {
    let (action, unsure) = match what {
        Happening::Applied { action, .. } => (action, false),
        Happening::Failed { action: Some(action), failure, .. } => {
            let may_be = matches!(failure.class, FailureClass::RetrySoon | FailureClass::Replan);
            (action, may_be || failure.operation != "iam:CreateAccessKey")
        }
        _ => return None,
    };
    match action {
        Action::Secret { what: SecretAction::MakeKey { version, .. }, .. } if !unsure => {
            Some(version.clone())
        }
        _ => None,
    }
}

/// What the inventory says of a selector.
pub fn matches(selector: &Selector, identity: &Identity, by_prefix: bool) -> bool {
    if selector.account.as_ref().is_some_and(|account| *account != identity.account) {
        return false;
    }
    let named = |name: &String| {
        identity.name == *name
            || identity.arn == *name
            || (by_prefix && identity.name.starts_with(name.as_str()))
    };
    let (zones, contracts) = identity.tagged(&TagKeys::default());
    match (&selector.target, &identity.detail) {
        (SelectorTarget::AccessKeyId(id), IdentityDetail::User { access_keys, .. }) => {
            access_keys.contains(id)
        }
        (SelectorTarget::User(name), IdentityDetail::User { .. })
        | (SelectorTarget::Role(name), IdentityDetail::Role { .. })
        | (SelectorTarget::Secret(name), IdentityDetail::Secret(_)) => named(name),
        (SelectorTarget::Contract(name), _) => contracts.contains(name),
        (SelectorTarget::Zone(name), _) => zones.contains(name),
        (SelectorTarget::Tags(tags), _) => {
            tags.iter().all(|(k, v)| identity.tags.get(k) == Some(v))
        }
        _ => false,
    }
}

/// What of a task was last stored under a live lease of this process.
pub fn leased_by(store: &Store, process: Process, now: Time) -> impl Iterator<Item = &Task> {
    store
        .tasks
        .values()
        .filter(move |row| {
            row.lease.as_ref().is_some_and(|l| l.process == process && l.until > now)
        })
        .map(|row| &row.task)
}

/// Whether a task ends a credential, and that counts as proven.
pub fn proven(task: &Task) -> bool {
    task.desired.ends_a_credential() && matches!(task.state, TaskState::Done { .. })
}
