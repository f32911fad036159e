//! The strategy `database`: logins of PostgreSQL, in values of the shape of AWS's RDS secrets.
//!
//! No password is ever part of a statement: the server gets SCRAM-SHA-256 verifiers. Every try is a
//! login on a fresh connection. A second kind of server would begin at `value::Engine`.

mod administrator;
mod change;
mod connector;
mod error;
mod issuer;
mod next_value;
mod own_login;
mod password;
mod refusal;
mod retire;
mod role_settings;
mod roles;
mod session;
mod sessions;
mod settings;
mod value;

pub use administrator::AdministratorRights;
pub use change::WasSet;
pub use error::{DatabaseError, Which};
pub use issuer::{DatabaseIssuer, LoginAnswer};
pub use next_value::{RotationMode, next_value};
pub use password::new_password;
pub use retire::Retired;
pub use sessions::{Sessions, Terminated};
pub use settings::{DatabaseSettings, Transport};
pub use value::{DatabaseValue, ValueError};
