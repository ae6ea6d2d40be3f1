//! Which recordings Smart Turn holds to be complete at its first look.
//!
//! A turn that is judged incomplete ends by a later look or after seconds of silence, by design and not because
//! of load. So a limit over whole turns is searched with recordings that end a turn at once, and which ones do
//! is asked of an unloaded server first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::load::{self, Crowd};
use super::session::Plan;

/// What a lone server decided.
#[derive(Debug, Serialize)]
pub(crate) struct Calibration {
    /// Recordings that were judged complete at the first look every time.
    pub(crate) at_first_look: Vec<String>,
    /// For each recording, end of speech to decision, in milliseconds. A turn that went on is not among them.
    pub(crate) decisions_ms: BTreeMap<String, Vec<u64>>,
}

/// Plays every recording several times on few sessions.
pub(crate) async fn run(plan: &Plan, first_look: Duration) -> Calibration {
    let mut plan = plan.clone();
    // Longer than the longest silence a turn may hold, so that no turn runs into the next recording.
    plan.playlist.pause = (4 * 16_000, 5 * 16_000);
    plan.partials = false;
    let longest: u64 = plan
        .playlist
        .clips
        .iter()
        .map(|clip| clip.samples.len() as u64)
        .sum();
    let cycle = longest + plan.playlist.clips.len() as u64 * plan.playlist.pause.1;
    plan.length = Duration::from_secs_f64(cycle as f64 / 16_000.0);
    let crowd = Crowd {
        sessions: 3,
        uploaders: 0,
        join_within: Duration::from_secs(3),
    };
    let (_, score) = load::run(&plan, crowd).await;
    let mut decisions_ms: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (name, delay) in score.decisions {
        decisions_ms
            .entry(name)
            .or_default()
            .push(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }
    let limit = u64::try_from(first_look.as_millis()).unwrap_or(u64::MAX);
    let at_first_look = decisions_ms
        .iter()
        .filter(|(_, delays)| 2 <= delays.len() && delays.iter().all(|&delay| delay < limit))
        .map(|(name, _)| name.clone())
        .collect();
    Calibration {
        at_first_look,
        decisions_ms,
    }
}
