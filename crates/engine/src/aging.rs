//! Rotation by age: what zones say of how old a secret may become, asked of the inventory. What is found is
//! an event like any other, and goes in where events do.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use severance_lifecycle::event::{Selector, SelectorTarget};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::plan::{Identity, SecretDetail};
use severance_lifecycle::rotation_schedule::{AgingSecret, SOURCE, data, due, event};
use severance_lifecycle::task::Binding;
use severance_lifecycle::zone::Zones;

use crate::ports::{Arrival, Coordinates, LedgerError};
use crate::shared::Shared;

/// Secrets that are looked at, and rotations that are asked for, at a time.
const PAGE: usize = 200;

/// So many rounds back at most. What was missed for longer has another moment tomorrow: were it all asked
/// for now, what is spread over the day would come at once.
const ROUNDS: i32 = 4;

/// Up to when each account's secrets were looked at.
type Asked = BTreeMap<AccountId, DateTime<Utc>>;

/// Asks for ever; to be dropped when the worker drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = shared.config.aging_every;
    // What the process before this one may not have come to; what it did is dropped on its way in.
    let start = shared.now() - every;
    let mut asked: Asked = shared.provider.accounts().into_iter().map(|id| (id, start)).collect();
    loop {
        let whole = round(&shared, &mut asked).await;
        shared.clock.sleep(if whole { every } else { every / 10 }).await;
    }
}

/// Whether every account was looked at.
async fn round(shared: &Shared, asked: &mut Asked) -> bool {
    let to = shared.now();
    // What was never listed, or whose listing cannot be stored, is not known to be old.
    let listed: Vec<_> = asked.keys().filter(|id| shared.listings.is_listed(id)).cloned().collect();
    let zones = shared.zones();
    let limits = zones.named.values().chain([&zones.default]);
    if limits.map(|zone| &zone.max_age).any(|ages| !ages.is_never()) {
        let earliest = to - shared.config.aging_every * ROUNDS;
        let from = |id: &AccountId| asked.get(id).map(|at| (*at).clamp(earliest, to));
        let from = listed.iter().filter_map(|id| Some((id, from(id)?))).collect();
        let window = Window { from, to, zones: &zones };
        if let Err(error) = ask(shared, &window).await {
            shared.ledger_failed("ask for rotations by age", &error);
            return false;
        }
    }
    let whole = listed.len() == asked.len();
    asked.extend(listed.into_iter().map(|id| (id, to)));
    whole
}

/// What a round looks for.
struct Window<'a> {
    /// Since when, by account.
    from: BTreeMap<&'a AccountId, DateTime<Utc>>,
    to: DateTime<Utc>,
    zones: &'a Zones,
}

/// Goes through all secrets, a page at a time.
async fn ask(shared: &Shared, window: &Window<'_>) -> Result<(), LedgerError> {
    let mut after: Option<String> = None;
    loop {
        let page = shared.ledger.secrets_after(after.as_deref(), PAGE).await?;
        let mut batch = Vec::new();
        for identity in &page {
            batch.extend(rotation(shared, window, identity).await?);
        }
        if !batch.is_empty() {
            shared.ledger.accept(batch).await?;
            shared.urgency.ring();
            shared.urgency.written();
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.arn.clone()),
            _ => return Ok(()),
        }
    }
}

/// The arrival that asks for a secret's rotation, where its moment has come.
async fn rotation(
    shared: &Shared,
    window: &Window<'_>,
    identity: &Identity,
) -> Result<Option<Arrival>, LedgerError> {
    let (Some((_, detail)), Some(from)) = (identity.secret(), window.from.get(&identity.account))
    else {
        return Ok(None);
    };
    // Nobody could rotate it.
    let Some(strategy) = detail.strategy.name() else { return Ok(None) };
    let Some(binding) = binding(shared, identity, detail).await? else { return Ok(None) };
    let zone = window.zones.get(&binding.zone);
    let secret = AgingSecret {
        arn: identity.arn.clone(),
        account: identity.account.clone(),
        strategy: Some(strategy),
        tier: binding.tier,
        stored_at: detail.last_rotated.unwrap_or(identity.created),
        mode: zone.mode,
        deleted: detail.deleted_at.is_some(),
    };
    let moment = due(&secret, &zone.max_age, *from, window.to);
    Ok(moment.map(|moment| arrival(&secret, moment, window.to)))
}

/// Where a secret belongs, as planning has it: its own tags say, and where it has no zone, those of the
/// user whose key it holds. `None` where they name two: nobody can say how old it may become.
async fn binding(
    shared: &Shared,
    identity: &Identity,
    detail: &SecretDetail,
) -> Result<Option<Binding>, LedgerError> {
    let keys = &shared.config.tag_keys;
    let (zones, contracts) = identity.tagged(keys);
    if zones.is_empty() && contracts.is_empty() {
        for key_id in detail.key_ids() {
            let target = SelectorTarget::AccessKeyId(key_id.to_owned());
            let selector = Selector { target, account: None, region: None };
            let owners = shared.ledger.find_identities(&selector).await?;
            if let Some(owner) = owners.first() {
                return Ok(keys.bind(&owner.tags).ok());
            }
        }
    }
    Ok(keys.bind(&identity.tags).ok())
}

/// The event as if it had come in on a topic of the policy's own, at the secret's moment, which its clock
/// begins at. No broker has a topic of that name (Kafka allows no `/` in one), so it is taken for no
/// record that came from outside.
fn arrival(secret: &AgingSecret, moment: DateTime<Utc>, now: DateTime<Utc>) -> Arrival {
    Arrival {
        coordinates: Coordinates {
            topic: SOURCE.to_owned(),
            partition: 0,
            offset: 0,
            timestamp: moment,
        },
        key: Some(secret.arn.clone().into_bytes()),
        value: Some(data(secret).to_string().into_bytes()),
        headers: Vec::new(),
        parsed: event(secret),
        received_at: now,
    }
}
