//! The words of the owner of the server.

use super::*;

#[test]
fn the_dictionary_comes_first() {
    let dictionary = Dictionary::parse(
        "# how we say it\n\nnginx = engine x\nGIF = jif\nNew York = the Big Apple\nC++ = see plus plus\nDr. = Doktor\n5 = cinco\n.net = dot net\nacme co. = Acme Company\nñandú = nyandoo\n",
    )
    .unwrap();
    assert_eq!(dictionary.len(), 9);
    let front = FrontEnd::new(
        Limits {
            min_chars: 1,
            ..limits()
        },
        dictionary,
    );
    for (input, expected) in [
        (
            "Nginx and NGINX, nginx's",
            "engine x and engine x, engine x's",
        ),
        ("a GIF, a gif", "a jif, a gif"),
        (
            "New York, new york, New Yorker",
            "the Big Apple, new york, New Yorker",
        ),
        ("C++ is", "see plus plus is"),
        ("Dr. Who", "Doktor Who"),
        ("5 km", "cinco km"),
        ("ÑANDÚ", "nyandoo"),
        ("the Acme Co. is", "the Acme Company is"),
        ("at .NET now", "at dot net now"),
    ] {
        assert_eq!(
            front
                .sentences(input, "en")
                .unwrap()
                .iter()
                .map(|it| it.spoken.as_str())
                .collect::<Vec<_>>(),
            [expected],
            "{input}"
        );
    }
}

#[test]
fn dictionaries_that_are_wrong() {
    for (text, expected) in [
        (
            "a = b\nnginx",
            "a line of a dictionary is `word = how it is said`; line 2 has no `=`. Given: \"nginx\"",
        ),
        (
            "= x",
            "a dictionary entry needs 1 to 4 words with a letter, a digit or a sign. Given: \"\"",
        ),
        (
            "a b c d e = x",
            "a dictionary entry needs 1 to 4 words with a letter, a digit or a sign. Given: \"a b c d e \"",
        ),
        (
            "word = ...",
            "a dictionary entry needs something that can be spoken. Given: \"...\" for `word`",
        ),
        (
            "a = b\na = c",
            "a dictionary entry may stand only once. Given: `a` as \"b\" and as \"c\"",
        ),
    ] {
        assert_eq!(Dictionary::parse(text).unwrap_err().to_string(), expected);
    }
}
