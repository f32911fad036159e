//! Issuers beyond AWS, as the configuration names them.

use std::collections::BTreeMap;

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use severance_issuers::database::DatabaseIssuer;
use severance_issuers::webhook::WebhookIssuer;
use severance_issuers::{Database, KnownIssuers, Ports, RandomnessUnavailable, Webhook};

use crate::config::IssuersSection;
use crate::error::{Doing, Failure, Outcome};

/// Sets them up; connects nowhere.
pub(crate) fn known(section: &IssuersSection, ports: Ports) -> Outcome<KnownIssuers> {
    let database = section.database.as_ref().map(|database| {
        let issuer = DatabaseIssuer::new(database.settings())
            .doing("[issuers.database] cannot be set up")?;
        Outcome::Ok(Database { issuer, administrators: database.administrators() })
    });
    let mut webhooks = BTreeMap::new();
    for (name, webhook) in &section.webhooks {
        let endpoint = webhook.endpoint();
        let endpoint = endpoint
            .map_err(|(key, why)| Failure::new(format!("issuers.webhooks.{name}.{key}: {why}")))?;
        let issuer = WebhookIssuer::new(&webhook.settings(), ports.clock.clone())
            .doing(format!("[issuers.webhooks.{name}] cannot be set up"))?;
        let field = webhook.field.clone();
        webhooks.insert(name.clone(), Webhook { issuer, endpoint, field });
    }
    let random = |bytes: &mut [u8]| OsRng.try_fill_bytes(bytes).map_err(|_| RandomnessUnavailable);
    Ok(KnownIssuers::new(database.transpose()?, webhooks, Box::new(random), ports))
}
