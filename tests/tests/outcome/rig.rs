//! A worker's engine over a ledger on disk, with a clock that can be set.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use severance_engine::ports::{
    Acceptance, Arrival, CaseDetail, Clock, Coordinates, EngineEvent, Entropy, Inbox, Ledger,
    LedgerError, Message, Observer, PublishError, Publisher, Queries,
};
use severance_engine::{AnnouncingInbox, Engine, EngineConfig, Parts, Urgency};
use severance_ledger::{OpenError, OpenOptions, SqliteLedger};
use severance_lifecycle::event::{
    CompromiseNotice, Event, Payload, Selector, SelectorTarget, Severity,
};
use severance_lifecycle::ids::{CaseId, EventKey};
use severance_lifecycle::journal::Happening;
use severance_lifecycle::policy::Proof;
use severance_lifecycle::task::Mode;
use severance_lifecycle::zone::{ZoneSettings, Zones};
use severance_tests::clock::now;
use severance_tests::wait::until;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::iam::{Iam, KEY};

/// The machine's clock, set forward or back.
#[derive(Default)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn jump(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), SeqCst);
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        now() + TimeDelta::milliseconds(self.0.load(SeqCst))
    }

    async fn sleep(&self, duration: TimeDelta) {
        tokio::time::sleep(duration.to_std().unwrap_or_default()).await;
    }
}

/// Each number once.
#[derive(Default)]
struct Numbers(AtomicU64);

impl Entropy for Numbers {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, SeqCst)
    }
}

#[derive(Default)]
struct Sent(Mutex<Vec<Message>>);

#[async_trait]
impl Publisher for Sent {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        self.0.lock().unwrap().push(message.clone());
        Ok(())
    }
}

/// What went wrong.
#[derive(Default)]
struct Troubles {
    steps_refused: AtomicUsize,
}

impl Observer for Troubles {
    fn on(&self, event: &EngineEvent<'_>) {
        if matches!(event, EngineEvent::LedgerFailed { doing: "store a step", .. }) {
            self.steps_refused.fetch_add(1, SeqCst);
        }
    }
}

/// An engine; dropped, it is killed.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) struct Rig {
    folder: TempDir,
    ledger: Arc<SqliteLedger>,
    urgency: Arc<Urgency>,
    engine: Running,
    pub(crate) iam: Arc<Iam>,
    pub(crate) clock: Arc<SetClock>,
    entropy: Arc<Numbers>,
    sent: Arc<Sent>,
    troubles: Arc<Troubles>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(open(&folder).await);
        let mut rig = Self {
            folder,
            ledger,
            urgency: Urgency::new(),
            engine: Running(tokio::spawn(async {})),
            iam: Arc::new(Iam::new()),
            clock: Arc::default(),
            entropy: Arc::default(),
            sent: Arc::default(),
            troubles: Arc::default(),
        };
        rig.start();
        rig
    }

    fn start(&mut self) {
        self.urgency = Urgency::new();
        let parts = Parts {
            store: Arc::new(()),
            issuers: Arc::new(()),
            ledger: Arc::clone(&self.ledger) as Arc<dyn Ledger>,
            provider: Arc::clone(&self.iam) as _,
            publisher: Arc::clone(&self.sent) as _,
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
            observer: Arc::clone(&self.troubles) as _,
            urgency: Arc::clone(&self.urgency),
        };
        let poll = TimeDelta::milliseconds(200);
        let config = EngineConfig { poll, ..EngineConfig::default() };
        let engine = Engine::new(config, zones(), parts);
        self.engine = Running(tokio::spawn(async move {
            engine.run(CancellationToken::new()).await;
        }));
    }

    /// The process dies, and another starts on its ledger.
    pub(crate) async fn die_and_start_again(self) -> Self {
        let Self { folder, ledger, urgency, engine, iam, clock, entropy, sent, troubles } = self;
        drop((engine, ledger));
        let ledger = Arc::new(open(&folder).await);
        let engine = Running(tokio::spawn(async {}));
        let mut rig = Self { folder, ledger, urgency, engine, iam, clock, entropy, sent, troubles };
        rig.start();
        rig
    }

    /// A notice of the key arrives.
    pub(crate) async fn notice(&self) {
        let at = self.clock.now();
        let arrival = Arrival {
            coordinates: Coordinates {
                topic: "credential.compromise-notice".into(),
                partition: 0,
                offset: 0,
                timestamp: at,
            },
            key: None,
            value: None,
            headers: Vec::new(),
            parsed: Ok(event(at)),
            received_at: at,
        };
        let inbox = AnnouncingInbox::new(Arc::clone(&self.ledger), Arc::clone(&self.urgency));
        let accepted = inbox.accept(vec![arrival]).await.unwrap();
        assert_eq!(accepted, [Acceptance::Accepted { case: case_id() }]);
    }

    pub(crate) async fn case(&self) -> CaseDetail {
        self.ledger.case(&case_id()).await.unwrap()
    }

    /// The file may not grow, and what room is left in it is used up.
    pub(crate) async fn fill_the_disk(&self) {
        self.ledger.limit_pages(Some(1)).await.unwrap();
        for size in [2_000, 100, 1] {
            let reason = "x".repeat(size);
            let at = self.clock.now();
            let padding = || Happening::Waiting { until: at, reason: reason.clone() };
            while self.ledger.note(&case_id(), at, padding()).await.is_ok() {}
        }
        let full = self.ledger.note(&case_id(), self.clock.now(), Happening::Accepted).await;
        assert!(matches!(full, Err(LedgerError::Store { .. })), "{full:?}");
    }

    pub(crate) async fn make_room(&self) {
        self.ledger.limit_pages(None).await.unwrap();
    }

    pub(crate) async fn outbox_is_empty(&self) -> bool {
        self.ledger.outbox(self.clock.now(), 1).await.unwrap().is_empty()
    }

    /// How many messages of a type were published.
    pub(crate) fn published(&self, event_type: &str) -> usize {
        let typed = |message: &&Message| {
            message.headers.iter().any(|(name, value)| {
                name == "ce_type" && value.as_deref() == Some(event_type.as_bytes())
            })
        };
        self.sent.0.lock().unwrap().iter().filter(typed).count()
    }

    pub(crate) fn steps_refused(&self) -> usize {
        self.troubles.steps_refused.load(SeqCst)
    }
}

/// Opens a ledger, once the process that had it has let go.
async fn open(folder: &TempDir) -> SqliteLedger {
    let path = folder.path().join("ledger.db");
    until("the ledger is free", Duration::from_mins(1), async || {
        match SqliteLedger::open(&path, OpenOptions::default()).await {
            Ok(ledger) => Some(ledger),
            Err(OpenError::InUse { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

/// Everything is enforced, and proven in a moment.
fn zones() -> Zones {
    let proof = Proof {
        window: TimeDelta::milliseconds(200),
        interval: TimeDelta::milliseconds(100),
        ..Proof::default()
    };
    let default = ZoneSettings {
        mode: Mode::Enforce,
        proof,
        spread: TimeDelta::milliseconds(100),
        cutoff_margin: TimeDelta::milliseconds(100),
        ..ZoneSettings::default()
    };
    Zones { default, ..Zones::default() }
}

fn event(at: DateTime<Utc>) -> Event {
    let target = SelectorTarget::AccessKeyId(KEY.into());
    let notice = CompromiseNotice {
        credentials: vec![Selector { target, account: None, region: None }],
        discovered_at: at,
        severity: Severity::High,
        reporter: "soc".into(),
        reason: "found on a paste site".into(),
        ticket: None,
        evidence_url: None,
    };
    let key = EventKey { source: "/soc".into(), id: "leak".into() };
    Event { key, time: None, payload: Payload::CompromiseNotice(notice), digest: "d".into() }
}

fn case_id() -> CaseId {
    CaseId::of(&EventKey { source: "/soc".into(), id: "leak".into() })
}
