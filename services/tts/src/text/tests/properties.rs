//! What holds for every text.

use proptest::prelude::*;

use super::super::clean;
use super::*;

/// Texts made of what the rules look for, and of everything else.
fn texts() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        4 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        2 => "[a-zA-Z]{1,12}",
        1 => "[0-9]{1,20}",
        1 => "\\PC{1,8}",
        1 => any::<String>(),
    ];
    prop::collection::vec(
        (
            fragment,
            prop::sample::select(&["", " ", " ", " ", "\n", "\n\n", ", ", ". ", "\u{a0}"][..]),
        ),
        0..40,
    )
    .prop_map(|it| {
        it.into_iter()
            .flat_map(|(a, b)| [a, b.to_owned()])
            .collect()
    })
}

#[rustfmt::skip]
const FRAGMENTS: &[&str] = &[
    ".", "..", "...", "…", "!", "?", "?!", ",", ";", ":", "-", "--", "–", "—", "\"", "'", "”", ")", "(", "[", "]", "*", "**", "_", "`", "```", "#", "##", ">", "|", "~~", "&", "@", "$", "€", "%", "+", "=", "/", "\\", "<", "°",
    "Dr.", "Dr", "St.", "Mr.", "e.g.", "U.S.", "U.", "p.m.", "a.m", "J.", "etc.", "No.", "Inc.", "Jan.", "March", "May", "3rd", "2024", "1984", "3.14", "3.", "$5", "$1.5", "million", "5", "km", "ft.", "10:30", "PM", "1/2", "½", "2", "3-5",
    "555-1234", "(555)", "123-4567", "+44", "20", "7946", "v1.2", "1.2.3", "https://a.com/x", "www.", "a@b.com", "[laugh]", "[clear throat]", "[clear", "[x](http://y.z)", "](", "VIII", "Henry", "FBI", "NASA", "US", "COVID-19", "#tag", "C++",
    "你好", "。", "，", "「", "」", "２０２４年", "カタカナ", "한국어", "नमस्ते", "।", "مرحبا", "؟", "שלום", "é", "e\u{301}", "😀", "👩‍👩‍👧", "1️⃣", "\u{200b}", "\u{200d}", "\0", "\r\n", "\t", "\u{fe0f}", "\u{301}", "ﬁ", "①", "Ⅷ", "ａ", "🇩🇪", "«", "»", "¿", "...end.Next", "really?Yes", "1\u{a0}000", "- ", "* ", "1. ", "# ", "> ", "---\n",
];

fn languages() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "en", "en", "de", "fr", "zh", "ja", "ko", "ar", "hi", "ru", "xx",
        ][..],
    )
}

fn streamed(front: &FrontEnd, language: &str, early: bool, pieces: &[&str]) -> Vec<Sentence> {
    let stream = front.stream(language);
    let mut stream = if early {
        stream.with_early_clause(40)
    } else {
        stream
    };
    let mut sentences: Vec<Sentence> = pieces
        .iter()
        .flat_map(|it| stream.push(it).unwrap())
        .collect();
    sentences.extend(stream.end());
    sentences
}

fn cut<'a>(text: &'a str, lengths: &[usize]) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    for &length in lengths.iter().cycle().take(text.len() + 1) {
        let end = rest
            .char_indices()
            .nth(length)
            .map_or(rest.len(), |it| it.0);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn check_sentences(text: &str, sentences: &[Sentence], limits: Limits) {
    let mut end = 0;
    for (i, sentence) in sentences.iter().enumerate() {
        let shown = format!("sentence {i} of {text:?}: {sentence:?}");
        assert!(sentence.source.start >= end, "{shown}");
        assert!(
            !text[end..sentence.source.start]
                .chars()
                .any(clean::is_speakable),
            "lost before {shown}"
        );
        assert_eq!(sentence.text, text[sentence.source.clone()], "{shown}");
        assert_eq!(
            sentence.source_chars.start,
            text[..sentence.source.start].chars().count(),
            "{shown}"
        );
        assert_eq!(
            sentence.source_chars.len(),
            sentence.text.chars().count(),
            "{shown}"
        );
        assert!(
            clean::length(&sentence.spoken) <= limits.max_chars,
            "{shown}"
        );
        assert!(sentence.spoken.contains(char::is_alphanumeric), "{shown}");
        assert_eq!(sentence.spoken.trim(), sentence.spoken, "{shown}");
        assert!(
            !sentence.spoken.contains("  ") && !sentence.spoken.contains(char::is_control),
            "{shown}"
        );
        assert!(i > 0 || sentence.pause_before == Pause::None, "{shown}");
        check_words(sentence, &shown);
        end = sentence.source.end;
    }
    assert!(
        !text[end..].chars().any(clean::is_speakable),
        "lost at the end of {text:?}: {sentences:?}"
    );
}

fn check_words(sentence: &Sentence, shown: &str) {
    let (mut spoken, mut source) = (0, sentence.source.start);
    for word in &sentence.words {
        assert!(
            sentence.spoken[spoken..word.spoken.start].trim().is_empty(),
            "{shown}"
        );
        assert!(
            word.source.start >= source && word.source.end <= sentence.source.end,
            "{shown}"
        );
        (spoken, source) = (word.spoken.end, word.source.end);
    }
    assert_eq!(spoken, sentence.spoken.len(), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_reordered(text in texts(), language in languages()) {
        let front = front();
        match front.sentences(&text, language) {
            Ok(sentences) => check_sentences(&text, &sentences, limits()),
            Err(error) => {
                prop_assert_eq!(error, TextError::NothingToSay { given: text.chars().count() });
                prop_assert!(!text.chars().any(clean::is_speakable), "{text:?} was refused");
            }
        }
    }

    #[test]
    fn cuts_change_nothing(text in texts(), language in languages(), early: bool, lengths in prop::collection::vec(1usize..30, 1..8)) {
        let front = front();
        let whole = streamed(&front, language, early, &[&text]);
        check_sentences(&text, &whole, limits());
        prop_assert_eq!(&whole, &streamed(&front, language, early, &cut(&text, &lengths)), "{:?}", text);
        prop_assert_eq!(&whole, &streamed(&front, language, early, &cut(&text, &[1])), "{:?}", text);
    }

    #[test]
    fn a_flush_loses_nothing(text in texts(), at in 0usize..200) {
        let front = front();
        let at = text.char_indices().nth(at).map_or(text.len(), |it| it.0);
        let mut stream = front.stream("en");
        let mut sentences = stream.push(&text[..at]).unwrap();
        sentences.extend(stream.flush());
        sentences.extend(stream.push(&text[at..]).unwrap());
        sentences.extend(stream.end());
        check_sentences(&text, &sentences, limits());
    }

    #[test]
    fn words_share_the_time(text in texts(), seconds in 0.0f64..60.0) {
        let duration = std::time::Duration::from_secs_f64(seconds);
        for sentence in front().sentences(&text, "en").unwrap_or_default() {
            let times = word_times(&sentence, duration);
            prop_assert_eq!(times.len(), sentence.words.len());
            let mut heard = std::time::Duration::ZERO;
            for time in &times {
                prop_assert!(heard <= time.start && time.start <= time.end && time.end <= duration);
                heard = time.end;
            }
            prop_assert!(duration - heard < std::time::Duration::from_micros(1));
        }
    }

    #[test]
    fn any_lengths_are_kept(text in texts(), min in 0usize..300, target in 0usize..300, max in 0usize..300) {
        let limits = Limits { min_chars: min, target_chars: target, max_chars: max, max_text_chars: 100_000 };
        let front = FrontEnd::new(limits, Dictionary::default());
        let sentences = front.sentences(&text, "en").unwrap_or_default();
        if !sentences.is_empty() {
            check_sentences(&text, &sentences, front.limits());
        }
    }
}

/// A mark that is a letter to Unicode and no sound by itself: with nothing before it to change, it was counted as lost.
#[test]
fn a_voicing_mark_alone_is_no_speech() {
    for text in [
        "Aa a.\u{ff9e}",
        "Well$:\u{ff9f}then 101",
        "\u{ff76}\u{ff9e}\u{ff76}",
    ] {
        for early in [false, true] {
            let whole = streamed(&front(), "en", early, &[text]);
            check_sentences(text, &whole, limits());
            assert_eq!(
                whole,
                streamed(&front(), "en", early, &cut(text, &[1])),
                "{text:?}"
            );
        }
    }
}

/// Linear, whatever the text. A square of these lengths would take minutes; the limit is wide because others may use the machine.
#[test]
fn long_texts_take_no_time() {
    let front = front();
    for unit in [
        "word ",
        "a",
        " ",
        "你",
        "1",
        "1,234 ",
        "...",
        "😀",
        "[",
        "[clear",
        "](",
        "\u{301}",
        "e\u{200b}",
        "Dr. ",
        "#",
        "-",
        "\n- ",
        "$1 ",
        "\"",
        "A.",
        "@",
        "\u{a0}1",
        "March ",
        "+1 ",
        "A, ",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        let begun = std::time::Instant::now();
        let sentences = front.sentences(&text, "en").unwrap_or_default();
        check_ends(&text, &sentences);
        let mut stream = front.stream("en");
        let short = unit.repeat(30_000 / unit.len());
        for piece in cut(&short, &[4]).into_iter().filter(|it| !it.is_empty()) {
            stream.push(piece).unwrap();
        }
        stream.end();
        assert!(
            begun.elapsed().as_secs_f64() < 60.0,
            "{unit:?}: {:?}",
            begun.elapsed()
        );
    }
}

fn check_ends(text: &str, sentences: &[Sentence]) {
    let end = sentences.last().map_or(0, |it| it.source.end);
    assert!(!text[end..].chars().any(clean::is_speakable));
}
