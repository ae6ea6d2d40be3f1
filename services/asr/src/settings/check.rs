//! From `Raw` to `Settings`: every rule, every problem.

use std::num::NonZeroUsize;
use std::time::Duration;

use chassis::settings::Problems;
use wire::asr::FinalOn;

use super::{Decode, Files, Model, Raw, Settings, Stream, Url, Vad, VadRaw};
use crate::dialect::languages;
use crate::models::catalog;
use crate::options;
use crate::session::{self, Drafts, Method, Policy, RATE_HZ};

/// The most that `stream.max_buffer_ms` may hold beside a turn: minutes of audio for each session add up.
const MAX_BUFFER_MS: u64 = 600_000;

impl Raw {
    /// Checks every rule. `None` only if a problem was added.
    pub fn check(&self, problems: &mut Problems) -> Option<Settings> {
        let instance_id = self.instance_id.clone().filter(|it| !it.is_empty());
        if let Some(id) = &instance_id
            && (64 < id.len() || !id.bytes().all(|it| it.is_ascii_graphic()))
        {
            problems.add(
                "instance_id",
                format!("`instance_id` must be at most 64 printable characters without spaces. Given: {id:?}"),
            );
        }
        let settings = Settings {
            instance_id,
            home: self.home.clone(),
            server: self.server.check(problems),
            model: self.check_model(problems),
            decode: self.check_decode(problems),
            vad: self.check_vad(problems),
            stream: self.check_stream(problems),
            files: self.check_files(problems),
            drain: self.drain.check(problems),
            log: self.log.check(problems),
            auth: self.auth.check(problems),
        };
        self.check_together(problems);
        problems.is_empty().then_some(settings)
    }

    fn check_model(&self, problems: &mut Problems) -> Model {
        let raw = &self.model;
        if catalog::canonical(&raw.name).is_empty() {
            problems.add(
                "model.name",
                "`model.name` must name a model, for example `demo` or `large-v3`. Given: nothing",
            );
        }
        if raw.device_indices.is_empty() || raw.device_indices.iter().any(|it| *it < 0) {
            problems.add(
                "model.device_indices",
                format!(
                    "`model.device_indices` must list GPUs by number, for example [0, 1]. Given: {:?}",
                    raw.device_indices
                ),
            );
        }
        problems.in_range("model.workers", raw.workers, 0..=64);
        problems.in_range("model.threads", raw.threads, 0..=1_024);
        problems.in_range("model.max_batch", raw.max_batch, 1..=256);
        Model {
            name: raw.name.trim().to_owned(),
            device: raw.device,
            device_indices: raw.device_indices.clone(),
            compute_type: raw.compute_type,
            workers: raw.workers,
            threads: raw.threads,
            window: raw.window,
            aliases: raw.aliases.clone(),
            max_batch: count(raw.max_batch),
            queue_places: problems.at_least_one("model.queue_places", raw.queue_places),
            max_wait: problems.some_ms("model.max_wait_ms", raw.max_wait_ms),
        }
    }

    fn check_decode(&self, problems: &mut Problems) -> Decode {
        let raw = &self.decode;
        let language = (raw.language != "auto").then(|| languages::code(&raw.language));
        if language == Some(None) {
            problems.add(
                "decode.language",
                format!(
                    "`decode.language` must be `auto` or a language code such as `en`. Given: {:?}",
                    raw.language
                ),
            );
        }
        problems.in_range(
            "decode.beam_size",
            raw.beam_size,
            1..=options::MAX_BEAM_SIZE,
        );
        problems.in_range("decode.best_of", raw.best_of, 1..=options::MAX_BEAM_SIZE);
        problems.in_range("decode.patience", raw.patience, 0.1..=10.0);
        problems.in_range("decode.length_penalty", raw.length_penalty, 0.0..=10.0);
        problems.in_range(
            "decode.no_speech_threshold",
            raw.no_speech_threshold,
            0.0..=1.0,
        );
        problems.in_range(
            "decode.log_prob_threshold",
            raw.log_prob_threshold,
            -1_000.0..=0.0,
        );
        problems.in_range(
            "decode.compression_ratio_threshold",
            raw.compression_ratio_threshold,
            0.0..=1_000.0,
        );
        let rising = raw
            .temperatures
            .windows(2)
            .all(|pair| pair.first() < pair.last());
        if raw.temperatures.is_empty()
            || !rising
            || raw.temperatures.iter().any(|it| !(0.0..=1.0).contains(it))
        {
            problems.add(
                "decode.temperatures",
                format!(
                    "`decode.temperatures` must be rising numbers between 0 and 1, at least one. Given: {:?}",
                    raw.temperatures
                ),
            );
        }
        Decode {
            language: language.flatten(),
            task: raw.task,
            beam_size: raw.beam_size,
            best_of: raw.best_of,
            patience: raw.patience,
            length_penalty: raw.length_penalty,
            temperatures: raw.temperatures.clone(),
            compression_ratio_threshold: raw.compression_ratio_threshold,
            log_prob_threshold: raw.log_prob_threshold,
            no_speech_threshold: raw.no_speech_threshold,
            condition_on_previous_text: raw.condition_on_previous_text,
            prompt: Some(raw.prompt.clone()).filter(|it| !it.is_empty()),
            hotwords: Some(raw.hotwords.clone()).filter(|it| !it.is_empty()),
        }
    }

    fn check_vad(&self, problems: &mut Problems) -> Vad {
        let raw = &self.vad;
        for (key, given) in [
            ("vad.threshold", raw.threshold),
            ("vad.stop_threshold", raw.stop_threshold),
        ] {
            if let Some(given) = given {
                problems.in_range(key, given, 0.01..=0.99);
            }
        }
        if let (Some(start), Some(stop)) = (raw.threshold, raw.stop_threshold)
            && start < stop
        {
            problems.add(
                "vad.stop_threshold",
                format!("`vad.stop_threshold` must not exceed `vad.threshold`. Given: {stop} and {start}"),
            );
        }
        problems.in_range("vad.turn_threshold", raw.turn_threshold, 0.01..=0.99);
        for (key, given, range) in [
            ("vad.start_ms", raw.start_ms, options::START_MS),
            ("vad.stop_ms", raw.stop_ms, options::STOP_MS),
            (
                "vad.max_stop_ms",
                Some(raw.max_stop_ms),
                options::MAX_STOP_MS,
            ),
            (
                "vad.pre_roll_ms",
                Some(raw.pre_roll_ms),
                options::PRE_ROLL_MS,
            ),
            ("vad.max_turn_ms", raw.max_turn_ms, options::MAX_TURN_MS),
            ("vad.max_piece_ms", Some(raw.max_piece_ms), 5_000..=28_000),
        ] {
            if let Some(given) = given {
                problems.in_range(key, given, range);
            }
        }
        if raw
            .look_again_ms
            .windows(2)
            .any(|pair| pair.last() <= pair.first())
        {
            problems.add(
                "vad.look_again_ms",
                format!(
                    "`vad.look_again_ms` must rise. Given: {:?}",
                    raw.look_again_ms
                ),
            );
        }
        problems.in_range("vad.workers", raw.workers, 1..=64);
        problems.in_range("vad.turn_workers", raw.turn_workers, 1..=64);
        problems.in_range("vad.max_batch", raw.max_batch, 1..=1_024);
        Vad {
            raw: raw.clone(),
            policy: self.policy(),
            max_batch: count(raw.max_batch),
            workers: count(raw.workers),
            turn_workers: count(raw.turn_workers),
        }
    }

    fn policy(&self) -> Policy {
        let policy = raw_policy(&self.vad, options::method(self.vad.kind));
        Policy {
            final_on: match self.stream.final_on {
                FinalOn::TurnEnd => session::FinalOn::TurnEnd,
                FinalOn::VadStop => session::FinalOn::VadStop,
            },
            drafts: self.stream.partials.then(|| Drafts {
                interval: Duration::from_millis(self.stream.partial_interval_ms),
                max_interval: Duration::from_millis(self.stream.max_partial_interval_ms),
                min_new_speech: Duration::from_millis(250),
            }),
            ..policy
        }
    }

    fn check_stream(&self, problems: &mut Problems) -> Stream {
        let raw = &self.stream;
        problems.in_range("stream.sample_rate", raw.sample_rate, options::SAMPLE_RATE);
        problems.in_range("stream.channels", raw.channels, 1..=2);
        problems.in_range(
            "stream.partial_interval_ms",
            raw.partial_interval_ms,
            options::PARTIAL_INTERVAL_MS,
        );
        problems.in_range(
            "stream.max_partial_interval_ms",
            raw.max_partial_interval_ms,
            raw.partial_interval_ms..=*options::PARTIAL_INTERVAL_MS.end(),
        );
        problems.in_range(
            "stream.progress_interval_ms",
            raw.progress_interval_ms,
            100..=2_000,
        );
        problems.in_range("stream.audio_idle_ms", raw.audio_idle_ms, 200..=60_000);
        Stream {
            encoding: raw.encoding,
            sample_rate: raw.sample_rate,
            channels: raw.channels,
            partials: raw.partials,
            partial_interval: Duration::from_millis(raw.partial_interval_ms),
            max_partial_interval: Duration::from_millis(raw.max_partial_interval_ms),
            enable_timestamps: raw.enable_timestamps,
            final_on: raw.final_on,
            max_buffer: Duration::from_millis(raw.max_buffer_ms),
            progress_interval: Duration::from_millis(raw.progress_interval_ms),
            audio_idle: Duration::from_millis(raw.audio_idle_ms),
        }
    }

    fn check_files(&self, problems: &mut Problems) -> Files {
        let raw = &self.files;
        problems.in_range("files.max_seconds", raw.max_seconds, 1..=86_400);
        problems.in_range("files.parallel_clips", raw.parallel_clips, 1..=256);
        problems.in_range("files.decoders", raw.decoders, 1..=64);
        let timeout = problems.some_ms("files.url_timeout_ms", raw.url_timeout_ms);
        Files {
            max_seconds: raw.max_seconds,
            vad: raw.vad,
            parallel_clips: count(raw.parallel_clips),
            decoders: count(raw.decoders),
            url: raw.url_enabled.then_some(Url {
                private_addresses: raw.url_private_addresses,
                timeout,
            }),
        }
    }

    /// Rules across sections.
    fn check_together(&self, problems: &mut Problems) {
        let policy = self.policy();
        let least_ms = policy.least_history() * 1_000 / RATE_HZ + 1_000;
        if self.stream.max_buffer_ms < least_ms || MAX_BUFFER_MS < self.stream.max_buffer_ms {
            problems.add(
                "stream.max_buffer_ms",
                format!(
                    "`stream.max_buffer_ms` must lie between {least_ms}, so that the longest piece fits, and {MAX_BUFFER_MS}. \
                     Given: {}",
                    self.stream.max_buffer_ms
                ),
            );
        }
        if policy.max_stop < policy.stop {
            problems.add(
                "vad.max_stop_ms",
                format!(
                    "`vad.max_stop_ms` must not be shorter than `vad.stop_ms`, which for this `vad.type` is {} where it is not given. \
                     Given: {} and {}",
                    Policy::preset(policy.method).stop.as_millis(),
                    self.vad.max_stop_ms,
                    policy.stop.as_millis()
                ),
            );
        }
        if self.model.queue_places < self.model.max_batch {
            problems.add(
                "model.queue_places",
                format!(
                    "`model.queue_places` must not be less than `model.max_batch`, or no batch fills. Given: {} and {}",
                    self.model.queue_places, self.model.max_batch
                ),
            );
        }
    }
}

/// What the section means for a method, which the client of one stream may choose.
pub(crate) fn raw_policy(raw: &VadRaw, method: Method) -> Policy {
    let preset = Policy::preset(method);
    let or = |given: Option<u64>, preset: Duration| given.map_or(preset, Duration::from_millis);
    let start_probability = raw.threshold.unwrap_or(preset.start_probability);
    let gap = preset.start_probability - preset.stop_probability;
    Policy {
        start_probability,
        stop_probability: raw
            .stop_threshold
            .unwrap_or((start_probability - gap).max(0.01))
            .min(start_probability),
        start: or(raw.start_ms, preset.start),
        stop: or(raw.stop_ms, preset.stop),
        look_again: raw
            .look_again_ms
            .iter()
            .copied()
            .map(Duration::from_millis)
            .collect(),
        max_stop: Duration::from_millis(raw.max_stop_ms),
        turn_probability: raw.turn_threshold,
        pre_roll: Duration::from_millis(raw.pre_roll_ms),
        max_turn: or(raw.max_turn_ms, preset.max_turn),
        max_piece: Duration::from_millis(raw.max_piece_ms),
        ..preset
    }
}

/// A count whose range was checked; at least 1 even if it was out of it, so that checking goes on.
fn count(given: usize) -> NonZeroUsize {
    NonZeroUsize::new(given).unwrap_or(NonZeroUsize::MIN)
}
