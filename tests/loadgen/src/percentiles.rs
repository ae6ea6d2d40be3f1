//! Exact percentiles of a set of durations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is reported of a set of times. Milliseconds, because that is how people compare them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) n: usize,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// What is reported of a set of numbers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) n: usize,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Nearest-rank percentiles: each value reported was really measured.
    pub(crate) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        let Some(&max) = values.last() else {
            return Spread::default();
        };
        let at = |percent: usize| {
            let rank = (n * percent).div_ceil(100).max(1);
            values[rank - 1]
        };
        Spread {
            n,
            mean: round(values.iter().sum::<f64>() / n as f64),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max,
        }
    }
}

impl Percentiles {
    pub(crate) fn of(times: Vec<Duration>) -> Percentiles {
        let spread = Spread::of(times.into_iter().map(ms).collect());
        Percentiles {
            n: spread.n,
            mean_ms: spread.mean,
            p50_ms: spread.p50,
            p95_ms: spread.p95,
            p99_ms: spread.p99,
            max_ms: spread.max,
        }
    }

    pub(crate) fn line(&self) -> String {
        if self.n == 0 {
            return "none".to_owned();
        }
        format!(
            "p50 {:>7.1}  p95 {:>7.1}  p99 {:>7.1}  max {:>7.1} ms  (n {})",
            self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms, self.n
        )
    }
}

/// Milliseconds with a tenth of a microsecond at most: more digits are noise in a report.
pub(crate) fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1e3)
}

fn round(ms: f64) -> f64 {
    (ms * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest_and_measured() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let summary = Percentiles::of(times);
        assert_eq!(summary.n, 200);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(summary.p50_ms, 100.0), "{summary:?}");
        assert!(close(summary.p95_ms, 190.0), "{summary:?}");
        assert!(close(summary.p99_ms, 198.0), "{summary:?}");
        assert!(close(summary.max_ms, 200.0), "{summary:?}");
        assert!(close(summary.mean_ms, 100.5), "{summary:?}");
    }

    #[test]
    fn one_time_is_every_percentile_and_none_is_none() {
        let one = Percentiles::of(vec![Duration::from_micros(1500)]);
        assert!((one.p50_ms - 1.5).abs() < 1e-9 && (one.p99_ms - 1.5).abs() < 1e-9);
        assert_eq!(Percentiles::of(Vec::new()).line(), "none");
    }
}
