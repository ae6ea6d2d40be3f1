use super::*;

fn front() -> FrontEnd {
    FrontEnd::new(
        Limits {
            min_chars: 1,
            target_chars: 200,
            max_chars: 280,
            max_text_chars: 2_000_000,
        },
        Dictionary::default(),
    )
}

#[test]
fn smoke() {
    let out = front()
        .sentences(
            "Hello, world. It is 3.14 today! \"Stop!\" he said. The end",
            "en",
        )
        .unwrap();
    let spoken: Vec<_> = out.iter().map(|it| it.spoken.as_str()).collect();
    assert_eq!(
        spoken,
        [
            "Hello, world.",
            "It is three point one four today!",
            "\"Stop!\" he said.",
            "The end"
        ]
    );
}
