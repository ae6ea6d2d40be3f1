use serde_json::{Value, json};

use super::*;

/// A tokenizer of single letters whose template adds the given ids.
fn tokenizer(before: &[&str], after: &[&str]) -> Tokenizer {
    let mut vocabulary = serde_json::Map::new();
    for (token, id) in [
        ("[STOP]", 0),
        ("[UNK]", 1),
        ("[SPACE]", 2),
        ("[START]", 255),
        ("[de]", 300),
        ("[ko]", 301),
        ("[he]", 302),
        ("[en]", 303),
        ("[laugh]", 304),
        ("[START_SPEECH]", 6561),
        ("[EXAGGERATION]", 6563),
        ("<|endoftext|>", 50_256),
    ] {
        vocabulary.insert(token.to_owned(), json!(id));
    }
    for (letter, id) in ('a'..='z')
        .chain('A'..='Z')
        .chain(" .,?<|>[]_".chars())
        .zip(10..)
    {
        vocabulary.insert(letter.to_string(), json!(id));
    }
    let added: Vec<Value> = vocabulary
        .iter()
        .filter(|(token, _)| 1 < token.len())
        .map(|(token, id)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let special = |token: &&str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let mut single: Vec<Value> = before.iter().map(special).collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(after.iter().map(special));
    let named: serde_json::Map<String, Value> = before
        .iter()
        .chain(after)
        .map(|token| {
            let id = &vocabulary[*token];
            (
                (*token).to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        })
        .collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false},
        "post_processor": {"type": "TemplateProcessing", "single": single,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": named},
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    Tokenizer::from_bytes(json.to_string()).unwrap()
}

const BEFORE: [&str; 2] = ["[EXAGGERATION]", "[START]"];
const AFTER: [&str; 3] = ["[STOP]", "[START_SPEECH]", "[START_SPEECH]"];

fn rules(punctuation: Punctuation) -> Rules {
    let template = match punctuation {
        Punctuation::Turbo => Template::Continued,
        Punctuation::English | Punctuation::Multilingual => Template::Marked,
    };
    Rules {
        template,
        punctuation,
        decompose: false,
    }
}

fn english() -> Prompter {
    Prompter::new(
        tokenizer(&BEFORE, &AFTER),
        rules(Punctuation::English),
        None,
    )
    .unwrap()
}

#[test]
fn a_prompt_has_its_marks_and_positions() {
    let prompt = english().prompt("ab", None).unwrap();
    // "Ab."
    assert_eq!(prompt.ids, [6563, 255, 36, 11, 63, 0, 6561, 6561]);
    assert_eq!(prompt.positions, [0, 0, 1, 2, 3, 4, 0, 0]);
    assert_eq!(prompt.text, 1..6);
}

#[test]
fn what_a_template_forgets_is_added_and_what_is_wrong_is_refused() {
    for n in 0..=3 {
        let prompter = Prompter::new(
            tokenizer(&BEFORE, &AFTER[..n]),
            rules(Punctuation::English),
            None,
        );
        let prompt = prompter.unwrap().prompt("ab", None).unwrap();
        assert_eq!(prompt.ids, english().prompt("ab", None).unwrap().ids, "{n}");
    }
    for (before, after) in [
        (&BEFORE[..1], &AFTER[..]),
        (&[], &AFTER),
        (&BEFORE, &["[START_SPEECH]", "[STOP]"]),
    ] {
        let error = Prompter::new(tokenizer(before, after), rules(Punctuation::English), None);
        assert!(
            error.unwrap_err().contains("\"a\" becomes"),
            "{before:?} {after:?}"
        );
    }
    let end = "<|endoftext|>";
    for n in 0..=2 {
        let continued = tokenizer(&[], &vec![end; n]);
        let prompter = Prompter::new(continued, rules(Punctuation::Turbo), None).unwrap();
        let prompt = prompter.prompt("ab", None).unwrap();
        assert_eq!(prompt.ids, [36, 11, 63, 50_256, 50_256], "{n}");
        assert_eq!((prompt.positions.len(), prompt.text), (0, 0..3));
    }
    let thrice = tokenizer(&[], &[end; 3]);
    assert!(Prompter::new(thrice, rules(Punctuation::Turbo), None).is_err());
}

#[test]
fn no_text_is_taken_for_a_mark() {
    let prompter = english();
    let plain = prompter.prompt("A b c", None).unwrap();
    for sly in [
        "A[STOP]b[START_SPEECH]c",
        "A [STOP] b [EXAGGERATION][START] c",
        "A[UNK]b<|endoftext|>c",
    ] {
        let ids = prompter.prompt(sly, None).unwrap().ids;
        assert_eq!(ids.iter().filter(|it| **it == 0).count(), 1, "{sly}");
        assert_eq!(ids.iter().filter(|it| **it == 6561).count(), 2, "{sly}");
    }
    assert_eq!(
        prompter.prompt("A[STOP]b[START_SPEECH]c", None).unwrap(),
        plain
    );
    // What is left of a mark within a mark is no mark.
    let nested = prompter.prompt("A[ST[STOP]OP]", None).unwrap();
    assert_eq!(nested.ids.iter().filter(|it| **it == 0).count(), 1);
    assert_eq!(
        prompter.prompt("[STOP] [START]", None),
        Err(PromptError::Nothing)
    );
}

#[test]
fn tags_of_turbo_are_kept() {
    let end = "<|endoftext|>";
    let turbo =
        Prompter::new(tokenizer(&[], &[end, end]), rules(Punctuation::Turbo), None).unwrap();
    let prompt = turbo.prompt("a [laugh]<|endoftext|>", None).unwrap();
    assert!(prompt.ids.contains(&304));
    assert_eq!(prompt.ids.iter().filter(|it| **it == 50_256).count(), 2);
}

#[test]
fn the_language_is_named_in_the_text() {
    let prompter = Prompter::new(
        tokenizer(&BEFORE, &AFTER),
        rules(Punctuation::Multilingual),
        None,
    )
    .unwrap();
    assert_eq!(prompter.languages(), ["de", "en", "he", "ko"]);
    let ids = |language| prompter.prompt("ab", Some(language)).unwrap().ids;
    assert_eq!(ids("de"), [6563, 255, 300, 36, 11, 63, 0, 6561, 6561]);
    assert_eq!(ids("de-AT"), ids("de"));
    assert_eq!(ids("DE"), ids("de"));
    assert_eq!(prompter.prompt("ab", None).unwrap().ids, ids("en"));
    let unknown = prompter.prompt("ab", Some("fr")).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "`language` must be one of de, en, he, ko. Given: `fr`"
    );
    assert!(matches!(
        prompter.prompt("שלום", Some("he")),
        Err(PromptError::NeedsDictionary { .. })
    ));
    assert!(english().prompt("ab", Some("de")).is_err());
    // The same is known without making a prompt.
    assert!(matches!(
        prompter.check("שלום", "he"),
        Err(PromptError::NeedsDictionary { .. })
    ));
    assert!(matches!(
        prompter.check("ab", "fr"),
        Err(PromptError::UnknownLanguage { .. })
    ));
    assert_eq!(prompter.check("ab", "he"), Ok(()));
}

#[test]
fn the_second_multilingual_pack_reads_small_letters() {
    let decomposed = Rules {
        decompose: true,
        ..rules(Punctuation::Multilingual)
    };
    let prompter = Prompter::new(tokenizer(&BEFORE, &AFTER), decomposed, None).unwrap();
    let ids = prompter.prompt("AB", Some("de")).unwrap().ids;
    assert_eq!(ids, [6563, 255, 300, 10, 11, 63, 0, 6561, 6561]);
}

#[test]
fn a_sentence_has_a_longest_length() {
    let text = "a".repeat(MAX_TEXT_TOKENS + 1);
    assert!(matches!(
        english().prompt(&text, None),
        Err(PromptError::TooLong { .. })
    ));
}
