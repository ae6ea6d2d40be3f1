use std::time::Duration;

use chassis::api_error::Classify as _;
use futures_util::future::join_all;
use tempfile::TempDir;
use wire::error::ErrorCode;

use super::super::*;
use super::rig::*;

/// Two instances on one folder.
async fn two() -> ([VoiceStore; 2], [Arc<Counting>; 2], TempDir) {
    let folder = TempDir::new().unwrap();
    let studios = [Arc::default(), Arc::default()];
    let stores = [
        on(folder.path(), pack_with_voice("pack"), &studios[0]).await,
        on(folder.path(), pack_with_voice("pack"), &studios[1]).await,
    ];
    (stores, studios, folder)
}

#[tokio::test]
async fn what_one_registers_the_other_uses_at_once() {
    let ([one, other], studios, _folder) = two().await;
    let unknown = other.resolve("ada").await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::UnknownVoice);
    let record = one.register(registration("ada", 120.0)).await.unwrap();
    let voice = other.resolve("ada").await.unwrap();
    assert_eq!(voice.record, record);
    assert_eq!(
        voice.conditioning,
        one.resolve("ada").await.unwrap().conditioning
    );
    // The other found the conditioning too. It extracted nothing, not even the built-in voice.
    assert_eq!(studios[1].n_extracted(), 0);
    until_stale().await;
    assert_eq!(other.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_one_deletes_the_other_loses() {
    let ([one, other], _studios, _folder) = two().await;
    one.register(registration("ada", 120.0)).await.unwrap();
    other.resolve("ada").await.unwrap();
    assert_eq!(other.list().await.unwrap().len(), 2);
    one.delete("ada", &Requester::Anyone).await.unwrap();
    until_stale().await;
    let gone = other.resolve("ada").await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UnknownVoice);
    assert_eq!(other.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_one_deletes_the_other_lists_no_more() {
    let ([one, other], _studios, _folder) = two().await;
    one.register(registration("ada", 120.0)).await.unwrap();
    until_stale().await;
    assert_eq!(other.list().await.unwrap().len(), 2);
    one.delete("ada", &Requester::Anyone).await.unwrap();
    until_stale().await;
    // Nobody asked for the voice itself meanwhile.
    assert_eq!(other.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_one_replaces_the_other_hears() {
    let ([one, other], _studios, _folder) = two().await;
    one.register(registration("ada", 120.0)).await.unwrap();
    let before = other.resolve("ada").await.unwrap();
    let replacement = Registration {
        if_exists: IfExists::Replace,
        ..registration("ada", 200.0)
    };
    one.register(replacement).await.unwrap();
    until_stale().await;
    let after = other.resolve("ada").await.unwrap();
    assert_ne!(before.record.digest, after.record.digest);
    assert_ne!(before.conditioning, after.conditioning);
}

/// An instance that knows a voice and goes on taking what it knows for true.
async fn trusting(folder: &std::path::Path) -> VoiceStore {
    let settings = Settings {
        refresh: Duration::from_secs(3_600),
        ..settings()
    };
    let place = Place::Folder(folder.to_owned());
    let studio = Arc::<Counting>::default();
    let store = VoiceStore::open(settings, &place, pack("pack"), studio).await;
    let store = store.unwrap();
    store.describe("ada").await.unwrap();
    store
}

#[tokio::test]
async fn what_one_has_just_replaced_the_other_does_not_call_damaged() {
    let (one, _studio, folder) = alone(pack("pack")).await;
    one.register(registration("ada", 120.0)).await.unwrap();
    let other = trusting(folder.path()).await;
    let replacement = Registration {
        if_exists: IfExists::Replace,
        ..registration("ada", 200.0)
    };
    let record = one.register(replacement).await.unwrap();
    let voice = other.resolve("ada").await.unwrap();
    assert_eq!(voice.record, record);
    let expected = one.resolve("ada").await.unwrap();
    assert_eq!(voice.conditioning, expected.conditioning);
}

#[tokio::test]
async fn what_one_has_just_deleted_the_other_does_not_call_damaged() {
    let (one, _studio, folder) = alone(pack("pack")).await;
    one.register(registration("ada", 120.0)).await.unwrap();
    let other = trusting(folder.path()).await;
    one.delete("ada", &Requester::Anyone).await.unwrap();
    let gone = other.resolve("ada").await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::UnknownVoice);
}

#[tokio::test]
async fn a_voice_that_takes_an_alias_s_name_is_found_by_the_other() {
    let ([one, other], _studios, _folder) = two().await;
    assert_eq!(other.describe("nova").await.unwrap().id.as_str(), "default");
    one.register(registration("nova", 120.0)).await.unwrap();
    until_stale().await;
    assert_eq!(other.describe("nova").await.unwrap().id.as_str(), "nova");
    one.delete("nova", &Requester::Anyone).await.unwrap();
    until_stale().await;
    assert_eq!(other.describe("nova").await.unwrap().id.as_str(), "default");
}

#[tokio::test]
async fn of_many_that_register_one_id_one_succeeds() {
    let ([one, other], _studios, folder) = two().await;
    let attempts = (0..8_u8).map(|idx| {
        let store = if idx % 2 == 0 { &one } else { &other };
        // None of them is the built-in voice, with which it would share a conditioning.
        store.register(registration("ada", 101.0 + 10.0 * f32::from(idx)))
    });
    let outcomes = join_all(attempts).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    for error in outcomes.iter().filter_map(|it| it.as_ref().err()) {
        assert_eq!(error.code(), ErrorCode::VoiceExists);
    }
    until_stale().await;
    for store in [&one, &other] {
        let voice = store.resolve("ada").await.unwrap();
        assert_eq!(voice.record, *winners[0]);
    }
    // Nothing of the losers: the winner's three files, and what was made of the built-in voice.
    let kept = files(folder.path());
    assert_eq!(kept.len(), 4, "{kept:?}");
}

#[tokio::test]
async fn of_many_that_register_one_recording_one_loses_nothing() {
    let ([one, other], _studios, folder) = two().await;
    let attempts = (0..6).map(|idx| {
        let store = if idx % 2 == 0 { &one } else { &other };
        store.register(registration("ada", 120.0))
    });
    // Each succeeds or is told that it exists, and the conditioning that they share stays.
    let n_registered = join_all(attempts)
        .await
        .iter()
        .filter(|it| it.is_ok())
        .count();
    assert!(0 < n_registered);
    let kept = files(folder.path());
    assert_eq!(kept.len(), 4, "{kept:?}");
    let studio = Arc::new(Counting::default());
    let third = on(folder.path(), pack_with_voice("pack"), &studio).await;
    third.resolve("ada").await.unwrap();
    assert_eq!(studio.n_extracted(), 0);
}

/// Two instances on one folder, of which the first ends no extraction before it is let.
async fn held() -> ([VoiceStore; 2], Arc<Counting>, TempDir) {
    let folder = TempDir::new().unwrap();
    let studio = Counting::held();
    let stores = [
        on(folder.path(), pack("pack"), &studio).await,
        on(folder.path(), pack("pack"), &Arc::default()).await,
    ];
    (stores, studio, folder)
}

fn replacement(name: &str, pitch_hz: f32) -> Registration {
    Registration {
        requester: key(name),
        if_exists: IfExists::Replace,
        ..registration("ada", pitch_hz)
    }
}

/// The voice is this one, on every instance, and nothing is left of any other.
async fn check_only(stores: &[VoiceStore; 2], folder: &TempDir, record: &Arc<Record>) {
    until_stale().await;
    for store in stores {
        assert_eq!(store.resolve("ada").await.unwrap().record, *record);
    }
    let kept = files(folder.path());
    assert_eq!(kept.len(), 3, "{kept:?}");
}

#[tokio::test]
async fn a_voice_that_came_meanwhile_is_not_replaced() {
    let (stores, studio, folder) = held().await;
    let meanwhile = async {
        studio.until_begun().await;
        let record = stores[1].register(replacement("ann", 120.0)).await;
        studio.let_go();
        record.unwrap()
    };
    let bobs = stores[0].register(replacement("bob", 200.0));
    let (refused, anns) = tokio::join!(bobs, meanwhile);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::VoiceExists);
    check_only(&stores, &folder, &anns).await;
}

#[tokio::test]
async fn a_voice_that_changed_hands_meanwhile_is_not_replaced() {
    let (stores, studio, folder) = held().await;
    let first = replacement("bob", 90.0);
    stores[1].register(first).await.unwrap();
    let meanwhile = async {
        studio.until_begun().await;
        stores[1].delete("ada", &key("bob")).await.unwrap();
        let record = stores[1].register(replacement("ann", 120.0)).await;
        studio.let_go();
        record.unwrap()
    };
    let bobs = stores[0].register(replacement("bob", 200.0));
    let (refused, anns) = tokio::join!(bobs, meanwhile);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::Forbidden);
    check_only(&stores, &folder, &anns).await;
}

#[tokio::test]
async fn a_voice_that_changed_hands_meanwhile_stays_its_new_owner_s_when_an_admin_replaces_it() {
    let (stores, studio, _folder) = held().await;
    stores[1].register(replacement("bob", 90.0)).await.unwrap();
    let meanwhile = async {
        studio.until_begun().await;
        stores[1].delete("ada", &key("bob")).await.unwrap();
        let record = stores[1].register(replacement("ann", 120.0)).await;
        studio.let_go();
        record.unwrap()
    };
    let by_admin = stores[0].register(Registration {
        requester: admin("root"),
        ..replacement("bob", 200.0)
    });
    let (replaced, anns) = tokio::join!(by_admin, meanwhile);
    assert_eq!(replaced.unwrap().owner, anns.owner);
}

#[tokio::test]
async fn a_voice_that_its_owner_replaced_or_deleted_meanwhile_is_replaced() {
    for is_deleted in [false, true] {
        let (stores, studio, folder) = held().await;
        let first = replacement("bob", 90.0);
        stores[1].register(first).await.unwrap();
        let meanwhile = async {
            studio.until_begun().await;
            if is_deleted {
                stores[1].delete("ada", &key("bob")).await.unwrap();
            } else {
                let second = replacement("bob", 120.0);
                stores[1].register(second).await.unwrap();
            }
            studio.let_go();
        };
        let last = stores[0].register(replacement("bob", 200.0));
        let (last, ()) = tokio::join!(last, meanwhile);
        check_only(&stores, &folder, &last.unwrap()).await;
    }
}

/// A folder with a voice and without anything made of it, and a slow studio for it.
async fn cold(delay: Duration) -> (TempDir, Arc<Counting>, VoiceStore) {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    std::fs::remove_file(the_file(folder.path(), "conditioning")).unwrap();
    let studio = Counting::slow(delay);
    let store = on(folder.path(), pack("pack"), &studio).await;
    (folder, studio, store)
}

#[tokio::test]
async fn a_hundred_who_ask_for_a_new_voice_wait_for_one_extraction() {
    let (_folder, studio, store) = cold(Duration::from_millis(50)).await;
    let voices = join_all((0..100).map(|_| store.resolve("ada"))).await;
    let first = voices[0].as_ref().unwrap();
    for voice in &voices {
        let voice = voice.as_ref().unwrap();
        assert!(Arc::ptr_eq(&voice.conditioning, &first.conditioning));
    }
    assert_eq!(studio.n_extracted(), 1);
}

#[tokio::test]
async fn those_who_give_up_stop_nobody() {
    // Longer than a busy machine looks away.
    let (_folder, studio, store) = cold(Duration::from_secs(2)).await;
    let mut first = Box::pin(store.resolve("ada"));
    // Begun, and given up.
    while studio.n_extracted() == 0 {
        let waited = tokio::time::timeout(Duration::from_millis(2), &mut first).await;
        assert!(waited.is_err());
    }
    let (waiting, ()) = tokio::join!(store.resolve("ada"), async {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(first);
    });
    waiting.unwrap();
    assert_eq!(studio.n_extracted(), 1);
}

#[tokio::test]
async fn without_memory_voices_come_from_the_store() {
    let (store, _studio, folder) = alone(pack("pack")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let settings = Settings {
        cache_bytes: 0,
        ..settings()
    };
    let place = Place::Folder(folder.path().to_owned());
    let studio = Arc::new(Counting::default());
    let counted: Arc<dyn Studio> = Arc::<Counting>::clone(&studio);
    let store = VoiceStore::open(settings, &place, pack("pack"), counted)
        .await
        .unwrap();
    let first = store.resolve("ada").await.unwrap();
    let second = store.resolve("ada").await.unwrap();
    assert!(!Arc::ptr_eq(&first.conditioning, &second.conditioning));
    assert_eq!(first.conditioning, second.conditioning);
    assert_eq!(studio.n_extracted(), 0);
}

#[tokio::test]
async fn what_was_made_for_a_voice_deleted_meanwhile_goes_too() {
    let (folder, studio, store) = cold(Duration::from_secs(3)).await;
    // Long enough for the deletion to be over before there is anything made.
    let other = on(folder.path(), pack("pack"), &Arc::default()).await;
    let deletion = async {
        studio.until_begun().await;
        other.delete("ada", &Requester::Anyone).await.unwrap();
    };
    let (voice, ()) = tokio::join!(store.resolve("ada"), deletion);
    voice.unwrap();
    assert_eq!(files(folder.path()), [""; 0]);
}
