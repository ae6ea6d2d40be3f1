//! What the metrics tell, against what the callers saw.

use std::collections::BTreeMap;

use prometheus::{Registry, TextEncoder};
use proptest::prelude::*;

/// What the metrics tell must be what the callers saw.
pub(crate) fn check_counts(
    registry: &Registry,
    n_submitted: usize,
    n_left: usize,
    told: &BTreeMap<&'static str, usize>,
) -> Result<(), TestCaseError> {
    let text = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let mut counted = BTreeMap::<&str, usize>::new();
    for line in text.lines() {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if series.starts_with("t_queue_depth") || series.starts_with("t_slots") {
            prop_assert_eq!(value, "0", "{}", series);
        }
        if series.starts_with("t_jobs_total") {
            let (_, outcome) = series.split_once("outcome=\"").unwrap();
            let outcome = outcome.trim_end_matches("\"}");
            *counted.entry(outcome).or_default() += value.parse::<usize>().unwrap();
        }
    }
    let n_counted = counted.values().sum::<usize>();
    prop_assert_eq!(n_counted, n_submitted, "{:?}", &counted);
    // Who left may have been finished with just before. Everybody else was told what was counted.
    let mut n_unheard = 0;
    for (&outcome, &n_counted) in &counted {
        let n_told = told.get(outcome).copied().unwrap_or(0);
        prop_assert!(
            n_told <= n_counted,
            "{}: {:?}, told {:?}",
            outcome,
            &counted,
            told
        );
        // These two were, or may have been, told when submitting.
        if !matches!(outcome, "refused" | "stopped") {
            n_unheard += n_counted - n_told;
        }
    }
    prop_assert!(n_unheard <= n_left);
    Ok(())
}
