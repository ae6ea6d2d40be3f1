//! Where sentences end, and what is done with the short and the long ones.

use super::*;

fn spoken(front: &FrontEnd, text: &str, language: &str) -> Vec<String> {
    front
        .sentences(text, language)
        .unwrap()
        .into_iter()
        .map(|it| it.spoken)
        .collect()
}

/// With every sentence by itself, however short.
fn check(table: &str, language: &str) {
    let front = FrontEnd::new(
        Limits {
            min_chars: 1,
            ..limits()
        },
        Dictionary::default(),
    )
    .with_tags(["laugh", "clear throat"]);
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (input, expected) = line.split_once(" → ").unwrap_or_else(|| panic!("{line}"));
        let input = input
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("\\0", "\0")
            .replace("\\z", "\u{200b}");
        let given = spoken(&front, &input, language).join(" | ");
        if given != expected {
            wrong.push(format!(
                "{input:?}\n  expected {expected}\n  given    {given}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn sentences_end_where_they_end() {
    check(
        r#"Hello, world. It is 3.14 today! "Stop!" he said. The end → Hello, world. | It is three point one four today! | "Stop!" he said. | The end
        One. Two! Three? Four → One. | Two! | Three? | Four
        He said "go." Then left. → He said "go." | Then left.
        (It works.) Good. → (It works.) | Good.
        Well... maybe. Wait... No! → Well… maybe. | Wait… | No!
        What?! Really!!! Yes. → What?! | Really! | Yes.
        "Really?" she asked. → "Really?" she asked.
        It was the end.Next one. → It was the end. | Next one.
        Really?Yes. → Really? | Yes.
        Mr. J. R. Smith met Dr. Who. They ran. → Mister J. R. Smith met Doctor Who. | They ran.
        Version 1.2 is out. So is 1.3. → Version one point two is out. | So is one point three.
        yes — no → yes, no
        yes -- no → yes, no
        yes—no → yes, no
        well-known → well-known
        one,two → one, two
        Bonjour ! Ça va ? → Bonjour! | Ça va?
        He left... → He left…
        “Curly” ‘quotes’ don’t → "Curly" 'quotes' don't"#,
        "en",
    );
    check(
        "你好。我很好！你呢？好 → 你好。 | 我很好！ | 你呢？ | 好\n「好。」他说 → 「好。」 | 他说\n你好，世界 → 你好，世界",
        "zh",
    );
    check("यह है। वह नहीं। → यह है। | वह नहीं।", "hi");
    check("هل أنت بخير؟ نعم. → هل أنت بخير؟ | نعم.", "ar");
    check("שלום עולם. מה נשמע? → שלום עולם. | מה נשמע?", "he");
    check("Ça va ? Oui → Ça va? | Oui", "fr");
}

#[test]
fn lines_and_markdown() {
    check(
        r"# Title\nText here. → Title. | Text here.
        First line\n\nSecond → First line. | Second
        - one\n- two\n- three → one. | two. | three
        * one\n* two → one. | two
        • one\n• two → one. | two
        1. Take it.\n2. Leave it. → one, Take it. | two, Leave it.
        a line that goes\non in the next → a line that goes on in the next
        Shopping\nMilk\nBread → Shopping. | Milk. | Bread
        This line is about as long as lines are when wrapped by\nSome program. → This line is about as long as lines are when wrapped by Some program.
        one,\nTwo → one, Two
        **Bold** and _it_ and `code` → Bold and it and code
        ~~gone~~ → gone
        > quoted text → quoted text
        see [the page](https://x.com/y) now → see the page now
        ```\ncode\n``` → code
        a\n---\nb → a. | b
        | a | b | → a b
        5 * 3 → five times three
        2*3*4 → two times three times four
        snake_case_name → snake case name",
        "en",
    );
}

#[test]
fn what_is_not_said() {
    check(
        r"Hi\0 there → Hi there
        tab\tand  spaces → tab and spaces
        hello😀world → hello world
        Great 👍🏽👩👩👧! → Great!
        zero\zwidth → zerowidth
        ﬁne ①② 𝐁𝐨𝐥𝐝 Ｆｕｌｌ → fine twelve Bold Full
        café café → café café
        x[STOP]y → x Stop y
        [UNK] → Unk
        <|endoftext|> → endoftext
        a\\b → a b
        [laugh] Hi → [laugh] Hi
        Oh [Clear Throat], well → Oh [clear throat], well
        [laughs] → laughs
        wow[laugh]wow → wow [laugh] wow
        ™ and © → and",
        "en",
    );
}

#[test]
fn fragments_join_their_neighbours() {
    let front = front();
    assert_eq!(
        spoken(
            &front,
            "Hi. How are you doing today, my friend? Fine.",
            "en"
        ),
        ["Hi. How are you doing today, my friend? Fine."]
    );
    assert_eq!(spoken(&front, "Hi.", "en"), ["Hi."]);
    assert_eq!(
        spoken(
            &front,
            "This one is long enough by itself. Yes. No. And so is this one, I think.",
            "en"
        ),
        [
            "This one is long enough by itself.",
            "Yes. No. And so is this one, I think."
        ]
    );
}

#[test]
fn a_stream_does_not_wait_for_a_last_fragment() {
    let mut stream = front().stream("en");
    let sentences = stream.push("This one is long enough by itself. ").unwrap();
    assert_eq!(sentences.len(), 1);
    assert!(stream.push("Bye").unwrap().is_empty());
    let last = stream.end();
    assert_eq!(
        (
            last[0].spoken.as_str(),
            last[0].source.clone(),
            last[0].pause_before
        ),
        ("Bye", 35..38, Pause::Sentence)
    );
}

#[test]
fn long_sentences_are_cut_at_clauses_then_words_then_letters() {
    let front = FrontEnd::new(
        Limits {
            min_chars: 10,
            target_chars: 60,
            max_chars: 80,
            ..limits()
        },
        Dictionary::default(),
    );
    let text = "When the sun had set over the hills, the travellers, who were tired; very tired in fact, sat down and ate what they had carried with them all day.";
    assert_eq!(
        spoken(&front, text, "en"),
        [
            "When the sun had set over the hills, the travellers,",
            "who were tired; very tired in fact,",
            "sat down and ate what they had carried with them all day."
        ]
    );
    let words = "word ".repeat(40);
    assert!(
        spoken(&front, &words, "en")
            .iter()
            .all(|it| it.len() <= 80 && it.starts_with("word") && it.ends_with("word"))
    );
    let letters = spoken(&front, &"x".repeat(200), "en");
    assert_eq!(
        letters.iter().map(String::len).collect::<Vec<_>>(),
        [80, 80, 40]
    );
    let marked = "e\u{301}\u{302}".repeat(60);
    for sentence in front.sentences(&marked, "en").unwrap() {
        assert!(
            sentence.text.starts_with('e') && sentence.text.ends_with('\u{302}'),
            "{sentence:?}"
        );
    }
}

#[test]
fn pauses_tell_what_ended() {
    let front = FrontEnd::new(
        Limits {
            min_chars: 5,
            target_chars: 40,
            max_chars: 60,
            ..limits()
        },
        Dictionary::default(),
    );
    let text = "First sentence. Second one.\n\nNew paragraph with a rather long, winding clause in it that goes on without a comma for a while now";
    let pauses: Vec<_> = front
        .sentences(text, "en")
        .unwrap()
        .iter()
        .map(|it| (it.text.clone(), it.pause_before))
        .collect();
    assert_eq!(
        pauses,
        [
            ("First sentence.".to_owned(), Pause::None),
            ("Second one.".to_owned(), Pause::Sentence),
            (
                "New paragraph with a rather long,".to_owned(),
                Pause::Paragraph
            ),
            (
                "winding clause in it that goes on without a comma for a".to_owned(),
                Pause::Clause
            ),
            ("while now".to_owned(), Pause::None),
        ]
    );
}

#[test]
fn sources_point_into_the_text() {
    let front = FrontEnd::new(
        Limits {
            min_chars: 1,
            ..limits()
        },
        Dictionary::default(),
    );
    let text = "  Das kostet 5 €.  😀 Schön, é!";
    let sentences = front.sentences(text, "en").unwrap();
    let shown: Vec<_> = sentences
        .iter()
        .map(|it| (it.text.as_str(), it.source.clone(), it.source_chars.clone()))
        .collect();
    assert_eq!(
        shown,
        [
            ("Das kostet 5 €.", 2..19, 2..17),
            ("Schön, é!", 26..37, 21..30)
        ]
    );
    let words: Vec<_> = sentences[0]
        .words
        .iter()
        .map(|it| {
            (
                &sentences[0].spoken[it.spoken.clone()],
                &text[it.source.clone()],
            )
        })
        .collect();
    assert_eq!(
        words,
        [
            ("Das", "Das"),
            ("kostet", "kostet"),
            ("five euros.", "5 €.")
        ]
    );
}

#[test]
fn texts_that_cannot_be_said() {
    let front = front();
    for text in [
        "",
        "   \n\t ",
        "!!! ... ???",
        "😀👍",
        "*** --- ***",
        "\0\0",
        "\u{200b}",
        "& @ + =",
        "“”",
        "#",
    ] {
        let error = front.sentences(text, "en").unwrap_err();
        assert_eq!(
            error,
            TextError::NothingToSay {
                given: text.chars().count()
            },
            "{text:?}"
        );
    }
    let error = front.sentences("", "en").unwrap_err().to_string();
    assert_eq!(
        error,
        "`text` has nothing that can be spoken: it needs at least one letter or digit. Given: 0 characters"
    );
    let small = FrontEnd::new(
        Limits {
            max_text_chars: 5,
            ..limits()
        },
        Dictionary::default(),
    );
    assert!(small.sentences("ééééé", "en").is_ok());
    let error = small.sentences("éééééé", "en").unwrap_err();
    assert_eq!(error, TextError::TooLong { limit: 5, given: 6 });
    assert_eq!(
        error.to_string(),
        "`text` must have at most 5 characters; send it in several requests. Given: 6"
    );
}

#[test]
fn a_piece_too_much_is_as_if_it_had_not_come() {
    let mut stream = FrontEnd::new(
        Limits {
            max_text_chars: 10,
            ..limits()
        },
        Dictionary::default(),
    )
    .stream("en");
    assert_eq!(stream.push("hello"), Ok(vec![]));
    assert_eq!(
        stream.push(" world"),
        Err(TextError::TooLong {
            limit: 10,
            given: 11
        })
    );
    assert_eq!(stream.n_chars(), 5);
    assert_eq!(stream.push(" you"), Ok(vec![]));
    assert_eq!(stream.end()[0].spoken, "hello you");
}

/// Each piece, and what is let go after it.
fn steps(mut stream: TextStream, pieces: &[&str]) -> Vec<String> {
    let mut shown = Vec::new();
    for piece in pieces {
        let sentences = if *piece == "FLUSH" {
            stream.flush()
        } else {
            stream.push(piece).unwrap()
        };
        shown.push(
            sentences
                .into_iter()
                .map(|it| it.spoken)
                .collect::<Vec<_>>()
                .join(" | "),
        );
    }
    shown.push(
        stream
            .end()
            .into_iter()
            .map(|it| it.spoken)
            .collect::<Vec<_>>()
            .join(" | "),
    );
    shown
}

#[test]
fn a_sentence_goes_when_nothing_can_change_it() {
    let front = FrontEnd::new(
        Limits {
            min_chars: 1,
            ..limits()
        },
        Dictionary::default(),
    );
    let stream = || front.stream("en");
    assert_eq!(
        steps(stream(), &["It is 3.", "14 now.", " And"]),
        ["", "", "It is three point one four now.", "And"]
    );
    assert_eq!(
        steps(stream(), &["Ask Dr", ".", " Who", "."]),
        ["", "", "", "", "Ask Doctor Who."]
    );
    assert_eq!(
        steps(stream(), &["Good", "bye", ". ", "Then"]),
        ["", "", "Goodbye.", "", "Then"]
    );
    assert_eq!(
        steps(stream(), &["He left at 5 p.m. ", "T", "hen"]),
        ["", "He left at five P M.", "", "Then"]
    );
    assert_eq!(
        steps(stream(), &["It cost $1.5 ", "mil", "lion. ", "x"]),
        ["", "", "It cost one point five million dollars.", "", "x"]
    );
    assert_eq!(
        steps(stream(), &["\"Stop!\" ", "h", "e said. "]),
        ["", "", "\"Stop!\" he said.", ""]
    );
    assert_eq!(
        steps(stream(), &["Now", "FLUSH", " then", "FLUSH", "FLUSH"]),
        ["", "Now", "", "then", "", ""]
    );
    assert_eq!(
        steps(stream(), &["It is 3.", "FLUSH", "14"]),
        ["", "It is three.", "", "fourteen"]
    );
    assert_eq!(steps(stream(), &["", " ", "\n"]), ["", "", "", ""]);
}

/// What a mark hides is not known before it has come.
#[test]
fn a_mark_that_has_arrived_says_nothing_yet() {
    let front = FrontEnd::new(
        Limits {
            min_chars: 1,
            ..limits()
        },
        Dictionary::default(),
    );
    let pieces = ["At 5 p.m. ", "**", "but** no later. "];
    assert_eq!(
        steps(front.stream("en"), &pieces),
        ["", "", "At five P M but no later.", ""]
    );
    let pieces = ["See [x", "FLUSH", "](http://y.com) now"];
    assert_eq!(
        steps(front.stream("en"), &pieces),
        ["", "See x", "", "(y dot com) now"]
    );
}

#[test]
fn the_first_clause_may_go_early() {
    let text = "Well then, that is a rather long beginning of a sentence, and this is its second half, which is long.";
    let early = || front().stream("en").with_early_clause(40);
    assert_eq!(
        steps(early(), &[text]),
        [
            "Well then, that is a rather long beginning of a sentence,",
            "and this is its second half, which is long."
        ]
    );
    assert_eq!(
        steps(
            early(),
            &["Of course. I can help you with that, sir; just say so. "]
        ),
        ["Of course. I can help you with that, sir;", "just say so."]
    );
}

#[test]
fn lengths_are_brought_in_order() {
    let limits = Limits {
        min_chars: 500,
        target_chars: 300,
        max_chars: 10,
        max_text_chars: 7,
    };
    let expected = Limits {
        min_chars: 40,
        target_chars: 40,
        max_chars: 40,
        max_text_chars: 7,
    };
    assert_eq!(
        FrontEnd::new(limits, Dictionary::default()).limits(),
        expected
    );
}
