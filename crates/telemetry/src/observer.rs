//! From happenings to metrics and log lines, both in one place.

use std::sync::Arc;

use severance_engine::ports::{EngineEvent, Observer, Topic};
use severance_lifecycle::credential::Target;
use severance_lifecycle::outcome::stages;
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::{Mode, Task, TaskState, Verification};

use crate::chain::Chain;
use crate::labels::{
    AccountLabels, CallLabels, DecisionLabels, DoingLabels, InventoryLabels, OperationLabels,
    PublishLabels, RevokeLabels, RotateLabels, ZoneLabels, word, zone,
};
use crate::metrics::Metrics;

/// Takes in what happens: counts it and logs it. One line per decision at info; single calls at
/// debug, since a task makes dozens.
#[derive(Clone, Debug)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
}

impl Telemetry {
    /// Counts into these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }

    fn decided(&self, task: &Task, decision: &'static str, reason: &str) {
        let labels = DecisionLabels { trigger: task.trigger.as_str(), decision };
        self.metrics.decisions.get_or_create(&labels).inc();
        tracing::info!(
            case = %task.case,
            task = %task.id,
            what = %task.target.label(),
            zone = %task.binding.zone,
            trigger = task.trigger.as_str(),
            decision,
            reason,
            "decided"
        );
    }

    fn done(&self, task: &Task, verification: Verification) {
        let stages = stages(task);
        // Deletions and reinstatements are not revocations, and in observe nothing was revoked. A rotation
        // ends with its old credential's.
        let revokes = matches!(task.desired, Desired::Revoked | Desired::Rotated);
        if revokes && task.counts && task.mode == Mode::Enforce {
            self.rotated(task);
            // What a rotation function replaced is not verified dead: no stage of it counts.
            let verified = stages.verified.map(|_| stages.since_notice());
            for (stage, seconds) in verified.into_iter().flatten() {
                let labels = RevokeLabels {
                    trigger: task.trigger.as_str(),
                    kind: task.target.kind().as_str(),
                    zone: zone(&task.binding.zone),
                    stage,
                    verification: verification.as_str(),
                };
                self.metrics.revoke_seconds.get_or_create(&labels).observe(seconds);
            }
        }
        tracing::info!(
            case = %task.case,
            task = %task.id,
            what = %task.target.label(),
            desired = task.desired.as_str(),
            verification = verification.as_str(),
            time_to_revoke_seconds = stages.time_to_revoke(),
            "done"
        );
    }

    fn rotated(&self, task: &Task) {
        let Target::Secret { issuer, .. } = &task.target else { return };
        if task.desired != Desired::Rotated {
            return;
        }
        let Some(times) = task.record.rotation.times(issuer, task.noticed_at) else { return };
        let labels = RotateLabels {
            trigger: task.trigger.as_str(),
            strategy: issuer.as_str(),
            zone: zone(&task.binding.zone),
        };
        self.metrics.rotate_seconds.get_or_create(&labels).observe(times.time_to_rotate);
        if let Some(overlap) = times.overlap {
            self.metrics.overlap_seconds.get_or_create(&labels).observe(overlap);
        }
        if let Some(gap) = times.gap {
            self.metrics.gap_seconds.get_or_create(&labels).observe(gap);
        }
    }

    fn blocked(&self, task: &Task) {
        self.metrics.blocked.get_or_create(&zone_labels(task)).inc();
        let reason = match &task.state {
            TaskState::Blocked { reason } => reason.to_string(),
            other => other.as_str().to_owned(),
        };
        tracing::warn!(
            case = %task.case,
            task = %task.id,
            what = %task.target.label(),
            zone = %task.binding.zone,
            reason,
            "blocked"
        );
    }

    fn reopened(&self, task: &Task, because: &str) {
        self.metrics.reopened.get_or_create(&zone_labels(task)).inc();
        tracing::warn!(
            case = %task.case, task = %task.id, what = %task.target.label(), because, "reopened"
        );
    }

    fn published(&self, topic: Topic, failure: Option<&str>) {
        let labels = PublishLabels { topic: topic_name(topic), result: result(failure) };
        self.metrics.published.get_or_create(&labels).inc();
        match failure {
            None => tracing::debug!(topic = topic_name(topic), "published"),
            Some(error) => tracing::warn!(topic = topic_name(topic), error, "not published"),
        }
    }
}

impl Observer for Telemetry {
    fn on(&self, event: &EngineEvent<'_>) {
        match event {
            EngineEvent::Planned { case, tasks, held } => {
                tracing::info!(%case, tasks, held, "planned");
            }
            EngineEvent::Decided { task, decision, reason } => self.decided(task, decision, reason),
            EngineEvent::Called { account, operation, lane, code, class, seconds } => {
                let operation = word(operation);
                let labels = CallLabels {
                    account: account.0.clone(),
                    operation: operation.clone(),
                    lane: lane.as_str(),
                    code: word(code),
                };
                self.metrics.calls.get_or_create(&labels).inc();
                tracing::debug!(%account, operation, lane = lane.as_str(), code, ?class, seconds, "called");
                let labels = OperationLabels { operation };
                self.metrics.call_seconds.get_or_create(&labels).observe(*seconds);
            }
            EngineEvent::Accepted { task } => {
                let seconds =
                    stages(task).accepted.map(|at| (at - task.noticed_at).as_seconds_f64());
                tracing::info!(
                    case = %task.case,
                    task = %task.id,
                    what = %task.target.label(),
                    since_notice_seconds = seconds,
                    "accepted by the provider"
                );
            }
            EngineEvent::Done { task, verification } => self.done(task, *verification),
            EngineEvent::Blocked { task } => self.blocked(task),
            EngineEvent::Reopened { task, because } => self.reopened(task, because),
            EngineEvent::CaseClosed { case } => tracing::info!(%case, "case closed"),
            EngineEvent::LeaseLost { task } => {
                self.metrics.leases_lost.inc();
                tracing::warn!(case = %task.case, task = %task.id, "lease lost");
            }
            EngineEvent::LedgerFailed { doing, error } => {
                self.metrics.ledger_failures.get_or_create(&DoingLabels { doing }).inc();
                tracing::error!(doing, error = %Chain(*error), "the ledger failed; trying again");
            }
            EngineEvent::Inventory { account, identities, failure } => {
                let labels =
                    InventoryLabels { account: account.0.clone(), result: result(*failure) };
                self.metrics.inventory_refreshes.get_or_create(&labels).inc();
                match failure {
                    None => {
                        let labels = AccountLabels { account: account.0.clone() };
                        let count = i64::try_from(*identities).unwrap_or(i64::MAX);
                        self.metrics.inventory_identities.get_or_create(&labels).set(count);
                        tracing::info!(%account, identities, "inventory refreshed");
                    }
                    Some(error) => tracing::warn!(%account, error, "inventory not refreshed"),
                }
            }
            EngineEvent::Published { topic, failure } => self.published(*topic, *failure),
            other => tracing::debug!(event = ?other, "unnamed happening"),
        }
    }
}

fn zone_labels(task: &Task) -> ZoneLabels {
    ZoneLabels { zone: zone(&task.binding.zone), trigger: task.trigger.as_str() }
}

fn topic_name(topic: Topic) -> &'static str {
    match topic {
        Topic::Outcome => "outcome",
        Topic::Escalation => "escalation",
        Topic::DeadLetter => "dead-letter",
    }
}

fn result(failure: Option<&str>) -> &'static str {
    if failure.is_some() { "failed" } else { "ok" }
}
