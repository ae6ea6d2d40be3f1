//! What happens to a session, and what it wants done.

use std::ops::Range;
use std::time::Duration;

use super::message::Message;
use crate::transcript::Transcript;

/// Names a job within its session. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The client's audio now reaches `until`, which is `client_samples` of its own since the session began.
    /// To be sent before the `Heard` of that audio.
    Received { until: u64, client_samples: u64 },
    /// The next frame, which ends at `until`, holds speech with this probability. Frames come in order and without gaps;
    /// see [`Method::frame_samples`](super::Method::frame_samples). Those that a `Reset` overtook may still come or be left out.
    Heard { until: u64, probability: f32 },
    /// Smart Turn's answer: the probability that the turn is over.
    Judged { job: JobId, probability: f32 },
    /// Smart Turn gave none: the turn goes on until the silence is long enough.
    JudgeFailed { job: JobId },
    /// The recogniser's answer. Times count from the start of the job's range.
    Transcribed { job: JobId, transcript: Transcript },
    /// The recogniser gave none and asking again would not help. (A draft is simply skipped.)
    TranscriptionFailed { job: JobId },
    /// The time that drafts wait for a place on the model at present.
    Load { wait: Duration },
    /// End the turn here, then answer `Finalized`.
    Finalize { id: Option<String> },
    /// Forget all audio that is not delivered, at once. The edge starts the detector's recurrent state afresh.
    Reset,
    /// No audio has come for about a second of wall time: take that for silence enough to end the turn.
    /// The position stands still; audio may go on.
    AudioIdle,
    /// The server wants to stop: close once no turn is open. (At its own deadline the edge sends `Close`.)
    Draining,
    /// Deliver what is left, then `Closed`. The audio is at its end: flush resamplers into `Received` before this.
    Close,
}

/// What a transcription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A quick look at unfinished speech; may be replaced by the session's next one.
    Draft,
    /// The text of a piece. Somebody waits for it.
    Final,
    /// The first part of a piece that is too long. With word times, and otherwise like `Final`.
    Cut,
}

/// A job for the recogniser.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcribe {
    pub job: JobId,
    pub purpose: Purpose,
    /// The audio. At most 30 s.
    pub range: Range<u64>,
    /// Text that the answer has to begin with, because the client was promised it.
    pub prefix: Option<String>,
    /// What was said directly before the range, in the same breath.
    pub context: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask Smart Turn about this audio, at most 8 s. Answer with `Judged` or `JudgeFailed`, always.
    Judge {
        job: JobId,
        range: Range<u64>,
        /// Whether this pause was judged before: then the answer matters less than a first one.
        again: bool,
    },
    /// Answer with `Transcribed` or `TranscriptionFailed`, always, unless it is cancelled.
    Transcribe(Transcribe),
    /// Nobody waits for this job any more: drop it.
    Cancel { job: JobId },
    /// No job will ask for audio before this position again.
    Forget { before: u64 },
    /// Tell the client. After [`Message::Closed`] the session is over.
    Emit(Message),
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// On the client's clock: the position after the last sample received.
    pub received_sample: u64,
    /// On the client's clock: everything before is delivered; a client that resumes replays from here.
    pub safe_sample: u64,
    /// At 16 kHz: received and not yet heard.
    pub queued: u64,
    /// At 16 kHz: the audio that must still be at hand. An edge stops reading the socket when this is too much;
    /// see [`Policy::least_history`](super::Policy::least_history).
    pub retained: u64,
}
