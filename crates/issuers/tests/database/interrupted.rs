//! A crash: a future that is dropped after it has been polled so many times.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// Runs `work` for at most `polls` polls; `None` where it was cut off.
pub(crate) async fn interrupted<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
