//! What a database server is told.

use severance_engine::ports::{Errand, SecretValue, Telling, Told, Version};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::record::ProbeAnswer;

use super::{cannot, endpoint};
use crate::database::{DatabaseError, DatabaseIssuer, DatabaseValue, LoginAnswer, Sessions, Which};

/// Does an errand.
pub(super) async fn tell(
    issuer: &DatabaseIssuer,
    errand: &Errand,
    operation: &str,
) -> Result<Told, Failure> {
    let version = value(Some(&errand.version))?;
    let here = Here { issuer, errand, version };
    let told = match errand.what {
        Telling::Set { end_sessions } => {
            let before = value(errand.beside.as_ref())?;
            here.set(before, end_sessions).await
        }
        Telling::Try => here.accepts().await,
        Telling::Retire { followed } => here.retire(followed).await,
        Telling::EndSessions => here.end_sessions().await,
        // A server has no memory of which value is current.
        Telling::Finish => Ok(Told::default()),
    };
    told.map_err(|error| error.failure(operation))
}

struct Here<'a> {
    issuer: &'a DatabaseIssuer,
    errand: &'a Errand,
    version: &'a SecretValue,
}

impl Here<'_> {
    async fn set(&self, before: &SecretValue, end_sessions: bool) -> Result<Told, DatabaseError> {
        let others: Vec<_> = self.errand.others.iter().filter_map(|it| it.value.as_ref()).collect();
        let set = match self.administrator() {
            None => self.issuer.take_over(before, &others, self.version).await?,
            admin => self.issuer.set(before, self.version, admin).await?,
        };
        if end_sessions {
            // By the login itself, which needs no rights for it.
            let which = Sessions::OpenedBefore(set.at);
            let username = username(self.version)?;
            self.issuer.terminate_sessions(&username, which, self.version).await?;
        }
        Ok(Told::default())
    }

    async fn accepts(&self) -> Result<Told, DatabaseError> {
        let endpoint = endpoint(&self.errand.issuer);
        let probe = match self.issuer.accepts(self.version).await? {
            LoginAnswer::Accepted => ProbeAnswer::Accepted { endpoint },
            LoginAnswer::Refused { .. } => ProbeAnswer::Refused { endpoint },
        };
        Ok(Told { probe: Some(probe), ..Told::default() })
    }

    async fn retire(&self, followed: bool) -> Result<Told, DatabaseError> {
        let admin = self.administrator();
        match self.beside()? {
            Some((current, false)) => self.issuer.retire(self.version, current, admin).await?,
            Some((_, true)) | None => self.issuer.take_away(self.version, admin, followed).await?,
        };
        Ok(Told::default())
    }

    /// Every one of them: when the others were opened is known to the server alone.
    async fn end_sessions(&self) -> Result<Told, DatabaseError> {
        let itself = self.beside()?.and_then(|(current, same)| same.then_some(current));
        let by = itself.or(self.administrator()).ok_or(DatabaseError::AdminNeeded)?;
        let username = username(self.version)?;
        let ended = self.issuer.terminate_sessions(&username, Sessions::All, by).await?;
        Ok(Told { stragglers_for: Some(ended.stragglers_for), ..Told::default() })
    }

    fn administrator(&self) -> Option<&SecretValue> {
        self.errand.administrator.as_ref()
    }

    /// The other version's value, and whether it is of the same login.
    fn beside(&self) -> Result<Option<(&SecretValue, bool)>, DatabaseError> {
        let beside = self.errand.beside.as_ref().and_then(|beside| beside.value.as_ref());
        let Some(beside) = beside else { return Ok(None) };
        Ok(Some((beside, username(beside)? == username(self.version)?)))
    }
}

fn value(version: Option<&Version>) -> Result<&SecretValue, Failure> {
    let value = version.and_then(|version| version.value.as_ref());
    value.ok_or_else(|| cannot("database", "NoValue", "the version's value was not read"))
}

fn username(value: &SecretValue) -> Result<String, DatabaseError> {
    let login = DatabaseValue::parse(value)
        .map_err(|source| DatabaseError::Value { which: Which::Tried, source })?;
    Ok(login.username().to_owned())
}
