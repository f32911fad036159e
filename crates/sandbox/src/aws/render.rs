//! Answers as each protocol writes them.

use serde_json::json;

use super::error::AwsError;
use super::request::{IAM_VERSION, STS_VERSION, Service};
use super::xml::Xml;

/// A successful answer of a Query service.
pub(crate) fn success(service: Service, operation: &str, result: &Xml, request_id: &str) -> String {
    let mut xml = Xml::default();
    if !result.is_empty() {
        xml.raw(&format!("{operation}Result"), result);
    }
    xml.nest("ResponseMetadata", |xml| {
        xml.text("RequestId", request_id);
    });
    format!(
        "<{operation}Response xmlns=\"{}\">{}</{operation}Response>",
        namespace(service),
        xml.into_string()
    )
}

/// An error of any service.
pub(crate) fn error(service: Service, error: &AwsError, request_id: &str) -> String {
    if service == Service::SecretsManager {
        return json!({ "__type": error.code, "message": error.message }).to_string();
    }
    let mut xml = Xml::default();
    xml.nest("Error", |xml| {
        xml.text("Type", if error.status.is_server_error() { "Receiver" } else { "Sender" });
        xml.text("Code", error.code);
        xml.text("Message", &error.message);
    });
    xml.text("RequestId", request_id);
    format!("<ErrorResponse xmlns=\"{}\">{}</ErrorResponse>", namespace(service), xml.into_string())
}

pub(crate) fn content_type(service: Service) -> &'static str {
    match service {
        Service::SecretsManager => "application/x-amz-json-1.1",
        _ => "text/xml",
    }
}

fn namespace(service: Service) -> String {
    match service {
        Service::Sts => format!("https://sts.amazonaws.com/doc/{STS_VERSION}/"),
        _ => format!("https://iam.amazonaws.com/doc/{IAM_VERSION}/"),
    }
}
