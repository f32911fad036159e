//! Planning a claimed case: what its event names becomes tasks.

pub(crate) mod ahead;
mod draft;
mod holding;
mod looks;
pub(crate) mod pages;
mod postponing;
mod times;
mod undoing;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::event::{
    ContractChange, ContractEnd, Payload, Selector, SelectorTarget, Trigger,
};
use severance_lifecycle::ids::TaskId;
use severance_lifecycle::plan::{
    Identity, MatchedIdentity, Planner, Portions, SelectorMatch, Ties, unresolved_task,
};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret::Holding;
use severance_lifecycle::task::{Lane, TaskState};

use self::ahead::Memory;
use self::draft::Draft;
use self::looks::Looks;
use self::pages::Pages;
use self::times::Times;
use crate::call::under_case_lease;
use crate::ports::{ClaimedCase, EngineEvent, LedgerError, PlanCommit};
use crate::reach::account_principals;
use crate::resolve::{self, Asking, Resolved, Unanswered};
use crate::shared::Shared;
use crate::ties::{self, Tied};

/// So often a lookup may fail in passing before its selector is told to be blocked.
const PASSING: u32 = 8;

/// A plan, ready to be stored.
struct Drawn {
    commit: PlanCommit,
    /// Its tasks, with those of its portions.
    tasks: usize,
    /// Something of it may run.
    open: bool,
    /// When the first of it is due.
    next: Option<DateTime<Utc>>,
}

impl Drawn {
    /// A plan that has no portions.
    fn whole(commit: PlanCommit) -> Self {
        let next = commit.tasks.iter().map(|task| task.next_at).chain(commit.again_at).min();
        let open = commit.tasks.iter().any(|new| new.task.state == TaskState::Open);
        Self { tasks: commit.tasks.len(), open, next, commit }
    }
}

/// Plans a claimed case and stores the plan. Returns when something of it is due next.
pub(crate) async fn plan(shared: Arc<Shared>, claimed: ClaimedCase) -> Option<DateTime<Utc>> {
    let lane = Lane::of(claimed.case.trigger, Desired::Revoked);
    let case = &claimed.case.id;
    let mut memory = shared.ahead.of(case, &shared.listings);
    let mut lease = claimed.lease.clone();
    let plan = drawn_up(&shared, &claimed, lane, &mut memory);
    let Drawn { commit, tasks, open, next } = match under_case_lease(&shared, &mut lease, plan)
        .await
        .ok()?
    {
        Ok(drawn) => {
            memory.planned = true;
            drawn
        }
        Err(Unanswered::Ledger(LedgerError::LeaseLost { .. })) => return None,
        Err(error) => Drawn::whole(postponing::postponed(&shared, &claimed, &error, &mut memory)),
    };
    let held = matches!(commit.state, CaseState::Held { .. });
    let again = commit.again_at.is_some();
    match shared.ledger.commit_plan(&lease, commit).await {
        Ok(()) => {
            if again {
                shared.ahead.keep(case, memory);
            } else {
                shared.ahead.forget(case);
            }
            if tasks > 0 || !claimed.admits {
                shared.observer.on(&EngineEvent::Planned { case, tasks, held });
            }
            shared.urgency.written();
            if (open || claimed.admits) && !held && lane == Lane::Compromise {
                shared.urgency.raise();
            }
            next
        }
        Err(LedgerError::LeaseLost { .. }) => None,
        Err(error) => {
            shared.ledger_failed("store a plan", &error);
            Some(lease.until)
        }
    }
}

async fn drawn_up(
    shared: &Shared,
    claimed: &ClaimedCase,
    lane: Lane,
    memory: &mut Memory,
) -> Result<Drawn, Unanswered> {
    while claimed.admits && shared.ledger.admit(&claimed.lease, shared.now()).await? {}
    let ends = matches!(&claimed.event.payload, Payload::ContractEnd(_));
    let selectors = match (&claimed.unresolved, &claimed.event.payload) {
        (Some(unresolved), _) => unresolved.clone(),
        (None, Payload::CompromiseNotice(notice)) => notice.credentials.clone(),
        (None, Payload::Rotation(rotation)) => rotation.credentials.clone(),
        (None, Payload::ContractEnd(end)) => match end.change {
            ContractChange::Reinstated => {
                return Ok(Drawn::whole(undoing::plan(shared, claimed)));
            }
            ContractChange::Ended | ContractChange::Extended => vec![contract(end)],
        },
    };
    // Taken before anything is looked up: a listing that ends meanwhile is newer than the plan.
    let now = shared.now();
    let again = claimed.unresolved.is_some();
    // A contract's end is planned once it is known in full, and that was so when it was first planned.
    let ticket = (!(ends && again)).then_some(memory.ticket);
    let mut looks = Looks::new(shared, claimed, memory.ticket);
    let (waiting, selectors) = looks.still_waiting(selectors);
    let mut resolved = resolve::all(shared, selectors, Asking { lane, ticket, again }).await?;
    looks.look_on(&mut resolved);
    let portions = looks.portions;
    resolved.extend(waiting);
    let unlisted = resolved.iter().any(Resolved::is_unlisted);
    if ends && !again && unlisted {
        return Err(Unanswered::NotListed);
    }
    let failed = resolved
        .iter()
        .filter_map(|it| Some((unresolved_id(claimed, &it.matched.selector), it.failure.clone()?)));
    let failures = failed.collect();
    let times = Times::of(shared, claimed, &failures, unlisted, memory);
    let draft = Draft::new(shared, claimed, memory, failures, times);
    in_portions(shared, claimed, resolved, portions, draft, now).await
}

/// Plans what was resolved: the users that are read in pages a portion at a time, and then the rest.
async fn in_portions(
    shared: &Shared,
    claimed: &ClaimedCase,
    resolved: Vec<Resolved>,
    mut portions: Portions,
    mut draft: Draft<'_>,
    now: DateTime<Utc>,
) -> Result<Drawn, Unanswered> {
    let case = &claimed.case;
    let zones = shared.zones();
    let protected = shared.protected();
    let planner =
        Planner { zones: &zones, tag_keys: &shared.config.tag_keys, protected: &protected };
    let mut ties = Ties::default();
    let mut rest = Vec::with_capacity(resolved.len());
    for Resolved { mut matched, in_pages, .. } in resolved {
        let mut pages = Pages::of(shared, &matched.selector, in_pages);
        while let Some(page) = pages.next().await? {
            matched.identities.extend(page.into_iter().map(unreached));
            if pages.is_last() || case.trigger == Trigger::Rotation {
                continue;
            }
            if let Some(portion) = users_of(&mut matched, shared.config.portion) {
                let portion = [portion];
                tie(shared, claimed, &portion, portions.exposed(), &mut ties, &mut draft).await?;
                let [portion] = portion;
                draft.add(planner.plan_portion(case, portion, &mut portions, now));
                draft.store_portion().await?;
            }
        }
        rest.push(matched);
    }
    if let Payload::ContractEnd(end) = &claimed.event.payload {
        add_roles_of_partner(shared, end, &mut rest).await?;
        tie(shared, claimed, &rest, portions.exposed(), &mut ties, &mut draft).await?;
        let has_door = |(it, _): &MatchedIdentity| it.user().is_none();
        let doors = rest.iter().flat_map(|found| &found.identities).any(has_door)
            || !ties.secrets.is_empty();
        // Others who leave were matched by an earlier plan, or by earlier portions of this one.
        if doors && (claimed.unresolved.is_some() || draft.is_in_portions()) {
            ties.leaving = ties::leavers(shared, &planner, case, &contract(end)).await?;
        }
    } else {
        tie(shared, claimed, &rest, portions.exposed(), &mut ties, &mut draft).await?;
    }
    draft.add(planner.plan_rest(case, &rest, &ties, &portions, now));
    Ok(draft.finish())
}

/// Takes the users out of what was matched, where they are a portion.
fn users_of(matched: &mut SelectorMatch, portion: usize) -> Option<SelectorMatch> {
    let is_user = |(identity, _): &MatchedIdentity| identity.user().is_some();
    if matched.identities.iter().filter(|it| is_user(it)).count() < portion {
        return None;
    }
    let identities = matched.identities.extract_if(.., |it| is_user(it)).collect();
    Some(SelectorMatch { selector: matched.selector.clone(), identities, refused: None })
}

/// Looks up what belongs to what was matched, and to what earlier plans exposed.
async fn tie(
    shared: &Shared,
    claimed: &ClaimedCase,
    matches: &[SelectorMatch],
    exposed: &BTreeSet<Holding>,
    ties: &mut Ties,
    draft: &mut Draft<'_>,
) -> Result<(), LedgerError> {
    let lane = Lane::of_case(claimed.case.trigger);
    let Tied { ties: more, failures } = ties::of(shared, matches, exposed, lane).await?;
    let failures = failures.into_iter();
    draft.fail(failures.map(|(selector, failure)| (unresolved_id(claimed, &selector), failure)));
    ties.extend(more);
    Ok(())
}

/// Which roles it can reach is looked up after the first blow: see `reach`.
fn unreached(identity: Identity) -> MatchedIdentity {
    (identity, Vec::new())
}

fn unresolved_id(claimed: &ClaimedCase, selector: &Selector) -> TaskId {
    unresolved_task(&claimed.case.id, claimed.case.trigger, selector)
}

fn contract(end: &ContractEnd) -> Selector {
    let target = SelectorTarget::Contract(end.contract.clone());
    Selector { target, account: None, region: None }
}

/// Roles of the contract's zone that trust the zone's partner are the way in of whoever works under
/// the contract, though nobody tagged them with it. One that carries another contract is left alone.
async fn add_roles_of_partner(
    shared: &Shared,
    end: &ContractEnd,
    matches: &mut [SelectorMatch],
) -> Result<(), LedgerError> {
    let zones = shared.zones();
    let partner = &zones.get(&end.zone).partner;
    let accounts =
        partner.accounts.iter().flat_map(|id| account_principals(&id.as_str().into(), ""));
    let principals: Vec<String> = partner.principals.iter().cloned().chain(accounts).collect();
    if principals.is_empty() {
        return Ok(());
    }
    let trusting = shared.ledger.roles_trusting(&principals).await?;
    let belongs = |role: &Identity| {
        shared.config.tag_keys.bind(&role.tags).is_ok_and(|bound| {
            bound.zone == end.zone && bound.contract.is_none_or(|name| name == end.contract)
        })
    };
    if let Some(found) = matches.first_mut() {
        // One that is tagged with it too is there already: a target is one task.
        found.identities.extend(trusting.into_iter().filter(belongs).map(unreached));
    }
    Ok(())
}
