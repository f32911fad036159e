//! An embedded Kafka: librdkafka's mock cluster on a TCP port that any client can use.
//!
//! It speaks Kafka's own protocol: producers (idempotent ones too), consumer groups with rebalances and
//! commits, headers, tombstones, compression. It keeps everything in memory and at most 5 MiB a
//! partition, of which it forgets the oldest silently; a topic that is asked for comes into being. It has
//! no admin calls, no transactions that abort, no authentication. Brokers can be stopped and started,
//! slowed down, and made to answer with errors.

mod faults;
mod forward;
mod mock;
mod native;

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

pub use faults::{KafkaFault, KafkaRequest};
use forward::Forwarder;
use mock::Command;

/// Properties that a consumer should have with this Kafka. When the members of a group change, it waits
/// for nearly the session timeout before it hands out partitions again, so a worker that is started
/// again waits for as long; and it answers a fetch that finds nothing only after the whole wait. Real
/// brokers do neither, and refuse so short a session timeout.
pub const CLIENT_PROPERTIES: &[(&str, &str)] =
    &[("session.timeout.ms", "1500"), ("heartbeat.interval.ms", "300"), ("fetch.wait.max.ms", "5")];

/// How the embedded Kafka is set up.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// A port to listen on; `None`: any free ones, on loopback.
    pub port: Option<u16>,
    /// Which address the port is on.
    pub listen: IpAddr,
    /// What clients are told to connect to, where that is not the address listened on (a container's
    /// name). Needs a port.
    pub advertised_host: Option<String>,
    /// How many brokers. With a port: one.
    pub brokers: u16,
    /// The topics that are there from the start, with their partitions.
    pub topics: Vec<(String, u16)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            port: None,
            listen: IpAddr::from([127, 0, 0, 1]),
            advertised_host: None,
            brokers: 1,
            topics: Vec::new(),
        }
    }
}

/// Why the embedded Kafka does not do what it was asked for.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// The port cannot be listened on.
    #[error("the sandbox's Kafka cannot listen on {address}")]
    Port {
        /// The address.
        address: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The mock cluster refused.
    #[error("the sandbox's Kafka cannot {doing}: {why}")]
    Refused {
        /// What it was asked to do.
        doing: &'static str,
        /// What the library says.
        why: String,
    },
    /// Its thread has ended.
    #[error("the sandbox's Kafka has ended")]
    Ended,
}

/// The running embedded Kafka; dropping it ends it.
pub struct MockKafka {
    bootstrap: String,
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    forwarder: Option<Forwarder>,
}

impl MockKafka {
    /// Starts it. Ready when this returns.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn start(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let (commands, inbox) = channel();
        let (started, on_started) = channel();
        let brokers = if options.port.is_some() { 1 } else { options.brokers.max(1) };
        // The cluster can be neither sent nor shared: it lives and dies on its own thread.
        let thread = std::thread::Builder::new()
            .name("sandbox-kafka".into())
            .spawn(move || mock::run(brokers, &started, &inbox))
            .map_err(|error| refused("start a thread", &error))?;
        let address = answer(&on_started)??;
        let mut kafka =
            Self { bootstrap: address.clone(), commands, thread: Some(thread), forwarder: None };
        if let Some(port) = options.port {
            kafka.forward(options, port, &address)?;
        }
        for (topic, partitions) in &options.topics {
            kafka.create_topic(topic, *partitions)?;
        }
        Ok(kafka)
    }

    /// The mock listens on a port of the system's choice only, so a chosen port is forwarded to it, and
    /// is what the broker tells clients to connect to.
    fn forward(&mut self, options: &KafkaOptions, port: u16, to: &str) -> Result<(), KafkaError> {
        let forwarder = Forwarder::start(options.listen, port, to)?;
        let port = forwarder.port();
        let host = match &options.advertised_host {
            Some(host) => host.clone(),
            None if options.listen.is_unspecified() => "127.0.0.1".to_owned(),
            None => options.listen.to_string(),
        };
        self.bootstrap = format!("{host}:{port}");
        self.ask(|reply| Command::Advertise { host, port, reply })?;
        self.forwarder = Some(forwarder);
        Ok(())
    }

    /// `host:port` of the brokers, separated by commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic; one that is there is left as it is.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn create_topic(&self, name: &str, partitions: u16) -> Result<(), KafkaError> {
        let name = name.to_owned();
        self.ask(|reply| Command::CreateTopic { name, partitions, reply })
    }

    /// Stops a broker (numbered from 1; `None`: all): connections are cut and refused.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn stop_broker(&self, broker: Option<u16>) -> Result<(), KafkaError> {
        self.ask(|reply| Command::Power { broker, up: false, reply })
    }

    /// Starts a broker again; what it kept is still there.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn start_broker(&self, broker: Option<u16>) -> Result<(), KafkaError> {
        self.ask(|reply| Command::Power { broker, up: true, reply })
    }

    /// Delays every answer of a broker (`None`: of all) from now on.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn slow_broker(&self, broker: Option<u16>, delay: Duration) -> Result<(), KafkaError> {
        self.ask(|reply| Command::Slow { broker, delay, reply })
    }

    /// Answers the next `times` requests of a kind with a fault.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn inject(
        &self,
        request: KafkaRequest,
        fault: KafkaFault,
        times: usize,
    ) -> Result<(), KafkaError> {
        self.ask(|reply| Command::Inject { request, fault, times, reply })
    }

    /// Takes back what [`inject`](Self::inject) has left.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn heal(&self, request: KafkaRequest) -> Result<(), KafkaError> {
        self.ask(|reply| Command::Heal { request, reply })
    }

    /// Moves a partition to another leader (`None`: to none).
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn move_leader(
        &self,
        topic: &str,
        partition: u16,
        broker: Option<u16>,
    ) -> Result<(), KafkaError> {
        let topic = topic.to_owned();
        self.ask(|reply| Command::MoveLeader { topic, partition, broker, reply })
    }

    /// Moves a consumer group to another coordinator.
    ///
    /// # Errors
    /// [`KafkaError`]
    pub fn move_coordinator(&self, group: &str, broker: u16) -> Result<(), KafkaError> {
        let group = group.to_owned();
        self.ask(|reply| Command::MoveCoordinator { group, broker, reply })
    }

    fn ask(
        &self,
        command: impl FnOnce(Sender<Result<(), KafkaError>>) -> Command,
    ) -> Result<(), KafkaError> {
        let (reply, on_reply) = channel();
        self.commands.send(command(reply)).map_err(|_| KafkaError::Ended)?;
        answer(&on_reply)?
    }
}

impl Drop for MockKafka {
    fn drop(&mut self) {
        drop(self.forwarder.take());
        let _ = self.commands.send(Command::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer<T>(on_reply: &Receiver<T>) -> Result<T, KafkaError> {
    on_reply.recv().map_err(|_| KafkaError::Ended)
}

fn refused(doing: &'static str, why: &dyn std::fmt::Display) -> KafkaError {
    KafkaError::Refused { doing, why: why.to_string() }
}
