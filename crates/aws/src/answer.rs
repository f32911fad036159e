//! What an answer says beside its body: the provider's clock and the request id.

use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

/// The headers of one answer that we keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    /// `Date`: the provider's clock, to the second (RFC 9110).
    pub(crate) date: Option<DateTime<Utc>>,
    /// `x-amzn-RequestId`.
    pub(crate) request_id: Option<String>,
}

/// What the answers to several calls said so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) headers: Headers,
    /// Whether the request id is that of a call that changes something.
    pub(crate) changed: bool,
}

impl Seen {
    pub(crate) fn add(&mut self, later: &Self) {
        // `None` is less than any date.
        self.headers.date = self.headers.date.max(later.headers.date);
        if later.headers.request_id.is_some() && (later.changed || !self.changed) {
            self.headers.request_id.clone_from(&later.headers.request_id);
            self.changed = later.changed;
        }
    }
}

tokio::task_local! {
    static ANSWER: Mutex<Headers>;
}

/// Runs a call and hands back the headers of its answer, error answers included. The SDK runs its
/// interceptors in the task of the call, so the call's own task-local finds them.
pub(crate) async fn with_headers<F: Future>(call: F) -> (F::Output, Headers) {
    ANSWER
        .scope(Mutex::default(), async {
            let output = call.await;
            let headers = ANSWER.with(|kept| {
                kept.lock().map_or_else(|e| e.into_inner().clone(), |kept| kept.clone())
            });
            (output, headers)
        })
        .await
}

/// Keeps the headers of each answer for [`with_headers`]. Every client is built with it.
#[derive(Debug)]
pub(crate) struct KeepHeaders;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for KeepHeaders {
    fn name(&self) -> &'static str {
        "KeepHeaders"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let seen = Headers {
            date: headers.get("date").and_then(http_date),
            request_id: headers.get("x-amzn-requestid").map(str::to_owned),
        };
        // Outside a call of ours (taking a role) there is nobody to tell.
        let _ = ANSWER.try_with(|kept| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        });
        Ok(())
    }
}

/// An HTTP date is RFC 2822 with `GMT`, which chrono reads.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_read() {
        let expected: DateTime<Utc> = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(expected));
        assert_eq!(http_date("yesterday"), None);
    }
}
