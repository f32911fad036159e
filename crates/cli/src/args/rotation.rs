//! Flags of a rotation, which two commands share.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, ValueEnum};
use severance_lifecycle::event::Cause;

use super::{EventArgs, SelectorArgs, WaitArgs, time};

pub(super) const PUBLISH_EXAMPLES: &str = "\
Examples:
  severance publish rotation --secret acme/payments/api --cause requested --grace 4h --wait
  severance publish rotation --contract payments-2026 --cause subcontractor-change \\
      --not-before 2026-12-31T22:00:00Z --ticket CHG-99

Everything that the selectors name is rotated, whatever the cause. The case closes once the new
credentials are handed out, the grace is over and the old ones are proven dead: --wait waits for
that, without a limit unless --wait-for sets one.";

pub(super) const ROTATE_EXAMPLES: &str = "\
Examples:
  severance rotate --secret acme/payments/api --grace 4h
  severance rotate --zone acme --cause support-handoff --grace 0s --ticket CHG-99
  severance rotate --secret acme/payments/api --wait-for 30m --json | jq .summary

As `severance publish rotation --wait`: it ends when the case closes, which is once the new
credentials are handed out, the grace is over and the old ones are proven dead. Stopping the
command stops nothing else; `severance case ID` shows how far it is.";

/// What is rotated, and how.
#[derive(Debug, Args)]
pub(crate) struct RotationArgs {
    #[command(flatten)]
    pub(crate) names: SelectorArgs,
    /// Why
    #[arg(long, value_enum, default_value_t = CauseName::Requested)]
    pub(crate) cause: CauseName,
    /// How long old credentials keep working once new ones are handed out [default: the zone's]
    #[arg(long, value_name = "DURATION", value_parser = grace)]
    pub(crate) grace: Option<TimeDelta>,
    /// Begin then, RFC 3339 [default: at once]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) not_before: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub(crate) event: EventArgs,
}

/// `severance publish rotation`
#[derive(Debug, Args)]
pub(crate) struct PublishRotationArgs {
    #[command(flatten)]
    pub(crate) rotation: RotationArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// `severance rotate`
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) rotation: RotationArgs,
    /// Give up waiting after this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) wait_for: Option<Duration>,
}

/// [`Cause`] as a flag has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CauseName {
    /// A calendar says so
    Scheduled,
    /// Somebody asked
    Requested,
    /// The credentials' owner changed
    OwnerChange,
    /// The partner changed a subcontractor
    SubcontractorChange,
    /// Support was handed over to others
    SupportHandoff,
    /// They are older than their zone allows
    Policy,
}

impl From<CauseName> for Cause {
    fn from(name: CauseName) -> Self {
        match name {
            CauseName::Scheduled => Self::Scheduled,
            CauseName::Requested => Self::Requested,
            CauseName::OwnerChange => Self::OwnerChange,
            CauseName::SubcontractorChange => Self::SubcontractorChange,
            CauseName::SupportHandoff => Self::SupportHandoff,
            CauseName::Policy => Self::Policy,
        }
    }
}

/// A grace as people write durations. An event has no fractions of a second.
fn grace(text: &str) -> Result<TimeDelta, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match TimeDelta::from_std(duration) {
        Ok(delta) if duration.subsec_nanos() == 0 && delta <= TimeDelta::days(999) => Ok(delta),
        _ => Err("not in whole seconds up to 999 days".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_can_be_given_by_its_name() {
        let named = CauseName::value_variants().iter().map(|name| {
            let cause = Cause::from(*name);
            let possible = name.to_possible_value();
            (cause, possible.is_some_and(|value| value.matches(cause.as_str(), false)))
        });
        assert_eq!(named.collect::<Vec<_>>(), Cause::ALL.map(|cause| (cause, true)));
    }

    #[test]
    fn a_grace_is_whole_seconds() {
        assert_eq!(grace("2h 30m"), Ok(TimeDelta::minutes(150)));
        assert_eq!(grace("0s"), Ok(TimeDelta::zero()));
        for wrong in ["", "2", "1.5s", "500ms", "1000d", "-1h"] {
            assert!(grace(wrong).is_err(), "{wrong}");
        }
    }
}
