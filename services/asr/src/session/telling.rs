//! What the recogniser told about a stretch of audio, made fit to be joined with what it told about the next.

use crate::transcript::{Segment, Transcript, Word};

/// Above this, and with a poor log-probability, Whisper heard no speech.
const NO_SPEECH: f32 = 0.6;
/// Below this Whisper was guessing.
const POOR_LOGPROB: f32 = -1.0;
/// Text that compresses better than this repeats itself.
const REPETITIVE: f32 = 2.4;

/// Text with what is known about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Telling {
    /// As Whisper writes it, with its leading space.
    pub(super) text: String,
    /// In seconds; from where depends on the owner.
    pub(super) words: Vec<Word>,
    pub(super) language: String,
    pub(super) language_probability: f32,
    pub(super) no_speech_prob: f32,
    n_tokens: usize,
    sum_logprob: f64,
}

impl Telling {
    pub(super) fn nothing() -> Telling {
        Telling {
            text: String::new(),
            words: Vec::new(),
            language: String::new(),
            language_probability: 0.0,
            no_speech_prob: 1.0,
            n_tokens: 0,
            sum_logprob: 0.0,
        }
    }

    /// What `transcript` says, or nothing if that is hardly what was said.
    pub(super) fn new(transcript: Transcript) -> Telling {
        let mut telling = Telling::nothing();
        let implausible = is_implausible(&transcript);
        telling.language = transcript.language;
        telling.language_probability = transcript.language_probability;
        for segment in transcript.segments {
            telling.no_speech_prob = telling.no_speech_prob.min(segment.no_speech_prob);
            if implausible {
                continue;
            }
            // A transcript that was not made from tokens still has a weight.
            let n_tokens = segment.tokens.len().max(1);
            telling.n_tokens += n_tokens;
            telling.sum_logprob += n_tokens as f64 * f64::from(segment.avg_logprob);
            telling.text.push_str(&segment.text);
            telling.words.extend(segment.words.into_iter().flatten());
        }
        telling
    }

    /// The first `n_words` of it.
    pub(super) fn keep_words(mut self, n_words: usize) -> Telling {
        let share = if self.words.is_empty() {
            0.0
        } else {
            n_words as f64 / self.words.len() as f64
        };
        self.words.truncate(n_words);
        self.text = self.words.iter().map(|it| it.word.as_str()).collect();
        // The tokens of single words are not known; their mean log-probability is taken for that of the rest.
        let mean = f64::from(self.avg_logprob());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a small count"
        )]
        let n_tokens = (self.n_tokens as f64 * share).round() as usize;
        self.n_tokens = n_tokens;
        self.sum_logprob = n_tokens as f64 * mean;
        self
    }

    /// Adds what was told about the audio after it.
    pub(super) fn append(&mut self, next: Telling) {
        if next.language_probability > 0.0 && (self.text.is_empty() || self.language.is_empty()) {
            self.language = next.language;
            self.language_probability = next.language_probability;
        }
        self.no_speech_prob = self.no_speech_prob.min(next.no_speech_prob);
        self.n_tokens += next.n_tokens;
        self.sum_logprob += next.sum_logprob;
        self.words.extend(next.words);
        join(&mut self.text, &next.text);
    }

    pub(super) fn avg_logprob(&self) -> f32 {
        if self.n_tokens == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a mean of f32 values")]
        let mean = (self.sum_logprob / self.n_tokens as f64) as f32;
        mean
    }

    /// The geometric mean of the tokens' probabilities; 0 without tokens.
    pub(super) fn confidence(&self) -> f32 {
        if self.n_tokens == 0 {
            0.0
        } else {
            self.avg_logprob().exp().clamp(0.0, 1.0)
        }
    }

    /// Moves the words by `seconds`.
    pub(super) fn shifted(mut self, seconds: f64) -> Telling {
        for word in &mut self.words {
            word.start += seconds;
            word.end += seconds;
        }
        self
    }
}

/// Puts `next` after `text`, with a space between if neither brings one and the script uses spaces.
pub(super) fn join(text: &mut String, next: &str) {
    if let (Some(last), Some(first)) = (text.chars().next_back(), next.chars().next())
        && !last.is_whitespace()
        && !first.is_whitespace()
        && !is_unspaced(last)
        && !is_unspaced(first)
    {
        text.push(' ');
    }
    text.push_str(next);
}

/// Whether `c` belongs to a script that is written without spaces between words.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF     // Thai, Lao
        | 0x1000..=0x109F   // Myanmar
        | 0x1780..=0x17FF   // Khmer
        | 0x3000..=0x30FF   // CJK punctuation, kana
        | 0x3400..=0x9FFF   // CJK ideographs
        | 0xF900..=0xFAFF
        | 0xFF00..=0xFFEF   // full-width forms
        | 0x20000..=0x323AF)
}

/// Whisper makes up text for sounds that are no speech. Only what is typical of that is refused: people do say "no, no, no".
fn is_implausible(transcript: &Transcript) -> bool {
    let segments = &transcript.segments;
    let Some(worst) = segments
        .iter()
        .map(|it| it.compression_ratio)
        .reduce(f32::max)
    else {
        return false;
    };
    let is_silence = |it: &Segment| NO_SPEECH < it.no_speech_prob && it.avg_logprob < POOR_LOGPROB;
    if segments.iter().all(is_silence) {
        return true;
    }
    let text = transcript.text();
    let mut words = text.split_whitespace().map(|it| {
        it.trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
    });
    let Some(first) = words.next().filter(|it| !it.is_empty()) else {
        return false;
    };
    let mut n_same = 1;
    for word in words {
        if word != first {
            return false;
        }
        n_same += 1;
    }
    let doubtful = REPETITIVE < worst
        || segments.iter().any(|it| NO_SPEECH < it.no_speech_prob)
        || segments.iter().all(|it| it.avg_logprob < POOR_LOGPROB);
    8 <= n_same || (3 <= n_same && doubtful)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(
        text: &str,
        avg_logprob: f32,
        no_speech_prob: f32,
        compression_ratio: f32,
    ) -> Transcript {
        Transcript {
            segments: vec![Segment {
                id: 1,
                seek: 0,
                start: 0.0,
                end: 1.0,
                text: format!(" {text}"),
                tokens: vec![1, 2, 3, 4],
                avg_logprob,
                compression_ratio,
                no_speech_prob,
                temperature: 0.0,
                words: None,
            }],
            language: "en".into(),
            language_probability: 1.0,
            ..Transcript::default()
        }
    }

    fn told(text: &str, avg_logprob: f32, no_speech_prob: f32, compression_ratio: f32) -> String {
        Telling::new(transcript(
            text,
            avg_logprob,
            no_speech_prob,
            compression_ratio,
        ))
        .text
    }

    #[test]
    fn speech_is_believed() {
        assert_eq!(told("Thank you.", -0.2, 0.1, 0.8), " Thank you.");
        assert_eq!(told("No, no, no!", -0.3, 0.1, 1.2), " No, no, no!");
        assert_eq!(told("Noise.", -0.5, 0.9, 0.8), " Noise.");
        assert_eq!(told("Mumble.", -1.4, 0.1, 0.8), " Mumble.");
    }

    #[test]
    fn what_is_made_up_becomes_nothing() {
        assert_eq!(told("Thank you.", -1.2, 0.9, 0.8), "");
        assert_eq!(told("you you you", -0.3, 0.7, 1.2), "");
        assert_eq!(told("You. you, you", -1.3, 0.2, 1.2), "");
        assert_eq!(told("la la la la", -0.3, 0.1, 2.6), "");
        assert_eq!(told("oh oh oh oh oh oh oh oh", -0.3, 0.1, 2.0), "");
    }

    #[test]
    fn pieces_are_joined_as_their_script_is_written() {
        for (a, b, joined) in [
            (" Hello", " there", " Hello there"),
            ("Hello", "there", "Hello there"),
            ("你好", "世界", "你好世界"),
            ("", "x", "x"),
        ] {
            let mut text = a.to_owned();
            join(&mut text, b);
            assert_eq!(text, joined);
        }
    }

    #[test]
    fn figures_are_weighed_by_tokens() {
        let mut telling = Telling::new(transcript("one two", -0.2, 0.3, 1.0));
        let mut longer = transcript("three", -0.5, 0.1, 1.0);
        longer.segments[0].tokens = vec![0; 8];
        telling.append(Telling::new(longer));
        assert!((telling.avg_logprob() - -0.4).abs() < 1e-6);
        assert!((telling.confidence() - 0.4f32.exp().recip()).abs() < 1e-6);
        assert!((telling.no_speech_prob - 0.1).abs() < 1e-6);
    }
}
