//! From our configuration to librdkafka's.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::SetupError;
use crate::config::{Inbound, KafkaConfig, Security};
use crate::secret::is_secret_property;

/// Set for every consumer. Kafka's own defaults where nothing is said.
const CONSUMER: &[(&str, &str)] = &[
    // Offsets are stored after the ledger has the records, and committed in the background.
    ("enable.auto.offset.store", "false"),
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "1000"),
    // What was published before the first start is not skipped.
    ("auto.offset.reset", "earliest"),
    // Partitions that stay keep flowing during a rebalance.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A worker that died gives its partitions to others after this long (Kafka's default is 45 s).
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    // Tells when a topic has been caught up with.
    ("enable.partition.eof", "true"),
    // A fetch is answered as soon as there is a byte.
    ("fetch.min.bytes", "1"),
    // Where the queue was full, fetch again soon; by default that takes a second.
    ("fetch.queue.backoff.ms", "10"),
    // Small memory: what is fetched ahead, per topic.
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.max.bytes", "4194304"),
    ("check.crcs", "true"),
];

/// How long a fetch may wait for a first byte. A broker answers when one comes, but not all of Kafka's
/// kin do: on the urgent topic that must not cost a notice more than this.
const fn fetch_wait(inbound: Inbound) -> &'static str {
    match inbound {
        Inbound::CompromiseNotice => "20",
        Inbound::ContractEnd | Inbound::Rotation => "250",
    }
}

/// Set for every producer.
const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "zstd"),
    // The outbox tries again: a message is not held by the client for long.
    ("delivery.timeout.ms", "30000"),
    ("queue.buffering.max.kbytes", "8192"),
    ("linger.ms", "2"),
];

/// Set for both; people may override each.
const COMMON: &[(&str, &str)] = &[
    // After a broker is back, come back soon.
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("topic.metadata.refresh.interval.ms", "60000"),
    ("log.connection.close", "false"),
];

/// A consumer of an inbound topic.
pub(crate) fn consumer(config: &KafkaConfig, inbound: Inbound) -> Result<ClientConfig, SetupError> {
    let own = [("fetch.wait.max.ms", fetch_wait(inbound))];
    let mut client = base(config, &[CONSUMER, &own].concat())?;
    client.set("group.id", config.group_of(inbound));
    Ok(client)
}

/// A producer.
pub(crate) fn producer(config: &KafkaConfig) -> Result<ClientConfig, SetupError> {
    base(config, PRODUCER)
}

/// Neither: for looking at the cluster.
pub(crate) fn observer(config: &KafkaConfig) -> Result<ClientConfig, SetupError> {
    base(config, &[])
}

/// Lets the library check every property, without a connection.
pub(crate) fn check(config: &KafkaConfig) -> Result<(), SetupError> {
    for client in [consumer(config, Inbound::CompromiseNotice)?, producer(config)?] {
        client.create_native_config().map_err(|error| refused("the configuration", error))?;
    }
    Ok(())
}

/// An error of the library as one of ours, without the value of a secret.
pub(crate) fn refused(purpose: &str, error: KafkaError) -> SetupError {
    match error {
        KafkaError::ClientConfig(_, _, name, _) if is_secret_property(&name) => {
            SetupError::Property { name, why: "not known, or not a value that it can have".into() }
        }
        KafkaError::ClientConfig(_, why, name, _) => SetupError::Property { name, why },
        source => SetupError::Client { purpose: purpose.to_owned(), source },
    }
}

fn base(config: &KafkaConfig, role: &[(&str, &str)]) -> Result<ClientConfig, SetupError> {
    let mut client = ClientConfig::new();
    client.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in COMMON.iter().chain(role) {
        client.set(*name, *value);
    }
    client.set("bootstrap.servers", config.brokers.trim());
    client.set("client.id", &config.client_id);
    security(&mut client, &config.security)?;
    for (name, value) in &config.properties.0 {
        client.set(name, value);
    }
    Ok(client)
}

fn security(client: &mut ClientConfig, security: &Security) -> Result<(), SetupError> {
    let files = [
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            client.set(name, file.to_string_lossy());
        }
    }
    let texts = [
        ("security.protocol", security.protocol.as_deref()),
        ("ssl.key.password", security.key_password.as_ref().map(crate::Secret::expose)),
        ("sasl.mechanism", security.mechanism.as_deref()),
        ("sasl.username", security.username.as_deref()),
        ("sasl.password", security.password.as_ref().map(crate::Secret::expose)),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            client.set(name, text);
        }
    }
    if let Some(file) = &security.password_file {
        let password = std::fs::read_to_string(file).map_err(|error| SetupError::Setting {
            setting: "security.password_file".into(),
            why: format!("cannot be read from {}: {error}", file.display()),
        })?;
        client.set("sasl.password", password.trim_end_matches(['\r', '\n']));
    }
    Ok(())
}
