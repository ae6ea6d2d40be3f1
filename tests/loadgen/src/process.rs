//! What a process uses, read from `/proc`. Linux only; elsewhere there is nothing to report.

use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The kernel reports times in hundredths of a second to programs, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor and memory of a process over a time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    /// Processor seconds a second: 1.0 is one core fully used.
    pub(crate) cores: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mb: f64,
    pub(crate) peak_resident_mb: f64,
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn line(&self) -> String {
        format!(
            "{:.2} cores, {:.1} MB resident (peak {:.1}), {} threads",
            self.cores, self.resident_mb, self.peak_resident_mb, self.threads
        )
    }
}

/// Starts to watch a process.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: String,
    since: Instant,
    cpu_before: Duration,
}

impl Watch {
    pub(crate) fn own() -> Option<Watch> {
        Watch::named("self".to_owned())
    }

    pub(crate) fn of(pid: u32) -> Option<Watch> {
        Watch::named(pid.to_string())
    }

    fn named(pid: String) -> Option<Watch> {
        let cpu_before = cpu(&pid)?;
        Some(Watch {
            pid,
            since: Instant::now(),
            cpu_before,
        })
    }

    /// Processor use since the watch began; memory as it is now. `None` when the process is gone.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let used = cpu(&self.pid)?.saturating_sub(self.cpu_before);
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        };
        Some(Usage {
            cpu_seconds: used.as_secs_f64(),
            cores: used.as_secs_f64() / self.since.elapsed().as_secs_f64().max(1e-3),
            resident_mb: field("VmRSS:")? as f64 / 1024.0,
            peak_resident_mb: field("VmHWM:")? as f64 / 1024.0,
            threads: field("Threads:")?,
        })
    }
}

/// Processor time of all threads since the process began.
fn cpu(pid: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the numbers come after its last closing bracket.
    let fields: Vec<&str> = stat
        .get(stat.rfind(')')? + 1..)?
        .split_whitespace()
        .collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_use_is_seen() {
        let watch = Watch::own().expect("/proc/self is there");
        let begun = Instant::now();
        let mut sum = 0u64;
        while begun.elapsed() < Duration::from_millis(120) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert_ne!(sum, 1);
        let usage = watch.usage().expect("still there");
        assert!(usage.cores > 0.05, "{usage:?}");
        assert!(
            usage.resident_mb > 0.5 && usage.peak_resident_mb >= usage.resident_mb,
            "{usage:?}"
        );
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert!(Watch::of(u32::MAX).is_none());
    }
}
