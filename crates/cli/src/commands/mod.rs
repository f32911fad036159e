//! The commands, one file each.

pub(crate) mod cases;
pub(crate) mod check;
pub(crate) mod follow;
pub(crate) mod publish;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod tasks;
mod timeline;
