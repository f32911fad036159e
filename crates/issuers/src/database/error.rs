//! What can go wrong at a database, and what that means for what comes next.

use std::error::Error;

use severance_lifecycle::failure::{Failure, FailureClass};

use super::value::ValueError;
use crate::chain::chain;
use crate::tls::is_certificate_refused;

/// PostgreSQL's functions that begin a session once the password was found right (`postinit.c`,
/// `miscinit.c`). A server that is full altogether says so before it asks for one, in another.
const AFTER_PASSWORD: [&str; 3] = ["InitializeSessionUserId", "InitPostgres", "CheckMyDatabase"];

/// Words of a server that are repeated, at most.
const LONGEST_MESSAGE: usize = 300;

/// SQLSTATE.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Which of the values that an operation was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The value that works now.
    Current,
    /// The value that shall work next.
    Pending,
    /// The value that shall not work any more.
    Old,
    /// The administrator's.
    Admin,
    /// The value that is tried.
    Tried,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Old => "old",
            Self::Admin => "admin",
            Self::Tried => "tried",
        })
    }
}

/// Why an operation did not succeed. Holds names and codes, never a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A value is not what the strategy needs.
    #[error("the {which} value cannot be used")]
    Value {
        /// Which one.
        which: Which,
        /// What is wrong with it.
        source: ValueError,
    },
    /// A value names another server than the one it is used with: nobody's password is sent there.
    #[error("the {0} value names another server")]
    OtherServer(Which),
    /// A value names a user that it must not name.
    #[error("the {which} value names the user {username}, which does not go with the other value")]
    OtherUser {
        /// Which one.
        which: Which,
        /// The user.
        username: String,
    },
    /// The login cannot do it itself: users that take turns cannot change each other, and one whose
    /// password is gone cannot take another.
    #[error("this needs an administrator's value, and none is configured for the server")]
    AdminNeeded,
    /// The user to be changed or copied does not exist. Somebody took it away, and must say what is to be.
    #[error("the user {0} does not exist")]
    NoSuchUser(String),
    /// The user to be copied may do everything, and a second such user is not made unasked.
    #[error("the user {0} is a superuser; create its clone by hand")]
    Superuser(String),
    /// The server refused a login that the operation needs.
    #[error("the server refuses the {which} login of {username} ({code})")]
    Refused {
        /// Which value was tried.
        which: Which,
        /// The user.
        username: String,
        /// SQLSTATE.
        code: String,
    },
    /// The server refused every value of a login that is known.
    #[error("the server refuses each of {tried} known values of the login {username} ({code})")]
    AllRefused {
        /// The user.
        username: String,
        /// SQLSTATE of the last refusal.
        code: String,
        /// How many values.
        tried: usize,
    },
    /// The retired login is still accepted: the server does not ask for its password.
    #[error("{0} is still let in with the old value")]
    StillAccepted(String),
    /// The server lets a login in whatever its password is.
    #[error(
        "the server lets {0} in without asking for a password, so that nothing is proven by it"
    )]
    NoPasswordAsked(String),
    /// Connections that did not end in time.
    #[error("{left} connections of {username} are still open")]
    StillOpen {
        /// The login.
        username: String,
        /// How many.
        left: usize,
    },
    /// When connections were opened is hidden from the user that asked.
    #[error("when the connections of {0} were opened is hidden; grant pg_read_all_stats")]
    AgeHidden(String),
    /// The server answered with an error.
    #[error("{doing}: {message} ({code})")]
    Server {
        /// What was being done.
        doing: &'static str,
        /// SQLSTATE.
        code: String,
        /// The server's words, at most 300 characters.
        message: String,
        /// What it was about to do is done after the password was found right.
        password_is_right: bool,
    },
    /// The server's certificate is not believed.
    #[error("{doing}: the server's certificate is not trusted")]
    Certificate {
        /// What was being done.
        doing: &'static str,
        /// What is wrong with it.
        source: tokio_postgres::Error,
    },
    /// The server speaks no TLS, and the configuration does not say to do without.
    #[error("{doing}: the server does not support TLS")]
    NoTls {
        /// What was being done.
        doing: &'static str,
    },
    /// No answer that could be read: network, TLS, protocol. Whether a change was made is unknown.
    #[error("{doing}: no usable answer")]
    Connection {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// No answer in time. Whether a change was made is unknown.
    #[error("{doing}: no answer in time")]
    Timeout {
        /// What was being done.
        doing: &'static str,
    },
}

impl DatabaseError {
    /// Sorts what the client library says.
    pub(super) fn of(doing: &'static str, source: tokio_postgres::Error) -> Self {
        match source.as_db_error() {
            Some(said) => Self::Server {
                doing,
                code: said.code().code().to_owned(),
                message: said.message().chars().take(LONGEST_MESSAGE).collect(),
                password_is_right: said.routine().is_some_and(|it| AFTER_PASSWORD.contains(&it)),
            },
            None if is_certificate_refused(&source) => Self::Certificate { doing, source },
            None if has_no_tls(&source) => Self::NoTls { doing },
            None => Self::Connection { doing, source },
        }
    }

    /// What to do about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Server { code, .. } => class_of(code),
            Self::Connection { .. } | Self::Timeout { .. } | Self::StillOpen { .. } => {
                FailureClass::RetrySoon
            }
            _ => FailureClass::Cannot,
        }
    }

    /// As the engine knows failures; `operation` is the caller's name for what it asked.
    pub fn failure(&self, operation: &str) -> Failure {
        Failure {
            class: self.class(),
            operation: operation.to_owned(),
            code: self.code().to_owned(),
            message: chain(self),
            request_id: None,
        }
    }

    /// Whether there was no room for one more connection, of this login or at all.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Server { code, .. } if code == TOO_MANY_CONNECTIONS)
    }

    /// The same, found out after the password was right.
    pub(super) fn is_full_behind_password(&self) -> bool {
        self.is_full() && matches!(self, Self::Server { password_is_right: true, .. })
    }

    fn code(&self) -> &str {
        match self {
            Self::Value { .. } => "BadValue",
            Self::OtherServer(_) => "OtherServer",
            Self::OtherUser { .. } => "OtherUser",
            Self::AdminNeeded => "AdminNeeded",
            Self::NoSuchUser(_) => "NoSuchUser",
            Self::Superuser(_) => "Superuser",
            Self::StillAccepted(_) => "StillAccepted",
            Self::NoPasswordAsked(_) => "NoPasswordAsked",
            Self::StillOpen { .. } => "StillOpen",
            Self::AgeHidden(_) => "AgeHidden",
            Self::Refused { code, .. }
            | Self::AllRefused { code, .. }
            | Self::Server { code, .. } => code,
            Self::Certificate { .. } => "CertificateNotTrusted",
            Self::NoTls { .. } => "NoTls",
            Self::Connection { .. } => "NoAnswer",
            Self::Timeout { .. } => "Timeout",
        }
    }
}

/// The client library has no kind for this, only its words.
fn has_no_tls(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.to_string() == "server does not support TLS")
}

/// SQLSTATE: PostgreSQL's documentation, appendix A.
fn class_of(code: &str) -> FailureClass {
    match code {
        // Somebody else changes the same role, or holds its lock; a server that was made a replica.
        "40001" | "40P01" | "55006" | "55P03" | "25006" => FailureClass::RetryLater,
        // Created or dropped since we looked; the second also by a transaction that is still open.
        "42710" | "23505" | "42704" => FailureClass::Replan,
        "57014" => FailureClass::RetrySoon,
        _ => match code.get(..2) {
            // Connection, resources, operator, system, internal ("tuple concurrently updated").
            Some("08" | "53" | "57" | "58" | "XX") => FailureClass::RetrySoon,
            _ => FailureClass::Cannot,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_the_server_says_what_comes_next() {
        for (code, class) in [
            ("53300", FailureClass::RetrySoon),
            ("57P03", FailureClass::RetrySoon),
            ("57014", FailureClass::RetrySoon),
            ("XX000", FailureClass::RetrySoon),
            ("40P01", FailureClass::RetryLater),
            ("42710", FailureClass::Replan),
            ("23505", FailureClass::Replan),
            ("42501", FailureClass::Cannot),
            ("28000", FailureClass::Cannot),
            ("", FailureClass::Cannot),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }

    #[test]
    fn a_failure_tells_the_whole_chain_once() {
        let error =
            DatabaseError::Value { which: Which::Pending, source: ValueError::Missing("password") };
        let failure = error.failure("postgresql:Set");
        let expected =
            "postgresql:Set: BadValue: the pending value cannot be used: password: missing";
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.class, FailureClass::Cannot);
    }
}
