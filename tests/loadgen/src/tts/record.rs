//! What one listener asked for and heard, with the wall times, and whether the server kept its promises.
//!
//! Invariants:
//! - Promises are checked as messages come in; a broken one is recorded once with the evidence.
//! - A request has at most one end, and who ended it: a message, or the listener who went away.

use std::time::{Duration, Instant};

use super::playback::Playback;
use super::protocol::{Complete, Header, Said, Totals};
use crate::trouble::Complaints;

/// Durations in messages are rounded to a thousandth of a millisecond.
const ROUNDING_MS: f64 = 0.01;

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Complete,
    Cancelled,
    Failed,
    /// The listener went away.
    Abandoned,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: String,
    /// Names the text and the voice, where the same ones must give as many samples again.
    pub(crate) what: Option<String>,
    pub(crate) n_chars: u64,
    pub(crate) in_pieces: bool,
    pub(crate) asked: Instant,
    pub(crate) cancelled: Option<Instant>,
    pub(crate) first_chunk: Option<Instant>,
    pub(crate) last_chunk: Option<Instant>,
    pub(crate) ended: Option<(End, Instant)>,
    pub(crate) playback: Playback,
    pub(crate) n_samples: u64,
    pub(crate) n_chunks: u64,
    /// `first_chunk_ms` as the server gives it.
    pub(crate) server_first_chunk: Option<Duration>,
    started: bool,
    text_start: u64,
}

impl Request {
    pub(crate) fn new(id: String, what: Option<String>, n_chars: u64, in_pieces: bool) -> Request {
        Request {
            id,
            what,
            n_chars,
            in_pieces,
            asked: Instant::now(),
            cancelled: None,
            first_chunk: None,
            last_chunk: None,
            ended: None,
            playback: Playback::default(),
            n_samples: 0,
            n_chunks: 0,
            server_first_chunk: None,
            started: false,
            text_start: 0,
        }
    }

    fn is_so(&self, end: End) -> bool {
        self.ended.is_some_and(|(it, _)| it == end)
    }
}

/// Everything about one listener.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) complaints: Complaints,
    pub(crate) requests: Vec<Request>,
    pub(crate) registered: Vec<Duration>,
    pub(crate) voices_deleted: u64,
    pub(crate) connections_closed: u64,
    /// Which voice an answer is awaited about, and since when.
    pub(crate) voice_asked: Option<(String, Instant)>,
    bytes_per_sample: u64,
    sample_rate: u32,
    /// The first request of this connection.
    first_here: usize,
    /// What the next binary frame must be.
    header: Option<Header>,
}

impl Record {
    pub(crate) fn new(bytes_per_sample: u64, sample_rate: u32) -> Record {
        Record {
            complaints: Complaints::default(),
            requests: Vec::new(),
            registered: Vec::new(),
            voices_deleted: 0,
            connections_closed: 0,
            voice_asked: None,
            bytes_per_sample,
            sample_rate,
            first_here: 0,
            header: None,
        }
    }

    /// A new connection: what was not ended on the last one never will be.
    pub(crate) fn begin_connection(&mut self) {
        for request in &mut self.requests[self.first_here..] {
            request
                .ended
                .get_or_insert((End::Abandoned, Instant::now()));
        }
        self.first_here = self.requests.len();
        self.header = None;
        self.voice_asked = None;
    }

    pub(crate) fn last(&mut self) -> Option<&mut Request> {
        self.requests.last_mut()
    }

    /// Takes one text message. Returns whether it was the last of the connection.
    pub(crate) fn hear(&mut self, said: Said, at: Instant) -> bool {
        if let Some(header) = self.header.take() {
            self.complaints.violation(format!(
                "chunk {} of {}: a message came where its audio should have",
                header.chunk_id, header.request_id
            ));
        }
        match said {
            Said::SynthesisStarted { request_id } => {
                let mut again = false;
                if let Some(request) = self.open(&request_id, "synthesis_started") {
                    again = std::mem::replace(&mut request.started, true);
                }
                self.expect(!again, || format!("{request_id} was started twice"));
            }
            Said::AudioChunk(header) => self.on_header(header),
            Said::SynthesisComplete(complete) => self.on_complete(&complete, at),
            Said::Cancelled {
                request_id,
                chunks_sent,
                end_sample,
            } => {
                self.on_end(
                    &request_id,
                    End::Cancelled,
                    Some((end_sample, chunks_sent)),
                    at,
                );
                let asked_for = self
                    .requests
                    .iter()
                    .rfind(|it| it.id == request_id)
                    .is_some_and(|it| it.cancelled.is_some());
                self.expect(asked_for, || {
                    format!("{request_id} was cancelled, and nobody asked for it")
                });
            }
            Said::VoiceRegistered { voice_id } => {
                if let Some(since) = self.on_voice(&voice_id) {
                    self.registered.push(at.saturating_duration_since(since));
                }
            }
            Said::VoiceDeleted { voice_id } => {
                self.voices_deleted += u64::from(self.on_voice(&voice_id).is_some());
            }
            Said::Error {
                code,
                message,
                recoverable,
                request_id,
                voice_id,
            } => {
                self.complaints.error(&code, &message, recoverable);
                if let Some(voice) = voice_id {
                    self.on_voice(&voice);
                }
                if let Some(id) = request_id {
                    self.on_end(&id, End::Failed, None, at);
                }
            }
            Said::Closed(totals) => {
                self.on_closed(totals);
                return true;
            }
            Said::Ready | Said::Draining | Said::Other => {}
        }
        false
    }

    /// Takes one binary frame.
    pub(crate) fn hear_audio(&mut self, n_bytes: usize, at: Instant) {
        let Some(header) = self.header.take() else {
            self.complaints
                .violation(format!("{n_bytes} bytes of audio without a header"));
            return;
        };
        let expected = header.samples * self.bytes_per_sample;
        self.expect(expected == n_bytes as u64, || {
            format!(
                "chunk {} of {}: {} samples in {n_bytes} bytes",
                header.chunk_id, header.request_id, header.samples
            )
        });
        let rate = self.sample_rate;
        if let Some(request) = self.open(&header.request_id, "audio") {
            request.n_chunks += 1;
            request.n_samples += header.samples;
            request.first_chunk.get_or_insert(at);
            request.last_chunk = Some(at);
            request.playback.arrive(at, duration(header.samples, rate));
        }
    }

    fn on_header(&mut self, header: Header) {
        let rate = self.sample_rate;
        let mut broken = Vec::new();
        if let Some(request) = self.open(&header.request_id, "audio_chunk") {
            let name = format!("chunk {} of {}", header.chunk_id, header.request_id);
            if !request.started {
                broken.push(format!("{name} came before `synthesis_started`"));
            }
            if header.chunk_id != request.n_chunks + 1 {
                broken.push(format!("{name} is the {}th", request.n_chunks + 1));
            }
            if header.start_sample != request.n_samples {
                broken.push(format!(
                    "{name} begins at {}, after {} samples",
                    header.start_sample, request.n_samples
                ));
            }
            if header.samples == 0 || header.sample_rate != rate {
                broken.push(format!(
                    "{name} has {} samples at {} Hz",
                    header.samples, header.sample_rate
                ));
            }
            let text = header.text_start..header.text_end;
            if text.is_empty() || text.start < request.text_start || request.n_chars < text.end {
                broken.push(format!(
                    "{name} speaks characters {text:?} of {}, after {}",
                    request.n_chars, request.text_start
                ));
            }
            request.text_start = header.text_start;
        }
        broken
            .into_iter()
            .for_each(|it| self.complaints.violation(it));
        self.header = Some(header);
    }

    fn on_complete(&mut self, it: &Complete, at: Instant) {
        let (id, told_ms) = (&it.request_id, it.total_duration_ms);
        let right_ms = 1e3 * it.total_samples as f64 / f64::from(self.sample_rate);
        self.expect((right_ms - told_ms).abs() < ROUNDING_MS, || {
            format!(
                "{id}: {} samples are {right_ms} ms, not {told_ms}",
                it.total_samples
            )
        });
        let told = Some((it.total_samples, it.chunks_sent));
        self.on_end(id, End::Complete, told, at);
        if let Some(request) = self.requests.iter_mut().rfind(|known| known.id == *id) {
            request.server_first_chunk = it
                .first_chunk_ms
                .map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3));
        }
    }

    /// `told` is where the audio ends and how many chunks there were.
    fn on_end(&mut self, id: &str, end: End, told: Option<(u64, u64)>, at: Instant) {
        let Some(request) = self.open(id, "an end") else {
            return;
        };
        request.ended = Some((end, at));
        let got = (request.n_samples, request.n_chunks);
        self.expect(told.is_none_or(|told| told == got), || {
            format!("{id} ended with (samples, chunks) {told:?}, and {got:?} came")
        });
    }

    /// An answer about a voice. Returns since when it was awaited.
    fn on_voice(&mut self, voice: &str) -> Option<Instant> {
        let asked = self.voice_asked.take();
        let (_, since) = asked.filter(|(name, _)| name == voice).or_else(|| {
            self.complaints
                .violation(format!("an answer about the voice {voice}, not asked for"));
            None
        })?;
        Some(since)
    }

    fn on_closed(&mut self, totals: Totals) {
        self.connections_closed += 1;
        let here = &self.requests[self.first_here..];
        let count = |end: End| here.iter().filter(|it| it.is_so(end)).count() as u64;
        let right = Totals {
            requests: here.len() as u64,
            completed: count(End::Complete),
            cancelled: count(End::Cancelled),
            failed: count(End::Failed),
            chunks_sent: here.iter().map(|it| it.n_chunks).sum(),
        };
        let unanswered: Vec<&str> = here
            .iter()
            .filter(|it| it.ended.is_none())
            .map(|it| it.id.as_str())
            .collect();
        let unanswered =
            (!unanswered.is_empty()).then(|| format!("closed, and {unanswered:?} never ended"));
        self.complaints.violations.extend(unanswered);
        self.expect(totals == right, || {
            format!("closed with {totals:?}, and it was {right:?}")
        });
    }

    /// The request, if it was asked for on this connection and has not ended; otherwise a broken promise.
    fn open(&mut self, id: &str, message: &str) -> Option<&mut Request> {
        let here = self.first_here;
        let found = self.requests[here..]
            .iter()
            .rposition(|it| it.id == id && it.ended.is_none());
        match found {
            Some(idx) => self.requests.get_mut(here + idx),
            None => {
                self.complaints
                    .violation(format!("{message} of {id}, which is not open"));
                None
            }
        }
    }

    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.complaints.violation(otherwise());
        }
    }
}

/// How long so many samples are.
pub(crate) fn duration(samples: u64, rate: u32) -> Duration {
    Duration::from_nanos(samples * 1_000_000_000 / u64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{"type":"synthesis_started","request_id":"r"}"#;
    const COMPLETE: &str = r#"{"type":"synthesis_complete","request_id":"r","total_duration_ms":80.0,"total_samples":1920,"chunks_sent":2,"first_chunk_ms":31}"#;
    const CLOSED: &str =
        r#"{"type":"closed","requests":1,"completed":1,"cancelled":0,"failed":0,"chunks_sent":2}"#;

    fn header(chunk: u64, start: u64) -> String {
        format!(
            r#"{{"type":"audio_chunk","request_id":"r","chunk_id":{chunk},"start_sample":{start},"samples":960,"sample_rate":24000,"text_start":0,"text_end":5}}"#
        )
    }

    /// Hears messages; a number is a binary frame of so many bytes.
    fn check(messages: &[&str]) -> Record {
        let mut record = Record::new(2, 24_000);
        record.begin_connection();
        record
            .requests
            .push(Request::new("r".to_owned(), None, 5, false));
        for message in messages {
            match message.parse() {
                Ok(n_bytes) => record.hear_audio(n_bytes, Instant::now()),
                Err(_) => {
                    let said = serde_json::from_str(message).expect("a message");
                    record.hear(said, Instant::now());
                }
            }
        }
        record
    }

    #[test]
    fn a_request_as_it_should_be() {
        let (one, two) = (header(1, 0), header(2, 960));
        let record = check(&[STARTED, &one, "1920", &two, "1920", COMPLETE, CLOSED]);
        assert_eq!(record.complaints.violations, Vec::<String>::new());
        let request = &record.requests[0];
        assert!(request.is_so(End::Complete));
        assert_eq!((request.n_samples, request.n_chunks), (1_920, 2));
        assert_eq!(request.server_first_chunk, Some(Duration::from_millis(31)));
        assert_eq!(record.connections_closed, 1);
    }

    #[test]
    fn each_broken_promise_is_noticed() {
        let (one, two, gap, third) = (header(1, 0), header(2, 960), header(2, 961), header(3, 960));
        let other_text = one.replace(r#""text_end":5"#, r#""text_end":6"#);
        let other_rate = one.replace("24000", "16000");
        let short = COMPLETE
            .replace("1920", "1919")
            .replace("80.0", "79.958333");
        let long = COMPLETE.replace("80.0", "81.0");
        let miscounted = CLOSED.replace(r#""chunks_sent":2"#, r#""chunks_sent":3"#);
        let cancelled = r#"{"type":"cancelled","request_id":"r","chunks_sent":0,"end_sample":0}"#;
        let whole = [STARTED, &one, "1920", &two, "1920", COMPLETE];
        let cases: [(&[&str], &str); 15] = [
            (&[&one, "1920"], "before `synthesis_started`"),
            (&[STARTED, STARTED], "twice"),
            (&[STARTED, &one, "1918"], "in 1918 bytes"),
            (
                &[STARTED, &one, r#"{"type":"ready"}"#],
                "where its audio should",
            ),
            (&[STARTED, "1920"], "without a header"),
            (&[STARTED, &one, "1920", &gap], "begins at 961"),
            (&[STARTED, &one, "1920", &third], "is the 2th"),
            (&[STARTED, &other_text], "characters 0..6 of 5"),
            (&[STARTED, &other_rate], "at 16000 Hz"),
            (&[STARTED, &one, "1920", &two, "1920", &short], "(1919, 2)"),
            (&[STARTED, &one, "1920", &two, "1920", &long], "not 81"),
            (&[whole.as_slice(), &[COMPLETE]].concat(), "not open"),
            (
                &[whole.as_slice(), &[&miscounted]].concat(),
                "chunks_sent: 3",
            ),
            (&[STARTED, cancelled], "nobody asked"),
            (
                &[r#"{"type":"voice_deleted","voice_id":"v"}"#],
                "not asked for",
            ),
        ];
        for (messages, part) in cases {
            let found = check(messages).complaints.violations;
            assert_eq!(found.len(), 1, "{messages:?}: {found:?}");
            assert!(found[0].contains(part), "{messages:?}: {found:?}");
        }
        // Nothing ended, and the totals say that something did.
        let found = check(&[STARTED, CLOSED]).complaints.violations;
        assert!(
            found.len() == 2 && found[0].contains("never ended"),
            "{found:?}"
        );
    }
}
