use super::*;

fn problems_of(change: impl FnOnce(&mut VoicesRaw)) -> Vec<String> {
    let mut raw = VoicesRaw::defaults();
    change(&mut raw);
    let mut problems = Problems::default();
    drop(raw.check(&mut problems));
    problems.iter().map(|it| it.message.clone()).collect()
}

fn place_of(store: &str) -> Option<Place> {
    let raw = VoicesRaw {
        store: Some(store.to_owned()),
        endpoint: Some("http://127.0.0.1:9000".to_owned()),
        ..VoicesRaw::defaults()
    };
    let mut problems = Problems::default();
    let settings = raw.check(&mut problems);
    problems.is_empty().then_some(settings.place).flatten()
}

#[test]
fn the_defaults_are_sound() {
    assert_eq!(problems_of(|_| {}), [""; 0]);
}

#[test]
fn every_problem_is_reported() {
    let problems = problems_of(|raw| {
        raw.refresh_ms = 0;
        raw.min_seconds = 0.5;
        raw.keep_seconds = f32::NAN;
        raw.store = Some("gs://bucket".to_owned());
        raw.aliases.insert("a b".to_owned(), "default".to_owned());
        raw.aliases.insert("c".to_owned(), "../default".to_owned());
    });
    assert_eq!(problems.len(), 6, "{problems:#?}");
}

#[test]
fn more_than_is_kept_cannot_be_asked_for() {
    let problems = problems_of(|raw| {
        raw.min_seconds = 10.0;
        raw.keep_seconds = 5.0;
    });
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn a_place_is_a_folder_or_a_bucket() {
    let folder = |it: &str| Some(Place::Folder(PathBuf::from(it)));
    let bucket = |name: &str, prefix: &str| {
        Some(Place::Bucket(Bucket {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: None,
            keys: None,
        }))
    };
    assert_eq!(place_of(""), None);
    assert_eq!(place_of("/srv/voices"), folder("/srv/voices"));
    assert_eq!(place_of("voices"), folder("voices"));
    assert_eq!(place_of("s3://ours"), bucket("ours", ""));
    assert_eq!(place_of("s3://ours/a/b/"), bucket("ours", "a/b"));
    assert_eq!(place_of("s3:///a"), None);
    assert_eq!(place_of("https://ours/a"), None);
}

#[test]
fn without_a_place_voices_are_kept_at_home() {
    let mut problems = Problems::default();
    let settings = VoicesRaw::defaults().check(&mut problems);
    let expected = Place::Folder(PathBuf::from("/srv/home/voices"));
    assert_eq!(settings.place(Path::new("/srv/home")), expected);
}

#[test]
fn every_known_name_is_the_default_voice() {
    let mut problems = Problems::default();
    let settings = VoicesRaw::defaults().check(&mut problems);
    assert_eq!(settings.aliases.len(), 16);
    assert!(
        settings
            .aliases
            .values()
            .all(|it| it.as_str() == DEFAULT_VOICE)
    );
}

#[test]
fn half_a_key_is_a_problem() {
    let half = |id: Option<&str>, secret: &str| {
        problems_of(|raw| {
            raw.store = Some("s3://ours".to_owned());
            raw.access_key_id = id.map(str::to_owned);
            raw.secret_access_key = Secret::from(secret.to_owned());
        })
        .len()
    };
    assert_eq!(half(None, ""), 0);
    assert_eq!(half(Some("id"), "secret"), 0);
    assert_eq!(half(Some("id"), ""), 1);
    assert_eq!(half(None, "secret"), 1);
}
