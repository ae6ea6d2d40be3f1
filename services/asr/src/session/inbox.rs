//! Frames and the client's messages, put back into the order of the stream.
//!
//! Frames are heard some time after their audio came; a message that came after that audio waits for them.
//!
//! Invariants:
//! - A message takes effect after the last whole frame before its position and before the next.
//! - After a reset, frames that end before its position are not heard any more.

use std::collections::VecDeque;
use std::mem;

/// A message of the client that has its place in the stream.
#[derive(Debug)]
pub(super) enum Control {
    Finalize(Option<String>),
    AudioIdle,
    Close,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Input {
    Frame { until: u64, probability: f32 },
    Control { at: u64, control: Control },
}

#[derive(Debug)]
pub(super) struct Inbox {
    frame_samples: u64,
    /// The audio that came, and the part of it that was taken out as frames.
    pub(super) received: u64,
    pub(super) heard: u64,
    is_deaf: bool,
    frames: VecDeque<(u64, f32)>,
    controls: VecDeque<(u64, Control)>,
}

impl Inbox {
    pub(super) fn new(frame_samples: u64) -> Inbox {
        Inbox {
            frame_samples,
            received: 0,
            heard: 0,
            is_deaf: false,
            frames: VecDeque::new(),
            controls: VecDeque::new(),
        }
    }

    pub(super) fn frame_samples(&self) -> u64 {
        self.frame_samples
    }

    pub(super) fn frame(&mut self, until: u64, probability: f32) {
        let last = self.frames.back().map_or(self.heard, |it| it.0);
        if last < until && !self.is_deaf {
            self.frames.push_back((until, probability));
        }
    }

    pub(super) fn control(&mut self, control: Control) {
        self.controls.push_back((self.received, control));
    }

    /// Whether no whole frame before `at` is still to come.
    pub(super) fn has_heard(&self, at: u64) -> bool {
        at < self.heard + self.frame_samples
    }

    /// The next in order, if it is there.
    pub(super) fn next(&mut self) -> Option<Input> {
        if let Some(&(at, _)) = self.controls.front()
            && self.has_heard(at)
        {
            return self
                .controls
                .pop_front()
                .map(|(at, control)| Input::Control { at, control });
        }
        let (until, probability) = self.frames.pop_front()?;
        self.heard = until;
        Some(Input::Frame { until, probability })
    }

    /// Forgets all frames so far. Returns the ids of the finalizes that waited for them.
    pub(super) fn reset(&mut self) -> Vec<Option<String>> {
        self.frames.clear();
        // Those that are still to come end no later than this, and are not heard either.
        self.heard = self
            .heard
            .max(self.received - self.received % self.frame_samples);
        let waiting = mem::take(&mut self.controls).into_iter();
        waiting
            .filter_map(|(_, control)| match control {
                Control::Finalize(id) => Some(id),
                Control::AudioIdle | Control::Close => None,
            })
            .collect()
    }

    /// Hears nothing more.
    pub(super) fn stop(&mut self) {
        self.frames.clear();
        self.controls.clear();
        self.is_deaf = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inbox: &mut Inbox) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(input) = inbox.next() {
            found.push(match input {
                Input::Frame { until, .. } => until.to_string(),
                Input::Control { at, control } => format!("{control:?}@{at}"),
            });
        }
        found
    }

    #[test]
    fn a_message_waits_for_the_frames_before_it() {
        let mut inbox = Inbox::new(512);
        inbox.received = 1_100;
        inbox.control(Control::AudioIdle);
        inbox.received = 2_000;
        assert_eq!(drain(&mut inbox), [""; 0]);
        inbox.frame(512, 0.5);
        assert_eq!(drain(&mut inbox), ["512"]);
        inbox.frame(1_024, 0.5);
        inbox.frame(1_536, 0.5);
        assert_eq!(drain(&mut inbox), ["1024", "AudioIdle@1100", "1536"]);
    }

    #[test]
    fn a_message_on_the_edge_of_a_frame_comes_after_it() {
        let mut inbox = Inbox::new(512);
        inbox.received = 512;
        inbox.control(Control::Finalize(None));
        assert_eq!(drain(&mut inbox), [""; 0]);
        inbox.frame(512, 0.5);
        assert_eq!(drain(&mut inbox), ["512", "Finalize(None)@512"]);
    }

    #[test]
    fn after_a_reset_late_frames_are_not_heard() {
        let mut inbox = Inbox::new(512);
        inbox.received = 1_100;
        inbox.frame(512, 0.5);
        inbox.control(Control::Finalize(Some("f".into())));
        assert_eq!(inbox.reset(), [Some("f".to_owned())]);
        inbox.frame(1_024, 0.5);
        inbox.frame(1_536, 0.5);
        inbox.control(Control::AudioIdle);
        assert_eq!(drain(&mut inbox), ["AudioIdle@1100", "1536"]);
    }
}
