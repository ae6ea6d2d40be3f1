//! Which final belongs to which recording, and what that says about times and words.
//!
//! A final and a recording belong together when they overlap in stream time. One turn may take in several
//! recordings (the pause between them was no end of turn) and one recording may give several finals
//! (a pause within it was one), so they are compared in groups that overlap.

use std::time::Duration;

use super::record::{Heard, Record, Spoken};
use crate::words;

/// A final may begin early by its pre-roll and the two ends of speech are not judged alike: a quarter of
/// a second is less than any pause between two recordings.
const TOLERANCE: u64 = 4_000;

/// What the sessions of a run measured together.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Recordings that were played to their end.
    pub(crate) spoken: usize,
    /// Of these, without any final.
    pub(crate) missing: usize,
    /// Of these, ones whose turn went on into the next recording.
    pub(crate) held: usize,
    /// Of these, sent again after a broken connection, so not timed.
    pub(crate) replayed: usize,
    pub(crate) reference_words: usize,
    pub(crate) word_errors: usize,
    pub(crate) exact: usize,
    pub(crate) end_to_final: Vec<Duration>,
    pub(crate) end_to_decision: Vec<Duration>,
    pub(crate) decision_to_final: Vec<Duration>,
    pub(crate) first_partial: Vec<Duration>,
    pub(crate) server_latency: Vec<Duration>,
    pub(crate) frame_to_final: Vec<Duration>,
    /// For each timed recording: its name, and end of speech to decision.
    pub(crate) decisions: Vec<(String, Duration)>,
}

impl Score {
    /// Adds one session. Recordings that ended before `warm_until` count for words but not for times.
    pub(crate) fn add(&mut self, record: &Record, warm_until: u64) {
        let spoken: Vec<&Spoken> = record
            .spoken
            .iter()
            .filter(|spoken| spoken.ended.is_some())
            .collect();
        let mut heard: Vec<&Heard> = record
            .heard
            .iter()
            .filter(|heard| heard.answer.is_some())
            .collect();
        heard.sort_by_key(|heard| heard.answer.as_ref().map(|answer| answer.start));
        self.spoken += spoken.len();
        for (group, finals) in groups(&spoken, &heard) {
            self.compare_words(&group, &finals);
            for (idx, one) in group.iter().enumerate() {
                let next = group.get(idx + 1).copied();
                let first = finals.iter().find(|heard| overlaps(one, heard));
                let last = finals.iter().rfind(|heard| overlaps(one, heard));
                let (Some(first), Some(last)) = (first, last) else {
                    self.missing += 1;
                    continue;
                };
                if next.is_some_and(|next| overlaps(next, last)) {
                    self.held += 1;
                } else if one.replayed {
                    self.replayed += 1;
                } else if warm_until <= one.item.speech_end() {
                    self.time(one, first, last);
                }
            }
        }
    }

    fn compare_words(&mut self, group: &[&Spoken], finals: &[&Heard]) {
        let reference: Vec<String> = group
            .iter()
            .flat_map(|spoken| words::words(&spoken.item.clip.text))
            .collect();
        let text: Vec<String> = finals
            .iter()
            .filter_map(|heard| heard.answer.as_ref())
            .flat_map(|answer| words::words(&answer.text))
            .collect();
        let errors = words::errors(&reference, &text);
        self.reference_words += reference.len();
        self.word_errors += errors;
        self.exact += if errors == 0 { group.len() } else { 0 };
    }

    /// Times one recording, which its `first` to its `last` final overlap.
    fn time(&mut self, one: &Spoken, first: &Heard, last: &Heard) {
        let (Some(began), Some(ended), Some(answer)) = (one.began, one.ended, last.answer.as_ref())
        else {
            return;
        };
        self.end_to_final
            .push(answer.at.saturating_duration_since(ended));
        self.server_latency.push(answer.server_latency);
        self.frame_to_final.push(answer.after_frame);
        if let Some(decided) = last.decided {
            let delay = decided.saturating_duration_since(ended);
            self.end_to_decision.push(delay);
            self.decisions.push((one.item.clip.name.clone(), delay));
            self.decision_to_final
                .push(answer.at.saturating_duration_since(decided));
        }
        if let Some(partial) = first.first_partial
            && began <= partial
        {
            self.first_partial.push(partial - began);
        }
    }
}

fn overlaps(spoken: &Spoken, heard: &Heard) -> bool {
    heard.answer.as_ref().is_some_and(|answer| {
        answer.start < spoken.item.speech_end()
            && spoken.item.speech_start() < answer.end + TOLERANCE
    })
}

/// Recordings and finals, both in order of time, in the smallest groups between which nothing overlaps.
fn groups<'a>(
    spoken: &[&'a Spoken],
    heard: &[&'a Heard],
) -> Vec<(Vec<&'a Spoken>, Vec<&'a Heard>)> {
    let mut groups: Vec<(Vec<&Spoken>, Vec<&Heard>)> = Vec::new();
    let mut unused = heard.iter().copied().peekable();
    for one in spoken {
        // The same final may reach into this recording too: then it belongs to the group that has it.
        let joins = groups
            .last()
            .is_some_and(|(_, finals)| finals.iter().any(|heard| overlaps(one, heard)));
        if !joins {
            groups.push((Vec::new(), Vec::new()));
        }
        let Some((members, finals)) = groups.last_mut() else {
            continue;
        };
        members.push(one);
        while let Some(heard) = unused.peek() {
            let starts_after = heard
                .answer
                .as_ref()
                .is_none_or(|answer| answer.start >= one.item.speech_end());
            if starts_after {
                break;
            }
            // A final of noise between two recordings overlaps neither; its words count as errors.
            finals.push(heard);
            unused.next();
        }
    }
    if let Some((_, finals)) = groups.last_mut() {
        finals.extend(unused);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::asr::record::Answer;
    use crate::clip::Clip;
    use crate::playlist::Item;

    const SECOND: u64 = 16_000;

    /// Recordings of one second at each `starts`, ended at wall time `start + 1`.
    fn spoken(zero: Instant, at: &[u64], text: &str) -> Vec<Spoken> {
        at.iter()
            .map(|&second| Spoken {
                item: Item {
                    start: second * SECOND,
                    clip: Arc::new(Clip {
                        name: format!("at {second}"),
                        text: text.to_owned(),
                        samples: vec![0; 16_000],
                        voiced: 0..16_000,
                        file: Vec::new(),
                    }),
                },
                began: Some(zero + Duration::from_secs(second)),
                ended: Some(zero + Duration::from_secs(second + 1)),
                replayed: false,
            })
            .collect()
    }

    /// A final over `start..end` tenths of a second, answered at `at` tenths.
    fn heard(zero: Instant, start: u64, end: u64, at: u64, text: &str) -> Heard {
        Heard {
            decided: Some(zero + Duration::from_millis(at * 100 - 50)),
            answer: Some(Answer {
                at: zero + Duration::from_millis(at * 100),
                start: start * SECOND / 10,
                end: end * SECOND / 10,
                text: text.to_owned(),
                server_latency: Duration::ZERO,
                after_frame: Duration::ZERO,
            }),
            ..Heard::default()
        }
    }

    fn score(record: &Record) -> Score {
        let mut score = Score::default();
        score.add(record, 0);
        score
    }

    #[test]
    fn one_final_each() {
        let zero = Instant::now();
        let record = Record {
            spoken: spoken(zero, &[1, 5], "one two"),
            heard: vec![
                heard(zero, 6, 20, 24, "One two."),
                heard(zero, 46, 60, 63, "one too"),
            ],
            ..Record::default()
        };
        let score = score(&record);
        assert_eq!(
            (score.spoken, score.missing, score.held, score.exact),
            (2, 0, 0, 1)
        );
        assert_eq!((score.reference_words, score.word_errors), (4, 1));
        assert_eq!(
            score.end_to_final,
            [Duration::from_millis(400), Duration::from_millis(300)]
        );
        assert_eq!(score.decision_to_final, [Duration::from_millis(50); 2]);
    }

    #[test]
    fn a_turn_over_two_recordings_is_timed_at_the_second() {
        let zero = Instant::now();
        let record = Record {
            spoken: spoken(zero, &[1, 5], "one two"),
            heard: vec![heard(zero, 6, 60, 65, "one two one two")],
            ..Record::default()
        };
        let score = score(&record);
        assert_eq!(
            (score.missing, score.held, score.word_errors, score.exact),
            (0, 1, 0, 2)
        );
        assert_eq!(score.end_to_final, [Duration::from_millis(500)]);
    }

    #[test]
    fn two_finals_of_one_recording_are_read_together_and_timed_at_the_last() {
        let zero = Instant::now();
        let record = Record {
            spoken: spoken(zero, &[1], "one two"),
            heard: vec![
                heard(zero, 6, 14, 16, "one"),
                heard(zero, 16, 20, 23, "two"),
            ],
            ..Record::default()
        };
        let score = score(&record);
        assert_eq!((score.missing, score.word_errors), (0, 0));
        assert_eq!(score.end_to_final, [Duration::from_millis(300)]);
    }

    #[test]
    fn a_recording_without_a_final_is_missing_and_its_words_are_errors() {
        let zero = Instant::now();
        let record = Record {
            spoken: spoken(zero, &[1, 5, 9], "one two"),
            heard: vec![
                heard(zero, 6, 20, 24, "one two"),
                heard(zero, 86, 100, 104, "one two"),
            ],
            ..Record::default()
        };
        let score = score(&record);
        assert_eq!(
            (score.spoken, score.missing, score.word_errors, score.exact),
            (3, 1, 2, 2)
        );
        assert_eq!(score.end_to_final.len(), 2);
    }

    #[test]
    fn words_out_of_nothing_are_errors() {
        let zero = Instant::now();
        let record = Record {
            spoken: spoken(zero, &[1, 9], "one two"),
            heard: vec![
                heard(zero, 6, 20, 24, "one two"),
                heard(zero, 50, 60, 64, "hello"),
                heard(zero, 86, 100, 104, "one two"),
            ],
            ..Record::default()
        };
        let score = score(&record);
        assert_eq!((score.missing, score.word_errors), (0, 1));
        assert_eq!(score.end_to_final.len(), 2);
    }

    #[test]
    fn what_was_replayed_or_is_warm_up_is_not_timed() {
        let zero = Instant::now();
        let mut record = Record {
            spoken: spoken(zero, &[1, 5], "one"),
            heard: vec![
                heard(zero, 6, 20, 24, "one"),
                heard(zero, 46, 60, 63, "one"),
            ],
            ..Record::default()
        };
        record.spoken[1].replayed = true;
        let mut score = Score::default();
        score.add(&record, 3 * SECOND);
        assert_eq!(
            (score.replayed, score.end_to_final.len(), score.spoken),
            (1, 0, 2)
        );
    }
}
