//! Live progress, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use severance_engine::ports::{Clock, Counts, Queries};

use super::events::Told;
use crate::clock::SystemClock;
use crate::error::{Doing, Outcome};
use crate::output::{self, Format};

/// How often the ledger is asked.
const EVERY: Duration = Duration::from_millis(250);

/// Shows how far the demo is: a bar for someone who watches, lines otherwise.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
}

impl Progress {
    pub(super) fn new(format: Format) -> Self {
        let bar = output::watched().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(style("{spinner:.cyan} [{elapsed}] {msg}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, lines: format == Format::Human }
    }

    /// What happens now.
    pub(super) fn say(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if self.lines => output::note(text),
            None => {}
        }
    }

    /// Shows how the worker goes on until it has nothing more to do, or `patience` is over.
    pub(super) async fn watch(
        &mut self,
        queries: &dyn Queries,
        told: &Told,
        patience: Duration,
    ) -> Outcome {
        let closing = told.accepted - told.stay_open;
        if let Some(bar) = &self.bar {
            bar.set_length(closing);
            bar.set_style(style(
                "{spinner:.cyan} [{elapsed}] {bar:32.cyan/blue} {pos}/{len} cases closed  {msg}",
            ));
        }
        self.say("the worker revokes, rotates and proves");
        let clock = SystemClock;
        let watching = async {
            loop {
                let counts = queries.counts().await.doing("the ledger cannot be asked")?;
                self.show(&counts);
                if done(&counts, told) && clock.now() > told.not_before {
                    return Ok(());
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        let ended = tokio::time::timeout(patience, watching).await;
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner:.cyan} [{elapsed}] {msg}"));
        }
        // Out of patience: what is open is counted as waiting, and tried all the same.
        ended.unwrap_or(Ok(()))
    }

    fn show(&self, counts: &Counts) {
        if let Some(bar) = &self.bar {
            bar.set_position(counts.cases_closed);
            bar.set_message(format!(
                "{} tasks verified, {} under way, {} blocked",
                counts.tasks_done, counts.tasks_open, counts.tasks_blocked
            ));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Everything arrived, nothing is open but what stays open, and nothing waits to be published.
fn done(counts: &Counts, told: &Told) -> bool {
    let arrived = counts.accepted + counts.duplicates + counts.conflicts + counts.dead_lettered;
    // Others that are blocked wait for the secrets to be listed once more.
    let blocked_cases = counts.tasks_blocked.min(told.blocked.len() as u64);
    arrived >= told.published()
        && counts.tasks_open == 0
        && counts.outbox == 0
        && counts.cases_open <= told.stay_open + blocked_cases
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
