//! `severance sandbox`

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use severance_sandbox::aws::{KeyPair, SandboxConfig, SandboxHandle, SeedError};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SandboxArgs;
use crate::error::{Doing, Outcome};
use crate::output::{self, Format};
use crate::sandbox::{REGIONS, Running, Wanted, start};

/// What the example seeds.
const ZONE: &str = "acme";
const CONTRACT: &str = "payments-2026";

/// Runs the sandbox until a signal asks it to stop.
pub(crate) async fn run(args: &SandboxArgs, format: Format) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).doing("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).doing("cannot listen for SIGINT")?;
    let wanted = Wanted {
        kafka_port: (args.kafka_port != 0).then_some(args.kafka_port),
        aws: SandboxConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, args.aws_port)),
            accounts: args.accounts.clone(),
            spread_delay: args.spread_delay,
            replica_delay: args.replica_delay,
            published_rates: args.published_rates,
            latency: args.latency,
            seed: args.seed,
            ..SandboxConfig::default()
        },
        ours: args.accounts.clone(),
    };
    let running = start(wanted).await?;
    let example = match args.accounts.first() {
        Some(account) if args.seed_example => {
            Some(seed_example(&running.aws, account).doing("the example cannot be seeded")?)
        }
        _ => None,
    };
    let environment = environment(&running, example.as_ref());
    if let Some(path) = &args.env_file {
        write_private(path, &lines(&environment))?;
    }
    if let Some(path) = &args.config_file {
        let text = configuration(&running, args.spread_delay);
        std::fs::write(path, text).doing(format!("cannot write {}", path.display()))?;
    }
    match format {
        Format::Json => {
            let sorted: BTreeMap<_, _> = environment.iter().cloned().collect();
            output::json(&sorted);
        }
        Format::Human => tell(&running, &environment, example.as_ref()),
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.aws.shutdown().await;
    Ok(())
}

/// Keys of the example that a person tries by hand.
struct Example {
    deploy: KeyPair,
    ops: KeyPair,
}

/// One zone and one contract: a user whose key's secret half a secret holds, a user with every kind
/// of credential, and a role that the partner may take.
fn seed_example(aws: &SandboxHandle, account: &str) -> Result<Example, SeedError> {
    let seeder = aws.seed(account)?;
    let tags = [("severance:zone", ZONE), ("severance:contract", CONTRACT)];
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","secretsmanager:ListSecrets","sts:AssumeRole"],"Resource":"*"}]}"#;
    for user in ["acme-deploy", "acme-ops"] {
        seeder.user(user, &tags)?;
        seeder.user_policy(user, "work", policy)?;
    }
    let deploy = seeder.access_key("acme-deploy")?;
    let value = serde_json::json!({
        "access_key_id": deploy.access_key_id,
        "secret_access_key": deploy.secret_access_key,
    });
    let held = [("severance:access-key-id", deploy.access_key_id.as_str())];
    seeder.secret(REGIONS[0], "acme/deploy", &value.to_string(), &held)?;
    let ops = seeder.access_key("acme-ops")?;
    seeder.login_profile("acme-ops", "correct horse battery staple")?;
    seeder.ssh_key("acme-ops", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC acme-ops")?;
    seeder.mfa_device("acme-ops", "acme-ops")?;
    let trust = crate::sandbox::trust(&[format!("arn:aws:iam::{account}:user/acme-deploy")]);
    seeder.role("acme-ci", &trust, &tags)?;
    seeder.role_policy("acme-ci", "work", policy)?;
    Ok(Example { deploy, ops })
}

fn environment(running: &Running, example: Option<&Example>) -> Vec<(String, String)> {
    let mut lines = vec![
        ("SEVERANCE_SANDBOX_KAFKA", running.kafka.bootstrap().to_owned()),
        ("AWS_ENDPOINT_URL", running.aws.endpoint()),
        ("AWS_REGION", REGIONS[0].to_owned()),
        // Version 1 of AWS's command line reads this one alone.
        ("AWS_DEFAULT_REGION", REGIONS[0].to_owned()),
        ("AWS_ACCESS_KEY_ID", running.worker.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", running.worker.secret_access_key.clone()),
    ];
    if let Some(Example { deploy, ops }) = example {
        lines.extend([
            ("ACME_DEPLOY_ACCESS_KEY_ID", deploy.access_key_id.clone()),
            ("ACME_DEPLOY_SECRET_ACCESS_KEY", deploy.secret_access_key.clone()),
            ("ACME_OPS_ACCESS_KEY_ID", ops.access_key_id.clone()),
            ("ACME_OPS_SECRET_ACCESS_KEY", ops.secret_access_key.clone()),
        ]);
    }
    lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn lines(environment: &[(String, String)]) -> String {
    let lines: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.join("\n") + "\n"
}

/// A configuration that fits: the zone of the example is enforced, nothing else is.
fn configuration(running: &Running, spread: std::time::Duration) -> String {
    let spread = humantime::format_duration(spread + std::time::Duration::from_secs(2));
    format!("{}\n[zones.{ZONE}]\nmode = \"enforce\"\nspread = \"{spread}\"\n", running.sections())
}

fn write_private(path: &Path, text: &str) -> Outcome {
    let doing = || format!("cannot write {}", path.display());
    // A file that is there already keeps its mode, which may let others read: made anew instead.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).doing(doing());
        }
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).doing(doing())?;
    file.write_all(text.as_bytes()).doing(doing())
}

fn tell(running: &Running, environment: &[(String, String)], example: Option<&Example>) {
    output::line(
        "The sandbox runs until it is stopped (Ctrl-C). It exists on this machine alone; its",
    );
    output::line("credentials open nothing else.\n");
    output::line(lines(environment));
    output::line("Try, in another terminal, with these lines exported:");
    output::line("  aws sts get-caller-identity");
    output::line(format!(
        "  kcat -b {} -t credential.outcome -C -o beginning",
        running.kafka.bootstrap()
    ));
    if let Some(Example { deploy, .. }) = example {
        output::line(
            "\nThe example: zone acme, contract payments-2026. With a worker running, this ends its key:",
        );
        output::line(format!(
            "  severance publish compromise --access-key-id {} --severity high \\\n      \
             --reporter me --reason 'trying it out' --wait",
            deploy.access_key_id
        ));
        output::line("and this is refused from then on:");
        output::line(
            "  AWS_ACCESS_KEY_ID=$ACME_DEPLOY_ACCESS_KEY_ID \\\n  \
             AWS_SECRET_ACCESS_KEY=$ACME_DEPLOY_SECRET_ACCESS_KEY aws sts get-caller-identity",
        );
    }
}
