//! Which token comes next: the rules of each family, applied to one row of logits.
//!
//! Invariants:
//! - Pure: the same logits, settings and seed give the same tokens on every machine with the same `exp`.
//! - Only a speech token or the stop token is ever chosen.
//! - What one sentence draws does not depend on any other.

/// Speech tokens are 0 to 6560.
pub const N_SPEECH_TOKENS: u32 = 6561;
pub const START_SPEECH: u32 = 6561;
pub const STOP_SPEECH: u32 = 6562;
/// Only these can be chosen; whatever the head has beyond them is unused.
const N_CANDIDATES: usize = 6563;

/// How adventurous to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the best token every time.
    pub temperature: f32,
    /// The most probable tokens that together have this probability. 1 is all.
    pub top_p: f32,
    /// So many of the most probable tokens. 0 is all.
    pub top_k: usize,
    /// Tokens that are at least this fraction as probable as the best. 0 is all.
    pub min_p: f32,
    /// What has been said becomes less probable. 1 is off.
    pub repetition_penalty: f32,
    pub seed: u64,
}

/// When the penalty is applied. The implementations the families were published with differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Penalty, temperature, min-p, top-k, top-p.
    PenaltyFirst,
    /// Temperature, top-k, top-p, min-p, penalty.
    PenaltyLast,
}

/// The state of one sentence's choices.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    order: Order,
    draws: Draws,
    /// Distinct tokens in the order in which they first came.
    seen: Vec<u32>,
}

/// Room for a row of logits, kept to save the allocations.
#[derive(Debug, Default)]
pub struct Scratch {
    candidates: Vec<Candidate>,
    ranked: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    logit: f32,
}

impl Sampler {
    pub fn new(sampling: Sampling, order: Order) -> Sampler {
        Sampler {
            sampling,
            order,
            draws: Draws(sampling.seed),
            seen: Vec::new(),
        }
    }

    /// The next token. `None` if the logits hold no number to choose by.
    pub fn choose(&mut self, logits: &[f32], scratch: &mut Scratch) -> Option<u32> {
        let candidates = &mut scratch.candidates;
        candidates.clear();
        let admissible = logits.iter().take(N_CANDIDATES).zip(0u32..);
        candidates.extend(admissible.filter(|(_, token)| *token != START_SPEECH).map(
            |(logit, token)| Candidate {
                token,
                logit: *logit,
            },
        ));
        if candidates.iter().any(|it| it.logit.is_nan()) {
            return None;
        }
        let token = if self.sampling.temperature <= 0.0 {
            self.penalise(candidates);
            best(candidates)?.token
        } else {
            self.narrow(candidates, &mut scratch.ranked)?;
            self.draw(candidates)
        };
        if token < N_SPEECH_TOKENS && !self.seen.contains(&token) {
            self.seen.push(token);
        }
        Some(token)
    }

    fn narrow(&self, candidates: &mut Vec<Candidate>, ranked: &mut Vec<f32>) -> Option<()> {
        let Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            ..
        } = self.sampling;
        if self.order == Order::PenaltyFirst {
            self.penalise(candidates);
        }
        for candidate in &mut *candidates {
            candidate.logit /= temperature;
        }
        let best = best(candidates)?.logit;
        if !best.is_finite() {
            return None;
        }
        match self.order {
            Order::PenaltyFirst => {
                keep_probable(candidates, min_p, best);
                keep_first(candidates, top_k, ranked);
                keep_mass(candidates, top_p, best, ranked);
            }
            Order::PenaltyLast => {
                keep_first(candidates, top_k, ranked);
                keep_mass(candidates, top_p, best, ranked);
                keep_probable(candidates, min_p, best);
                self.penalise(candidates);
            }
        }
        Some(())
    }

    /// Expects the candidates by rising token.
    fn penalise(&self, candidates: &mut [Candidate]) {
        let penalty = self.sampling.repetition_penalty;
        for token in &self.seen {
            if let Ok(idx) = candidates.binary_search_by_key(token, |it| it.token) {
                let logit = &mut candidates[idx].logit;
                if *logit < 0.0 {
                    *logit *= penalty;
                } else {
                    *logit /= penalty;
                }
            }
        }
    }

    fn draw(&mut self, candidates: &[Candidate]) -> u32 {
        let best = candidates
            .iter()
            .map(|it| it.logit)
            .fold(f32::NEG_INFINITY, f32::max);
        let weight = |it: &Candidate| f64::from((it.logit - best).exp());
        let total: f64 = candidates.iter().map(weight).sum();
        let mut left = self.draws.next() * total;
        let mut chosen = START_SPEECH;
        for candidate in candidates {
            let weight = weight(candidate);
            if 0.0 < weight {
                chosen = candidate.token;
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        chosen
    }
}

/// The first of the best.
fn best(candidates: &[Candidate]) -> Option<Candidate> {
    candidates
        .iter()
        .copied()
        .reduce(|best, it| if best.logit < it.logit { it } else { best })
}

fn keep_probable(candidates: &mut Vec<Candidate>, min_p: f32, best: f32) {
    if 0.0 < min_p {
        candidates.retain(|it| min_p <= (it.logit - best).exp());
    }
}

fn keep_first(candidates: &mut Vec<Candidate>, top_k: usize, ranked: &mut Vec<f32>) {
    if top_k == 0 || candidates.len() <= top_k {
        return;
    }
    ranked.clear();
    ranked.extend(candidates.iter().map(|it| it.logit));
    let (_, last, _) = ranked.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
    let last = *last;
    candidates.retain(|it| last <= it.logit);
}

fn keep_mass(candidates: &mut Vec<Candidate>, top_p: f32, best: f32, ranked: &mut Vec<f32>) {
    if 1.0 <= top_p {
        return;
    }
    ranked.clear();
    ranked.extend(candidates.iter().map(|it| it.logit));
    ranked.sort_unstable_by(|a, b| b.total_cmp(a));
    let weight = |logit: f32| f64::from((logit - best).exp());
    let wanted = f64::from(top_p) * ranked.iter().map(|it| weight(*it)).sum::<f64>();
    let mut mass = 0.0;
    let mut last = best;
    for logit in ranked {
        last = *logit;
        mass += weight(last);
        if wanted <= mass {
            break;
        }
    }
    candidates.retain(|it| last <= it.logit);
}

/// Numbers in [0, 1) from a seed: SplitMix64 (Steele, Lea and Flood, 2014), chosen because it has no state but a counter.
#[derive(Clone, Debug)]
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // 52 bits with the exponent of 1, so that no rounding is left to the conversion.
        f64::from_bits(0x3ff0_0000_0000_0000 | bits >> 12) - 1.0
    }
}

#[cfg(test)]
mod tests;
