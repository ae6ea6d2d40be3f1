//! How many threads each model gets.

use std::num::NonZeroUsize;
use std::thread;

use super::pack::{Family, Pack};
use crate::settings::Settings;

/// Cores beyond this do not make one copy of a model faster.
pub(super) const MAX_USEFUL_THREADS: usize = 8;

/// How the cores are shared out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    pub(super) language: usize,
    pub(super) decoders: NonZeroUsize,
    pub(super) decoder: usize,
    pub(super) extractor: usize,
}

impl Cores {
    pub(super) fn of(settings: &Settings, pack: &Pack) -> Cores {
        let model = &settings.model;
        let n_cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        // A call of the built-in model is over before several threads have shared it out.
        let is_small = pack.family == Family::Demo;
        let or = |given: usize, usual: usize| if given == 0 { usual } else { given };
        let decoders = or(
            model.decoders,
            if is_small {
                n_cores.min(MAX_USEFUL_THREADS)
            } else {
                1
            },
        );
        let shared = |n: usize| (n_cores / n.max(1)).clamp(1, MAX_USEFUL_THREADS);
        Cores {
            language: or(model.threads, if is_small { 1 } else { shared(1) }),
            decoder: or(
                model.decoder_threads,
                if is_small { 1 } else { shared(decoders) },
            ),
            decoders: NonZeroUsize::new(decoders).unwrap_or(NonZeroUsize::MIN),
            extractor: shared(model.extractors.get()),
        }
    }
}
