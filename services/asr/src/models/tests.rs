//! How much of decoded files may lie in memory.

use std::pin::pin;

use audio::SampleRate;
use audio::encoding::Encoding;
use chassis::settings::Problems;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::scripted::Script;
use super::*;
use crate::settings::Raw;

/// What is refused or waits for others has not come to an end by then.
const A_WHILE: Duration = Duration::from_millis(300);

/// Models for files of two seconds at most.
fn models() -> (Running, Models) {
    let mut raw = Raw::defaults();
    raw.files.max_seconds = 2;
    let settings = raw.check(&mut Problems::default()).unwrap();
    let families = Families::register(&prometheus::Registry::new(), "asr").unwrap();
    let (models, running) = scripted::start(Script::default(), &settings, &families).unwrap();
    (running, models)
}

async fn decode(models: &Models, seconds: usize) -> Result<(Recording, Room), AsrError> {
    let raw = RawFormat {
        encoding: Encoding::Mulaw,
        rate: SampleRate::new(8_000).unwrap(),
        n_channels: 1,
    };
    let bytes = Bytes::from(vec![0xff; 8_000 * seconds]);
    models.decode(bytes, Some(raw)).await
}

#[tokio::test]
async fn files_wait_for_room_and_too_many_that_wait_are_refused() {
    let (_running, models) = models();
    let mut held = Vec::new();
    for _ in 0..=DECODED_FILES {
        held.push(decode(&models, 2).await.unwrap());
    }
    {
        let mut next = pin!(decode(&models, 2));
        assert!(tokio::time::timeout(A_WHILE, &mut next).await.is_err());
        held.pop();
        held.push(next.await.unwrap());
    }
    let waiting = (0..DECODER_PLACES).map(|_| decode(&models, 2));
    let mut waiting: FuturesUnordered<_> = waiting.collect();
    assert!(tokio::time::timeout(A_WHILE, waiting.next()).await.is_err());
    let refused = decode(&models, 2).await;
    assert!(matches!(refused, Err(AsrError::Busy { .. })), "{refused:?}");
    drop(held);
    while let Some(decoded) = waiting.next().await {
        assert_eq!(decoded.unwrap().0.samples.len(), 32_000);
    }
}

#[tokio::test]
async fn a_short_file_takes_no_more_room_than_it_needs() {
    let (_running, models) = models();
    let mut held = Vec::new();
    // One is decoded in the room of the longest, and each of the others keeps half of that.
    for _ in 0..2 * DECODED_FILES + 1 {
        let decoded = tokio::time::timeout(Duration::from_secs(60), decode(&models, 1));
        held.push(decoded.await.unwrap().unwrap());
    }
    let next = decode(&models, 1);
    assert!(tokio::time::timeout(A_WHILE, next).await.is_err());
    // Whoever gives up keeps nothing, nor does a file that cannot be decoded.
    held.pop();
    let raw = models.decode(Bytes::from_static(b"no audio"), None).await;
    assert!(matches!(raw, Err(AsrError::Decode(_))), "{raw:?}");
    held.push(decode(&models, 2).await.unwrap());
}
