//! `severance publish` and `severance rotate`

mod before;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use severance_engine::ports::Clock;
use severance_kafka::{
    ContentMode, EventPublisher, Inbound, KafkaConfig, Outgoing, decode, encode,
};
use severance_lifecycle::event::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractChange, ContractEnd,
    ROTATION_TYPE, RotationRequest, Selector, SelectorTarget, Severity,
};
use severance_lifecycle::ids::{AccountId, CaseId, EventKey};

use self::before::Before;
use super::follow;
use crate::args::{
    Change, CompromiseArgs, ContractEndArgs, EventArgs, Global, Level, PublishCommand, RotateArgs,
    RotationArgs, SelectorArgs, WaitArgs,
};
use crate::client::{Client, configured};
use crate::clock::SystemClock;
use crate::entropy;
use crate::error::{Doing, Outcome};
use crate::output::{self, Format};

/// What is to be published.
struct Publication<'a> {
    inbound: Inbound,
    event_type: &'static str,
    /// Decides the partition, and so the order.
    key: Option<String>,
    data: Value,
    args: &'a EventArgs,
    /// Whether its case is followed.
    wait: Option<Wait>,
}

/// How a case is followed.
struct Wait {
    /// `None`: until it ends.
    patience: Option<Duration>,
    /// Told first where it may take longer than people expect: what is waited for.
    awaited: Option<String>,
}

/// How long the worker may take to take an event, and to revoke, where nobody says.
const PATIENCE: Duration = Duration::from_mins(10);

impl Wait {
    fn asked(args: &WaitArgs) -> Option<Self> {
        let patience = Some(args.wait_for.unwrap_or(PATIENCE));
        args.wait.then_some(Self { patience, awaited: None })
    }

    /// For a rotation, which ends after its grace.
    fn for_rotation(rotation: &RotationRequest, patience: Option<Duration>) -> Self {
        Self { patience, awaited: Some(awaited(rotation)) }
    }
}

fn awaited(rotation: &RotationRequest) -> String {
    let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let begin = rotation.not_before.map(|at| format!("{} to come, ", moment(at)));
    let grace = match rotation.grace.map(|grace| grace.to_std().unwrap_or_default()) {
        Some(Duration::ZERO) => String::new(),
        Some(grace) => format!("the grace of {} to end, ", humantime::format_duration(grace)),
        None => "the zone's grace to end, ".to_owned(),
    };
    let begin = begin.unwrap_or_default();
    format!(
        "waiting for {begin}new credentials to be handed out, {grace}and the old ones to be proven dead"
    )
}

/// Publishes an event built from flags; with `--wait`, follows its case to the end.
pub(crate) async fn run(global: &Global, command: &PublishCommand, format: Format) -> Outcome {
    let publication = match command {
        PublishCommand::ContractEnd(args) => contract_end(args, SystemClock)?,
        PublishCommand::Compromise(args) => compromise(args, SystemClock)?,
        PublishCommand::Rotation(args) => {
            rotation(&args.rotation, args.wait.wait, args.wait.wait_for)?
        }
    };
    published(global, publication, format).await
}

/// Publishes a rotation and follows its case to the end.
pub(crate) async fn rotate(global: &Global, args: &RotateArgs, format: Format) -> Outcome {
    published(global, rotation(&args.rotation, true, args.wait_for)?, format).await
}

async fn published(global: &Global, publication: Publication<'_>, format: Format) -> Outcome {
    let args = publication.args;
    let key = EventKey {
        source: args.source.clone(),
        id: args.event_id.clone().unwrap_or_else(entropy::event_id),
    };
    let case = CaseId::of(&key);
    // Before anything is published: a follower that cannot follow should not have published.
    let client = publication.wait.as_ref().map(|_| Client::new(global)).transpose()?;
    let before = match &client {
        Some(client) => Before::look(client, &case).await?,
        None => Before::default(),
    };
    let digest = send(global, &publication, &key, SystemClock).await?;
    match (client.zip(publication.wait), format) {
        (Some((client, wait)), _) => {
            if let Some(awaited) = wait.awaited.filter(|_| format == Format::Human) {
                output::note(&awaited);
            }
            let patience = wait.patience.unwrap_or(PATIENCE);
            before.until_taken(&client, &case, &digest, patience).await?;
            follow::to_the_end(&client, &case, wait.patience, format).await
        }
        (None, Format::Json) => {
            output::json(&serde_json::json!({"case": case, "source": key.source, "id": key.id}));
            Ok(())
        }
        (None, Format::Human) => {
            output::line(format!(
                "published {}; `severance case {case}` shows what comes of it",
                key.id
            ));
            Ok(())
        }
    }
}

async fn send(
    global: &Global,
    publication: &Publication<'_>,
    key: &EventKey,
    clock: SystemClock,
) -> Outcome<String> {
    let mut kafka: KafkaConfig = configured(global)?.map(|c| c.kafka).unwrap_or_default();
    if let Some(brokers) = &publication.args.brokers {
        kafka.brokers.clone_from(brokers);
    }
    let event = Outgoing {
        event_type: publication.event_type.to_owned(),
        source: key.source.clone(),
        id: key.id.clone(),
        time: Some(clock.now().to_rfc3339_opts(SecondsFormat::Millis, true)),
        data: publication.data.clone(),
    };
    let publisher =
        EventPublisher::new(&kafka, Arc::new(clock)).doing("cannot set up the publisher")?;
    let partition_key = publication.key.as_deref();
    publisher
        .publish(publication.inbound, &event, ContentMode::Structured, partition_key)
        .await
        .doing(format!("the event could not be published to {}", kafka.brokers))?;
    digest(publication.inbound, &event)
}

/// The digest of an event's content, as the worker takes it.
fn digest(inbound: Inbound, event: &Outgoing) -> Outcome<String> {
    let (value, headers) = encode(event, ContentMode::Structured);
    decode(None, Some(&value), &headers, inbound.event_types())
        .map(|event| event.digest)
        .doing("the event was published, and the worker will refuse it")
}

fn contract_end(args: &ContractEndArgs, clock: SystemClock) -> Outcome<Publication<'_>> {
    let end = ContractEnd {
        contract: args.contract.as_str().into(),
        zone: args.zone.as_str().into(),
        effective_at: args.effective_at.unwrap_or_else(|| clock.now()),
        reason: args.reason.clone(),
        ticket: args.event.ticket.clone(),
        change: match args.change {
            Change::Ended => ContractChange::Ended,
            Change::Extended => ContractChange::Extended,
            Change::Reinstated => ContractChange::Reinstated,
        },
        revision: args.revision,
    };
    Ok(Publication {
        inbound: Inbound::ContractEnd,
        event_type: CONTRACT_END_TYPE,
        key: Some(args.contract.clone()),
        data: serde_json::to_value(end).doing("the event cannot be written")?,
        args: &args.event,
        wait: Wait::asked(&args.wait),
    })
}

fn compromise(args: &CompromiseArgs, clock: SystemClock) -> Outcome<Publication<'_>> {
    let notice = CompromiseNotice {
        credentials: selectors(&args.names),
        discovered_at: args.discovered_at.unwrap_or_else(|| clock.now()),
        severity: match args.severity {
            Level::Low => Severity::Low,
            Level::Medium => Severity::Medium,
            Level::High => Severity::High,
            Level::Critical => Severity::Critical,
        },
        reporter: args.reporter.clone(),
        reason: args.reason.clone(),
        ticket: args.event.ticket.clone(),
        evidence_url: args.evidence_url.clone(),
    };
    Ok(Publication {
        inbound: Inbound::CompromiseNotice,
        event_type: COMPROMISE_NOTICE_TYPE,
        key: None,
        data: serde_json::to_value(notice).doing("the event cannot be written")?,
        args: &args.event,
        wait: Wait::asked(&args.wait),
    })
}

/// `patience`: how long its case is followed at most, where it is.
fn rotation(
    args: &RotationArgs,
    followed: bool,
    patience: Option<Duration>,
) -> Outcome<Publication<'_>> {
    let rotation = RotationRequest {
        credentials: selectors(&args.names),
        cause: args.cause.into(),
        grace: args.grace,
        not_before: args.not_before,
        ticket: args.event.ticket.clone(),
    };
    Ok(Publication {
        inbound: Inbound::Rotation,
        event_type: ROTATION_TYPE,
        key: None,
        wait: followed.then(|| Wait::for_rotation(&rotation, patience)),
        data: serde_json::to_value(rotation).doing("the event cannot be written")?,
        args: &args.event,
    })
}

fn selectors(args: &SelectorArgs) -> Vec<Selector> {
    let named = |texts: &[String], make: fn(String) -> SelectorTarget| -> Vec<SelectorTarget> {
        texts.iter().cloned().map(make).collect()
    };
    let mut targets = named(&args.access_key_id, SelectorTarget::AccessKeyId);
    targets.extend(named(&args.user, SelectorTarget::User));
    targets.extend(named(&args.role, SelectorTarget::Role));
    targets.extend(named(&args.secret, SelectorTarget::Secret));
    targets.extend(named(&args.contract, |name| SelectorTarget::Contract(name.into())));
    targets.extend(named(&args.zone, |name| SelectorTarget::Zone(name.into())));
    if !args.tag.is_empty() {
        targets.push(SelectorTarget::Tags(args.tag.iter().cloned().collect()));
    }
    let account = args.account.clone().map(AccountId);
    targets
        .into_iter()
        .map(|target| Selector { target, account: account.clone(), region: args.region.clone() })
        .collect()
}
