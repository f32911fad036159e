//! `severance tasks`

use severance_engine::ports::TaskFilter;

use super::cases::tasks_table;
use crate::args::{TasksArgs, TasksCommand};
use crate::client::Client;
use crate::error::Outcome;
use crate::output::{self, Format};

/// Lists tasks, or has blocked ones tried again.
pub(crate) async fn run(client: &Client, args: &TasksArgs, format: Format) -> Outcome {
    if let Some(TasksCommand::Retry { id }) = &args.command {
        let retried = client.retry(id.as_deref()).await?;
        match format {
            Format::Json => output::json(&retried),
            Format::Human => output::line(format!("{} tasks run again now", retried.retried)),
        }
        return Ok(());
    }
    let filter = TaskFilter {
        state: args.state.clone(),
        case: args.case.clone().map(Into::into),
        zone: args.zone.clone().map(Into::into),
        limit: Some(args.limit),
    };
    let tasks = client.tasks(&filter).await?;
    match format {
        Format::Json => output::json(&tasks),
        Format::Human if tasks.is_empty() => output::line("no tasks"),
        Format::Human => output::line(tasks_table(&tasks)),
    }
    Ok(())
}
