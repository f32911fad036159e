//! `severance schema`

use crate::error::{Failure, Outcome};
use crate::output;

/// Prints the schema of one event type, or the names of all.
pub(crate) fn run(name: Option<&str>, json: bool) -> Outcome {
    let schemas = severance_kafka::schemas();
    let Some(wanted) = name else {
        let names: Vec<_> = schemas.iter().map(|(event_type, _)| short(event_type)).collect();
        if json {
            output::json(&names);
        } else {
            names.iter().for_each(output::line);
        }
        return Ok(());
    };
    let found =
        schemas.iter().find(|(event_type, _)| *event_type == wanted || short(event_type) == wanted);
    match found {
        Some((_, schema)) => {
            output::json(schema);
            Ok(())
        }
        None => Err(Failure::new(format!(
            "there is no event {wanted:?}; `severance schema` lists them"
        ))),
    }
}

/// `io.severance.contract-end.v1` as people type it: `contract-end`.
fn short(event_type: &str) -> &str {
    let name = event_type.strip_prefix("io.severance.").unwrap_or(event_type);
    name.strip_suffix(".v1").unwrap_or(name)
}
