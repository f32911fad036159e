//! Asking documents whether they allow or deny a call.

use super::condition::Context;
use super::document::{Document, Effect, Patterns, Statement};
use super::pattern;

/// One call, as policies see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

/// What a set of documents says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A statement denies: nothing can outweigh it.
    Denied,
    /// A statement allows and none denies.
    Allowed,
    /// No statement speaks of the call.
    Silent,
}

/// The verdict of several documents together; an explicit deny in any of them wins.
pub(crate) fn judge<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    question: &Question<'_>,
) -> Verdict {
    let mut verdict = Verdict::Silent;
    for statement in documents.into_iter().flat_map(|document| &document.statements) {
        if !statement.speaks_of(question) {
            continue;
        }
        match statement.effect {
            Effect::Deny => return Verdict::Denied,
            Effect::Allow => verdict = Verdict::Allowed,
        }
    }
    verdict
}

impl Statement {
    pub(super) fn speaks_of(&self, question: &Question<'_>) -> bool {
        self.actions.speak_of_action(question.action)
            && self.resources.speak_of_resource(question)
            && self.conditions.iter().all(|condition| condition.holds(question.context))
    }
}

impl Patterns {
    fn speak_of_action(&self, action: &str) -> bool {
        let hit = self.patterns.iter().any(|it| pattern::matches_ignoring_case(it, action));
        hit != self.negated
    }

    fn speak_of_resource(&self, question: &Question<'_>) -> bool {
        let hit = self
            .patterns
            .iter()
            .any(|it| pattern::matches(&question.context.fill_variables(it), question.resource));
        hit != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Kind;
    use super::*;

    fn ask(statements: &str, action: &str, resource: &str, context: &Context) -> Verdict {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
        let document = Document::parse(&text, Kind::Identity).unwrap();
        judge([&document], &Question { action, resource, context })
    }

    #[test]
    fn an_explicit_deny_wins_over_an_allow() {
        let policy = r#"[{"Effect":"Allow","Action":"*","Resource":"*"},
                         {"Effect":"Deny","Action":"iam:Delete*","Resource":"*"}]"#;
        let none = Context::default();
        assert_eq!(ask(policy, "iam:GetUser", "*", &none), Verdict::Allowed);
        assert_eq!(ask(policy, "iam:DeleteUser", "*", &none), Verdict::Denied);
        assert_eq!(ask(policy, "IAM:DELETEUSER", "*", &none), Verdict::Denied);
    }

    #[test]
    fn resources_and_not_action_narrow_a_statement() {
        let policy = r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"arn:aws:s3:::a/${aws:username}/*"}"#;
        let mut context = Context::default();
        context.put("aws:username", "eve");
        assert_eq!(ask(policy, "s3:GetObject", "arn:aws:s3:::a/eve/x", &context), Verdict::Allowed);
        assert_eq!(ask(policy, "s3:GetObject", "arn:aws:s3:::a/bob/x", &context), Verdict::Silent);
        assert_eq!(ask(policy, "iam:GetUser", "arn:aws:s3:::a/eve/x", &context), Verdict::Silent);
    }

    #[test]
    fn a_deny_of_older_sessions_leaves_long_term_keys_alone() {
        let policy = r#"[{"Effect":"Allow","Action":"*","Resource":"*"},
            {"Effect":"Deny","Action":"*","Resource":"*",
             "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:10Z"}}}]"#;
        let at = |time: &str| {
            let mut context = Context::default();
            context.put("aws:TokenIssueTime", time);
            ask(policy, "iam:GetUser", "*", &context)
        };
        assert_eq!(at("2026-01-01T00:00:09Z"), Verdict::Denied);
        assert_eq!(at("2026-01-01T00:00:10Z"), Verdict::Allowed);
        assert_eq!(ask(policy, "iam:GetUser", "*", &Context::default()), Verdict::Allowed);
    }
}
