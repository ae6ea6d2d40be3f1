use std::time::{Duration, Instant, SystemTime};

use chassis::api_error::Classify as _;
use wire::error::ErrorCode;

use super::super::*;
use super::rig::*;

/// One instance on a store that can fail.
async fn failing() -> (Arc<Failing>, Arc<Counting>, VoiceStore) {
    let (objects, studio) = (Arc::default(), Arc::default());
    let store = over(&objects, &studio).await;
    (objects, studio, store)
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing() {
    for folder in ["audio", "conditioning", "voices"] {
        let (objects, _studio, store) = failing().await;
        objects.set(Some(Fault::Full(folder)));
        let error = store
            .register(registration("ada", 120.0))
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::StorageFull, "{folder}");
        assert_eq!(objects.objects().await, [""; 0], "{folder}");
        let unknown = store.resolve("ada").await.unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::UnknownVoice);

        objects.set(None);
        store.register(registration("ada", 120.0)).await.unwrap();
        assert_eq!(objects.objects().await.len(), 3);
    }
}

#[test]
fn a_name_is_not_taken_for_a_full_disk() {
    let refused = |text: &str| object_store::Error::Generic {
        store: "S3",
        source: text.to_owned().into(),
    };
    let full = "507 Insufficient Storage: <Error><Code>XMinioStorageFull</Code></Error>";
    assert!(archive::is_full(&refused(full)));
    assert!(archive::is_full(&refused(
        "<Error><Code>XMinioStorageFull</Code></Error>"
    )));
    for text in [
        "PUT /voices/StorageFull.json: 500",
        "PUT /voices/507.json: 500",
    ] {
        assert!(!archive::is_full(&refused(text)));
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_replaced_voice_as_it_was() {
    for folder in ["audio", "conditioning", "voices"] {
        let (objects, _studio, store) = failing().await;
        let first = store.register(registration("ada", 120.0)).await.unwrap();
        let before = objects.objects().await;
        objects.set(Some(Fault::Full(folder)));
        let replacement = Registration {
            if_exists: IfExists::Replace,
            ..registration("ada", 200.0)
        };
        let error = store.register(replacement).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StorageFull, "{folder}");
        assert_eq!(objects.objects().await, before, "{folder}");
        until_stale().await;
        assert_eq!(store.resolve("ada").await.unwrap().record, first);
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_used_all_the_same() {
    let (objects, _studio, store) = failing().await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let made = objects
        .objects()
        .await
        .into_iter()
        .find(|it| it.starts_with("cond"));
    objects.spoil(&made.unwrap()).await;
    objects.set(Some(Fault::Full("conditioning")));
    let studio = Arc::default();
    let restarted = over(&objects, &studio).await;
    restarted.resolve("ada").await.unwrap();
    restarted.resolve("ada").await.unwrap();
    assert_eq!(studio.n_extracted(), 1);
}

#[tokio::test]
async fn a_lost_answer_loses_no_voice() {
    let (objects, _studio, store) = failing().await;
    objects.set(Some(Fault::Deaf("voices")));
    let error = store
        .register(registration("ada", 120.0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    objects.set(None);
    // It was written, and is whole; who asks again hears so.
    assert_eq!(objects.objects().await.len(), 3);
    store.resolve("ada").await.unwrap();
    store.register(registration("ada", 120.0)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_whole_voice_or_none() {
    let (objects, _studio, store) = failing().await;
    // Half of the time after which the store is given up.
    objects.set(Some(Fault::Slow("voices", Duration::from_millis(750))));
    let mut registering = Box::pin(store.register(registration("ada", 120.0)));
    while objects.objects().await.len() < 2 {
        let waited = tokio::time::timeout(Duration::from_millis(2), &mut registering).await;
        assert!(waited.is_err());
    }
    drop(registering);
    let gone = store.resolve("ada").await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UnknownVoice);
    let written = async {
        while objects.objects().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let written = tokio::time::timeout(Duration::from_secs(30), written).await;
    written.expect("the voice is written to its end");
    store.resolve("ada").await.unwrap();
}

#[tokio::test]
async fn damaged_conditionings_are_made_again() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let good = store.resolve("ada").await.unwrap();
    let path = the_file(folder.path(), "conditioning");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[1_000] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &[], &flipped] {
        std::fs::write(&path, damaged).unwrap();
        let studio = Arc::default();
        let store = on(folder.path(), pack("pack"), &studio).await;
        let voice = store.resolve("ada").await.unwrap();
        assert_eq!(voice.conditioning, good.conditioning);
        assert_eq!(studio.n_extracted(), 1);
        // And put back in order.
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn damaged_audio_is_noticed_when_it_is_needed() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let path = the_file(folder.path(), "audio");
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[5_000] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let restarted = on(folder.path(), pack("pack"), &Arc::default()).await;
    restarted.resolve("ada").await.unwrap();

    let studio = Arc::default();
    let other = on(folder.path(), pack("other"), &studio).await;
    let error = other.resolve("ada").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    assert!(error.to_string().contains("`ada` is damaged"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(other.resolve("ada").await.is_err());
    assert_eq!(studio.n_extracted(), 0);
    // The way out that the message names.
    other.delete("ada", &Requester::Anyone).await.unwrap();
    other.register(registration("ada", 120.0)).await.unwrap();
    other.resolve("ada").await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_hides_only_itself() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    for id in ["ada", "bob"] {
        store.register(registration(id, 120.0)).await.unwrap();
    }
    let record = std::fs::read_to_string(folder.path().join("voices/ada.json")).unwrap();
    let renamed = record.replace("\"ada\"", "\"bob\"");
    let newer = record.replace("\"version\": 1", "\"version\": 2");
    let astray = record.replace("\"digest\": \"", "\"digest\": \"../");
    assert!(newer != record && astray != record);
    for damaged in [
        "",
        "{",
        "[]",
        &record[..record.len() / 2],
        &renamed,
        &newer,
        &astray,
    ] {
        std::fs::write(folder.path().join("voices/ada.json"), damaged).unwrap();
        let store = on(folder.path(), pack("pack"), &Arc::default()).await;
        let listed = store.list().await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["bob"], "{damaged}");
        let error = store.resolve("ada").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StorageFailed);
        let error = store
            .register(registration("ada", 120.0))
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::StorageFailed);
        store.resolve("bob").await.unwrap();
    }
    // Whose it was is not known, so not everybody may delete it.
    let error = store.delete("ada", &key("ann")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    store.delete("ada", &admin("root")).await.unwrap();
    store.register(registration("ada", 120.0)).await.unwrap();
}

#[tokio::test]
async fn other_files_in_the_folder_are_left_alone() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    for name in [
        "voices/.ada.json.swp",
        "voices/no id.json",
        "voices/notes.txt",
        "README",
    ] {
        std::fs::write(folder.path().join(name), "{}").unwrap();
    }
    std::fs::create_dir(folder.path().join("voices/backup")).unwrap();
    std::fs::write(folder.path().join("voices/backup/x.json"), "{}").unwrap();
    let store = on(folder.path(), pack("pack"), &Arc::default()).await;
    assert_eq!(store.list().await.unwrap().len(), 1);
    assert_eq!(files(folder.path()).len(), 8);
}

#[tokio::test]
async fn voices_in_use_outlive_the_store() {
    let (objects, studio, store) = failing().await;
    store.register(registration("ada", 120.0)).await.unwrap();
    store.list().await.unwrap();
    objects.set(Some(Fault::Down));
    until_stale().await;
    store.resolve("ada").await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 1);
    let error = store.resolve("bob").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    let error = store
        .register(registration("bob", 120.0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    let error = store.delete("ada", &Requester::Anyone).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    assert_eq!(studio.n_extracted(), 1);
    objects.set(None);
    until_stale().await;
    store.register(registration("bob", 200.0)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_does_not_answer_delays_known_voices_once() {
    let (objects, _studio, store) = failing().await;
    store.register(registration("ada", 120.0)).await.unwrap();
    objects.set(Some(Fault::Mute));
    until_stale().await;
    let began = Instant::now();
    store.resolve("ada").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up() {
    let (objects, _studio, store) = failing().await;
    objects.set(Some(Fault::Mute));
    let error = store.resolve("bob").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
}

#[tokio::test]
async fn known_voices_are_not_read_again_and_again() {
    let (objects, _studio, store) = failing().await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let before = objects.n_reads();
    for _ in 0..50 {
        store.resolve("ada").await.unwrap();
        assert!(store.resolve("alloy").await.is_err());
    }
    // Once for the alias and once for its target, each time one of them is stale: far from 150.
    let n_reads = objects.n_reads() - before;
    assert!(n_reads <= 60, "{n_reads}");
}

#[tokio::test]
async fn what_a_killed_server_left_is_swept() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let kept = files(folder.path());
    let hours_ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3_600);
    for (name, hours) in [
        ("audio/0123-4567.wav", 25),
        ("audio/89ab-cdef.wav", 2),
        ("voices/bob.json#1", 25),
        ("voices/eve.json#12", 2),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, "left").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(hours_ago(hours)).unwrap();
    }
    let old = std::fs::File::options()
        .write(true)
        .open(the_file(folder.path(), &kept[0]));
    old.unwrap().set_modified(hours_ago(99)).unwrap();
    let store = on(folder.path(), pack("pack"), &Arc::default()).await;
    let mut expected = kept;
    // They may belong to a registration that is under way elsewhere.
    expected.extend(["audio/89ab-cdef.wav", "voices/eve.json#12"].map(str::to_owned));
    expected.sort();
    assert_eq!(files(folder.path()), expected);
    store.resolve("ada").await.unwrap();
}

#[tokio::test]
async fn nothing_is_swept_beside_a_record_of_a_later_version() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let path = folder.path().join("voices/ada.json");
    let record = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, record.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let audio = the_file(folder.path(), "audio");
    let file = std::fs::File::options().write(true).open(&audio).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    on(folder.path(), pack("pack"), &Arc::default()).await;
    assert!(audio.exists());
}

#[tokio::test]
async fn a_full_disk_does_not_keep_the_built_in_voice_from_speaking() {
    let (objects, _studio, _store) = failing().await;
    objects.set(Some(Fault::Full("")));
    let archive = Archive::over(Arc::<Failing>::clone(&objects));
    let studio = Arc::<Counting>::default();
    let store = VoiceStore::over(archive, settings(), pack_with_voice("pack"), studio).await;
    store.unwrap().resolve(DEFAULT_VOICE).await.unwrap();
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_said_at_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let place = Place::Folder(file.join("voices"));
    let opened = VoiceStore::open(settings(), &place, pack("pack"), Arc::<Counting>::default());
    let error = opened.await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFailed);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("voices.store") && cause.contains("file/voices"),
        "{cause}"
    );
}
