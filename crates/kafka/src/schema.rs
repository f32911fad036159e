//! JSON Schema of each inbound event, generated from the Rust types that read it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};
use severance_lifecycle::event::{
    COMPROMISE_NOTICE_TYPE, CONTRACT_END_TYPE, CompromiseNotice, ContractEnd, ROTATION_TYPE,
    RotationRequest,
};

/// The schemas by CloudEvents type. Each describes the whole event in structured mode; in binary mode
/// the value is its `data`.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (COMPROMISE_NOTICE_TYPE, event::<CompromiseNotice>(COMPROMISE_NOTICE_TYPE)),
        (CONTRACT_END_TYPE, event::<ContractEnd>(CONTRACT_END_TYPE)),
        (ROTATION_TYPE, event::<RotationRequest>(ROTATION_TYPE)),
    ]
}

fn event<T: JsonSchema>(event_type: &str) -> Value {
    let mut data = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    data.remove("$schema");
    let mut definitions = data.remove("$defs").unwrap_or_else(|| json!({}));
    for name in ["ContractName", "ZoneName"] {
        // An empty name would name nothing, or everything.
        if let Some(Value::Object(definition)) = definitions.get_mut(name) {
            definition.insert("minLength".into(), json!(1));
        }
    }
    envelope(event_type, &data, &definitions)
}

fn envelope(event_type: &str, data: &Schema, definitions: &Value) -> Value {
    let attribute =
        |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    let json_type = r"^(application/json|[^;/]+/[^;]+\+json)(\s*;.*)?$";
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:severance:{event_type}"),
        "title": event_type,
        "description": "A CloudEvents 1.0 event in structured mode. In binary mode the attributes are \
                        ce_ headers and the value is what is under `data` here.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": event_type},
            "source": attribute("Who publishes; with `id` it makes the event the same event."),
            "id": attribute("Unique within `source`: the same `source` and `id` with the same content is a duplicate."),
            "time": {"type": ["string", "null"], "format": "date-time", "description": "When it happened, RFC 3339; the record's timestamp stands in."},
            "datacontenttype": {"type": ["string", "null"], "pattern": json_type},
            "data": data,
            "data_base64": {"type": "string", "contentEncoding": "base64", "description": "The data's JSON in base64, instead of `data`."}
        },
        "required": ["specversion", "type", "source", "id"],
        "oneOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
        "$defs": definitions
    })
}
