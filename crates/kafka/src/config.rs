//! The `[kafka]` part of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use severance_engine::ports::Topic;
use severance_lifecycle::event::{COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, ROTATION_TYPE};

use crate::SetupError;
use crate::oauth::TokenSource;
use crate::secret::{Secret, is_secret_property};

/// How Kafka is reached and used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Bootstrap addresses, `host:port`, separated by commas.
    pub brokers: String,
    /// Prefix of the consumer groups: each inbound topic has the group `<group>.<what it carries>`,
    /// for example `severance.compromise-notice`.
    pub group: String,
    /// Name of this client in the brokers' logs and quotas.
    pub client_id: String,
    /// The topics' names.
    pub topics: TopicNames,
    /// TLS and SASL.
    pub security: Security,
    /// Any librdkafka property by its name; wins over what Severance sets, but for the few that would
    /// break its promise, which are refused.
    pub properties: Properties,
    /// Batches, buffers and patience of the intake.
    pub intake: IntakeConfig,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".into(),
            group: "severance".into(),
            client_id: "severance".into(),
            topics: TopicNames::default(),
            security: Security::default(),
            properties: Properties::default(),
            intake: IntakeConfig::default(),
        }
    }
}

/// What an inbound topic carries. The order is the order of urgency: urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inbound {
    /// Compromise notices.
    CompromiseNotice,
    /// Contract ends.
    ContractEnd,
    /// Rotations.
    Rotation,
}

impl Inbound {
    /// All of them, urgent first.
    pub const ALL: [Self; 3] = [Self::CompromiseNotice, Self::ContractEnd, Self::Rotation];

    /// Its name, as in the group and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CompromiseNotice => "compromise-notice",
            Self::ContractEnd => "contract-end",
            Self::Rotation => "rotation",
        }
    }

    /// The CloudEvents types that it carries.
    pub fn event_types(self) -> &'static [&'static str] {
        match self {
            Self::CompromiseNotice => &[COMPROMISE_NOTICE_TYPE],
            Self::ContractEnd => &[CONTRACT_END_TYPE],
            Self::Rotation => &[ROTATION_TYPE],
        }
    }
}

/// The topics' names on the broker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicNames {
    /// Inbound: contract ends.
    pub contract_end: String,
    /// Inbound: compromise notices.
    pub compromise_notice: String,
    /// Inbound: rotations.
    pub rotation: String,
    /// Outbound: outcomes.
    pub outcome: String,
    /// Outbound: escalations.
    pub escalation: String,
    /// Outbound: dead letters.
    pub dead_letter: String,
}

impl Default for TopicNames {
    fn default() -> Self {
        Self {
            contract_end: "credential.contract-end".into(),
            compromise_notice: "credential.compromise-notice".into(),
            rotation: "credential.rotation".into(),
            outcome: "credential.outcome".into(),
            escalation: "credential.escalation".into(),
            dead_letter: "credential.dead-letter".into(),
        }
    }
}

impl TopicNames {
    /// The name of an inbound topic.
    pub fn inbound(&self, inbound: Inbound) -> &str {
        match inbound {
            Inbound::CompromiseNotice => &self.compromise_notice,
            Inbound::ContractEnd => &self.contract_end,
            Inbound::Rotation => &self.rotation,
        }
    }

    /// The name of an outbound topic.
    pub fn outbound(&self, topic: Topic) -> &str {
        match topic {
            Topic::Outcome => &self.outcome,
            Topic::Escalation => &self.escalation,
            Topic::DeadLetter => &self.dead_letter,
        }
    }

    /// Every name with its setting, inbound ones first.
    pub fn all(&self) -> [(&'static str, &str); 6] {
        [
            ("compromise_notice", &self.compromise_notice),
            ("contract_end", &self.contract_end),
            ("rotation", &self.rotation),
            ("outcome", &self.outcome),
            ("escalation", &self.escalation),
            ("dead_letter", &self.dead_letter),
        ]
    }
}

/// TLS and SASL, by the names people know; everything else goes through [`KafkaConfig::properties`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// `plaintext` (default), `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: Option<String>,
    /// PEM file of the authorities that the brokers' certificates are checked against; the system's
    /// where none is given.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our own certificate, for mutual TLS.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// What the key is encrypted with.
    pub key_password: Option<Secret>,
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.
    pub mechanism: Option<String>,
    /// User of PLAIN and SCRAM.
    pub username: Option<String>,
    /// Password of PLAIN and SCRAM.
    pub password: Option<Secret>,
    /// File with the password, read when the worker starts; a trailing line end is cut.
    pub password_file: Option<PathBuf>,
    /// For OAUTHBEARER: a file with the token, a JWT, read anew each time that one is asked for (a
    /// projected Kubernetes token, for example).
    pub token_file: Option<PathBuf>,
}

/// Batches, buffers and patience of the intake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntakeConfig {
    /// The most records that go to the ledger in one transaction.
    pub batch_records: usize,
    /// The most bytes of records that wait for the ledger, per topic. A batch ends before it would be
    /// larger (but has one record at least).
    pub buffer_bytes: usize,
    /// How long a batch waits, at most, while more urgent ones are on their way to the ledger: contract
    /// ends for compromise notices, rotations for both.
    pub yield_seconds: u32,
    /// How often lag is measured.
    pub health_seconds: u32,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            batch_records: 128,
            buffer_bytes: 4 * 1024 * 1024,
            yield_seconds: 10,
            health_seconds: 10,
        }
    }
}

/// librdkafka properties by name. Values may be written as strings, numbers or booleans.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, Scalar>")]
pub struct Properties(pub BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Flag(bool),
    Whole(i64),
    Decimal(f64),
}

impl From<BTreeMap<String, Scalar>> for Properties {
    fn from(map: BTreeMap<String, Scalar>) -> Self {
        let text = |value| match value {
            Scalar::Text(text) => text,
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Whole(number) => number.to_string(),
            Scalar::Decimal(number) => number.to_string(),
        };
        Self(map.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| {
                (name, if is_secret_property(name) { "(redacted)" } else { value.as_str() })
            }))
            .finish()
    }
}

/// Properties that Severance must set itself, and why.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "is kafka.brokers"),
    ("metadata.broker.list", "is kafka.brokers"),
    ("group.id", "is made of kafka.group"),
    (
        "enable.auto.offset.store",
        "must be off: an offset is stored after the ledger has the record",
    ),
    ("enable.auto.commit", "must be on: stored offsets are committed in the background"),
    ("auto.offset.reset", "must be earliest: anything else loses events"),
    ("enable.partition.eof", "must be on: it tells when a topic has been caught up with"),
    ("enable.idempotence", "must be on: messages keep their order and are not doubled by retries"),
    ("acks", "must be all"),
    ("request.required.acks", "must be all"),
];

/// librdkafka's names of our own settings.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("client.id", "client_id"),
    ("group.id", "group"),
    ("security.protocol", "security.protocol"),
    ("ssl.ca.location", "security.ca_file"),
    ("ssl.certificate.location", "security.certificate_file"),
    ("ssl.key.location", "security.key_file"),
    ("ssl.key.password", "security.key_password"),
    ("sasl.mechanism", "security.mechanism"),
    ("sasl.mechanisms", "security.mechanism"),
    ("sasl.username", "security.username"),
    ("sasl.password", "security.password"),
];

impl KafkaConfig {
    /// The consumer group of an inbound topic.
    pub fn group_of(&self, inbound: Inbound) -> String {
        format!("{}.{}", self.group, inbound.as_str())
    }

    /// Checks everything that can be checked without a connection: our settings, and each librdkafka
    /// property by name and value.
    ///
    /// # Errors
    /// [`SetupError::Setting`] or [`SetupError::Property`] with the name of what is wrong.
    pub fn validate(&self) -> Result<(), SetupError> {
        let setting = |setting: &str, why: &str| {
            Err(SetupError::Setting { setting: setting.to_owned(), why: why.to_owned() })
        };
        if self.brokers.trim().is_empty() {
            return setting("brokers", "is empty: give host:port, separated by commas");
        }
        if self.group.is_empty() {
            return setting("group", "is empty");
        }
        self.validate_topics()?;
        if self.intake.batch_records == 0 || self.intake.buffer_bytes == 0 {
            return setting("intake", "batch_records and buffer_bytes must be at least 1");
        }
        if self.security.password.is_some() && self.security.password_file.is_some() {
            return setting("security", "give password or password_file, not both");
        }
        if self.has_no_token() {
            return setting(
                "security.token_file",
                "is not set: OAUTHBEARER needs it (or the properties of librdkafka's own OIDC)",
            );
        }
        for (name, why) in RESERVED {
            if self.properties.0.contains_key(*name) {
                let (name, why) = ((*name).to_owned(), (*why).to_owned());
                return Err(SetupError::Property { name, why });
            }
        }
        crate::client::check(self).map_err(|refused| self.by_our_name(refused))
    }

    /// Whether the mechanism asks for tokens and nothing says where they come from.
    fn has_no_token(&self) -> bool {
        let property = |name: &str| self.properties.0.get(name).map(String::as_str);
        let mechanism = property("sasl.mechanisms")
            .or_else(|| property("sasl.mechanism"))
            .or(self.security.mechanism.as_deref());
        let asks = mechanism.is_some_and(|name| name.eq_ignore_ascii_case("OAUTHBEARER"));
        let oidc =
            property("sasl.oauthbearer.method").is_some_and(|m| m.eq_ignore_ascii_case("oidc"));
        asks && !oidc && matches!(TokenSource::of(self), TokenSource::None)
    }

    /// A property that was set by a setting of ours is refused by the setting's name.
    fn by_our_name(&self, refused: SetupError) -> SetupError {
        match refused {
            SetupError::Property { name, why } if !self.properties.0.contains_key(&name) => {
                match OURS.iter().find(|(property, _)| *property == name) {
                    Some((_, setting)) => {
                        SetupError::Setting { setting: (*setting).to_owned(), why }
                    }
                    None => SetupError::Property { name, why },
                }
            }
            other => other,
        }
    }

    fn validate_topics(&self) -> Result<(), SetupError> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (setting, name) in self.topics.all() {
            // Kafka: Topic.validate: 1 to 249 of letters, digits, `.`, `_` and `-`.
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let why = if name.is_empty() || name.len() > 249 || !name.chars().all(legal) {
                "not a topic name: 1 to 249 letters, digits, dots, underscores and dashes"
                    .to_owned()
            } else if let Some(other) = seen.insert(name, setting) {
                format!("the same name as topics.{other}")
            } else {
                continue;
            };
            return Err(SetupError::Setting { setting: format!("topics.{setting}"), why });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(property: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::default();
        config.properties.0.insert(property.into(), value.into());
        config
    }

    #[test]
    fn the_default_is_valid() {
        KafkaConfig::default().validate().unwrap();
    }

    #[test]
    fn an_unknown_property_and_a_wrong_value_are_refused_by_name() {
        for (name, value) in [("no.such.property", "1"), ("session.timeout.ms", "soon")] {
            let refused = with(name, value).validate().unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn properties_that_would_lose_events_are_refused() {
        for (name, value) in [("auto.offset.reset", "latest"), ("enable.auto.offset.store", "true")]
        {
            let refused = with(name, value).validate().unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("must be"), "{refused}");
        }
    }

    #[test]
    fn secrets_are_in_neither_debug_nor_errors() {
        let mut config = with("sasl.password", "hunter2");
        config.properties.0.insert("ssl.key.password".into(), "hunter2".into());
        config.properties.0.insert("sasl.oauthbearer.client.secret".into(), "hunter2".into());
        config.security.password = Some(Secret::new("hunter2"));
        config.security.key_password = Some(Secret::new("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
        let refused = with("sasl.no.such.password", "hunter2").validate().unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("hunter2"));
    }

    #[test]
    fn two_topics_may_not_share_a_name() {
        let mut config = KafkaConfig::default();
        config.topics.outcome = config.topics.contract_end.clone();
        assert!(config.validate().unwrap_err().to_string().contains("topics.outcome"));
    }
}
