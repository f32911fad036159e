//! A model of IAM with one user, who has one key: what it is told, it does, and holds the answer back where
//! it is asked to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::TimeDelta;
use severance_engine::ports::{Applied, InventorySink, KeyLocation, Look, Provider};
use severance_lifecycle::action::{Action, DenyHandle, DenyScope};
use severance_lifecycle::event::Selector;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::observe::{
    AssumableRole, DenyState, KeyState, KeyStatus, KeyView, Observed, Presence, View,
};
use severance_lifecycle::plan::{Identity, IdentityDetail};
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::task::Lane;
use severance_tests::clock::now;
use tokio::sync::oneshot;

pub(crate) const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const ACCOUNT: &str = "111122223333";

pub(crate) struct Iam(Mutex<State>);

struct State {
    status: KeyStatus,
    denies: BTreeMap<DenyHandle, DenyScope>,
    calls: Vec<&'static str>,
    hold: Option<Hold>,
}

struct Hold {
    action: &'static str,
    reached: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// A call that was applied, and whose answer is held back.
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
}

impl Held {
    pub(crate) async fn reached(mut self) -> Self {
        (&mut self.reached).await.unwrap();
        self
    }

    pub(crate) fn go(self) {
        self.go.send(()).unwrap();
    }
}

impl Iam {
    pub(crate) fn new() -> Self {
        let (denies, calls) = (BTreeMap::new(), Vec::new());
        Self(Mutex::new(State { status: KeyStatus::Active, denies, calls, hold: None }))
    }

    /// Holds back the answer to the next call of this action.
    pub(crate) fn hold_after(&self, action: &'static str) -> Held {
        let (reached, is_reached) = oneshot::channel();
        let (goes, go) = oneshot::channel();
        self.0.lock().unwrap().hold = Some(Hold { action, reached, go });
        Held { reached: is_reached, go: goes }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.0.lock().unwrap().status.is_active()
    }

    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn times_called(&self, action: &str) -> usize {
        self.calls().iter().filter(|name| **name == action).count()
    }

    pub(crate) fn denies(&self) -> usize {
        self.0.lock().unwrap().denies.len()
    }

    fn apply(&self, action: &Action) -> Option<ProbeAnswer> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(action.name());
        match action {
            Action::DeactivateKey { .. } => state.status = KeyStatus::Inactive,
            Action::DenyUser { deny, .. } => {
                state.denies.insert(deny.handle.clone(), deny.scope);
            }
            Action::Probe { sample, .. } => {
                let endpoint = format!("region-{}", sample % 2);
                return Some(if state.status.is_active() {
                    ProbeAnswer::Accepted { endpoint }
                } else {
                    ProbeAnswer::Refused { endpoint }
                });
            }
            other => panic!("nothing asked for {other}"),
        }
        None
    }
}

fn identity() -> Identity {
    let detail = IdentityDetail::User {
        access_keys: vec![KEY.to_owned()],
        policies: Vec::new(),
        credentials: 1,
    };
    Identity {
        account: ACCOUNT.into(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/ann"),
        name: "ann".into(),
        unique_id: "AIDAANNANNANNANNANNAN".into(),
        created: now() - TimeDelta::days(90),
        tags: BTreeMap::new(),
        detail,
    }
}

#[async_trait]
impl Provider for Iam {
    async fn observe(&self, look: &Look) -> Result<Observed, Failure> {
        let state = self.0.lock().unwrap();
        let key = KeyState {
            id: KEY.into(),
            status: state.status,
            created: identity().created,
            probeable: true,
        };
        let ours = state.denies.iter().filter(|(handle, _)| handle.case == look.case);
        let deny = |(handle, scope): (&DenyHandle, &DenyScope)| DenyState {
            handle: handle.clone(),
            scope: Some(*scope),
        };
        let view = KeyView {
            others: std::collections::BTreeMap::new(),
            user: Presence::Same,
            key: Some(key),
            denies: ours.map(deny).collect(),
            roles: Vec::new(),
            intruders: Vec::new(),
        };
        Ok(Observed { at: now(), view: View::AccessKey(view) })
    }

    async fn act(&self, action: &Action, _: Lane) -> Result<Applied, Failure> {
        let probe = self.apply(action);
        let hold = self.0.lock().unwrap().hold.take_if(|hold| hold.action == action.name());
        if let Some(hold) = hold {
            hold.reached.send(()).unwrap();
            hold.go.await.unwrap();
        }
        Ok(Applied { request_id: None, at: now(), probe, stragglers_until: None })
    }

    async fn locate_key(&self, _: &str, _: Lane) -> Result<KeyLocation, Failure> {
        Ok(KeyLocation::User(Box::new(identity())))
    }

    async fn find(&self, _: &Selector, _: Lane) -> Result<Vec<Identity>, Failure> {
        Ok(vec![identity()])
    }

    async fn assumable(
        &self,
        _: &Identity,
        _: &[Identity],
        _: Lane,
    ) -> Result<Vec<AssumableRole>, Failure> {
        Ok(Vec::new())
    }

    async fn inventory(&self, _: &AccountId, sink: &mut dyn InventorySink) -> Result<(), Failure> {
        sink.page(vec![identity()]).await
    }

    fn accounts(&self) -> Vec<AccountId> {
        vec![ACCOUNT.into()]
    }

    async fn own_identities(&self) -> Result<Vec<String>, Failure> {
        Ok(vec![format!("arn:aws:iam::{ACCOUNT}:role/severance")])
    }
}
