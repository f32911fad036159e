//! `[issuers]`: who issues what secrets hold beyond AWS. Nothing is logged in to, and nobody is called, that
//! does not stand here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use severance_aws::AwsConfig;
use severance_issuers::database::{DatabaseSettings, Transport};
use severance_issuers::webhook::{Endpoint, KeySource, SigningKey, WebhookSettings};
use severance_issuers::{Administrator, Trust};
use severance_lifecycle::secret::SecretRef;

use super::{Problem, Span};

/// `[issuers]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IssuersSection {
    /// Database servers: without this section, none is logged in to.
    pub(crate) database: Option<DatabaseSection>,
    /// Owners' endpoints, by the name that secrets' tags have.
    pub(crate) webhooks: BTreeMap<String, WebhookSection>,
}

/// `[issuers.database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DatabaseSection {
    /// The authorities that servers' certificates come from; the system's where none is named.
    ca_file: Option<PathBuf>,
    /// No TLS at all: for a socket that nobody else can reach.
    plaintext: bool,
    /// For a whole login.
    connect_timeout: Span,
    /// For one statement.
    statement_timeout: Span,
    /// Who administers which server.
    administrators: Vec<AdministratorSection>,
}

/// `[[issuers.database.administrators]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdministratorSection {
    /// `host:port`, as secrets' values have them; port 5432 where none is named.
    server: String,
    /// The ARN of the secret that holds the administrator's login.
    secret: String,
}

/// `[issuers.webhooks.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSection {
    url: String,
    /// The file with the signing key.
    #[serde(default)]
    key_file: Option<PathBuf>,
    /// The environment variable with the signing key.
    #[serde(default)]
    key_env: Option<String>,
    /// The authorities that its certificate comes from; the system's where none is named.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default = "connect_timeout")]
    connect_timeout: Span,
    #[serde(default = "timeout")]
    timeout: Span,
    /// The field of a value that is a JSON object which a rotation changes.
    #[serde(default = "field")]
    pub(crate) field: String,
}

fn connect_timeout() -> Span {
    Span::seconds(5)
}

fn timeout() -> Span {
    Span::seconds(30)
}

fn field() -> String {
    "password".to_owned()
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            ca_file: None,
            plaintext: false,
            connect_timeout: Span::seconds(10),
            statement_timeout: Span::seconds(10),
            administrators: Vec::new(),
        }
    }
}

impl DatabaseSection {
    pub(crate) fn settings(&self) -> DatabaseSettings {
        let transport = if self.plaintext {
            Transport::Plaintext
        } else {
            Transport::Verified(trust(self.ca_file.as_ref()))
        };
        DatabaseSettings {
            transport,
            connect_timeout: self.connect_timeout.std(),
            statement_timeout: self.statement_timeout.std(),
        }
    }

    /// Checked before: what cannot be read is a problem.
    pub(crate) fn administrators(&self) -> Vec<Administrator> {
        self.administrators.iter().filter_map(AdministratorSection::read).collect()
    }
}

impl AdministratorSection {
    fn read(&self) -> Option<Administrator> {
        let (host, port) = server(&self.server)?;
        Some(Administrator { host, port, secret: secret(&self.secret)? })
    }
}

impl WebhookSection {
    pub(crate) fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            trust: trust(self.ca_file.as_ref()),
            connect_timeout: self.connect_timeout.std(),
            timeout: self.timeout.std(),
        }
    }

    /// Its address with its key; what is wrong, with the key's name, where there is none.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, (&'static str, String)> {
        let (name, source) = match (&self.key_file, &self.key_env) {
            (Some(path), None) => ("key_file", KeySource::File(path.clone())),
            (None, Some(name)) => ("key_env", KeySource::Environment(name.clone())),
            _ => return Err(("key_file", "name either key_file or key_env".to_owned())),
        };
        let told = |error: &(dyn std::error::Error + 'static)| {
            severance_telemetry::Chain(error).to_string()
        };
        let key = SigningKey::load(&source).map_err(|error| (name, told(&error)))?;
        Endpoint::new(&self.url, key).map_err(|error| ("url", told(&error)))
    }
}

impl IssuersSection {
    /// Keys of endpoints are read here, so that one that is missing is told at start.
    pub(super) fn problems(&self, aws: &AwsConfig) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |key: String, holds: bool, why: &str| {
            if !holds {
                problems.push(Problem::new(format!("issuers.{key}"), why));
            }
        };
        if let Some(database) = &self.database {
            let both = database.plaintext && database.ca_file.is_some();
            check("database.plaintext".into(), !both, "goes without TLS, and ca_file is for TLS");
            for (key, span) in [
                ("connect_timeout", database.connect_timeout),
                ("statement_timeout", database.statement_timeout),
            ] {
                check(format!("database.{key}"), !span.is_zero(), "must be longer than nothing");
            }
            let mut servers = BTreeSet::new();
            for (n, administrator) in database.administrators.iter().enumerate() {
                let key = |name| format!("database.administrators[{n}].{name}");
                let server = server(&administrator.server);
                check(key("server"), server.is_some(), "is not host:port");
                let is_new = server.is_none_or(|server| servers.insert(server));
                check(key("server"), is_new, "is there twice");
                let secret = secret(&administrator.secret);
                check(key("secret"), secret.is_some(), "is not the ARN of a secret");
                let known = secret.is_none_or(|secret| aws.account(&secret.account).is_some());
                check(key("secret"), known, "is in an account that is not configured");
            }
        }
        for (name, webhook) in &self.webhooks {
            if let Err((key, why)) = webhook.endpoint() {
                check(format!("webhooks.{name}.{key}"), false, &why);
            }
            for (key, span) in
                [("connect_timeout", webhook.connect_timeout), ("timeout", webhook.timeout)]
            {
                let key = format!("webhooks.{name}.{key}");
                check(key, !span.is_zero(), "must be longer than nothing");
            }
            check(format!("webhooks.{name}.field"), !webhook.field.is_empty(), "is empty");
        }
        problems
    }
}

fn trust(ca_file: Option<&PathBuf>) -> Trust {
    ca_file.map_or(Trust::System, |path| Trust::CaFile(path.clone()))
}

fn server(text: &str) -> Option<(String, u16)> {
    const POSTGRESQL: u16 = 5432;
    let (host, port) = match text.rsplit_once(':') {
        // More than one colon is an IPv6 address, which stands without a port.
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()?),
        _ => (text, POSTGRESQL),
    };
    (!host.is_empty() && port > 0).then(|| (host.to_ascii_lowercase(), port))
}

/// `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-AbCdEf`
fn secret(arn: &str) -> Option<SecretRef> {
    const SUFFIX: usize = "-AbCdEf".len();
    let parts: Vec<_> = arn.splitn(7, ':').collect();
    let ["arn", _, "secretsmanager", region, account, "secret", name] = parts[..] else {
        return None;
    };
    let end = name.len().checked_sub(SUFFIX).filter(|end| *end > 0)?;
    let name = name.get(..end).filter(|_| name[end..].starts_with('-'))?;
    Some(SecretRef {
        account: account.into(),
        region: region.to_owned(),
        arn: arn.to_owned(),
        name: name.to_owned(),
    })
}
