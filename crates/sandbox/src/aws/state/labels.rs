//! Stage labels: each is on one version at most.

use std::collections::BTreeMap;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The labels of a secret's versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The version that carries the label.
    pub(crate) fn version(&self, label: &str) -> Option<&str> {
        self.0.get(label).map(String::as_str)
    }

    /// The labels of a version, in order.
    pub(crate) fn of(&self, version: &str) -> Vec<&str> {
        let carried = self.0.iter().filter(|(_, it)| *it == version);
        carried.map(|(label, _)| label.as_str()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a label on a version, off the one that has it; the version that `AWSCURRENT` leaves
    /// becomes `AWSPREVIOUS`.
    pub(crate) fn attach(&mut self, label: &str, version: &str) {
        let left = self.0.insert(label.to_owned(), version.to_owned());
        if let Some(left) = left.filter(|left| label == CURRENT && left != version) {
            self.0.insert(PREVIOUS.to_owned(), left);
        }
    }

    pub(crate) fn detach(&mut self, label: &str) {
        self.0.remove(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_current_leaves_becomes_previous() {
        let mut labels = Labels::default();
        for version in ["a", "b", "c"] {
            labels.attach(CURRENT, version);
        }
        assert_eq!((labels.of("a"), labels.of("b")), (vec![], vec![PREVIOUS]));
        labels.attach(CURRENT, "b");
        assert_eq!((labels.of("b"), labels.of("c")), (vec![CURRENT], vec![PREVIOUS]));
        labels.attach(CURRENT, "b");
        assert_eq!(labels.of("c"), [PREVIOUS], "a move onto itself moves nothing else");
    }
}
