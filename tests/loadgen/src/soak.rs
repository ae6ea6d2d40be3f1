//! A long run: a sign of life once a minute, and whether the server's memory grows.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;

use crate::process::Watch;

/// How often the memory is read.
const EVERY: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// The server's resident memory over a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// Seconds since the run began, megabytes.
    pub(crate) samples: Vec<(f64, f64)>,
    /// From here on the slope is taken: caches and pools are full by then.
    pub(crate) settled_after_s: f64,
    /// The line through the samples since then, least squares. Absent for a run too short to tell.
    pub(crate) slope_mb_per_hour: Option<f64>,
}

impl Memory {
    fn of(samples: Vec<(f64, f64)>) -> Memory {
        // A third: pools of threads and caches fill within minutes, and what is left must tell a leak from a step.
        let settled_after_s = samples.last().map_or(0.0, |last| last.0 / 3.0);
        let settled: Vec<(f64, f64)> = samples
            .iter()
            .copied()
            .filter(|(at_s, _)| settled_after_s <= *at_s)
            .collect();
        Memory {
            slope_mb_per_hour: slope(&settled).map(|it| it * 3600.0),
            samples,
            settled_after_s,
        }
    }

    pub(crate) fn line(&self) -> String {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return "not watched".to_owned();
        };
        let slope = self.slope_mb_per_hour.map_or_else(
            || "too short for a slope".to_owned(),
            |slope| format!("{slope:+.2} MB/h after {:.0} s", self.settled_after_s),
        );
        format!("{:.1} to {:.1} MB resident, {slope}", first.1, last.1)
    }
}

/// Of the straight line with the least squared distance. `None` for fewer than eight points.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 8 {
        return None;
    }
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|it| it.0), mean(|it| it.1));
    let of = |weigh: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(weigh).sum::<f64>();
    let spread = of(&|it| (it.0 - mean_x).powi(2));
    Some(of(&|it| (it.0 - mean_x) * (it.1 - mean_y)) / spread)
}

/// Does `work` and watches a process meanwhile. `tell` gets a line each minute.
pub(crate) async fn watching<T>(
    work: impl Future<Output = T>,
    pid: Option<u32>,
    tell: &impl Fn(&str),
) -> (T, Memory) {
    let begun = Instant::now();
    let mut samples = Vec::new();
    let watch = async {
        let mut minute = pid.and_then(Watch::of);
        let mut told = Instant::now();
        loop {
            if let Some(usage) = pid.and_then(Watch::of).and_then(|it| it.usage()) {
                samples.push((begun.elapsed().as_secs_f64(), usage.resident_mb));
            }
            if MINUTE <= told.elapsed() {
                let server = minute
                    .and_then(|watch| watch.usage())
                    .map(|usage| usage.line())
                    .unwrap_or_default();
                tell(&format!(
                    "{:>5.0} s  {server}",
                    begun.elapsed().as_secs_f64()
                ));
                minute = pid.and_then(Watch::of);
                told = Instant::now();
            }
            sleep(EVERY).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = watch => return std::future::pending().await,
    };
    (done, Memory::of(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_a_settled_server_none() {
        let leak: Vec<(f64, f64)> = (0..100)
            .map(|n| {
                (
                    f64::from(n) * 5.0,
                    100.0 + f64::from(n % 2) + f64::from(n) * 0.5,
                )
            })
            .collect();
        let found = Memory::of(leak).slope_mb_per_hour.unwrap();
        assert!((found - 360.0).abs() < 3.0, "{found}");
        // It grows while it warms up, and not afterwards.
        let warm: Vec<(f64, f64)> = (0..90)
            .map(|n| (f64::from(n) * 5.0, 100.0 + f64::from(n.min(20))))
            .collect();
        let found = Memory::of(warm).slope_mb_per_hour.unwrap();
        assert!(found.abs() < 1e-6, "{found}");
        assert!(
            Memory::of(vec![(0.0, 1.0), (5.0, 2.0)])
                .slope_mb_per_hour
                .is_none()
        );
    }
}
