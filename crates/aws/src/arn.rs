//! ARNs of IAM, as far as we write and read them.

/// The path and prefix of the managed policies that are ours.
pub(crate) const POLICY_PATH: &str = "/severance/";

/// A managed policy of ours.
pub(crate) fn policy(partition: &str, account: &str, name: &str) -> String {
    format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}{name}")
}

/// An IAM ARN taken apart: `arn:aws:iam::111122223333:user/path/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IamArn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) account: &'a str,
    pub(crate) kind: &'a str,
    /// What follows the kind, paths included.
    pub(crate) rest: &'a str,
}

impl<'a> IamArn<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let (partition, service, _region) = (parts.next()?, parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        Some(Self { partition, service, account, kind, rest })
    }

    /// The name without its path.
    pub(crate) fn name(&self) -> &'a str {
        self.rest.rsplit('/').next().unwrap_or(self.rest)
    }

    /// Of a session of a role (`assumed-role/NAME/SESSION`), the role's name.
    pub(crate) fn assumed_role(&self) -> Option<&'a str> {
        let session = self.service == "sts" && self.kind == "assumed-role";
        session.then(|| self.rest.split('/').next()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_gives_its_name_without_the_path() {
        let arn = IamArn::parse("arn:aws-cn:iam::111122223333:user/partners/acme/ci").unwrap();
        assert_eq!((arn.partition, arn.account), ("aws-cn", "111122223333"));
        assert_eq!((arn.kind, arn.name()), ("user", "ci"));
        assert_eq!(IamArn::parse("ci"), None);
    }

    #[test]
    fn a_session_gives_its_role_and_a_role_does_not() {
        let role = |text| IamArn::parse(text).and_then(|arn| arn.assumed_role());
        assert_eq!(role("arn:aws:sts::111122223333:assumed-role/worker/i-0abc"), Some("worker"));
        assert_eq!(role("arn:aws:iam::111122223333:role/worker"), None);
        assert_eq!(role("arn:aws:iam::111122223333:root"), None);
    }
}
