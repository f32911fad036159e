//! The command line.

mod examples;
mod rotation;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use rotation::{PublishRotationArgs, RotateArgs, RotationArgs};

/// Revokes the credentials that contract ends and compromise notices name, rotates those that
/// rotations name, proves that the old ones are dead, and says how long it took.
#[derive(Debug, Parser)]
#[command(name = "severance", version, propagate_version = true, after_help = examples::ALL)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: severance.toml]
    #[arg(long, global = true, env = "SEVERANCE_CONFIG", value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// The worker's local API [default: as the configuration says, or port 9464 of this machine]
    #[arg(long, global = true, env = "SEVERANCE_API", value_name = "URL")]
    pub(crate) api: Option<String>,
    /// The token for writes [default: from the worker's token file]
    #[arg(
        long,
        global = true,
        env = "SEVERANCE_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[allow(clippy::large_enum_variant, reason = "one value a process, never moved about")]
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the worker until SIGTERM or SIGINT
    #[command(after_help = examples::RUN)]
    Run,
    /// Show the whole thing at work, in an embedded Kafka and AWS
    #[command(after_help = examples::DEMO)]
    Demo(DemoArgs),
    /// Run the embedded Kafka and AWS by themselves
    #[command(after_help = examples::SANDBOX)]
    Sandbox(SandboxArgs),
    /// Print the JSON Schema of an event, in structured mode: its attributes and its data
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// Which one; without it, their names
        name: Option<String>,
    },
    /// Check the configuration, Kafka, and what may be done in each account
    #[command(after_help = examples::CHECK)]
    Check,
    /// Publish an event
    #[command(subcommand, after_help = examples::PUBLISH)]
    Publish(PublishCommand),
    /// Publish a rotation and follow it until the old credentials are proven dead
    #[command(after_help = rotation::ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
    /// List cases, or release one that is held
    #[command(after_help = examples::CASES, args_conflicts_with_subcommands = true)]
    Cases(CasesArgs),
    /// Show one case with its timeline
    #[command(after_help = examples::CASE)]
    Case {
        /// The case, as `c-...`
        id: String,
    },
    /// List tasks, or try blocked ones again
    #[command(after_help = examples::TASKS, args_conflicts_with_subcommands = true)]
    Tasks(TasksArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many identities are seeded, 40 at least
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(40..=5_000))]
    pub(crate) identities: u32,
    /// Varies names, order and choices; the same seed tells the same story
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// The port of the embedded Kafka; 0 takes a free one
    #[arg(long, default_value_t = 19092)]
    pub(crate) kafka_port: u16,
    /// The port of the embedded AWS; 0 takes a free one
    #[arg(long, default_value_t = 14566)]
    pub(crate) aws_port: u16,
    /// Account ids of the embedded AWS
    #[arg(long = "account", value_name = "ID", default_value = "111111111111")]
    pub(crate) accounts: Vec<String>,
    /// How long a change takes to hold, after the control plane shows it
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) spread_delay: std::time::Duration,
    /// How long a change to a secret takes to arrive in its replicas
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) replica_delay: std::time::Duration,
    /// Throttle Secrets Manager at the rates that AWS publishes, per account and region
    #[arg(long)]
    pub(crate) published_rates: bool,
    /// How long each call takes
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) latency: std::time::Duration,
    /// Makes ids and secrets repeatable
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Seed a small example: a zone, a contract, users with keys, a role
    #[arg(long)]
    pub(crate) seed_example: bool,
    /// Write addresses and credentials here as NAME=value lines (made with mode 0600)
    #[arg(long, value_name = "PATH")]
    pub(crate) env_file: Option<PathBuf>,
    /// Write a configuration that fits this sandbox here
    #[arg(long, value_name = "PATH")]
    pub(crate) config_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PublishCommand {
    /// A contract ends, is extended, or is reinstated
    #[command(after_help = examples::CONTRACT_END)]
    ContractEnd(ContractEndArgs),
    /// Credentials are known or believed to be in the wrong hands
    #[command(after_help = examples::COMPROMISE)]
    Compromise(CompromiseArgs),
    /// Credentials are to be replaced, and the old ones to end
    #[command(after_help = rotation::PUBLISH_EXAMPLES)]
    Rotation(PublishRotationArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// CloudEvents id; the same source and id is the same event [default: a new one]
    #[arg(long, value_name = "ID")]
    pub(crate) event_id: Option<String>,
    /// CloudEvents source
    #[arg(long, default_value = "/severance/cli", value_name = "URI")]
    pub(crate) source: String,
    /// The ticket that this belongs to
    #[arg(long)]
    pub(crate) ticket: Option<String>,
    /// Kafka brokers, where no configuration says
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Follow the case until it closes; exits with 3 if it ends blocked or held
    #[arg(long)]
    pub(crate) wait: bool,
    /// Give up waiting after this long [default: 10m; a rotation is waited for until it ends]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        requires = "wait"
    )]
    pub(crate) wait_for: Option<std::time::Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ContractEndArgs {
    /// The contract, as identities are tagged with it
    #[arg(long)]
    pub(crate) contract: String,
    /// The zone that it belongs to
    #[arg(long)]
    pub(crate) zone: String,
    /// When it takes effect, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) effective_at: Option<DateTime<Utc>>,
    /// What happened to the contract
    #[arg(long, value_enum, default_value_t = Change::Ended)]
    pub(crate) change: Change,
    /// A number per contract: the highest wins, whatever the order of arrival
    #[arg(long)]
    pub(crate) revision: u64,
    /// Why, in words, for the record
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) event: EventArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Change {
    /// It ends
    Ended,
    /// It ends later
    Extended,
    /// The end is withdrawn
    Reinstated,
}

#[derive(Debug, Args)]
pub(crate) struct CompromiseArgs {
    #[command(flatten)]
    pub(crate) names: SelectorArgs,
    /// How bad it is
    #[arg(long, value_enum)]
    pub(crate) severity: Level,
    /// Who says so
    #[arg(long)]
    pub(crate) reporter: String,
    /// When it was discovered, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) discovered_at: Option<DateTime<Utc>>,
    /// Where to read more
    #[arg(long, value_name = "URL")]
    pub(crate) evidence_url: Option<String>,
    /// What happened, in words, for the record
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) event: EventArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Level {
    Low,
    Medium,
    High,
    Critical,
}

/// Which credentials; each may be given more than once.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct SelectorArgs {
    /// An access key by its id
    #[arg(long, value_name = "ID")]
    pub(crate) access_key_id: Vec<String>,
    /// An IAM user by name or ARN
    #[arg(long)]
    pub(crate) user: Vec<String>,
    /// An IAM role by name or ARN
    #[arg(long)]
    pub(crate) role: Vec<String>,
    /// A secret by name or ARN
    #[arg(long, value_name = "NAME|ARN")]
    pub(crate) secret: Vec<String>,
    /// Everything bound to a contract
    #[arg(long, value_name = "CONTRACT")]
    pub(crate) contract: Vec<String>,
    /// Everything in a zone
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Vec<String>,
    /// Everything that carries this tag (together with the other --tag)
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Vec<(String, String)>,
    /// Only in this account
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Only in this region
    #[arg(long)]
    pub(crate) region: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CasesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CasesCommand>,
    /// Only in this state
    #[arg(long, value_parser = PossibleValuesParser::new(severance_console::CASE_STATES))]
    pub(crate) state: Option<String>,
    /// Only of the event with this id
    #[arg(long, value_name = "ID")]
    pub(crate) event_id: Option<String>,
    /// Only of this zone
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// Let a held case go
    #[command(after_help = examples::RELEASE)]
    Release {
        /// The case
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TasksCommand>,
    /// Only in this state
    #[arg(long, value_parser = PossibleValuesParser::new(severance_console::TASK_STATES))]
    pub(crate) state: Option<String>,
    /// Only of this case
    #[arg(long, value_name = "ID")]
    pub(crate) case: Option<String>,
    /// Only of this zone
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// Try a blocked task now; without an id, all of them
    #[command(after_help = examples::RETRY)]
    Retry {
        /// The task
        id: Option<String>,
    },
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| "not an RFC 3339 time, for example 2026-12-31T23:59:59Z".to_owned())
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form KEY=VALUE".to_owned()),
    }
}

/// Where the console listens by default, as a URL.
pub(crate) fn url_of(listen: SocketAddr) -> String {
    // An unspecified address is where it listens, not where it can be reached.
    if listen.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_help_and_examples() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        explained(&command);
    }

    /// It and every command below it, but for clap's own `help`.
    fn explained(command: &clap::Command) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        assert!(command.get_about().is_some(), "{name} has no help");
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(examples.starts_with("Examples:\n"), "{name} has no examples");
        assert!(examples.contains(&format!("{name} ")), "{name}: {examples}");
        command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(explained);
    }

    #[test]
    fn a_compromise_must_name_something() {
        let base = ["severance", "publish", "compromise", "--severity", "high"];
        let rest = ["--reporter", "soc", "--reason", "x"];
        let with =
            |extra: &[&str]| Cli::try_parse_from(base.iter().chain(&rest).chain(extra).copied());
        assert!(with(&[]).is_err());
        assert!(with(&["--user", "a", "--access-key-id", "AKIAIOSFODNN7EXAMPLE"]).is_ok());
        assert!(with(&["--tag", "novalue"]).is_err());
    }
}
