//! The domain of Severance, pure: no IO, no clock, no randomness.
//!
//! An *event* opens a *case*; a case has *tasks*, one per credential or identity in scope; a task
//! is a *desired state*. [`decide`] looks at what the provider says is true and answers what to do
//! next. Everything that can be decided without touching the world is decided here, so that it can
//! be tested by the thousand.

#![forbid(unsafe_code)]

pub mod action;
mod block;
pub mod case;
pub mod contract;
pub mod credential;
pub mod decide;
pub mod event;
pub mod failure;
pub mod finding;
pub mod ids;
pub mod journal;
pub mod observe;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod record;
pub mod rotation;
pub mod rotation_schedule;
pub mod secret;
pub mod secret_action;
pub mod secret_view;
pub mod task;
pub mod trust;
pub mod ttr;
pub mod zone;
