//! The inventory: identities as the provider lists them, and where their tags bind them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credential::{RoleRef, UserRef};
use crate::ids::{AccountId, ContractName, UNASSIGNED_ZONE, ZoneName};
use crate::secret::{Holding, SecretRef, Strategy};
use crate::task::Binding;

/// One identity as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its account.
    pub account: AccountId,
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its unique id (`AIDA…`, `AROA…`); a secret's is its ARN.
    pub unique_id: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What is particular to its kind.
    pub detail: IdentityDetail,
}

/// What is particular to a user, a role or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum IdentityDetail {
    /// A user.
    User {
        /// Ids of its access keys.
        access_keys: Vec<String>,
        /// Names of inline policies and ARNs of attached ones: what was there at this moment.
        policies: Vec<String>,
        /// How many credentials it has in all, for the blast radius.
        credentials: usize,
    },
    /// A role.
    Role {
        /// Its trust policy.
        trust: Value,
        /// How long its sessions can live, in seconds.
        max_session_seconds: u32,
        /// Its path begins `/aws-service-role/`.
        service_linked: bool,
    },
    /// A secret.
    Secret(SecretDetail),
}

/// What is particular to a secret. No value, and nothing that would tell one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDetail {
    /// The region of the primary.
    pub region: String,
    /// How it is rotated.
    pub strategy: Strategy,
    /// What its current version hands out, as far as tags or declared fields tell.
    pub holds: BTreeSet<Holding>,
    /// When its current version was stored, where that is known: what its age counts from.
    pub last_rotated: Option<DateTime<Utc>>,
    /// When it is to be deleted, where that is scheduled.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The AWS service that manages it.
    pub owning_service: Option<String>,
}

impl SecretDetail {
    /// Ids of the access keys that it hands out.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.holds.iter().filter_map(Holding::key_id)
    }
}

/// Which tag keys bind an identity. Compared without case, as IAM does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagKeys {
    /// The zone.
    pub zone: String,
    /// The contract.
    pub contract: String,
    /// The asset owner.
    pub owner: String,
    /// The tier.
    pub tier: String,
    /// The contracts that use a secret beside the one that it is bound to.
    #[serde(default = "shared")]
    pub shared: String,
}

fn shared() -> String {
    "severance:shared-with".to_owned()
}

impl Default for TagKeys {
    fn default() -> Self {
        Self {
            zone: "severance:zone".into(),
            contract: "severance:contract".into(),
            owner: "severance:owner".into(),
            tier: "severance:tier".into(),
            shared: shared(),
        }
    }
}

/// Tagged with two zones or two contracts: nobody can say whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flattened {
    /// The tag, as `key=value`.
    pub tag: String,
}

impl TagKeys {
    /// Where an identity belongs.
    ///
    /// # Errors
    /// [`Flattened`] where the zone's or the contract's tag names two.
    pub fn bind(&self, tags: &BTreeMap<String, String>) -> Result<Binding, Flattened> {
        let value = |key: &str| {
            tags.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.trim().to_owned())
        };
        let single = |key: &str| match value(key) {
            Some(text) if names_two(&text) => Err(Flattened { tag: format!("{key}={text}") }),
            Some(text) if text.is_empty() => Ok(None),
            other => Ok(other),
        };
        Ok(Binding {
            zone: single(&self.zone)?.unwrap_or_else(|| UNASSIGNED_ZONE.to_owned()).into(),
            contract: single(&self.contract)?.map(ContractName),
            owner: value(&self.owner),
            tier: value(&self.tier),
        })
    }
}

/// AWS allows letters, digits, spaces and `_.:/=+-@` in a tag's value: two names are written with a
/// space or a plus between them.
fn names_two(text: &str) -> bool {
    text.split([' ', '+', ',', ';']).filter(|part| !part.is_empty()).count() > 1
}

impl Identity {
    /// As a user, if it is one.
    pub fn user(&self) -> Option<UserRef> {
        matches!(self.detail, IdentityDetail::User { .. }).then(|| UserRef {
            account: self.account.clone(),
            name: self.name.clone(),
            id: self.unique_id.clone(),
        })
    }

    /// As a role, if it is one.
    pub fn role(&self) -> Option<RoleRef> {
        matches!(self.detail, IdentityDetail::Role { .. }).then(|| RoleRef {
            account: self.account.clone(),
            name: self.name.clone(),
            id: self.unique_id.clone(),
        })
    }

    /// As a secret, if it is one.
    pub fn secret(&self) -> Option<(SecretRef, &SecretDetail)> {
        let IdentityDetail::Secret(detail) = &self.detail else { return None };
        let secret = SecretRef {
            account: self.account.clone(),
            region: detail.region.clone(),
            arn: self.arn.clone(),
            name: self.name.clone(),
        };
        Some((secret, detail))
    }

    /// The zone and contract as tagged, for lookups; a flattened one has both names.
    pub fn tagged(&self, keys: &TagKeys) -> (Vec<ZoneName>, Vec<ContractName>) {
        let zones = self.names_in(&keys.zone).map(ZoneName).collect();
        (zones, self.names_in(&keys.contract).map(ContractName).collect())
    }

    /// The contracts that use a secret beside the one that it is bound to.
    pub fn shared_with(&self, keys: &TagKeys) -> BTreeSet<ContractName> {
        self.names_in(&keys.shared).map(ContractName).collect()
    }

    fn names_in<'a>(&'a self, key: &'a str) -> impl Iterator<Item = String> + 'a {
        self.tags
            .iter()
            .filter(move |(k, _)| k.eq_ignore_ascii_case(key))
            .flat_map(|(_, v)| v.split([' ', '+', ',', ';']))
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn tags_bind_whatever_their_case_and_absence_is_unassigned() {
        let keys = TagKeys::default();
        let bound = keys.bind(&tags(&[("Severance:Zone", "acme")])).unwrap();
        assert_eq!(bound.zone.as_str(), "acme");
        assert_eq!(keys.bind(&tags(&[])).unwrap().zone.as_str(), UNASSIGNED_ZONE);
    }

    #[test]
    fn two_zones_or_two_contracts_are_a_flattened_boundary() {
        let keys = TagKeys::default();
        for bad in ["acme globex", "acme+globex"] {
            assert!(keys.bind(&tags(&[("severance:zone", bad)])).is_err());
            assert!(keys.bind(&tags(&[("severance:contract", bad)])).is_err());
        }
    }
}
