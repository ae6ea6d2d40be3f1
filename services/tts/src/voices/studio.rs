//! The studio of a server: two queues, each with a thread behind it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::{Batcher, CallError, Job, Lane};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Reference, ReferenceError, Studio, Upload, VoiceError};
use crate::models::conditioning::Conditioning;

const PREPARER: &str = "decoder of recordings";
const EXTRACTOR: &str = "extractor of voices";

/// Where recordings are prepared, by [`Preparer`](super::Preparer), and extracted.
#[derive(Debug)]
pub struct Queues<E> {
    /// Of recordings.
    pub preparer: Batcher<Upload, Reference, ReferenceError>,
    /// Of references.
    pub extractor: Batcher<Arc<[f32]>, Conditioning, E>,
    /// How long a recording may wait for either.
    pub max_wait: Duration,
}

impl<E> Studio for Queues<E>
where
    E: Error + Clone + Send + Sync + 'static,
{
    fn prepare(&self, upload: Upload) -> BoxFuture<'static, Result<Reference, VoiceError>> {
        let answer = self.preparer.submit(self.job(upload));
        async move {
            let answer = answer.map_err(|it| VoiceError::refused(PREPARER, it))?;
            answer.await.map_err(|error| {
                if let CallError::Failed(error) = error {
                    return VoiceError::Reference(error);
                }
                VoiceError::called(PREPARER, error)
            })
        }
        .boxed()
    }

    fn extract(&self, samples: Arc<[f32]>) -> BoxFuture<'static, Result<Conditioning, VoiceError>> {
        let answer = self.extractor.submit(self.job(samples));
        async move {
            let answer = answer.map_err(|it| VoiceError::refused(EXTRACTOR, it))?;
            answer.await.map_err(|it| VoiceError::called(EXTRACTOR, it))
        }
        .boxed()
    }
}

impl<E> Queues<E> {
    fn job<I>(&self, input: I) -> Job<I> {
        Job {
            deadline: Some(Instant::now() + self.max_wait),
            ..Job::new(Lane::Normal, input)
        }
    }
}
