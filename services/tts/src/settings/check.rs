//! From `Raw` to `Settings`: every rule, every problem.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::settings::Problems;

use super::{Model, PrecisionRaw, Raw, Settings, Speech, Stream, Text, ranges};
use crate::models::pack::Precision;
use crate::speaker;
use crate::voices::VoiceId;

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
            speech: self.check_speech(problems),
            text: self.check_text(problems),
            stream: self.check_stream(problems),
            voices: self.voices.check(problems),
            cache_bytes: NonZeroUsize::new(self.cache.max_bytes),
            drain: self.drain.check(problems),
            log: self.log.check(problems),
            auth: self.auth.check(problems),
        };
        problems.is_empty().then_some(settings)
    }

    fn check_model(&self, problems: &mut Problems) -> Model {
        let raw = &self.model;
        let name = raw.name.trim().to_owned();
        let is_path = Path::new(&name).is_absolute();
        if name.is_empty() || (!is_path && (name.contains('/') || name.starts_with('.'))) {
            problems.add(
                "model.name",
                format!(
                    "`model.name` must be `demo`, the name of a folder under `<home>/models`, or an absolute path. Given: {name:?}"
                ),
            );
        }
        raw.precision.check(problems);
        problems.in_range("model.device_index", raw.device_index, 0..=64);
        problems.in_range("model.threads", raw.threads, 0..=1_024);
        problems.in_range("model.decoders", raw.decoders, 0..=64);
        problems.in_range("model.decoder_threads", raw.decoder_threads, 0..=1_024);
        problems.in_range("model.extractors", raw.extractors, 1..=64);
        problems.in_range("model.max_batch", raw.max_batch, 1..=256);
        let max_connections = self.server.max_connections;
        let needed = max_connections.saturating_mul(speaker::AT_ONCE);
        if raw.queue_places < needed {
            problems.add(
                "model.queue_places",
                format!(
                    "`model.queue_places` must not be less than {} times `server.max_connections`, or a text that was let in may find no \
                     place for its next sentence. Given: {} and {max_connections}; set `model.queue_places` to {needed}, or \
                     `server.max_connections` to {}",
                    speaker::AT_ONCE,
                    raw.queue_places,
                    (raw.queue_places / speaker::AT_ONCE).max(1),
                ),
            );
        }
        if raw.queue_places < raw.max_batch {
            problems.add(
                "model.queue_places",
                format!(
                    "`model.queue_places` must not be less than `model.max_batch`, or no batch fills. Given: {} and {}",
                    raw.queue_places, raw.max_batch
                ),
            );
        }
        Model {
            name,
            precision: raw.precision.clone(),
            device: raw.device,
            device_index: raw.device_index,
            threads: raw.threads,
            decoders: raw.decoders,
            decoder_threads: raw.decoder_threads,
            extractors: count(raw.extractors),
            aliases: raw.aliases.clone(),
            max_batch: count(raw.max_batch),
            queue_places: count(raw.queue_places),
            max_wait: problems.some_ms("model.max_wait_ms", raw.max_wait_ms),
        }
    }

    fn check_speech(&self, problems: &mut Problems) -> Speech {
        let raw = &self.speech;
        if VoiceId::parse(&raw.voice).is_err() {
            problems.add(
                "speech.voice",
                format!(
                    "`speech.voice` must be the id or an alias of a voice: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. Given: {:?}",
                    raw.voice
                ),
            );
        }
        let language = raw.language.clone().filter(|it| !it.trim().is_empty());
        problems.in_range(
            "speech.exaggeration",
            raw.exaggeration,
            ranges::EXAGGERATION,
        );
        problems.in_range("speech.speed", raw.speed, ranges::SPEED);
        problems.in_range("speech.sample_rate", raw.sample_rate, ranges::SAMPLE_RATE);
        let shares = [
            ("speech.cfg_weight", raw.cfg_weight, ranges::CFG_WEIGHT),
            ("speech.temperature", raw.temperature, ranges::TEMPERATURE),
            ("speech.top_p", raw.top_p, ranges::TOP_P),
            ("speech.min_p", raw.min_p, ranges::MIN_P),
            (
                "speech.repetition_penalty",
                raw.repetition_penalty,
                ranges::REPETITION_PENALTY,
            ),
        ];
        for (key, given, range) in shares {
            if let Some(given) = given {
                problems.in_range(key, given, range);
            }
        }
        if let Some(top_k) = raw.top_k {
            problems.in_range("speech.top_k", top_k, ranges::TOP_K);
        }
        problems.in_range("speech.max_seconds", raw.max_seconds, 1..=86_400);
        Speech {
            voice: raw.voice.clone(),
            language,
            exaggeration: raw.exaggeration,
            cfg_weight: raw.cfg_weight,
            temperature: raw.temperature,
            top_p: raw.top_p,
            top_k: raw.top_k,
            min_p: raw.min_p,
            repetition_penalty: raw.repetition_penalty,
            seed: raw.seed,
            speed: raw.speed,
            sample_rate: raw.sample_rate,
            encoding: raw.encoding,
            format: raw.format,
            max_seconds: NonZeroU32::new(raw.max_seconds).unwrap_or(NonZeroU32::MIN),
            watermark: path(raw.watermark.as_ref()),
        }
    }

    fn check_text(&self, problems: &mut Problems) -> Text {
        let raw = &self.text;
        for (key, given) in [
            ("text.target_sentence_chars", raw.target_sentence_chars),
            ("text.max_sentence_chars", raw.max_sentence_chars),
        ] {
            if let Some(given) = given {
                problems.in_range(key, given, ranges::SENTENCE_CHARS);
            }
        }
        let mut rising = [
            ("text.min_sentence_chars", Some(raw.min_sentence_chars)),
            ("text.target_sentence_chars", raw.target_sentence_chars),
            ("text.max_sentence_chars", raw.max_sentence_chars),
        ]
        .into_iter()
        .filter_map(|(key, given)| Some((key, given?)));
        let mut below = rising.next();
        for (key, given) in rising {
            if let Some((lower, least)) = below
                && given < least
            {
                problems.add(
                    key,
                    format!("`{key}` must not be less than `{lower}`. Given: {given} and {least}"),
                );
            }
            below = Some((key, given));
        }
        let pauses = [
            ("text.clause_pause_ms", raw.clause_pause_ms),
            ("text.sentence_pause_ms", raw.sentence_pause_ms),
            ("text.paragraph_pause_ms", raw.paragraph_pause_ms),
        ];
        for (key, given) in pauses {
            problems.in_range(key, given, ranges::PAUSE_MS);
        }
        Text {
            max_chars: problems.at_least_one("text.max_chars", raw.max_chars),
            min_sentence_chars: raw.min_sentence_chars,
            target_sentence_chars: raw.target_sentence_chars,
            max_sentence_chars: raw.max_sentence_chars,
            dictionary: path(raw.dictionary.as_ref()),
            clause_pause: Duration::from_millis(raw.clause_pause_ms),
            sentence_pause: Duration::from_millis(raw.sentence_pause_ms),
            paragraph_pause: Duration::from_millis(raw.paragraph_pause_ms),
        }
    }

    fn check_stream(&self, problems: &mut Problems) -> Stream {
        let raw = &self.stream;
        problems.in_range("stream.chunk_size", raw.chunk_size, ranges::CHUNK_SIZE);
        if raw
            .first_chunks
            .iter()
            .any(|it| !ranges::CHUNK_SIZE.contains(it))
        {
            problems.add(
                "stream.first_chunks",
                format!(
                    "`stream.first_chunks` must be tokens between {} and {} each. Given: {:?}",
                    ranges::CHUNK_SIZE.start(),
                    ranges::CHUNK_SIZE.end(),
                    raw.first_chunks
                ),
            );
        }
        if let Some(context) = raw.context {
            problems.in_range("stream.context", context, 2..=100);
        }
        if let Some(look_ahead) = raw.look_ahead {
            problems.in_range("stream.look_ahead", look_ahead, 1..=100);
        }
        problems.in_range("stream.tail", raw.tail, 0..=25);
        problems.in_range("stream.margin_ms", raw.margin_ms, 0..=10_000);
        problems.in_range("stream.text_wait_ms", raw.text_wait_ms, 10..=60_000);
        let first = raw.first_chunks.iter().map(|it| *it.min(&raw.chunk_size));
        Stream {
            sizes: first.chain([raw.chunk_size]).collect(),
            context: raw.context,
            look_ahead: raw.look_ahead,
            tail: raw.tail,
            margin: Duration::from_millis(raw.margin_ms),
            max_requests: problems.at_least_one("stream.max_requests", raw.max_requests),
            text_wait: Duration::from_millis(raw.text_wait_ms),
        }
    }
}

impl PrecisionRaw {
    fn check(&self, problems: &mut Problems) {
        let each = [
            ("model.precision.speech_encoder", &self.speech_encoder),
            ("model.precision.embed_tokens", &self.embed_tokens),
            ("model.precision.language_model", &self.language_model),
            (
                "model.precision.conditional_decoder",
                &self.conditional_decoder,
            ),
        ];
        for (key, given) in each {
            if given != "auto" && Precision::parse(given).is_none() {
                problems.add(
                    key,
                    format!("`{key}` must be `auto`, `fp32`, `fp16`, `quantized`, `q4` or `q4f16`. Given: {given:?}"),
                );
            }
        }
    }
}

/// A file that may be left out; an empty path is none.
fn path(given: Option<&PathBuf>) -> Option<PathBuf> {
    given.filter(|it| !it.as_os_str().is_empty()).cloned()
}

/// A count whose range was checked; at least 1 even if it was out of it, so that checking goes on.
fn count(given: usize) -> NonZeroUsize {
    NonZeroUsize::new(given).unwrap_or(NonZeroUsize::MIN)
}
