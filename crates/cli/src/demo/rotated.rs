//! The judge of rotations: every value that a secret ever held is tried, whatever the worker says.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::attempts::Bench;
use super::credentials::Seeded;
use super::events::Told;
use super::scenario::Scenario;
use crate::error::Outcome;

/// Secrets at once.
const AT_ONCE: usize = 16;

/// What the demo saw of the rotations at the end.
#[derive(Debug, Default)]
pub(super) struct Rotated {
    /// Values, and sessions opened with them, that are not handed out any more and still work.
    pub(super) old_usable: Vec<String>,
    /// Values that are handed out and do not work.
    pub(super) current_unusable: Vec<String>,
    /// Secrets that hand out what they did before, or another value though nobody could rotate them.
    pub(super) astray: Vec<String>,
    /// How many values were tried.
    pub(super) tried: usize,
    /// Of how many secrets.
    pub(super) secrets: usize,
}

/// Tries everything.
pub(super) async fn judge(
    bench: &Bench<'_>,
    scenario: &Scenario,
    seeded: &Seeded,
    told: &Told,
) -> Outcome<Rotated> {
    let here = Judging { bench, scenario, seeded };
    let places: BTreeSet<usize> = told.rotated.union(&told.blocked).copied().collect();
    let judged = stream::iter(places).map(|place| here.one(place, told.rotated.contains(&place)));
    let judged: Vec<Rotated> = judged.buffered(AT_ONCE).try_collect().await?;
    Ok(judged.into_iter().fold(Rotated::default(), Rotated::and))
}

struct Judging<'a> {
    bench: &'a Bench<'a>,
    scenario: &'a Scenario,
    seeded: &'a Seeded,
}

impl Judging<'_> {
    async fn one(&self, place: usize, to_rotate: bool) -> Outcome<Rotated> {
        let holder = &self.seeded.secrets[place];
        let name = &self.scenario.secrets[place].name;
        let mut seen = Rotated { secrets: 1, ..Rotated::default() };
        let mut current = None;
        for version in self.bench.vault.versions(&holder.arn).await? {
            // One that was begun and never had a value opens nothing.
            let Some(value) = self.bench.vault.version(&holder.arn, &version.id).await? else {
                continue;
            };
            seen.tried += 1;
            let is_current = version.has("AWSCURRENT");
            match (is_current, self.bench.opens(holder, &value, is_current).await?) {
                (true, Err(refused)) => seen.current_unusable.push(format!("{name}: {refused}")),
                (false, Ok(())) => {
                    seen.old_usable.push(format!("version {} of {name}", version.id));
                }
                (true, Ok(())) | (false, Err(_)) => {}
            }
            if is_current {
                current = Some(value);
            }
        }
        let Some(current) = current else {
            seen.current_unusable.push(format!("{name}: no value is current"));
            return Ok(seen);
        };
        if (current != holder.first) != to_rotate {
            seen.astray.push(name.clone());
        }
        if let Some(session) = &holder.session {
            seen.tried += 1;
            if self.bench.use_session(session).await?.is_ok() {
                seen.old_usable.push(format!("a live session of the old key of {name}"));
            }
        }
        Ok(seen)
    }
}

impl Rotated {
    fn and(mut self, other: Self) -> Self {
        self.old_usable.extend(other.old_usable);
        self.current_unusable.extend(other.current_unusable);
        self.astray.extend(other.astray);
        self.tried += other.tried;
        self.secrets += other.secrets;
        self
    }
}
