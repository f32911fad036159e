//! Drives one claimed task: look, decide, record the intent, act, look again, until it waits, is done
//! or is blocked. The outcome of one call and the intent of the next are stored in one step.

mod ending;
mod failing;
mod learning;
mod reaching;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{self, Decision, Reason, Situation};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::journal::Happening;
use severance_lifecycle::observe::{Observed, View};
use severance_lifecycle::plan::Identity;
use severance_lifecycle::policy::{Desired, Holds, Policy};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::task::{BlockReason, Lane, Mode, Task, TaskState};
use tokio_util::sync::CancellationToken;

use crate::call::{Stop, giving_way, has_room};
use crate::guard::{self, Guarded};
use crate::issuing;
use crate::looking;
use crate::ports::{
    Applied, Claimed, EngineEvent, LedgerError, Look, NewTask, Release, SecretLook, Step, TaskLease,
};
use crate::shared::Shared;
use crate::telling::Telling;
use crate::urgency::{Hold, Presence};

/// Calls in one claim; a task that needs more comes back in its turn, so that none can hold a slot
/// for ever by a provider that never settles.
const MOST_ROUNDS: u32 = 64;

/// What waits only for the first listing of an account looks again so often: each look costs calls.
const LISTING: TimeDelta = TimeDelta::seconds(30);

/// One task in hand.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    draining: CancellationToken,
    lease: TaskLease,
    task: Task,
    attempts: u32,
    telling: Telling,
    follow_ups: Vec<NewTask>,
    /// The site of the last call, where it was accepted and changed something.
    accepted: Option<String>,
    /// The task's first blow landed in this claim.
    first_blow: bool,
    /// What somebody else keeps changing, by site: refused for minutes, not for good.
    later: BTreeMap<String, BlockReason>,
    /// Looks that ended in "look again at once".
    replans: u32,
    known: Option<Identity>,
    /// Urgent work is open again, or waits for this identity: runnable before that is stored, and until it
    /// is announced.
    reopening: Option<Hold>,
}

/// What one turn of the loop comes to.
enum Turn {
    /// Look again.
    Again,
    /// Give the lease back.
    Release(Release),
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, draining: CancellationToken, claimed: Claimed) -> Self {
        Self {
            shared,
            draining,
            lease: claimed.lease,
            task: claimed.task,
            attempts: claimed.attempts,
            telling: Telling::default(),
            follow_ups: Vec::new(),
            accepted: None,
            first_blow: false,
            later: BTreeMap::new(),
            replans: 0,
            known: None,
            reopening: None,
        }
    }

    /// Drives the task until its lease is given back. Returns when something of it is due next.
    pub(crate) async fn drive(mut self) -> Option<DateTime<Utc>> {
        let ended = self.run().await;
        if let Some(hold) = self.reopening.take() {
            // Also after a failure: it may have been stored all the same.
            self.shared.urgency.raise();
            drop(hold);
        }
        match ended {
            Ok(next_at) => next_at,
            Err(Stop::Lost | Stop::InTheWay) => {
                self.shared.observer.on(&EngineEvent::LeaseLost { task: &self.task });
                None
            }
            Err(Stop::Ledger(error)) => {
                self.shared.ledger_failed("store a step", &error);
                Some(self.lease.until)
            }
        }
    }

    async fn run(&mut self) -> Result<Option<DateTime<Utc>>, Stop> {
        self.tell_missed_deadline();
        let release = match guard::check(&self.shared, &mut self.task).await? {
            Guarded::Clear => match self.rounds().await {
                Err(Stop::InTheWay) => self.at_once(),
                release => release?,
            },
            Guarded::Refused(reason) => self.blocked(&reason),
            // Planning tries again by itself; see `PlanCommit::again_at`.
            Guarded::Unresolved => Release { next_at: None, attempts: self.attempts },
        };
        let next = self.follow_ups.iter().map(|task| task.next_at).chain(release.next_at).min();
        if self.reopening.is_none() && self.shared.urgency.waits_for_identity() {
            self.reopening = Some(self.shared.urgency.hold());
        }
        // Whether urgent work waits for it may come out while it is stored.
        let _releasing = self.shared.urgency.release();
        self.store(Some(release)).await?;
        Ok(next)
    }

    async fn rounds(&mut self) -> Result<Release, Stop> {
        Presence::set_proving(self.task.accepted_at.is_some());
        if let Some(again_in) = self.shared.roles.waits(&self.shared, &self.task.id) {
            return Ok(self.waiting_for_roles(again_in));
        }
        self.known = match self.task.desired {
            Desired::Revoked | Desired::Rotated => {
                guard::known(&self.shared, &self.task.target).await?
            }
            Desired::Deleted | Desired::Reinstated => None,
        };
        let retagged = guard::retagged(&self.shared, &self.task, self.known.as_ref());
        if let Some(finding) = retagged.filter(|it| self.task.record.told.insert(it.clone())) {
            self.telling.finding(&self.task, self.shared.now(), finding);
        }
        // The first blow must not wait for a lookup; where nothing is struck, the lookup tells what would be.
        if (self.task.record.accepted_at.is_some() || self.task.mode == Mode::Observe)
            && let Some(release) = self.look_up_reach().await?
        {
            return Ok(release);
        }
        for _ in 0..MOST_ROUNDS {
            if self.draining.is_cancelled() {
                break;
            }
            match self.round().await? {
                Turn::Again if self.yields() => break,
                Turn::Again => {}
                Turn::Release(release) => return Ok(release),
            }
        }
        Ok(self.at_once())
    }

    /// The task goes on in its turn.
    fn at_once(&self) -> Release {
        Release { next_at: Some(self.shared.now()), attempts: self.attempts }
    }

    /// Whether urgent work may wait for the identity that this less urgent task holds; or, of urgent work
    /// whose first blow has just landed, whether other first blows wait for its place.
    fn yields(&self) -> bool {
        if self.task.lane == Lane::Compromise {
            return self.first_blow && self.shared.urgency.is_crowded();
        }
        self.shared.urgency.is_in_the_way(&self.task.id)
    }

    async fn round(&mut self) -> Result<Turn, Stop> {
        let observed = match self.look().await? {
            Ok(observed) => observed,
            Err(failure) => return Ok(self.failed(None, &failure)),
        };
        self.learn(&observed).await?;
        let policy = self.policy(&observed).await?;
        let decision = self.decide(&observed, &policy);
        self.tell_accepted(&decision);
        let strikes = matches!(&decision, Decision::Act(action, _) if action.disables());
        Presence::set_proving(self.task.accepted_at.is_some() && !strikes);
        if let Some(accepted) = self.accepted.take() {
            if matches!(&decision, Decision::Act(action, _) if action.site() == accepted) {
                // Accepted, and not seen yet, or undone by somebody at once: not again without a pause.
                return Ok(self.again_after(self.shared.config.retries.soon));
            }
            if self.task.record.told_block.is_none() {
                self.attempts = 0;
            }
        }
        let situation = self.situation(&observed, &policy);
        // What was proven before the zone began to observe stays proven.
        let proven = matches!(self.task.state, TaskState::Done { .. })
            && !matches!(decision, Decision::Act(..));
        let only_looks = self.task.mode == Mode::Observe && !proven;
        if only_looks && !matches!(decision, Decision::Blocked(_)) {
            let actions = self.shared.decider.plan(self.task.desired, &situation);
            return Ok(Turn::Release(self.observed(actions)));
        }
        match decision {
            Decision::Act(action, reason) => {
                self.act(action, reason, policy.rotation.is_thorough()).await
            }
            Decision::Wait(until, reason) => {
                Ok(Turn::Release(self.waiting(until - observed.at, &reason)))
            }
            Decision::Done(verification) if self.reach_is_known() => {
                let ways = decide::ways(&situation);
                match self.newest_roles_are_closed().await? {
                    Some(next) => Ok(next),
                    None => Ok(Turn::Release(self.done(verification, &ways, &observed))),
                }
            }
            Decision::Done(_) if self.is_listed() => {
                Ok(self.look_up_reach().await?.map_or(Turn::Again, Turn::Release))
            }
            Decision::Done(_) => {
                let reason = Reason("waiting for every account to be listed once".to_owned());
                Ok(Turn::Release(self.waiting(LISTING, &reason)))
            }
            Decision::Blocked(reason) => Ok(Turn::Release(self.nothing_left(&reason))),
        }
    }

    /// The end of the first pass is told once, whichever claim sees it.
    fn tell_accepted(&mut self, decision: &Decision) {
        let disabling = matches!(decision, Decision::Act(action, _) if action.disables());
        let over = self.task.accepted_at.is_some() && !disabling;
        if over && !self.task.record.accepted_told {
            self.task.record.accepted_told = true;
            self.shared.observer.on(&EngineEvent::Accepted { task: &self.task });
        }
    }

    async fn look(&mut self) -> Result<Result<Observed, Failure>, Stop> {
        let look = Look {
            target: self.task.target.clone(),
            // Undoing reads back the denies of the case that it undoes.
            case: self.task.undoes.clone().unwrap_or_else(|| self.task.case.clone()),
            assumable: self.task.assumable.clone(),
            exposed_since: self.task.noticed_at,
            known: self.known.clone(),
            old_key: self.task.record.rotation.old_key().map(str::to_owned),
            secret: self.look_at_secret(),
            lane: self.task.lane,
        };
        let shared = Arc::clone(&self.shared);
        giving_way(&shared, &mut self.lease, look.lane, shared.provider.observe(&look)).await
    }

    fn look_at_secret(&self) -> SecretLook {
        if !matches!(self.task.target, Target::Secret { .. }) {
            return SecretLook::default();
        }
        let terms = self.shared.zones().policy(&self.task, Holds::default()).rotation;
        looking::at_secret(self.task.desired, &terms, &self.task.record.rotation)
    }

    async fn policy(&self, observed: &Observed) -> Result<Policy, LedgerError> {
        let heeds_others = match self.task.desired {
            Desired::Reinstated | Desired::Rotated => true,
            Desired::Revoked => matches!(self.task.target, Target::Secret { .. }),
            Desired::Deleted => false,
        };
        let holds = if heeds_others {
            self.shared.ledger.holds(&self.task).await?
        } else {
            Holds::default()
        };
        let mut policy = self.shared.zones().policy(&self.task, holds);
        if let (Some(user), View::Secret(view)) = (self.task.target.key_user(), &observed.view)
            && view.user_keys().len() > 1
        {
            policy.rotation.dead_keys = self.shared.ledger.dead_keys(user).await?;
        }
        Ok(policy)
    }

    fn decide(&mut self, observed: &Observed, policy: &Policy) -> Decision {
        let decider = Arc::clone(&self.shared.decider);
        decider.look(&mut self.task.record, &self.task.target, observed, policy);
        let situation = self.situation(observed, policy);
        let decision = decider.decide(self.task.desired, &situation, observed.at);
        let found = decide::findings(self.task.desired, &situation);
        let at = self.shared.now();
        for finding in found {
            if self.task.record.told.insert(finding.clone()) {
                self.telling.finding(&self.task, at, finding);
            }
        }
        let reason = match &decision {
            Decision::Act(_, reason) | Decision::Wait(_, reason) => reason.to_string(),
            Decision::Done(verification) => verification.as_str().to_owned(),
            Decision::Blocked(reason) => reason.to_string(),
        };
        self.shared.observer.on(&EngineEvent::Decided {
            task: &self.task,
            decision: decision.kind(),
            reason: &reason,
        });
        decision
    }

    fn situation<'a>(&'a self, observed: &'a Observed, policy: &'a Policy) -> Situation<'a> {
        Situation { target: &self.task.target, observed, record: &self.task.record, policy }
    }

    async fn act(&mut self, action: Action, reason: Reason, thorough: bool) -> Result<Turn, Stop> {
        // To try what was proven dead once more is no drift.
        if matches!(self.task.state, TaskState::Done { .. }) && action.changes_provider() {
            return Ok(Turn::Release(self.reopened(&reason.0)));
        }
        if self.touches_protected(&action) {
            return Ok(self.refuse(&action, &BlockReason::Protected));
        }
        if action.changes_provider() {
            self.shared.roles.forget(&self.task.id);
            self.intend(&action, reason).await?;
        }
        let shared = Arc::clone(&self.shared);
        let call = issuing::act(&shared, &self.task, &action, thorough);
        let ended = giving_way(&shared, &mut self.lease, self.task.lane, call).await;
        if matches!(ended, Err(Stop::InTheWay)) {
            self.task.record.not_sent(&action);
        }
        match ended? {
            Ok(applied) => {
                self.applied(action, applied);
                Ok(Turn::Again)
            }
            Err(failure) => Ok(self.failed(Some(&action), &failure)),
        }
    }

    /// The net under planning, the guard and `decide`: whoever thinks so, we never touch ourselves or a
    /// break-glass identity.
    fn touches_protected(&self, action: &Action) -> bool {
        let protected = self.shared.protected();
        action.changes_provider()
            && action.touches().iter().any(|lock| match lock.splitn(3, '/').collect::<Vec<_>>()[..]
            {
                // A secret is nobody; the user whose key it holds is named beside it.
                ["secret", ..] => false,
                [kind, account, name] => {
                    protected.has(&format!("arn:aws:iam::{account}:{kind}/{name}"))
                }
                _ => true,
            })
    }

    /// Stores what is about to be called, with what it may change and the outcome of the last call.
    async fn intend(&mut self, action: &Action, reason: Reason) -> Result<(), Stop> {
        self.task.record.changes.extend(action.change());
        let intent = Happening::Intent { action: action.clone(), reason: reason.0 };
        self.telling.task(&self.task, self.shared.now(), intent);
        self.store(None).await
    }

    fn applied(&mut self, action: Action, applied: Applied) {
        let now = self.shared.now();
        if let Action::Secret { what: SecretAction::Retire { version, .. }, .. } = &action
            && matches!(applied.probe, Some(ProbeAnswer::Accepted { .. }))
        {
            self.task.record.was_held(version);
        }
        let happened = if let (Action::Probe { key_id, .. }, Some(answer)) =
            (&action, applied.probe.clone())
        {
            self.task.record.probed(key_id, &answer, applied.at);
            Happening::Probed { key_id: key_id.clone(), answer, request_id: applied.request_id }
        } else if let (
            Action::Secret { what: SecretAction::Try { version, .. }, .. },
            Some(answer),
        ) = (&action, applied.probe)
        {
            self.task.record.tried(version, &answer, applied.at);
            let (version, request_id) = (version.clone(), applied.request_id);
            Happening::Tried { version, answer, request_id }
        } else {
            match (&action, applied.stragglers_until) {
                (
                    Action::Secret { what: SecretAction::EndSessions { version }, .. },
                    Some(until),
                ) => self.task.record.sessions_ended(version, applied.at, until),
                // On the way, by the login itself: nobody could end them afterwards.
                (Action::Secret { what: SecretAction::Retire { version, .. }, .. }, Some(_)) => {
                    self.task.record.carried_out(&action, applied.at);
                    self.task.record.rotation.ended.insert(version.clone());
                }
                _ => self.task.record.carried_out(&action, applied.at),
            }
            self.task.state = TaskState::Open;
            self.accepted = Some(action.site());
            // What is put again once the credential is dead is no blow any more.
            if action.disables() && self.task.record.dead_at.is_none() {
                self.first_blow |= self.task.accepted_at.is_none();
                self.task.accepted_at = Some(now);
            }
            if action.disables() || self.task.desired == Desired::Reinstated {
                self.task.record.accepted_at = Some(applied.at);
            }
            Happening::Applied { action, request_id: applied.request_id }
        };
        self.telling.task(&self.task, now, happened);
    }

    /// Stores a step; while the ledger fails, as often as the lease has room for.
    async fn store(&mut self, release: Option<Release>) -> Result<(), Stop> {
        let telling = std::mem::take(&mut self.telling);
        let wrote = !telling.messages.is_empty();
        let mut task = self.task.clone();
        // What is refused for minutes is tried again by the next claim.
        task.record.refused.retain(|site, _| !self.later.contains_key(site));
        let step = Step {
            task,
            journal: telling.journal,
            messages: telling.messages,
            follow_ups: std::mem::take(&mut self.follow_ups),
            release,
        };
        let mut failures = 0;
        let closed = loop {
            match self.shared.ledger.step(&self.lease, self.shared.now(), step.clone()).await {
                Ok(closed) => break closed,
                Err(error @ LedgerError::Store { .. }) if has_room(&self.shared, &self.lease) => {
                    self.shared.ledger_failed("store a step", &error);
                    failures += 1;
                    let delay = self.shared.delay(self.shared.config.retries.ledger, failures);
                    self.shared.clock.sleep(delay.max(TimeDelta::milliseconds(1))).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if closed {
            self.shared.observer.on(&EngineEvent::CaseClosed { case: &self.task.case });
        }
        if closed || wrote {
            self.shared.urgency.written();
        }
        Ok(())
    }
}
