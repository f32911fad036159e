//! One authorised call of a Query service, and the table that says how each operation runs.

use super::caller::Caller;
use super::error::AwsError;
use super::params::Params;
use super::state::{Account, Moment, World};
use super::xml::Xml;

/// An operation's surroundings while it runs.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) caller: &'a Caller,
    pub(crate) at: Moment,
    pub(crate) params: &'a Params,
}

impl Call<'_> {
    pub(crate) fn account(&self) -> Result<&Account, AwsError> {
        self.world.account(&self.caller.account)
    }

    pub(crate) fn account_mut(&mut self) -> Result<&mut Account, AwsError> {
        self.world.account_mut(&self.caller.account)
    }

    /// The `UserName` parameter, or the caller's own name where AWS defaults to it.
    pub(crate) fn user_name(&self) -> Result<&str, AwsError> {
        match self.params.get("UserName") {
            Some(name) => Ok(name),
            None => self.caller.user_name().ok_or_else(|| {
                AwsError::validation("Must specify userName when calling with non-User credentials")
            }),
        }
    }
}

/// What an operation acts on, for authorisation and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// `*`.
    Any,
    User,
    Role,
    Group,
    /// The managed policy of `PolicyArn`.
    Policy,
    /// The managed policy of `PolicyName`, before it has an ARN.
    NewPolicy,
    InstanceProfile,
    /// The MFA device of `SerialNumber` or `VirtualMFADeviceName`.
    Mfa,
    /// Needs no permission, or is decided by the operation itself (`AssumeRole`, by the trust).
    Free,
}

pub(crate) type Run = fn(&mut Call<'_>) -> Result<Xml, AwsError>;

/// One operation of a Query service.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) mutates: bool,
    pub(crate) target: Target,
    /// The parameters that it understands; any other is refused rather than ignored.
    pub(crate) params: &'static [&'static str],
    pub(crate) run: Run,
}

impl Operation {
    pub(crate) const fn read(
        name: &'static str,
        target: Target,
        params: &'static [&'static str],
        run: Run,
    ) -> Self {
        Self { name, mutates: false, target, params, run }
    }

    pub(crate) const fn write(
        name: &'static str,
        target: Target,
        params: &'static [&'static str],
        run: Run,
    ) -> Self {
        Self { name, mutates: true, target, params, run }
    }

    /// The ARN (or `*`) that a call acts on.
    pub(crate) fn resource(&self, world: &World, caller: &Caller, params: &Params) -> String {
        let account = &caller.account;
        let home = world.accounts.get(account);
        let path = params.get("Path").unwrap_or("/");
        let made = |kind: &str, name: &str| format!("arn:aws:iam::{account}:{kind}{path}{name}");
        match self.target {
            Target::Any | Target::Free => "*".to_owned(),
            Target::User => {
                let name = params.get("UserName").or(caller.user_name()).unwrap_or("*");
                let user = home.and_then(|home| home.users.named(name));
                user.map_or_else(|| made("user", name), super::state::User::arn)
            }
            Target::Role => {
                let name = params.get("RoleName").unwrap_or("*");
                let role = home.and_then(|home| home.roles.named(name));
                role.map_or_else(|| made("role", name), super::state::Role::arn)
            }
            Target::Group => {
                let name = params.get("GroupName").unwrap_or("*");
                let group = home.and_then(|home| home.groups.named(name));
                group.map_or_else(|| made("group", name), super::state::Group::arn)
            }
            Target::Policy => params.get("PolicyArn").unwrap_or("*").to_owned(),
            Target::NewPolicy => made("policy", params.get("PolicyName").unwrap_or("*")),
            Target::InstanceProfile => {
                made("instance-profile", params.get("InstanceProfileName").unwrap_or("*"))
            }
            Target::Mfa => match params.get("SerialNumber") {
                Some(serial) => serial.to_owned(),
                None => made("mfa", params.get("VirtualMFADeviceName").unwrap_or("*")),
            },
        }
    }
}
