//! A number of listeners at once, and what they measured.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::report::Report;
use super::session::{self, Plan};
use crate::process::Watch;

/// Runs so many listeners to the end. They join one by one over `join_within`.
pub(crate) async fn run(plan: &Plan, listeners: usize, join_within: Duration) -> Report {
    let client = Watch::own();
    let server = plan.server_pid.and_then(Watch::of);
    let begun = Instant::now();
    let n = u64::try_from(listeners).unwrap_or(u64::MAX);
    let sessions = (0..n).map(|number| {
        let joins_at = begun + join_within.mul_f64(number as f64 / n as f64);
        // Each future holds a whole session; on the heap they do not make this one huge.
        Box::pin(session::run(plan, number, joins_at))
    });
    let records = join_all(sessions).await;
    let mut report = Report::new(plan, &records, begun);
    report.client = client.and_then(|watch| watch.usage());
    report.server = server.and_then(|watch| watch.usage());
    report
}
