//! The scheduler: one loop that claims what is due, urgent first, and drives it on a bounded number of
//! workers. It never holds more of the ledger than it works on.

mod in_hand;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{Either, select};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::task::Lane;
use tokio_util::sync::CancellationToken;

use self::in_hand::{InHand, Work};
use crate::planning;
use crate::ports::{Agenda, ClaimRequest, Claimed, ClaimedCase, LedgerError};
use crate::shared::Shared;
use crate::worker::Worker;

/// Claims and drives until it is told to drain.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    draining: CancellationToken,
    tasks: InHand,
    plans: InHand,
    failures: u32,
}

/// What a pass over the ledger came to.
struct Pass {
    /// When the next pass is due at the latest.
    next_at: DateTime<Utc>,
    /// More is due than there was room for.
    backlog: bool,
}

/// What claims came to.
#[derive(Clone, Copy, Default)]
struct Claims {
    claimed: usize,
    /// More may be due than there was room for.
    short_of_room: bool,
}

impl Claims {
    fn add(&mut self, claimed: usize, room: usize) {
        self.claimed += claimed;
        self.short_of_room |= claimed >= room;
    }
}

/// What woke the scheduler.
enum Woken {
    Bell,
    Timer,
    Finished(Option<DateTime<Utc>>),
    Drain,
}

impl Scheduler {
    pub(crate) fn new(shared: Arc<Shared>, draining: CancellationToken) -> Self {
        let reserved = shared.config.reserved;
        let tasks = InHand::new(shared.config.tasks, reserved);
        let plans = InHand::new(shared.config.plans, reserved);
        Self { shared, draining, tasks, plans, failures: 0 }
    }

    /// Runs until it is told to drain; then waits for running steps, and gives all leases back. Answers
    /// whether every step ended and every lease was given back.
    pub(crate) async fn run(mut self) -> bool {
        let mut pass = self.pass().await;
        loop {
            match self.woken(pass.next_at).await {
                Woken::Drain => break,
                Woken::Bell | Woken::Timer => pass = self.pass().await,
                Woken::Finished(next_at) => {
                    due_next(&self.shared, &mut pass, next_at);
                    self.collect(&mut pass);
                    let roomy = self.tasks.is_roomy() || self.plans.is_roomy();
                    if pass.next_at <= self.shared.now() || (pass.backlog && roomy) {
                        pass = self.pass().await;
                    }
                }
            }
        }
        self.drain().await
    }

    /// Collects all work that has ended by now, so that a pass has all the room that there is: a pass for
    /// every single one would claim one at a time, and plans that end without a break would leave tasks
    /// that ended in their places.
    fn collect(&mut self, pass: &mut Pass) {
        for hand in [&mut self.plans, &mut self.tasks] {
            due_next(&self.shared, pass, hand.collect());
        }
    }

    async fn woken(&mut self, next_at: DateTime<Utc>) -> Woken {
        let shared = Arc::clone(&self.shared);
        // No pass is ever due later than by the poll: a clock that was set back must not put it off.
        let wait = (next_at - shared.now()).clamp(TimeDelta::zero(), shared.config.poll);
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Woken::Drain,
            finished = self.plans.finished() => Woken::Finished(finished),
            finished = self.tasks.finished() => Woken::Finished(finished),
            () = shared.urgency.bell() => Woken::Bell,
            () = shared.clock.sleep(wait) => Woken::Timer,
        }
    }

    /// One pass: what is due is claimed, as far as there is room.
    async fn pass(&mut self) -> Pass {
        match self.claim_due().await {
            Ok(pass) => {
                self.failures = 0;
                pass
            }
            Err(error) => {
                self.shared.ledger_failed("claim work", &error);
                self.failures = self.failures.saturating_add(1);
                let delay = self.shared.delay(self.shared.config.retries.ledger, self.failures);
                Pass { next_at: self.shared.now() + delay, backlog: false }
            }
        }
    }

    async fn claim_due(&mut self) -> Result<Pass, LedgerError> {
        let begun = self.shared.urgency.claim_begins();
        let now = self.shared.now();
        let agenda = self.shared.ledger.agenda(now).await?;
        let urgent = self.claim_if(agenda.urgent_due > 0, Lane::Compromise).await?;
        let left = urgent.claimed < agenda.urgent_due;
        // An identity that is given back at this moment may be the one that is waited for: then it stays due,
        // and the pass that comes next takes it.
        let comes_out = left && self.shared.urgency.is_releasing();
        if !urgent.short_of_room && !comes_out {
            self.shared.urgency.settle(begun, agenda.next_at);
        }
        self.shared.urgency.crowd(left && urgent.short_of_room);
        self.shared.urgency.wait_for_identity(left);
        // Whoever holds the identity waits for the gate, and the gate for the work that waits for the
        // identity.
        let way = left && self.tasks.has_lower();
        let in_the_way =
            if way { self.shared.ledger.in_the_way(now).await? } else { BTreeSet::new() };
        self.shared.urgency.clear_the_way(in_the_way);
        let lower = self.claim_if(agenda.due > agenda.urgent_due, Lane::Rest).await?;
        // What is left had no room, or its identity is held by other work in hand.
        let backlog = urgent.claimed + lower.claimed < agenda.due;
        Ok(Pass { next_at: self.next_pass(&agenda, now), backlog })
    }

    fn next_pass(&self, agenda: &Agenda, now: DateTime<Utc>) -> DateTime<Utc> {
        let poll = now + self.shared.config.poll;
        agenda.next_at.map_or(poll, |at| at.min(poll))
    }

    async fn claim_if(&mut self, due: bool, least_urgent: Lane) -> Result<Claims, LedgerError> {
        if due { self.claim(least_urgent).await } else { Ok(Claims::default()) }
    }

    /// Claims cases and tasks of lanes at least as urgent as this one.
    async fn claim(&mut self, least_urgent: Lane) -> Result<Claims, LedgerError> {
        let mut claims = Claims::default();
        let room = self.plans.room(least_urgent);
        if room > 0 {
            let request = self.request(least_urgent, room);
            let cases = self.shared.ledger.claim_cases(&request).await?;
            claims.add(cases.len(), room);
            for case in cases {
                self.start_plan(case);
            }
        } else {
            claims.short_of_room = true;
        }
        let room = self.tasks.room(least_urgent);
        if room > 0 {
            let request = self.request(least_urgent, room);
            let tasks = self.shared.ledger.claim(&request).await?;
            claims.add(tasks.len(), room);
            for task in tasks {
                self.start_task(task);
            }
        } else {
            claims.short_of_room = true;
        }
        Ok(claims)
    }

    fn request(&self, least_urgent: Lane, limit: usize) -> ClaimRequest {
        let now = self.shared.now();
        ClaimRequest {
            now,
            until: now + self.shared.config.lease,
            // A token for every claim, so that a claim after a lost lease is another claim.
            token: i64::from_ne_bytes(self.shared.entropy.next_u64().to_ne_bytes()),
            least_urgent,
            limit,
        }
    }

    fn start_plan(&mut self, case: ClaimedCase) {
        let work = Work {
            id: case.case.id.0.clone(),
            lane: Lane::of(case.case.trigger, Desired::Revoked),
            token: case.lease.token,
        };
        let shared = Arc::clone(&self.shared);
        self.plans.start(&self.shared.urgency, work, planning::plan(shared, case));
    }

    fn start_task(&mut self, claimed: Claimed) {
        let work = Work {
            id: claimed.task.id.0.clone(),
            lane: claimed.task.lane,
            token: claimed.lease.token,
        };
        let worker = Worker::new(Arc::clone(&self.shared), self.draining.clone(), claimed);
        self.tasks.start(&self.shared.urgency, work, worker.drive());
    }

    /// Waits for running steps as long as the drain may take, stops the rest, and gives every lease
    /// back. A call that is stopped is looked for by whoever claims the task next.
    async fn drain(mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        {
            let all = std::pin::pin!(async {
                self.plans.all_finished().await;
                self.tasks.all_finished().await;
            });
            if let Either::Right(_) = select(all, shared.clock.sleep(shared.config.drain)).await {
                tracing::warn!("the drain's time is over: calls that are running are left");
            }
        }
        let mut whole = self.plans.is_idle() && self.tasks.is_idle();
        for token in self.plans.stop().await.into_iter().chain(self.tasks.stop().await) {
            if let Err(error) = shared.ledger.release_all(token).await {
                shared.ledger_failed("give leases back", &error);
                whole = false;
            }
        }
        whole
    }
}

/// Something becomes due at `next_at`: a pass is due then at the latest.
fn due_next(shared: &Shared, pass: &mut Pass, next_at: Option<DateTime<Utc>>) {
    if let Some(at) = next_at {
        pass.next_at = at.min(pass.next_at);
        shared.urgency.due_at(at);
    }
}
