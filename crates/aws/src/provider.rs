//! The engine's provider over AWS.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use aws_credential_types::provider::SharedCredentialsProvider;
use severance_engine::ports::{Applied, InventorySink, KeyLocation, Look, Provider};
use severance_lifecycle::action::Action;
use severance_lifecycle::event::Selector;
use severance_lifecycle::failure::{Failure, FailureClass};
use severance_lifecycle::ids::AccountId;
use severance_lifecycle::observe::{AssumableRole, Observed};
use severance_lifecycle::plan::Identity;
use severance_lifecycle::task::Lane;
use thiserror::Error;

use crate::account::{self, Account};
use crate::arn::IamArn;
use crate::calls::{Calls, Ports};
use crate::config::{AccountConfig, AwsConfig};
use crate::failure::{cannot, is_ours};
use crate::identity::Count;
use crate::permissions::{self, PermissionReport};
use crate::{act, assumable, find, inventory, locate, observe, own, renamed};

/// IAM, STS and Secrets Manager of the configured accounts.
pub struct AwsProvider {
    accounts: Vec<Account>,
    /// The base credentials themselves, before any role is taken: they are protected too.
    home: Account,
    ports: Ports,
    count: Count,
}

/// The configuration cannot be used.
#[derive(Debug, Error)]
#[error("the AWS configuration cannot be used: {}", problems.join("; "))]
pub struct ConfigError {
    /// What is wrong with it, each with the key's name.
    pub problems: Vec<String>,
}

impl AwsProvider {
    /// A provider that calls with the credentials that AWS's default chain finds. Makes no call.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub async fn new(config: &AwsConfig, ports: Ports) -> Result<Self, ConfigError> {
        Self::with_credentials(config, ports, None).await
    }

    /// A provider that calls with these credentials, where some are given.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub async fn with_credentials(
        config: &AwsConfig,
        ports: Ports,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, ConfigError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let base = account::base(config, credentials).await;
        let mut accounts = Vec::with_capacity(config.accounts.len());
        for account in &config.accounts {
            accounts.push(Account::new(config, account, &base).await);
        }
        let first = config.accounts.first().map(|account| account.id.clone()).unwrap_or_default();
        let home = AccountConfig { id: first, ..AccountConfig::default() };
        let home = Account::new(config, &home, &base).await;
        // It is of whatever account the base credentials are of: nothing to compare.
        home.verified.store(true, Ordering::Relaxed);
        let count = if config.limits.count_every_credential { Count::All } else { Count::Keys };
        Ok(Self { accounts, home, ports, count })
    }

    /// Which permissions our identity lacks in an account, for `severance check`.
    ///
    /// # Errors
    /// A [`Failure`]: the account cannot be reached at all.
    pub async fn check_permissions(
        &self,
        account: &AccountId,
    ) -> Result<PermissionReport, Failure> {
        permissions::check(&self.calls(account, Lane::Rest)?).await
    }

    /// The base credentials are of this identity: accounts that are reached with them are compared by
    /// it, so that no look in them has to ask first.
    fn base_is(&self, arn: &str) {
        let Some(arn) = IamArn::parse(arn) else { return };
        let of_base =
            |account: &&Account| account.role_arn.is_none() && account.id.0 == arn.account;
        for account in self.accounts.iter().filter(of_base) {
            account.verified.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn calls(&self, account: &AccountId, lane: Lane) -> Result<Calls<'_>, Failure> {
        Calls::into_account(&self.accounts, account, &self.ports, lane).ok_or_else(|| {
            let message = format!("account {account} is not configured");
            cannot("aws", "AccountNotConfigured", &message)
        })
    }
}

#[async_trait]
impl Provider for AwsProvider {
    async fn observe(&self, look: &Look) -> Result<Observed, Failure> {
        let Some(account) = look.target.account() else {
            return Err(cannot("observe", "Unresolved", "a target that names no account"));
        };
        observe::observe(&self.calls(account, look.lane)?, look).await
    }

    async fn act(&self, action: &Action, lane: Lane) -> Result<Applied, Failure> {
        let calls = self.calls(act::account(action), lane)?;
        let mut action = action.clone();
        if let Some(user) = action.user_mut() {
            calls.account.names.apply(user);
        }
        act::act(&calls, &action).await
    }

    async fn locate_key(&self, key_id: &str, lane: Lane) -> Result<KeyLocation, Failure> {
        // Any account may ask whose an id is: the first that we can reach does.
        let mut unreachable = None;
        for account in &self.accounts {
            match locate::locate(&self.calls(&account.id, lane)?, key_id).await {
                Err(failure) if is_ours(&failure) => unreachable = Some(failure),
                answer => return answer,
            }
        }
        unreachable.map_or(Ok(KeyLocation::Unknown), Err)
    }

    async fn find(&self, selector: &Selector, lane: Lane) -> Result<Vec<Identity>, Failure> {
        let mut found = Vec::new();
        for account in &self.accounts {
            if selector.account.as_ref().is_none_or(|only| *only == account.id) {
                found.extend(find::find(&self.calls(&account.id, lane)?, selector).await?);
            }
        }
        Ok(found)
    }

    async fn assumable(
        &self,
        identity: &Identity,
        candidates: &[Identity],
        lane: Lane,
    ) -> Result<Vec<AssumableRole>, Failure> {
        let calls = self.calls(&identity.account, lane)?;
        let answer = assumable::assumable(&calls, identity, candidates).await;
        let Err(failure) = &answer else { return answer };
        let user = identity.user().filter(|_| failure.class == FailureClass::Gone);
        let Some(user) = user else { return answer };
        // The simulation goes by name: a user that was renamed is asked about under its new one.
        let Some(current) = renamed::find(&calls, None, &user).await? else { return answer };
        let Some(found) = calls.user(&current.name).await? else { return answer };
        let identity = Identity { arn: found.arn, name: current.name, ..identity.clone() };
        assumable::assumable(&calls, &identity, candidates).await
    }

    async fn inventory(
        &self,
        account: &AccountId,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        let calls = self.calls(account, Lane::Rest)?;
        inventory::list(&calls, self.count, inventory::ALL, sink).await?;
        calls.account.secrets.list(&calls, sink).await
    }

    async fn roles(
        &self,
        account: &AccountId,
        lane: Lane,
        sink: &mut dyn InventorySink,
    ) -> Result<(), Failure> {
        inventory::list(&self.calls(account, lane)?, self.count, inventory::ROLES, sink).await
    }

    fn accounts(&self) -> Vec<AccountId> {
        self.accounts.iter().map(|account| account.id.clone()).collect()
    }

    async fn own_identities(&self) -> Result<Vec<String>, Failure> {
        let home = Calls::new(&self.home, &self.accounts, &self.ports, Lane::Rest);
        let mut own = Vec::new();
        let mut failed = None;
        // The home's clients are those of every account that has no role of its own.
        match own::identity(&home).await {
            Ok(arn) => {
                self.base_is(&arn);
                own.push(arn);
            }
            Err(failure) if failure.class == FailureClass::Cannot => {
                tracing::error!(%failure, "the worker's own identity cannot be told");
                failed = Some(failure);
            }
            Err(failure) => return Err(failure),
        }
        own.extend(self.accounts.iter().filter_map(|account| account.role_arn.clone()));
        own.sort();
        own.dedup();
        failed.filter(|_| own.is_empty()).map_or(Ok(own), Err)
    }
}
