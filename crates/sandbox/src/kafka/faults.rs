//! The faults that the embedded Kafka can be made to answer with.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kafka's own")]
pub enum KafkaRequest {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    SyncGroup,
    Heartbeat,
}

impl KafkaRequest {
    pub(super) fn key(self) -> RDKafkaApiKey {
        match self {
            Self::Produce => RDKafkaApiKey::Produce,
            Self::Fetch => RDKafkaApiKey::Fetch,
            Self::ListOffsets => RDKafkaApiKey::ListOffsets,
            Self::Metadata => RDKafkaApiKey::Metadata,
            Self::OffsetCommit => RDKafkaApiKey::OffsetCommit,
            Self::OffsetFetch => RDKafkaApiKey::OffsetFetch,
            Self::FindCoordinator => RDKafkaApiKey::FindCoordinator,
            Self::JoinGroup => RDKafkaApiKey::JoinGroup,
            Self::SyncGroup => RDKafkaApiKey::SyncGroup,
            Self::Heartbeat => RDKafkaApiKey::Heartbeat,
        }
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaFault {
    /// The connection is cut.
    Disconnect,
    /// The broker took too long inside.
    RequestTimedOut,
    /// The broker does not lead the partition.
    NotLeader,
    /// The broker does not coordinate the group.
    NotCoordinator,
    /// The coordinator is starting.
    CoordinatorLoading,
    /// The group is rebalancing.
    RebalanceInProgress,
    /// The member is not of the group any more.
    UnknownMember,
    /// The record is too large.
    TooLarge,
    /// Not allowed.
    NotAuthorized,
}

impl KafkaFault {
    pub(super) fn code(self) -> RDKafkaRespErr {
        match self {
            Self::Disconnect => RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
            Self::RequestTimedOut => RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Self::NotLeader => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Self::NotCoordinator => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Self::CoordinatorLoading => {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
            }
            Self::RebalanceInProgress => RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            Self::UnknownMember => RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            Self::TooLarge => RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            Self::NotAuthorized => RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        }
    }
}
