//! The one way to the provider: every call is admitted, bounded, timed, reported and classed here.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use severance_engine::ports::{Admission, Api, Clock, EngineEvent, Observer, Permit};
use severance_lifecycle::credential::UserRef;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::task::Lane;

use crate::account::Account;
use crate::answer::{self, Headers, Seen};
use crate::operation::Operation;
use crate::{arn, failure};

/// What the adapter is given by the engine's side.
#[derive(Clone)]
pub struct Ports {
    /// Asked before every call.
    pub admission: Arc<dyn Admission>,
    /// Told of every call.
    pub observer: Arc<dyn Observer>,
    /// Times calls.
    pub clock: Arc<dyn Clock>,
}

/// The calls of one look, one action or one lookup in one account, and what their answers said of the
/// provider's clock.
pub(crate) struct Calls<'a> {
    pub(crate) account: &'a Account,
    accounts: &'a [Account],
    ports: &'a Ports,
    lane: Lane,
    seen: Mutex<Seen>,
    /// Under which all of these calls are made; without it, each is admitted by itself.
    permit: Option<Arc<Mutex<Permit>>>,
}

impl<'a> Calls<'a> {
    /// Calls into one of `accounts`; `None` where it is not configured.
    pub(crate) fn into_account(
        accounts: &'a [Account],
        id: &AccountId,
        ports: &'a Ports,
        lane: Lane,
    ) -> Option<Self> {
        let account = accounts.iter().find(|account| account.id == *id)?;
        Some(Self::new(account, accounts, ports, lane))
    }

    /// Calls with the clients of `account`, among `accounts`.
    pub(crate) fn new(
        account: &'a Account,
        accounts: &'a [Account],
        ports: &'a Ports,
        lane: Lane,
    ) -> Self {
        Self { account, accounts, ports, lane, seen: Mutex::default(), permit: None }
    }

    /// Calls into another account, in the same lane and under the same permit.
    pub(crate) fn sibling(&self, id: &AccountId) -> Option<Self> {
        let calls = Self::into_account(self.accounts, id, self.ports, self.lane)?;
        Some(Self { permit: self.permit.clone(), ..calls })
    }

    /// Calls into a user's account; `None` where that is this one.
    ///
    /// # Errors
    /// The account is not configured.
    pub(crate) fn for_user(&self, user: &UserRef) -> Result<Option<Self>, Failure> {
        if user.account == *self.id() {
            return Ok(None);
        }
        self.sibling(&user.account).map(Some).ok_or_else(|| {
            let message = format!("account {} of user {} is not", user.account, user.name);
            failure::cannot("aws", "AccountNotConfigured", &message)
        })
    }

    /// Every configured account.
    pub(crate) fn accounts(&self) -> &'a [Account] {
        self.accounts
    }

    /// Whether a secret of any account is known to hold the key in a version that Severance stored.
    pub(crate) fn known_as_ours(&self, key_id: &str) -> bool {
        self.accounts.iter().any(|account| account.secrets.is_ours(key_id))
    }

    /// Whether a secret of any account is known to hold the key, beside the one of this ARN.
    pub(crate) fn is_elsewhere(&self, key_id: &str, arn: &str) -> bool {
        self.accounts.iter().any(|account| account.secrets.is_elsewhere(key_id, arn))
    }

    /// Calls that follow one another under one permit, where giving up between two of them would lose what
    /// the first one answered. See [`absorb`](Self::absorb).
    pub(crate) async fn together(&self, first: &str) -> Self {
        let api = self.api(first.into());
        let permit = self.ports.admission.admit_to(self.id(), api, self.lane).await;
        let calls = Self::new(self.account, self.accounts, self.ports, self.lane);
        Self { permit: Some(Arc::new(Mutex::new(permit))), ..calls }
    }

    /// Takes in what the answers to others' calls said of the provider's clock and of the last change.
    pub(crate) fn absorb(&self, others: &Self) {
        let theirs = others.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(&theirs);
    }

    /// A managed policy of ours in this account.
    pub(crate) fn policy_arn(&self, name: &str) -> String {
        arn::policy(&self.account.partition, self.account.id.as_str(), name)
    }

    pub(crate) fn id(&self) -> &'a AccountId {
        &self.account.id
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Makes one call. `request` is what an SDK's `send()` returns: nothing happens before it is
    /// polled, which is after admission. Boxed at once: the SDK's futures are large, and looks hold
    /// several of them.
    ///
    /// The first call in an account finds out first whether the credentials are of that account.
    pub(crate) fn call<'c, T, E>(
        &'c self,
        operation: impl Into<Operation<'c>>,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'c,
    ) -> BoxFuture<'c, Result<T, Failure>>
    where
        T: Send + 'c,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let operation = operation.into();
        let request = Box::pin(request);
        Box::pin(async move {
            if !self.account.verified.load(Ordering::Relaxed) {
                self.verify().await?;
            }
            self.admitted(operation, request).await
        })
    }

    /// Whose limits an operation comes under. STS is one in each region too: where none is named, it is that
    /// of the configuration.
    fn api<'o>(&'o self, operation: Operation<'o>) -> Api<'o> {
        let service = operation.name.split(':').next().unwrap_or(operation.name);
        let region = match operation.region {
            Some(region) => Some(self.account.regions[region].as_str()),
            None if service == "sts" => self.account.home_region(),
            None => None,
        };
        Api { service, region }
    }

    /// Compares the account of our credentials with the one that they are configured for. Without it,
    /// an account without a role would be acted on in whichever account the worker happens to run as:
    /// names are the same in many.
    ///
    /// # Errors
    /// `WrongAccount`, or what the call failed with.
    pub(crate) async fn verify(&self) -> Result<(), Failure> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        // Boxed, as in `call`.
        let request = Box::pin(self.account.sts().get_caller_identity().send());
        let found = self.admitted(OPERATION.into(), request).await?.account.unwrap_or_default();
        if found != self.id().as_str() {
            let message = format!(
                "the credentials are of account {found}; account {} has no role_arn of its own",
                self.id()
            );
            return Err(failure::cannot(OPERATION, "WrongAccount", &message));
        }
        self.account.verified.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn admitted<T, E>(
        &self,
        operation: Operation<'_>,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let permit = if self.permit.is_none() {
            let api = self.api(operation);
            Some(self.ports.admission.admit_to(self.id(), api, self.lane).await)
        } else {
            None
        };
        let started = self.ports.clock.now();
        let (answer, headers) = answer::with_headers(request).await;
        let took = self.ports.clock.now() - started;
        drop(permit);
        self.keep(operation.name, headers);
        let answer = answer.map_err(|error| failure::of(operation.name, &error));
        if let Err(failure) = &answer
            && failure.class == FailureClass::Throttled
        {
            // Where our role could not be taken, it was STS that throttled, and not what was called.
            let refused = if failure.operation == operation.name {
                operation
            } else {
                failure.operation.as_str().into()
            };
            self.ports.admission.throttled_at(self.id(), self.api(refused));
        }
        self.report(operation.name, answer.as_ref().err(), took);
        answer
    }

    fn report(&self, operation: &str, failed: Option<&Failure>, took: chrono::TimeDelta) {
        self.ports.observer.on(&EngineEvent::Called {
            account: self.id(),
            operation,
            lane: self.lane,
            code: failed.map_or("ok", |failure| failure.code.as_str()),
            class: failed.map(|failure| failure.class),
            // Seconds for a histogram: the clock may have jumped back meanwhile.
            seconds: took.as_seconds_f64().max(0.0),
        });
    }

    fn keep(&self, operation: &str, headers: Headers) {
        let said = Seen { headers, changed: !is_read(operation) };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(&said);
    }

    /// The provider's clock: the latest `Date` of these calls' answers.
    ///
    /// The latest, because it is never earlier than anything that was seen: a cutoff set by it covers
    /// every session issued up to then, and time that it says has passed since an earlier look has
    /// truly passed since what that look saw. It is exact to a second. Where no answer came at all,
    /// our own clock stands in.
    pub(crate) fn at(&self) -> DateTime<Utc> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).headers.date;
        seen.unwrap_or_else(|| self.ports.clock.now())
    }

    /// Our own clock, for what is ours alone (the age of an index).
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }

    /// Waits between two tries of one call.
    pub(crate) async fn sleep(&self, duration: chrono::TimeDelta) {
        self.ports.clock.sleep(duration).await;
    }

    /// The request id of the last call that changed something or, where none did, of the last one.
    pub(crate) fn request_id(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).headers.request_id.clone()
    }

    /// Reads all pages of a listing. `page` makes the call that follows a marker and gives the entries
    /// with the next marker.
    pub(crate) async fn pages<T, P, F>(&self, operation: &str, page: P) -> Result<Vec<T>, Failure>
    where
        P: Fn(Option<String>) -> F + Send,
        F: Future<Output = Result<(Vec<T>, Option<String>), Failure>> + Send,
    {
        let mut all = Vec::new();
        let mut marker = None;
        for _ in 0..self.account.limits.pages {
            let (entries, next) = page(marker).await?;
            all.extend(entries);
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(all),
            }
        }
        Err(failure::too_many_pages(operation, self.account.limits.pages))
    }
}

/// AWS names what only reads so, in IAM, STS and Secrets Manager alike.
fn is_read(operation: &str) -> bool {
    let name = operation.rsplit(':').next().unwrap_or(operation);
    ["Get", "List", "Describe", "Simulate"].iter().any(|verb| name.starts_with(verb))
}
