//! Many listeners, one decoder, simulated millisecond by millisecond.

use super::*;

/// What the machine can do.
#[derive(Clone, Copy)]
struct Machine {
    n_streams: usize,
    /// How long each stream waits for a token.
    token_ms: u64,
    /// What every decoder call takes (its prompt), and what each token of its window adds.
    call_ms: u64,
    token_us: u64,
    /// Tokens of each sentence.
    n_tokens: usize,
    /// Streams begin one after the other.
    stagger_ms: u64,
}

struct Stream {
    vocode: Vocode,
    listener: Listener,
    begins: u64,
    n_said: usize,
    /// When its window was asked for, when it is due, and its tokens.
    waiting: Option<(u64, u64, usize)>,
    first_chunk: Option<u64>,
    starved: Duration,
    is_done: bool,
}

#[derive(Debug, Default)]
struct Outcome {
    starved: Duration,
    slowest_first_chunk: u64,
    n_calls: usize,
    decoding_ms: u64,
}

fn simulate(machine: Machine, policy: &Policy) -> Outcome {
    let mut streams: Vec<Stream> = (0..machine.n_streams as u64)
        .map(|it| Stream {
            vocode: Vocode::new(policy.clone()),
            listener: Listener::new(ms(1)),
            begins: it * machine.stagger_ms,
            n_said: 0,
            waiting: None,
            first_chunk: None,
            starved: Duration::ZERO,
            is_done: false,
        })
        .collect();
    let mut outcome = Outcome::default();
    // What a decoder call lately took for each token, known to those who come.
    let mut lately = ms(1);
    // Who is being decoded, and until when.
    let mut running: Option<(usize, u64)> = None;
    let mut now = 0;
    while streams.iter().any(|it| !it.is_done) {
        if let Some((stream_idx, until)) = running
            && until <= now
        {
            running = None;
            streams[stream_idx].answered(now);
            lately = streams[stream_idx].listener.per_token();
        }
        for stream in &mut streams {
            if now == stream.begins {
                stream.listener = Listener::new(lately);
            }
            stream.speak(now, &machine);
        }
        if running.is_none() {
            // Who runs out first is served first, as in the decoder's queue.
            let next = streams
                .iter()
                .enumerate()
                .filter_map(|(idx, it)| {
                    it.waiting
                        .map(|waiting| (waiting.1, waiting.0, idx, waiting.2))
                })
                .min();
            if let Some((_, _, stream_idx, n_tokens)) = next {
                let takes = machine.call_ms + (n_tokens as u64 * machine.token_us).div_ceil(1_000);
                running = Some((stream_idx, now + takes));
                streams[stream_idx].waiting.as_mut().unwrap().1 = u64::MAX;
                outcome.n_calls += 1;
                outcome.decoding_ms += takes;
            }
        }
        now += 1;
        assert!(now < 600_000, "it does not come to an end");
    }
    for stream in &streams {
        outcome.starved = outcome.starved.max(stream.starved);
        let waited = stream.first_chunk.unwrap() - stream.begins;
        outcome.slowest_first_chunk = outcome.slowest_first_chunk.max(waited);
    }
    outcome
}

impl Stream {
    fn speak(&mut self, now: u64, machine: &Machine) {
        if now < self.begins || self.is_done {
            return;
        }
        let due = usize::try_from((now - self.begins) / machine.token_ms).unwrap();
        while self.n_said < due.min(machine.n_tokens) {
            self.vocode.push(self.n_said as i64);
            self.n_said += 1;
            if self.n_said == machine.n_tokens {
                self.vocode.end();
            }
        }
        match self.vocode.next(&self.listener.demand(ms(now))) {
            Next::Wait(_) | Next::Decoding => {}
            Next::Finished => self.is_done = true,
            Next::Decode(window) => {
                let within = u64::try_from(window.due_in.as_millis()).unwrap();
                self.waiting = Some((now, now + within, window.tokens.len()));
            }
        }
    }

    fn answered(&mut self, now: u64) {
        let (asked, _, n_tokens) = self.waiting.take().unwrap();
        self.listener.decoded(n_tokens, ms(now - asked));
        let chunk = self
            .vocode
            .decoded(&vec![0.0; n_tokens * SAMPLES_PER_TOKEN])
            .unwrap();
        self.starved += self.listener.delivered(ms(now), chunk.samples.len());
        self.first_chunk.get_or_insert(now);
    }
}

const RAMP: &[usize] = &[12, 20, 30, 45, 60];

/// Twenty streams, tokens coming twice as fast as they are played. The smallest windows, 27 ms for 480, would need more than there is.
const TWENTY: Machine = Machine {
    n_streams: 20,
    token_ms: 20,
    call_ms: 20,
    token_us: 300,
    n_tokens: 250,
    stagger_ms: 67,
};

#[test]
fn alone_the_first_chunk_comes_as_soon_as_it_can() {
    let machine = Machine {
        n_streams: 1,
        ..TWENTY
    };
    let outcome = simulate(machine, &policy(RAMP));
    // 12 tokens, 3 of look-ahead, and a call with 15 tokens.
    assert_eq!(outcome.slowest_first_chunk, 15 * 20 + 25);
    assert_eq!(outcome.starved, Duration::ZERO);
}

#[test]
fn twenty_listeners_never_fall_silent() {
    let outcome = simulate(TWENTY, &policy(RAMP));
    println!("{outcome:?}");
    assert_eq!(outcome.starved, Duration::ZERO);
    assert!(outcome.slowest_first_chunk < 15 * 20 + 200, "{outcome:?}");
}

/// The first windows of all of them take 290 ms, for 480 ms of sound.
#[test]
fn twenty_who_come_at_once_never_fall_silent() {
    let machine = Machine {
        stagger_ms: 0,
        call_ms: 10,
        ..TWENTY
    };
    let outcome = simulate(machine, &policy(RAMP));
    println!("{outcome:?}");
    assert_eq!(outcome.starved, Duration::ZERO);
    assert!(
        outcome.slowest_first_chunk <= 15 * 20 + 20 * 15,
        "{outcome:?}"
    );
}

#[test]
fn a_listener_with_enough_to_play_costs_less() {
    // Tokens come five times faster than they are played, so there is always enough for a window of any size.
    let machine = Machine {
        n_streams: 1,
        token_ms: 8,
        ..TWENTY
    };
    let outcome = simulate(machine, &policy(RAMP));
    let eager = simulate(machine, &policy(&[12]));
    println!("{outcome:?} instead of {eager:?}");
    assert!(outcome.n_calls * 3 < eager.n_calls);
    assert_eq!(outcome.starved, Duration::ZERO);
}

#[test]
fn under_too_much_load_windows_grow_and_the_work_with_them_less() {
    let machine = Machine {
        call_ms: 60,
        ..TWENTY
    };
    let small = simulate(machine, &policy(&[12]));
    let grown = simulate(machine, &policy(RAMP));
    println!("{grown:?} instead of {small:?}");
    assert!(grown.decoding_ms * 2 < small.decoding_ms);
    assert!(grown.starved < small.starved / 2);
}
