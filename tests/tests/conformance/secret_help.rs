//! What the behaviours of secrets share.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;

use crate::Check;
use crate::server::{Server, ok, same};

pub(crate) const FIRST: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const SECOND: &str = "22222222-2222-3333-4444-555555555555";
pub(crate) const THIRD: &str = "33333333-2222-3333-4444-555555555555";

/// A secret that was made for a behaviour, with the administrator's client.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) client: Client,
}

/// A secret whose first version is [`FIRST`] and holds `one`.
pub(crate) async fn secret(server: &Server) -> Result<Made, String> {
    let (name, client) = (server.name("secret"), server.admin().secrets);
    let create = client.create_secret().name(&name).secret_string("one");
    let made = ok(create.client_request_token(FIRST).send().await)?;
    let arn = made.arn().ok_or("no ARN in the answer")?.to_owned();
    // A server that gives the first version another id is caught by one behaviour, not by all.
    let made = Made { name, arn, client };
    if made.stages().await?.contains_key(FIRST) {
        return Ok(made);
    }
    made.put(FIRST, "one", &[]).await?;
    let labels = made.stages().await?;
    let previous = labels.iter().find(|(_, labels)| labels.iter().any(|it| it == "AWSPREVIOUS"));
    if let Some((previous, _)) = previous {
        let label = made.client.update_secret_version_stage().secret_id(&made.name);
        let label = label.version_stage("AWSPREVIOUS").remove_from_version_id(previous);
        ok(label.send().await)?;
    }
    Ok(made)
}

/// A secret with the versions [`FIRST`] (`one`, previous) and [`SECOND`] (`two`, current).
pub(crate) async fn with_two(server: &Server) -> Result<Made, String> {
    let made = secret(server).await?;
    made.put(SECOND, "two", &[]).await?;
    Ok(made)
}

impl Made {
    /// Puts a value, with labels where any are given.
    pub(crate) async fn put(&self, id: &str, value: &str, labels: &[&str]) -> Check {
        let put = self.client.put_secret_value().secret_id(&self.name).client_request_token(id);
        let labels = labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>();
        let labels = (!labels.is_empty()).then_some(labels);
        let put = put.secret_string(value).set_version_stages(labels);
        ok(put.send().await).map(|_| ())
    }

    pub(crate) async fn describe(&self) -> Result<DescribeSecretOutput, String> {
        ok(self.client.describe_secret().secret_id(&self.name).send().await)
    }

    /// The labels of each version that has any, both in order.
    pub(crate) async fn stages(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let described = self.describe().await?;
        let versions = described.version_ids_to_stages().cloned().unwrap_or_default();
        let sorted = versions.into_iter().map(|(id, mut labels)| {
            labels.sort();
            (id, labels)
        });
        Ok(sorted.collect())
    }

    /// Expects these labels, and no others: version and labels.
    pub(crate) async fn has(&self, expected: &[(&str, &[&str])]) -> Check {
        let expected = expected.iter().map(|(id, labels)| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            ((*id).to_owned(), labels)
        });
        same(self.stages().await?, expected.collect())
    }

    /// The value with this label.
    pub(crate) async fn value(&self, label: &str) -> Result<String, String> {
        let read = self.client.get_secret_value().secret_id(&self.name).version_stage(label);
        Ok(ok(read.send().await)?.secret_string().unwrap_or_default().to_owned())
    }
}

/// Looks again until something is so; what is asynchronous elsewhere takes some looks.
pub(crate) async fn until<F: Future<Output = Result<bool, String>>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> Check {
    for _ in 0..200 {
        if is_so().await? {
            return Ok(());
        }
    }
    Err(format!("{what} did not come about"))
}
