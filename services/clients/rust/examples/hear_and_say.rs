//! Hears a recording and speaks a sentence.
//!
//! ```sh
//! cargo run -p voice-client --example hear_and_say -- ws://localhost:8000 recording.wav
//! cargo run -p voice-client --features tls --example hear_and_say -- wss://voice.example.com recording.wav authority.pem
//! ```
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use anyhow::{Context as _, Result, bail, ensure};
use voice_client::{asr, tts};

const SENTENCE: &str = "The train to the city leaves at nine.";

fn samples(path: &str) -> Result<(u32, Vec<u8>)> {
    let mut file = hound::WavReader::open(path).with_context(|| path.to_owned())?;
    let spec = file.spec();
    ensure!(
        spec.channels == 1 && spec.bits_per_sample == 16,
        "16 bits and mono are wanted"
    );
    let samples: Vec<i16> = file.samples().collect::<Result<_, _>>()?;
    Ok((
        spec.sample_rate,
        samples.iter().flat_map(|it| it.to_le_bytes()).collect(),
    ))
}

async fn hear(url: &str, options: asr::Options, audio: &[u8]) -> Result<()> {
    let (sender, mut events) = asr::open(url, options).await?;
    let reading = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let asr::Event::Final(last) = event? {
                println!("{}", last.text);
            }
        }
        Ok::<(), voice_client::Error>(())
    });
    for frame in audio.chunks(3_200) {
        sender.send(frame).await?;
    }
    sender.finish().await?;
    reading.await??;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, recording, authorities @ ..] = arguments.as_slice() else {
        bail!("hear_and_say ws://HOST:PORT RECORDING [AUTHORITIES]");
    };
    let (sample_rate, audio) = samples(recording)?;
    let mut heard = asr::Options::default();
    heard.config.sample_rate = Some(sample_rate);
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_mut, reason = "all as it is by default")
    )]
    let mut spoken = tts::Options::default();
    #[cfg(feature = "tls")]
    if let Some(path) = authorities.first() {
        let tls = voice_client::tls::trusting(&std::fs::read(path)?)?;
        heard.tls = Some(tls.clone());
        spoken.tls = Some(tls);
    }
    #[cfg(not(feature = "tls"))]
    ensure!(
        authorities.is_empty(),
        "built without the feature `tls`, it trusts nobody"
    );
    hear(&format!("{host}/v1/stream/asr"), heard, &audio).await?;
    let audio = tts::speak(&format!("{host}/v1/stream/tts"), SENTENCE, spoken)?
        .audio()
        .await?;
    println!("{} bytes of speech", audio.len());
    Ok(())
}
