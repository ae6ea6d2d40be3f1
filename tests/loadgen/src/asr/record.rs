//! What one session said and heard, with the wall times, and whether the server kept its promises.
//!
//! Invariants:
//! - Positions are those of the whole stream, also after a resume.
//! - Promises are checked as messages come in; a broken one is recorded once with the evidence.

use std::time::{Duration, Instant};

use super::protocol::Said;
use crate::playlist::{Item, samples};
use crate::trouble::Complaints;
use crate::words;

/// Times in messages may be rounded to a hundredth of a second.
const ROUNDING: u64 = 160;

/// One stretch of speech as the server reported it.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Which connection of the session: segment numbers begin anew after a resume.
    pub(crate) connection: u32,
    pub(crate) segment: u64,
    pub(crate) first_partial: Option<Instant>,
    pub(crate) decided: Option<Instant>,
    pub(crate) answer: Option<Answer>,
    pub(crate) reason: Option<String>,
    pub(crate) failed: bool,
    pub(super) stable: String,
}

/// A final.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) text: String,
    pub(crate) server_latency: Duration,
    /// Since the frame that was sent last before it.
    pub(crate) after_frame: Duration,
}

/// One recording as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) item: Item,
    pub(crate) began: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    /// Sent more than once or in a burst, so its times mean nothing.
    pub(crate) replayed: bool,
}

/// Totals of the `closed` messages of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accounting {
    pub(crate) connections_closed: u64,
    pub(crate) received: u64,
    pub(crate) transcribed: u64,
    pub(crate) silence: u64,
    pub(crate) discarded: u64,
}

/// Everything about one session.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) spoken: Vec<Spoken>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) accounting: Accounting,
    pub(crate) complaints: Complaints,
    pub(crate) late: Vec<Duration>,
    pub(crate) resumes: u64,
    pub(crate) partials: u64,
    pub(crate) sent_bytes: u64,
    pub(super) connection: u32,
    /// Samples sent on this connection.
    pub(super) sent: u64,
    /// Everything before this is delivered: where a resume begins.
    pub(super) safe: u64,
    pub(super) last_final_end: u64,
    pub(super) last_sent: Option<Instant>,
}

impl Record {
    pub(crate) fn begin_connection(&mut self, number: u32) {
        self.connection = number;
        self.sent = 0;
    }

    pub(crate) fn safe_sample(&self) -> u64 {
        self.safe
    }

    /// Notes that the samples up to `until` are on their way.
    pub(crate) fn sent(&mut self, from: u64, until: u64, at: Instant, begun: &[Item]) {
        self.sent += until - from;
        self.last_sent = Some(at);
        for item in &begun[self.spoken.len().min(begun.len())..] {
            self.spoken.push(Spoken {
                item: item.clone(),
                began: None,
                ended: None,
                replayed: false,
            });
        }
        for spoken in self.spoken.iter_mut().rev() {
            if spoken.item.speech_end() <= from {
                break;
            }
            if (from..until).contains(&spoken.item.speech_start()) {
                spoken.began = Some(at);
            }
            if (from + 1..=until).contains(&spoken.item.speech_end()) {
                spoken.ended = Some(at);
            }
        }
    }

    /// The stream goes back to `position` and will be sent again from there up to `until`.
    pub(crate) fn replay(&mut self, position: u64, until: u64) {
        self.resumes += 1;
        for spoken in &mut self.spoken {
            if spoken.item.speech_end() > position && spoken.item.start < until {
                spoken.replayed = true;
            }
        }
    }

    /// Takes one message. Returns whether it was the last of the connection.
    pub(crate) fn hear(&mut self, said: Said, at: Instant) -> bool {
        match said {
            Said::SpeechStart {
                segment_id,
                timestamp,
            } => self.on_start(segment_id, timestamp),
            Said::Partial {
                segment_id,
                text,
                stable_text,
            } => {
                self.partials += 1;
                self.on_partial(segment_id, &text, stable_text, at);
            }
            Said::SpeechEnd { segment_id } => {
                if let Some(heard) = self.open(segment_id, "speech_end") {
                    heard.decided = Some(at);
                }
            }
            Said::Final {
                segment_id,
                text,
                start_time,
                end_time,
                end_sample,
                latency_ms,
            } => {
                let server_latency = Duration::from_secs_f64(latency_ms.max(0.0) / 1e3);
                let (start, end) = (samples(start_time), samples(end_time));
                let answer = Answer {
                    at,
                    start,
                    end,
                    text,
                    server_latency,
                    after_frame: at.saturating_duration_since(self.last_sent.unwrap_or(at)),
                };
                self.on_final(segment_id, end_sample, answer);
            }
            Said::TurnEnd { segment_id, reason } => self.on_turn_end(segment_id, reason),
            Said::Progress { safe_sample } => self.safe = self.safe.max(safe_sample),
            Said::Error {
                code,
                message,
                recoverable,
                segment_id,
            } => {
                self.complaints.error(&code, &message, recoverable);
                if let Some(segment) = segment_id
                    && let Some(heard) = self.open(segment, "error")
                {
                    heard.failed = true;
                }
            }
            Said::Closed {
                received_samples,
                transcribed_samples,
                silence_samples,
                discarded_samples,
            } => {
                self.on_closed(
                    received_samples,
                    transcribed_samples,
                    silence_samples,
                    discarded_samples,
                );
                return true;
            }
            Said::Ready | Said::Draining | Said::Other => {}
        }
        false
    }

    fn on_start(&mut self, segment: u64, timestamp: f64) {
        let connection = self.connection;
        if self
            .heard
            .iter()
            .any(|heard| heard.connection == connection && heard.segment == segment)
        {
            self.violation(format!("segment {segment} began twice"));
        }
        if samples(timestamp) + ROUNDING < self.last_final_end {
            self.violation(format!(
                "segment {segment} begins at {timestamp} s, before the end of the last final"
            ));
        }
        self.heard.push(Heard {
            connection,
            segment,
            ..Heard::default()
        });
    }

    fn on_partial(&mut self, segment: u64, text: &str, stable: String, at: Instant) {
        let mut broken = Vec::new();
        if let Some(heard) = self.open(segment, "partial") {
            heard.first_partial.get_or_insert(at);
            if !words::is_prefix(&heard.stable, &stable) {
                broken.push(format!(
                    "stable text changed from `{}` to `{stable}`",
                    heard.stable
                ));
            }
            if !words::is_prefix(&stable, text) {
                broken.push(format!(
                    "stable text `{stable}` is no prefix of the partial `{text}`"
                ));
            }
            heard.stable = stable;
        }
        broken.into_iter().for_each(|found| self.violation(found));
    }

    fn on_final(&mut self, segment: u64, end_sample: u64, answer: Answer) {
        let connection = self.connection;
        let waiting = self
            .heard
            .iter()
            .find(|heard| heard.connection == connection && heard.answer.is_none() && !heard.failed)
            .map(|heard| heard.segment);
        if waiting.is_some_and(|first| first != segment) {
            self.violation(format!(
                "final of segment {segment} came before that of {waiting:?}"
            ));
        }
        if end_sample.abs_diff(answer.end) > ROUNDING {
            self.violation(format!(
                "end_sample {end_sample} is not end_time, sample {}",
                answer.end
            ));
        }
        self.safe = self.safe.max(end_sample);
        self.last_final_end = answer.end;
        if let Some(heard) = self.open(segment, "final") {
            let stable = std::mem::take(&mut heard.stable);
            let kept = words::is_prefix(&stable, &answer.text);
            let text = answer.text.clone();
            heard.answer = Some(answer);
            if !kept {
                self.violation(format!(
                    "stable text `{stable}` is no prefix of the final `{text}`"
                ));
            }
        }
    }

    fn on_turn_end(&mut self, segment: u64, reason: String) {
        let connection = self.connection;
        let found = self
            .heard
            .iter_mut()
            .rfind(|heard| heard.connection == connection && heard.segment == segment);
        match found {
            Some(heard) => heard.reason = Some(reason),
            None => self.violation(format!("turn_end of segment {segment} that never began")),
        }
    }

    fn on_closed(&mut self, received: u64, transcribed: u64, silence: u64, discarded: u64) {
        let sent = self.sent;
        if received != sent {
            self.violation(format!(
                "closed: {received} samples received, but {sent} were sent"
            ));
        }
        if received != transcribed + silence + discarded {
            self.violation(format!("closed: received {received} is not transcribed {transcribed} + silence {silence} + discarded {discarded}"));
        }
        if discarded != 0 {
            self.violation(format!("closed: {discarded} samples discarded"));
        }
        let connection = self.connection;
        let unanswered: Vec<u64> = self
            .heard
            .iter()
            .filter(|heard| {
                heard.connection == connection && heard.answer.is_none() && !heard.failed
            })
            .map(|heard| heard.segment)
            .collect();
        if !unanswered.is_empty() {
            self.violation(format!(
                "closed: segments {unanswered:?} began and had neither final nor error"
            ));
        }
        self.accounting.connections_closed += 1;
        self.accounting.received += received;
        self.accounting.transcribed += transcribed;
        self.accounting.silence += silence;
        self.accounting.discarded += discarded;
    }

    /// The segment, if it began and is not yet answered; otherwise a broken promise.
    fn open(&mut self, segment: u64, message: &str) -> Option<&mut Heard> {
        let connection = self.connection;
        let found = self.heard.iter().rposition(|heard| {
            heard.connection == connection
                && heard.segment == segment
                && heard.answer.is_none()
                && !heard.failed
        });
        match found {
            Some(idx) => self.heard.get_mut(idx),
            None => {
                self.violation(format!("{message} of segment {segment}, which is not open"));
                None
            }
        }
    }

    pub(crate) fn violation(&mut self, found: String) {
        self.complaints.violation(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> Said {
        serde_json::from_str(json).expect("a message")
    }

    fn check(messages: &[&str]) -> Record {
        let mut record = Record::default();
        record.begin_connection(0);
        record.sent = 100;
        for message in messages {
            record.hear(said(message), Instant::now());
        }
        record
    }

    const START: &str = r#"{"type":"speech_start","segment_id":0,"timestamp":0.1}"#;
    const FINAL: &str = r#"{"type":"final","segment_id":0,"text":"Turn on the light.","start_time":0.1,"end_time":1.0,"end_sample":16000}"#;
    const CLOSED: &str = r#"{"type":"closed","received_samples":100,"transcribed_samples":40,"silence_samples":60,"discarded_samples":0}"#;

    #[test]
    fn a_clean_session_breaks_no_promise() {
        let record = check(&[
            START,
            r#"{"type":"partial","segment_id":0,"text":"turn on","stable_text":"turn"}"#,
            r#"{"type":"speech_end","segment_id":0}"#,
            FINAL,
            r#"{"type":"turn_end","segment_id":0,"reason":"smart_turn"}"#,
            CLOSED,
        ]);
        assert_eq!(record.complaints.violations, Vec::<String>::new());
        assert_eq!((record.safe, record.accounting.received), (16_000, 100));
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let cases: &[&[&str]] = &[
            &[FINAL],
            &[START, FINAL, FINAL],
            &[START, START],
            &[START, CLOSED],
            &[
                START,
                r#"{"type":"partial","segment_id":0,"text":"off","stable_text":"off"}"#,
                FINAL,
            ],
            &[
                START,
                r#"{"type":"partial","segment_id":0,"text":"turn on","stable_text":"turn on"}"#,
                r#"{"type":"partial","segment_id":0,"text":"turn off","stable_text":"turn off"}"#,
            ],
            &[
                START,
                r#"{"type":"partial","segment_id":0,"text":"turn","stable_text":"turn on"}"#,
            ],
            &[
                START,
                r#"{"type":"speech_start","segment_id":1,"timestamp":3}"#,
                &FINAL.replace("_id\":0", "_id\":1"),
            ],
            &[r#"{"type":"turn_end","segment_id":5,"reason":"silence"}"#],
            &[
                r#"{"type":"closed","received_samples":99,"transcribed_samples":0,"silence_samples":99,"discarded_samples":0}"#,
            ],
            &[
                r#"{"type":"closed","received_samples":100,"transcribed_samples":0,"silence_samples":99,"discarded_samples":0}"#,
            ],
            &[
                r#"{"type":"closed","received_samples":100,"transcribed_samples":0,"silence_samples":99,"discarded_samples":1}"#,
            ],
            &[START, &FINAL.replace("16000", "12000")],
            &[
                START,
                FINAL,
                r#"{"type":"speech_start","segment_id":1,"timestamp":0.5}"#,
            ],
        ];
        for case in cases {
            assert_eq!(
                check(case).complaints.violations.len(),
                1,
                "{case:?}: {:?}",
                check(case).complaints.violations
            );
        }
    }

    #[test]
    fn an_error_answers_its_segment() {
        let record = check(&[
            START,
            r#"{"type":"error","code":"TRANSCRIPTION_FAILED","message":"no","recoverable":true,"segment_id":0}"#,
            CLOSED,
        ]);
        assert!(
            record.complaints.violations.is_empty(),
            "{:?}",
            record.complaints.violations
        );
        assert_eq!(record.complaints.errors.values().sum::<u64>(), 1);
    }
}
