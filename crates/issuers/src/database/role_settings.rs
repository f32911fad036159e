//! What `ALTER ROLE … SET` gave a login (its `search_path`, for one), for its twin.

use std::fmt::Write;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::session::Session;

/// Settings that are lists of names: their text must be taken apart, since one literal would be one
/// name. PostgreSQL: `GUC_LIST_QUOTE`; `pg_dump` does the same.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The statements that give `to` the settings of `from`.
pub(super) async fn role_settings(
    session: &Session,
    from: &str,
    to: &str,
) -> Result<String, DatabaseError> {
    const SETTINGS: &str = "SELECT d.datname::text, unnest(s.setconfig) \
        FROM pg_catalog.pg_db_role_setting s \
        JOIN pg_catalog.pg_roles r ON r.oid = s.setrole \
        LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
        WHERE r.rolname = $1";
    let rows = session.query("read the user's settings", SETTINGS, &[(&from, Type::TEXT)]).await?;
    let mut statements = String::new();
    for row in rows {
        let (database, setting): (Option<String>, String) = (row.get(0), row.get(1));
        statements.push_str(&statement(to, database.as_deref(), &setting));
    }
    Ok(statements)
}

fn statement(to: &str, database: Option<&str>, setting: &str) -> String {
    let Some((name, value)) = setting.split_once('=') else { return String::new() };
    let mut statement = format!("ALTER ROLE {}", escape_identifier(to));
    if let Some(database) = database {
        let _ = write!(statement, " IN DATABASE {}", escape_identifier(database));
    }
    let values = if LISTS.contains(&name) { names(value) } else { vec![value.to_owned()] };
    // A list without names is written as one empty name.
    let literals: Vec<_> = values.iter().map(|value| escape_literal(value)).collect();
    let literals = if literals.is_empty() { "''".to_owned() } else { literals.join(",") };
    let _ = writeln!(statement, " SET {} TO {literals};", escape_identifier(name));
    statement
}

/// Takes `"$user", public` apart. Quotes are doubled inside quotes; names without are taken as they are.
fn names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let (mut quoted, mut any) = (false, false);
    let mut rest = list.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                name.push('"');
            }
            '"' => (quoted, any) = (!quoted, true),
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                any = false;
            }
            space if !quoted && space.is_whitespace() => {}
            other => name.push(other),
        }
    }
    if any || !name.is_empty() || !names.is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart() {
        assert_eq!(names(r#""$user", public"#), ["$user", "public"]);
        assert_eq!(names(r#""a ""b"", c",d"#), [r#"a "b", c"#, "d"]);
        assert_eq!(names(r#""""#), [""]);
        assert!(names("").is_empty());
    }

    #[test]
    fn nothing_in_a_setting_leaves_its_quotes() {
        let hostile = r#"search_path=x;DROP ROLE y,"'; DROP ROLE z; --""#;
        let expected = "ALTER ROLE \"to\"\"x\" IN DATABASE \"d\" \
                        SET \"search_path\" TO 'x;DROPROLEy','''; DROP ROLE z; --';\n";
        assert_eq!(statement("to\"x", Some("d"), hostile), expected);
        let expected = "ALTER ROLE \"a\" SET \"work_mem\" TO '4MB, ''x''';\n";
        assert_eq!(statement("a", None, "work_mem=4MB, 'x'"), expected);
    }
}
