//! An embedded AWS: IAM, STS and Secrets Manager, that the real SDK talks to.
//!
//! It is strict where emulators are kind: signatures are checked, dead keys are refused, policies
//! are enforced, changes hold late, calls are throttled and paged, quotas are kept. What it does
//! not know it refuses by name.
//!
//! [`Sandbox::start`] gives a [`SandboxHandle`], through which the embedder seeds accounts, reads
//! the log of calls, injects faults and moves the clock. The same can be done over HTTP under
//! `/_sandbox/` (see [`control`]).

mod authenticate;
mod authorize;
mod call;
mod caller;
mod clock;
mod config;
pub mod control;
mod due;
mod error;
mod faults;
mod handle;
mod iam;
mod ids;
mod log;
mod paging;
mod params;
mod policy;
mod published_rates;
mod render;
mod request;
mod rotation;
mod secretsmanager;
mod seed;
mod seed_secrets;
mod server;
mod service_call;
mod sigv4;
mod state;
mod sts;
mod throttle;
mod try_credential;
mod xml;

pub use clock::SandboxClock;
pub use config::SandboxConfig;
pub use faults::{Fault, FaultRule, FaultStatus, Faults};
pub use handle::{KeyState, Sandbox, SandboxError, SandboxHandle};
pub use log::{CallLog, CallRecord};
pub use request::Service;
pub use rotation::{RotationFunction, RotationKind};
pub use seed::{KeyPair, SeedError, Seeder};
pub use seed_secrets::SecretSeed;
pub use throttle::ThrottleRule;
pub use try_credential::{Attempt, Verdict};
