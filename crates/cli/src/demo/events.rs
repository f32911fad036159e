//! Telling the worker: each event is published immediately after the demo has tried what it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use severance_engine::ports::Clock;
use severance_kafka::{ContentMode, EventPublisher, Inbound, Outgoing};
use severance_lifecycle::event::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractEnd, ROTATION_TYPE,
    RotationRequest, Selector, SelectorTarget, Severity,
};

use super::attempts::Bench;
use super::credentials::Seeded;
use super::malformed::malformed;
use super::rotations;
use super::scenario::{Event, Kind, Scenario, What, ZONES};
use super::stage::Stage;
use crate::clock::SystemClock;
use crate::error::{Doing, Outcome};

/// Units that are tried and published at once.
const AT_ONCE: usize = 16;
pub(super) const SOURCE: &str = "/severance/demo";

/// What was told, and what the demo saw before.
#[derive(Default)]
pub(super) struct Told {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) dead_lettered: u64,
    /// Credentials that were not accepted immediately before their notice.
    pub(super) dead_before: Vec<String>,
    /// Identities whose credentials are to be dead at the end.
    pub(super) ended: BTreeSet<usize>,
    /// Keys that are to be dead at the end and whose secret half is held, so that they can be probed.
    pub(super) probeable: usize,
    /// Cases that stay open: a contract that was extended.
    pub(super) stay_open: u64,
    /// Secrets that are to hand out another value at the end.
    pub(super) rotated: BTreeSet<usize>,
    /// Secrets that nobody can rotate, as their tags are.
    pub(super) blocked: BTreeSet<usize>,
    /// What was superseded was to happen by then: the demo waits to see that it does not.
    pub(super) not_before: DateTime<Utc>,
}

impl Told {
    /// All records.
    pub(super) fn published(&self) -> u64 {
        self.accepted + self.duplicates + self.dead_lettered
    }
}

/// One event as it was published.
struct Sent {
    inbound: Inbound,
    event: Outgoing,
    key: Option<String>,
    dead_before: Vec<String>,
    effective_at: DateTime<Utc>,
}

/// Publishes everything: malformed records around and among the events, duplicates after.
pub(super) async fn tell(
    stage: &Stage,
    bench: &Bench<'_>,
    scenario: &Scenario,
    seeded: &Seeded,
) -> Outcome<Told> {
    let publisher = EventPublisher::new(stage.kafka(), Arc::new(SystemClock));
    let teller = Teller {
        publisher: publisher.doing("the publisher cannot be set up")?,
        bench,
        scenario,
        seeded,
        clock: SystemClock,
    };
    let (early, late) = (scenario.malformed / 2, scenario.malformed);
    teller.malformed(0..early).await?;
    let mut units = Vec::new();
    let mut from = 0;
    for size in &scenario.units {
        units.push(from..from + size);
        from += size;
    }
    let units = stream::iter(units).map(|unit| teller.unit(unit)).buffered(AT_ONCE).try_collect();
    let takeovers = try_join_all(scenario.takeovers.iter().map(|event| teller.amid(event)));
    let (sent, takeovers): (Vec<Vec<Sent>>, _) = tokio::try_join!(units, takeovers)?;
    let sent: Vec<Sent> = sent.into_iter().flatten().collect();
    for place in &scenario.duplicates {
        // In the other content mode: it says the same, so it is the same event.
        teller.send(&sent[*place], ContentMode::Binary).await?;
    }
    teller.malformed(early..late).await?;
    Ok(sum(scenario, sent, takeovers))
}

fn sum(scenario: &Scenario, sent: Vec<Sent>, takeovers: Vec<Sent>) -> Told {
    let mut told = Told {
        accepted: (sent.len() + takeovers.len()) as u64,
        duplicates: scenario.duplicates.len() as u64,
        dead_lettered: scenario.malformed as u64,
        stay_open: scenario.stay_open() as u64,
        ..Told::default()
    };
    let events = scenario.events.iter().chain(&scenario.takeovers);
    for (event, sent) in events.zip(sent.into_iter().chain(takeovers)) {
        told.dead_before.extend(sent.dead_before);
        for place in &event.secrets {
            let rotated = scenario.secrets[*place].is_rotated();
            let secrets = if rotated { &mut told.rotated } else { &mut told.blocked };
            secrets.insert(*place);
        }
        if event.ends {
            told.ended.extend(&event.about);
        }
        let soon = matches!(&event.what, What::ContractEnd { effective_in, .. }
            if effective_in.num_days() == 0);
        if soon {
            told.not_before = told.not_before.max(sent.effective_at);
        }
    }
    let held = |place: &&usize| scenario.identities[**place].kind == Kind::KeyHeld;
    told.probeable = told.ended.iter().filter(held).count();
    told
}

struct Teller<'a> {
    publisher: EventPublisher,
    bench: &'a Bench<'a>,
    scenario: &'a Scenario,
    seeded: &'a Seeded,
    clock: SystemClock,
}

impl Teller<'_> {
    /// Publishes events that belong together, one after the other. What the first names is tried
    /// before it; by the second its credentials may be dead already.
    async fn unit(&self, places: std::ops::Range<usize>) -> Outcome<Vec<Sent>> {
        let mut all = Vec::new();
        for (number, event) in self.scenario.events[places].iter().enumerate() {
            let dead_before = if number == 0 { self.dead(event).await? } else { Vec::new() };
            let sent = Sent { dead_before, ..self.build(event)? };
            self.send(&sent, ContentMode::Structured).await?;
            all.push(sent);
        }
        Ok(all)
    }

    /// Publishes a notice once the rotation that it is to interrupt is there.
    async fn amid(&self, event: &Event) -> Outcome<Sent> {
        for place in &event.secrets {
            let (secret, holder) = (&self.scenario.secrets[*place], &self.seeded.secrets[*place]);
            rotations::until_amid(self.bench, secret, holder).await?;
        }
        let sent = self.build(event)?;
        self.send(&sent, ContentMode::Structured).await?;
        Ok(sent)
    }

    async fn dead(&self, event: &Event) -> Outcome<Vec<String>> {
        let mut dead = Vec::new();
        for credential in self.seeded.of(&event.about) {
            if let Err(refused) = self.bench.works(credential).await? {
                dead.push(format!("{}: {refused}", credential.label));
            }
        }
        for place in &event.secrets {
            let holder = &self.seeded.secrets[*place];
            if let Err(refused) = self.bench.opens(holder, &holder.first, true).await? {
                dead.push(format!("{}: {refused}", self.scenario.secrets[*place].name));
            }
        }
        Ok(dead)
    }

    fn build(&self, event: &Event) -> Outcome<Sent> {
        let now = self.clock.now();
        let mut effective_at = now;
        let (inbound, event_type, key, data) = match &event.what {
            What::ContractEnd { zone, contract, change, revision, effective_in } => {
                effective_at = now + *effective_in;
                let end = ContractEnd {
                    contract: contract.as_str().into(),
                    zone: ZONES[*zone].into(),
                    effective_at,
                    reason: "the demo says so".into(),
                    ticket: Some(format!("DEMO-{revision}")),
                    change: *change,
                    revision: *revision,
                };
                let data = serde_json::to_value(end);
                (Inbound::ContractEnd, CONTRACT_END_TYPE, Some(contract.clone()), data)
            }
            What::Compromise { severity } => {
                let data = serde_json::to_value(self.notice(event, *severity, now));
                (Inbound::CompromiseNotice, COMPROMISE_NOTICE_TYPE, None, data)
            }
            What::Rotation { cause, owner } => {
                let credentials = match owner {
                    Some(owner) => vec![rotations::owned_by(owner)],
                    None => self.secrets(event).collect(),
                };
                let request = RotationRequest {
                    credentials,
                    cause: *cause,
                    // The zone's.
                    grace: None,
                    not_before: None,
                    ticket: None,
                };
                (Inbound::Rotation, ROTATION_TYPE, None, serde_json::to_value(request))
            }
        };
        let event = Outgoing {
            event_type: event_type.to_owned(),
            source: SOURCE.to_owned(),
            id: event.id.clone(),
            time: Some(now.to_rfc3339_opts(SecondsFormat::Millis, true)),
            data: data.doing("an event cannot be written")?,
        };
        Ok(Sent { inbound, event, key, dead_before: Vec::new(), effective_at })
    }

    fn notice(&self, event: &Event, severity: Severity, now: DateTime<Utc>) -> CompromiseNotice {
        let selectors = event.about.iter().map(|place| {
            let identity = &self.scenario.identities[*place];
            let arn = |kind| format!("arn:aws:iam::{}:{kind}/{}", identity.account, identity.name);
            let target = match (identity.kind, self.seeded.named_keys.get(place)) {
                (Kind::KeyHeld | Kind::KeyBare, Some(key)) => {
                    SelectorTarget::AccessKeyId(key.clone())
                }
                (Kind::Role, _) => SelectorTarget::Role(arn("role")),
                _ => SelectorTarget::User(arn("user")),
            };
            Selector { target, account: None, region: None }
        });
        CompromiseNotice {
            credentials: selectors.chain(self.secrets(event)).collect(),
            discovered_at: now,
            severity,
            reporter: "demo".into(),
            reason: "the demo says so".into(),
            ticket: None,
            evidence_url: None,
        }
    }

    /// The secrets that an event names, each by its ARN.
    fn secrets<'e>(&'e self, event: &'e Event) -> impl Iterator<Item = Selector> + 'e {
        event.secrets.iter().map(|place| {
            let target = SelectorTarget::Secret(self.seeded.secrets[*place].arn.clone());
            Selector { target, account: None, region: None }
        })
    }

    async fn send(&self, sent: &Sent, mode: ContentMode) -> Outcome {
        self.publisher
            .publish(sent.inbound, &sent.event, mode, sent.key.as_deref())
            .await
            .doing(format!("{} cannot be published", sent.event.id))?;
        Ok(())
    }

    /// Publishes records that no worker can accept, each wrong in another way.
    async fn malformed(&self, numbers: std::ops::Range<usize>) -> Outcome {
        for number in numbers {
            let (inbound, value, headers) = malformed(number);
            self.publisher
                .publish_record(inbound, None, Some(value.as_bytes()), &headers)
                .await
                .doing("a malformed record cannot be published")?;
        }
        Ok(())
    }
}
