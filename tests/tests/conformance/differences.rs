//! Where the other server (ministack 1.5.33 with `AUTH=true`) is known not to behave as AWS does.

/// A behaviour's name, and why the other server differs there.
pub(crate) const KNOWN: &[(&str, &str)] = &[
    (
        "GetAccessKeyInfo names the account of a deleted key too",
        "it looks the key up among those it has; AWS reads the account from the id itself",
    ),
    (
        "GetAccessKeyLastUsed names the user",
        "it names the user, but does not record the use: the service stays N/A",
    ),
    (
        "ListUsers gives all users page by page",
        "it ignores MaxItems and Marker: everything is on one page",
    ),
    (
        "a changed trust policy decides who takes the role",
        "it wants the caller's own leave as well, where a trust policy that names the user suffices",
    ),
    (
        "a deny of older sessions cuts a user's session",
        "it denies, but Secrets Manager's AccessDeniedException comes with 403 where AWS sends 400",
    ),
    ("a group with a user cannot be deleted: DeleteConflict", "it deletes groups that have users"),
    (
        "a live key in a region that is not enabled is refused with InvalidClientTokenId",
        "every region is enabled",
    ),
    (
        "a reset service-specific credential has another password",
        "it has no service-specific credentials",
    ),
    (
        "a role that trusts a user by name needs no other leave in its account",
        "it wants the caller's own leave as well, where a trust policy that names the user suffices",
    ),
    (
        "a service-linked role refuses a policy with UnmodifiableEntity",
        "service-linked roles are roles like others",
    ),
    (
        "a service-specific credential is made, deactivated and listed as inactive",
        "it has no service-specific credentials",
    ),
    ("a session from GetSessionToken without MFA cannot call IAM", "such sessions may call IAM"),
    (
        "a session longer than the role allows is ValidationError",
        "it does not look at the role's MaxSessionDuration",
    ),
    (
        "a signing certificate is uploaded, deactivated and listed as inactive",
        "it has no signing certificates",
    ),
    ("a sixth SSH key is refused with LimitExceeded", "it has no SSH keys"),
    ("a third access key is refused with LimitExceeded", "a user may have any number of keys"),
    (
        "a third service-specific credential of a service is refused with LimitExceeded",
        "it has no service-specific credentials",
    ),
    ("a third signing certificate is refused with LimitExceeded", "it has no signing certificates"),
    (
        "a trust policy shows a deleted user by its id",
        "principals stay names: whoever is made again under the name is trusted",
    ),
    (
        "a trust policy that names a user that is not there is MalformedPolicyDocument",
        "principals are not looked up",
    ),
    (
        "a trust policy that names nobody is MalformedPolicyDocument",
        "an empty list of principals is accepted",
    ),
    (
        "a user with an inline policy cannot be deleted: DeleteConflict",
        "it deletes users that have inline policies",
    ),
    ("an SSH key is uploaded, deactivated and listed as inactive", "it has no SSH keys"),
    (
        "an eleventh managed policy on a user is refused with LimitExceeded",
        "a user may have any number of managed policies",
    ),
    ("an inactive key counts towards the two", "a user may have any number of keys"),
    (
        "attaching a policy that is not there is NoSuchEntity",
        "it attaches ARNs of policies that do not exist",
    ),
    (
        "creating again with the same token and value changes nothing",
        "ClientRequestToken is ignored when a secret is made",
    ),
    (
        "inline policies of a user above 2,048 characters are refused with LimitExceeded",
        "inline policies may be of any size",
    ),
    (
        "the first version of a secret is AWSCURRENT",
        "ClientRequestToken is ignored when a secret is made: the version has another id",
    ),
    (
        "without a policy Secrets Manager says AccessDeniedException",
        "the code is AWS's, but it comes with 403 where AWS sends 400",
    ),
];

pub(crate) fn reason(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(it, _)| *it == name).map(|(_, reason)| *reason)
}
