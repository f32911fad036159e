//! `severance demo`: the whole thing at work, and a judge that does not take the worker's word.
//!
//! 1. A scenario is generated from the seed, and put into an embedded AWS whose changes hold late.
//! 2. The same worker as `severance run` is started against it.
//! 3. Each event's credentials are tried, by the demo itself; then the event is published, some of
//!    them twice, with malformed ones among them. Some secrets are compromised in the middle of a
//!    rotation.
//! 4. When the worker has nothing more to do, every credential is tried again. What the worker said
//!    is shown; what the demo saw decides the exit code.

mod attempts;
mod credentials;
mod events;
mod judge;
mod malformed;
mod outcome;
mod progress;
mod receiver;
mod report;
mod rotated;
mod rotation_times;
mod rotations;
mod scenario;
mod secrets;
mod seeding;
mod seeding_secrets;
mod stage;
mod vault;

use std::time::Duration;

use severance_engine::ports::Clock;

use crate::args::DemoArgs;
use crate::clock::SystemClock;
use crate::error::Outcome;
use crate::output::{self, Format};
use crate::worker::Worker;

use attempts::Bench;
use credentials::Seeded;
use judge::Verdict;
use progress::Progress;
use report::Report;
use scenario::Scenario;
use stage::Stage;

/// How long the worker has, once everything is published. It needs a third of it on a machine of its
/// own; what is not done by then is counted as it stands.
fn patience(identities: usize) -> Duration {
    Duration::from_mins(2) + Duration::from_millis(500) * u32::try_from(identities).unwrap_or(0)
}

/// Runs the demo.
pub(crate) async fn run(args: &DemoArgs, format: Format) -> Outcome {
    let clock = SystemClock;
    let began = clock.now();
    let scenario = Scenario::generate(args.identities as usize, args.seed);
    let mut progress = Progress::new(format);
    progress.say("starting an embedded Kafka and AWS");
    let stage = Box::pin(Stage::set(args.seed)).await?;
    let played = play(&stage, &scenario, &mut progress).await;
    progress.finish();
    stage.strike().await;
    let (report, verdict) = played?;
    match format {
        Format::Json => output::json(&report.summary()),
        Format::Human => report.print(&verdict, (clock.now() - began).as_seconds_f64()),
    }
    report.into_outcome(&verdict)
}

async fn play(
    stage: &Stage,
    scenario: &Scenario,
    progress: &mut Progress,
) -> Outcome<(Report, Verdict)> {
    let (count, zones) = (scenario.identities.len(), scenario::ZONES.len());
    progress.say(&format!(
        "seeding {count} identities and {} secrets in {zones} zones and two accounts",
        scenario.secrets.len()
    ));
    let bench = Bench::new(stage);
    let seeded = seeding::seed(stage, &bench, scenario).await?;
    progress.say("starting the worker");
    let worker = Box::pin(stage.enter()).await?;
    let show = Show { stage, scenario, bench: &bench, seeded: &seeded, worker: &worker };
    let played = show.go_on(progress).await;
    worker.drain().await;
    played
}

/// What there is once the worker runs.
struct Show<'a> {
    stage: &'a Stage,
    scenario: &'a Scenario,
    bench: &'a Bench<'a>,
    seeded: &'a Seeded,
    worker: &'a Worker,
}

impl Show<'_> {
    async fn go_on(&self, progress: &mut Progress) -> Outcome<(Report, Verdict)> {
        let Self { stage, scenario, bench, seeded, .. } = *self;
        let queries = self.worker.queries();
        progress.say("trying each credential, then publishing its notice");
        let told = events::tell(stage, bench, scenario, seeded).await?;
        progress.watch(&*queries, &told, patience(scenario.identities.len())).await?;
        progress.say("trying every credential again");
        let mut verdict = judge::judge(bench, seeded, &told).await?;
        verdict.rotated = rotated::judge(bench, scenario, seeded, &told).await?;
        Ok((Report::new(&*queries, told, &verdict).await?, verdict))
    }
}
