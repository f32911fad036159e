//! From a configuration to a running worker.

use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;
use severance_aws::{AwsProvider, Ports};
use severance_console::{Console, Token};
use severance_engine::ports::{Admission, Clock, Entropy, Inbox, Observer, Queries};
use severance_engine::{
    AdmissionConfig, AnnouncingInbox, Engine, EngineConfig, Gate, Growth, Rate, Retries, Urgency,
};
use severance_issuers::KnownIssuers;
use severance_kafka::KafkaPublisher;
use severance_ledger::{OpenOptions, SqliteLedger};
use severance_telemetry::{BuildInfo, Metrics, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::readiness::Alive;
use super::scrape::Scraper;
use super::{Parts, Worker, token};
use crate::config::{Config, EngineSection, RateSection};
use crate::error::{Doing, Outcome};

/// What a worker takes from outside the configuration.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Credentials for AWS; AWS's default chain where there are none.
    pub(crate) credentials: Option<SharedCredentialsProvider>,
}

/// Builds a worker and starts it.
pub(crate) async fn start(config: &Config, around: Surroundings) -> Outcome<Worker> {
    let Surroundings { clock, entropy, credentials } = around;
    let metrics = Arc::new(Metrics::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    let observer: Arc<dyn Observer> = Arc::new(Telemetry::new(Arc::clone(&metrics)));
    let options = OpenOptions { tag_keys: config.inventory.tag_keys(), ..OpenOptions::default() };
    let ledger = SqliteLedger::open(&config.ledger.path, options).await;
    let ledger = Arc::new(ledger.doing("the worker cannot start")?);
    let token = token::obtain(&config.http.token_path(&config.ledger.path))?;

    let urgency = Urgency::new();
    let gate = Gate::new(admission(&config.engine), Arc::clone(&urgency), Arc::clone(&clock));
    let toward_aws = Ports {
        admission: gate as Arc<dyn Admission>,
        observer: Arc::clone(&observer),
        clock: Arc::clone(&clock),
    };
    let (provider, issuers) = outside(config, toward_aws, credentials).await?;
    let publisher = KafkaPublisher::new(&config.kafka, Arc::clone(&clock));
    let publisher = Arc::new(publisher.doing("the publisher cannot be set up")?);
    let engine = Engine::new(
        engine_config(config),
        config.zones(),
        severance_engine::Parts {
            ledger: Arc::<SqliteLedger>::clone(&ledger),
            store: Arc::<AwsProvider>::clone(&provider),
            provider,
            issuers,
            publisher,
            clock: Arc::clone(&clock),
            entropy,
            observer,
            urgency: Arc::clone(&urgency),
        },
    );

    let listener = TcpListener::bind(config.http.listen)
        .await
        .doing(format!("the console cannot listen on {}", config.http.listen))?;
    let address = listener.local_addr().doing("the console's address is unknown")?;
    let inbox: Arc<dyn Inbox> = Arc::new(AnnouncingInbox::new(Arc::clone(&ledger), urgency));
    let intake = severance_kafka::start(&config.kafka, &inbox, &clock)
        .doing("the intake cannot be started")?;
    let parts = Parts {
        queries: Arc::<SqliteLedger>::clone(&ledger) as Arc<dyn Queries>,
        intake: Arc::new(Mutex::new(Some(intake))),
        scheduler: Alive::default(),
        engine: engine.clone(),
    };
    let console = console(config, &parts, &metrics, &clock, &token, &engine);
    let (stop_console, stopped) = oneshot::channel();
    let stop_engine = CancellationToken::new();
    Ok(Worker {
        ledger,
        drain: config.engine.drain.std(),
        engine: spawn_engine(engine, stop_engine.clone(), &parts.scheduler),
        console: serve(listener, console, stopped),
        parts,
        address,
        stop_engine,
        stop_console,
    })
}

/// AWS, and issuers beyond it.
async fn outside(
    config: &Config,
    ports: Ports,
    credentials: Option<SharedCredentialsProvider>,
) -> Outcome<(Arc<AwsProvider>, Arc<KnownIssuers>)> {
    let toward_issuers = severance_issuers::Ports {
        admission: Arc::clone(&ports.admission),
        observer: Arc::clone(&ports.observer),
        clock: Arc::clone(&ports.clock),
    };
    let issuers = super::issuers::known(&config.issuers, toward_issuers)?;
    let provider = AwsProvider::with_credentials(&config.aws, ports, credentials).await;
    Ok((Arc::new(provider.doing("AWS cannot be set up")?), Arc::new(issuers)))
}

fn spawn_engine(engine: Engine, stop: CancellationToken, alive: &Alive) -> JoinHandle<bool> {
    let living = alive.begin();
    tokio::spawn(async move {
        let _living = living;
        engine.run(stop).await
    })
}

fn console(
    config: &Config,
    parts: &Parts,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
    token: &Token,
    engine: &Engine,
) -> Console {
    let waker = engine.clone();
    let scraper =
        Scraper { metrics: Arc::clone(metrics), parts: parts.clone(), clock: Arc::clone(clock) };
    Console {
        queries: Arc::clone(&parts.queries),
        readiness: Arc::new(parts.clone()),
        scrape: Arc::new(scraper),
        clock: Arc::clone(clock),
        token: token.clone(),
        hosts: config.http.hosts.clone(),
        changed: Arc::new(move || waker.wake()),
    }
}

fn serve(
    listener: TcpListener,
    console: Console,
    stopped: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        // A sender that is dropped means the same as one that sends.
        let stop = async {
            let _ = stopped.await;
        };
        if let Err(error) = severance_console::serve(listener, console, stop).await {
            tracing::error!(error = %severance_telemetry::Chain(&error), "no console any more");
        }
    })
}

fn engine_config(config: &Config) -> EngineConfig {
    let section = &config.engine;
    let defaults = Retries::default();
    let millis = |span: crate::config::Span| span.delta().num_milliseconds();
    EngineConfig {
        tasks: section.tasks,
        reserved: section.reserved_share,
        lease: section.lease.delta(),
        blast_radius: section.blast_radius,
        tag_keys: config.inventory.tag_keys(),
        break_glass: config.protected.break_glass.clone(),
        retries: Retries {
            blocked: Growth::millis(
                millis(section.retry_blocked),
                millis(section.retry_blocked_at_most),
            ),
            ..defaults
        },
        inventory_every: config.inventory.refresh.delta(),
        recheck_every: section.recheck.delta(),
        // The engine's own part of the drain: the intake has had its third.
        drain: section.drain.delta() / 2,
        ..EngineConfig::default()
    }
}

fn admission(section: &EngineSection) -> AdmissionConfig {
    let rate = |rate: &RateSection| Rate { per_second: rate.per_second, burst: rate.burst };
    AdmissionConfig {
        concurrency: section.concurrency,
        reserved: section.reserved_share,
        rate: rate(&section.rate),
        rates: section.rates.iter().map(|(id, own)| (id.as_str().into(), rate(own))).collect(),
    }
}
