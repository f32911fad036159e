//! The one place that says which Kafka the tests use, and what it can do.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use severance_engine::ports::Clock;
use severance_kafka::KafkaConfig;
use severance_sandbox::kafka::{CLIENT_PROPERTIES, KafkaOptions, MockKafka};

use crate::clock::RealClock;

/// What a test needs that not every broker can do. The table of who can:
///
/// | need | sandbox | a broker named by `SEVERANCE_TEST_KAFKA` |
/// | --- | --- | --- |
/// | `Faults` | yes | no: a broker is not told to fail from outside |
/// | `Forgetting` | yes, beyond 5 MiB a partition | no: its retention works in minutes |
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Brokers are stopped, slowed down, or answer with errors.
    Faults,
    /// The oldest records are forgotten at once.
    Forgetting,
}

impl Need {
    fn why_not(self) -> &'static str {
        match self {
            Self::Faults => "a broker is not told to fail from outside",
            Self::Forgetting => "its retention works in minutes",
        }
    }
}

/// A Kafka with topics of its own.
pub(crate) struct Kafka {
    pub(crate) config: KafkaConfig,
    mock: Option<MockKafka>,
}

impl Kafka {
    /// A Kafka for one test, with this many partitions per inbound topic; `None`, with a line that says
    /// why, where the broker cannot do what the test needs.
    pub(crate) async fn for_test(partitions: u16, needs: &[Need]) -> Option<Self> {
        match std::env::var("SEVERANCE_TEST_KAFKA") {
            Ok(bootstrap) => {
                if let Some(need) = needs.first() {
                    eprintln!("skipped at {bootstrap}, which lacks {need:?}: {}", need.why_not());
                    return None;
                }
                Some(Self::given(bootstrap, partitions).await)
            }
            Err(_) => Some(Self::sandbox(partitions)),
        }
    }

    fn sandbox(partitions: u16) -> Self {
        let mut config = config();
        for (name, value) in CLIENT_PROPERTIES {
            config.properties.0.insert((*name).into(), (*value).into());
        }
        let topics = config.topics.all();
        let topics = topics.map(|(_, name)| (name.to_owned(), partitions)).to_vec();
        let mock = MockKafka::start(&KafkaOptions { topics, ..KafkaOptions::default() }).unwrap();
        config.brokers = mock.bootstrap().into();
        Self { config, mock: Some(mock) }
    }

    /// Topics and groups get names of their own, so that tests do not meet on one broker.
    async fn given(bootstrap: String, partitions: u16) -> Self {
        let mut config = config();
        config.brokers = bootstrap;
        let unique = tempfile::Builder::new().prefix("severance-test-").tempdir().unwrap();
        let unique = unique.path().file_name().unwrap().to_str().unwrap().to_owned();
        config.group = unique.clone();
        let names = &mut config.topics;
        for name in [
            &mut names.contract_end,
            &mut names.compromise_notice,
            &mut names.rotation,
            &mut names.outcome,
            &mut names.escalation,
            &mut names.dead_letter,
        ] {
            *name = format!("{unique}.{name}");
        }
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
        let topics = config.topics.all().map(|(_, name)| {
            NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(1))
        });
        for created in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
            created.unwrap();
        }
        Self { config, mock: None }
    }

    /// The sandbox's Kafka, for tests that asked for something only it can do.
    pub(crate) fn mock(&self) -> &MockKafka {
        self.mock.as_ref().expect("the test named no need, but uses one")
    }
}

/// Quick to notice and to come back, as a test wants it.
fn config() -> KafkaConfig {
    let mut config = KafkaConfig::default();
    config.intake.yield_seconds = 60;
    config.intake.health_seconds = 1;
    for (name, value) in [
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "100"),
        ("auto.commit.interval.ms", "100"),
        ("heartbeat.interval.ms", "200"),
        ("session.timeout.ms", "6000"),
        ("topic.metadata.refresh.interval.ms", "500"),
        ("retry.backoff.ms", "20"),
    ] {
        config.properties.0.insert(name.into(), value.into());
    }
    config
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock)
}

/// How long a test waits for something that must happen. Not a threshold: only a test that fails waits
/// for so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let held = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(held.await.is_ok(), "never happened: {what}");
}
