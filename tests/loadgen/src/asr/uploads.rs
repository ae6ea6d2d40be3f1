//! Whole files over `POST /v1/transcribe`, alone or beside streams.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::multipart::{Form, Part};
use serde::{Deserialize, Serialize};

use crate::clip::Clip;
use crate::percentiles::Percentiles;
use crate::words;

/// What the uploads of a run did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Uploads {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) failures: BTreeMap<String, usize>,
    pub(crate) latency: Percentiles,
    pub(crate) words: usize,
    pub(crate) word_errors: usize,
}

impl fmt::Display for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} done, {} failed; {} word errors in {}; {}",
            self.done,
            self.failed,
            self.word_errors,
            self.words,
            self.latency.line()
        )?;
        for (failure, n) in &self.failures {
            write!(f, "\n    {n} × {failure}")?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

/// Uploads one clip after the other until `deadline`, as one client would.
pub(crate) async fn run(
    server: &str,
    clips: &[Arc<Clip>],
    first: usize,
    deadline: Instant,
) -> Vec<Attempt> {
    let client = reqwest::Client::new();
    let mut attempts = Vec::new();
    for clip in clips.iter().cycle().skip(first) {
        if deadline <= Instant::now() {
            break;
        }
        let begun = Instant::now();
        let outcome = upload(&client, server, &clip.file).await;
        attempts.push(Attempt {
            took: begun.elapsed(),
            reference: words::words(&clip.text),
            outcome: outcome.map_err(|error| format!("{error:#}")),
        });
        if attempts
            .last()
            .is_some_and(|attempt| attempt.outcome.is_err())
        {
            // A full server asks for patience, and a dead one must not be hammered.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    attempts
}

/// One upload.
#[derive(Debug)]
pub(crate) struct Attempt {
    took: Duration,
    reference: Vec<String>,
    outcome: Result<String, String>,
}

async fn upload(client: &reqwest::Client, server: &str, file: &[u8]) -> Result<String> {
    let part = Part::bytes(file.to_vec())
        .file_name("clip.wav")
        .mime_str("audio/wav")?;
    let form = Form::new().part("file", part);
    let response = client
        .post(format!("http://{server}/v1/transcribe"))
        .multipart(form)
        .send()
        .await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "{status}: {body}");
    let answer: Answer = serde_json::from_str(&body).context("not a transcription")?;
    Ok(answer.text)
}

/// Sums up what all clients did.
pub(crate) fn summary(attempts: Vec<Attempt>) -> Uploads {
    let mut uploads = Uploads::default();
    let mut times = Vec::new();
    for attempt in attempts {
        match attempt.outcome {
            Ok(text) => {
                uploads.done += 1;
                uploads.words += attempt.reference.len();
                uploads.word_errors += words::errors(&attempt.reference, &words::words(&text));
                times.push(attempt.took);
            }
            Err(failure) => {
                uploads.failed += 1;
                *uploads.failures.entry(failure).or_default() += 1;
            }
        }
    }
    uploads.latency = Percentiles::of(times);
    uploads
}
