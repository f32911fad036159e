//! Standard output: the one place that writes to it.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// JSON.
    Json,
}

impl Format {
    /// As the flag says.
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Human }
    }
}

/// Writes a line. A reader that went away (`| head`) is not an error.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
}

/// Writes one JSON value.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => tracing::error!(%error, "an answer could not be written as JSON"),
    }
}

/// A table in the command's style: rules that survive a copy into a ticket, no colour unless someone
/// looks.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(if std::io::stdout().is_terminal() {
            presets::UTF8_HORIZONTAL_ONLY
        } else {
            presets::ASCII_MARKDOWN
        })
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    table
}

/// Whether a person watches standard error, where progress goes.
pub(crate) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes a line to standard error, for someone who follows along.
pub(crate) fn note(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}
