//! Fetching from Debian's `docker-registry`, and from registries that behave.

use std::{
    collections::HashSet,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use meshkeep_core::secret::PullCredential;
use meshkeep_image::{
    HostSettings, Reference, RegistrySettings,
    testing::{ImageParts, RegistryOptions, Silent, TestRegistry, answer},
};
use serde_json::json;

use crate::support::{Shelf, Told, assert_refused, digest_of, insecure, layer, scripted, serve_parts, small};

#[tokio::test]
async fn a_private_image_is_fetched_with_its_credential() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    let layers = [layer("one", &[1; 300_000]), layer("two", b"2"), layer("three", b"")];
    let config = json!({"config": {"Cmd": ["/one"], "Env": ["A=b"], "User": "7"}});
    let digest = registry.push_image("team/app", "1", &layers, &config).await;
    let shelf = Shelf::new(registry.settings()).await;
    let reference: Reference = format!("{}/team/app:1", registry.host()).parse().unwrap();
    let told = Arc::new(Told::default());
    let image = shelf.images.fetch(&reference, Some(&registry.credential()), told.clone()).await.unwrap();

    assert_eq!(image.digest, digest);
    assert_eq!(image.reference, reference.as_written());
    assert_eq!((image.config.cmd.as_slice(), image.config.user.as_str()), (&["/one".to_owned()][..], "7"));
    let diff_ids: Vec<_> = layers.iter().map(|tar| digest_of(tar)).collect();
    assert_eq!(image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>(), diff_ids);
    for layer in &image.layers {
        assert!(std::fs::metadata(&layer.path).unwrap().len() > 0, "{layer:?}");
    }
    assert_eq!(shelf.files("tmp"), [""; 0]);
    assert_eq!(std::fs::metadata(shelf.dir.path().join("images")).unwrap().permissions().mode() & 0o7777, 0o700);
    let told = told.0.lock().unwrap();
    assert_eq!(told.iter().filter(|one| one.done == one.total).map(|one| &one.blob).collect::<HashSet<_>>().len(), 3);
}

#[tokio::test]
async fn an_unchanged_image_costs_one_head() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    registry.push_image("team/app", "1", &[layer("a", b"1"), layer("b", b"2")], &json!({})).await;
    let shelf = Shelf::new(registry.settings()).await;
    let reference = format!("{}/team/app:1", registry.host());
    let credential = registry.credential();
    let first = shelf.fetch(&reference, Some(&credential)).await.unwrap();
    for _ in 0..2 {
        registry.forget_requests();
        let again = shelf.fetch(&reference, Some(&credential)).await.unwrap();
        assert_eq!((again.digest, again.layers), (first.digest.clone(), first.layers.clone()));
        assert_eq!(registry.request_lines(), ["HEAD /v2/team/app/manifests/1"]);
    }
    // A pinned reference is proved as well.
    let pinned = format!("{}/team/app@{}", registry.host(), first.digest);
    registry.forget_requests();
    shelf.fetch(&pinned, Some(&credential)).await.unwrap();
    assert_eq!(registry.request_lines(), [format!("HEAD /v2/team/app/manifests/{}", first.digest)]);
}

#[tokio::test]
async fn a_cached_image_is_closed_to_others() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    registry.push_image("team/app", "1", &[layer("a", b"1")], &json!({})).await;
    let shelf = Shelf::new(registry.settings()).await;
    let reference = format!("{}/team/app:1", registry.host());
    shelf.fetch(&reference, Some(&registry.credential())).await.unwrap();

    assert_refused(shelf.fetch(&reference, None).await, "no_credential");
    let wrong = PullCredential { password: "wrong".into(), ..registry.credential() };
    assert_refused(shelf.fetch(&reference, Some(&wrong)).await, "wrong_credential");
    let elsewhere = PullCredential { server: "registry.example.com".into(), ..registry.credential() };
    assert_refused(shelf.fetch(&reference, Some(&elsewhere)).await, "wrong_registry");
    let gone = format!("{}/team/app:2", registry.host());
    assert_refused(shelf.fetch(&gone, Some(&registry.credential())).await, "not_found_or_no_permission");
    // The good credential still opens it.
    shelf.fetch(&reference, Some(&registry.credential())).await.unwrap();
}

#[tokio::test]
async fn a_moved_tag_fetches_only_what_is_new() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    let (base, old, new) = (layer("base", &[7; 9000]), layer("app", b"old"), layer("app", b"new"));
    registry.push_image("team/app", "1", &[base.clone(), old], &json!({})).await;
    let shelf = Shelf::new(registry.settings()).await;
    let reference = format!("{}/team/app:1", registry.host());
    shelf.fetch(&reference, Some(&registry.credential())).await.unwrap();
    let moved = ImageParts::new(&[base, new], &json!({}));
    registry.push_parts("team/app", "1", &moved).await;
    registry.forget_requests();
    let image = shelf.fetch(&reference, Some(&registry.credential())).await.unwrap();
    assert_eq!(image.digest, moved.digest());
    let mut lines = registry.request_lines();
    lines.sort();
    let mut expected = [
        "HEAD /v2/team/app/manifests/1".to_owned(),
        format!("GET /v2/team/app/manifests/{}", moved.digest()),
        format!("GET /v2/team/app/blobs/{}", digest_of(&moved.config)),
        // The base is here: the registry only says that this credential may have it.
        format!("HEAD /v2/team/app/blobs/{}", digest_of(&moved.blobs[0])),
        format!("GET /v2/team/app/blobs/{}", digest_of(&moved.blobs[1])),
    ];
    expected.sort();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn every_layer_kind_is_fetched() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    let tar = layer("x", &[5; 100_000]);
    let zstd = zstd::encode_all(&tar[..], 3).unwrap();
    let kinds = [
        ("tar", tar.clone(), "tar"),
        ("gzip", meshkeep_image::testing::gzip(&tar), "tar+gzip"),
        ("zstd", zstd, "tar+zstd"),
    ];
    for (tag, blob, kind) in kinds {
        let shelf = Shelf::new(registry.settings()).await;
        let media_type = format!("application/vnd.oci.image.layer.v1.{kind}");
        let parts = ImageParts::of_blobs(std::slice::from_ref(&tar), vec![blob], &media_type, &json!({}));
        registry.push_parts("kinds", tag, &parts).await;
        let image = shelf.fetch(&format!("{}/kinds:{tag}", registry.host()), None).await.unwrap();
        assert_eq!(image.layers[0].diff_id, digest_of(&tar), "{kind}");
    }
}

#[tokio::test]
async fn a_list_leads_to_this_machines_image() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    let parts = small();
    registry.push_parts("team/app", "amd", &parts).await;
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let list = |architecture: &str| {
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": ImageParts::MEDIA_TYPE, "digest": parts.digest(), "size": parts.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            }],
        })
        .to_string()
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    registry.push_manifest("team/app", "list", media_type, list(here).as_bytes()).await;
    registry.push_manifest("team/app", "other", media_type, list("s390x").as_bytes()).await;
    let shelf = Shelf::new(registry.settings()).await;
    let (reference, credential) = (format!("{}/team/app:list", registry.host()), registry.credential());
    assert_eq!(shelf.fetch(&reference, Some(&credential)).await.unwrap().digest, parts.digest());
    registry.forget_requests();
    assert_eq!(shelf.fetch(&reference, Some(&credential)).await.unwrap().digest, parts.digest());
    assert_eq!(registry.request_lines(), ["HEAD /v2/team/app/manifests/list"]);
    let other = format!("{}/team/app:other", registry.host());
    let refused = assert_refused(shelf.fetch(&other, Some(&credential)).await, "wrong_architecture").to_string();
    assert!(refused.contains("linux/s390x") && refused.contains(here), "{refused}");
}

#[tokio::test]
async fn fetches_of_one_layer_at_the_same_time_share_it() {
    let parts = small();
    let blob = digest_of(&parts.blobs[0]);
    let downloads = Arc::new(AtomicUsize::new(0));
    let server = scripted({
        let (parts, downloads, path) = (parts.clone(), Arc::clone(&downloads), format!("/v2/team/app/blobs/{blob}"));
        move |seen| {
            if seen.method == "GET" && seen.path == path {
                downloads.fetch_add(1, Ordering::SeqCst);
            }
            serve_parts(&parts, seen)
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    let outcomes = futures_util::future::join_all((0..20).map(|_| shelf.fetch(&reference, None))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_registry_without_digests_in_its_answers_works() {
    let parts = small();
    let server = scripted({
        let parts = parts.clone();
        move |seen| match (seen.method.as_str(), serve_parts(&parts, seen)) {
            ("HEAD", _) => answer(405, &[], ""),
            (_, mut served) => {
                served.headers_mut().remove("docker-content-digest");
                served
            }
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    assert_eq!(shelf.fetch(&reference, None).await.unwrap().digest, parts.digest());
    server.forget();
    shelf.fetch(&reference, None).await.unwrap();
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/1", "GET /v2/team/app/manifests/1"]);
    assert_eq!(shelf.images.check(&reference.parse().unwrap(), None).await.unwrap(), parts.digest());
}

#[tokio::test]
async fn an_interrupted_store_is_clean_at_the_next_start() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    registry.push_image("app", "1", &[layer("a", b"1")], &json!({})).await;
    let shelf = Shelf::new(registry.settings()).await;
    std::fs::write(shelf.dir.path().join("images/tmp/half"), "half").unwrap();
    std::fs::write(shelf.dir.path().join("images/layers/00.json"), "[]").unwrap();
    let mut config = meshkeep_image::ImagesConfig::new(shelf.dir.path().join("images"));
    config.registries = registry.settings();
    let again = meshkeep_image::Images::open(config).await.unwrap();
    assert!(shelf.is_bare());
    let reference = format!("{}/app:1", registry.host()).parse().unwrap();
    again.fetch(&reference, None, Arc::new(Silent)).await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaves_nothing() {
    let parts = ImageParts::new(&[layer("big", &[9; 3_000_000])], &json!({}));
    let blob = format!("/v2/team/app/blobs/{}", digest_of(&parts.blobs[0]));
    let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
    let server = meshkeep_image::testing::Server::start(move |seen| {
        let (parts, blob, reached) = (parts.clone(), blob.clone(), reached.clone());
        async move {
            if seen.path == blob {
                reached.send(()).unwrap();
                std::future::pending::<()>().await;
            }
            serve_parts(&parts, &seen)
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    tokio::select! {
        outcome = shelf.fetch(&reference, None) => panic!("{outcome:?}"),
        _ = reaching.recv() => {}
    }
    // The converter's thread notices that its channel closed, and removes its file.
    while !shelf.files("tmp").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(shelf.is_bare());
}

#[tokio::test]
async fn garbage_is_what_no_tag_leads_to() {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    let credential = registry.credential();
    let shelf = Shelf::with(registry.settings(), |config| config.grace = std::time::Duration::ZERO).await;
    let (base, old, new) = (layer("base", b"base"), layer("app", b"old"), layer("app", b"new"));
    let reference = format!("{}/team/app:1", registry.host());
    registry.push_image("team/app", "1", &[base.clone(), old.clone()], &json!({})).await;
    let first = shelf.fetch(&reference, Some(&credential)).await.unwrap();
    assert_eq!(shelf.images.collect_garbage(&HashSet::new()).await.unwrap().layers, 0);
    registry.push_image("team/app", "1", &[base.clone(), new.clone()], &json!({})).await;
    let second = shelf.fetch(&reference, Some(&credential)).await.unwrap();
    let running = HashSet::from([first.digest.clone()]);
    assert_eq!(shelf.images.collect_garbage(&running).await.unwrap().layers, 0);
    let running = HashSet::from([digest_of(&old)]);
    let collected = shelf.images.collect_garbage(&running).await.unwrap();
    assert_eq!((collected.images, collected.layers), (1, 0));
    let collected = shelf.images.collect_garbage(&HashSet::new()).await.unwrap();
    assert_eq!((collected.images, collected.layers), (0, 1));
    assert!(second.layers.iter().all(|layer| layer.path.exists()));
    assert!(!first.layers[1].path.exists());
    registry.forget_requests();
    shelf.fetch(&reference, Some(&credential)).await.unwrap();
    assert_eq!(registry.requests().len(), 1);
}

#[tokio::test]
async fn the_disk_budget_holds() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    let noise = |seed: u8| -> Vec<u8> {
        let mut state = u32::from(seed) + 1;
        (0..400_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    registry.push_image("one", "1", &[layer("a", &noise(1))], &json!({})).await;
    registry.push_image("two", "1", &[layer("a", &noise(2))], &json!({})).await;
    let shelf = Shelf::with(registry.settings(), |config| {
        config.disk_budget_bytes = Some(600_000);
        config.grace = std::time::Duration::ZERO;
    })
    .await;
    let image = |name: &str| format!("{}/{name}:1", registry.host());
    let one = shelf.fetch(&image("one"), None).await.unwrap();
    assert_refused(shelf.fetch(&image("two"), None).await, "disk_budget");
    // Within the budget nothing goes.
    assert_eq!(shelf.images.collect_garbage(&HashSet::new()).await.unwrap().layers, 0);
    assert!(one.layers[0].path.exists());
    assert_eq!(shelf.files("tmp"), [""; 0]);
}

#[tokio::test]
async fn over_the_budget_the_longest_unused_images_go() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    let shelf = Shelf::with(registry.settings(), |config| config.grace = std::time::Duration::ZERO).await;
    let mut images = Vec::new();
    for (name, byte) in [("a", 1), ("b", 2), ("c", 3)] {
        registry.push_image(name, "1", &[layer("x", &[byte; 100_000])], &json!({})).await;
        images.push(shelf.fetch(&format!("{}/{name}:1", registry.host()), None).await.unwrap());
    }
    // `a` is used again, so that `b` is the oldest; `c` runs.
    shelf.fetch(&format!("{}/a:1", registry.host()), None).await.unwrap();
    let used = shelf.images.used_bytes().await.unwrap();
    let mut config = meshkeep_image::ImagesConfig::new(shelf.dir.path().join("images"));
    (config.grace, config.disk_budget_bytes) = (std::time::Duration::ZERO, Some(used - 1));
    let tight = meshkeep_image::Images::open(config).await.unwrap();
    let running = HashSet::from([images[2].digest.clone()]);
    let collected = tight.collect_garbage(&running).await.unwrap();
    assert_eq!((collected.images, collected.layers), (1, 1));
    let left: Vec<bool> = images.iter().map(|image| image.layers[0].path.exists()).collect();
    assert_eq!(left, [true, false, true]);
    assert!(tight.used_bytes().await.unwrap() < used);
}

#[tokio::test]
async fn young_images_and_layers_are_not_collected() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    let shelf = Shelf::new(registry.settings()).await;
    for content in [b"1", b"2"] {
        registry.push_image("app", "1", &[layer("x", content)], &json!({})).await;
        shelf.fetch(&format!("{}/app:1", registry.host()), None).await.unwrap();
    }
    assert_eq!(shelf.images.collect_garbage(&HashSet::new()).await.unwrap(), meshkeep_image::Collected::default());
}

#[tokio::test]
async fn a_layer_of_an_unfinished_fetch_is_not_collected() {
    let parts = ImageParts::new(&[layer("first", b"1"), layer("second", b"2")], &json!({}));
    let held = format!("/v2/team/app/blobs/{}", digest_of(&parts.blobs[1]));
    let release = Arc::new(tokio::sync::Notify::new());
    let server = meshkeep_image::testing::Server::start({
        let release = Arc::clone(&release);
        move |seen| {
            let (parts, held, release) = (parts.clone(), held.clone(), Arc::clone(&release));
            async move {
                if seen.path == held {
                    release.notified().await;
                }
                serve_parts(&parts, &seen)
            }
        }
    })
    .await;
    let shelf = Shelf::with(insecure(&[&server.host()]), |config| config.grace = std::time::Duration::ZERO).await;
    let reference = format!("{}/team/app:1", server.host());
    let collect = async {
        while shelf.files("layers").len() < 2 {
            tokio::task::yield_now().await;
        }
        let collected = shelf.images.collect_garbage(&HashSet::new()).await.unwrap();
        release.notify_one();
        collected
    };
    let (image, collected) = futures_util::future::join(shelf.fetch(&reference, None), collect).await;
    assert_eq!(collected.layers, 0);
    assert!(image.unwrap().layers.iter().all(|layer| layer.path.exists()));
}

#[tokio::test]
async fn a_collection_beside_fetches_breaks_none() {
    let registry = TestRegistry::start(RegistryOptions { login: None }).await;
    let shelf = Shelf::with(registry.settings(), |config| config.grace = std::time::Duration::ZERO).await;
    let shelf = &shelf;
    let base = layer("base", &[1; 50_000]);
    for number in 0..6_u8 {
        registry.push_image("app", &number.to_string(), &[base.clone(), layer("x", &[number])], &json!({})).await;
    }
    let fetches = (0..60).map(|n| {
        let reference = format!("{}/app:{}", registry.host(), n % 6);
        async move {
            let image = shelf.fetch(&reference, None).await.unwrap();
            assert!(image.layers.iter().all(|layer| layer.path.exists()), "{reference}");
        }
    });
    let collections = async {
        for _ in 0..40 {
            shelf.images.collect_garbage(&HashSet::new()).await.unwrap();
        }
    };
    futures_util::future::join(futures_util::future::join_all(fetches), collections).await;
}

#[tokio::test]
async fn a_name_of_the_settings_reaches_a_private_address() {
    let parts = small();
    let server = scripted(move |seen| serve_parts(&parts, seen)).await;
    let host = format!("registry.corp.test:{}", server.port());
    let reference = format!("{host}/team/app:1");
    let settings = |section: HostSettings| {
        let settings = RegistrySettings::new([(host.parse().unwrap(), section)].into());
        settings.names.add("registry.corp.test", &["127.0.0.1"]);
        settings
    };
    let closed = Shelf::new(settings(HostSettings::default())).await;
    assert_refused(closed.fetch(&reference, None).await, "refused_address");
    assert_eq!(server.connections(), 0);
    let open = Shelf::new(settings(HostSettings { insecure: true, ..HostSettings::default() })).await;
    open.fetch(&reference, None).await.unwrap();
}
