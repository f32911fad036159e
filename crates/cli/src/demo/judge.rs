//! The judge: every credential again, whatever the worker says.

use futures::{StreamExt, TryStreamExt, stream};

use super::attempts::Bench;
use super::credentials::{Credential, Seeded};
use super::events::Told;
use super::rotated::Rotated;
use crate::error::Outcome;

/// Tries at once.
const AT_ONCE: usize = 32;

/// What the demo saw at the end.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Credentials that should be dead and work.
    pub(super) usable: Vec<String>,
    /// Credentials that should work and do not: the other key, an extended contract.
    pub(super) broken: Vec<String>,
    /// How many were tried.
    pub(super) tried: usize,
    /// How many of them were to go on working.
    pub(super) spared: usize,
    /// What it saw of the rotations.
    pub(super) rotated: Rotated,
}

/// Tries everything.
pub(super) async fn judge(bench: &Bench<'_>, seeded: &Seeded, told: &Told) -> Outcome<Verdict> {
    let tries = stream::iter(&seeded.credentials).map(|credential: &Credential| async move {
        let to_die = told.ended.contains(&credential.identity) && !credential.bystander;
        let answer =
            if to_die { bench.attempt(credential).await? } else { bench.works(credential).await? };
        Ok::<_, crate::error::Failure>((credential, to_die, answer))
    });
    let answers: Vec<_> = tries.buffered(AT_ONCE).try_collect().await?;
    let mut verdict = Verdict { tried: answers.len(), ..Verdict::default() };
    for (credential, to_die, answer) in answers {
        verdict.spared += usize::from(!to_die);
        match (to_die, answer) {
            (true, Ok(())) => verdict.usable.push(credential.label.clone()),
            (false, Err(refused)) => {
                verdict.broken.push(format!("{}: {refused}", credential.label));
            }
            (true, Err(_)) | (false, Ok(())) => {}
        }
    }
    Ok(verdict)
}
