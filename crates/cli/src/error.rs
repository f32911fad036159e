//! What a command fails with.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// A failed command: what it was doing, why, and the exit code. Printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    code: u8,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// The exit code of a failed command.
const FAILED: u8 = 1;
/// The exit code of a command that did its part, where what it tells of ended badly: a case that is
/// blocked, a credential that still works. (2 is clap's, for wrong usage.)
const ENDED_BADLY: u8 = 3;

impl Failure {
    /// A failure without a cause below it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, code: FAILED }
    }

    /// What the command tells of ended badly.
    pub(crate) fn ended_badly(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, code: ENDED_BADLY }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, message: impl Into<String>) -> Outcome<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, message: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| Failure {
            message: message.into(),
            source: Some(error.into()),
            code: FAILED,
        })
    }
}
