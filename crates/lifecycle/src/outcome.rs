//! Outbound events: what became of tasks and cases, as CloudEvents.
//!
//! Each has `data.sequence`, the number of the journal entry that proves it; the ledger fills it in
//! when it writes both in one transaction, so here it is null. None ever holds a secret.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::case::{Case, Closing, Tally};
use crate::credential::Target;
use crate::decide::Way;
use crate::finding::Finding;
use crate::ids::{CaseId, TaskId, ZoneName};
use crate::policy::Desired;
use crate::secret::Issuer;
use crate::task::{BlockReason, Task, TaskState, Verification};
use crate::ttr::Stages;

/// CloudEvents `type` of a verified revocation.
pub const REVOKED_TYPE: &str = "io.severance.credential.revoked.v1";
/// CloudEvents `type` of a rotation whose old credential is verified dead.
pub const ROTATED_TYPE: &str = "io.severance.credential.rotated.v1";
/// CloudEvents `type` of a verified reinstatement.
pub const REINSTATED_TYPE: &str = "io.severance.credential.reinstated.v1";
/// CloudEvents `type` of a task that cannot be finished for now.
pub const BLOCKED_TYPE: &str = "io.severance.credential.blocked.v1";
/// CloudEvents `type` of a closed case.
pub const CASE_CLOSED_TYPE: &str = "io.severance.case.closed.v1";
/// CloudEvents `type` of something that a person should know.
pub const ESCALATION_TYPE: &str = "io.severance.escalation.v1";

/// One outbound CloudEvent, before it becomes a Kafka record.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundEvent {
    /// CloudEvents `id`: the same for the same happening, so that a repeat can be told.
    pub id: String,
    /// CloudEvents `type`.
    pub event_type: &'static str,
    /// CloudEvents `time`.
    pub time: DateTime<Utc>,
    /// The record's key: zone and credential, so that one credential's outcomes stay in order.
    pub key: String,
    /// CloudEvents `data`.
    pub data: Value,
}

/// The stage times of a task. What is done and proves no end was never verified; see
/// [`Task::proves_its_end`].
pub fn stages(task: &Task) -> Stages {
    Stages {
        noticed: task.noticed_at,
        received: task.received_at,
        planned: task.planned_at,
        accepted: task.accepted_at,
        verified: match task.state {
            TaskState::Done { .. } if task.proves_its_end() => task.verified_at,
            _ => None,
        },
    }
}

/// A task reached its desired state. `ways` is every way in and how it stands.
pub fn done(
    task: &Task,
    verification: Verification,
    ways: &[Way],
    at: DateTime<Utc>,
) -> OutboundEvent {
    let event_type = match task.desired {
        Desired::Revoked | Desired::Deleted => REVOKED_TYPE,
        Desired::Rotated => ROTATED_TYPE,
        Desired::Reinstated => REINSTATED_TYPE,
    };
    let mut data = facts(task);
    data["verification"] = json!(verification);
    data["ways"] = json!(ways);
    if let (Desired::Rotated, Target::Secret { issuer, .. }) = (task.desired, &task.target) {
        data["rotation"] = rotation(task, issuer);
    }
    event(task, event_type, data, at)
}

/// A task cannot be finished for now. Its clock keeps running.
pub fn blocked(task: &Task, reason: &BlockReason, at: DateTime<Utc>) -> OutboundEvent {
    let mut data = facts(task);
    data["reason"] = json!(reason.to_string());
    data["block"] = json!(reason);
    event(task, BLOCKED_TYPE, data, at)
}

/// A case closed.
pub fn case_closed(case: &Case, tally: Tally, how: Closing, at: DateTime<Utc>) -> OutboundEvent {
    let zone = case.zone.as_ref().map_or("-", ZoneName::as_str);
    OutboundEvent {
        id: format!("{}-closed-{}", case.id, at.timestamp_micros()),
        event_type: CASE_CLOSED_TYPE,
        time: at,
        key: format!("{zone}/{}", case.id),
        data: json!({
            "case": case.id,
            "event": {"source": case.event.source, "id": case.event.id},
            "trigger": case.trigger,
            "severity": case.severity,
            "cause": case.cause,
            "zone": case.zone,
            "contract": case.contract,
            "ticket": case.ticket,
            "noticed": case.noticed_at,
            "received": case.received_at,
            "closed": at,
            "how": how,
            "tasks": {
                "done": tally.done,
                "observed": tally.observed,
                "superseded": tally.superseded,
            },
            "sequence": null,
        }),
    }
}

/// Something that a person should know.
pub fn escalation(
    case: Option<&CaseId>,
    task: Option<&TaskId>,
    zone: Option<&ZoneName>,
    finding: &Finding,
    at: DateTime<Utc>,
) -> OutboundEvent {
    escalate(case, task, zone, &finding.to_string(), &json!({ "finding": finding }), at)
}

/// A blocked task, told to the zone's owner.
pub fn escalation_of_block(task: &Task, reason: &BlockReason, at: DateTime<Utc>) -> OutboundEvent {
    let words = format!("{}: {reason}", task.target.label());
    let detail = json!({ "block": reason, "target": task.target });
    escalate(Some(&task.case), Some(&task.id), Some(&task.binding.zone), &words, &detail, at)
}

/// A case over the blast-radius limit, told to whoever may release it.
pub fn escalation_of_hold(
    case: &Case,
    credentials: usize,
    limit: usize,
    at: DateTime<Utc>,
) -> OutboundEvent {
    let words = format!(
        "held: {credentials} credentials, the limit is {limit}; `severance cases release {}`",
        case.id
    );
    let detail = json!({ "credentials": credentials, "limit": limit });
    escalate(Some(&case.id), None, case.zone.as_ref(), &words, &detail, at)
}

fn escalate(
    case: Option<&CaseId>,
    task: Option<&TaskId>,
    zone: Option<&ZoneName>,
    words: &str,
    detail: &Value,
    at: DateTime<Utc>,
) -> OutboundEvent {
    // A look may find several things at one moment.
    let digest = Sha256::digest(json!([words, detail]).to_string());
    let about = task.map(TaskId::as_str).or(case.map(CaseId::as_str)).unwrap_or("worker");
    OutboundEvent {
        id: format!("{about}-escalation-{}-{}", at.timestamp_micros(), hex::encode(&digest[..4])),
        event_type: ESCALATION_TYPE,
        time: at,
        key: format!("{}/{about}", zone.map_or("-", ZoneName::as_str)),
        data: json!({
            "case": case, "task": task, "zone": zone,
            "message": words, "detail": detail, "sequence": null,
        }),
    }
}

fn event(task: &Task, event_type: &'static str, data: Value, at: DateTime<Utc>) -> OutboundEvent {
    let kind = event_type.rsplit('.').nth(1).unwrap_or(event_type);
    OutboundEvent {
        id: format!("{}-{kind}-{}", task.id, at.timestamp_micros()),
        event_type,
        time: at,
        key: format!("{}/{}", task.binding.zone, task.target.key()),
        data,
    }
}

/// Both versions by their ids, and when what happened to them, on the provider's clock.
fn rotation(task: &Task, issuer: &Issuer) -> Value {
    let rotation = &task.record.rotation;
    let times = rotation.times(issuer, task.noticed_at);
    json!({
        "strategy": issuer.as_str(),
        "old_version": rotation.old.as_ref().map(|old| &old.version),
        "new_version": rotation.new,
        "handed_out": rotation.promoted_at,
        "in_step": rotation.in_step_at,
        "old_dead": rotation.old_dead_at,
        "time_to_rotate_seconds": times.map(|times| times.time_to_rotate),
        "overlap_seconds": times.and_then(|times| times.overlap),
        "gap_seconds": times.and_then(|times| times.gap),
    })
}

/// What every outcome of a task says.
fn facts(task: &Task) -> Value {
    let stages = stages(task);
    json!({
        "case": task.case,
        "task": task.id,
        "target": task.target,
        "desired": task.desired,
        "zone": task.binding.zone,
        "contract": task.binding.contract,
        "owner": task.binding.owner,
        "tier": task.binding.tier,
        "ticket": task.ticket,
        "trigger": task.trigger,
        "severity": task.severity,
        "cause": task.cause,
        "stages": {
            "noticed": stages.noticed,
            "received": stages.received,
            "planned": stages.planned,
            "accepted": stages.accepted,
            "verified": stages.verified,
        },
        "time_to_revoke_seconds": stages.time_to_revoke(),
        "deadline": task.deadline,
        "deadline_met": stages.verified.map(|verified| verified <= task.deadline),
        "sequence": null,
    })
}
