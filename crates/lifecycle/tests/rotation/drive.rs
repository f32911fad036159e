//! Drives one rotation as the engine does, over a tape of what goes wrong; the rest of the tape is quiet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::decide::{Decision, Situation, Way, decide, findings, look, plan, ways};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::policy::{Desired, Holds, Policy, RoleSessions, ServiceRoles};
use severance_lifecycle::record::Record;
use severance_lifecycle::rotation::{RevokeOrder, RotationTerms, series};
use severance_lifecycle::secret::Issuer;
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::secret_view::{CURRENT, PENDING, PREVIOUS};
use severance_lifecycle::task::{BlockReason, Verification};

use crate::policy::strict;
use crate::world::{Key, Refused, Value, Version, World, at};

/// More looks than any tape can ask for.
const MOST_LOOKS: u32 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    Routine,
    ReplaceThenRevoke,
    RevokeFirst,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done(Verification),
    Blocked(BlockReason),
}

/// What goes wrong, call by call; nothing once it has run out, so that a shorter tape is a quieter one.
pub(crate) struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }

    fn next(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    fn is_over(&self) -> bool {
        self.0.len() == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    CrashBefore,
    CrashAfter,
    LostBefore,
    LostAfter,
    /// For a call that comes to two: the first was applied.
    CrashBetween,
    /// Given up, and applied long after.
    Late,
    Other,
}

pub(crate) struct Drive {
    pub(crate) world: World,
    pub(crate) record: Record,
    pub(crate) exposed_at: DateTime<Utc>,
    pub(crate) task: String,
    /// What other cases want meanwhile.
    pub(crate) holds: Holds,
    /// When what is exposed waits no longer for what follows it.
    pub(crate) replace_by: Option<DateTime<Utc>>,
    /// Who may not read it any more.
    pub(crate) leaving: BTreeSet<String>,
    terms: Terms,
    tape: Tape,
    stored: Record,
    faults: u32,
    /// Others' credentials, as they were left by them.
    others: BTreeMap<String, bool>,
    old: Version,
    /// Others interfered with what is handed out: it may not be ours any more.
    pub(crate) meddled: bool,
}

impl Drive {
    pub(crate) fn new(world: World, terms: Terms, tape: Tape) -> Self {
        let old = world.current().clone();
        let others = world.keys.iter().filter(|key| !key.ours);
        let others = others.map(|key| (key.id.clone(), key.active)).collect();
        Self {
            record: Record::default(),
            stored: Record::default(),
            exposed_at: world.now,
            task: "t-0123456789abcdef".into(),
            holds: Holds::default(),
            replace_by: None,
            leaving: BTreeSet::new(),
            terms,
            tape,
            faults: 0,
            others,
            old,
            meddled: false,
            world,
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let exposed = self.terms != Terms::Routine;
        let order = match self.terms {
            Terms::RevokeFirst => RevokeOrder::RevokeFirst,
            _ => RevokeOrder::ReplaceThenRevoke,
        };
        Policy {
            task: TaskId::from(self.task.as_str()),
            holds: self.holds,
            assumable_roles: RoleSessions::default(),
            shared_roles: RoleSessions::default(),
            service_roles: ServiceRoles::default(),
            rotation: RotationTerms {
                order,
                replace_by: self.replace_by,
                exposed_at: exposed.then_some(self.exposed_at),
                leaving: self.leaving.clone(),
                ..RotationTerms::default()
            },
            ..strict()
        }
    }

    pub(crate) fn run(&mut self) -> End {
        let mut lag = || TimeDelta::seconds(i64::from(self.tape.next() % 4));
        self.world.lag = (lag(), lag());
        self.steps(|_| false).expect("it ends")
    }

    pub(crate) fn run_until(&mut self, reached: impl Fn(&Self) -> bool) {
        let end = self.steps(reached);
        assert!(end.is_none(), "it ended before: {end:?}");
    }

    /// At most so many looks; whether it ended before.
    pub(crate) fn run_for(&mut self, looks: u32) -> bool {
        let left = std::cell::Cell::new(looks);
        let is_over = |_: &Self| left.replace(left.get().saturating_sub(1)) == 0;
        self.steps(is_over).is_some()
    }

    fn steps(&mut self, reached: impl Fn(&Self) -> bool) -> Option<End> {
        let mut looked_once_more = false;
        for _ in 0..MOST_LOOKS {
            if reached(self) {
                return None;
            }
            let decision = self.decide();
            match decision {
                Decision::Act(action, _) => self.act(&action),
                Decision::Wait(until, reason) => {
                    assert!(until > self.world.now, "no wait: {reason}");
                    // Others do not wait.
                    if self.tape.next() >= 200 {
                        self.others_act();
                    }
                    self.world.pass(until);
                }
                Decision::Done(verification) if self.tape.is_over() && looked_once_more => {
                    return Some(End::Done(verification));
                }
                // What is done is looked at once more, for what somebody may have put back.
                Decision::Done(_) if self.tape.is_over() => {
                    looked_once_more = true;
                    self.world.pass(self.world.now + TimeDelta::minutes(15));
                }
                Decision::Blocked(reason) if self.tape.is_over() => {
                    return Some(End::Blocked(reason));
                }
                Decision::Done(_) | Decision::Blocked(_) => {
                    // Looked at again later, and tried again, as the engine does.
                    self.record.refused.clear();
                    if self.tape.next() >= 200 {
                        self.others_act();
                    }
                    self.world.pass(self.world.now + TimeDelta::minutes(5));
                }
            }
            self.check();
        }
        panic!("no end in sight: {:?}", self.record.rotation)
    }

    pub(crate) fn plan(&self) -> Vec<Action> {
        let (target, policy) = (self.target(), self.policy());
        let observed = self.world.observe(&self.record);
        let (observed, record) = (&observed, &self.record);
        let situation = Situation { target: &target, observed, record, policy: &policy };
        plan(Desired::Rotated, &situation)
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let (target, policy) = (self.target(), self.policy());
        let observed = self.world.observe(&self.record);
        let (observed, record) = (&observed, &self.record);
        let situation = Situation { target: &target, observed, record, policy: &policy };
        findings(Desired::Rotated, &situation)
    }

    pub(crate) fn ways(&self) -> Vec<Way> {
        let (target, policy) = (self.target(), self.policy());
        let observed = self.world.observe(&self.record);
        let (observed, record) = (&observed, &self.record);
        ways(&Situation { target: &target, observed, record, policy: &policy })
    }

    fn target(&self) -> Target {
        Target::Secret { secret: self.world.secret.clone(), issuer: self.world.issuer.clone() }
    }

    fn decide(&mut self) -> Decision {
        let (target, policy) = (self.target(), self.policy());
        let observed = self.world.observe(&self.record);
        look(&mut self.record, &target, &observed, &policy);
        let situation = Situation {
            target: &target,
            observed: &observed,
            record: &self.record,
            policy: &policy,
        };
        let decision = decide(Desired::Rotated, &situation, observed.at);
        let again = decide(Desired::Rotated, &situation, observed.at);
        assert_eq!(decision, again, "the same for the same");
        decision
    }

    fn act(&mut self, action: &Action) {
        if action.changes_provider() {
            self.record.changes.extend(action.change());
            self.stored = self.record.clone();
        }
        let rotation = &self.record.rotation;
        self.world.told = rotation.new.as_ref().or(rotation.set.keys().next()).cloned();
        let fault = match self.tape.next() {
            0..120 => Fault::None,
            120..135 => Fault::CrashBefore,
            135..150 => Fault::CrashAfter,
            150..165 => Fault::LostBefore,
            165..185 => Fault::LostAfter,
            185..193 => Fault::CrashBetween,
            193..200 => Fault::Late,
            _ => Fault::Other,
        };
        // A call that lands late is lost, and then spoils what took its place.
        self.faults += match fault {
            Fault::None => 0,
            Fault::Late => 2,
            _ => 1,
        };
        match fault {
            Fault::CrashBefore | Fault::LostBefore => {}
            Fault::CrashBetween => self.half(action),
            Fault::Late => self.late(action),
            Fault::Other => {
                self.others_act();
                self.carry_out(action);
            }
            Fault::None => self.carry_out(action),
            Fault::CrashAfter | Fault::LostAfter => {
                let _ = self.world.act(action);
            }
        }
        if matches!(fault, Fault::CrashBefore | Fault::CrashAfter | Fault::CrashBetween) {
            self.record = self.stored.clone();
        }
        self.world.pass(self.world.now + TimeDelta::seconds(1));
    }

    fn carry_out(&mut self, action: &Action) {
        let now = self.world.now;
        match (self.world.act(action), action) {
            (Ok(Some(answer)), Action::Probe { key_id, .. }) => {
                self.record.probed(key_id, &answer, now);
            }
            (Ok(Some(answer)), Action::Secret { what: SecretAction::Try { version, .. }, .. }) => {
                self.record.tried(version, &answer, now);
            }
            (Ok(_), action) => self.record.carried_out(action, now),
            (Err(Refused::NotLetIn), action) => {
                let reason = BlockReason::Refused {
                    operation: action.name().into(),
                    code: "28P01".into(),
                    message: String::new(),
                };
                self.record.refused.insert(action.site(), reason);
            }
            (Err(_), _) => {}
        }
    }

    /// Of two calls only the first: a key whose secret half is lost.
    fn half(&mut self, action: &Action) {
        match action {
            Action::Secret { what: SecretAction::MakeKey { .. }, .. } => {
                let _ = self.world.make_key(true);
            }
            other => {
                let _ = self.world.act(other);
            }
        }
    }

    /// The key is made at once, and stored when nobody waits for it any more.
    fn late(&mut self, action: &Action) {
        if let Action::Secret { what: SecretAction::MakeKey { version, .. }, .. } = action
            && let Ok(key) = self.world.make_key(true)
        {
            let lands = TimeDelta::seconds(10 + i64::from(self.tape.next() % 30));
            let lands = self.world.now + lands;
            self.world.late = Some((lands, version.clone(), key));
        }
    }

    fn others_act(&mut self) {
        let choice = self.tape.next() % 6;
        // One login has one password: for a moment only the pending version holds it.
        let single = matches!(self.world.issuer, Issuer::Database { alternating: false });
        self.meddled |= choice == 0 || (single && matches!(choice, 1 | 2));
        match choice {
            0 => {
                let id = self.world.versions
                    [usize::from(self.tape.next()) % self.world.versions.len()]
                .id
                .clone();
                self.world.move_label(CURRENT, &id);
            }
            1 => {
                let (number, created) = (self.world.number(), self.world.now);
                let id = format!("OTHER{number:04}-90ab-cdef-fedc-ba9876543210");
                let mut stored = self.world.current().clone();
                (stored.id, stored.created) = (id.clone(), created);
                stored.stages.clear();
                self.world.versions.push(stored);
                self.world.move_label(PENDING, &id);
            }
            2 => {
                for version in &mut self.world.versions {
                    version.stages.remove(PENDING);
                }
            }
            3 => {
                if matches!(self.world.issuer, Issuer::AccessKey { .. })
                    && let Ok(id) = self.world.make_key(false)
                {
                    self.others.insert(id, true);
                }
            }
            4 => {
                // The old login is given its old password back.
                match &self.old.value {
                    Value::Login { user, password }
                        if self.world.issuer == (Issuer::Database { alternating: true }) =>
                    {
                        self.world.logins.insert(user.clone(), Some(*password));
                    }
                    Value::Opaque(number) if self.world.issuer.is_told() => {
                        self.world.accepted.insert(*number);
                    }
                    _ => {}
                }
            }
            _ => {
                // Somebody takes his own key away again: there is room.
                self.world.keys.retain(|key: &Key| key.ours);
                self.others.clear();
            }
        }
    }

    /// What must hold at every moment.
    fn check(&self) {
        for (id, active) in &self.others {
            let key = self.world.keys.iter().find(|key| key.id == *id);
            assert_eq!(key.map(|key| key.active), Some(*active), "{id} is somebody else's");
        }
        assert!(
            self.world.keys_made <= 1 + self.faults,
            "{} keys for {} faults",
            self.world.keys_made,
            self.faults
        );
        let overdue = self.replace_by.is_some_and(|by| self.world.now >= by);
        if self.meddled || self.terms == Terms::RevokeFirst || overdue {
            return;
        }
        let accepted = |version: &Version| self.world.accepts(&version.value);
        let current = self.world.current();
        let pending = self.world.labelled(PENDING);
        let single = matches!(self.world.issuer, Issuer::Database { alternating: false });
        assert!(
            accepted(current) || pending.is_some_and(accepted),
            "neither what is handed out nor what comes works: {:?}",
            self.world.versions
        );
        assert!(single || accepted(current), "what is handed out is refused");
    }

    /// What must hold once it is done.
    pub(crate) fn check_end(&self) {
        let world = &self.world;
        let current = world.current();
        assert_ne!(current.id, self.old.id, "nothing new is handed out");
        // What a rotation function or somebody else stored is taken at its word: it cannot be tried.
        let untold = self.meddled && world.issuer == Issuer::Managed;
        assert!(untold || world.accepts(&current.value), "what is handed out is refused");
        assert!(!world.accepts(&self.old.value), "the old credential works: {:?}", self.old);
        let held =
            |key: &&Key| world.versions.iter().any(|it| it.value == Value::Key(key.id.clone()));
        let orphan = world.keys.iter().find(|key| key.ours && key.active && !held(key));
        assert!(orphan.is_none(), "an orphan is left: {orphan:?}");
        if self.terms != Terms::Routine {
            let burnt = world.versions.iter().filter(|it| it.created < self.exposed_at);
            for version in burnt {
                let labelled = [PREVIOUS, PENDING].iter().any(|it| version.stages.contains(*it));
                assert!(!labelled, "still handed out by its label: {version:?}");
                assert!(!world.accepts(&version.value), "exposed, and works: {version:?}");
            }
        }
        assert!(self.record.probes.get(&series(&current.id)).is_none_or(|it| it.refusals == 0));
    }

    /// What must hold where a person is asked: the old credential works as long as nothing replaced it,
    /// unless it is exposed.
    pub(crate) fn check_blocked(&self) {
        if self.terms == Terms::Routine && !self.meddled {
            assert!(self.world.accepts(&self.world.current().value));
        }
        assert!(self.world.now >= at(0));
    }
}
