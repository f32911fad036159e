//! The configuration: one TOML file, with overrides from the environment.

mod document;
mod duration;
mod issuers;
mod overrides;
mod regions;
mod rotation;
mod secrets;
mod sections;
mod zones;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use severance_aws::AwsConfig;
use severance_kafka::{KafkaConfig, SetupError};
use severance_lifecycle::zone::Zones;
use thiserror::Error;

use document::Document;
pub(crate) use duration::Span;
pub(crate) use issuers::IssuersSection;
pub(crate) use sections::{
    EngineSection, HttpSection, InventorySection, LedgerSection, LogSection, ProtectedSection,
    RateSection,
};
pub(crate) use zones::ZonesSection;

/// The file that is read where none is named.
pub(crate) const DEFAULT_FILE: &str = "severance.toml";

/// The whole configuration, valid.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) kafka: KafkaConfig,
    pub(crate) aws: AwsConfig,
    pub(crate) inventory: InventorySection,
    pub(crate) engine: EngineSection,
    pub(crate) http: HttpSection,
    pub(crate) log: LogSection,
    pub(crate) protected: ProtectedSection,
    pub(crate) zones: ZonesSection,
    pub(crate) issuers: IssuersSection,
}

/// Why the configuration cannot be used. Every problem names its key, and the line or the environment
/// variable that it comes from.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}", problems.join("\n"))]
    Invalid { problems: Vec<String> },
}

/// Something wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, as `section.key`.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) why: String,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}

impl Config {
    /// Reads a file and the environment, and checks everything that can be checked without asking
    /// anyone.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text, &overrides::from_environment())
    }

    /// Reads a text; `name` is what errors call it.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        overrides: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let invalid = |problem| ConfigError::Invalid { problems: vec![problem] };
        let document = Document::parse(name, text, overrides).map_err(invalid)?;
        let mut config: Self = document.read().map_err(invalid)?;
        regions::fill_in(&mut config.aws);
        let problems: Vec<_> =
            config.problems().iter().map(|problem| document.locate(problem)).collect();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { problems }) }
    }

    /// Settings by zone.
    pub(crate) fn zones(&self) -> Zones {
        self.zones.zones()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.engine.problems(self.aws.timeouts.operation);
        problems.extend(self.log.problems());
        problems.extend(self.inventory.problems());
        problems.extend(self.http.problems());
        problems.extend(self.protected.problems());
        problems.extend(self.zones.problems());
        problems.extend(self.issuers.problems(&self.aws));
        problems.extend(self.aws.problems().iter().map(|text| aws_problem(text)));
        problems.extend(regions::problems(&self.aws, self.zones.most_endpoints()));
        if let Err(refused) = self.kafka.validate() {
            problems.push(kafka_problem(refused));
        }
        problems
    }
}

/// The adapter says `aws.accounts[0].id is not twelve digits`: the key, then what is wrong.
fn aws_problem(text: &str) -> Problem {
    let (key, why) = text.split_once([' ', ':']).unwrap_or(("aws", text));
    Problem::new(key.trim_end_matches(':'), why.trim())
}

fn kafka_problem(refused: SetupError) -> Problem {
    match refused {
        SetupError::Setting { setting, why } => Problem::new(format!("kafka.{setting}"), why),
        SetupError::Property { name, why } => Problem::new(format!("kafka.properties.{name}"), why),
        other => Problem::new("kafka", severance_telemetry::Chain(&other).to_string()),
    }
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
