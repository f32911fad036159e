//! The scenario's secrets: what they hold, and why each is rotated.

use rand::rngs::StdRng;
use rand::{Rng, seq::IndexedRandom};
use severance_lifecycle::event::{Cause, ContractChange, Severity};

use super::scenario::{Event, OURS, Scenario, What, ZONES};

/// At least so many secrets of each strategy.
const FEWEST: usize = 10;
/// At most so many: a case that names them all stays under the blast radius.
const MOST: usize = 60;

/// A secret whose value opens something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldSecret {
    pub(super) name: String,
    pub(super) zone: usize,
    pub(super) account: &'static str,
    pub(super) strategy: Strategy,
    pub(super) fate: Fate,
    /// The contract whose end it is rotated for.
    pub(super) contract: Option<String>,
}

/// How a secret says that it is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// It holds a user's access key.
    IamAccessKey,
    /// It has a rotation function of its own, which the sandbox runs.
    Managed,
    /// The demo's own endpoint is told.
    Webhook,
    /// Its tag says what no strategy is called.
    Unheard,
}

/// What becomes of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Somebody asks for its rotation.
    Requested,
    /// It is rotated with everything else of its owner, who changed.
    OwnerChange,
    /// It is rotated with others that a subcontractor knew.
    SubcontractorChange,
    /// It is compromised.
    Compromised,
    /// It is compromised while a rotation of it is at this moment.
    CompromisedAmid(Moment),
    /// A contract ends whose people shared it with others.
    Shared,
}

/// A moment in the middle of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The new value is stored and its issuer accepts it; it is not handed out yet.
    Pending,
    /// The new value is handed out, and the old one has its grace.
    Grace,
}

impl Strategy {
    /// What the tag says.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::IamAccessKey => "iam-access-key",
            Self::Managed => "managed",
            Self::Webhook => "webhook",
            Self::Unheard => "by-hand",
        }
    }
}

impl HeldSecret {
    /// Whether it is to hand out another value at the end.
    pub(super) fn is_rotated(&self) -> bool {
        self.strategy != Strategy::Unheard
    }

    /// The owner that its tag names.
    pub(super) fn owner(&self) -> String {
        match self.fate {
            Fate::OwnerChange => leaving_owner(self.zone),
            _ => "platform-team".to_owned(),
        }
    }
}

/// Who hands over what they own in a zone.
pub(super) fn leaving_owner(zone: usize) -> String {
    format!("{}-integrations", ZONES[zone])
}

impl Scenario {
    /// Adds secrets of every strategy, and what happens to them.
    pub(super) fn add_secrets(&mut self, identities: usize, random: &mut StdRng) {
        let each = (identities / 25).clamp(FEWEST, MOST);
        for strategy in [Strategy::IamAccessKey, Strategy::Managed, Strategy::Webhook] {
            for number in 0..each {
                self.add_secret(strategy, fate(strategy, number), number, random);
            }
        }
        self.add_secret(Strategy::Unheard, Fate::Requested, 0, random);
        self.rotations();
        self.compromised_secrets(random);
    }

    fn add_secret(&mut self, strategy: Strategy, fate: Fate, number: usize, random: &mut StdRng) {
        const FOR: [&str; 5] = ["crm", "mail", "ledger", "search", "maps"];
        let ending = (fate == Fate::Shared).then(|| self.contract_that_ends()).flatten();
        let zone = ending.as_ref().map_or(number % ZONES.len(), |(_, zone, _)| *zone);
        let work = FOR.choose(random).copied().unwrap_or("work");
        let tag = strategy.tag();
        if let Some((event, ..)) = ending {
            self.events[event].secrets.push(self.secrets.len());
        }
        self.secrets.push(HeldSecret {
            name: format!("{}/{work}-{tag}-{number}", ZONES[zone]),
            zone,
            account: OURS[usize::from(random.random_ratio(1, 3))],
            strategy,
            fate,
            contract: ending.map(|(_, _, contract)| contract),
        });
    }

    /// The place, the zone and the name of a contract that one event ends at once.
    fn contract_that_ends(&self) -> Option<(usize, usize, String)> {
        self.events.iter().enumerate().find_map(|(place, event)| match &event.what {
            What::ContractEnd {
                zone,
                contract,
                change: ContractChange::Ended,
                revision: 1,
                effective_in,
            } if event.ends && effective_in.is_zero() => Some((place, *zone, contract.clone())),
            _ => None,
        })
    }

    /// Places of secrets of these fates.
    fn fated(&self, is_it: impl Fn(&HeldSecret) -> bool) -> Vec<usize> {
        (0..self.secrets.len()).filter(|place| is_it(&self.secrets[*place])).collect()
    }

    fn rotations(&mut self) {
        let alone =
            self.fated(|secret| matches!(secret.fate, Fate::Requested | Fate::CompromisedAmid(_)));
        for place in alone {
            let id = format!("rotation-{}", self.secrets[place].name);
            self.rotation(id, Cause::Requested, None, vec![place]);
        }
        for (zone, name) in ZONES.iter().enumerate() {
            let of = |fate| self.fated(|secret| secret.fate == fate && secret.zone == zone);
            let (owned, known) = (of(Fate::OwnerChange), of(Fate::SubcontractorChange));
            let who = Some(leaving_owner(zone));
            self.rotation(format!("owner-change-{name}"), Cause::OwnerChange, who, owned);
            let id = format!("subcontractor-change-{name}");
            self.rotation(id, Cause::SubcontractorChange, None, known);
        }
    }

    fn rotation(&mut self, id: String, cause: Cause, owner: Option<String>, secrets: Vec<usize>) {
        if secrets.is_empty() {
            return;
        }
        let what = What::Rotation { cause, owner };
        self.events.push(Event { id, what, about: Vec::new(), secrets, ends: false });
    }

    fn compromised_secrets(&mut self, random: &mut StdRng) {
        const LEVELS: [Severity; 2] = [Severity::High, Severity::Critical];
        for (place, secret) in self.secrets.iter().enumerate() {
            let amid = matches!(secret.fate, Fate::CompromisedAmid(_));
            if !amid && secret.fate != Fate::Compromised {
                continue;
            }
            let notice = Event {
                id: format!("notice-{}", secret.name),
                what: What::Compromise {
                    severity: LEVELS.choose(random).copied().unwrap_or(Severity::High),
                },
                about: Vec::new(),
                secrets: vec![place],
                ends: false,
            };
            if amid { self.takeovers.push(notice) } else { self.events.push(notice) }
        }
    }
}

/// Of every ten that can be proven dead, four are more than routine. What a rotation function replaced is
/// its own word, which is enough for a routine rotation alone.
fn fate(strategy: Strategy, number: usize) -> Fate {
    let odd = (number / 10 + usize::from(strategy == Strategy::Webhook)) % 2 == 1;
    match (strategy, number % 10) {
        (Strategy::IamAccessKey | Strategy::Webhook, 0) => {
            Fate::CompromisedAmid(if odd { Moment::Pending } else { Moment::Grace })
        }
        (Strategy::IamAccessKey | Strategy::Webhook, 1) => {
            Fate::CompromisedAmid(if odd { Moment::Grace } else { Moment::Pending })
        }
        (Strategy::IamAccessKey | Strategy::Webhook, 2) => Fate::Compromised,
        (Strategy::IamAccessKey | Strategy::Webhook, 3) => Fate::Shared,
        (_, 4 | 7) => Fate::OwnerChange,
        (_, 5 | 8) => Fate::SubcontractorChange,
        _ => Fate::Requested,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_has_ten_secrets_and_every_fate_that_its_proof_allows() {
        for identities in [40, 500] {
            let scenario = Scenario::generate(identities, 5);
            for strategy in [Strategy::IamAccessKey, Strategy::Managed, Strategy::Webhook] {
                let of: Vec<_> =
                    scenario.secrets.iter().filter(|secret| secret.strategy == strategy).collect();
                assert_eq!(of.len(), (identities / 25).max(10), "{strategy:?}");
                let has = |fate| of.iter().any(|secret| secret.fate == fate);
                for fate in [Fate::Requested, Fate::OwnerChange, Fate::SubcontractorChange] {
                    assert!(has(fate), "{strategy:?} {fate:?}");
                }
                for fate in [
                    Fate::Compromised,
                    Fate::Shared,
                    Fate::CompromisedAmid(Moment::Pending),
                    Fate::CompromisedAmid(Moment::Grace),
                ] {
                    assert_eq!(has(fate), strategy != Strategy::Managed, "{strategy:?} {fate:?}");
                }
            }
        }
    }

    #[test]
    fn each_secret_has_one_event_and_a_second_where_it_is_compromised_amid_the_first() {
        let scenario = Scenario::generate(300, 2);
        let named = |events: &[Event], place| {
            events.iter().filter(|event| event.secrets.contains(&place)).count()
        };
        for (place, secret) in scenario.secrets.iter().enumerate() {
            assert_eq!(named(&scenario.events, place), 1, "{secret:?}");
            let amid = usize::from(matches!(secret.fate, Fate::CompromisedAmid(_)));
            assert_eq!(named(&scenario.takeovers, place), amid, "{secret:?}");
        }
    }
}
