//! Where decoders put samples: limits, mixing and resampling, in one place for all of them.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use super::{Clip, DecodeError, Incomplete, Limits, Source, Target};
use crate::resample::Resampler;
use crate::{SampleRate, Samples};

/// How a file came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// Before its header or structure said, or with parts missing.
    Early {
        /// In samples at the file's own rate.
        claimed: Option<u64>,
    },
}

/// A clip in the making.
pub(super) struct Sink {
    container: &'static str,
    target: Target,
    limits: Limits,
    opened: Option<Opened>,
    /// Leading samples that the container wants thrown away.
    n_to_skip: u64,
    /// Trailing samples that it wants thrown away, and as many of the latest as might be those.
    n_padding: usize,
    held: Vec<f32>,
    samples: Vec<f32>,
    mono: Vec<f32>,
}

struct Opened {
    source: Source,
    resampler: Resampler,
    n_source: u64,
    n_source_max: u64,
    /// Leading samples that were thrown away: decoding them is work too.
    n_skipped: u64,
}

impl Sink {
    pub(super) const fn new(container: &'static str, target: Target, limits: Limits) -> Self {
        Self {
            container,
            target,
            limits,
            opened: None,
            n_to_skip: 0,
            n_padding: 0,
            held: Vec::new(),
            samples: Vec::new(),
            mono: Vec::new(),
        }
    }

    pub(super) const fn container(&self) -> &'static str {
        self.container
    }

    pub(super) const fn skip(&mut self, n_samples: u64) {
        self.n_to_skip = n_samples;
    }

    /// Has the last `n_samples` thrown away: one packet's worth at most, more is a mistake and ignored.
    pub(super) fn trim_end(&mut self, n_samples: u64) {
        const MOST: usize = 5760;
        self.n_padding = usize::try_from(n_samples)
            .ok()
            .filter(|&n_samples| n_samples <= MOST)
            .unwrap_or(0);
    }

    /// The file's own rate; zero before it is known.
    pub(super) fn rate_hz(&self) -> u32 {
        self.opened
            .as_ref()
            .map_or(0, |opened| opened.source.rate.hz())
    }

    /// Samples taken so far at the file's own rate, skipped ones excluded.
    pub(super) fn n_source(&self) -> u64 {
        self.opened.as_ref().map_or(0, |opened| opened.n_source)
    }

    /// States what is to come. May be called again with the same; another rate in mid-file is damage.
    pub(super) fn open(
        &mut self,
        rate_hz: u32,
        n_channels: u32,
        codec: &'static str,
    ) -> Result<(), DecodeError> {
        let Limits {
            max_seconds,
            max_channels,
            min_rate_hz,
            max_rate_hz,
        } = self.limits;
        if let Some(opened) = &mut self.opened {
            if opened.source.rate.hz() != rate_hz {
                let fault = "its sample rate changes in the middle".to_owned();
                return Err(DecodeError::Malformed {
                    container: self.container,
                    fault,
                });
            }
            return Ok(());
        }
        let rate =
            SampleRate::new(rate_hz).filter(|_| (min_rate_hz..=max_rate_hz).contains(&rate_hz));
        let Some(rate) = rate else {
            return Err(DecodeError::Rate {
                given_hz: rate_hz,
                min_hz: min_rate_hz,
                max_hz: max_rate_hz,
            });
        };
        let accepted = u16::try_from(n_channels)
            .ok()
            .filter(|n_channels| (1..=max_channels).contains(n_channels));
        let Some(n_channels) = accepted else {
            return Err(DecodeError::Channels {
                given: n_channels,
                limit: max_channels,
            });
        };
        let to = match self.target {
            Target::Source => rate,
            Target::Rate(to) => to,
        };
        self.opened = Some(Opened {
            source: Source {
                container: self.container,
                codec,
                rate,
                n_channels,
            },
            resampler: Resampler::new(rate, to),
            n_source: 0,
            n_skipped: 0,
            n_source_max: u64::from(max_seconds).saturating_mul(u64::from(rate_hz)),
        });
        Ok(())
    }

    /// Takes interleaved samples of `n_channels`.
    pub(super) fn push(
        &mut self,
        interleaved: &[f32],
        n_channels: usize,
    ) -> Result<(), DecodeError> {
        let mut mono = std::mem::take(&mut self.mono);
        mono.clear();
        match n_channels {
            0 => {}
            1 => mono.extend_from_slice(interleaved),
            _ => {
                #[expect(clippy::cast_precision_loss, reason = "a number of channels")]
                let share = 1.0 / n_channels as f32;
                mono.extend(
                    interleaved
                        .chunks_exact(n_channels)
                        .map(|frame| frame.iter().sum::<f32>() * share),
                );
            }
        }
        let pushed = self.push_mono(&mono);
        self.mono = mono;
        pushed
    }

    pub(super) fn push_mono(&mut self, mono: &[f32]) -> Result<(), DecodeError> {
        if self.n_padding == 0 {
            return self.take(mono);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(mono);
        let n_certain = held.len().saturating_sub(self.n_padding);
        let taken = self.take(held.get(..n_certain).unwrap_or_default());
        held.drain(..n_certain);
        self.held = held;
        taken
    }

    fn take(&mut self, mono: &[f32]) -> Result<(), DecodeError> {
        let Some(opened) = &mut self.opened else {
            return Ok(());
        };
        let n_skipped = usize::try_from(self.n_to_skip)
            .unwrap_or(usize::MAX)
            .min(mono.len());
        self.n_to_skip = self.n_to_skip.saturating_sub(n_skipped as u64);
        opened.n_skipped = opened.n_skipped.saturating_add(n_skipped as u64);
        if opened.n_skipped > opened.n_source_max {
            return Err(DecodeError::TooLong {
                limit_s: self.limits.max_seconds,
            });
        }
        let mono = mono.get(n_skipped..).unwrap_or_default();
        if let Some(at) = mono.iter().position(|sample| !sample.is_finite()) {
            let at = Samples(opened.n_source.saturating_add(at as u64));
            return Err(DecodeError::NotFinite {
                at_s: at.seconds(opened.source.rate),
            });
        }
        let n_left = opened.n_source_max.saturating_sub(opened.n_source);
        if mono.len() as u64 > n_left {
            return Err(DecodeError::TooLong {
                limit_s: self.limits.max_seconds,
            });
        }
        opened.n_source = opened.n_source.saturating_add(mono.len() as u64);
        if mono.iter().all(|sample| (-1.0..=1.0).contains(sample)) {
            opened.resampler.push(mono, &mut self.samples);
        } else {
            // Louder than full scale: decoders overshoot, float files are mixed hot. It ends in 16 bits anyway.
            let clipped: Vec<f32> = mono.iter().map(|sample| sample.clamp(-1.0, 1.0)).collect();
            opened.resampler.push(&clipped, &mut self.samples);
        }
        Ok(())
    }

    /// Takes the place of samples that could not be decoded.
    pub(super) fn push_silence(&mut self, n_samples: u64) -> Result<(), DecodeError> {
        let silence = [0.0; 1024];
        let mut n_left = usize::try_from(n_samples).unwrap_or(usize::MAX);
        while n_left > 0 {
            let piece = silence.get(..n_left).unwrap_or(&silence);
            self.push_mono(piece)?;
            n_left = n_left.saturating_sub(piece.len());
        }
        Ok(())
    }

    /// The clip, unless there is none.
    pub(super) fn finish(mut self, end: End) -> Result<Clip, DecodeError> {
        let container = self.container;
        let Some(mut opened) = self.opened.take().filter(|opened| opened.n_source > 0) else {
            return Err(match end {
                End::Whole => DecodeError::NoSamples { container },
                End::Early { .. } => DecodeError::Truncated { container },
            });
        };
        opened.resampler.finish(&mut self.samples);
        for sample in &mut self.samples {
            *sample = sample.clamp(-1.0, 1.0);
        }
        let incomplete = match end {
            End::Whole => None,
            End::Early { claimed } => Some(Incomplete {
                claimed: claimed.map(Samples),
                found: Samples(opened.n_source),
            }),
        };
        Ok(Clip {
            samples: self.samples,
            rate: opened.resampler.to(),
            source: opened.source,
            incomplete,
        })
    }
}
