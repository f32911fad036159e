//! Dependencies between the crates point one way, as docs/ARCHITECTURE.md says.
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which of our own crates each may depend on. Tests may use more: see below.
const ALLOWED: &[(&str, &[&str])] = &[
    ("severance-lifecycle", &[]),
    ("severance-engine", &["severance-lifecycle"]),
    ("severance-ledger", &["severance-engine", "severance-lifecycle"]),
    ("severance-kafka", &["severance-engine", "severance-lifecycle"]),
    ("severance-aws", &["severance-engine", "severance-lifecycle"]),
    ("severance-issuers", &["severance-engine", "severance-lifecycle"]),
    ("severance-telemetry", &["severance-engine", "severance-lifecycle"]),
    ("severance-console", &["severance-engine", "severance-lifecycle"]),
    ("severance-sandbox", &["severance-lifecycle"]),
];

/// Only the binary and the package of scenario tests see them all.
const SEE_ALL: &[&str] = &["severance", "severance-tests"];

/// What would put IO, a clock or randomness into the domain.
const NOT_IN_LIFECYCLE: &[&str] =
    &["tokio", "sqlx", "rdkafka", "aws-config", "reqwest", "rand", "axum", "backoff", "uuid"];

fn dependencies(kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    metadata
        .packages
        .iter()
        .map(|package| {
            let of_kind = package.dependencies.iter().filter(|d| kinds.contains(&d.kind));
            (package.name.to_string(), of_kind.map(|d| d.name.clone()).collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    let all = dependencies(&[DependencyKind::Normal, DependencyKind::Build]);
    for (package, dependencies) in &all {
        if SEE_ALL.contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(name, _)| name == package)
            .unwrap_or_else(|| panic!("{package} is new: say here what it may depend on"));
        for ours in dependencies.iter().filter(|d| all.contains_key(*d)) {
            assert!(allowed.contains(&ours.as_str()), "{package} must not depend on {ours}");
        }
    }
}

#[test]
fn adapters_use_each_other_not_even_in_tests_but_for_the_sandbox() {
    let all = dependencies(&[DependencyKind::Development]);
    for (package, dependencies) in &all {
        if SEE_ALL.contains(&package.as_str()) {
            continue;
        }
        let allowed = ["severance-lifecycle", "severance-engine", "severance-sandbox"];
        for ours in dependencies.iter().filter(|d| all.contains_key(*d)) {
            assert!(allowed.contains(&ours.as_str()), "tests of {package} must not use {ours}");
        }
    }
}

#[test]
fn the_domain_has_no_io_no_clock_and_no_randomness() {
    let all = dependencies(&[DependencyKind::Normal, DependencyKind::Build]);
    for dependency in &all["severance-lifecycle"] {
        assert!(!NOT_IN_LIFECYCLE.contains(&dependency.as_str()), "lifecycle uses {dependency}");
    }
}

#[test]
fn every_direct_dependency_is_argued_for() {
    let argued = include_str!("../../docs/DEPENDENCIES.md");
    let kinds = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
    let all = dependencies(&kinds);
    let theirs = all.values().flatten().filter(|name| !all.contains_key(*name));
    let missing: BTreeSet<_> =
        theirs.filter(|name| !argued.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "say in docs/DEPENDENCIES.md why these are there: {missing:?}");
}
