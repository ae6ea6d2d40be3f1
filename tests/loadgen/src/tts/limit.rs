//! The largest number of listeners that a server speaks to within its goals.

use std::time::Duration;

use serde::Serialize;

use super::load;
use super::report::Report;
use super::session::Plan;
use crate::search::{Bounds, Found, Outcome};

/// What the times of a search are.
const MEASURE: &str = "First sound";

/// What a step must reach, beside that nobody waits in the middle of a sentence.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goals {
    /// 95th percentile from the request to its first audio, in milliseconds.
    pub(crate) first_chunk_ms: f64,
    /// Out of 1000 requests, so many may be late with a chunk.
    pub(crate) starved_per_mille: usize,
}

/// How the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) bounds: Bounds,
    /// Steps with few listeners last longer, until about so many requests are timed.
    pub(crate) min_requests: usize,
    pub(crate) goals: Goals,
}

/// About how long a request takes with its playing and the thinking after it, to know how many there will be.
const USUAL_REQUEST: Duration = Duration::from_secs(5);

/// Searches. `tell` gets a line for each step as it ends.
pub(crate) async fn find(
    plan: &Plan,
    search: Search,
    tell: &impl Fn(&str),
) -> Found<Goals, Report> {
    let attempt = async |listeners: usize, seed: u64| {
        let mut step = plan.clone();
        let long_enough = USUAL_REQUEST.mul_f64(search.min_requests as f64 / listeners as f64);
        step.length = plan.length.max(long_enough) + plan.warm_up;
        step.seed = plan.seed.wrapping_add(seed);
        let report = Box::pin(load::run(&step, listeners, plan.warm_up)).await;
        Outcome {
            p50_ms: report.latency.first_chunk.p50_ms,
            p95_ms: report.latency.first_chunk.p95_ms,
            failure: failure(&report, search.goals),
            line: line(&report),
            report,
        }
    };
    Found::nothing_yet(&plan.label, MEASURE, search.goals)
        .search(search.bounds, tell, attempt)
        .await
}

/// Why a step does not count as carried.
fn failure(report: &Report, goals: Goals) -> Option<String> {
    if !report.is_clean() {
        return Some(format!("{:?}", report.trouble));
    }
    let first = &report.latency.first_chunk;
    if first.n == 0 {
        return Some("nothing was timed".to_owned());
    }
    if goals.first_chunk_ms < first.p95_ms {
        return Some(format!(
            "p95 of the first sound above {} ms",
            goals.first_chunk_ms
        ));
    }
    let playback = &report.playback;
    if playback.played * goals.starved_per_mille < playback.starved * 1000 {
        return Some(format!(
            "{} of {} starved",
            playback.starved, playback.played
        ));
    }
    None
}

fn line(report: &Report) -> String {
    let first = &report.latency.first_chunk;
    let usage = |who: &str, usage: Option<&crate::process::Usage>| {
        usage.map_or_else(String::new, |it| format!(", {who} {:.2} cores", it.cores))
    };
    format!(
        "{:>4} listeners: first sound p50 {:.0} p95 {:.0} p99 {:.0} ms, {} of {} starved, least spare p1 {:.0} ms{}{}",
        report.sessions,
        first.p50_ms,
        first.p95_ms,
        first.p99_ms,
        report.playback.starved,
        report.playback.played,
        report.playback.spare_p1_ms,
        usage("server", report.server.as_ref()),
        usage("client", report.client.as_ref()),
    )
}
