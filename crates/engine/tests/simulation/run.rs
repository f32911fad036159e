//! One run: processes that start, die and start again over one store and one world.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use severance_engine::ports::{
    Arrival, Clock, Coordinates, Inbox, Issuers, Ledger, Message, PublishError, Publisher,
    SecretStore,
};
use severance_engine::{
    AdmissionConfig, AnnouncingInbox, Engine, EngineConfig, Gate, Parts, Urgency,
};
use severance_lifecycle::event::{
    Attributes, COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, Malformed, ROTATION_TYPE, parse,
};
use tokio_util::sync::CancellationToken;

use crate::bug::{Bug, Faulty};
use crate::chance::Chance;
use crate::check;
use crate::clock::{epoch, pause};
use crate::coverage::{COMMITS, Coverage, cells};
use crate::ledger::SimLedger;
use crate::provider::SimProvider;
use crate::sim::{Process, Sim};
use crate::{keys_of_others, mishaps, others, rotations, scenario, sharing};

/// What became of a run.
pub struct Outcome {
    pub seed: u64,
    pub coverage: Coverage,
    pub violations: Vec<String>,
}

struct SimPublisher {
    sim: Arc<Sim>,
    process: Process,
}

#[async_trait]
impl Publisher for SimPublisher {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        pause(2).await;
        self.sim.living(self.process).await;
        if self.sim.chance.happens(200) && self.sim.clock.provider() < self.sim.faults_until {
            let source = Box::new(std::io::Error::other("broker down"));
            return Err(PublishError::Failed { topic: "outcome".into(), source });
        }
        // What takes its place is told by its digest.
        let announced = String::from_utf8_lossy(message.value.as_deref().unwrap_or_default());
        let one_in_fifty = announced.bytes().map(u64::from).sum::<u64>().is_multiple_of(50);
        if one_in_fifty && !announced.contains("too large for the broker") {
            return Err(PublishError::TooLarge { bytes: 2_000_000 });
        }
        self.sim.store.lock().unwrap().published.push(message.clone());
        Ok(())
    }
}

/// Runs a seed to its end.
pub fn run(seed: u64, bug: Option<Bug>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let cells = cells();
        let aim = cells[usize::try_from(seed).unwrap() % cells.len()];
        let commit = COMMITS[usize::try_from(seed / 2).unwrap() % COMMITS.len()];
        let side = if seed.is_multiple_of(2) { "before" } else { "after" };
        let sim = Arc::new(Sim::new(seed, bug, Some(aim), (commit, side)));
        let undoing =
            ["reactivate-key", "reactivate", "restore-trust", "allow-readers", "restore-secret"];
        let undo = undoing.contains(&aim.0) || sim.chance.happens(3_000);
        scenario::populate(&sim, aim);
        let publications = scenario::publications(&sim, undo, aim);
        let published = publications.len();
        let world = [
            tokio::spawn(scenario::publish(Arc::clone(&sim), publications)),
            tokio::spawn(others::attack(Arc::clone(&sim))),
            tokio::spawn(others::others(Arc::clone(&sim))),
            tokio::spawn(others::clock_setter(Arc::clone(&sim))),
            tokio::spawn(others::late_comer(Arc::clone(&sim))),
            tokio::spawn(others::person(Arc::clone(&sim))),
            tokio::spawn(rotations::makes_room(Arc::clone(&sim))),
            tokio::spawn(keys_of_others::make(Arc::clone(&sim))),
            tokio::spawn(sharing::others(Arc::clone(&sim))),
            tokio::spawn(mishaps::happen(Arc::clone(&sim))),
        ];
        let second = sim.chance.happens(3_000);
        let first = process_for_ever(Arc::clone(&sim), 0, true);
        let other = async {
            if second {
                process_for_ever(Arc::clone(&sim), 1, false).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = settled(&sim, published) => {}
            () = first => {}
            () = other => {}
        }
        world.iter().for_each(tokio::task::JoinHandle::abort);
        check::at_the_end(&sim);
        let coverage = sim.coverage.lock().unwrap().clone();
        let violations = sim.violations.lock().unwrap().clone();
        Outcome { seed, coverage, violations }
    })
}

/// Returns when nothing is left to do, or when it should long have been done.
async fn settled(sim: &Sim, published: usize) {
    // With a bug in it, it may never settle: what was broken by then is enough.
    let rounds = if sim.bug.is_some() { 300 } else { 1_200 };
    for _ in 0..rounds {
        pause(20 * 60_000).await;
        if sim.bug.is_some() && !sim.violations.lock().unwrap().is_empty() {
            return;
        }
        let all = sim.topic.lock().unwrap().records.len() == published;
        let quiet = sim.clock.provider() > epoch() + TimeDelta::hours(2);
        if all && quiet && sim.store.lock().unwrap().is_settled(sim.clock.now()) {
            return;
        }
    }
}

/// A process, and the next one after it died.
async fn process_for_ever(sim: Arc<Sim>, slot: u64, consumes: bool) {
    for life in 0.. {
        let process = slot * 1_000 + life;
        tokio::select! {
            biased;
            () = sim.death(process) => sim.note("a process died and was started again"),
            () = process_once(Arc::clone(&sim), process, consumes) => return,
        }
        pause(sim.chance.between(100, 3_000)).await;
    }
}

async fn process_once(sim: Arc<Sim>, process: Process, consumes: bool) {
    let (engine, inbox) = process_of(&sim, process, config(&sim));
    tokio::select! {
        biased;
        _ = engine.run(CancellationToken::new()) => {}
        () = consume(&sim, &inbox, process), if consumes => {}
        () = woken(&sim, &engine) => {}
    }
}

/// What a person does wakes the engine, as the local API does.
async fn woken(sim: &Sim, engine: &Engine) {
    loop {
        sim.released.notified().await;
        engine.wake();
    }
}

pub fn config(sim: &Sim) -> EngineConfig {
    EngineConfig {
        tasks: 8,
        plans: 4,
        portion: 1,
        poll: TimeDelta::hours(2),
        inventory_every: TimeDelta::hours(12),
        blast_radius: sim.blast_radius,
        ..EngineConfig::default()
    }
}

/// A process's engine, and the way in for its events.
pub fn process_of(
    sim: &Arc<Sim>,
    process: Process,
    config: EngineConfig,
) -> (Engine, AnnouncingInbox<SimLedger>) {
    let urgency = Urgency::new();
    let clock = Arc::new(ClockOf(Arc::clone(sim)));
    let gate = Gate::new(AdmissionConfig::default(), Arc::clone(&urgency), clock.clone());
    let ledger = Arc::new(SimLedger { sim: Arc::clone(sim), process });
    let inbox = AnnouncingInbox::new(Arc::clone(&ledger), Arc::clone(&urgency));
    let provider = Arc::new(SimProvider { sim: Arc::clone(sim), gate, process });
    let parts = Parts {
        store: Arc::clone(&provider) as Arc<dyn SecretStore>,
        issuers: Arc::clone(&provider) as Arc<dyn Issuers>,
        ledger: ledger as Arc<dyn Ledger>,
        provider,
        publisher: Arc::new(SimPublisher { sim: Arc::clone(sim), process }),
        clock,
        entropy: Arc::new(Chance::new(sim.seed ^ (process + 1))),
        observer: Arc::new(()),
        urgency,
    };
    let decider = Arc::new(Faulty(sim.bug));
    let zones = scenario::zones(sim.cuts_shared);
    (Engine::with_decider(config, zones, parts, decider), inbox)
}

struct ClockOf(Arc<Sim>);

#[async_trait]
impl Clock for ClockOf {
    fn now(&self) -> crate::world::Time {
        self.0.clock.now()
    }

    async fn sleep(&self, duration: TimeDelta) {
        self.0.clock.sleep(duration).await;
    }
}

/// The intake: a batch goes to the ledger, and only then is its offset stored.
pub async fn consume(sim: &Sim, inbox: &dyn Inbox, process: Process) {
    let early = sim.has(Bug::OffsetStoredEarly);
    let mut position = sim.topic.lock().unwrap().offset;
    loop {
        let batch: Vec<Vec<u8>> =
            sim.topic.lock().unwrap().records.iter().skip(position).take(3).cloned().collect();
        if batch.is_empty() {
            sim.arrived.notified().await;
            continue;
        }
        sim.living(process).await;
        let end = position + batch.len();
        if early {
            sim.topic.lock().unwrap().offset = end;
        }
        let arrivals =
            batch.iter().enumerate().map(|(n, record)| arrival(sim, position + n, record));
        if inbox.accept(arrivals.collect()).await.is_ok() {
            position = end;
            sim.topic.lock().unwrap().offset = end;
        } else {
            pause(200).await;
        }
    }
}

fn arrival(sim: &Sim, offset: usize, record: &[u8]) -> Arrival {
    let now = sim.clock.now();
    Arrival {
        coordinates: Coordinates {
            topic: "in".into(),
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            timestamp: now,
        },
        key: None,
        value: Some(record.to_vec()),
        headers: Vec::new(),
        parsed: read(record),
        received_at: now,
    }
}

fn read(record: &[u8]) -> Result<severance_lifecycle::event::Event, Malformed> {
    let event: serde_json::Value =
        serde_json::from_slice(record).map_err(|_| Malformed::new("data", "not JSON"))?;
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let attributes = Attributes {
        specversion: text("specversion"),
        event_type: text("type"),
        source: text("source"),
        id: text("id"),
        time: None,
    };
    let data = event["data"].to_string();
    let known = [COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, ROTATION_TYPE];
    parse(&attributes, data.as_bytes(), &known)
}
