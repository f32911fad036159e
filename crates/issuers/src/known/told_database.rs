//! What a database server is told.

use severance_engine::ports::{Errand, SecretStore, SecretValue, Telling, Told, Version};
use severance_lifecycle::failure::Failure;
use severance_lifecycle::record::ProbeAnswer;
use severance_lifecycle::task::Lane;

use super::{Administrator, cannot, endpoint};
use crate::database::{
    AdministratorRights, DatabaseError, DatabaseIssuer, DatabaseValue, LoginAnswer, Sessions, Which,
};

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
        let Some(admin) = self.administrator() else {
            self.issuer.take_over(before, &others, self.version, end_sessions).await?;
            return Ok(Told::default());
        };
        let set = self.issuer.set(before, self.version, Some(admin)).await?;
        if end_sessions {
            // By the login itself, which needs no rights for it and may see when each was opened. Where others
            // have filled it up, or have changed its password since, all of them go.
            let (of, itself) = (self.version, Sessions::OpenedBefore(set.at));
            match self.issuer.terminate_sessions(of, itself, &[of]).await {
                Err(DatabaseError::Refused { .. } | DatabaseError::Server { .. }) => {
                    self.issuer.terminate_sessions(of, Sessions::All, &[admin]).await?;
                }
                ended => drop(ended?),
            }
        }
        Ok(Told::default())
    }

    async fn accepts(&self) -> Result<Told, DatabaseError> {
        if let Some((_, beside)) = self.beside()?
            && !beside.is_on_server_of(&self.login()?)
        {
            let why = "it names another server".to_owned();
            return Ok(Told { probe: Some(ProbeAnswer::Unavailable { why }), ..Told::default() });
        }
        let endpoint = endpoint(&self.errand.issuer);
        let probe = match self.issuer.accepts(self.version).await? {
            LoginAnswer::Accepted => ProbeAnswer::Accepted { endpoint },
            LoginAnswer::Refused { .. } => ProbeAnswer::Refused { endpoint },
        };
        Ok(Told { probe: Some(probe), ..Told::default() })
    }

    async fn retire(&self, followed: bool) -> Result<Told, DatabaseError> {
        let admin = self.administrator();
        let retired = match self.beside()? {
            Some((current, login)) if login.username() != self.login()?.username() => {
                self.issuer.retire(self.version, current, admin).await?
            }
            _ => self.issuer.take_away(self.version, admin, followed).await?,
        };
        // It was let in before, or its password was not taken away.
        let accepted = || ProbeAnswer::Accepted { endpoint: endpoint(&self.errand.issuer) };
        let probe = (!retired.already).then(accepted);
        Ok(Told { probe, sessions_ended: retired.sessions_ended, ..Told::default() })
    }

    /// Every one of them: when the others were opened is known to the server alone.
    async fn end_sessions(&self) -> Result<Told, DatabaseError> {
        let of = self.login()?;
        let itself = self.beside()?.filter(|(_, login)| login.is_same_login(&of));
        let by: Vec<_> =
            itself.map(|(current, _)| current).into_iter().chain(self.administrator()).collect();
        let ended = self.issuer.terminate_sessions(self.version, Sessions::All, &by).await?;
        Ok(Told { stragglers_for: Some(ended.stragglers_for), ..Told::default() })
    }

    fn administrator(&self) -> Option<&SecretValue> {
        self.errand.administrator.as_ref()
    }

    fn login(&self) -> Result<DatabaseValue, DatabaseError> {
        login(self.version)
    }

    /// The other version's value, and whose it is.
    fn beside(&self) -> Result<Option<(&SecretValue, DatabaseValue)>, DatabaseError> {
        let beside = self.errand.beside.as_ref().and_then(|beside| beside.value.as_ref());
        beside.map(|beside| Ok((beside, login(beside)?))).transpose()
    }
}

/// Whether an administrator is let in, and what it may do.
pub(super) async fn rights(
    issuer: &DatabaseIssuer,
    administrator: &Administrator,
    store: &dyn SecretStore,
) -> Result<AdministratorRights, Failure> {
    let Administrator { host, port, secret } = administrator;
    let value = store.read(secret, None, Lane::Rest).await?;
    let value = value.ok_or_else(|| {
        cannot("secretsmanager:GetSecretValue", "UnfitValue", "value: it is binary")
    })?;
    let rights = issuer.rights(&value, host, *port).await;
    rights.map_err(|error| error.failure("database:Login"))
}

fn value(version: Option<&Version>) -> Result<&SecretValue, Failure> {
    let value = version.and_then(|version| version.value.as_ref());
    value.ok_or_else(|| cannot("database", "NoValue", "the version's value was not read"))
}

fn login(value: &SecretValue) -> Result<DatabaseValue, DatabaseError> {
    DatabaseValue::parse(value)
        .map_err(|source| DatabaseError::Value { which: Which::Tried, source })
}

#[cfg(test)]
mod tests {
    use severance_lifecycle::secret::{Issuer, SecretRef};

    use super::*;
    use crate::database::{DatabaseSettings, Transport};

    fn version(id: &str, host: &str) -> Version {
        let value = format!(
            r#"{{"engine":"postgres","host":"{host}","port":9,"username":"app","password":"p"}}"#
        );
        Version { id: id.into(), value: Some(SecretValue::new(value)) }
    }

    #[tokio::test]
    async fn what_another_server_accepts_says_nothing_of_this_one() {
        let settings =
            DatabaseSettings { transport: Transport::Plaintext, ..DatabaseSettings::default() };
        let issuer = DatabaseIssuer::new(settings).unwrap();
        let errand = Errand {
            secret: SecretRef {
                account: "111111111111".into(),
                region: "eu-west-1".into(),
                arn: "arn:aws:secretsmanager:eu-west-1:111111111111:secret:app-AbCdEf".into(),
                name: "app".into(),
            },
            issuer: Issuer::Database { alternating: false },
            attempt: "t.0".into(),
            what: Telling::Try,
            version: version("v2", "staging.test"),
            beside: Some(version("v1", "production.test")),
            others: Vec::new(),
            administrator: None,
            lane: Lane::Rest,
        };
        let told = tell(&issuer, &errand, "database:Try").await.unwrap();
        assert!(
            matches!(&told.probe, Some(ProbeAnswer::Unavailable { why }) if why.contains("server")),
            "{:?}",
            told.probe
        );
    }
}
