//! A request as it came in: which service and operation, with what.

use axum::body::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::Params;
use super::sigv4::Authorization;

/// The services that the sandbox plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
    /// Secrets Manager.
    SecretsManager,
}

impl Service {
    /// The name in credential scopes and action names.
    pub fn name(self) -> &'static str {
        match self {
            Service::Iam => "iam",
            Service::Sts => "sts",
            Service::SecretsManager => "secretsmanager",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "iam" => Some(Service::Iam),
            "sts" => Some(Service::Sts),
            "secretsmanager" => Some(Service::SecretsManager),
            _ => None,
        }
    }
}

/// The `Version` of IAM's Query API.
pub(crate) const IAM_VERSION: &str = "2010-05-08";
/// The `Version` of STS's Query API.
pub(crate) const STS_VERSION: &str = "2011-06-15";

/// One HTTP request, read but not yet believed.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) input: Input,
    pub(crate) authorization: Option<Authorization>,
}

/// The call's arguments, by protocol.
pub(crate) enum Input {
    Query(Params),
    /// `None` when the body is not a JSON object.
    Json(Option<Value>),
}

impl Incoming {
    pub(crate) fn read(parts: Parts, body: Bytes) -> Self {
        let authorization = Authorization::read(&parts.headers);
        let scope = authorization.as_ref().and_then(|it| Service::from_name(&it.scope.service));
        let target = parts.headers.get("x-amz-target").and_then(|it| it.to_str().ok());
        let (service, operation, input) = if let Some(target) = target {
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let value = serde_json::from_slice(&body).ok().filter(Value::is_object);
            (Service::SecretsManager, operation, Input::Json(value))
        } else {
            let form = if parts.method == Method::GET {
                parts.uri.query().unwrap_or_default().to_owned()
            } else {
                String::from_utf8_lossy(&body).into_owned()
            };
            let params = Params::parse(&form);
            let by_version = match params.get("Version") {
                Some(STS_VERSION) => Service::Sts,
                _ => Service::Iam,
            };
            let operation = params.get("Action").unwrap_or_default().to_owned();
            (scope.unwrap_or(by_version), operation, Input::Query(params))
        };
        let Parts { method, uri, headers, .. } = parts;
        Self { method, uri, headers, body, service, operation, input, authorization }
    }

    /// The id of the key that the request claims to be signed with.
    pub(crate) fn key_id(&self) -> &str {
        self.authorization.as_ref().map_or("", |it| it.key_id.as_str())
    }

    /// The id of the thing that the call is about, for the log.
    pub(crate) fn subject(&self) -> Option<String> {
        const NAMES: [&str; 8] = [
            "AccessKeyId",
            "SSHPublicKeyId",
            "CertificateId",
            "ServiceSpecificCredentialId",
            "SerialNumber",
            "PolicyName",
            "PolicyArn",
            "RoleSessionName",
        ];
        match &self.input {
            Input::Query(params) => {
                NAMES.iter().find_map(|name| params.get(name)).map(str::to_owned)
            }
            Input::Json(value) => {
                let version =
                    value.as_ref()?.get("VersionId").or(value.as_ref()?.get("ClientRequestToken"));
                version?.as_str().map(str::to_owned)
            }
        }
    }

    pub(crate) fn region(&self) -> &str {
        self.authorization.as_ref().map_or("", |it| it.scope.region.as_str())
    }
}
