use audio::Samples;
use chassis::api_error::Classify as _;
use wire::error::ErrorCode;

use super::super::*;
use super::rig::*;

#[tokio::test]
async fn another_pack_extracts_from_what_was_kept() {
    let (store, _studio, folder) = alone(pack("english")).await;
    store.register(registration("ada", 120.0)).await.unwrap();
    let studio = Arc::new(Counting::default());
    let other = on(folder.path(), pack("turbo"), &studio).await;
    other.resolve("ada").await.unwrap();
    assert_eq!(studio.n_extracted(), 1);
    let kept = files(folder.path());
    let folders: Vec<&str> = kept
        .iter()
        .map(|it| it.rsplit_once('/').unwrap().0)
        .collect();
    assert_eq!(
        folders,
        [
            "audio",
            "conditioning/english",
            "conditioning/turbo",
            "voices"
        ]
    );
    // Once: the next start finds it.
    let studio = Arc::new(Counting::default());
    let again = on(folder.path(), pack("turbo"), &studio).await;
    again.resolve("ada").await.unwrap();
    assert_eq!(studio.n_extracted(), 0);
    // Deleting leaves nothing of either.
    store.delete("ada", &Requester::Anyone).await.unwrap();
    assert_eq!(files(folder.path()), [""; 0]);
}

#[tokio::test]
async fn each_pack_hears_its_own_level_and_the_store_none() {
    let peak = |samples: &[f32]| samples.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    let english = Pack {
        level: Level::ENGLISH,
        ..pack("english")
    };
    let (store, studio, folder) = alone(english).await;
    let loud = voice_at(0.9);
    let asked = Registration {
        upload: loud,
        ..registration("ada", 120.0)
    };
    store.register(asked).await.unwrap();
    assert!((peak(&studio.last()) - 0.3).abs() < 1e-3);

    let turbo = Pack {
        level: Level::TURBO,
        ..pack("turbo")
    };
    let studio = Arc::new(Counting::default());
    on(folder.path(), turbo, &studio)
        .await
        .resolve("ada")
        .await
        .unwrap();
    let turbo_peak = peak(&studio.last());
    assert!(
        turbo_peak < 0.5 && (turbo_peak - 0.3).abs() > 1e-3,
        "{turbo_peak}"
    );

    let studio = Arc::new(Counting::default());
    on(folder.path(), pack("demo"), &studio)
        .await
        .resolve("ada")
        .await
        .unwrap();
    assert!((peak(&studio.last()) - 0.9).abs() < 1e-3);
}

fn voice_at(peak: f32) -> Upload {
    let samples = super::sounds::voice(6.0, 120.0);
    let own = samples.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    Upload::Decoded {
        samples: samples.iter().map(|it| it * peak / own).collect(),
        rate: audio::SampleRate::HZ_24000,
    }
}

fn turbo() -> Pack {
    Pack {
        above: Some(Samples(5 * 24_000)),
        ..pack("turbo")
    }
}

fn short() -> Registration {
    Registration {
        upload: Upload::File(file(4.0, 120.0)),
        ..registration("ada", 120.0)
    }
}

#[tokio::test]
async fn turbo_refuses_short_references_when_they_are_registered() {
    let (store, studio, folder) = alone(turbo()).await;
    let error = store.register(short()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AudioTooShort);
    assert!(error.to_string().contains("more than 5.0 s"), "{error}");
    assert_eq!((studio.n_extracted(), files(folder.path()).len()), (0, 0));
    store.register(registration("ada", 120.0)).await.unwrap();
}

#[tokio::test]
async fn turbo_refuses_short_references_of_other_packs() {
    let (english, _studio, folder) = alone(pack("english")).await;
    let record = english.register(short()).await.unwrap();
    assert_eq!(record.warnings, [Warning::Short]);
    let studio = Arc::new(Counting::default());
    let store = on(folder.path(), turbo(), &studio).await;
    let error = store.resolve("ada").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AudioTooShort);
    assert_eq!(studio.n_extracted(), 0);
    english.resolve("ada").await.unwrap();
}

#[tokio::test]
async fn the_operator_overrules_turbo() {
    let folder = tempfile::TempDir::new().unwrap();
    let settings = Settings {
        accept_short: true,
        ..settings()
    };
    let place = Place::Folder(folder.path().to_owned());
    let studio = Arc::new(Counting::default());
    let store = VoiceStore::open(settings, &place, turbo(), studio)
        .await
        .unwrap();
    store.register(short()).await.unwrap();
    store.resolve("ada").await.unwrap();
}

#[tokio::test]
async fn a_pack_s_default_voice_has_to_be_one() {
    let folder = tempfile::TempDir::new().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let studio = Arc::new(Counting::default());
    let broken = Pack {
        default_voice: Some(Bytes::from_static(b"broken")),
        ..pack("pack")
    };
    let opened = VoiceStore::open(settings(), &place, broken, studio).await;
    assert_eq!(opened.unwrap_err().code(), ErrorCode::InvalidAudio);
}
