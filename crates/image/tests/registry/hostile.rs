//! Registries that try to get at the credential, at the host's network, at other people's layers, or at the disk.
//!
//! What must stay true: should a defence fail, these tests reach loopback at most; `addresses` has the rest.

use meshkeep_image::{
    Digest, HostSettings, RegistrySettings,
    testing::{ImageParts, RegistryOptions, Seen, TestRegistry, answer, gzip},
};
use serde_json::{Value, json};

use crate::support::{
    BASIC, Shelf, assert_refused, blob_path, challenge, credential, digest_of, insecure, layer, scripted, serve_parts,
    small, with_password,
};

fn is_layer_of(parts: &ImageParts, seen: &Seen) -> bool {
    seen.path.ends_with(digest_of(&parts.blobs[0]).as_str())
}

#[tokio::test]
async fn a_redirected_blob_gets_no_credential() {
    for status in [301, 302, 303, 307, 308] {
        let parts = small();
        let blob = parts.blobs[0].clone();
        let storage = scripted(move |_| answer(200, &[], blob.clone())).await;
        let target = format!("http://localhost:{}/signed?x=y", storage.port());
        let registry = scripted(move |seen| {
            with_password(seen, || match is_layer_of(&parts, seen) {
                true => answer(status, &[("location", &target)], ""),
                false => serve_parts(&parts, seen),
            })
        })
        .await;
        let shelf = Shelf::new(insecure(&[&registry.host(), &format!("localhost:{}", storage.port())])).await;
        let reference = format!("{}/team/app:1", registry.host());
        shelf.fetch(&reference, Some(&credential(&registry.host()))).await.unwrap();
        assert_eq!(storage.lines(), ["GET /signed?x=y"]);
        assert_eq!(storage.seen()[0].authorization(), None);
        assert!(registry.seen().iter().any(|one| one.authorization() == Some(BASIC)));
    }
}

#[tokio::test]
async fn a_redirect_back_gets_no_credential_either() {
    let parts = small();
    let here = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = std::sync::Arc::clone(&here);
    let bouncer =
        scripted(move |_| answer(307, &[("location", &format!("http://{}/back", back.get().unwrap()))], "")).await;
    let target = format!("http://localhost:{}/", bouncer.port());
    let registry = scripted(move |seen| match seen.path.as_str() {
        "/back" => answer(404, &[], ""),
        _ => with_password(seen, || match is_layer_of(&parts, seen) {
            true => answer(307, &[("location", &target)], ""),
            false => serve_parts(&parts, seen),
        }),
    })
    .await;
    here.set(registry.host()).unwrap();
    let shelf = Shelf::new(insecure(&[&registry.host(), &format!("localhost:{}", bouncer.port())])).await;
    let reference = format!("{}/team/app:1", registry.host());
    assert_refused(shelf.fetch(&reference, Some(&credential(&registry.host()))).await, "registry_failed");
    let back: Vec<_> = registry.seen().into_iter().filter(|one| one.path == "/back").collect();
    assert!(!back.is_empty() && back.iter().all(|one| one.authorization().is_none()));
}

#[tokio::test]
async fn redirects_end_and_stay_off_plain_http_and_private_addresses() {
    let inside = scripted(|_| answer(200, &[], "secret of the metadata service")).await;
    for (target, code) in [
        (format!("http://localhost:{}/", inside.port()), "redirect_refused"),
        (format!("https://127.0.0.2:{}/", inside.port()), "refused_address"),
        (format!("https://[::ffff:127.0.0.1]:{}/", inside.port()), "refused_address"),
        (format!("https://2130706433:{}/", inside.port()), "refused_address"),
        ("https://user:pw@localhost:1/".to_owned(), "redirect_refused"),
        ("file:///etc/passwd".to_owned(), "redirect_refused"),
        ("/again".to_owned(), "redirect_refused"),
    ] {
        let to = target.clone();
        let registry = scripted(move |_| answer(302, &[("location", &to)], "")).await;
        let shelf = Shelf::new(insecure(&[&registry.host()])).await;
        let reference = format!("{}/team/app:1", registry.host());
        let outcome = shelf.fetch(&reference, Some(&credential(&registry.host()))).await;
        assert_refused(outcome, code);
        assert!(registry.seen().len() <= 6, "{target}: {:?}", registry.lines());
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_at_each_connection() {
    let inside = scripted(|_| answer(200, &[], "")).await;
    let host = format!("rebind.test:{}", inside.port());
    let hosts = [(host.parse().unwrap(), HostSettings::default())].into();
    let settings = RegistrySettings::new(hosts);
    for address in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "127.1.2.3", "::ffff:127.0.0.2"] {
        settings.names.add("rebind.test", &[address]);
    }
    let shelf = Shelf::new(settings).await;
    for _ in 0..6 {
        let outcome = shelf.fetch(&format!("{host}/team/app:1"), Some(&credential(&host))).await;
        assert_refused(outcome, "refused_address");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn private_addresses_are_not_dialled_for_any_reference() {
    let shelf = Shelf::new(RegistrySettings::default()).await;
    for host in ["127.0.0.1:1", "localhost:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "[::ffff:7f00:2]:1"] {
        assert_refused(shelf.fetch(&format!("{host}/a:1"), Some(&credential(host))).await, "refused_address");
    }
}

#[tokio::test]
async fn plain_http_needs_the_insecure_mark() {
    let server = scripted(|seen| with_password(seen, || answer(200, &[], ""))).await;
    let section = HostSettings { allow_private: true, ..HostSettings::default() };
    let hosts = [(server.host().parse().unwrap(), section)].into();
    let shelf = Shelf::new(RegistrySettings::new(hosts)).await;
    let outcome = shelf.fetch(&format!("{}/a:1", server.host()), Some(&credential(&server.host()))).await;
    let error = assert_refused(outcome, "tls");
    assert!(error.refusal().hint.contains("--insecure-registry"), "{error:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_credential_reaches_no_other_registry() {
    let attacker = scripted(|_| challenge(r#"Basic realm="x""#)).await;
    let shelf = Shelf::new(insecure(&[&attacker.host()])).await;
    let reference = format!("{}/library/alpine:1", attacker.host());
    for server in ["docker.io", "127.0.0.1", "127.0.0.1:1", "registry.example.com", ""] {
        let outcome = shelf.fetch(&reference, Some(&credential(server))).await;
        assert_refused(outcome, if server.is_empty() { "bad_server" } else { "wrong_registry" });
    }
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test]
async fn what_a_registry_repeats_is_not_shown() {
    for echo in [
        "you sent robot:hunter2-hunter2",
        "you sent cm9ib3Q6aHVudGVyMi1odW50ZXIy",
        "\u{1b}[2J\r\nhunter2-hunter2",
        &format!("{}hunter2-hunter2", "x".repeat(195)),
    ] {
        let body = json!({"errors": [{"code": "DENIED", "message": echo}]}).to_string();
        let server = scripted(move |seen| match seen.authorization() {
            Some(_) => answer(403, &[], body.clone()),
            None => challenge(r#"Basic realm="x""#),
        })
        .await;
        let shelf = Shelf::new(insecure(&[&server.host()])).await;
        let outcome = shelf.fetch(&format!("{}/a:1", server.host()), Some(&credential(&server.host()))).await;
        let shown = assert_refused(outcome, "not_found_or_no_permission").to_string();
        assert!(shown.chars().all(|c| !c.is_control()) && shown.len() < 500, "{shown:?}");
    }
}

#[tokio::test]
async fn a_host_name_that_repeats_the_password_is_not_shown() {
    for target in ["https://hunter2-hunter2.evil.test/", "http://x.hunter2-hunter2.test/", "https://u@hunter2-hunter2/"]
    {
        let registry = scripted(move |seen| match seen.authorization() {
            Some(_) => answer(307, &[("location", target)], ""),
            None => challenge(r#"Basic realm="x""#),
        })
        .await;
        let settings = insecure(&[&registry.host()]);
        settings.names.add("hunter2-hunter2.evil.test", &[]);
        let shelf = Shelf::new(settings).await;
        let outcome = shelf.fetch(&format!("{}/a:1", registry.host()), Some(&credential(&registry.host()))).await;
        let code = if target.contains("evil") { "dns" } else { "redirect_refused" };
        assert!(assert_refused(outcome, code).to_string().contains("[redacted]"));
    }
    // As a token service's name, and a token in the registry's words.
    let parts = small();
    let registry = scripted(move |seen| {
        let host = seen.headers["host"].to_str().unwrap();
        match (seen.path.starts_with("/token"), seen.authorization()) {
            (true, _) => answer(200, &[], r#"{"token":"hunter2-token"}"#),
            (false, Some(_)) if seen.path.contains("/blobs/") => {
                answer(403, &[], r#"{"errors":[{"message":"not with hunter2-token"}]}"#)
            }
            (false, Some(_)) => serve_parts(&parts, seen),
            _ => challenge(&format!(r#"Bearer realm="http://{host}/token""#)),
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&registry.host()])).await;
    let outcome = shelf.fetch(&format!("{}/team/app:1", registry.host()), Some(&credential(&registry.host()))).await;
    let shown = assert_refused(outcome, "not_found_or_no_permission").to_string();
    assert!(shown.contains("not with [redacted]"), "{shown}");
}

#[tokio::test]
async fn a_layer_of_someone_else_is_not_given_to_who_only_knows_its_name() {
    // The victim's image is in the store, fetched with a password.
    let victim = TestRegistry::start(RegistryOptions::default()).await;
    let secret = layer("secret", b"of the victim");
    let theirs = ImageParts::new(std::slice::from_ref(&secret), &json!({}));
    victim.push_parts("private/app", "1", &theirs).await;
    let forged_digest = theirs.digest().to_string();
    // The attacker's registry claims the victim's manifest digest, and blobs that it does not have.
    let parts = theirs.clone();
    let attacker = scripted(move |seen| {
        let is_layer = is_layer_of(&parts, seen);
        match (seen.method.as_str(), is_layer) {
            ("HEAD", _) => answer(200, &[("docker-content-digest", &forged_digest)], ""),
            ("GET", true) => answer(200, &[], vec![0; parts.blobs[0].len()]),
            _ => serve_parts(&parts, seen),
        }
    })
    .await;
    let mut settings = victim.settings();
    settings.hosts.extend(insecure(&[&attacker.host()]).hosts);
    let shelf = Shelf::new(settings).await;
    shelf.fetch(&format!("{}/private/app:1", victim.host()), Some(&victim.credential())).await.unwrap();

    let outcome = shelf.fetch(&format!("{}/team/app:1", attacker.host()), None).await;
    assert_refused(outcome, "digest_mismatch");
    // It was asked to show the bytes.
    assert!(attacker.lines().contains(&format!("GET /v2/team/app/blobs/{}", digest_of(&theirs.blobs[0]))));
}

#[tokio::test]
async fn a_layer_of_another_repository_needs_the_registrys_word() {
    // One registry; the second repository's manifest names the first one's layer, which only robot may have.
    let theirs = small();
    let digest = theirs.digest().to_string();
    let parts = theirs.clone();
    let registry = scripted(move |seen| {
        let private = seen.path.starts_with("/v2/team/app/") || is_layer_of(&parts, seen);
        if private && !seen.path.starts_with("/v2/other/") {
            return with_password(seen, || serve_parts(&parts, seen));
        }
        match seen.path.as_str() {
            "/v2/other/manifests/1" => {
                let headers = [("content-type", ImageParts::MEDIA_TYPE), ("docker-content-digest", digest.as_str())];
                answer(200, &headers, parts.manifest.clone())
            }
            _ if is_layer_of(&parts, seen) => answer(404, &[], ""),
            _ => serve_parts(&parts, seen),
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&registry.host()])).await;
    let host = registry.host();
    shelf.fetch(&format!("{host}/team/app:1"), Some(&credential(&host))).await.unwrap();
    assert_refused(shelf.fetch(&format!("{host}/other:1"), None).await, "not_found_or_no_permission");
}

/// A registry whose image is `parts` after `spoil` changed what is served for a path.
async fn spoiled(
    parts: ImageParts,
    spoil: impl Fn(&Seen) -> Option<meshkeep_image::testing::Answer> + Send + Sync + 'static,
    code: &str,
) -> String {
    let registry = scripted(move |seen| spoil(seen).unwrap_or_else(|| serve_parts(&parts, seen))).await;
    let shelf = Shelf::new(insecure(&[&registry.host()])).await;
    let outcome = shelf.fetch(&format!("{}/team/app:1", registry.host()), None).await;
    let shown = assert_refused(outcome, code).to_string();
    assert!(shelf.is_bare(), "{:?} {:?}", shelf.files("layers"), shelf.files("tmp"));
    shown
}

#[tokio::test]
async fn other_bytes_than_named_are_never_stored() {
    let parts = small();
    let replaced = |path: String, with: Vec<u8>| {
        move |seen: &Seen| (seen.path == path && seen.method == "GET").then(|| answer(200, &[], with.clone()))
    };
    let (blob, config) = (parts.blobs[0].clone(), parts.config.clone());
    // The same content in another gzip (its header states a time): valid, of the same size, not the same bytes.
    let mut timed = blob.clone();
    timed[4] ^= 1;
    spoiled(parts.clone(), replaced(blob_path(&blob), timed), "digest_mismatch").await;
    // Damaged at its end, truncated, longer, garbage; the same for the config.
    let mut flipped = blob.clone();
    *flipped.last_mut().unwrap() ^= 1;
    spoiled(parts.clone(), replaced(blob_path(&blob), flipped), "digest_mismatch").await;
    spoiled(parts.clone(), replaced(blob_path(&blob), blob[..blob.len() - 1].to_vec()), "size_mismatch").await;
    spoiled(parts.clone(), replaced(blob_path(&blob), [&blob[..], b"x"].concat()), "size_mismatch").await;
    spoiled(parts.clone(), replaced(blob_path(&blob), vec![7; blob.len()]), "digest_mismatch").await;
    let mut flipped = config.clone();
    flipped[0] = b' ';
    spoiled(parts.clone(), replaced(blob_path(&config), flipped), "digest_mismatch").await;
    spoiled(parts.clone(), replaced(blob_path(&config), [&config[..], b" "].concat()), "size_mismatch").await;
    spoiled(parts.clone(), replaced(blob_path(&config), vec![b' '; 5 << 20]), "bad_answer").await;
    // A manifest that is not what its digest says, by tag and by digest.
    let path = format!("/v2/team/app/manifests/{}", parts.digest());
    let other = ImageParts::new(&[layer("evil", b"")], &json!({})).manifest;
    spoiled(parts.clone(), replaced(path, other), "digest_mismatch").await;
}

#[tokio::test]
async fn a_pinned_image_is_exactly_that_one() {
    let parts = small();
    let other = Digest::from_bytes([9; 32]);
    let registry = scripted(move |seen| {
        let mut served = serve_parts(&parts, seen);
        if seen.path.contains("/manifests/") {
            served = serve_parts(&parts, &Seen { path: "/v2/team/app/manifests/1".into(), ..seen.clone() });
        }
        served
    })
    .await;
    let shelf = Shelf::new(insecure(&[&registry.host()])).await;
    assert_refused(shelf.fetch(&format!("{}/team/app@{other}", registry.host()), None).await, "digest_mismatch");
}

#[tokio::test]
async fn a_layer_must_hold_what_the_config_says() {
    let config = json!({"rootfs": {"type": "layers", "diff_ids": [Digest::from_bytes([3; 32])]}});
    let shown = spoiled(ImageParts::new(&[layer("a", b"")], &config), |_| None, "digest_mismatch").await;
    assert!(shown.contains("layer content"), "{shown}");
    let config = json!({"rootfs": {"type": "layers", "diff_ids": []}});
    spoiled(ImageParts::new(&[layer("a", b"")], &config), |_| None, "bad_manifest").await;
    let other = json!({"architecture": "s390x"});
    spoiled(ImageParts::new(&[layer("a", b"")], &other), |_| None, "wrong_architecture").await;
    let windows = json!({"os": "windows"});
    spoiled(ImageParts::new(&[layer("a", b"")], &windows), |_| None, "wrong_architecture").await;
    // Damaged by its author: the digests are right.
    let tar = layer("a", &[1; 5000]);
    let cut = gzip(&tar)[..40].to_vec();
    let gzip_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    spoiled(ImageParts::of_blobs(std::slice::from_ref(&tar), vec![cut], gzip_type, &json!({})), |_| None, "bad_layer")
        .await;
}

#[tokio::test]
async fn manifests_that_confuse_are_refused() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut parts = small();
        let mut manifest: Value = serde_json::from_slice(&parts.manifest).unwrap();
        change(&mut manifest);
        parts.manifest = manifest.to_string().into_bytes();
        parts
    };
    let nothing = |_: &Seen| None;
    spoiled(with(&|m| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json")), nothing, "bad_manifest")
        .await;
    spoiled(with(&|m| m["manifests"] = json!([])), nothing, "bad_manifest").await;
    spoiled(with(&|m| m["schemaVersion"] = json!(1)), nothing, "bad_manifest").await;
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let shown = spoiled(with(&|m| m["layers"][0]["mediaType"] = json!(foreign)), nothing, "bad_manifest").await;
    assert!(shown.contains("foreign"), "{shown}");
    spoiled(with(&|m| m["config"]["size"] = json!(5 << 20)), nothing, "bad_manifest").await;
    spoiled(with(&|m| m["layers"][0]["size"] = json!(1_u64 << 50)), nothing, "bad_manifest").await;
    let html = |seen: &Seen| {
        seen.path.contains("/manifests/").then(|| answer(200, &[("content-type", "text/html")], "<html>"))
    };
    spoiled(small(), html, "bad_manifest").await;
    let huge = |seen: &Seen| {
        let headers = [("content-type", ImageParts::MEDIA_TYPE)];
        (seen.path.contains("/manifests/") && seen.method == "GET").then(|| answer(200, &headers, vec![b' '; 5 << 20]))
    };
    spoiled(small(), huge, "bad_answer").await;
}

#[tokio::test]
async fn urls_of_a_descriptor_are_ignored() {
    let elsewhere = scripted(|_| answer(200, &[], "")).await;
    let mut parts = small();
    let mut manifest: Value = serde_json::from_slice(&parts.manifest).unwrap();
    manifest["layers"][0]["urls"] = json!([format!("http://{}/layer", elsewhere.host())]);
    parts.manifest = manifest.to_string().into_bytes();
    let registry = scripted(move |seen| serve_parts(&parts, seen)).await;
    let shelf = Shelf::new(insecure(&[&registry.host(), &elsewhere.host()])).await;
    shelf.fetch(&format!("{}/team/app:1", registry.host()), None).await.unwrap();
    assert_eq!(elsewhere.connections(), 0);
}

/// A body that is sent in pieces, without its length, and may break off.
fn pieces(pieces: Vec<Result<Vec<u8>, std::io::Error>>) -> meshkeep_image::testing::Answer {
    use http_body_util::BodyExt as _;
    let frames = pieces.into_iter().map(|piece| piece.map(|bytes| hyper::body::Frame::data(bytes.into())));
    http::Response::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed())
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_stated_size() {
    let parts = small();
    let path = blob_path(&parts.blobs[0]);
    let endless =
        move |seen: &Seen| (seen.path == path).then(|| pieces((0..4000).map(|_| Ok(vec![0; 64 * 1024])).collect()));
    spoiled(parts, endless, "size_mismatch").await;
}

#[tokio::test]
async fn a_bomb_is_stopped() {
    let parts = ImageParts::new(&[layer("zeros", &vec![0; 8 << 20])], &json!({}));
    let registry = scripted(move |seen| serve_parts(&parts, seen)).await;
    let shelf = Shelf::with(insecure(&[&registry.host()]), |config| config.layer_limits.max_bytes = 1 << 20).await;
    let outcome = shelf.fetch(&format!("{}/team/app:1", registry.host()), None).await;
    assert_refused(outcome, "bad_layer");
    assert!(shelf.is_bare());
}
