//! What the engine needs of the world. Adapters implement these; nothing here does any IO.

mod admission;
mod clock;
mod events;
mod issuer;
mod ledger;
mod message;
mod provider;
mod publisher;
mod queries;
mod secret_store;
mod secret_value;

pub use admission::{Admission, Api, Permit};
pub use clock::{Clock, Entropy};
pub use events::{EngineEvent, Observer};
pub use issuer::{Errand, Issuers, Telling, Told, Version};
pub use ledger::{
    Acceptance, Agenda, Arrival, CaseLease, ClaimRequest, Claimed, ClaimedCase, Coordinates,
    IdentityPage, Inbox, Ledger, LedgerError, NewTask, PlanCommit, PlanPortion, Release, Step,
    TaskLease,
};
pub use message::{DLQ_HEADERS, Headers, Message, OutboxEntry, SOURCE, Topic};
pub use provider::{Applied, DenyLook, InventorySink, KeyLocation, Look, Provider, SecretLook};
pub use publisher::{PublishError, Publisher};
pub use queries::{
    CaseDetail, CaseFilter, CaseSummary, Counts, Exposure, Journaled, Queries, TaskDetail,
    TaskFilter,
};
pub use secret_store::SecretStore;
pub use secret_value::SecretValue;
pub use severance_lifecycle::policy::Holds;
