//! Which error proves that a login is refused. A wrong yes would call a live password dead.

use tokio_postgres::error::{DbError, SqlState};

/// PostgreSQL's function that turns away a user who may not log in (`NOLOGIN`), after the password
/// was found right. The same code also comes from places that never looked at the password.
const TURNS_USERS_AWAY: &str = "InitializeSessionUserId";

/// The server looked at the login and said no.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// SQLSTATE.
    pub(super) code: String,
}

impl Refusal {
    /// Whether the password was found right before the user was turned away.
    pub(super) fn password_is_right(&self) -> bool {
        self.code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION.code()
    }
}

/// The refusal in an error of a login, where it is one.
///
/// `28P01` is a wrong password, an expired one, or an unknown user. `28000` is that and more: `pg_hba`
/// without a line for *this* client says nothing of other clients, which may still get in with the same
/// password. The server names the function that refused; a proxy that does not is not believed.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Option<Refusal> {
    let said = error.as_db_error()?;
    is_refusal(said.code(), said).then(|| Refusal { code: said.code().code().to_owned() })
}

fn is_refusal(code: &SqlState, said: &DbError) -> bool {
    *code == SqlState::INVALID_PASSWORD
        || (*code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            && said.routine() == Some(TURNS_USERS_AWAY))
}
