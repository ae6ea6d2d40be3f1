//! The largest number of streams that a server carries within its goals.
//!
//! Doubles until a step fails, then halves the gap. A failed step is tried once more, so that one hiccup of
//! the machine does not decide; both servers of a comparison get the same second chance.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Where the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) first: usize,
    pub(crate) most: usize,
}

/// One step of the search, as the chart needs it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    pub(crate) sessions: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) passed: bool,
}

/// What came of one step.
#[derive(Debug)]
pub(crate) struct Outcome<R> {
    pub(crate) report: R,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    /// Why the step does not count as carried.
    pub(crate) failure: Option<String>,
    /// For people, without the verdict.
    pub(crate) line: String,
}

/// What the search found: reports of kind `R`, held against goals of kind `G`.
#[derive(Debug, Serialize)]
pub(crate) struct Found<G, R> {
    pub(crate) label: String,
    /// What the times of the steps are.
    pub(crate) measure: &'static str,
    /// The largest number that passed; 0 if none did.
    pub(crate) limit: usize,
    pub(crate) goals: G,
    pub(crate) steps: Vec<Step>,
    /// One for each step.
    pub(crate) reports: Vec<R>,
}

impl<G, R> Found<G, R> {
    pub(crate) fn nothing_yet(label: &str, measure: &'static str, goals: G) -> Found<G, R> {
        Found {
            label: label.to_owned(),
            measure,
            limit: 0,
            goals,
            steps: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// The report of the largest number that passed.
    pub(crate) fn at_limit(&self) -> Option<&R> {
        let step = self
            .steps
            .iter()
            .rposition(|step| step.passed && step.sessions == self.limit)?;
        self.reports.get(step)
    }

    /// For people: what was measured at the limit.
    pub(crate) fn print(&self)
    where
        R: Display,
    {
        if let Some(report) = self.at_limit() {
            print!("\n{report}");
        }
        println!("\nlimit: {} sessions", self.limit);
    }

    /// Searches. `attempt` gets a number of sessions and a seed that no other attempt gets; `tell` gets a line for each.
    pub(crate) async fn search(
        mut self,
        bounds: Bounds,
        tell: &impl Fn(&str),
        mut attempt: impl AsyncFnMut(usize, u64) -> Outcome<R>,
    ) -> Found<G, R> {
        let mut failed_at = bounds.most + 1;
        let mut next = bounds.first.clamp(1, bounds.most);
        while self.limit < next && next < failed_at {
            let mut passed = false;
            for again in 0..2 {
                let outcome = attempt(next, ((next as u64) << 8) + again).await;
                passed = outcome.failure.is_none();
                let verdict = outcome.failure.as_deref().unwrap_or("carried");
                tell(&format!("{}: {verdict}", outcome.line));
                self.steps.push(Step {
                    sessions: next,
                    p50_ms: outcome.p50_ms,
                    p95_ms: outcome.p95_ms,
                    passed,
                });
                self.reports.push(outcome.report);
                if passed {
                    break;
                }
            }
            if passed {
                self.limit = next;
            } else {
                failed_at = next;
            }
            let close_enough = (self.limit / 25).max(1);
            if failed_at - self.limit <= close_enough {
                break;
            }
            next = if failed_at == bounds.most + 1 {
                (self.limit * 2).min(bounds.most)
            } else {
                self.limit + (failed_at - self.limit) / 2
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Searches a server that carries `carries`, and fails the first attempt at each of `hiccups`.
    fn check(carries: usize, hiccups: &[usize], first: usize, most: usize) -> (usize, Vec<usize>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let tried = RefCell::new(Vec::new());
        let attempt = async |sessions: usize, seed: u64| {
            tried.borrow_mut().push(sessions);
            let hiccup = hiccups.contains(&sessions) && seed.is_multiple_of(2);
            Outcome {
                report: sessions,
                p50_ms: 1.0,
                p95_ms: 2.0,
                failure: (carries < sessions || hiccup).then(|| "too many".to_owned()),
                line: String::new(),
            }
        };
        let found = runtime.block_on(Found::nothing_yet("test", "times", ()).search(
            Bounds { first, most },
            &|_| {},
            attempt,
        ));
        assert_eq!(found.at_limit().copied().unwrap_or(0), found.limit);
        assert_eq!(found.steps.len(), found.reports.len());
        (found.limit, tried.into_inner())
    }

    #[test]
    fn the_limit_is_found_from_below() {
        assert_eq!(check(13, &[], 2, 512).0, 13);
        assert_eq!(check(1, &[], 1, 512).0, 1);
        // Within four in a hundred it is close enough.
        let (limit, _) = check(200, &[], 16, 512);
        assert!((192..=200).contains(&limit), "{limit}");
    }

    #[test]
    fn a_hiccup_gets_a_second_chance_and_a_second_failure_counts() {
        let (limit, tried) = check(5, &[4], 2, 8);
        assert_eq!(limit, 5);
        assert_eq!(tried, [2, 4, 4, 8, 8, 6, 6, 5]);
    }

    #[test]
    fn nothing_carried_is_no_limit_and_the_most_is_not_passed() {
        assert_eq!(check(0, &[], 4, 512), (0, vec![4, 4, 2, 2, 1, 1]));
        assert_eq!(check(99, &[], 4, 16), (16, vec![4, 8, 16]));
    }
}
