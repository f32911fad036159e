//! `severance cases` and `severance case`

use severance_engine::ports::{CaseDetail, CaseFilter, CaseSummary, TaskDetail};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::task::{Task, TaskState};

use super::timeline;
use crate::args::{CasesArgs, CasesCommand};
use crate::client::Client;
use crate::error::Outcome;
use crate::output::{self, Format};

/// Lists cases, or releases one.
pub(crate) async fn cases(client: &Client, args: &CasesArgs, format: Format) -> Outcome {
    if let Some(CasesCommand::Release { id }) = &args.command {
        let released = client.release(id).await?;
        match format {
            Format::Json => output::json(&released),
            Format::Human => output::line(format!("{} is released", released.released)),
        }
        return Ok(());
    }
    let filter = CaseFilter {
        state: args.state.clone(),
        event_id: args.event_id.clone(),
        zone: args.zone.clone().map(Into::into),
        limit: Some(args.limit),
    };
    let cases = client.cases(&filter).await?;
    match format {
        Format::Json => output::json(&cases),
        Format::Human if cases.is_empty() => output::line("no cases"),
        Format::Human => output::line(list(&cases)),
    }
    Ok(())
}

/// Shows one case.
pub(crate) async fn case(client: &Client, id: &str, format: Format) -> Outcome {
    let detail = client.case(id).await?;
    match format {
        Format::Json => output::json(&detail),
        Format::Human => show(&detail),
    }
    Ok(())
}

fn list(cases: &[CaseSummary]) -> String {
    let mut table =
        output::table(&["case", "trigger", "zone", "noticed", "state", "finished", "blocked"]);
    for summary in cases {
        let CaseSummary { case, tasks, finished, blocked, .. } = summary;
        table.add_row([
            case.id.to_string(),
            case.trigger.as_str().to_owned(),
            zone(summary),
            case.noticed_at.format("%F %TZ").to_string(),
            state(summary),
            format!("{finished}/{tasks}"),
            blocked.to_string(),
        ]);
    }
    table.to_string()
}

/// The zone that its event names, else that of its tasks.
fn zone(summary: &CaseSummary) -> String {
    match (&summary.case.zone, &summary.zones[..]) {
        (Some(zone), _) | (None, [zone]) => zone.to_string(),
        (None, []) => "-".to_owned(),
        (None, _) => "several".to_owned(),
    }
}

fn state(summary: &CaseSummary) -> String {
    match &summary.case.state {
        CaseState::Closed { how } => format!("closed ({})", timeline::ended(*how, summary)),
        CaseState::Held { credentials, limit } => {
            format!("held ({credentials} credentials, limit {limit})")
        }
        other => other.as_str().to_owned(),
    }
}

fn show(detail: &CaseDetail) {
    let case = &detail.summary.case;
    output::line(format!("{}  {}", case.id, state(&detail.summary)));
    output::line(format!("  event     {}", case.event));
    output::line(format!("  trigger   {}", case.trigger.as_str()));
    for (name, value) in [
        ("zone", case.zone.as_ref().map(ToString::to_string)),
        ("contract", case.contract.as_ref().map(ToString::to_string)),
        ("ticket", case.ticket.clone()),
    ] {
        if let Some(value) = value {
            output::line(format!("  {name:<9} {value}"));
        }
    }
    output::line(format!("  noticed   {}", case.noticed_at.format("%F %T%.3fZ")));
    output::line(format!("  received  {}", case.received_at.format("%F %T%.3fZ")));
    if case.start_at > case.received_at {
        output::line(format!("  starts    {}", case.start_at.format("%F %T%.3fZ")));
    }
    output::line("");
    output::line(tasks_table(&detail.tasks));
    if !detail.findings.is_empty() {
        output::line("\nFindings");
        detail.findings.iter().for_each(|finding| output::line(format!("  {finding}")));
    }
    output::line("\nTimeline");
    for entry in &detail.journal {
        let task = entry.entry.task.as_ref().map_or("", |id| id.as_str());
        let at = entry.entry.at.format("%F %T%.3fZ");
        output::line(format!("  {at}  {task:<18}  {}", timeline::words(&entry.entry)));
    }
}

/// Tasks as a table.
pub(super) fn tasks_table(tasks: &[TaskDetail]) -> String {
    let mut table = output::table(&["task", "what", "zone", "desired", "state", "since notice"]);
    for detail in tasks {
        let task = &detail.task;
        table.add_row([
            task.id.to_string(),
            task.target.label(),
            task.binding.zone.to_string(),
            task.desired.as_str().to_owned(),
            task_state(detail),
            revoke_time(task),
        ]);
    }
    table.to_string()
}

fn task_state(detail: &TaskDetail) -> String {
    let task = &detail.task;
    match (&task.state, &detail.last_reason) {
        (TaskState::Blocked { reason }, _) => timeline::blocked(reason),
        (TaskState::Done { .. }, _) if !task.proves_its_end() => {
            "done (what its function replaced is not proven dead)".to_owned()
        }
        (TaskState::Done { verification }, _) => format!("verified ({})", verification.as_str()),
        (TaskState::Open, Some(reason)) => format!("open: {reason}"),
        (other, _) => other.as_str().to_owned(),
    }
}

fn revoke_time(task: &Task) -> String {
    match task.verified_at {
        Some(at) => format!("{:.1} s", (at - task.noticed_at).as_seconds_f64().max(0.0)),
        None => "-".to_owned(),
    }
}
