//! A number of sessions at once, and what they measured.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::report::Report;
use super::score::Score;
use super::session::{self, Plan};
use super::uploads;
use crate::process::Watch;

/// What runs beside each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) sessions: usize,
    /// Clients that upload files without a pause.
    pub(crate) uploaders: usize,
    /// Sessions join one by one over this time.
    pub(crate) join_within: Duration,
}

/// Runs a crowd to its end.
pub(crate) async fn run(plan: &Plan, crowd: Crowd) -> (Report, Score) {
    let client = Watch::own();
    let server = plan.server_pid.and_then(Watch::of);
    let begun = Instant::now();
    let n = u64::try_from(crowd.sessions).unwrap_or(u64::MAX);
    let streams = (0..n).map(|number| {
        let joins_at = begun + crowd.join_within.mul_f64(number as f64 / n as f64);
        // Each future holds a whole session; on the heap they do not make this one huge.
        Box::pin(session::run(plan, number, joins_at))
    });
    let end = begun + plan.length;
    let uploading = (0..crowd.uploaders)
        .map(|first| Box::pin(uploads::run(&plan.server, &plan.playlist.clips, first, end)));
    let streaming = async {
        let records = join_all(streams).await;
        // Taken before the tail of uploads, so that use is that of the load.
        (
            records,
            client.and_then(|watch| watch.usage()),
            server.and_then(|watch| watch.usage()),
        )
    };
    let ((records, client, server), attempts) =
        futures_util::future::join(streaming, join_all(uploading)).await;
    let (mut report, score) = Report::new(plan, &records, begun.elapsed());
    report.client = client;
    report.server = server;
    if 0 < crowd.uploaders {
        report.uploads = Some(uploads::summary(attempts.into_iter().flatten().collect()));
    }
    (report, score)
}
