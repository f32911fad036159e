//! Selectors: how an event names credentials.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ContractName, ZoneName};

/// Names credentials by exactly one of its targets; `account` and `region` narrow it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Selector {
    /// What is named.
    pub target: SelectorTarget,
    /// Only in this account.
    pub account: Option<AccountId>,
    /// Only in this region (for secrets; IAM is global).
    pub region: Option<String>,
}

/// What a selector names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorTarget {
    /// An access key by its id.
    AccessKeyId(String),
    /// An IAM user by name or ARN.
    User(String),
    /// An IAM role by name or ARN.
    Role(String),
    /// A secret by name or ARN.
    Secret(String),
    /// Everything bound to a contract.
    Contract(ContractName),
    /// Everything in a zone.
    Zone(ZoneName),
    /// Everything that carries all of these tags.
    Tags(BTreeMap<String, String>),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            SelectorTarget::AccessKeyId(id) => write!(f, "access_key_id {id}"),
            SelectorTarget::User(name) => write!(f, "user {name}"),
            SelectorTarget::Role(name) => write!(f, "role {name}"),
            SelectorTarget::Secret(name) => write!(f, "secret {name}"),
            SelectorTarget::Contract(name) => write!(f, "contract {name}"),
            SelectorTarget::Zone(name) => write!(f, "zone {name}"),
            SelectorTarget::Tags(tags) => {
                let pairs: Vec<_> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "tags {}", pairs.join(","))
            }
        }?;
        if let Some(account) = &self.account {
            write!(f, " in account {account}")?;
        }
        if let Some(region) = &self.region {
            write!(f, " in {region}")?;
        }
        Ok(())
    }
}

/// The JSON form. Unknown fields are ignored here and kept in the stored event.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<ContractName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<ZoneName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
}

const ONE_OF: &str = "access_key_id, user, role, secret, contract, zone, tags";

impl TryFrom<Fields> for Selector {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields { access_key_id, user, role, secret, contract, zone, tags, account, region } =
            fields;
        let mut named = [
            access_key_id.map(SelectorTarget::AccessKeyId),
            user.map(SelectorTarget::User),
            role.map(SelectorTarget::Role),
            secret.map(SelectorTarget::Secret),
            contract.map(SelectorTarget::Contract),
            zone.map(SelectorTarget::Zone),
            tags.map(SelectorTarget::Tags),
        ]
        .into_iter()
        .flatten();
        let target = named.next().ok_or(format!("names nothing: give exactly one of {ONE_OF}"))?;
        if named.next().is_some() {
            return Err(format!("names more than one thing: give exactly one of {ONE_OF}"));
        }
        check_target(&target)?;
        if let Some(account) = &account {
            check_account(account)?;
        }
        Ok(Self { target, account, region })
    }
}

/// An empty name or an empty tag set would select nothing, or everything: neither is meant.
fn check_target(target: &SelectorTarget) -> Result<(), String> {
    let (field, empty) = match target {
        SelectorTarget::AccessKeyId(id) => return check_key_id(id),
        SelectorTarget::User(name) => ("user", name.is_empty()),
        SelectorTarget::Role(name) => ("role", name.is_empty()),
        SelectorTarget::Secret(name) => ("secret", name.is_empty()),
        SelectorTarget::Contract(name) => ("contract", name.0.is_empty()),
        SelectorTarget::Zone(name) => ("zone", name.0.is_empty()),
        SelectorTarget::Tags(tags) => ("tags", tags.is_empty()),
    };
    if empty { Err(format!("{field} is empty")) } else { Ok(()) }
}

/// AWS: IAM API reference, `AccessKey`: 16 to 128 characters of `[\w]`.
fn check_key_id(id: &str) -> Result<(), String> {
    let word = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if (16..=128).contains(&id.len()) && word {
        Ok(())
    } else {
        Err("access_key_id is not an access key id: 16 to 128 letters and digits".to_owned())
    }
}

fn check_account(account: &AccountId) -> Result<(), String> {
    if account.0.len() == 12 && account.0.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err("account is not an AWS account id: twelve digits".to_owned())
    }
}

impl From<Selector> for Fields {
    fn from(selector: Selector) -> Self {
        let mut fields =
            Self { account: selector.account, region: selector.region, ..Self::default() };
        match selector.target {
            SelectorTarget::AccessKeyId(id) => fields.access_key_id = Some(id),
            SelectorTarget::User(name) => fields.user = Some(name),
            SelectorTarget::Role(name) => fields.role = Some(name),
            SelectorTarget::Secret(name) => fields.secret = Some(name),
            SelectorTarget::Contract(name) => fields.contract = Some(name),
            SelectorTarget::Zone(name) => fields.zone = Some(name),
            SelectorTarget::Tags(tags) => fields.tags = Some(tags),
        }
        fields
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = |description: &str| json_schema!({"type": "string", "minLength": 1, "description": description});
        let required = |field: &str| json_schema!({"required": [field]});
        json_schema!({
            "type": "object",
            "description": "Names credentials by exactly one of its targets; account and region narrow it.",
            "properties": {
                "access_key_id": {"type": "string", "pattern": "^[A-Za-z0-9_]{16,128}$", "description": "An access key by its id."},
                "user": name("An IAM user by name or ARN."),
                "role": name("An IAM role by name or ARN."),
                "secret": name("A secret by name or ARN."),
                "contract": name("Everything bound to a contract."),
                "zone": name("Everything in a zone."),
                "tags": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}, "description": "Everything that carries all of these tags."},
                "account": {"type": "string", "pattern": "^[0-9]{12}$", "description": "Only in this AWS account."},
                "region": {"type": "string", "description": "Only in this region."}
            },
            "oneOf": [
                required("access_key_id"), required("user"), required("role"), required("secret"),
                required("contract"), required("zone"), required("tags")
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Selector, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn exactly_one_target_is_asked_for() {
        assert!(parse(r#"{"user":"a"}"#).is_ok());
        assert!(parse(r"{}").unwrap_err().contains("names nothing"));
        assert!(parse(r#"{"user":"a","role":"b"}"#).unwrap_err().contains("more than one"));
    }

    #[test]
    fn names_that_would_select_nothing_or_everything_are_refused() {
        for bad in
            [r#"{"user":""}"#, r#"{"tags":{}}"#, r#"{"zone":""}"#, r#"{"access_key_id":"AKIA*"}"#]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(r#"{"user":"a","account":"12"}"#).unwrap_err().contains("twelve digits"));
    }

    #[test]
    fn a_selector_survives_a_round_trip_and_ignores_unknown_fields() {
        let text =
            r#"{"tags":{"team":"x"},"account":"123456789012","region":"eu-west-1","note":"kept"}"#;
        let selector = parse(text).unwrap();
        let again = parse(&serde_json::to_string(&selector).unwrap()).unwrap();
        assert_eq!(selector, again);
    }
}
