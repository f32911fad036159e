//! Following one case until it closes.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use severance_engine::ports::CaseDetail;
use severance_lifecycle::case::CaseState;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::task::TaskState;

use super::timeline;
use crate::client::Client;
use crate::error::{Failure, Outcome};
use crate::output::{self, Format};

/// How often the worker is asked. Quick enough to look live, slow enough to cost nothing.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// Shows a case's progress until it closes. Ends badly where everything that is left is blocked, or
/// the case is held, since neither ends without a person (what waits for a listing does); or when `patience` is over, if it has an end.
pub(crate) async fn to_the_end(
    client: &Client,
    case: &CaseId,
    patience: Option<Duration>,
    format: Format,
) -> Outcome {
    let mut view = View::new(format);
    let following = async {
        loop {
            if let Some(detail) = client.case_if_known(case.as_str()).await? {
                view.update(&detail);
                if let Some(end) = end(&detail) {
                    return Ok::<_, Failure>((detail, end));
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    let ended = match patience {
        Some(patience) => tokio::time::timeout(patience, following).await.map_err(|_| patience),
        None => Ok(following.await),
    };
    view.finish();
    let ended = ended.map_err(|patience| {
        Failure::ended_badly(format!(
            "{case} is not closed after {}; it goes on without us",
            humantime::format_duration(patience)
        ))
    })?;
    let (detail, end) = ended?;
    if format == Format::Json {
        output::json(&detail);
    }
    match end {
        End::Closed(how) => {
            if format == Format::Human {
                output::line(format!("{case} closed: {how}"));
            }
            Ok(())
        }
        End::Stuck(why) => Err(Failure::ended_badly(format!("{case} {why}"))),
    }
}

enum End {
    Closed(String),
    Stuck(String),
}

fn end(detail: &CaseDetail) -> Option<End> {
    match &detail.summary.case.state {
        CaseState::Closed { how } => Some(End::Closed(timeline::ended(*how, &detail.summary))),
        CaseState::Held { credentials, limit } => Some(End::Stuck(format!(
            "is held: {credentials} credentials are more than {limit}; `severance cases release` \
             lets it go"
        ))),
        CaseState::Open => {
            let counting = detail.tasks.iter().filter(|detail| detail.task.counts);
            let (mut open, mut blocked) = (0, Vec::new());
            for detail in counting {
                match &detail.task.state {
                    TaskState::Open => open += 1,
                    TaskState::Blocked { reason } if reason.waits_for_listing() => open += 1,
                    TaskState::Blocked { reason } => {
                        blocked.push(format!("{}: {reason}", detail.task.target.label()));
                    }
                    _ => {}
                }
            }
            (open == 0 && !blocked.is_empty())
                .then(|| End::Stuck(format!("is blocked: {}", blocked.join("; "))))
        }
        CaseState::Accepted => None,
    }
}

/// What is waited for, where nothing happens for a while: a start that lies ahead, or what the task that is
/// due last waits for.
fn waits(detail: &CaseDetail) -> String {
    let case = &detail.summary.case;
    if case.state == CaseState::Accepted && case.start_at > case.received_at {
        return format!("; begins at {}", case.start_at.format("%FT%TZ"));
    }
    let open = detail.tasks.iter().filter(|it| it.task.counts && it.task.state == TaskState::Open);
    if let Some((until, reason)) =
        open.filter_map(|it| Some((it.next_at?, it.last_reason.as_ref()?))).max()
    {
        return format!("; until {}: {reason}", until.format("%TZ"));
    }
    let listing = detail.tasks.iter().find_map(|it| match &it.task.state {
        TaskState::Blocked { reason } if it.task.counts && reason.waits_for_listing() => {
            Some(reason)
        }
        _ => None,
    });
    listing.map_or_else(String::new, |reason| format!("; {reason}"))
}

/// Live progress: a bar for someone who watches, lines of the timeline for a log.
struct View {
    bar: Option<ProgressBar>,
    lines: bool,
    shown: i64,
}

impl View {
    fn new(format: Format) -> Self {
        let bar = output::watched().then(|| {
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message("waiting for the worker to take the event");
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, lines: format == Format::Human, shown: i64::MIN }
    }

    fn update(&mut self, detail: &CaseDetail) {
        let summary = &detail.summary;
        if self.lines {
            let new: Vec<_> =
                detail.journal.iter().filter(|entry| entry.sequence > self.shown).collect();
            for entry in new {
                self.shown = entry.sequence;
                let at = entry.entry.at.format("%T%.3fZ");
                let text = format!("{at}  {}", timeline::words(&entry.entry));
                match &self.bar {
                    Some(bar) => bar.suspend(|| output::line(text)),
                    None => output::line(text),
                }
            }
        }
        if let Some(bar) = &self.bar {
            let (finished, tasks, blocked) = (summary.finished, summary.tasks, summary.blocked);
            let state = summary.case.state.as_str();
            let waits = waits(detail);
            bar.set_message(format!(
                "{state}: {finished} of {tasks} verified, {blocked} blocked{waits}"
            ));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
