//! Registries and networks that fail in the middle of a download: it goes on where it broke, a bounded number of times, and
//! nothing half is ever stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use http::header;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use meshkeep_image::testing::{Answer, ImageParts, Seen, Server, answer};
use serde_json::json;

use crate::support::{Shelf, assert_refused, blob_path, insecure, layer, scripted, serve_parts};

/// An image of one layer that does not compress.
fn large() -> ImageParts {
    // Marsaglia's xorshift.
    let next = |x: &u64| Some([13, -7, 17].iter().fold(*x, |x, by| x ^ if *by > 0 { x << by } else { x >> -by }));
    let noise: Vec<u8> =
        std::iter::successors(Some(88_172_645_463_325_252), next).take(2_000_000).map(|x| x as u8).collect();
    ImageParts::new(&[layer("big", &noise)], &json!({}))
}

/// The first byte that a request wants.
fn wanted(seen: &Seen) -> usize {
    let range = seen.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
}

/// A part of the blob from what is wanted on, which breaks after so many bytes; whole when they are none.
fn part(blob: &[u8], from: usize, breaks_after: Option<usize>) -> Answer {
    let to = breaks_after.map_or(blob.len(), |length| (from + length).min(blob.len()));
    let sent: Vec<_> = blob[from..to].chunks(1 << 16).map(|bytes| Ok(Frame::data(bytes.to_vec().into()))).collect();
    let breaks = to < blob.len();
    let end = stream::once(async move {
        // Long enough for what was sent to arrive: a connection that is reset loses it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("gone"))
    });
    let end = end.take(usize::from(breaks));
    let mut answer = http::Response::new(BodyExt::boxed(StreamBody::new(stream::iter(sent).chain(end))));
    if from > 0 {
        *answer.status_mut() = http::StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
        answer.headers_mut().insert(header::CONTENT_RANGE, range.parse().unwrap());
    }
    answer
}

/// A registry whose layer is answered by `script`, which is told what is wanted and how often it was asked.
async fn registry(
    parts: &ImageParts,
    script: impl Fn(&[u8], usize, usize) -> Answer + Send + Sync + 'static,
) -> Server {
    let (parts, path, asked) = (parts.clone(), blob_path(&parts.blobs[0]), AtomicUsize::new(0));
    scripted(move |seen| {
        if seen.path == path {
            script(&parts.blobs[0], wanted(seen), asked.fetch_add(1, Ordering::SeqCst))
        } else {
            serve_parts(&parts, seen)
        }
    })
    .await
}

/// The first bytes that were wanted of the layer, one request after the other.
fn ranges(server: &Server, parts: &ImageParts) -> Vec<usize> {
    server.seen().iter().filter(|seen| seen.path == blob_path(&parts.blobs[0])).map(wanted).collect()
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    let parts = large();
    // Ten times 200,000 bytes: more often than a download without progress would be tried.
    let server = registry(&parts, |blob, from, _| part(blob, from, Some(200_000))).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    shelf.fetch(&format!("{}/team/app:1", server.host()), None).await.unwrap();
    let ranges = ranges(&server, &parts);
    assert!(ranges.len() > 8, "{ranges:?}");
    assert!(ranges.windows(2).all(|pair| pair[0] < pair[1]), "no byte is fetched twice: {ranges:?}");
}

#[tokio::test]
async fn a_registry_without_ranges_sends_it_again_and_the_layer_is_right() {
    let parts = large();
    let server = registry(&parts, |blob, _, asked| part(blob, 0, (asked == 0).then_some(700_000))).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    shelf.fetch(&format!("{}/team/app:1", server.host()), None).await.unwrap();
    assert_eq!(ranges(&server, &parts).len(), 2);
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_never_joined() {
    let parts = large();
    // It says that it begins where it was asked to, and sends other bytes.
    let lies = registry(&parts, |blob, from, asked| {
        if asked == 0 {
            return part(blob, 0, Some(700_000));
        }
        let mut other = blob.to_vec();
        other[from..].reverse();
        part(&other, from, None)
    });
    // It begins somewhere else, and says so.
    let elsewhere =
        registry(
            &parts,
            |blob, from, asked| {
                if asked == 0 { part(blob, 0, Some(700_000)) } else { part(blob, from - 1, None) }
            },
        );
    for (server, code) in [(lies.await, "digest_mismatch"), (elsewhere.await, "bad_answer")] {
        let shelf = Shelf::new(insecure(&[&server.host()])).await;
        assert_refused(shelf.fetch(&format!("{}/team/app:1", server.host()), None).await, code);
        assert!(shelf.is_bare());
    }
}

#[tokio::test]
async fn a_registry_that_never_gets_further_is_given_up_by_name() {
    let parts = large();
    let server =
        registry(&parts, |blob, from, asked| part(blob, from, Some(if asked == 0 { 700_000 } else { 0 }))).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    assert_refused(shelf.fetch(&format!("{}/team/app:1", server.host()), None).await, "registry_unreachable");
    assert_eq!(ranges(&server, &parts).len(), 3, "tried a bounded number of times");
    assert!(shelf.is_bare());
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_asked_again_for_the_rest() {
    let parts = large();
    let silent = |blob: &[u8]| {
        let begun = stream::iter([Ok(Frame::data(blob[..700_000].to_vec().into()))]);
        http::Response::new(BodyExt::boxed(StreamBody::new(begun.chain(stream::pending()))))
    };
    for (times, outcome) in [(1, "stored"), (usize::MAX, "registry_unreachable")] {
        let server = registry(
            &parts,
            move |blob, from, asked| if asked < times { silent(blob) } else { part(blob, from, None) },
        )
        .await;
        let mut settings = insecure(&[&server.host()]);
        settings.silence = Some(Duration::from_millis(300));
        let shelf = Shelf::new(settings).await;
        let begun = Instant::now();
        let fetched = shelf.fetch(&format!("{}/team/app:1", server.host()), None).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "it hung");
        match outcome {
            "stored" => assert_eq!(fetched.map(|image| image.layers.len()).unwrap(), 1),
            code => {
                assert_refused(fetched, code);
            }
        }
    }
}

#[tokio::test]
async fn passing_refusals_in_the_middle_of_a_download_are_waited_out() {
    let parts = large();
    for (status, headers) in [(503, &[][..]), (429, &[("retry-after", "1")][..]), (502, &[][..])] {
        let headers: Arc<Vec<(&str, &str)>> = Arc::new(headers.to_vec());
        let server = registry(&parts, move |blob, from, asked| match asked {
            0 => part(blob, from, Some(700_000)),
            1 => answer(status, &headers, ""),
            _ => part(blob, from, None),
        })
        .await;
        let shelf = Shelf::new(insecure(&[&server.host()])).await;
        shelf.fetch(&format!("{}/team/app:1", server.host()), None).await.unwrap();
        let ranges = ranges(&server, &parts);
        assert!(ranges.len() == 3 && ranges[1] == ranges[2] && ranges[1] > 0, "{status}: {ranges:?}");
    }
}

/// Mounted for one test, as root.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "this test needs root");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_layer_is_named_and_left_clean() {
    let parts = large();
    let server = registry(&parts, |blob, from, _| part(blob, from, None)).await;
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::at(dir.path().join("images"));
    let shelf = Shelf::with(insecure(&[&server.host()]), |config| config.root.clone_from(&disk.0)).await;
    let image = format!("{}/team/app:1", server.host());
    let refused = assert_refused(shelf.fetch(&image, None).await, "disk_full");
    assert!(refused.refusal().hint.contains("room") || refused.to_string().contains("space"), "{refused}");
    for part in ["layers", "images", "tmp"] {
        let left = std::fs::read_dir(disk.0.join(part)).unwrap().count();
        assert_eq!(left, 0, "{part}");
    }
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=16m"]).arg(&disk.0).status();
    assert!(grown.unwrap().success());
    shelf.fetch(&image, None).await.unwrap();
}
