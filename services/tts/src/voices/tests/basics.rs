use chassis::api_error::Classify as _;
use wire::error::ErrorCode;

use super::super::*;
use super::rig::*;

#[tokio::test]
async fn a_registered_voice_can_be_used_described_and_listed() {
    let (store, studio, _folder) = alone(pack("pack")).await;
    let mut asked = registration("user_123", 120.0);
    asked.notes = Notes {
        description: "Ada, reading".to_owned(),
        consent: Some("signed on paper".to_owned()),
        language: Some("en-GB".to_owned()),
    };
    let record = store.register(asked).await.unwrap();
    assert_eq!(record.id.as_str(), "user_123");
    assert_eq!(record.description, "Ada, reading");
    assert_eq!(record.consent.as_deref(), Some("signed on paper"));
    assert_eq!(record.language.as_deref(), Some("en-GB"));
    assert!((5.5..6.3).contains(&record.seconds));
    assert!(1_700_000_000 < record.created_unix_s);

    let voice = store.resolve("user_123").await.unwrap();
    assert_eq!(voice.record, record);
    let again = store.resolve("user_123").await.unwrap();
    assert!(Arc::ptr_eq(&voice.conditioning, &again.conditioning));
    assert_eq!(studio.n_extracted(), 1);
    assert_eq!(store.list().await.unwrap(), [Arc::clone(&record)]);
    assert_eq!(store.describe("user_123").await.unwrap(), record);
}

#[tokio::test]
async fn a_voice_survives_a_restart_without_being_extracted_again() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    let record = store.register(registration("ada", 120.0)).await.unwrap();
    let before = store.resolve("ada").await.unwrap();
    drop(store);
    let studio = Arc::new(Counting::default());
    let store = on(folder.path(), pack("pack"), &studio).await;
    let after = store.resolve("ada").await.unwrap();
    assert_eq!(after.conditioning, before.conditioning);
    assert_eq!(after.record, record);
    assert_eq!(studio.n_extracted(), 0);
}

#[tokio::test]
async fn the_built_in_voice_is_there_from_the_start_and_stays() {
    let (store, studio, folder) = alone(pack_with_voice("pack")).await;
    assert_eq!(studio.n_extracted(), 1);
    let voice = store.resolve(DEFAULT_VOICE).await.unwrap();
    assert!(voice.record.built_in);

    store.register(registration("ada", 120.0)).await.unwrap();
    let listed = store.list().await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["default", "ada"]);

    let error = store.delete("default", &admin("root")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    let error = store
        .register(registration("default", 90.0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);

    // A restart finds what was extracted.
    let studio = Arc::new(Counting::default());
    let store = on(folder.path(), pack_with_voice("pack"), &studio).await;
    let after = store.resolve(DEFAULT_VOICE).await.unwrap();
    assert_eq!(after.conditioning, voice.conditioning);
    assert_eq!(studio.n_extracted(), 0);
}

#[tokio::test]
async fn a_copy_of_the_built_in_voice_is_deleted_alone() {
    let (store, studio, folder) = alone(pack_with_voice("pack")).await;
    let made = files(folder.path());
    let copy = Registration {
        upload: Upload::File(pack_with_voice("pack").default_voice.unwrap()),
        ..registration("copy", 120.0)
    };
    store.register(copy).await.unwrap();
    assert_eq!(studio.n_extracted(), 1);
    store.delete("copy", &Requester::Anyone).await.unwrap();
    assert_eq!(files(folder.path()), made);
}

#[tokio::test]
async fn the_names_of_other_servers_work() {
    let (store, _studio, _folder) = alone(pack_with_voice("pack")).await;
    for name in KNOWN_NAMES {
        let voice = store.resolve(name).await.unwrap();
        assert_eq!(voice.record.id.as_str(), DEFAULT_VOICE, "{name}");
    }
    let records = store.list().await.unwrap();
    let aliases = store.aliases_of(&records[0].id, &records);
    assert_eq!(aliases.len(), KNOWN_NAMES.len());
}

#[tokio::test]
async fn a_voice_goes_before_an_alias_of_its_name() {
    let (store, _studio, _folder) = alone(pack_with_voice("pack")).await;
    store.resolve("alloy").await.unwrap();
    store.register(registration("alloy", 120.0)).await.unwrap();
    assert_eq!(store.describe("alloy").await.unwrap().id.as_str(), "alloy");
    let records = store.list().await.unwrap();
    let aliases = store.aliases_of(&records[0].id, &records);
    assert_eq!(aliases.len(), KNOWN_NAMES.len() - 1);
    assert!(!aliases.contains(&"alloy".to_owned()), "it is a voice now");
    store.delete("alloy", &Requester::Anyone).await.unwrap();
    assert_eq!(
        store.describe("alloy").await.unwrap().id.as_str(),
        "default"
    );
}

#[tokio::test]
async fn an_unknown_voice_is_answered_with_what_there_is() {
    let (store, _studio, _folder) = alone(pack("pack")).await;
    let error = store.resolve("nobody").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownVoice);
    let text = error.to_string();
    assert!(
        text.starts_with("no voice is named `nobody`; there are alloy, ash, "),
        "{text}"
    );

    // An alias of nothing says so.
    let text = store.resolve("alloy").await.unwrap_err().to_string();
    assert!(
        text.starts_with("no voice is named `alloy` (an alias of `default`)"),
        "{text}"
    );

    for idx in 0..30 {
        let id = format!("{idx:02}_{}", "x".repeat(60));
        store.register(registration(&id, 120.0)).await.unwrap();
    }
    until_stale().await;
    let text = store.resolve("nobody").await.unwrap_err().to_string();
    assert!(text.ends_with(" and 10 more"), "{text}");
    assert!(text.len() < 1_500, "{}", text.len());
    let error = store
        .delete("nobody", &Requester::Anyone)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownVoice);
}

#[tokio::test]
async fn no_id_leaves_the_folder() {
    let outer = tempfile::TempDir::new().unwrap();
    let folder = outer.path().join("voices");
    std::fs::write(outer.path().join("secret.json"), "{}").unwrap();
    let studio = Arc::new(Counting::default());
    let store = on(&folder, pack("pack"), &studio).await;
    let long = "x".repeat(1_000_000);
    for id in [
        "../secret",
        "..",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a\0b",
        "",
        " ",
        "a.json",
        "%2e%2e",
        "é",
        "..\u{2215}secret",
        &long,
    ] {
        let errors = [
            store.register(registration(id, 120.0)).await.map(drop),
            store.delete(id, &Requester::Anyone).await,
            store.resolve(id).await.map(drop),
            store.describe(id).await.map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameter);
            assert!(error.to_string().len() < 600);
        }
    }
    assert_eq!(files(outer.path()), ["secret.json"]);
    assert_eq!(studio.n_extracted(), 0);
    // A name that is only special elsewhere.
    store.register(registration("CON", 120.0)).await.unwrap();
    store.resolve("CON").await.unwrap();
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let (store, studio, folder) = alone(pack("pack")).await;
    let first = store.register(registration("ada", 120.0)).await.unwrap();
    let error = store
        .register(registration("ada", 200.0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::VoiceExists);
    // The same again, by somebody whose answer was lost.
    let again = store.register(registration("ada", 120.0)).await.unwrap();
    assert_eq!(again, first);
    // The same recording, by somebody else.
    let theirs = Registration {
        requester: key("bob"),
        ..registration("ada", 120.0)
    };
    let error = store.register(theirs).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::VoiceExists);
    assert_eq!(studio.n_extracted(), 1);
    assert_eq!(files(folder.path()).len(), 3);
}

#[tokio::test]
async fn a_voice_can_be_replaced_by_its_owner() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    let replace = |name: &str, pitch_hz: f32| Registration {
        requester: key(name),
        if_exists: IfExists::Replace,
        ..registration("ada", pitch_hz)
    };
    let first = store.register(replace("ann", 120.0)).await.unwrap();
    let before = store.resolve("ada").await.unwrap();
    let second = store.register(replace("ann", 200.0)).await.unwrap();
    assert_ne!(first.digest, second.digest);
    let after = store.resolve("ada").await.unwrap();
    assert_ne!(before.conditioning, after.conditioning);
    // Nothing is left of the first.
    assert_eq!(files(folder.path()).len(), 3);
    // The same recording once more keeps its conditioning.
    store.register(replace("ann", 200.0)).await.unwrap();
    assert_eq!(files(folder.path()).len(), 3);

    let error = store.register(replace("bob", 90.0)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert_eq!(store.describe("ada").await.unwrap().digest, second.digest);
}

#[tokio::test]
async fn only_the_owner_deletes() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    let by = |id: &str, requester: Requester| Registration {
        requester,
        ..registration(id, 120.0)
    };
    store.register(by("anns", key("ann"))).await.unwrap();
    let error = store.delete("anns", &key("bob")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    store.resolve("anns").await.unwrap();
    store.delete("anns", &key("ann")).await.unwrap();
    let gone = store.resolve("anns").await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UnknownVoice);

    for requester in [admin("root"), Requester::Anyone] {
        store.register(by("anns", key("ann"))).await.unwrap();
        store.delete("anns", &requester).await.unwrap();
    }
    // Registered when nobody needed a key: anybody's.
    store.register(by("free", Requester::Anyone)).await.unwrap();
    store.delete("free", &key("bob")).await.unwrap();
    assert_eq!(files(folder.path()), [""; 0]);
}

#[tokio::test]
async fn what_an_admin_registers_is_the_admin_s() {
    let (store, _studio, _folder) = alone(pack("pack")).await;
    let by = |pitch: f32, requester: Requester, if_exists: IfExists| Registration {
        requester,
        if_exists,
        ..registration("house", pitch)
    };
    let first = by(120.0, admin("root"), IfExists::Refuse);
    store.register(first.clone()).await.unwrap();
    for other in [key("ann"), key("bob")] {
        let replace = by(200.0, other.clone(), IfExists::Replace);
        let error = store.register(replace).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        let error = store.delete("house", &other).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
    }
    // Asked once more, because the answer was lost.
    store.register(first).await.unwrap();
    store.delete("house", &admin("other-root")).await.unwrap();
}

#[tokio::test]
async fn what_an_admin_replaces_stays_its_owner_s() {
    let (store, _studio, _folder) = alone(pack("pack")).await;
    let by = |pitch: f32, requester: Requester| Registration {
        requester,
        if_exists: IfExists::Replace,
        ..registration("ada", pitch)
    };
    store.register(by(120.0, key("ann"))).await.unwrap();
    store.register(by(200.0, admin("root"))).await.unwrap();
    let error = store.delete("ada", &key("bob")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    store.register(by(160.0, key("ann"))).await.unwrap();
    store.delete("ada", &key("ann")).await.unwrap();
}

#[tokio::test]
async fn who_asks_is_told_by_the_key() {
    let folder = tempfile::TempDir::new().unwrap();
    let settings = Settings {
        admin_keys: vec!["root".to_owned()],
        ..settings()
    };
    let place = Place::Folder(folder.path().to_owned());
    let studio = Arc::new(Counting::default());
    let store = VoiceStore::open(settings, &place, pack("pack"), studio)
        .await
        .unwrap();
    let caller = |name: &str| Caller(name.to_owned());
    assert_eq!(store.requester(None), Requester::Anyone);
    assert_eq!(store.requester(Some(&caller("ann"))), key("ann"));
    assert_eq!(store.requester(Some(&caller("root"))), admin("root"));
    assert_ne!(key("ann"), key("bob"));
    // The name itself is not kept.
    let asked = Registration {
        requester: key("customer-42"),
        ..registration("ada", 120.0)
    };
    store.register(asked).await.unwrap();
    let record = std::fs::read_to_string(folder.path().join("voices/ada.json")).unwrap();
    assert!(
        record.contains("\"owner\"") && !record.contains("customer"),
        "{record}"
    );
}

#[tokio::test]
async fn notes_have_their_limits() {
    let (store, studio, _folder) = alone(pack("pack")).await;
    let notes = |description: &str, consent: &str, language: &str| Notes {
        description: description.to_owned(),
        consent: Some(consent.to_owned()),
        language: Some(language.to_owned()),
    };
    for (notes, name) in [
        (notes(&"x".repeat(501), "", ""), "description"),
        (notes("a\0b", "", ""), "description"),
        (notes("", &"x".repeat(1_001), ""), "consent"),
        (notes("", "\u{7}", ""), "consent"),
        (notes("", "", "english please"), "language"),
        (notes("", "", "en_US"), "language"),
        (notes("", "", "-"), "language"),
    ] {
        let asked = Registration {
            notes,
            ..registration("ada", 120.0)
        };
        let error = store.register(asked).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameter);
        assert_eq!(error.param(), Some(name));
    }
    assert_eq!(studio.n_extracted(), 0);
    let asked = Registration {
        notes: notes(&"ü".repeat(500), &"ß".repeat(1_000), "zh-Hant-TW"),
        ..registration("ada", 120.0)
    };
    store.register(asked).await.unwrap();
    let asked = Registration {
        notes: notes("line one\nline two", " ", ""),
        ..registration("bob", 120.0)
    };
    let record = store.register(asked).await.unwrap();
    assert_eq!((&record.consent, &record.language), (&None, &None));
}

#[tokio::test]
async fn consent_can_be_asked_for_and_voices_counted() {
    let folder = tempfile::TempDir::new().unwrap();
    let settings = Settings {
        require_consent: true,
        max_voices: 2,
        ..settings()
    };
    let place = Place::Folder(folder.path().to_owned());
    let studio = Arc::new(Counting::default());
    let store = VoiceStore::open(settings, &place, pack_with_voice("pack"), studio)
        .await
        .unwrap();
    let error = store.register(registration("a", 120.0)).await.unwrap_err();
    assert_eq!(error.param(), Some("consent"));
    let with_consent = |id: &str| Registration {
        notes: Notes {
            consent: Some("yes".to_owned()),
            ..Notes::default()
        },
        if_exists: IfExists::Replace,
        ..registration(id, 120.0)
    };
    store.register(with_consent("a")).await.unwrap();
    store.register(with_consent("b")).await.unwrap();
    let error = store.register(with_consent("c")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFull);
    // Replacing adds none.
    store.register(with_consent("b")).await.unwrap();
    store.delete("a", &Requester::Anyone).await.unwrap();
    store.register(with_consent("c")).await.unwrap();
}

#[tokio::test]
async fn what_is_no_reference_leaves_nothing() {
    let (store, studio, folder) = alone(pack("pack")).await;
    for (bytes, code) in [
        (Bytes::from_static(b"not audio"), ErrorCode::InvalidAudio),
        (file(0.5, 120.0), ErrorCode::AudioTooShort),
        (file(31.0, 120.0), ErrorCode::AudioTooLong),
    ] {
        let asked = Registration {
            upload: Upload::File(bytes),
            ..registration("ada", 120.0)
        };
        let error = store.register(asked).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(error.param(), Some("reference_audio"));
    }
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(studio.n_extracted(), 0);
}
