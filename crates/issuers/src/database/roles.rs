//! Changing logins. The server gets SCRAM verifiers and never a password, since it may log statements.

use std::fmt::Write;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use severance_engine::ports::SecretValue;
use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::next_value::is_clone;
use super::role_settings::role_settings;
use super::session::Session;

/// Gives a login another password. One that is not there cannot be given any, however often it is tried.
pub(super) async fn set_password(
    session: &Session,
    username: &str,
    password: &SecretValue,
) -> Result<(), DatabaseError> {
    if !exists(session, username).await? {
        return Err(DatabaseError::NoSuchUser(username.to_owned()));
    }
    session.execute("set the password", &password_statement(username, password)).await
}

/// Leaves a login without any password: nobody knows one, and nobody can bring the old one back. The
/// login stays, with all that it owns, and takes a password again at the next rotation.
pub(super) async fn forget_password(
    session: &Session,
    username: &str,
) -> Result<(), DatabaseError> {
    let statement = format!("ALTER ROLE {} PASSWORD NULL", escape_identifier(username));
    session.execute("take the password away", &statement).await
}

/// Makes `to` a login with this password that may do what `from` may: creates it where it is missing,
/// and grants what `from` was granted since. One transaction; takes nothing away.
pub(super) async fn set_password_of_twin(
    session: &Session,
    from: &str,
    to: &str,
    password: &SecretValue,
) -> Result<(), DatabaseError> {
    let mut statements = if exists(session, to).await? {
        password_statement(to, password)
    } else {
        let mut create = create_statement(session, from, to, password).await?;
        create.push_str(&role_settings(session, from, to).await?);
        create
    };
    statements.push_str(&grants(session, from, to).await?);
    session.execute("set the password of the other user", &statements).await
}

fn password_statement(username: &str, password: &SecretValue) -> String {
    format!("ALTER ROLE {} PASSWORD {};\n", escape_identifier(username), verifier(password))
}

fn verifier(password: &SecretValue) -> String {
    escape_literal(&scram_sha_256(password.reveal().as_bytes()))
}

async fn exists(session: &Session, username: &str) -> Result<bool, DatabaseError> {
    const FIND: &str = "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1";
    let rows = session.query("look for the user", FIND, &[(&username, Type::TEXT)]).await?;
    Ok(!rows.is_empty())
}

/// `CREATE ROLE` with the login attributes of `from`.
async fn create_statement(
    session: &Session,
    from: &str,
    to: &str,
    password: &SecretValue,
) -> Result<String, DatabaseError> {
    const ATTRIBUTES: &str = "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, \
         rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil::text \
         FROM pg_catalog.pg_roles WHERE rolname = $1";
    let rows = session.query("read the user", ATTRIBUTES, &[(&from, Type::TEXT)]).await?;
    let row = rows.first().ok_or_else(|| DatabaseError::NoSuchUser(from.to_owned()))?;
    if row.get("rolsuper") {
        return Err(DatabaseError::Superuser(from.to_owned()));
    }
    let mut create = format!("CREATE ROLE {} LOGIN", escape_identifier(to));
    // What a role has by default is left out: naming it needs rights of its own.
    for (column, default, word) in [
        ("rolinherit", true, " NOINHERIT"),
        ("rolcreaterole", false, " CREATEROLE"),
        ("rolcreatedb", false, " CREATEDB"),
        ("rolreplication", false, " REPLICATION"),
        ("rolbypassrls", false, " BYPASSRLS"),
    ] {
        if row.get::<_, bool>(column) != default {
            create.push_str(word);
        }
    }
    let connections: i32 = row.get("rolconnlimit");
    if connections >= 0 {
        let _ = write!(create, " CONNECTION LIMIT {connections}");
    }
    if let Some(until) = row.get::<_, Option<String>>("rolvaliduntil") {
        let _ = write!(create, " VALID UNTIL {}", escape_literal(&until));
    }
    let _ = writeln!(create, " PASSWORD {};", verifier(password));
    Ok(create)
}

/// The memberships that `from` has and `to` lacks. The copy is a member of the original too, as in
/// AWS's template, which gives it what the original owns or was granted itself.
async fn grants(session: &Session, from: &str, to: &str) -> Result<String, DatabaseError> {
    const MEMBERSHIPS: &str = "\
        SELECT granted.rolname::text, bool_or(has.admin_option) \
        FROM pg_catalog.pg_auth_members has \
        JOIN pg_catalog.pg_roles granted ON granted.oid = has.roleid \
        JOIN pg_catalog.pg_roles member ON member.oid = has.member \
        WHERE member.rolname = $1 AND granted.rolname <> $2 AND NOT EXISTS ( \
            SELECT FROM pg_catalog.pg_auth_members theirs \
            JOIN pg_catalog.pg_roles other ON other.oid = theirs.member \
            WHERE other.rolname = $2 AND theirs.roleid = has.roleid \
              AND theirs.admin_option >= has.admin_option) \
        GROUP BY granted.rolname ORDER BY granted.rolname";
    let parameters = [(&from as _, Type::TEXT), (&to as _, Type::TEXT)];
    let rows = session.query("read the user's memberships", MEMBERSHIPS, &parameters).await?;
    let mut missing: Vec<(String, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if is_clone(to) && !is_member(session, to, from).await? {
        missing.push((from.to_owned(), false));
    }
    let statements = missing.iter().map(|(role, admin)| {
        let option = if *admin { " WITH ADMIN OPTION" } else { "" };
        format!("GRANT {} TO {}{option};\n", escape_identifier(role), escape_identifier(to))
    });
    Ok(statements.collect())
}

async fn is_member(session: &Session, member: &str, of: &str) -> Result<bool, DatabaseError> {
    const FIND: &str = "SELECT FROM pg_catalog.pg_auth_members has \
        JOIN pg_catalog.pg_roles granted ON granted.oid = has.roleid \
        JOIN pg_catalog.pg_roles member ON member.oid = has.member \
        WHERE member.rolname = $1 AND granted.rolname = $2";
    let parameters = [(&member as _, Type::TEXT), (&of as _, Type::TEXT)];
    Ok(!session.query("read the other user's memberships", FIND, &parameters).await?.is_empty())
}
