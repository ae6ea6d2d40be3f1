//! The largest number of sessions that a server carries within its goals.

use std::time::Duration;

use serde::Serialize;

use super::load::{self, Crowd};
use super::report::Report;
use super::session::Plan;
use crate::clip::RATE;
use crate::search::{Bounds, Found, Outcome};

/// What the times of a search are.
const MEASURE: &str = "End of speech to final";

/// What a step must reach.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goals {
    /// 95th percentile from end of speech to final, in milliseconds.
    pub(crate) end_to_final_ms: f64,
    /// 95th percentile from the turn decision to the final, in milliseconds.
    pub(crate) decision_to_final_ms: f64,
}

/// Frames later than this at the 95th percentile mean that the load was not the one asked for.
const MAX_LATE_MS: f64 = 50.0;

/// How the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) bounds: Bounds,
    /// Steps with few sessions last longer, until about so many recordings are timed.
    pub(crate) min_utterances: usize,
    pub(crate) goals: Goals,
}

/// Searches. `tell` gets a line for each step as it ends.
pub(crate) async fn find(
    plan: &Plan,
    search: Search,
    tell: &impl Fn(&str),
) -> Found<Goals, Report> {
    let attempt = async |sessions, seed: u64| {
        let mut step = plan.clone();
        let long_enough = time_for(plan, sessions, search.min_utterances);
        step.length = plan.length.max(long_enough) + plan.warm_up;
        step.seed = plan.seed.wrapping_add(seed);
        let crowd = Crowd {
            sessions,
            uploaders: 0,
            join_within: plan.warm_up.min(Duration::from_secs(2)),
        };
        let (report, _) = Box::pin(load::run(&step, crowd)).await;
        Outcome {
            p50_ms: report.latency.end_to_final.p50_ms,
            p95_ms: report.latency.end_to_final.p95_ms,
            failure: failure(&report, search.goals),
            line: line(&report),
            report,
        }
    };
    Found::nothing_yet(&plan.label, MEASURE, search.goals)
        .search(search.bounds, tell, attempt)
        .await
}

/// How long to play until about `n` recordings are timed.
fn time_for(plan: &Plan, sessions: usize, n: usize) -> Duration {
    let clips = &plan.playlist.clips;
    let played: u64 = clips.iter().map(|clip| clip.samples.len() as u64).sum();
    let cycle = played as f64 / clips.len() as f64
        + (plan.playlist.pause.0 + plan.playlist.pause.1) as f64 / 2.0;
    Duration::from_secs_f64(n as f64 / sessions as f64 * cycle / f64::from(RATE))
}

/// Why a step does not count as carried.
fn failure(report: &Report, goals: Goals) -> Option<String> {
    let latency = &report.latency;
    if !report.trouble.refused.is_empty() {
        return Some("sessions were refused".to_owned());
    }
    if report.utterances.missing != 0 {
        return Some(format!(
            "{} of {} finals missing",
            report.utterances.missing, report.utterances.spoken
        ));
    }
    // Broken promises about text are reported and do not count here: they are not a matter of load.
    if !report.trouble.lost.is_empty() || !report.trouble.errors.is_empty() {
        return Some(format!("{:?}", report.trouble));
    }
    if latency.end_to_final.n == 0 {
        return Some("nothing was timed".to_owned());
    }
    if goals.end_to_final_ms < latency.end_to_final.p95_ms {
        return Some(format!(
            "p95 from end of speech above {} ms",
            goals.end_to_final_ms
        ));
    }
    if goals.decision_to_final_ms < latency.decision_to_final.p95_ms {
        return Some(format!(
            "p95 from decision above {} ms",
            goals.decision_to_final_ms
        ));
    }
    if MAX_LATE_MS < report.pacing.p95_ms {
        return Some("the load generator got too little processor".to_owned());
    }
    None
}

fn line(report: &Report) -> String {
    let end = &report.latency.end_to_final;
    let decision = &report.latency.decision_to_final;
    let server = report
        .server
        .as_ref()
        .map(|usage| format!(", server {:.2} cores", usage.cores))
        .unwrap_or_default();
    let client = report
        .client
        .as_ref()
        .map(|usage| format!(", client {:.2}", usage.cores))
        .unwrap_or_default();
    format!(
        "{:>4} sessions: end→final p50 {:.0} p95 {:.0} p99 {:.0} ms, decision→final p95 {:.0} ms, {} timed, {:.1} % word errors{server}{client}",
        report.sessions,
        end.p50_ms,
        end.p95_ms,
        end.p99_ms,
        decision.p95_ms,
        end.n,
        100.0 * report.accuracy.word_error_rate,
    )
}
