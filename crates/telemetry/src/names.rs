//! Every metric name. Counters get `_total` added when they are written out (`OpenMetrics` 1.0).

/// Histogram: seconds from the notice to each stage of a task, once the task is verified.
pub const TIME_TO_REVOKE: &str = "severance_time_to_revoke_seconds";
/// Histogram: seconds from the notice until a secret hands out its new credential in every region.
pub const TIME_TO_ROTATE: &str = "severance_time_to_rotate_seconds";
/// Histogram: seconds from a database taking the one password of a login until it was handed out.
pub const ROTATION_GAP: &str = "severance_rotation_gap_seconds";
/// Histogram: seconds in which a secret's old credential still worked beside the new one.
pub const ROTATION_OVERLAP: &str = "severance_rotation_overlap_seconds";
/// Gauge: credentials that should be dead and are not verified dead yet.
pub const OPEN_EXPOSURES: &str = "severance_open_exposures";
/// Gauge: how long ago the oldest of them was noticed.
pub const OLDEST_EXPOSURE: &str = "severance_oldest_exposure_age_seconds";
/// Counter: events by what became of them.
pub const EVENTS: &str = "severance_events";
/// Gauge: cases by state.
pub const CASES: &str = "severance_cases";
/// Gauge: counting tasks by state.
pub const TASKS: &str = "severance_tasks";
/// Counter: decisions by kind.
pub const DECISIONS: &str = "severance_decisions";
/// Counter: provider calls by operation and code.
pub const PROVIDER_CALLS: &str = "severance_provider_calls";
/// Histogram: how long provider calls take.
pub const PROVIDER_CALL_SECONDS: &str = "severance_provider_call_seconds";
/// Counter: finished tasks that were found open again.
pub const REOPENED: &str = "severance_tasks_reopened";
/// Counter: tasks that were blocked.
pub const BLOCKED: &str = "severance_tasks_blocked";
/// Counter: leases lost to another worker or to time.
pub const LEASES_LOST: &str = "severance_leases_lost";
/// Counter: ledger calls that failed.
pub const LEDGER_FAILURES: &str = "severance_ledger_failures";
/// Counter: messages by topic and result.
pub const PUBLISHED: &str = "severance_messages_published";
/// Gauge: messages that wait in the outbox.
pub const OUTBOX: &str = "severance_outbox_messages";
/// Gauge: records on an inbound topic that the intake has not stored yet.
pub const INTAKE_LAG: &str = "severance_intake_lag_records";
/// Counter: inventory refreshes by result.
pub const INVENTORY_REFRESHES: &str = "severance_inventory_refreshes";
/// Gauge: identities in the inventory at its last refresh.
pub const INVENTORY_IDENTITIES: &str = "severance_inventory_identities";
/// Info: the version that runs.
pub const BUILD: &str = "severance_build";
