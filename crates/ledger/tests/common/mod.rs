//! Events, tasks and plans for the tests, and a ledger in a folder of its own.

#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::{
    Acceptance, Arrival, ClaimRequest, Claimed, ClaimedCase, Coordinates, Inbox, Ledger, NewTask,
    PlanCommit, Release, Step,
};
use severance_ledger::{OpenError, OpenOptions, SqliteLedger};
use severance_lifecycle::action::Change;
use severance_lifecycle::case::{Case, CaseState};
use severance_lifecycle::credential::{Target, UserRef};
use severance_lifecycle::event::{
    Cause, CompromiseNotice, ContractChange, ContractEnd, Event, Malformed, Payload,
    RotationRequest, Selector, SelectorTarget, Severity,
};
use severance_lifecycle::ids::{CaseId, EventKey, TaskId};
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::record::Record;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::task::{Binding, BlockReason, Lane, Mode, Task, TaskState, Verification};

/// A moment, so many seconds after noon.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_268_800 + seconds, 0).unwrap()
}

/// A ledger and the folder that it lives in.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub ledger: SqliteLedger,
}

impl Rig {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path().join("ledger.db")).await;
        Self { folder, ledger }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// The process dies without closing, and another starts.
    pub async fn crash(self) -> Self {
        let Self { folder, ledger } = self;
        drop(ledger);
        let ledger = open(folder.path().join("ledger.db")).await;
        Self { folder, ledger }
    }

    /// A copy of the files as they are now, opened: what a power cut would leave.
    pub async fn power_cut(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, folder.path().join(name)).unwrap();
            }
        }
        let ledger = open(folder.path().join("ledger.db")).await;
        Self { folder, ledger }
    }

    pub async fn accept(&self, arrivals: Vec<Arrival>) -> Vec<Acceptance> {
        self.ledger.accept(arrivals).await.unwrap()
    }

    /// Accepts an event and returns its case.
    pub async fn open_case(&self, event: Event, received: i64) -> CaseId {
        let offset = received * 1_000;
        match self.accept(vec![arrival(&event, offset, received)]).await.remove(0) {
            Acceptance::Accepted { case } => case,
            other => panic!("{other:?}"),
        }
    }

    pub async fn claim_cases(&self, now: i64) -> Vec<ClaimedCase> {
        self.ledger.claim_cases(&request(now)).await.unwrap()
    }

    pub async fn claim(&self, now: i64) -> Vec<Claimed> {
        self.ledger.claim(&request(now)).await.unwrap()
    }

    /// Claims the one case that is due and stores a plan with these users.
    pub async fn plan(&self, now: i64, users: &[&str]) -> Case {
        let claimed = self.claim_cases(now).await.remove(0);
        let tasks = users.iter().map(|user| due(task(&claimed.case, user), now)).collect();
        self.ledger.commit_plan(&claimed.lease, plan(CaseState::Open, tasks)).await.unwrap();
        claimed.case
    }

    /// Opens a case and plans it with these users.
    pub async fn planned(&self, event: Event, now: i64, users: &[&str]) -> Case {
        self.open_case(event, now).await;
        self.plan(now, users).await
    }

    /// Ends a claimed task as done.
    pub async fn finish(&self, claimed: Claimed, now: i64) -> bool {
        let step = step_to(claimed.task.clone(), done(), now);
        self.ledger.step(&claimed.lease, at(now), step).await.unwrap()
    }
}

/// Opens a ledger whose last process has just gone, waiting until it has let go of the file.
pub async fn open(path: PathBuf) -> SqliteLedger {
    for _ in 0..30_000 {
        match SqliteLedger::open(&path, OpenOptions::default()).await {
            Ok(ledger) => return ledger,
            Err(OpenError::InUse { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
    panic!("the ledger stays locked");
}

pub fn request(now: i64) -> ClaimRequest {
    ClaimRequest {
        now: at(now),
        until: at(now + 60),
        token: 7,
        least_urgent: Lane::Rest,
        limit: 100,
    }
}

pub fn notice(id: &str) -> Event {
    let selector =
        Selector { target: SelectorTarget::User("ann".into()), account: None, region: None };
    event(
        id,
        Payload::CompromiseNotice(CompromiseNotice {
            credentials: vec![selector],
            discovered_at: at(-10),
            severity: Severity::High,
            reporter: "soc".into(),
            reason: "found on a paste site".into(),
            ticket: None,
            evidence_url: None,
        }),
    )
}

pub fn end(id: &str, change: ContractChange, revision: u64) -> Event {
    event(
        id,
        Payload::ContractEnd(ContractEnd {
            contract: "c-1".into(),
            zone: "acme".into(),
            effective_at: at(-10),
            reason: "over".into(),
            ticket: None,
            change,
            revision,
        }),
    )
}

/// A contract end that takes effect later.
pub fn end_at(id: &str, effective: i64, revision: u64) -> Event {
    let mut event = end(id, ContractChange::Ended, revision);
    if let Payload::ContractEnd(end) = &mut event.payload {
        end.effective_at = at(effective);
    }
    event
}

/// A rotation of a secret, asked for now or for later.
pub fn rotation(id: &str, not_before: Option<i64>) -> Event {
    let selector =
        Selector { target: SelectorTarget::Secret("acme/api".into()), account: None, region: None };
    event(
        id,
        Payload::Rotation(RotationRequest {
            credentials: vec![selector],
            cause: Cause::OwnerChange,
            grace: Some(TimeDelta::minutes(5)),
            not_before: not_before.map(at),
            ticket: Some("CHG-1".into()),
        }),
    )
}

fn event(id: &str, payload: Payload) -> Event {
    let digest = format!("digest of {id}");
    Event { key: EventKey { source: "/soc".into(), id: id.into() }, time: None, payload, digest }
}

pub fn arrival(event: &Event, offset: i64, received: i64) -> Arrival {
    Arrival {
        coordinates: Coordinates {
            topic: "credential.events".into(),
            partition: 0,
            offset,
            timestamp: at(received),
        },
        key: Some(b"key".to_vec()),
        value: Some(serde_json::to_vec(event).unwrap()),
        headers: vec![("ce_id".into(), Some(event.key.id.clone().into_bytes()))],
        parsed: Ok(event.clone()),
        received_at: at(received),
    }
}

pub fn malformed(offset: i64, value: &[u8]) -> Arrival {
    let mut arrival = arrival(&notice("x"), offset, 0);
    arrival.value = Some(value.to_vec());
    arrival.headers = vec![("h".into(), None)];
    arrival.parsed = Err(Malformed::new("data.reporter", "is missing"));
    arrival
}

pub fn user(name: &str) -> UserRef {
    UserRef { account: "111122223333".into(), name: name.into(), id: format!("AIDA{name}") }
}

/// A secret that holds a key of a user.
pub fn secret_of(name: &str) -> Target {
    let secret = SecretRef {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        arn: format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"),
        name: name.into(),
    };
    Target::Secret { secret, issuer: Issuer::AccessKey { user: user(name) } }
}

pub fn change(name: &str) -> Change {
    Change::KeyDeactivated { user: user(name), key_id: format!("AKIA{name}") }
}

/// An open task about a user.
pub fn task(case: &Case, name: &str) -> Task {
    about(case, Target::User { user: user(name) }, Desired::Revoked)
}

pub fn about(case: &Case, target: Target, desired: Desired) -> Task {
    Task {
        id: TaskId::of(&case.id, &target.key(), desired.as_str()),
        case: case.id.clone(),
        desired,
        binding: Binding { zone: "acme".into(), contract: None, owner: None, tier: None },
        trigger: case.trigger,
        severity: case.severity,
        cause: case.cause,
        lane: Lane::of(case.trigger, desired),
        mode: Mode::Enforce,
        noticed_at: case.noticed_at,
        received_at: case.received_at,
        planned_at: case.received_at,
        deadline: case.noticed_at + TimeDelta::hours(1),
        assumable: Vec::new(),
        leaving: std::collections::BTreeSet::new(),
        credentials: 1,
        counts: true,
        grace: None,
        undoes: None,
        delete_after: None,
        state: TaskState::Open,
        record: Record::default(),
        accepted_at: None,
        ticket: None,
        verified_at: None,
        target,
    }
}

/// A selector that named nothing.
pub fn unresolved(case: &Case, name: &str) -> Task {
    let selector =
        Selector { target: SelectorTarget::User(name.into()), account: None, region: None };
    let mut task = about(case, Target::Unresolved { selector }, Desired::Revoked);
    task.state = TaskState::Blocked { reason: BlockReason::NotFound };
    task
}

pub fn due(task: Task, when: i64) -> NewTask {
    NewTask { task, next_at: at(when) }
}

pub fn plan(state: CaseState, tasks: Vec<NewTask>) -> PlanCommit {
    PlanCommit {
        state,
        tasks,
        in_portions: false,
        resolved: Vec::new(),
        journal: Vec::new(),
        messages: Vec::new(),
        again_at: None,
    }
}

pub fn done() -> TaskState {
    TaskState::Done { verification: Verification::Probed }
}

pub fn blocked() -> TaskState {
    TaskState::Blocked { reason: BlockReason::NoPlaceForDeny }
}

/// A step that brings a task to a state and gives the lease back for good.
pub fn step_to(mut task: Task, state: TaskState, now: i64) -> Step {
    let what = match &state {
        TaskState::Blocked { reason } => Happening::Blocked { reason: reason.clone() },
        TaskState::Done { verification } => Happening::Done { verification: *verification },
        _ => Happening::Waiting { until: at(now), reason: "because".into() },
    };
    let entry =
        JournalEntry { at: at(now), case: task.case.clone(), task: Some(task.id.clone()), what };
    task.state = state;
    Step {
        task,
        journal: vec![entry],
        messages: Vec::new(),
        follow_ups: Vec::new(),
        release: Some(Release { next_at: None, attempts: 0 }),
    }
}

/// The same, due again at a moment.
pub fn step_again(task: Task, state: TaskState, now: i64, again: i64) -> Step {
    let mut step = step_to(task, state, now);
    step.release = Some(Release { next_at: Some(at(again)), attempts: 1 });
    step
}
