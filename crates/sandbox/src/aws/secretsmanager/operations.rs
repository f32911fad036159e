//! The operations: what each is called, whether it changes something, and the fields it knows.

use serde_json::Value;

use super::{
    SmCall, batch, create, delete, describe, list, password, policy, replicate, rotate, stage, tag,
    value, versions, write,
};
use crate::aws::error::AwsError;

type Run = fn(&mut SmCall<'_>) -> Result<Value, AwsError>;

pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) mutates: bool,
    /// The input fields that it understands; any other is refused rather than ignored.
    pub(super) fields: &'static [&'static str],
    pub(super) run: Run,
}

const fn read(name: &'static str, fields: &'static [&'static str], run: Run) -> Operation {
    Operation { name, mutates: false, fields, run }
}

const fn write(name: &'static str, fields: &'static [&'static str], run: Run) -> Operation {
    Operation { name, mutates: true, fields, run }
}

pub(super) const OPERATIONS: &[Operation] = &[
    write(
        "CreateSecret",
        &[
            "Name",
            "ClientRequestToken",
            "Description",
            "KmsKeyId",
            "SecretBinary",
            "SecretString",
            "Tags",
            "AddReplicaRegions",
            "ForceOverwriteReplicaSecret",
        ],
        create::create,
    ),
    read(
        "ListSecrets",
        &["MaxResults", "NextToken", "Filters", "SortOrder", "SortBy", "IncludePlannedDeletion"],
        list::list,
    ),
    read("DescribeSecret", &["SecretId"], describe::describe),
    read("GetSecretValue", &["SecretId", "VersionId", "VersionStage"], value::get),
    read(
        "BatchGetSecretValue",
        &["SecretIdList", "Filters", "MaxResults", "NextToken"],
        batch::get,
    ),
    read(
        "ListSecretVersionIds",
        &["SecretId", "MaxResults", "NextToken", "IncludeDeprecated"],
        versions::list,
    ),
    write(
        "PutSecretValue",
        &[
            "SecretId",
            "ClientRequestToken",
            "SecretBinary",
            "SecretString",
            "VersionStages",
            "RotationToken",
        ],
        write::put,
    ),
    write(
        "UpdateSecret",
        &[
            "SecretId",
            "ClientRequestToken",
            "Description",
            "KmsKeyId",
            "SecretBinary",
            "SecretString",
        ],
        write::update,
    ),
    write(
        "UpdateSecretVersionStage",
        &["SecretId", "VersionStage", "RemoveFromVersionId", "MoveToVersionId"],
        stage::update,
    ),
    write(
        "DeleteSecret",
        &["SecretId", "RecoveryWindowInDays", "ForceDeleteWithoutRecovery"],
        delete::delete,
    ),
    write("RestoreSecret", &["SecretId"], delete::restore),
    write("TagResource", &["SecretId", "Tags"], tag::tag),
    write("UntagResource", &["SecretId", "TagKeys"], tag::untag),
    write("PutResourcePolicy", &["SecretId", "ResourcePolicy", "BlockPublicPolicy"], policy::put),
    read("GetResourcePolicy", &["SecretId"], policy::get),
    write("DeleteResourcePolicy", &["SecretId"], policy::delete),
    read("ValidateResourcePolicy", &["SecretId", "ResourcePolicy"], policy::validate),
    write(
        "ReplicateSecretToRegions",
        &["SecretId", "AddReplicaRegions", "ForceOverwriteReplicaSecret"],
        replicate::add,
    ),
    write("RemoveRegionsFromReplication", &["SecretId", "RemoveReplicaRegions"], replicate::remove),
    write("StopReplicationToReplica", &["SecretId"], replicate::promote),
    write(
        "RotateSecret",
        &[
            "SecretId",
            "ClientRequestToken",
            "RotationLambdaARN",
            "RotationRules",
            "RotateImmediately",
        ],
        rotate::rotate,
    ),
    write("CancelRotateSecret", &["SecretId"], rotate::cancel),
    read(
        "GetRandomPassword",
        &[
            "PasswordLength",
            "ExcludeCharacters",
            "ExcludeNumbers",
            "ExcludePunctuation",
            "ExcludeUppercase",
            "ExcludeLowercase",
            "IncludeSpace",
            "RequireEachIncludedType",
        ],
        password::get,
    ),
];
