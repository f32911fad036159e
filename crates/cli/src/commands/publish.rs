//! `severance publish`

use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::Value;
use severance_engine::ports::Clock;
use severance_kafka::{
    ContentMode, EventPublisher, Inbound, KafkaConfig, Outgoing, decode, encode,
};
use severance_lifecycle::event::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractChange, ContractEnd,
    Selector, SelectorTarget, Severity,
};
use severance_lifecycle::finding::Finding;
use severance_lifecycle::ids::{AccountId, CaseId, EventKey};

use super::follow;
use crate::args::{
    Change, CompromiseArgs, ContractEndArgs, EventArgs, Global, Level, PublishCommand, SelectorArgs,
};
use crate::client::{Client, configured};
use crate::clock::SystemClock;
use crate::entropy;
use crate::error::{Doing, Failure, Outcome};
use crate::output::{self, Format};

/// What is to be published.
struct Publication<'a> {
    inbound: Inbound,
    event_type: &'static str,
    /// Decides the partition, and so the order.
    key: Option<String>,
    data: Value,
    args: &'a EventArgs,
}

/// What the worker knew before the event was published.
#[derive(Default)]
struct Before {
    /// The case was there: the event's id was used before.
    known: bool,
    /// Events with a known id that it had counted.
    repeated: u64,
}

impl Before {
    async fn look(client: &Client, case: &CaseId) -> Outcome<Self> {
        let known = client.case_if_known(case.as_str()).await?.is_some();
        Ok(Self { known, repeated: if known { repeated(client).await? } else { 0 } })
    }

    /// Where the id was used before, the old case would be followed whatever has become of this event:
    /// waits until the worker has taken it, and ends badly where it says something else than the first.
    async fn until_taken(
        &self,
        client: &Client,
        case: &CaseId,
        digest: &str,
        patience: Duration,
    ) -> Outcome {
        if !self.known {
            return Ok(());
        }
        let taken = tokio::time::timeout(patience, async {
            loop {
                // Counted first: what is counted shows in the case that is asked for after it.
                let counted = repeated(client).await? > self.repeated;
                let detail = client.case(case.as_str()).await?;
                let conflicts = |finding: &Finding| {
                    matches!(finding, Finding::ContentConflict { digest: other, .. }
                        if other == digest)
                };
                if detail.findings.iter().any(conflicts) {
                    return Err(Failure::ended_badly(format!(
                        "the event was not acted on: {case} was opened by an event of the same \
                         source and id that says something else; publish it under an id of its own"
                    )));
                }
                if counted {
                    return Ok(());
                }
                tokio::time::sleep(follow::EVERY).await;
            }
        });
        taken.await.unwrap_or_else(|_| {
            Err(Failure::ended_badly("the worker has not taken the event yet; it may still do so"))
        })
    }
}

async fn repeated(client: &Client) -> Outcome<u64> {
    let counts = client.summary().await?.counts;
    Ok(counts.duplicates + counts.conflicts)
}

/// Publishes an event built from flags; with `--wait`, follows its case to the end.
pub(crate) async fn run(global: &Global, command: &PublishCommand, format: Format) -> Outcome {
    let clock = SystemClock;
    let publication = match command {
        PublishCommand::ContractEnd(args) => contract_end(args, clock)?,
        PublishCommand::Compromise(args) => compromise(args, clock)?,
    };
    let args = publication.args;
    let key = EventKey {
        source: args.source.clone(),
        id: args.event_id.clone().unwrap_or_else(entropy::event_id),
    };
    let case = CaseId::of(&key);
    // Before anything is published: a follower that cannot follow should not have published.
    let client = if args.wait { Some(Client::new(global)?) } else { None };
    let before = match &client {
        Some(client) => Before::look(client, &case).await?,
        None => Before::default(),
    };
    let digest = send(global, &publication, &key, clock).await?;
    match (client, format) {
        (Some(client), _) => {
            before.until_taken(&client, &case, &digest, args.wait_for).await?;
            follow::to_the_end(&client, &case, args.wait_for, format).await
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
        reason: args.event.reason.clone(),
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
        reason: args.event.reason.clone(),
        ticket: args.event.ticket.clone(),
        evidence_url: args.evidence_url.clone(),
    };
    Ok(Publication {
        inbound: Inbound::CompromiseNotice,
        event_type: COMPROMISE_NOTICE_TYPE,
        key: None,
        data: serde_json::to_value(notice).doing("the event cannot be written")?,
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
    targets.extend(named(&args.contract, |name| SelectorTarget::Contract(name.into())));
    targets.extend(named(&args.zone, |name| SelectorTarget::Zone(name.into())));
    if !args.tag.is_empty() {
        targets.push(SelectorTarget::Tags(args.tag.iter().cloned().collect()));
    }
    let account = args.account.clone().map(AccountId);
    targets
        .into_iter()
        .map(|target| Selector { target, account: account.clone(), region: None })
        .collect()
}
