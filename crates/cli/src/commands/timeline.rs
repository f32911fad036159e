//! A journal entry as a line that a person reads.

use severance_engine::ports::CaseSummary;
use severance_lifecycle::case::Closing;
use severance_lifecycle::journal::{Happening, JournalEntry};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::task::BlockReason;

/// What happened, in words.
pub(super) fn words(entry: &JournalEntry) -> String {
    match &entry.what {
        Happening::Accepted => "accepted".to_owned(),
        Happening::Planned { tasks, credentials } => {
            format!("planned: {tasks} tasks, {credentials} credentials")
        }
        Happening::Held { credentials, limit } => format!(
            "held: {credentials} credentials are more than {limit}; `severance cases release` \
             lets it go"
        ),
        Happening::Released { by } => format!("released by {by}"),
        Happening::Intent { action, reason } => format!("about to {action}: {reason}"),
        Happening::Applied { action, request_id } => {
            format!("done: {action}{}", request(request_id.as_deref()))
        }
        Happening::Failed { failure, .. } => format!("failed: {failure}"),
        Happening::Probed { key_id, answer, request_id } => {
            format!("probed {key_id}: {}{}", probe(answer), request(request_id.as_deref()))
        }
        Happening::Tried { version, answer, request_id } => {
            // It may be wanted: of a new value, and of an old one before anything is changed.
            let answer = match answer {
                ProbeAnswer::Accepted { endpoint } => format!("accepted at {endpoint}"),
                other => probe(other),
            };
            format!("tried {version}: {answer}{}", request(request_id.as_deref()))
        }
        Happening::Waiting { until, reason } => {
            format!("waiting until {}: {reason}", until.format("%T%.3fZ"))
        }
        Happening::WouldDo { actions } => {
            let actions: Vec<_> = actions.iter().map(ToString::to_string).collect();
            format!("in observe, would: {}", actions.join("; "))
        }
        Happening::Blocked { reason } => blocked(reason),
        Happening::Done { verification } => format!("verified ({})", verification.as_str()),
        Happening::Retried { by } => format!("tried again, asked by {by}"),
        Happening::Reopened { because } => format!("open again: {because}"),
        Happening::Superseded { by } => format!("superseded by {by}"),
        Happening::Closed { how } => format!("closed: {}", closing(*how)),
        Happening::Found { finding } => format!("found: {finding}"),
    }
}

/// Why a task is not finished, in words. What the next listing ends by itself asks nobody for anything.
pub(super) fn blocked(reason: &BlockReason) -> String {
    if reason.waits_for_listing() { reason.to_string() } else { format!("blocked: {reason}") }
}

/// How a case ended, in words, with how much of it was only observed.
pub(super) fn ended(how: Closing, summary: &CaseSummary) -> String {
    match how {
        Closing::PartlyObserved => format!(
            "{} of {} tasks only observed, the others verified",
            summary.observed, summary.tasks
        ),
        other => closing(other).to_owned(),
    }
}

/// How a case ended, in words.
fn closing(how: Closing) -> &'static str {
    match how {
        Closing::Done => "everything verified",
        Closing::Observed => "observed only, nothing changed",
        Closing::PartlyObserved => "what is enforced is verified, the rest only observed",
        Closing::Superseded => "superseded by a higher revision",
        Closing::NothingToDo => "nothing to do",
    }
}

fn request(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {id})")).unwrap_or_default()
}

fn probe(answer: &ProbeAnswer) -> String {
    match answer {
        ProbeAnswer::Refused { endpoint } => format!("refused at {endpoint}"),
        ProbeAnswer::Accepted { endpoint } => format!("STILL ACCEPTED at {endpoint}"),
        ProbeAnswer::Inconclusive { endpoint, why } => format!("no answer from {endpoint}: {why}"),
        ProbeAnswer::Unavailable { why } => format!("cannot be probed: {why}"),
    }
}
