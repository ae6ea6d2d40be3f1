//! Sharing calls changes nothing, failing is answered one by one, and bad models are refused in words.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "scripted answers are told apart by their exact temperatures"
)]

#[path = "whisper_support/inputs.rs"]
mod inputs;

use std::{
    num::NonZeroUsize,
    path::Path,
    slice,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use asr::{
    models::whisper::{
        WhisperModel, demo,
        engine::{ComputeType, Device, Settings},
        fallback::{Metrics, Thresholds},
        item::{
            Attempt, Decoding, Heard, Input, Key, ModelError, Placement, WindowFrames, Work,
            Written,
        },
        load::{LoadError, ModelCard, ModelFiles},
        prompt::{Language, Parts, Prompt, Task},
    },
    recognizer::{Options, RecognizeError, Recognizer, Window},
    transcript::Transcript,
};
use audio::mel::{Features, LogMel, Scratch};
use batcher::{CallError, Lane, Model as _, PerLane, Workers};

use self::inputs::{clip, input, recognizer, reference_options};

/// Of different lengths, texts and (to the random model) languages.
const CLIPS: [&str; 6] = [
    "held_espeak_080",
    "held_ked_112",
    "seen_flite_014",
    "pause",
    "clipped",
    "over_a_window",
];

/// Everything of a transcript that must not depend on company: text, tokens, times to the frame.
fn essence(transcript: &Transcript) -> Vec<String> {
    let segments = transcript.segments.iter().map(|it| {
        let words = it.words.iter().flatten();
        let words: Vec<String> = words
            .map(|it| format!("{} {:.2} {:.2}", it.word, it.start, it.end))
            .collect();
        format!(
            "{} {:.2} {:.2} {:?} {words:?}",
            it.seek, it.start, it.end, it.tokens
        )
    });
    segments.collect()
}

async fn one_by_one(recognizer: &Recognizer, options: &Options) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for name in CLIPS {
        let transcript = recognizer
            .transcribe(clip(&input(name)), options, Lane::Background)
            .await;
        all.push(essence(&transcript.unwrap()));
    }
    all
}

async fn at_once(recognizer: &Recognizer, options: &Options) -> Vec<Vec<String>> {
    let runs = CLIPS.map(|name| async move {
        let transcript = recognizer
            .transcribe(clip(&input(name)), options, Lane::Background)
            .await;
        essence(&transcript.unwrap())
    });
    futures_util::future::join_all(runs).await
}

async fn company_changes_nothing(model: &str, options: Options) {
    let (alone, alone_workers) = recognizer(model, 1);
    let (together, together_workers) = recognizer(model, 8);
    let expected = one_by_one(&alone, &options).await;
    assert_eq!(at_once(&together, &options).await, expected);
    drop((alone, together));
    alone_workers.join();
    together_workers.join();
}

#[tokio::test]
async fn windows_of_many_clips_in_one_call_are_as_if_alone() {
    let words = Options {
        word_timestamps: true,
        ..reference_options()
    };
    company_changes_nothing("demo", words.clone()).await;
    company_changes_nothing("random", words).await;
}

#[tokio::test]
async fn short_windows_in_one_call_are_as_if_alone() {
    let own_length = Options {
        window: Window::OwnLength,
        word_timestamps: true,
        ..reference_options()
    };
    company_changes_nothing("demo", own_length).await;
}

#[tokio::test]
async fn drafts_in_one_call_are_as_if_alone() {
    let draft = Options {
        window: Window::OwnLength,
        draft: true,
        ..Options::default()
    };
    company_changes_nothing("demo", draft).await;
}

#[tokio::test]
async fn a_draft_begins_with_its_forced_prefix() {
    let (recognizer, _workers) = recognizer("demo", 8);
    let draft = |prefix: Option<&str>| Options {
        window: Window::OwnLength,
        draft: true,
        prefix: prefix.map(str::to_owned),
        ..Options::default()
    };
    let clip = clip(&input("held_espeak_084"));
    let free = recognizer
        .transcribe(Arc::clone(&clip), &draft(None), Lane::Normal)
        .await
        .unwrap();
    assert_eq!(free.text(), "He is 25 years old.");
    assert!(
        free.segments
            .iter()
            .all(|it| it.words.is_none() && it.temperature == 0.0)
    );
    let forced = recognizer
        .transcribe(clip, &draft(Some("She is 25")), Lane::Normal)
        .await
        .unwrap();
    assert!(forced.text().starts_with("She is 25"), "{}", forced.text());
}

#[tokio::test]
async fn times_end_with_the_clip_unless_the_reference_is_wanted() {
    let (recognizer, _workers) = recognizer("random", 8);
    let samples = clip(&input("held_espeak_084"));
    let overshooting = recognizer
        .transcribe(Arc::clone(&samples), &reference_options(), Lane::Background)
        .await
        .unwrap();
    assert!(
        overshooting
            .segments
            .iter()
            .any(|it| overshooting.duration_s < it.end)
    );
    let clipped = Options {
        clip_to_duration: true,
        word_timestamps: true,
        ..reference_options()
    };
    let clipped = recognizer
        .transcribe(samples, &clipped, Lane::Background)
        .await
        .unwrap();
    for segment in &clipped.segments {
        assert!(segment.start <= segment.end && segment.end <= clipped.duration_s);
        for word in segment.words.iter().flatten() {
            assert!(word.start <= word.end && word.end <= clipped.duration_s);
        }
    }
}

#[tokio::test]
async fn nothing_said_and_nothing_given_have_no_segments() {
    let (recognizer, _workers) = recognizer("demo", 8);
    for samples in [vec![], vec![0; 100], vec![0; 16_000]] {
        let clip = clip(&samples);
        let transcript = recognizer
            .transcribe(clip, &Options::default(), Lane::Urgent)
            .await
            .unwrap();
        assert_eq!(
            (transcript.text().as_str(), transcript.language.as_str()),
            ("", "en")
        );
    }
}

#[tokio::test]
async fn options_out_of_range_are_refused() {
    let (recognizer, _workers) = recognizer("demo", 8);
    let ask = |options: Options| {
        let recognizer = recognizer.clone();
        async move {
            let refused = recognizer
                .transcribe(clip(&[0; 1_600]), &options, Lane::Urgent)
                .await;
            refused.unwrap_err().to_string()
        }
    };
    let base = Options::default;
    let french = ask(Options {
        language: Some("fr".to_owned()),
        ..base()
    })
    .await;
    assert_eq!(
        french,
        "the model `demo` does not write the language `fr`; it writes en"
    );
    let beam = ask(Options {
        beam_size: 0,
        ..base()
    })
    .await;
    assert_eq!(beam, "`beam_size` must be at least 1. Given: 0");
    let none = ask(Options {
        temperatures: vec![],
        ..base()
    })
    .await;
    assert_eq!(
        none,
        "`temperatures` must name at least one temperature from 0 to 2. Given: []"
    );
    let late = ask(Options {
        max_initial_timestamp: f64::NAN,
        ..base()
    })
    .await;
    assert_eq!(
        late,
        "`max_initial_timestamp` must be from 0 to 30 seconds. Given: NaN"
    );
}

/// Answers each attempt by its temperature and remembers what it was asked.
struct Scripted {
    script: fn(f32) -> Metrics,
    asked: Arc<Mutex<Vec<String>>>,
}

impl batcher::Model for Scripted {
    type Input = Input;
    type Output = Heard;
    type Error = ModelError;
    type Key = Key;

    fn key(input: &Input) -> Key {
        WhisperModel::key(input)
    }

    fn run(&mut self, batch: &[Input]) -> Result<Vec<Heard>, ModelError> {
        let answer = |input: &Input| {
            let (asked, heard) = match &input.work {
                Work::Attempt(attempt) => {
                    let temperature = attempt.decoding.temperature;
                    let metrics = (self.script)(temperature);
                    let written = Written {
                        // "<|0.00|> He<|1.00|>" with another word for each temperature.
                        tokens: vec![1_609, 400 + (temperature * 10.0).round() as u32, 1_659],
                        metrics,
                        verdict: attempt.thresholds.judge(&metrics),
                    };
                    let heard = Heard {
                        written: Some(written),
                        ..Heard::default()
                    };
                    let beam = attempt
                        .decoding
                        .beam_size
                        .max(attempt.decoding.n_hypotheses);
                    (format!("{}@{temperature}x{beam}", input.window.seek), heard)
                }
                Work::Placement(placement) => {
                    (format!("place {:?}", placement.text), Heard::default())
                }
                Work::Languages => ("languages".to_owned(), Heard::default()),
            };
            self.asked.lock().unwrap().push(asked);
            heard
        };
        Ok(batch.iter().map(answer).collect())
    }

    fn self_test(&mut self) -> Result<(), ModelError> {
        Ok(())
    }
}

fn scripted(script: fn(f32) -> Metrics) -> (Recognizer, Workers, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&asked);
    let one = NonZeroUsize::MIN;
    let settings = batcher::Settings {
        name: "scripted",
        places: PerLane::all(4),
        max_batch: PerLane::all(one),
        workers: one,
        raise_after: Duration::from_secs(1),
        max_panics_in_a_row: one,
    };
    let build = move |_worker| {
        Ok(Scripted {
            script,
            asked: Arc::clone(&own),
        })
    };
    let (whisper, workers) = batcher::spawn(settings, batcher::Metrics::unregistered(), build);
    let card = Arc::new(ModelCard::read(&demo::files()).unwrap());
    (Recognizer::new(whisper, card), workers, asked)
}

fn metrics(avg_logprob: f64, compression_ratio: f64, no_speech_prob: f64) -> Metrics {
    Metrics {
        avg_logprob,
        compression_ratio,
        no_speech_prob,
    }
}

/// What was asked of the model, and what came of it.
async fn fallback(script: fn(f32) -> Metrics, options: Options) -> (String, String) {
    let (recognizer, _workers, asked) = scripted(script);
    let transcript = recognizer
        .transcribe(clip(&[0; 32_000]), &options, Lane::Urgent)
        .await
        .unwrap();
    let segments: Vec<String> = transcript
        .segments
        .iter()
        .map(|it| format!("{}@{}", it.tokens[1], it.temperature))
        .collect();
    let summary = format!(
        "{} fallback {} silent {}",
        segments.join(" "),
        transcript.n_fallback_windows,
        transcript.n_silent_windows
    );
    let asked = asked.lock().unwrap().join(" ");
    (asked, summary)
}

#[tokio::test]
async fn temperatures_are_tried_in_order_until_one_will_do() {
    let good_at_once = fallback(|_| metrics(-0.1, 1.0, 0.0), Options::default()).await;
    assert_eq!(
        good_at_once,
        ("0@0x5".to_owned(), "400@0 fallback 0 silent 0".to_owned())
    );

    let good_at_last = fallback(
        |temperature| metrics(if temperature < 0.5 { -2.0 } else { -0.9 }, 1.0, 0.0),
        Options::default(),
    );
    let expected = (
        "0@0x5 0@0.2x5 0@0.4x5 0@0.6x5".to_owned(),
        "406@0.6 fallback 1 silent 0".to_owned(),
    );
    assert_eq!(good_at_last.await, expected);
}

#[tokio::test]
async fn when_none_will_do_the_likeliest_varied_one_is_taken() {
    let script = |temperature: f32| {
        let likeliest = if temperature == 0.4 { -1.1 } else { -2.0 };
        // The greedy one is likelier still, but repeats itself.
        if temperature == 0.0 {
            metrics(-0.2, 5.0, 0.0)
        } else {
            metrics(likeliest, 1.0, 0.0)
        }
    };
    let (asked, summary) = fallback(script, Options::default()).await;
    assert_eq!(asked, "0@0x5 0@0.2x5 0@0.4x5 0@0.6x5 0@0.8x5 0@1x5");
    assert_eq!(
        summary, "404@1 fallback 1 silent 0",
        "the last temperature tried is reported"
    );

    // Its words are placed after the fact: it was not known to be the best when it was written.
    let words = Options {
        word_timestamps: true,
        ..Options::default()
    };
    let (asked, _) = fallback(script, words).await;
    assert!(asked.ends_with("0@1x5 place [404]"), "{asked}");
}

#[tokio::test]
async fn silence_is_neither_tried_again_nor_written() {
    let silence = fallback(|_| metrics(-2.0, 1.0, 0.9), Options::default()).await;
    assert_eq!(
        silence,
        ("0@0x5".to_owned(), " fallback 0 silent 1".to_owned())
    );
}

#[tokio::test]
async fn drafts_are_tried_once_and_greedily() {
    let draft = Options {
        draft: true,
        ..Options::default()
    };
    let (asked, _) = fallback(|_| metrics(-2.0, 9.0, 0.0), draft).await;
    assert_eq!(asked, "0@0x1");
}

#[tokio::test]
async fn dropping_a_transcription_abandons_its_job() {
    let (recognizer, mut workers) = recognizer("demo", 1);
    workers.ready().await.unwrap();
    let long = clip(&input("minute"));
    // One runs, one waits; when both are dropped the one that waits must not be run.
    let options = Options::default();
    let first = recognizer.transcribe(Arc::clone(&long), &options, Lane::Background);
    let second = recognizer.transcribe(long, &options, Lane::Background);
    let mut both = Box::pin(futures_util::future::join(first, second));
    let watch = workers.watch();
    while watch.oldest_call().is_none() {
        let waited = tokio::time::timeout(Duration::from_millis(1), &mut both).await;
        assert!(waited.is_err(), "six windows at once");
    }
    drop(both);
    let until = Instant::now() + Duration::from_secs(60);
    while watch.oldest_call().is_some() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let n_calls = watch.progress();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        watch.progress(),
        n_calls,
        "nobody waits, so nothing may run"
    );
    assert!(
        n_calls <= 3,
        "{n_calls} calls for clips of three windows that were given up during the first"
    );
}

#[tokio::test]
async fn an_expired_deadline_is_told() {
    let (recognizer, _workers) = recognizer("demo", 1);
    let options = Options {
        deadline: Some(Instant::now()),
        ..Options::default()
    };
    let refused = recognizer
        .transcribe(clip(&[0; 16_000]), &options, Lane::Urgent)
        .await;
    assert!(
        matches!(refused, Err(RecognizeError::Failed(CallError::Expired))),
        "{refused:?}"
    );
}

/// A copy of the demo model that can be spoiled.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    for file in std::fs::read_dir(demo).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn settings() -> Settings {
    Settings {
        device: Device::Cpu,
        compute_type: ComputeType::Default,
        n_threads: 1,
    }
}

fn load(folder: &Path) -> Result<WhisperModel, LoadError> {
    let files = ModelFiles::folder("spoiled", folder);
    let card = Arc::new(ModelCard::read(&files)?);
    WhisperModel::load(&files, card, &settings())
}

fn refusal(spoil: impl FnOnce(&Path)) -> String {
    let folder = copy();
    spoil(folder.path());
    let message = load(folder.path()).unwrap_err().to_string();
    message.replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn a_whole_model_loads_from_its_folder() {
    load(copy().path()).unwrap();
}

#[test]
fn bad_model_folders_are_refused_in_words() {
    let remove =
        |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    let write = |name: &'static str, content: &'static str| {
        move |folder: &Path| std::fs::write(folder.join(name), content).unwrap()
    };
    let check = |message: String, expected: &str| assert!(message.contains(expected), "{message}");

    check(
        refusal(|it| std::fs::remove_dir_all(it).unwrap()),
        "the model folder `FOLDER` does not exist",
    );
    check(
        refusal(remove("model.bin")),
        "lacks model.bin, the weights of a Whisper model",
    );
    check(refusal(remove("config.json")), "lacks config.json");
    check(refusal(remove("vocabulary.json")), "lacks vocabulary.json");
    check(refusal(remove("tokenizer.json")), "lacks tokenizer.json");
    check(
        refusal(write("config.json", "{")),
        "FOLDER/config.json is not the settings of a Whisper model",
    );
    check(
        refusal(write("vocabulary.json", "[]")),
        "in tokenizer.json and `` in the vocabulary",
    );
    check(
        refusal(write("tokenizer.json", "{}")),
        "tokenizer.json is not a Hugging Face tokenizer",
    );
    check(
        refusal(write("model.bin", "")),
        "it begins with `` and not with `WhisperSpec`",
    );
    check(
        refusal(write(
            "model.bin",
            "version https://git-lfs.github.com/spec/v1",
        )),
        "it is a Git LFS pointer",
    );
    check(
        refusal(write(
            "preprocessor_config.json",
            r#"{"feature_size": 128}"#,
        )),
        "hears 80 mel bands",
    );
    check(
        refusal(write(
            "preprocessor_config.json",
            r#"{"feature_size": "many"}"#,
        )),
        "`feature_size` must be",
    );
    let cut = |folder: &Path| {
        let weights = std::fs::read(folder.join("model.bin")).unwrap();
        std::fs::write(folder.join("model.bin"), &weights[..weights.len() / 2]).unwrap();
    };
    check(refusal(cut), "CTranslate2 cannot load the model `spoiled`");
}

#[test]
fn a_model_without_alignment_heads_has_no_words() {
    let folder = copy();
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("alignment_heads");
    std::fs::write(&config, value.to_string()).unwrap();
    let card = ModelCard::read(&ModelFiles::folder("headless", folder.path())).unwrap();
    assert!(!card.has_alignment_heads);
}

#[test]
fn a_missing_gpu_is_named() {
    let n_gpus = asr::models::whisper::engine::n_gpus();
    let settings = Settings {
        device: Device::Cuda { index: n_gpus },
        ..settings()
    };
    let files = demo::files();
    let card = Arc::new(ModelCard::read(&files).unwrap());
    let refused = WhisperModel::load(&files, card, &settings).unwrap_err();
    match n_gpus {
        0 => assert!(matches!(refused, LoadError::NoGpu), "{refused}"),
        _ => assert!(matches!(refused, LoadError::NoSuchGpu { .. }), "{refused}"),
    }
}

/// A model on this thread, and what it takes to ask it about the first seconds of a recording.
struct Bench {
    model: WhisperModel,
    card: Arc<ModelCard>,
}

impl Bench {
    fn new() -> Bench {
        let files = demo::files();
        let card = Arc::new(ModelCard::read(&files).unwrap());
        let settings = Settings {
            device: Device::Cpu,
            compute_type: ComputeType::Float32,
            n_threads: 1,
        };
        let model = WhisperModel::load(&files, Arc::clone(&card), &settings).unwrap();
        Bench { model, card }
    }

    /// Good only if its mean log-probability reaches `log_prob`.
    fn input(&self, name: &str, log_prob: f64, temperature: f32) -> Input {
        let log_mel = LogMel::new(self.card.n_mels);
        let mut features = Features::default();
        log_mel.whisper(&clip(&input(name)), &mut Scratch::default(), &mut features);
        let parts = Parts {
            hotwords: &[],
            previous: &[],
            language: Language::Only,
            task: Task::Transcribe,
            timestamps: true,
            prefix: &[],
        };
        let attempt = Attempt {
            prompt: Prompt::new(&self.card.tokenizer, &parts),
            decoding: Decoding {
                beam_size: 1,
                n_hypotheses: 1,
                patience: 1.0,
                length_penalty: 1.0,
                repetition_penalty: 1.0,
                no_repeat_ngram_size: 0,
                temperature,
                max_length: 100,
                max_initial_timestamp_idx: 50,
                suppress_blank: true,
                suppress_tokens: Arc::new([]),
            },
            thresholds: Thresholds {
                compression_ratio: None,
                log_prob: Some(log_prob),
                no_speech: None,
            },
            words: false,
        };
        Input {
            window: WindowFrames {
                n_frames: features.n_frames() - 1,
                features: Arc::new(features),
                seek: 0,
                width: 500,
                encoded: None,
            },
            work: Work::Attempt(attempt),
        }
    }

    fn run(&mut self, batch: &[Input]) -> Vec<Heard> {
        self.model.run(batch).unwrap()
    }
}

const NEVER: f64 = 1.0;
const ALWAYS: f64 = -100.0;

#[test]
fn the_next_attempt_hears_the_encoding_of_the_first() {
    let mut bench = Bench::new();
    let one = bench.input("held_espeak_084", NEVER, 0.0);
    let first = bench.run(&[one]).remove(0);
    let encoded = first.encoded.expect("the window was alone and is poor");
    // In the window of another recording, so that encoding it again would show.
    let mut other = bench.input("held_slt_hts_110", NEVER, 0.0);
    let own = bench.run(slice::from_ref(&other)).remove(0);
    other.window.encoded = Some(encoded.clone());
    let again = bench.run(&[other]).remove(0);
    let tokens = |it: &Option<Written>| it.as_ref().unwrap().tokens.clone();
    assert_eq!(tokens(&again.written), tokens(&first.written));
    assert_ne!(tokens(&own.written), tokens(&first.written));
    assert_eq!(again.encoded, Some(encoded));
}

#[test]
fn an_encoding_is_kept_only_for_another_attempt() {
    let mut bench = Bench::new();
    let good = bench.input("held_espeak_084", ALWAYS, 0.0);
    let poor = bench.input("held_slt_hts_110", NEVER, 0.0);
    assert_eq!(bench.run(slice::from_ref(&good))[0].encoded, None);
    // Of a shared call nothing can be cut out.
    let shared = bench.run(&[good, poor]);
    assert!(shared.iter().all(|it| it.encoded.is_none()));
}

#[test]
fn what_has_or_keeps_an_encoding_shares_no_call() {
    let mut bench = Bench::new();
    let key = WhisperModel::key;
    let one = bench.input("held_espeak_084", NEVER, 0.0);
    let other = bench.input("held_slt_hts_110", NEVER, 0.0);
    assert!(key(&one) == key(&other));
    let sampled = bench.input("held_espeak_084", NEVER, 0.2);
    let beside = bench.input("held_slt_hts_110", NEVER, 0.2);
    assert!(key(&sampled) != key(&beside));
    let mut encoded = one.clone();
    encoded.window.encoded = bench.run(slice::from_ref(&one)).remove(0).encoded;
    assert!(key(&encoded) != key(&one) && key(&encoded) != key(&other));
    let placement = |input: &Input| Input {
        work: Work::Placement(Placement {
            language: None,
            task: Task::Transcribe,
            text: vec![400],
        }),
        ..input.clone()
    };
    assert!(key(&placement(&one)) == key(&placement(&other)));
    assert!(key(&placement(&encoded)) != key(&placement(&one)));
}
