//! The severance command: reads flags and configuration, builds, runs, drains, and says once what
//! went wrong.

#![forbid(unsafe_code)]

mod args;
mod client;
mod clock;
mod commands;
mod config;
mod demo;
mod entropy;
mod error;
mod output;
mod sandbox;
mod worker;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};
use severance_telemetry::{Chain, LogFormat};

use args::{Cli, Command};
use client::Client;
use error::{Doing, Failure, Outcome};
use output::Format;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match no_core_dumps().and_then(|()| runtime()).and_then(|runtime| runtime.block_on(run(&cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "severance: {}", Chain(&failure));
            failure.exit_code()
        }
    }
}

/// Secret halves of keys are in memory while they are probed: a core dump would write them to disk.
fn no_core_dumps() -> Outcome {
    const DOING: &str = "core dumps cannot be switched off";
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).doing(DOING)?;
    // The limit does not hold where the kernel pipes dumps to a program (core(5)); this does, and
    // keeps other processes of the same user from reading our memory.
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing(DOING)?;
    Ok(())
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .doing("the runtime cannot be started")
}

async fn run(cli: &Cli) -> Outcome {
    let global = &cli.global;
    let format = Format::of(global.json);
    if let Command::Run = &cli.command {
        let config = client::required(global)?;
        severance_telemetry::init_logging(config.log.format, &config.log.filter)
            .doing("logging cannot be set up")?;
        return commands::run::run(&config).await;
    }
    quiet_logging()?;
    match &cli.command {
        Command::Run => Err(Failure::new("unreachable: handled above")),
        Command::Demo(args) => demo::run(args, format).await,
        Command::Sandbox(args) => commands::sandbox::run(args, format).await,
        Command::Schema { name } => commands::schema::run(name.as_deref(), global.json),
        Command::Check => Box::pin(commands::check::run(global, format)).await,
        Command::Publish(command) => commands::publish::run(global, command, format).await,
        Command::Rotate(args) => commands::publish::rotate(global, args, format).await,
        Command::Cases(args) => commands::cases::cases(&Client::new(global)?, args, format).await,
        Command::Case { id } => commands::cases::case(&Client::new(global)?, id, format).await,
        Command::Tasks(args) => commands::tasks::run(&Client::new(global)?, args, format).await,
    }
}

/// Commands answer on standard output; their logs tell of trouble alone, unless the same variable
/// that sets the worker's filter asks for more.
fn quiet_logging() -> Outcome {
    let filter =
        std::env::var("SEVERANCE__LOG__FILTER").unwrap_or_else(|_| "error,rdkafka=off".to_owned());
    severance_telemetry::init_logging(LogFormat::Human, &filter).doing("logging cannot be set up")
}
