//! The scenario: who there is and what happens to them, from a seed alone.

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use severance_lifecycle::event::{Cause, ContractChange, Severity};

use super::secrets::HeldSecret;

/// The zones: three partners.
pub(super) const ZONES: [&str; 3] = ["acme", "globex", "initech"];
/// Our accounts: the worker's own, and one that it takes a role in.
pub(super) const OURS: [&str; 2] = ["111111111111", "222222222222"];
/// The partners' own accounts, by zone: their integrators take roles of ours from there.
pub(super) const PARTNERS: [&str; 3] = ["333333333333", "444444444444", "555555555555"];

/// The most identities of one contract: few enough that a case stays under the blast radius.
const CONTRACT_SIZE: usize = 8;

/// In seconds.
const YEAR: i64 = 365 * 86_400;

/// Who there is and what happens.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) identities: Vec<Identity>,
    pub(super) secrets: Vec<HeldSecret>,
    pub(super) events: Vec<Event>,
    /// Notices of secrets, each in the middle of a rotation that one of `events` asks for.
    pub(super) takeovers: Vec<Event>,
    /// How many events, one after the other, belong together and are published in this order.
    pub(super) units: Vec<usize>,
    /// Events (by their place in `events`) that are published a second time.
    pub(super) duplicates: Vec<usize>,
    /// Records that are no valid events.
    pub(super) malformed: usize,
}

/// One identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) zone: usize,
    pub(super) account: &'static str,
    pub(super) kind: Kind,
    pub(super) contract: Option<String>,
}

/// What an identity is and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A user with one key, whose secret half a secret holds, and a live session.
    KeyHeld,
    /// A user with two keys and no secret: one is compromised, the other must go on working.
    KeyBare,
    /// A user with every kind of credential and a live session.
    WholeUser,
    /// A role that the partner takes, with a live session.
    Role,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) what: What,
    /// The identities that it is about.
    pub(super) about: Vec<usize>,
    /// The secrets that it is about.
    pub(super) secrets: Vec<usize>,
    /// Whether the identities' credentials are to be dead at the end.
    pub(super) ends: bool,
}

/// What an event says.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A compromise of everything in `about`, in whatever way each is named.
    Compromise { severity: Severity },
    /// A contract's revision.
    ContractEnd {
        zone: usize,
        contract: String,
        change: ContractChange,
        revision: u64,
        /// Relative to the moment of publishing.
        effective_in: TimeDelta,
    },
    /// Secrets are to be rotated: all that an owner's tag is on, or each by its ARN.
    Rotation { cause: Cause, owner: Option<String> },
}

impl Identity {
    /// The role that this user alone takes: a session of it outlives the user's key unless it is cut.
    pub(super) fn takes_role(&self) -> Option<String> {
        let takes = self.kind == Kind::WholeUser && self.contract.is_none();
        takes.then(|| format!("{}-job", self.name))
    }
}

impl Scenario {
    /// The scenario of a seed: the same for the same arguments.
    pub(super) fn generate(identities: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut scenario = Self {
            identities: population(identities, &mut random),
            secrets: Vec::new(),
            events: Vec::new(),
            takeovers: Vec::new(),
            units: Vec::new(),
            duplicates: Vec::new(),
            malformed: 5 + identities / 50,
        };
        scenario.contracts();
        scenario.compromises(&mut random);
        scenario.add_secrets(identities, &mut random);
        scenario.shuffle(&mut random);
        let count = scenario.events.len().div_ceil(8);
        let mut places: Vec<_> = (0..scenario.events.len()).collect();
        places.shuffle(&mut random);
        scenario.duplicates = places.into_iter().take(count).collect();
        scenario
    }

    /// Ties what no notice will name to contracts, and ends those in every way that there is.
    fn contracts(&mut self) {
        for (zone, name) in ZONES.iter().enumerate() {
            let bound: Vec<_> = (0..self.identities.len())
                .filter(|i| self.identities[*i].zone == zone && bound(*i))
                .collect();
            let size = bound.len().div_ceil(2).clamp(1, CONTRACT_SIZE);
            for (number, about) in bound.chunks(size).enumerate() {
                let contract = format!("{name}-{}", 2_020 + number);
                for identity in about {
                    self.identities[*identity].contract = Some(contract.clone());
                }
                self.end(zone, &contract, about, zone + number);
            }
        }
    }

    fn end(&mut self, zone: usize, contract: &str, about: &[usize], way: usize) {
        let mut revision = |revision, change, seconds, ends| {
            self.events.push(Event {
                id: format!("{contract}-r{revision}"),
                about: about.to_vec(),
                secrets: Vec::new(),
                ends,
                what: What::ContractEnd {
                    zone,
                    contract: contract.to_owned(),
                    change,
                    revision,
                    effective_in: TimeDelta::seconds(seconds),
                },
            });
        };
        match way % 4 {
            // It ends now.
            0 => revision(1, ContractChange::Ended, 0, true),
            // It ends in a moment: a timer.
            1 => revision(1, ContractChange::Ended, 8, true),
            // It was to end, and is extended first: nothing happens to it.
            2 => {
                revision(1, ContractChange::Ended, 15, false);
                revision(2, ContractChange::Extended, YEAR, false);
            }
            // The end arrives before the extension that it withdraws: the higher revision wins.
            _ => {
                revision(2, ContractChange::Ended, 0, true);
                revision(1, ContractChange::Extended, YEAR, true);
            }
        }
    }

    fn compromises(&mut self, random: &mut StdRng) {
        const LEVELS: [Severity; 3] = [Severity::Medium, Severity::High, Severity::Critical];
        for (place, identity) in self.identities.iter().enumerate() {
            if identity.contract.is_some() {
                continue;
            }
            let severity = match identity.kind {
                Kind::Role | Kind::WholeUser => Severity::Critical,
                Kind::KeyHeld | Kind::KeyBare => {
                    LEVELS.choose(random).copied().unwrap_or(Severity::High)
                }
            };
            self.events.push(Event {
                id: format!("notice-{}", identity.name),
                what: What::Compromise { severity },
                about: vec![place],
                secrets: Vec::new(),
                ends: true,
            });
        }
    }

    /// Any order, but for the two revisions of one contract, whose order of arrival is their point:
    /// they stay together.
    fn shuffle(&mut self, random: &mut StdRng) {
        let mut units: Vec<Vec<Event>> = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match units.last_mut() {
                Some(unit)
                    if event.contract().is_some() && unit[0].contract() == event.contract() =>
                {
                    unit.push(event);
                }
                _ => units.push(vec![event]),
            }
        }
        units.shuffle(random);
        self.units = units.iter().map(Vec::len).collect();
        self.events = units.into_iter().flatten().collect();
    }

    /// How many cases stay open: those of the extended contracts, a year from now.
    pub(super) fn stay_open(&self) -> usize {
        let extended = |event: &&Event| {
            !event.ends
                && matches!(event.what, What::ContractEnd { change: ContractChange::Extended, .. })
        };
        self.events.iter().filter(extended).count()
    }
}

impl Event {
    fn contract(&self) -> Option<&str> {
        match &self.what {
            What::ContractEnd { contract, .. } => Some(contract),
            What::Compromise { .. } | What::Rotation { .. } => None,
        }
    }
}

/// Of every 20 identities, seven are tied to a contract.
fn bound(place: usize) -> bool {
    matches!(place % 20, 13..=19)
}

fn population(count: usize, random: &mut StdRng) -> Vec<Identity> {
    const WORK: [&str; 6] = ["deploy", "backup", "billing", "metrics", "support", "etl"];
    (0..count)
        .map(|place| {
            let kind = match place % 20 {
                0..=6 | 18 => Kind::KeyHeld,
                7..=9 => Kind::KeyBare,
                12 | 19 => Kind::Role,
                _ => Kind::WholeUser,
            };
            // Steps that share no factor with 20: every zone and account has every kind.
            let zone = place % ZONES.len();
            let work = WORK.choose(random).copied().unwrap_or("work");
            Identity {
                name: format!("{}-{work}-{place}", ZONES[zone]),
                zone,
                account: OURS[usize::from(random.random_ratio(1, 3))],
                kind,
                contract: None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_one_story_and_another_seed_another() {
        let text = |seed| format!("{:?}", Scenario::generate(60, seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn the_smallest_scenario_has_every_kind_and_every_way_to_end() {
        let scenario = Scenario::generate(40, 1);
        assert_eq!(scenario.identities.len(), 40);
        for kind in [Kind::KeyHeld, Kind::KeyBare, Kind::WholeUser, Kind::Role] {
            let of_kind = |contract: bool| {
                let same = |i: &&Identity| i.kind == kind && i.contract.is_some() == contract;
                scenario.identities.iter().filter(same).count()
            };
            assert!(of_kind(false) > 0, "no compromised {kind:?}");
            assert!(kind == Kind::KeyBare || of_kind(true) > 0, "no contract has a {kind:?}");
        }
        let seconds: Vec<_> = scenario
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::ContractEnd { effective_in, revision, .. } => {
                    Some((effective_in.num_seconds(), *revision, event.ends))
                }
                What::Compromise { .. } | What::Rotation { .. } => None,
            })
            .collect();
        assert!(seconds.iter().any(|(s, _, ends)| *s > 0 && *s < 60 && *ends), "one in the future");
        assert!(scenario.stay_open() > 0, "one extended");
        assert!(seconds.iter().any(|(_, revision, ends)| *revision == 2 && *ends), "out of order");
    }

    #[test]
    fn revisions_arrive_in_the_order_that_is_their_point() {
        for seed in 0..20 {
            let scenario = Scenario::generate(200, seed);
            let mut first: std::collections::BTreeMap<&str, u64> =
                std::collections::BTreeMap::new();
            for event in &scenario.events {
                if let What::ContractEnd { contract, revision, .. } = &event.what {
                    let known = *first.entry(contract.as_str()).or_insert(*revision);
                    let out_of_order = known == 2;
                    assert!(event.ends || !out_of_order, "seed {seed}: {event:?}");
                }
            }
        }
    }

    #[test]
    fn no_case_reaches_the_blast_radius() {
        let scenario = Scenario::generate(1_000, 3);
        assert!(scenario.events.iter().all(|event| event.about.len() <= CONTRACT_SIZE));
        assert!(scenario.events.iter().all(|event| event.secrets.len() <= 50));
    }
}
