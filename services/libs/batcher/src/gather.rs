//! Which jobs share a call. Pure.

use std::{collections::VecDeque, num::NonZeroUsize};

/// Takes the job at the front and the later ones that may share its call, in their order.
///
/// The front is never passed over, so a rare key cannot starve. Jobs that are passed over keep their
/// order. Looks no further than the job that fills the batch.
pub fn take_batch<J>(
    jobs: &mut VecDeque<J>,
    max: NonZeroUsize,
    may_share: impl Fn(&J, &J) -> bool,
) -> Vec<J> {
    let Some(front) = jobs.pop_front() else {
        return Vec::new();
    };
    let mut batch = Vec::with_capacity(max.get().min(jobs.len() + 1));
    batch.push(front);
    let mut passed_over = Vec::new();
    while batch.len() < max.get() {
        let Some(job) = jobs.pop_front() else {
            break;
        };
        if may_share(&batch[0], &job) {
            batch.push(job);
        } else {
            passed_over.push(job);
        }
    }
    for job in passed_over.into_iter().rev() {
        jobs.push_front(job);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter is a job's key, a digit tells jobs of one key apart.
    #[track_caller]
    fn check(line: &str, max: usize, batch: &str, rest: &str) {
        let mut jobs: VecDeque<&str> = line.split_whitespace().collect();
        let max = NonZeroUsize::new(max).unwrap();
        let taken = take_batch(&mut jobs, max, |a, b| a.as_bytes()[0] == b.as_bytes()[0]);
        assert_eq!(taken.join(" "), batch, "the batch");
        assert_eq!(jobs.make_contiguous().join(" "), rest, "what still waits");
    }

    #[test]
    fn nothing_waits() {
        check("", 4, "", "");
    }

    #[test]
    fn equal_keys_share_a_call() {
        check("a1 a2 a3", 4, "a1 a2 a3", "");
    }

    #[test]
    fn other_keys_are_passed_over_and_keep_their_order() {
        check("a1 b1 a2 c1 b2 a3", 4, "a1 a2 a3", "b1 c1 b2");
    }

    #[test]
    fn the_front_goes_first_even_if_its_key_is_rare() {
        check("c1 a1 a2 a3 a4", 4, "c1", "a1 a2 a3 a4");
    }

    #[test]
    fn a_full_batch_leaves_the_rest_in_order() {
        check("a1 b1 a2 a3 b2 a4", 2, "a1 a2", "b1 a3 b2 a4");
    }

    #[test]
    fn a_batch_of_one_touches_nothing_else() {
        check("a1 a2 b1", 1, "a1", "a2 b1");
    }

    proptest::proptest! {
        #[test]
        fn batch_and_rest_are_the_line(
            keys in proptest::collection::vec(0_u8..4, 0..40),
            max in 1_usize..10,
        ) {
            let line: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
            let mut jobs: VecDeque<(u8, usize)> = line.iter().copied().collect();
            let batch = take_batch(&mut jobs, NonZeroUsize::new(max).unwrap(), |a, b| a.0 == b.0);
            let n_first = keys.iter().filter(|key| keys.first() == Some(key)).count();
            proptest::prop_assert_eq!(batch.len(), n_first.min(max));
            let expected: Vec<_> =
                line.iter().copied().filter(|job| Some(job.0) == keys.first().copied()).take(max).collect();
            proptest::prop_assert_eq!(&batch, &expected);
            let rest: Vec<_> = line.into_iter().filter(|job| !batch.contains(job)).collect();
            proptest::prop_assert_eq!(Vec::from(jobs), rest);
        }
    }
}
