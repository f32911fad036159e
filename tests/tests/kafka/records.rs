//! Events to publish, and the means to.

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::Offset;
use serde_json::json;
use severance_kafka::{ContentMode, EventPublisher, Inbound, KafkaConfig, Outgoing};
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, ROTATION_TYPE};

use crate::broker::{PATIENCE, clock};

pub(crate) fn notice(id: &str) -> Outgoing {
    Outgoing {
        event_type: COMPROMISE_NOTICE_TYPE.into(),
        source: "/soc".into(),
        id: id.into(),
        time: Some("2026-01-01T00:00:00Z".into()),
        data: json!({"credentials": [{"user": id}], "discovered_at": "2026-01-01T00:00:00Z",
            "severity": "high", "reporter": "soc", "reason": "found on a paste site"}),
    }
}

pub(crate) fn contract_end(id: &str) -> Outgoing {
    Outgoing {
        event_type: CONTRACT_END_TYPE.into(),
        source: "/contracts".into(),
        id: id.into(),
        time: None,
        data: json!({"contract": id, "zone": "acme", "effective_at": "2026-01-01T00:00:00Z",
            "reason": "ended", "revision": 1}),
    }
}

pub(crate) fn rotation(id: &str) -> Outgoing {
    Outgoing {
        event_type: ROTATION_TYPE.into(),
        source: "/owners".into(),
        id: id.into(),
        time: None,
        data: json!({"credentials": [{"secret": id}], "cause": "owner-change", "grace": "PT2H"}),
    }
}

/// `0`, `1`, … as ids that sort by number.
pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{n:05}")).collect()
}

pub(crate) struct Publisher(pub(crate) EventPublisher);

impl Publisher {
    pub(crate) fn new(config: &KafkaConfig) -> Self {
        Self(EventPublisher::new(config, clock()).unwrap())
    }

    /// Publishes notices, each keyed by its id.
    pub(crate) async fn notices(&self, ids: &[String]) {
        let publish = ids.iter().map(|id| async move {
            let event = notice(id);
            let mode = ContentMode::Binary;
            self.0.publish(Inbound::CompromiseNotice, &event, mode, Some(id)).await.unwrap();
        });
        futures::future::join_all(publish).await;
    }

    pub(crate) async fn contract_ends(&self, ids: &[String]) {
        let publish = ids.iter().map(|id| async move {
            let event = contract_end(id);
            let mode = ContentMode::Structured;
            self.0.publish(Inbound::ContractEnd, &event, mode, Some(id)).await.unwrap();
        });
        futures::future::join_all(publish).await;
    }

    pub(crate) async fn rotations(&self, ids: &[String]) {
        let publish = ids.iter().map(|id| async move {
            let event = rotation(id);
            let mode = ContentMode::Structured;
            self.0.publish(Inbound::Rotation, &event, mode, Some(id)).await.unwrap();
        });
        futures::future::join_all(publish).await;
    }
}

/// What the group has committed of a partition.
pub(crate) fn committed(config: &KafkaConfig, inbound: Inbound, partition: i32) -> Option<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", config.group_of(inbound))
        .create()
        .unwrap();
    let topic = config.topics.inbound(inbound);
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let list = consumer.committed_offsets(list, PATIENCE).unwrap();
    match list.find_partition(topic, partition).unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
