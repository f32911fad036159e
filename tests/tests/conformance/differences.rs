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
    (
        "AWSCURRENT cannot be removed, only moved",
        "it removes AWSCURRENT, and the secret has no current version",
    ),
    (
        "AWSPENDING on another version makes a rotation InvalidRequestException",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    ("BatchGetSecretValue takes a list or filters, not both", "it takes both"),
    (
        "ListSecretVersionIds leaves out versions without labels",
        "it shows versions without labels, those that it still has, though not asked to",
    ),
    (
        "ListSecretVersionIds gives all versions page by page",
        "a version that loses AWSPREVIOUS to another is dropped at once",
    ),
    (
        "ListSecretVersionIds shows versions without labels when asked",
        "a version that loses AWSPREVIOUS to another is dropped at once",
    ),
    ("ListSecrets sorts by name, both ways", "it ignores SortBy and SortOrder"),
    (
        "UpdateSecret with a used token and another value is ResourceExistsException",
        "UpdateSecret ignores ClientRequestToken",
    ),
    (
        "UpdateSecret with a value makes it AWSCURRENT",
        "UpdateSecret ignores ClientRequestToken: the version has another id",
    ),
    ("ValidateResourcePolicy passes a good policy and fails a public one", "every policy passes"),
    (
        "a cancelled rotation turns the schedule off and leaves AWSPENDING",
        "it does not have CancelRotateSecret",
    ),
    (
        "a deleted secret's name is not free",
        "it says ResourceExistsException, AWS that the secret is scheduled for deletion",
    ),
    ("a description of more than 2,048 characters is refused", "a description may have any length"),
    (
        "a filter by all finds words anywhere, without case",
        "it does not know the key all, and finds every secret",
    ),
    (
        "a filter by name matches beginnings, with case",
        "it finds the value anywhere in a name, without case",
    ),
    ("a filter by tag value matches beginnings", "the filter must be a tag's whole value"),
    ("a filter value with ! leaves out what matches", "it does not know !"),
    (
        "a forced deletion of a secret that is not there succeeds",
        "it says ResourceNotFoundException, though its own source quotes AWS's rule",
    ),
    (
        "a function that cannot be invoked is AccessDeniedException",
        "functions are not looked up: RotateSecret is a stub",
    ),
    ("a name of more than 512 characters is refused", "a name may have any length"),
    (
        "a principal that is not there is MalformedPolicyDocumentException",
        "principals are not looked up",
    ),
    ("a promoted replica is a secret of its own", "it does not have StopReplicationToReplica"),
    (
        "a public policy is PublicPolicyException where that is blocked",
        "it ignores BlockPublicPolicy",
    ),
    (
        "a put with AWSPENDING takes the label off another version",
        "two versions can hold AWSPENDING",
    ),
    (
        "a put with the same token and another value is ResourceExistsException",
        "the version's value is replaced",
    ),
    (
        "a put with the same token and value changes nothing",
        "it moves AWSCURRENT to the version again",
    ),
    ("a put without a value is InvalidParameterException", "it stores a version without a value"),
    (
        "a region removed from replication has the secret no more",
        "it does not have RemoveRegionsFromReplication",
    ),
    (
        "a region that has a secret of that name fails, and is overwritten when forced",
        "the call fails with ResourceExistsException, where AWS accepts it and reports the region as Failed",
    ),
    (
        "a replica cannot be written",
        "it refuses with InvalidRequestException where AWS says InvalidParameterException",
    ),
    ("a resource policy of more than 20,480 characters is refused", "a policy may have any length"),
    (
        "a resource policy that denies the account's root refuses all of it",
        "users are refused, but the root user is let through whatever a resource policy says",
    ),
    (
        "a resource policy that is no JSON is MalformedPolicyDocumentException",
        "policies are not parsed when they are put",
    ),
    (
        "a resource policy without a principal is MalformedPolicyDocumentException",
        "policies are not parsed when they are put",
    ),
    (
        "a rotation is asked for again with its own token",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    (
        "a rotation makes a new current value, under the token's version",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    (
        "a rotation that is not to be at once only sets the rules",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    (
        "a rotation under way makes another one InvalidRequestException",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    ("a secret has 20 labels at most", "a secret may have any number of labels"),
    ("a secret has 50 tags at most", "a secret may have any number of tags"),
    ("a secret is created with a replica", "AddReplicaRegions is ignored when a secret is made"),
    (
        "a secret tells when it was made and changed, and the day it was read",
        "LastAccessedDate is a time, where AWS tells the day",
    ),
    ("a secret with replicas cannot be deleted", "it deletes the replicas with it"),
    (
        "a secret without a rotation function is not rotated",
        "RotateSecret is a stub: it makes the old value the new version's, at once, whatever the function",
    ),
    (
        "a secret without a value is ResourceNotFoundException when read",
        "it answers without a value",
    ),
    ("a token of fewer than 32 characters is refused", "ClientRequestToken is not looked at"),
    ("a token of more than 64 characters is refused", "ClientRequestToken is not looked at"),
    (
        "a user that was deleted and made again is not whom the policy named",
        "principals stay names: whoever is made again under the name is let in",
    ),
    ("a value of 65,536 bytes is kept and one more byte is refused", "a value may be of any size"),
    (
        "a version is read by its id after it lost its labels",
        "a version that loses AWSPREVIOUS to another is dropped at once",
    ),
    (
        "an id with a label that it does not carry is InvalidRequestException",
        "where an id is given, the label is not looked at",
    ),
    ("an unknown filter key is refused", "filters that it does not know are ignored"),
    ("primary and replica both name the primary's region", "the primary does not name its region"),
    ("restoring a secret that is not deleted changes nothing", "it says InvalidRequestException"),
    (
        "rules that exclude each other are InvalidParameterException",
        "rules are kept without being read",
    ),
    ("the rules of a rotation are described, with the next date", "there is no NextRotationDate"),
];

pub(crate) fn reason(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(it, _)| *it == name).map(|(_, reason)| *reason)
}
