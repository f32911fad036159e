//! The issuers that the configuration names, as the engine tells them: one call a time, admitted, bounded
//! and reported as the provider's are.

mod told_database;
mod told_webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use severance_engine::ports::{
    Admission, Clock, EngineEvent, Errand, Issuers, Observer, SecretStore, SecretValue, Telling,
    Told,
};
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::secret::{Issuer, SecretRef};

use crate::database::{
    self, AdministratorRights, DatabaseError, DatabaseIssuer, DatabaseValue, RotationMode, Which,
};
use crate::random::RandomBytes;
use crate::webhook::{self, Endpoint, WebhookIssuer};

/// What the adapter is given by the engine's side.
#[derive(Clone)]
pub struct Ports {
    /// Asked before every call.
    pub admission: Arc<dyn Admission>,
    /// Told of every call.
    pub observer: Arc<dyn Observer>,
    /// Times calls.
    pub clock: Arc<dyn Clock>,
}

/// Database servers.
pub struct Database {
    /// Logs in there.
    pub issuer: DatabaseIssuer,
    /// Who administers which.
    pub administrators: Vec<Administrator>,
}

/// The administrator of one database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The server's name or address, as secrets' values have it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The secret that holds the administrator's login.
    pub secret: SecretRef,
}

/// One owner's endpoint.
pub struct Webhook {
    /// Calls it.
    pub issuer: WebhookIssuer,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The field of a value that is an object which a rotation changes.
    pub field: String,
}

/// The issuers that are known.
pub struct KnownIssuers {
    database: Option<Database>,
    webhooks: BTreeMap<String, Webhook>,
    random: Box<dyn RandomBytes>,
    ports: Ports,
}

impl KnownIssuers {
    /// Tells these and no others; new secrets come from `random`.
    pub fn new(
        database: Option<Database>,
        webhooks: BTreeMap<String, Webhook>,
        random: Box<dyn RandomBytes>,
        ports: Ports,
    ) -> Self {
        Self { database, webhooks, random, ports }
    }

    /// Asks every endpoint to test a version that no secret has: one that answers as documented is reached,
    /// and knows the signing key.
    pub async fn reach_webhooks(&self) -> Vec<(String, Result<(), Failure>)> {
        let mut reached = Vec::new();
        for (name, webhook) in &self.webhooks {
            let answer = told_webhook::reach(webhook).await;
            reached.push((name.clone(), answer));
        }
        reached
    }

    /// Logs in to every server whose administrator is named, as that one: what it may not do there is told.
    pub async fn reach_administrators(
        &self,
        store: &dyn SecretStore,
    ) -> Vec<(&Administrator, Result<AdministratorRights, Failure>)> {
        let mut reached = Vec::new();
        let Some(database) = &self.database else { return reached };
        for administrator in &database.administrators {
            let rights = told_database::rights(&database.issuer, administrator, store).await;
            reached.push((administrator, rights));
        }
        reached
    }

    fn database(&self) -> Result<&Database, Failure> {
        let missing = || cannot("database", "NotConfigured", "[issuers.database] is missing");
        self.database.as_ref().ok_or_else(missing)
    }

    fn webhook(&self, name: &str) -> Result<&Webhook, Failure> {
        let missing = || cannot("webhook", "NotConfigured", &format!("no issuers.webhooks.{name}"));
        self.webhooks.get(name).ok_or_else(missing)
    }

    fn new_secret(&self) -> Result<SecretValue, Failure> {
        database::new_password(self.random.as_ref()).map_err(|error| Failure {
            class: FailureClass::RetrySoon,
            ..cannot("random", "Unavailable", &error.to_string())
        })
    }
}

#[async_trait]
impl Issuers for KnownIssuers {
    fn next_value(&self, issuer: &Issuer, current: &SecretValue) -> Result<SecretValue, Failure> {
        const OPERATION: &str = "next-value";
        let unfit = |why: String| cannot(OPERATION, "UnfitValue", &why);
        match issuer {
            Issuer::Database { alternating } => {
                if *alternating && self.administrator(issuer, current)?.is_none() {
                    return Err(DatabaseError::AdminNeeded.failure("database:SetPassword"));
                }
                let mode = if *alternating {
                    RotationMode::AlternatingUsers
                } else {
                    RotationMode::SingleUser
                };
                self.database()?;
                database::next_value(current, mode, &self.new_secret()?)
                    .map_err(|error| unfit(error.to_string()))
            }
            Issuer::Webhook { name } => {
                let field = &self.webhook(name)?.field;
                webhook::next_value(current, field, &self.new_secret()?)
                    .map_err(|error| unfit(error.to_string()))
            }
            other => Err(cannot(OPERATION, "OtherIssuer", other.as_str())),
        }
    }

    fn administrator(
        &self,
        issuer: &Issuer,
        value: &SecretValue,
    ) -> Result<Option<SecretRef>, Failure> {
        if !matches!(issuer, Issuer::Database { .. }) {
            return Ok(None);
        }
        let login = DatabaseValue::parse(value).map_err(|source| {
            DatabaseError::Value { which: Which::Current, source }.failure("database:Login")
        })?;
        let administers = |it: &&Administrator| {
            it.host.eq_ignore_ascii_case(login.host()) && it.port == login.port()
        };
        let found = self.database()?.administrators.iter().find(administers);
        Ok(found.map(|it| it.secret.clone()))
    }

    async fn tell(&self, errand: &Errand) -> Result<Told, Failure> {
        let operation = operation(&errand.issuer, errand.what);
        let account = &errand.secret.account;
        let permit = self.ports.admission.admit(account, errand.lane).await;
        let started = self.ports.clock.now();
        let answer = match &errand.issuer {
            Issuer::Database { .. } => match self.database() {
                Ok(database) => told_database::tell(&database.issuer, errand, operation).await,
                Err(missing) => Err(missing),
            },
            Issuer::Webhook { name } => match self.webhook(name) {
                Ok(webhook) => told_webhook::tell(webhook, errand, operation).await,
                Err(missing) => Err(missing),
            },
            other => Err(cannot("issuer", "OtherIssuer", other.as_str())),
        };
        let took = self.ports.clock.now() - started;
        drop(permit);
        let failed = answer.as_ref().err();
        self.ports.observer.on(&EngineEvent::Called {
            account,
            operation,
            lane: errand.lane,
            code: failed.map_or("ok", |failure| failure.code.as_str()),
            class: failed.map(|failure| failure.class),
            // Seconds for a histogram: the clock may have jumped back meanwhile.
            seconds: took.as_seconds_f64().max(0.0),
        });
        match answer {
            Err(failure) if errand.what == Telling::Try => proves_nothing(errand, failure),
            answer => answer,
        }
    }
}

/// A try that fails for a passing reason is one that proves nothing; where somebody must act, it fails.
fn proves_nothing(errand: &Errand, failure: Failure) -> Result<Told, Failure> {
    use FailureClass::{RetryLater, RetrySoon, Throttled};
    if !matches!(failure.class, RetrySoon | RetryLater | Throttled) {
        return Err(failure);
    }
    let endpoint = endpoint(&errand.issuer);
    let why = format!("{}: {}", failure.code, failure.message);
    Ok(Told { probe: Some(ProbeAnswer::Inconclusive { endpoint, why }), ..Told::default() })
}

/// The issuer is one place to ask.
fn endpoint(issuer: &Issuer) -> String {
    match issuer {
        Issuer::Webhook { name } => format!("webhook {name}"),
        other => other.as_str().to_owned(),
    }
}

fn operation(issuer: &Issuer, what: Telling) -> &'static str {
    match (issuer, what) {
        (Issuer::Webhook { .. }, Telling::Set { .. }) => "webhook:Set",
        (Issuer::Webhook { .. }, Telling::Try) => "webhook:Test",
        (Issuer::Webhook { .. }, Telling::Finish) => "webhook:Finish",
        (Issuer::Webhook { .. }, _) => "webhook:Revoke",
        (_, Telling::Set { .. }) => "database:SetPassword",
        (_, Telling::Retire { .. }) => "database:TakePasswordAway",
        (_, Telling::EndSessions) => "database:EndSessions",
        (_, Telling::Try | Telling::Finish) => "database:Login",
    }
}

fn cannot(operation: &str, code: &str, message: &str) -> Failure {
    Failure {
        class: FailureClass::Cannot,
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
    }
}
