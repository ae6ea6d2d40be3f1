//! What many large files at a time may take.

use std::time::Duration;

use crate::models::scripted::Script;
use crate::testing::{Server, hum, pause, read_all, until};

#[test]
fn a_file_is_decoded_when_there_is_room_beside_those_that_are_transcribed() {
    const N_FILES: usize = 5;
    let script = Script {
        detector_delay: Duration::from_secs(4),
        ..Script::default()
    };
    let server = Server::start(script, |raw| {
        raw.files.max_seconds = 2;
        raw.vad.workers = N_FILES;
    });
    let n_decoded = || {
        let metrics = server.get("/metrics");
        let series = "asr_batch_size_count{model=\"decoder\"} ";
        let value = metrics.lines().find_map(|it| it.strip_prefix(series));
        value.map_or(0, |it| it.parse::<usize>().unwrap())
    };
    let upload = || server.send("POST /v1/transcribe?encoding=pcm_s16le", &hum(2));
    let answers: Vec<_> = (0..N_FILES).map(|_| upload()).collect();
    until(|| n_decoded() == N_FILES - 1);
    pause(Duration::from_millis(500));
    assert_eq!(n_decoded(), N_FILES - 1, "nobody's speech was found yet");
    for answer in answers {
        let answer = read_all(answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(n_decoded(), N_FILES);
}
