//! The tokens that a window's decoding starts from.
//!
//! ```text
//! [<|startofprev|> hotwords previous text] <|startoftranscript|> [<|language|> <|task|>] [<|notimestamps|>] [<|0.00|>] [prefix]
//!  only if there are any                                          multilingual only       or timestamps      with a prefix
//! ```
//!
//! Invariants:
//! - A prompt leaves the decoder at least [`MIN_STEPS`] of its [`MAX_POSITIONS`] positions, except for a forced prefix.

use super::tokenizer::Tokenizer;

/// Positions of Whisper's decoder.
pub const MAX_POSITIONS: usize = 448;
/// The text before a window, its hotwords and its prefix may have so many tokens each.
pub const MAX_CONTEXT: usize = MAX_POSITIONS / 2 - 1;
/// Room kept for new text when hotwords and previous text together would fill the decoder.
///
/// The reference does not clamp their sum: with 223 tokens of each, its prompt is longer than the decoder.
pub const MIN_STEPS: usize = 112;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// What was said, in its own language.
    Transcribe,
    /// What was said, in English.
    Translate,
}

/// The language of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The model writes only one.
    Only,
    /// Its token.
    Token(u32),
    /// The model decides in the same call.
    Detect,
}

/// What a prompt is made of.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    pub hotwords: &'a [u32],
    /// Text before the window; its last tokens are used.
    pub previous: &'a [u32],
    pub language: Language,
    pub task: Task,
    pub timestamps: bool,
    /// Text that the transcript must begin with.
    pub prefix: &'a [u32],
}

/// A prompt, and the places in it that decide which others may share its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub(crate) tokens: Vec<u32>,
    pub(crate) language: Language,
    pub(crate) task: Task,
    pub(crate) sot_idx: usize,
    /// From `<|startoftranscript|>` on, without the prefix.
    pub(crate) n_task_tokens: usize,
}

impl Prompt {
    pub fn new(tokenizer: &Tokenizer, parts: &Parts<'_>) -> Prompt {
        let special = tokenizer.special();
        let prefix = head(parts.prefix);
        // A prefix is exact and hotwords are a hint, so the prefix wins.
        let hotwords = if prefix.is_empty() {
            head(parts.hotwords)
        } else {
            &[]
        };
        let n_task_tokens = if parts.language == Language::Only {
            1
        } else {
            3
        } + usize::from(!parts.timestamps);
        let room = MAX_POSITIONS - MIN_STEPS - n_task_tokens - 1 - hotwords.len();
        let previous = tail(parts.previous, MAX_CONTEXT.min(room));

        let mut tokens = Vec::with_capacity(
            1 + hotwords.len() + previous.len() + n_task_tokens + 1 + prefix.len(),
        );
        if !hotwords.is_empty() || !previous.is_empty() {
            tokens.push(special.sot_prev);
            tokens.extend_from_slice(hotwords);
            tokens.extend_from_slice(previous);
        }
        let sot_idx = tokens.len();
        tokens.push(special.sot);
        match parts.language {
            Language::Only => {}
            Language::Token(token) => tokens.extend([token, task_token(tokenizer, parts.task)]),
            // Any token of the right kind will do: the call puts the right one in its place.
            Language::Detect => tokens.extend([special.sot + 1, task_token(tokenizer, parts.task)]),
        }
        if !parts.timestamps {
            tokens.push(special.no_timestamps);
        }
        if !prefix.is_empty() {
            if parts.timestamps {
                tokens.push(tokenizer.timestamp_begin());
            }
            tokens.extend_from_slice(prefix);
        }
        Prompt {
            tokens,
            language: parts.language,
            task: parts.task,
            sot_idx,
            n_task_tokens,
        }
    }

    /// Puts in the language that was detected, if one was to be.
    pub(crate) fn settle_language(&mut self, token: u32) {
        if self.language == Language::Detect
            && let Some(place) = self.tokens.get_mut(self.sot_idx + 1)
        {
            *place = token;
            self.language = Language::Token(token);
        }
    }

    /// Tokens that the decoder reads one by one, as if it had written them.
    pub(crate) fn n_forced(&self) -> usize {
        self.tokens.len() - self.sot_idx - self.n_task_tokens
    }
}

/// `max_length` that lets CTranslate2 write `n_steps` tokens, forced ones included.
///
/// It takes half of what it is given, or what the prompt leaves of it, whichever is less.
pub(crate) fn max_length_for(n_steps: usize, prompt: &Prompt) -> usize {
    // The last task token is the decoder's first input, not part of the prompt that was read before.
    let n_read = prompt.sot_idx + prompt.n_task_tokens - 1;
    (2 * n_steps).max(n_steps + n_read).min(MAX_POSITIONS)
}

fn task_token(tokenizer: &Tokenizer, task: Task) -> u32 {
    match task {
        Task::Transcribe => tokenizer.special().transcribe,
        Task::Translate => tokenizer.special().translate,
    }
}

fn head(tokens: &[u32]) -> &[u32] {
    &tokens[..tokens.len().min(MAX_CONTEXT)]
}

fn tail(tokens: &[u32], max: usize) -> &[u32] {
    &tokens[tokens.len() - tokens.len().min(max)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::whisper::{demo, load::ModelCard};

    const HOT: u32 = 300;
    const BEFORE: u32 = 400;
    const FORCED: u32 = 500;

    /// So many tokens of each part: `^` startofprev, `s` startoftranscript, `-` notimestamps, `0` the first timestamp,
    /// and counts of `h`otwords, `p`revious text and forced prefi`x`.
    fn check(n_hotwords: usize, n_previous: usize, n_prefix: usize, timestamps: bool) -> String {
        let card = ModelCard::read(&demo::files()).unwrap();
        let numbered = |first: u32, n: usize| (first..).take(n).collect::<Vec<u32>>();
        let previous = numbered(BEFORE, n_previous);
        let parts = Parts {
            hotwords: &vec![HOT; n_hotwords],
            previous: &previous,
            language: Language::Only,
            task: Task::Transcribe,
            timestamps,
            prefix: &vec![FORCED; n_prefix],
        };
        let prompt = Prompt::new(&card.tokenizer, &parts);
        assert_eq!(prompt.tokens[prompt.sot_idx], card.tokenizer.special().sot);
        assert!(prompt.sot_idx + prompt.n_task_tokens + MIN_STEPS <= MAX_POSITIONS);
        let special = card.tokenizer.special();
        let (context, rest) = prompt.tokens.split_at(prompt.sot_idx);
        let n_hot = context.iter().filter(|it| **it == HOT).count();
        let kept = context.get(1 + n_hot..).unwrap_or_default();
        assert_eq!(
            kept,
            &previous[previous.len() - kept.len()..],
            "the end of the text before is kept"
        );
        let n_forced = rest.iter().filter(|it| **it == FORCED).count();
        assert_eq!(
            prompt.n_forced(),
            n_forced + usize::from(n_forced != 0 && timestamps)
        );
        let steering: String = rest
            .iter()
            .filter_map(|it| match *it {
                it if it == special.sot => Some('s'),
                it if it == special.no_timestamps => Some('-'),
                it if it == special.no_timestamps + 1 => Some('0'),
                _ => None,
            })
            .collect();
        let before = if context.first() == Some(&special.sot_prev) {
            "^"
        } else {
            ""
        };
        format!("{before}{n_hot}h{}p{steering}{n_forced}x", kept.len())
    }

    #[test]
    fn a_prompt_has_its_parts_in_order() {
        assert_eq!(check(0, 0, 0, true), "0h0ps0x");
        assert_eq!(check(0, 0, 0, false), "0h0ps-0x");
        assert_eq!(check(2, 3, 0, true), "^2h3ps0x");
        assert_eq!(check(0, 3, 4, true), "^0h3ps04x");
        assert_eq!(check(0, 3, 4, false), "^0h3ps-4x");
        assert_eq!(
            check(2, 0, 4, true),
            "0h0ps04x",
            "hotwords give way to a prefix"
        );
    }

    #[test]
    fn a_prompt_leaves_room_to_write() {
        assert_eq!(check(0, 500, 0, true), "^0h223ps0x");
        assert_eq!(check(500, 0, 0, true), "^223h0ps0x");
        assert_eq!(check(0, 0, 500, true), "0h0ps0223x");
        assert_eq!(
            check(100, 500, 0, true),
            "^100h223ps0x",
            "together they fit, as in the reference"
        );
        assert_eq!(
            check(500, 500, 0, true),
            "^223h111ps0x",
            "the reference makes 449 tokens of this"
        );
    }

    #[test]
    fn max_length_gives_exactly_the_steps_that_are_wanted() {
        let card = ModelCard::read(&demo::files()).unwrap();
        for n_previous in [0, 50, 223] {
            let parts = Parts {
                hotwords: &[],
                previous: &vec![BEFORE; n_previous],
                language: Language::Only,
                task: Task::Transcribe,
                timestamps: false,
                prefix: &[],
            };
            let prompt = Prompt::new(&card.tokenizer, &parts);
            let n_read = prompt.sot_idx + prompt.n_task_tokens - 1;
            for n_steps in [1, 40, 100, 200] {
                let max_length = max_length_for(n_steps, &prompt);
                assert_eq!(
                    (max_length / 2).min(max_length - n_read),
                    n_steps,
                    "{n_previous} before"
                );
            }
        }
    }
}
