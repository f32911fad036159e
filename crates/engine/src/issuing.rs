//! What is told to an issuer beyond the provider: the values that it needs are read, it is told, and the
//! answer is dated by the store's clock, so that every window counts on one.

use severance_lifecycle::action::Action;
use severance_lifecycle::credential::Target;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::policy::Desired;
use severance_lifecycle::secret::{Issuer, SecretRef};
use severance_lifecycle::secret_action::SecretAction;
use severance_lifecycle::task::Task;

use crate::ports::{Applied, Errand, SecretValue, Telling, Version};
use crate::shared::Shared;

/// Carries out an action: at the provider, or where it is about an issuer beyond it, there. `thorough`:
/// sessions go with the value that they were opened with.
///
/// # Errors
/// A [`Failure`], as of [`Provider::act`](crate::ports::Provider::act).
pub(crate) async fn act(
    shared: &Shared,
    task: &Task,
    action: &Action,
    thorough: bool,
) -> Result<Applied, Failure> {
    match (action, &task.target) {
        (Action::Secret { secret, what }, Target::Secret { issuer, .. })
            if issuer.is_told() && concerns_issuer(what) =>
        {
            Issuing { shared, task, secret, issuer, thorough }.act(what).await
        }
        _ => shared.provider.act(action, task.lane).await,
    }
}

fn concerns_issuer(what: &SecretAction) -> bool {
    matches!(
        what,
        SecretAction::Prepare { .. }
            | SecretAction::Set { .. }
            | SecretAction::Try { .. }
            | SecretAction::Finish { .. }
            | SecretAction::Retire { .. }
            | SecretAction::EndSessions { .. }
    )
}

struct Issuing<'a> {
    shared: &'a Shared,
    task: &'a Task,
    secret: &'a SecretRef,
    issuer: &'a Issuer,
    thorough: bool,
}

impl Issuing<'_> {
    async fn act(&self, what: &SecretAction) -> Result<Applied, Failure> {
        let (version, beside, telling) = match what {
            SecretAction::Prepare { version, from } => return self.prepare(version, from).await,
            SecretAction::Set { version, from, .. } => {
                (version, Some(from.as_str()), Telling::Set { end_sessions: self.thorough })
            }
            SecretAction::Try { version, .. } => {
                (version, self.of_one_server(version), Telling::Try)
            }
            SecretAction::Finish { version } => (version, None, Telling::Finish),
            SecretAction::Retire { version, current } => {
                let followed = self.task.desired == Desired::Rotated;
                (version, current.as_deref(), Telling::Retire { followed })
            }
            SecretAction::EndSessions { version } => (version, self.let_in(), Telling::EndSessions),
            _ => return Err(unfit("no errand", "the issuer is not told of this")),
        };
        let version = self.version(version).await?;
        let beside = match beside.filter(|id| !id.is_empty()) {
            Some(id) => Some(self.version(id).await?),
            None => None,
        };
        let administrator = match (telling, &version.value) {
            (Telling::Try | Telling::Finish, _) | (_, None) => None,
            (_, Some(value)) => self.administrator(value).await?,
        };
        let others = match (what, &administrator) {
            (SecretAction::Set { others, .. }, None) => self.readable(others).await?,
            _ => Vec::new(),
        };
        let attempt = self.task.record.rotation.attempt(what);
        let told = self
            .shared
            .issuers
            .tell(&Errand {
                secret: self.secret.clone(),
                issuer: self.issuer.clone(),
                attempt: format!("{}.{attempt}", self.task.id),
                what: telling,
                version,
                beside,
                others,
                administrator,
                lane: self.task.lane,
            })
            .await?;
        // Read after it: what an answer is dated by must not lie before the question, or a window would
        // seem to have passed that did not.
        let at = self.shared.store.now(self.secret, self.task.lane).await?;
        Ok(Applied {
            request_id: None,
            at,
            probe: told.probe,
            stragglers_until: match told.stragglers_for {
                None => told.sessions_ended.then_some(at),
                Some(time) => Some(at + time),
            },
        })
    }

    /// What is handed out is let in there, and before that what this task told it: another task may have told it of
    /// more since.
    fn let_in(&self) -> Option<&str> {
        let rotation = &self.task.record.rotation;
        rotation.new.as_ref().or(rotation.set.keys().next()).map(String::as_str)
    }

    /// Until it is proven that the secret holds what it names, by one of its versions: the version whose server
    /// that has to be for.
    fn of_one_server(&self, version: &str) -> Option<&str> {
        let rotation = &self.task.record.rotation;
        let old = rotation.old.as_ref().map(|old| old.version.as_str());
        let is_database = matches!(self.issuer, Issuer::Database { .. });
        old.filter(|old| is_database && !rotation.possessed && *old != version)
    }

    async fn prepare(&self, version: &str, from: &str) -> Result<Applied, Failure> {
        let from = self.value(from).await?;
        let next = self.shared.issuers.next_value(self.issuer, &from)?;
        self.shared.store.store(self.secret, version, &next, self.task.lane).await
    }

    /// A version, with its value where the issuer does not read that itself.
    async fn version(&self, id: &str) -> Result<Version, Failure> {
        let value = match self.issuer {
            Issuer::Webhook { .. } => None,
            _ => Some(self.value(id).await?),
        };
        Ok(Version { id: id.to_owned(), value })
    }

    /// Those of the versions that can be read: what AWS has collected since, or what is binary, is of no use.
    async fn readable(&self, ids: &[String]) -> Result<Vec<Version>, Failure> {
        let mut versions = Vec::new();
        for id in ids {
            match self.version(id).await {
                Ok(version) => versions.push(version),
                Err(failure) if is_unreadable(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(versions)
    }

    async fn value(&self, version: &str) -> Result<SecretValue, Failure> {
        let read = self.shared.store.read(self.secret, Some(version), self.task.lane).await?;
        read.ok_or_else(|| unfit("value", &format!("that of {version} is binary")))
    }

    async fn administrator(&self, value: &SecretValue) -> Result<Option<SecretValue>, Failure> {
        let Some(secret) = self.shared.issuers.administrator(self.issuer, value)? else {
            return Ok(None);
        };
        let read = self.shared.store.read(&secret, None, self.task.lane).await?;
        read.map(Some).ok_or_else(|| unfit(&secret.arn, "the administrator's value is binary"))
    }
}

fn is_unreadable(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Gone | FailureClass::Cannot)
}

fn unfit(what: &str, why: &str) -> Failure {
    Failure {
        class: FailureClass::Cannot,
        operation: "secretsmanager:GetSecretValue".to_owned(),
        code: "UnfitValue".to_owned(),
        message: format!("{what}: {why}"),
        request_id: None,
    }
}
