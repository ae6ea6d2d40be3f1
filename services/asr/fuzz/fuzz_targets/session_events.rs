//! Any order of events: the accounts balance after each, and every segment gets exactly one terminal message.
#![no_main]

use asr::session::{Action, Clock, Event, JobId, Message, Method, Policy, Session};
use asr::transcript::Transcript;
use libfuzzer_sys::fuzz_target;

const FRAME: u64 = 512;

#[derive(Default)]
struct World {
    heard: u64,
    /// Judgements and transcriptions that are awaited.
    judged: Vec<JobId>,
    written: Vec<JobId>,
    n_open: u64,
    closed: bool,
}

impl World {
    fn on(&mut self, session: &mut Session, event: Event) {
        for action in session.on(event) {
            match action {
                Action::Judge { job, range, .. } => {
                    assert!(range.start < range.end && range.end <= self.heard);
                    self.judged.push(job);
                }
                Action::Transcribe(work) => {
                    assert!(work.range.start < work.range.end && work.range.end <= self.heard + FRAME);
                    self.written.push(work.job);
                }
                Action::Cancel { job } => self.written.retain(|it| *it != job),
                Action::Forget { .. } => {}
                Action::Emit(message) => self.told(&message),
            }
        }
        let totals = session.totals();
        assert!(totals.transcribed + totals.silence + totals.discarded <= totals.received);
    }

    fn told(&mut self, message: &Message) {
        assert!(!self.closed, "something is told after the end");
        match message {
            Message::SpeechStart { .. } => self.n_open += 1,
            Message::Final(_) | Message::Failed { .. } => {
                self.n_open = self.n_open.checked_sub(1).expect("a terminal message without a segment");
            }
            Message::Closed(totals) => {
                assert_eq!(self.n_open, 0, "a segment has no terminal message");
                assert_eq!(totals.received, totals.transcribed + totals.silence + totals.discarded);
                self.closed = true;
            }
            Message::Partial(_)
            | Message::SpeechEnd { .. }
            | Message::TurnEnd { .. }
            | Message::Finalized { .. }
            | Message::ResetDone { .. } => {}
        }
    }

    fn answer(&mut self, session: &mut Session, byte: u8) {
        if let Some(job) = self.judged.pop() {
            let probability = f32::from(byte) / 255.0;
            let event = if byte == 0 { Event::JudgeFailed { job } } else { Event::Judged { job, probability } };
            self.on(session, event);
        }
        if !self.written.is_empty() {
            let job = self.written.remove(usize::from(byte) % self.written.len());
            let event = if byte < 16 {
                Event::TranscriptionFailed { job }
            } else {
                Event::Transcribed { job, transcript: Transcript::default() }
            };
            self.on(session, event);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let policy = Policy::preset(Method::SileroSmartTurn);
    let mut session = Session::new(&policy, Clock { rate_hz: 16_000, start_sample: 0 });
    let mut world = World::default();
    for pair in bytes.chunks_exact(2) {
        let (kind, byte) = (pair[0], pair[1]);
        match kind % 16 {
            0 => world.on(&mut session, Event::Finalize { id: None }),
            1 => world.on(&mut session, Event::Reset),
            2 => world.on(&mut session, Event::AudioIdle),
            3 if byte == 0 => world.on(&mut session, Event::Draining),
            4..=6 => world.answer(&mut session, byte),
            _ => {
                let probability = f32::from(kind >> 4) / 15.0;
                for _ in 0..=byte % 32 {
                    world.heard += FRAME;
                    let until = world.heard;
                    world.on(&mut session, Event::Received { until, client_samples: until });
                    world.on(&mut session, Event::Heard { until, probability });
                }
            }
        }
    }
    world.on(&mut session, Event::Close);
    while !world.judged.is_empty() || !world.written.is_empty() {
        world.answer(&mut session, 200);
    }
    assert!(world.closed, "the session has no end");
});
