//! STS, Query API of 2011-06-15.

mod assume_role;
mod tokens;
mod who;

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::call::{Call, Operation};
use super::error::AwsError;
use super::ids;
use super::state::{Session, SessionKind};
use super::xml::Xml;

static OPERATIONS: LazyLock<HashMap<&'static str, &'static Operation>> = LazyLock::new(|| {
    [assume_role::OPERATIONS, tokens::OPERATIONS, who::OPERATIONS]
        .into_iter()
        .flatten()
        .map(|operation| (operation.name, operation))
        .collect()
});

pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.get(name).copied()
}

/// The `DurationSeconds` parameter, within its bounds.
fn duration(call: &Call<'_>, default: i64, longest: i64) -> Result<TimeDelta, AwsError> {
    let seconds = call.params.number("DurationSeconds")?.unwrap_or(default);
    if !(900..=longest).contains(&seconds) {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy \
             constraint: Member must be between 900 and {longest}"
        )));
    }
    Ok(TimeDelta::seconds(seconds))
}

/// Issues temporary credentials and writes their `Credentials` element.
fn issue(
    call: &mut Call<'_>,
    account: &str,
    kind: SessionKind,
    lasts: TimeDelta,
    mfa: bool,
    xml: &mut Xml,
) {
    let issued_at: DateTime<Utc> = call.at.now.trunc_subsecs(0);
    let secret = ids::secret_access_key(&mut call.world.rng);
    let token = ids::session_token(&mut call.world.rng);
    let session = Session {
        secret: secret.clone(),
        token: token.clone(),
        account: account.to_owned(),
        issued_at,
        expires_at: issued_at + lasts,
        kind,
        mfa,
    };
    let id = call.world.keep_session(session, call.at.now);
    xml.nest("Credentials", |xml| {
        xml.text("AccessKeyId", &id).text("SecretAccessKey", &secret);
        xml.text("SessionToken", &token).time("Expiration", issued_at + lasts);
    });
}
