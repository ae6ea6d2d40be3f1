//! Streams in every encoding and rate: the text is the same, and so are the times.

use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use e2e::{Asr, encode, run};
use wire::asr::ServerMessage;
use wire::asr::stream::Final;

async fn final_of(asr: &Asr, query: &str, bytes: &[u8], n_samples: usize) -> Final {
    let mut client = Client::connect(asr, query).await;
    // An odd length: samples are split between frames.
    client.frames(bytes, 1_001).await;
    let closed = client.finish().await;
    check_promises(&client);
    assert_eq!(closed.received_samples, n_samples as u64, "{query}");
    let mut finals = client.heard.into_iter().filter_map(|it| match it {
        ServerMessage::Final(it) => Some(*it),
        _ => None,
    });
    let last = finals.next().unwrap_or_else(|| panic!("{query}: no final"));
    assert!(finals.next().is_none(), "{query}: more than one final");
    last
}

#[test]
fn encodings_and_rates_change_neither_text_nor_times() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[3];
    let said = [
        speech::silence(0.5),
        speech::samples(name),
        speech::silence(1.0),
    ]
    .concat();
    let at = |rate| encode::resampled(&said, 16_000, rate);
    let (cd, studio) = (at(44_100), at(48_000));
    let cases: [(&str, Vec<u8>, usize, f64); 8] = [
        (
            "encoding=pcm_f32le",
            encode::floats(&said),
            said.len(),
            16_000.0,
        ),
        (
            "encoding=mulaw&sample_rate=16000",
            encode::mulaw(&said),
            said.len(),
            16_000.0,
        ),
        (
            "encoding=alaw&sample_rate=16000",
            encode::alaw(&said),
            said.len(),
            16_000.0,
        ),
        ("sample_rate=44100", speech::bytes(&cd), cd.len(), 44_100.0),
        (
            "sample_rate=48000",
            speech::bytes(&studio),
            studio.len(),
            48_000.0,
        ),
        (
            "channels=2",
            speech::bytes(&encode::stereo(&said)),
            said.len(),
            16_000.0,
        ),
        (
            "channels=2&sample_rate=48000&encoding=pcm_f32le",
            encode::floats(&encode::stereo(&studio)),
            studio.len(),
            48_000.0,
        ),
        (
            "sample_rate=16000&language=en&beam_size=5",
            speech::bytes(&said),
            said.len(),
            16_000.0,
        ),
    ];
    run(async {
        let plain = final_of(asr, "", &speech::bytes(&said), said.len()).await;
        assert_eq!(plain.text, text);
        for (query, bytes, n_samples, rate) in cases {
            let it = final_of(asr, query, &bytes, n_samples).await;
            assert_eq!(it.text, text, "{query}");
            assert!(
                (it.start_time - plain.start_time).abs() < 0.07,
                "{query}: {} {}",
                it.start_time,
                plain.start_time
            );
            assert!(
                (it.end_time - plain.end_time).abs() < 0.07,
                "{query}: {} {}",
                it.end_time,
                plain.end_time
            );
            // On the client's own clock.
            assert!(
                (it.end_sample as f64 / rate - it.end_time).abs() < 0.002,
                "{query}: {it:?}"
            );
        }
    });
}

#[test]
fn a_telephone_line_is_understood() {
    let asr = Asr::shared();
    let said = [
        speech::samples("tel_held_espeak_084.wav"),
        speech::silence(1.0),
    ]
    .concat();
    let narrow = encode::resampled(&said, 16_000, 8_000);
    run(async {
        for (query, bytes) in [
            ("encoding=mulaw&sample_rate=8000", encode::mulaw(&narrow)),
            ("encoding=alaw&sample_rate=8000", encode::alaw(&narrow)),
            ("sample_rate=8000", speech::bytes(&narrow)),
        ] {
            assert_eq!(
                final_of(asr, query, &bytes, narrow.len()).await.text,
                "He is 25 years old.",
                "{query}"
            );
        }
    });
}

#[test]
fn a_browser_s_opus_is_understood() {
    let asr = Asr::shared();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/containers");
    run(async {
        let plain = {
            let reference = std::fs::read(path.join("reference.wav")).unwrap();
            let mut client = Client::connect(asr, "").await;
            client.frames(&reference[44..], 640).await;
            client.finish().await;
            client.finals().join(" ")
        };
        assert!(!plain.is_empty());
        for name in ["opus.ogg", "opus_stereo.ogg"] {
            for n in [1, 97, 100_000] {
                let mut client = Client::connect(asr, "encoding=ogg_opus").await;
                client
                    .frames(&std::fs::read(path.join(name)).unwrap(), n)
                    .await;
                let closed = client.finish().await;
                check_promises(&client);
                // Opus has 48000 samples a second, whatever was recorded. The file is 0.8 s.
                assert!(
                    (38_000..41_000).contains(&closed.received_samples),
                    "{name}: {closed:?}"
                );
                assert_eq!(closed.segments, 1, "{name}: {}", client.story());
                assert!(
                    !client.finals().join(" ").is_empty(),
                    "{name}, and not {plain:?}"
                );
            }
        }
    });
}
