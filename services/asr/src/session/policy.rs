//! How a session listens: thresholds and durations, checked by the settings before they get here.

use std::time::Duration;

/// Samples a second of every position in the core.
pub const RATE_HZ: u64 = 16_000;

/// What decides that somebody speaks and has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Silero hears speech in frames of 512 samples; Smart Turn judges whether the turn is over.
    SileroSmartTurn,
    /// Silero hears speech in frames of 512 samples; silence alone ends the turn.
    Silero,
    /// The peak amplitude of frames of 320 samples stands for speech; silence alone ends the turn.
    Energy,
}

impl Method {
    /// Length of the frames that [`Event::Heard`](super::Event::Heard) reports, in samples.
    ///
    /// Frame `n` ends at position `n * frame_samples`, whatever the client's frames were.
    pub fn frame_samples(self) -> u64 {
        match self {
            Method::SileroSmartTurn | Method::Silero => 512,
            Method::Energy => 320,
        }
    }
}

/// What a segment, and so a `final`, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalOn {
    /// A turn: all that is said until the other may speak.
    TurnEnd,
    /// A stretch of speech between two pauses.
    VadStop,
}

/// When drafts are made of unfinished speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drafts {
    /// Least stream time between two drafts of one session.
    pub interval: Duration,
    /// Stream time between drafts when the recogniser is far behind.
    pub max_interval: Duration,
    /// Less new speech than this is not worth a draft.
    pub min_new_speech: Duration,
}

/// Everything a session needs to know before the first sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub method: Method,
    pub final_on: FinalOn,
    /// A frame at or above this may begin speech. A probability, or for [`Method::Energy`] an amplitude; in (0, 1).
    pub start_probability: f32,
    /// Speech goes on while frames stay at or above this. At most `start_probability`.
    pub stop_probability: f32,
    /// Speech this long begins a segment.
    pub start: Duration,
    /// Gaps up to this long do not disturb the beginning of speech. Zero: it must be unbroken.
    pub start_gap: Duration,
    /// Silence this long is a pause: Smart Turn is asked; without it the turn ends.
    pub stop: Duration,
    /// Smart Turn is asked again when the silence has grown to each of these. Ascending.
    pub look_again: Vec<Duration>,
    /// A pause this long is never taken back: what came before it is transcribed apart from what follows.
    pub commit: Duration,
    /// Silence this long ends the turn whatever Smart Turn says.
    pub max_stop: Duration,
    /// Smart Turn's probability at which a turn is over, in (0, 1).
    pub turn_probability: f32,
    /// Audio before the first speech that belongs to the segment.
    pub pre_roll: Duration,
    /// A longer turn is ended; its speech goes on as the next turn.
    pub max_turn: Duration,
    /// Unbroken speech longer than this is transcribed in parts. At most 28 s, so that a part fits Whisper's window.
    pub max_piece: Duration,
    /// Words that end within this of the end of such a part are left to the next one.
    pub cut_margin: Duration,
    /// `None`: no drafts and no partials.
    pub drafts: Option<Drafts>,
}

impl Policy {
    /// The values that are good for `method` where nobody says otherwise.
    pub fn preset(method: Method) -> Policy {
        let silero = Policy {
            method,
            final_on: FinalOn::TurnEnd,
            start_probability: 0.5,
            stop_probability: 0.35,
            start: Duration::from_millis(96),
            start_gap: Duration::ZERO,
            stop: Duration::from_millis(200),
            look_again: [500, 1000, 1600].map(Duration::from_millis).to_vec(),
            commit: Duration::from_millis(500),
            max_stop: Duration::from_secs(3),
            turn_probability: 0.5,
            pre_roll: Duration::from_millis(500),
            max_turn: Duration::from_secs(120),
            max_piece: Duration::from_secs(20),
            cut_margin: Duration::from_secs(2),
            drafts: Some(Drafts {
                interval: Duration::from_millis(300),
                max_interval: Duration::from_millis(1500),
                min_new_speech: Duration::from_millis(250),
            }),
        };
        match method {
            Method::SileroSmartTurn | Method::Silero => silero,
            // The five numbers are those of the voice server whose clients ask for this method.
            Method::Energy => Policy {
                start_probability: 0.1,
                stop_probability: 0.1,
                start: Duration::from_millis(300),
                start_gap: Duration::from_millis(100),
                stop: Duration::from_millis(400),
                max_turn: Duration::from_secs(10),
                ..silero
            },
        }
    }

    /// Audio that a session may hold without any job being under way, in samples.
    ///
    /// An edge that stops reading at a lower [`Progress::retained`](super::Progress::retained) would wait for ever.
    pub fn least_history(&self) -> u64 {
        let piece =
            samples(self.max_piece).max(RATE_HZ) + samples(self.stop) + samples(self.start_gap);
        let begin = samples(self.pre_roll) + samples(self.start);
        let frames = 2 * self.method.frame_samples();
        (piece + begin + frames).max(super::turn::JUDGED) + FORGET_STEP + frames
    }
}

/// Audio is forgotten this much at a time, to spare the edge.
pub(super) const FORGET_STEP: u64 = RATE_HZ / 2;

/// `duration` in samples, to the nearest.
pub(super) fn samples(duration: Duration) -> u64 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / RATE_HZ);
    (micros.saturating_mul(RATE_HZ) + 500_000) / 1_000_000
}

/// `duration` in samples, to the nearest whole frame and at least one: 0.2 s of Silero frames are six of them.
pub(super) fn whole_frames(duration: Duration, frame: u64) -> u64 {
    ((samples(duration) + frame / 2) / frame).max(1) * frame
}
