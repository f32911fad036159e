//! Whoever is woken by a blocked task finds its reason in the manual.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use severance_lifecycle::task::BlockReason;

const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");
const SINCE: &str = "2026-01-01T00:00:00Z";

/// The names of all reasons, as serde knows them.
fn names() -> Vec<String> {
    let nothing = serde_json::json!({ "block": "no-such-reason" });
    let refused = serde_json::from_value::<BlockReason>(nothing).unwrap_err().to_string();
    let (_, expected) = refused.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What a reason says, with `…` for all that differs.
fn text(name: &str) -> String {
    let mut fields = serde_json::json!({ "block": name, "since": SINCE, "code": "AccessDenied" });
    for field in
        ["account", "credential", "field", "key_id", "message", "operation", "region", "service"]
            .into_iter()
            .chain([
                "secret_zone",
                "status",
                "tag",
                "user",
                "value",
                "version",
                "what",
                "why",
                "zone",
            ])
    {
        fields[field] = "…".into();
    }
    for list in ["keys", "secrets", "services", "trusted"] {
        fields[list] = serde_json::json!(["…"]);
    }
    let reason: BlockReason = serde_json::from_value(fields).unwrap();
    reason.to_string().replace(SINCE, "…")
}

#[test]
fn every_reason_to_block_has_a_row() {
    let rows = OPERATIONS.lines().filter(|line| line.starts_with("| blocked: "));
    let documented: Vec<_> = rows
        .chain(OPERATIONS.lines().filter(|line| line.starts_with("| a task is blocked: ")))
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .map(|text| text.trim_matches(['…', ' ']))
        .filter(|text| !text.is_empty())
        .collect();
    let names = names();
    assert!(names.len() > 30, "{names:?}");
    let says = names.iter().map(|name| text(name));
    let missing: Vec<_> =
        says.filter(|says| !documented.iter().any(|text| says.contains(text))).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md has no row for {missing:#?}");
}
