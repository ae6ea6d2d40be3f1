//! Spawning: every task has a name, a span, and somebody who hears of its panic.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

/// Runs a task on this worker, inside `span`. A panic ends the task and is logged; it reaches nobody else.
///
/// The handle may be dropped: what must not be cut by a drain holds a [`crate::drain::Guard`].
pub fn spawn<F>(name: &'static str, span: Span, task: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + 'static,
{
    // Whatever the task owned is dropped by its panic, so nobody can see it half changed.
    let guarded = async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            tracing::error!(
                task = name,
                "a task panicked; its session is lost and all others go on"
            );
        }
    };
    actix_rt::spawn(guarded.instrument(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_panic_stays_inside() {
        let task = spawn("doomed", Span::none(), async { panic!("on purpose") });
        assert!(task.await.is_ok());
    }
}
