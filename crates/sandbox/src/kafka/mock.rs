//! The thread that the mock cluster lives on.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use super::faults::{KafkaFault, KafkaRequest};
use super::{KafkaError, native, refused};

type Reply = Sender<Result<(), KafkaError>>;

/// What the thread is asked to do.
pub(super) enum Command {
    CreateTopic { name: String, partitions: u16, reply: Reply },
    Power { broker: Option<u16>, up: bool, reply: Reply },
    Slow { broker: Option<u16>, delay: Duration, reply: Reply },
    Inject { request: KafkaRequest, fault: KafkaFault, times: usize, reply: Reply },
    Heal { request: KafkaRequest, reply: Reply },
    MoveLeader { topic: String, partition: u16, broker: Option<u16>, reply: Reply },
    MoveCoordinator { group: String, broker: u16, reply: Reply },
    Advertise { host: String, port: u16, reply: Reply },
    End,
}

/// The library's log lines belong into ours.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(facility, "sandbox Kafka: {line}");
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!(%error, "sandbox Kafka: {reason}");
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Runs a cluster until it is told to end; first tells its address.
pub(super) fn run(
    brokers: u16,
    started: &Sender<Result<String, KafkaError>>,
    commands: &Receiver<Command>,
) {
    // The cluster belongs to a client that is otherwise not used: this way its pointer can be had.
    let owner: Result<BaseProducer<Quiet>, _> = ClientConfig::new()
        .set("test.mock.num.brokers", brokers.to_string())
        .set_log_level(RDKafkaLogLevel::Warning)
        .create_with_context(Quiet);
    let owner = match owner {
        Ok(owner) => owner,
        Err(error) => {
            let _ = started.send(Err(refused("start", &error)));
            return;
        }
    };
    let Some(cluster) = owner.client().mock_cluster() else {
        let _ = started.send(Err(refused("start", &"the client has no mock cluster")));
        return;
    };
    native::form_groups_at_once(owner.client());
    let _ = started.send(Ok(cluster.bootstrap_servers()));
    loop {
        match commands.recv_timeout(Duration::from_secs(1)) {
            Ok(Command::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(command) => obey(command, &owner, &cluster),
            // Its log lines wait in a queue until somebody polls.
            Err(RecvTimeoutError::Timeout) => {
                owner.poll(Duration::ZERO);
            }
        }
    }
}

fn obey(command: Command, owner: &BaseProducer<Quiet>, cluster: &MockCluster<'_, Quiet>) {
    // The library's number for "all brokers" is -1.
    let id = |broker: Option<u16>| broker.map_or(-1, i32::from);
    let (doing, done, reply) = match command {
        Command::CreateTopic { name, partitions, reply } => {
            let done = match cluster.create_topic(&name, i32::from(partitions), 1) {
                Err(ClientError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
                other => other,
            };
            ("create a topic", done, reply)
        }
        Command::Power { broker, up: true, reply } => {
            ("start a broker", cluster.broker_up(id(broker)), reply)
        }
        Command::Power { broker, up: false, reply } => {
            ("stop a broker", cluster.broker_down(id(broker)), reply)
        }
        Command::Slow { broker, delay, reply } => {
            ("slow a broker", cluster.broker_round_trip_time(id(broker), delay), reply)
        }
        Command::Inject { request, fault, times, reply } => {
            cluster.request_errors(request.key(), &vec![fault.code(); times]);
            ("inject a fault", Ok(()), reply)
        }
        Command::Heal { request, reply } => {
            cluster.clear_request_errors(request.key());
            ("clear faults", Ok(()), reply)
        }
        Command::MoveLeader { topic, partition, broker, reply } => {
            let moved =
                cluster.partition_leader(&topic, i32::from(partition), broker.map(i32::from));
            ("move a leader", moved, reply)
        }
        Command::MoveCoordinator { group, broker, reply } => {
            let moved = cluster.coordinator(MockCoordinator::Group(group), i32::from(broker));
            ("move a coordinator", moved, reply)
        }
        Command::Advertise { host, port, reply } => {
            let done = native::advertise(owner.client(), 1, &host, port).map_err(ClientError::from);
            ("advertise an address", done, reply)
        }
        Command::End => return,
    };
    let _ = reply.send(done.map_err(|error| refused(doing, &error)));
}
