//! Whatever happens in whatever order, crashes included: nothing accepted is lost, no identity is
//! worked on twice at once, and a case is closed if and only if nothing of it is open or blocked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use std::collections::{BTreeSet, HashMap};

use common::{
    Rig, arrival, at, blocked, done, due, end, malformed, notice, plan, request, step_again,
    step_to, task,
};
use proptest::prelude::*;
use severance_engine::ports::{
    Acceptance, CaseFilter, Claimed, Ledger, LedgerError, Queries, TaskFilter,
};
use severance_lifecycle::case::CaseState;
use severance_lifecycle::event::ContractChange;
use severance_lifecycle::ids::CaseId;
use severance_lifecycle::task::{TaskState, Verification};

#[derive(Clone, Debug)]
enum Move {
    Notice(u8),
    Contract { id: u8, change: u8, revision: u8 },
    Malformed(u8),
    Plan { users: Vec<u8>, held: bool },
    Claim(u8),
    Step { which: u8, to: u8, again: bool },
    Retry,
    Release,
    Wait(u8),
    Crash,
    PowerCut,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..6_u8).prop_map(Move::Notice),
        2 => (0..6_u8, 0..3_u8, 1..4_u8)
            .prop_map(|(id, change, revision)| Move::Contract { id, change, revision }),
        1 => (0..3_u8).prop_map(Move::Malformed),
        4 => (proptest::collection::vec(0..4_u8, 0..4), proptest::bool::weighted(0.2))
            .prop_map(|(users, held)| Move::Plan { users, held }),
        4 => (1..4_u8).prop_map(Move::Claim),
        8 => (any::<u8>(), 0..3_u8, any::<bool>())
            .prop_map(|(which, to, again)| Move::Step { which, to, again }),
        1 => Just(Move::Retry),
        1 => Just(Move::Release),
        2 => (1..70_u8).prop_map(Move::Wait),
        1 => Just(Move::Crash),
        1 => Just(Move::PowerCut),
    ]
}

/// What the test knows without asking the ledger.
#[derive(Default)]
struct World {
    now: i64,
    accepted: BTreeSet<CaseId>,
    dead: BTreeSet<u8>,
    leased: Vec<Claimed>,
}

impl World {
    async fn play(&mut self, rig: Rig, step: Move) -> Rig {
        match step {
            Move::Notice(id) => self.accept(&rig, &notice(&format!("n{id}"))).await,
            Move::Contract { id, change, revision } => {
                let change =
                    [ContractChange::Ended, ContractChange::Extended, ContractChange::Reinstated]
                        [usize::from(change)];
                let event = end(&format!("e{id}-{change:?}-{revision}"), change, revision.into());
                self.accept(&rig, &event).await;
            }
            Move::Malformed(offset) => {
                rig.accept(vec![malformed(offset.into(), b"x")]).await;
                self.dead.insert(offset);
            }
            Move::Plan { users, held } => self.plan(&rig, &users, held).await,
            Move::Claim(limit) => self.claim(&rig, limit).await,
            Move::Step { which, to, again } => self.step(&rig, which, to, again).await,
            Move::Retry => {
                rig.ledger.retry(None, "ann", at(self.now)).await.unwrap();
            }
            Move::Release => {
                let filter = CaseFilter { state: Some("held".into()), ..CaseFilter::default() };
                for held in rig.ledger.cases(&filter).await.unwrap() {
                    rig.ledger.release(&held.case.id, "ann", at(self.now)).await.unwrap();
                }
            }
            Move::Wait(seconds) => self.now += i64::from(seconds),
            Move::Crash => {
                self.leased.clear();
                return rig.crash().await;
            }
            Move::PowerCut => {
                self.leased.clear();
                return rig.power_cut().await;
            }
        }
        rig
    }

    async fn accept(&mut self, rig: &Rig, event: &severance_lifecycle::event::Event) {
        let known = self.accepted.contains(&CaseId::of(&event.key));
        match rig.accept(vec![arrival(event, 1, self.now)]).await.remove(0) {
            Acceptance::Accepted { case } => assert!(!known && self.accepted.insert(case)),
            Acceptance::Duplicate { .. } => assert!(known),
            other => panic!("{other:?}"),
        }
    }

    async fn plan(&mut self, rig: &Rig, users: &[u8], held: bool) {
        for claimed in rig.claim_cases(self.now).await {
            let state =
                if held { CaseState::Held { credentials: 2, limit: 1 } } else { CaseState::Open };
            let tasks = users
                .iter()
                .map(|user| due(task(&claimed.case, &format!("user-{user}")), self.now))
                .collect();
            rig.ledger.commit_plan(&claimed.lease, plan(state, tasks)).await.unwrap();
        }
    }

    async fn claim(&mut self, rig: &Rig, limit: u8) {
        let mut wanted = request(self.now);
        wanted.limit = limit.into();
        let claimed = rig.ledger.claim(&wanted).await.unwrap();
        assert!(claimed.len() <= wanted.limit);
        // Its owner would have stopped by then: the lease ran out.
        self.leased.retain(|held| held.lease.until > at(self.now));
        self.leased.extend(claimed);
    }

    async fn step(&mut self, rig: &Rig, which: u8, to: u8, again: bool) {
        if self.leased.is_empty() {
            return;
        }
        let claimed = self.leased.remove(usize::from(which) % self.leased.len());
        let state = match to {
            0 => TaskState::Open,
            1 => blocked(),
            _ => done(),
        };
        let step = if again || to == 0 {
            step_again(claimed.task, state, self.now, self.now + 5)
        } else {
            step_to(claimed.task, state, self.now)
        };
        match rig.ledger.step(&claimed.lease, at(self.now), step).await {
            Ok(_) => assert!(claimed.lease.until > at(self.now), "a lease that ran out was heard"),
            Err(LedgerError::LeaseLost { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn check(&self, rig: &Rig) {
        let mut locks = BTreeSet::new();
        let all = TaskFilter { limit: Some(10_000), ..TaskFilter::default() };
        let tasks = rig.ledger.tasks(&all).await.unwrap();
        for leased in tasks.iter().filter(|task| task.leased) {
            assert!(locks.insert(leased.task.target.lock()), "two leases on one identity");
        }
        let mut unfinished: HashMap<&CaseId, usize> = HashMap::new();
        for task in tasks.iter().filter(|task| !task.task.state.is_final()) {
            *unfinished.entry(&task.task.case).or_default() += 1;
        }
        let filter = CaseFilter { limit: Some(10_000), ..CaseFilter::default() };
        let cases = rig.ledger.cases(&filter).await.unwrap();
        let stored: BTreeSet<CaseId> = cases.iter().map(|s| s.case.id.clone()).collect();
        assert_eq!(stored, self.accepted, "nothing accepted is lost, and nothing is made up");
        for summary in &cases {
            let left = unfinished.get(&summary.case.id).copied().unwrap_or_default();
            match summary.case.state {
                CaseState::Open => assert!(left > 0, "open with nothing to do"),
                CaseState::Closed { .. } => assert_eq!(left, 0, "closed with something to do"),
                CaseState::Accepted | CaseState::Held { .. } => {}
            }
            assert_eq!(summary.tasks - summary.finished, left, "the tally is wrong");
        }
        let counts = rig.ledger.counts().await.unwrap();
        assert_eq!(counts.accepted, self.accepted.len() as u64);
        assert_eq!(counts.dead_lettered, self.dead.len() as u64);
        let probed = TaskState::Done { verification: Verification::Probed };
        let done = tasks.iter().filter(|task| task.task.state == probed).count();
        assert_eq!(counts.tasks_done, done as u64);
    }

    /// However it stands, it can be brought to its end: everything is claimed and done.
    async fn finish(&mut self, rig: &Rig) {
        let filter = CaseFilter { state: Some("held".into()), ..CaseFilter::default() };
        for held in rig.ledger.cases(&filter).await.unwrap() {
            rig.ledger.release(&held.case.id, "ann", at(self.now)).await.unwrap();
        }
        rig.ledger.retry(None, "ann", at(self.now)).await.unwrap();
        for _ in 0..200 {
            self.now += 61;
            self.plan(rig, &[0], false).await;
            rig.ledger.retry(None, "ann", at(self.now)).await.unwrap();
            for claimed in rig.claim(self.now).await {
                rig.finish(claimed, self.now).await;
            }
            let counts = rig.ledger.counts().await.unwrap();
            if counts.cases_open == 0 {
                return;
            }
        }
        panic!("something is never served: {:?}", rig.ledger.counts().await.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_closed_early(
        moves in proptest::collection::vec(moves(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::default();
            let mut rig = Rig::new().await;
            for step in moves {
                rig = world.play(rig, step).await;
                world.check(&rig).await;
            }
            world.finish(&rig).await;
            world.check(&rig).await;
        });
    }
}
