//! IAM, STS and Secrets Manager: inventory, actions, probes, error classes, rate limits.
//!
//! [`AwsProvider`] is the engine's [`Provider`](severance_engine::ports::Provider) over the AWS SDK.
//! Every call is admitted and bounded, none is retried here; what AWS answers becomes a class of
//! failure by its code. Secret halves of keys are read for a probe, held for it and wiped.

#![forbid(unsafe_code)]

mod account;
mod act;
mod answer;
mod arn;
mod assumable;
mod boundary;
mod calls;
mod config;
mod deny;
mod document;
mod failure;
mod find;
mod identity;
mod inventory;
mod locate;
mod observe;
mod operation;
mod own;
mod permissions;
mod probe;
mod provider;
mod reads;
mod renamed;
mod secret;
mod secret_index;
mod secret_value;

pub use calls::Ports;
pub use config::{AccountConfig, AwsConfig, Endpoints, FieldPair, Limits, SecretFinding, Timeouts};
pub use permissions::{PermissionReport, REQUIRED_PERMISSIONS, RequiredPermission};
pub use provider::{AwsProvider, ConfigError};
