//! A minute of conversation through the session's core: what it costs beside the models.

use std::hint::black_box;

use asr::session::{Action, Clock, Event, Method, Policy, Session};
use asr::transcript::{Segment, Transcript, Word};
use criterion::{Criterion, criterion_group, criterion_main};

/// A sentence with its words, as long as a turn's usually is.
fn transcript() -> Transcript {
    let word = |n: u32| Word {
        word: format!(" word{n}"),
        start: 0.3 * f64::from(n),
        end: 0.3 * f64::from(n) + 0.25,
        probability: 0.9,
    };
    let words: Vec<Word> = (0..12).map(word).collect();
    let segment = Segment {
        id: 1,
        seek: 0,
        start: 0.0,
        end: 4.0,
        text: words.iter().map(|it| it.word.as_str()).collect(),
        tokens: vec![7; 24],
        avg_logprob: -0.2,
        compression_ratio: 1.1,
        no_speech_prob: 0.01,
        temperature: 0.0,
        words: Some(words),
    };
    Transcript {
        segments: vec![segment],
        language: "en".into(),
        language_probability: 1.0,
        ..Transcript::default()
    }
}

/// Plays `n_frames`: four seconds of speech, one of silence. Every job is answered at once.
fn converse(n_frames: u64) -> usize {
    let clock = Clock {
        rate_hz: 16_000,
        start_sample: 0,
    };
    let mut session = Session::new(&Policy::preset(Method::SileroSmartTurn), clock);
    let mut n_actions = 0;
    for frame in 0..n_frames {
        let until = (frame + 1) * 512;
        let probability = if frame % 156 < 125 { 0.95 } else { 0.02 };
        let mut events = vec![
            Event::Heard { until, probability },
            Event::Received {
                until,
                client_samples: until,
            },
        ];
        while let Some(event) = events.pop() {
            for action in session.on(event) {
                n_actions += 1;
                match action {
                    Action::Judge { job, .. } => events.push(Event::Judged {
                        job,
                        probability: 0.9,
                    }),
                    Action::Transcribe(it) => {
                        events.push(Event::Transcribed {
                            job: it.job,
                            transcript: transcript(),
                        });
                    }
                    Action::Cancel { .. } | Action::Forget { .. } | Action::Emit(_) => {}
                }
            }
        }
    }
    n_actions
}

fn session(criterion: &mut Criterion) {
    criterion.bench_function("session/a minute", |bencher| {
        bencher.iter(|| converse(black_box(1875)));
    });
}

criterion_group!(benches, session);
criterion_main!(benches);
