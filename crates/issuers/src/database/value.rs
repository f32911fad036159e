//! What a secret for the strategy `database` must hold: JSON in the shape of AWS's RDS secrets.

use rustls::pki_types::ServerName;
use serde_json::value::RawValue;
use severance_engine::fields::{Fields, Shape};
use severance_engine::ports::SecretValue;

/// What AWS's own rotation functions assume where the secret does not say.
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_DATABASE: &str = "postgres";

/// Longest name of a role or database, in bytes; PostgreSQL would cut a longer one.
pub(super) const LONGEST_NAME: usize = 63;

/// What AWS calls the engines that speak PostgreSQL.
const POSTGRES: &[&str] = &["postgres", "aurora-postgresql"];

/// The other engines of RDS secrets, which may be named in an error: any other text might be a
/// value that somebody put into the wrong field.
const OTHER_ENGINES: &[&str] =
    &["aurora-mysql", "db2", "mariadb", "mongo", "mysql", "oracle", "redshift", "sqlserver"];

/// Why a value cannot be used. Names the field, never what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not JSON, or something after it.
    #[error("not JSON")]
    NotJson,
    /// JSON, but a list, a text, a number.
    #[error("not a JSON object")]
    NotAnObject,
    /// A field that must be there is not.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// A field is there twice, and readers differ in which one holds.
    #[error("{0}: given twice")]
    Twice(&'static str),
    /// A field has another type than text.
    #[error("{0}: not a string")]
    NotAString(&'static str),
    /// A field's text cannot be what it says.
    #[error("{field}: {problem}")]
    Unusable {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another kind of database.
    #[error("engine: {0} is not supported")]
    Engine(&'static str),
}

impl From<Shape> for ValueError {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::NotJson => Self::NotJson,
            Shape::NotAnObject => Self::NotAnObject,
        }
    }
}

/// The kinds of database server. Another one begins here: each place that must differ by kind
/// matches on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
}

/// A login at a database, as a secret's value names it.
#[derive(Debug)]
pub struct DatabaseValue {
    pub(super) engine: Engine,
    host: String,
    port: u16,
    username: String,
    password: SecretValue,
    database: String,
}

impl DatabaseValue {
    /// Reads what is needed out of a secret's value: `engine`, `host`, `username`, `password`, and
    /// `port` (5432) and `dbname` (`postgres`) where they are given.
    ///
    /// # Errors
    /// Names the first field that is not what it must be.
    pub fn parse(value: &SecretValue) -> Result<Self, ValueError> {
        let fields = Fields::of(value)?;
        Ok(Self {
            engine: engine(&fields)?,
            host: host(&fields)?,
            port: port(&fields)?,
            username: name(&fields, "username")?.ok_or(ValueError::Missing("username"))?,
            password: fields.text("password")?.ok_or(ValueError::Missing("password"))?,
            database: name(&fields, "dbname")?.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
        })
    }

    /// The server's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The login.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The database that is connected to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether both name one user of one server.
    pub(crate) fn is_same_login(&self, other: &Self) -> bool {
        self.username == other.username && self.is_on_server_of(other)
    }

    /// The same login, to connect to the other's database.
    pub(super) fn with_database_of(self, other: &Self) -> Self {
        Self { database: other.database.clone(), ..self }
    }

    pub(crate) fn is_on_server_of(&self, other: &Self) -> bool {
        self.is_at(&other.host, other.port)
    }

    pub(super) fn is_at(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port == port
    }

    pub(super) fn password(&self) -> &SecretValue {
        &self.password
    }
}

fn engine(fields: &Fields<'_>) -> Result<Engine, ValueError> {
    let engine = fields.text("engine")?.ok_or(ValueError::Missing("engine"))?;
    if POSTGRES.contains(&engine.reveal()) {
        return Ok(Engine::Postgres);
    }
    let known = OTHER_ENGINES.iter().find(|other| **other == engine.reveal());
    Err(ValueError::Engine(known.unwrap_or(&"this one")))
}

/// A host name or an address: a path would be a socket, and the client takes a list for many hosts.
fn host(fields: &Fields<'_>) -> Result<String, ValueError> {
    let host = fields.text("host")?.ok_or(ValueError::Missing("host"))?.reveal().to_owned();
    match ServerName::try_from(host.as_str()) {
        Ok(_) => Ok(host),
        Err(_) => Err(ValueError::Unusable { field: "host", problem: "not a host name" }),
    }
}

/// A number, or a text that is one: AWS's own tools write both.
fn port(fields: &Fields<'_>) -> Result<u16, ValueError> {
    let not_a_port = ValueError::Unusable { field: "port", problem: "not a port number" };
    let Some(raw) = fields.get("port")? else { return Ok(DEFAULT_PORT) };
    let digits = raw.get().trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a_port);
    }
    match digits.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(not_a_port),
    }
}

fn name(fields: &Fields<'_>, field: &'static str) -> Result<Option<String>, ValueError> {
    let Some(name) = fields.text(field)? else { return Ok(None) };
    if name.reveal().len() > LONGEST_NAME {
        return Err(ValueError::Unusable { field, problem: "longer than 63 bytes" });
    }
    Ok(Some(name.reveal().to_owned()))
}

/// Fields that are read by their names, each given once.
trait Read<'a> {
    fn get(&self, field: &'static str) -> Result<Option<&'a RawValue>, ValueError>;
    fn text(&self, field: &'static str) -> Result<Option<SecretValue>, ValueError>;
}

impl<'a> Read<'a> for Fields<'a> {
    fn get(&self, field: &'static str) -> Result<Option<&'a RawValue>, ValueError> {
        let mut found = self.named(field);
        let first = found.next();
        if found.next().is_some() {
            return Err(ValueError::Twice(field));
        }
        Ok(first)
    }

    fn text(&self, field: &'static str) -> Result<Option<SecretValue>, ValueError> {
        let Some(raw) = self.get(field)? else { return Ok(None) };
        let text = serde_json::from_str(raw.get()).map_err(|_| ValueError::NotAString(field))?;
        let text = SecretValue::new(text);
        let problem = match text.reveal() {
            "" => "empty",
            text if text.contains('\0') => "holds a NUL character",
            _ => return Ok(Some(text)),
        };
        Err(ValueError::Unusable { field, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseValue, ValueError> {
        DatabaseValue::parse(&SecretValue::new(text.to_owned()))
    }

    /// A good value with one field written otherwise, or left out.
    fn with(field: &str, raw: Option<&str>) -> String {
        let good = [
            ("engine", r#""postgres""#),
            ("host", r#""db.example.com""#),
            ("port", "5433"),
            ("username", r#""app""#),
            ("password", r#""s3cr3t""#),
            ("dbname", r#""orders""#),
        ];
        let changed = good.iter().filter_map(|(name, as_is)| {
            let raw = if *name == field { raw? } else { as_is };
            Some(format!(r#""{name}":{raw}"#))
        });
        format!("{{{}}}", changed.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_secret_as_rds_writes_it_is_read() {
        let value = parse(&with("", None)).unwrap();
        assert_eq!((value.host(), value.port()), ("db.example.com", 5433));
        assert_eq!((value.username(), value.database()), ("app", "orders"));
        assert_eq!(value.password().reveal(), "s3cr3t");
        assert!(parse(&with("engine", Some(r#""aurora-postgresql""#))).is_ok());
        assert!(parse(&with("host", Some(r#""10.0.0.1""#))).is_ok());
        assert_eq!(parse(&with("port", Some(r#""6000""#))).unwrap().port(), 6000);
        assert_eq!(parse(&with("port", None)).unwrap().port(), 5432);
        assert_eq!(parse(&with("dbname", None)).unwrap().database(), "postgres");
    }

    #[test]
    fn each_bad_value_is_refused_with_its_field_named() {
        let long = format!("\"{}\"", "x".repeat(64));
        let cases = [
            ("hunter2".to_owned(), "not JSON"),
            (String::new(), "not JSON"),
            (format!("{} x", with("", None)), "not JSON"),
            ("[1]".to_owned(), "not a JSON object"),
            (r#""hunter2""#.to_owned(), "not a JSON object"),
            (with("engine", None), "engine: missing"),
            (with("engine", Some(r#""mysql""#)), "engine: mysql is not supported"),
            (with("engine", Some(r#""hunter2""#)), "engine: this one is not supported"),
            (with("engine", Some("1")), "engine: not a string"),
            (with("host", None), "host: missing"),
            (with("host", Some(r#""/var/run""#)), "host: not a host name"),
            (with("host", Some(r#""a,b""#)), "host: not a host name"),
            (with("port", Some("0")), "port: not a port number"),
            (with("port", Some("65536")), "port: not a port number"),
            (with("port", Some("null")), "port: not a port number"),
            (with("port", Some(r#""""#)), "port: not a port number"),
            (with("port", Some("-1")), "port: not a port number"),
            (with("username", None), "username: missing"),
            (with("username", Some("{}")), "username: not a string"),
            (with("username", Some(r#""a\u0000b""#)), "username: holds a NUL character"),
            (with("username", Some(&long)), "username: longer than 63 bytes"),
            (with("password", None), "password: missing"),
            (with("password", Some("12345678")), "password: not a string"),
            (with("password", Some("null")), "password: not a string"),
            (with("password", Some(r#""""#)), "password: empty"),
            (with("password", Some(r#""a","password":"b""#)), "password: given twice"),
            (with("dbname", Some("7")), "dbname: not a string"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(&text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_parsed_value_shows_no_password() {
        let shown = format!("{:?}", parse(&with("", None)).unwrap());
        assert!(shown.contains("orders") && !shown.contains("s3cr3t"), "{shown}");
    }
}
