//! Waiting for a condition, bounded.

use std::time::Duration;

use crate::clock::monotonic;

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none within `limit`; `what` says what was waited for.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = monotonic() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(monotonic() < deadline, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
