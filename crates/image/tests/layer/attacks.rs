//! THREATS U1 to U7: layers that want out, or more than their share. Each is refused by name, or becomes inert data.

use std::{ffi::OsStr, fs, io::Write as _};

use meshkeep_image::layer::{Compression, LayerError, Limits};
use proptest::prelude::*;

use crate::{
    cases::full,
    facts::{self, Facts},
    mount::Way,
    peers::{self, assert_as_gnu_tar, convert, convert_within, mounted, place},
    tarball::{Dialect, Item, extended, record, sum, tar},
};

fn refusal(tar: &[u8]) -> LayerError {
    refusal_within(tar, Compression::None, &Limits::default())
}

/// The refusal of a layer. What was written until then is no image.
fn refusal_within(blob: &[u8], compression: Compression, limits: &Limits) -> LayerError {
    let dir = place();
    let error = convert_within(blob, compression, dir.path(), limits).unwrap_err();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.iter().take(4096).all(|b| *b == 0), "a refused layer has no superblock");
    }
    error
}

fn shown(items: &[Item]) -> Facts {
    let dir = place();
    mounted(&peers::convert_tar(&tar(items), dir.path()), Way::File, &[""])
}

#[test]
fn paths_that_lead_out_are_refused() {
    let cases: &[(&[Item], &str)] = &[
        (&[Item::file("../x", "")], "`..`"),
        (&[Item::dir("a"), Item::file("a/../../x", "")], "`..`"),
        (&[Item::file("/../x", "")], "`..`"),
        (&[Item::dir("..")], "`..`"),
        (&[Item::file("a/..", "")], "`..`"),
        (&[Item::symlink("d", "/etc"), Item::file("d/passwd", "root")], "its parent is not a directory"),
        (&[Item::symlink("d", "."), Item::dir("d/x")], "its parent is not a directory"),
        (&[Item::dir("a"), Item::symlink("a/d", "/"), Item::file("a/d/b/c", "")], "its parent is not a directory"),
        (&[Item::file("f", ""), Item::file("f/x", "")], "its parent is not a directory"),
        (&[Item::hardlink("x", "/etc/shadow")], "does not have"),
        (&[Item::hardlink("x", "../etc/shadow")], "`..`"),
        (&[Item::symlink("d", "/etc"), Item::hardlink("x", "d/shadow")], "does not have"),
        (&[Item::dir("d"), Item::hardlink("x", "d")], "hard link to a directory"),
        (&[Item::hardlink("x", ".")], "does not have"),
        (&[Item::hardlink("x", "x")], "does not have"),
        (&[Item::file(".", "")], "the root is not a directory"),
        (&[Item::symlink("/", "/etc")], "the root is not a directory"),
        (&[Item::symlink("x", "")], "link to nothing"),
        (&[Item::file("n".repeat(256), "")], "longer than 255"),
    ];
    for (items, expected) in cases {
        let error = refusal(&tar(*items)).to_string();
        assert!(error.contains(expected), "{items:?}: {error}");
    }
}

#[test]
fn absolute_names_stay_inside_and_links_are_data() {
    let items = [
        Item::dir("/etc/"),
        Item::file("/etc/passwd", "theirs"),
        Item::symlink("l", "/etc/shadow"),
        Item::file("l", "replaced, not followed").mode(0o4777),
        Item::symlink("up", "../../../../etc/passwd"),
        Item::device(b'6', "etc/group", (0, 0)),
    ];
    let shown = shown(&items);
    assert_eq!(shown[OsStr::new("etc/passwd")].size, 6);
    assert_eq!((shown[OsStr::new("l")].kind, shown[OsStr::new("l")].mode), ('f', 0o4777));
    assert_eq!(shown[OsStr::new("up")].content, b"../../../../etc/passwd");
    assert_eq!(shown[OsStr::new("etc/group")].kind, 'p');
}

/// U5 and what else could be said with the names of whiteouts.
#[test]
fn whiteouts_that_are_none_are_refused() {
    for (items, expected) in [
        (vec![Item::symlink("d", "/etc"), Item::file("d/.wh..wh..opq", "")], "its parent is not a directory"),
        (vec![Item::symlink("d", "/etc"), Item::file("d/.wh.passwd", "")], "its parent is not a directory"),
        (vec![Item::file(".wh.", "")], "whiteout of nothing"),
        (vec![Item::file(".wh..", "")], "whiteout of nothing"),
        (vec![Item::file("d/.wh...", "")], "whiteout of nothing"),
        (vec![Item::file(".wh.x/y", "")], "its parent is a whiteout"),
        (vec![Item::file(".wh.x", ""), Item::hardlink("y", "x")], "does not have"),
    ] {
        let error = refusal(&tar(&items)).to_string();
        assert!(error.contains(expected), "{items:?}: {error}");
    }
    let shown = shown(&[Item::file(".wh..wh.plnk", "x"), Item::dir("d"), Item::file("d/.wh..wh..opq", "")]);
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[OsStr::new("d")].xattrs[&b"trusted.overlay.opaque"[..]], b"y");
}

/// U7: what would speak to overlayfs or to the host in the image's name.
#[test]
fn nothing_forges_whiteouts_or_labels() {
    let error = refusal(&tar(&[Item::device(b'3', "x", (0, 0))])).to_string();
    assert!(error.contains("0:0"), "{error}");
    let names = [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "trusted.overlay.metacopy",
        "trusted.x",
        "security.selinux",
        "security.ima",
        "security.capabilities",
        "system.posix_acl_access",
        "lustre.x",
        "x",
    ];
    let dressed = names.iter().fold(Item::dir("d").xattr("user.kept", "1"), |item, name| item.xattr(name, "y"));
    let shown = shown(&[dressed]);
    assert_eq!(shown[OsStr::new("d")].xattrs.keys().collect::<Vec<_>>(), [b"user.kept"]);
    for name in ["user.".to_owned(), format!("user.{}", "n".repeat(251))] {
        let error = refusal(&tar(&[Item::file("x", "").xattr(&name, "1")])).to_string();
        assert!(error.contains("extended attribute"), "{error}");
    }
    let error = refusal(&tar(&[Item::file("x", "").xattr("user.x", vec![0; 65_536])])).to_string();
    assert!(error.contains("extended attribute"), "{error}");
    let many = (0..9).fold(Item::file("x", ""), |item, at| item.xattr(&format!("user.{at}"), vec![0; 65_535]));
    assert!(refusal(&tar(&[many])).to_string().contains("too long"));
}

#[test]
fn owners_and_devices_that_linux_does_not_have_are_refused() {
    for id in [u64::from(u32::MAX), 1 << 32, (1 << 32) + 7] {
        for dialect in [Dialect::Pax, Dialect::Gnu] {
            let error = refusal(&tar(&[Item::file("x", "").owner(id, 0).dialect(dialect)])).to_string();
            assert!(error.contains("owner"), "{error}");
            refusal(&tar(&[Item::file("x", "").owner(0, id).dialect(dialect)]));
        }
    }
    for device in [(4096, 0), (0, 1 << 20)] {
        assert!(refusal(&tar(&[Item::device(b'4', "x", device)])).to_string().contains("device number"));
    }
}

/// U3: the size in the extended header wins; what the other size would uncover stays data.
#[test]
fn two_sizes_smuggle_nothing() {
    let inner = tar(&[Item::file("smuggled", "x").mode(0o4755)]);
    let mut records = Vec::new();
    record(&mut records, b"size", inner.len().to_string().as_bytes());
    for claimed in [0, 512] {
        let mut outer = Item { data: vec![0; claimed], ..Item::file("outer", "") }.header().to_vec();
        sum(&mut outer);
        let bytes = [extended(b'x', &records), outer, inner.clone(), tar(&[Item::file("after", "y")])].concat();
        let shown = assert_as_gnu_tar(&bytes);
        assert_eq!(shown.keys().skip(1).map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), ["after", "outer"]);
    }
    for (key, value) in
        [(&b"size"[..], &b"5"[..]), (b"path", b"x"), (b"linkpath", b"x"), (b"SCHILY.xattr.user.x", b"1")]
    {
        let mut records = Vec::new();
        record(&mut records, key, value);
        let bytes = [extended(b'g', &records), tar(&[Item::file("x", "")])].concat();
        assert!(refusal(&bytes).to_string().contains("global header"));
    }
    let mut records = Vec::new();
    record(&mut records, b"comment", b"0123456789");
    assert_eq!(assert_as_gnu_tar(&[extended(b'g', &records), tar(&[Item::file("x", "")])].concat()).len(), 2);
}

/// U6.
#[test]
fn bombs_are_refused_by_the_limit_that_they_meet() {
    let limits = Limits {
        max_bytes: 64 << 20,
        max_entries: 20,
        max_depth: 8,
        max_path: 100,
        max_header: 4096,
        max_metadata: 20_000,
        ..Limits::default()
    };
    let refused = |bytes: &[u8], expected: &str| {
        let error = refusal_within(bytes, Compression::None, &limits);
        assert!(matches!(error, LayerError::Limit { .. } | LayerError::Entry { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&tar(&(0..21).map(|at| Item::file(at.to_string(), "")).collect::<Vec<_>>()), "20 entries");
    refused(&tar(&vec![Item::file("same", ""); 21]), "20 entries");
    refused(&tar(&[Item::dir("a/".repeat(9))]), "8 parts of a path");
    refused(&tar(&[Item::file("n/".repeat(51), "").dialect(Dialect::Gnu)]), "path");
    refused(&tar(&[Item::file("x", "").xattr("user.x", [0; 5000])]), "extended header");
    refused(&tar(&[Item::file("n".repeat(5000), "").dialect(Dialect::Gnu)]), "extended header");
    let heavy: Vec<Item> = (0..9).map(|at| Item::file(at.to_string(), "").xattr("user.x", [0; 3000])).collect();
    refused(&tar(&heavy), "bytes of names and attributes");
    let many = (0..1100).fold(Item::file("x", ""), |item, at| item.xattr(&format!("user.{at}"), ""));
    assert!(refusal(&tar(&[many])).to_string().contains("too many extended attributes"));
}

#[test]
fn compression_bombs_are_stopped_before_they_are_large() {
    let zeros = vec![0; 96 << 20];
    let item = Item::file("zeros", &zeros);
    let bytes = tar(&[item]);
    let limits = Limits { max_ratio: 100, ..Limits::default() };
    let gzipped = meshkeep_image::testing::gzip(&bytes);
    let error = refusal_within(&gzipped, Compression::Gzip, &limits).to_string();
    assert!(error.contains("100 uncompressed bytes per compressed byte"), "{error}");
    let zstd = zstd::encode_all(&bytes[..], 3).unwrap();
    let error = refusal_within(&zstd, Compression::Zstd, &Limits::default()).to_string();
    assert!(error.contains("per compressed byte"), "{error}");
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    let error = refusal_within(&gzipped, Compression::Gzip, &limits).to_string();
    assert!(error.contains("1048576 uncompressed bytes"), "{error}");
    // A window that would take 128 MiB of memory.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&zeros).unwrap();
    let wide = encoder.finish().unwrap();
    let error = refusal_within(&wide, Compression::Zstd, &Limits { max_ratio: u64::MAX, ..Limits::default() });
    assert!(matches!(error, LayerError::Compression(_)), "{error}");
}

#[test]
fn sparse_bombs_and_broken_maps_are_refused() {
    let sparse = |size: &[u8], map: &[u8], stored: usize| {
        let mut records = Vec::new();
        for (key, value) in [(&b"GNU.sparse.size"[..], size), (b"GNU.sparse.map", map)] {
            record(&mut records, key, value);
        }
        [extended(b'x', &records), tar(&[Item::file("sparse", vec![1; stored])])].concat()
    };
    let refused = |bytes: Vec<u8>| refusal(&bytes).to_string();
    assert!(refused(sparse(b"9223372036854775807", b"0,0", 0)).contains("bytes of the image"));
    assert!(refused(sparse(b"18446744073709551615", b"0,0", 0)).contains("bytes of the image"));
    assert!(refused(sparse(b"68719476737", b"0,1", 1)).contains("bytes of the image"));
    assert!(refused(sparse(b"100", b"0,10,5,10", 20)).contains("overlap"));
    assert!(refused(sparse(b"10", b"0,20", 20)).contains("do not fit"));
    assert!(refused(sparse(b"100", b"0,20", 10)).contains("do not fit"));
    assert!(refused(sparse(b"100", b"18446744073709551615,10", 10)).contains("no end"));
    assert!(refused(sparse(b"100", b"0,10,20", 10)).contains("odd number"));
    assert!(refused(sparse(b"100", b"0,x", 10)).contains("number"));
}

#[test]
fn cut_streams_are_damage() {
    let archive = tar(&[Item::dir("d"), Item::file("d/f", vec![5; 9000]), Item::file("g", "x").xattr("user.x", "y")]);
    let content = archive.len() - 1024;
    for end in (1..content).step_by(97).filter(|end| end % 512 != 0) {
        assert!(matches!(refusal(&archive[..end]), LayerError::Tar { .. }), "cut at {end}");
    }
    let blobs = [
        (meshkeep_image::testing::gzip(&archive), Compression::Gzip),
        (zstd::encode_all(&archive[..], 3).unwrap(), Compression::Zstd),
    ];
    for (blob, compression) in blobs {
        for end in (1..blob.len()).step_by(11) {
            let error = refusal_within(&blob[..end], compression, &Limits::default());
            assert!(matches!(error, LayerError::Compression(_) | LayerError::Tar { .. }), "cut at {end}: {error}");
        }
        let other = if compression == Compression::Gzip { Compression::Zstd } else { Compression::Gzip };
        assert!(matches!(refusal_within(&blob, other, &Limits::default()), LayerError::Compression(_)));
    }
}

/// Whatever bytes a layer has, it is refused or becomes an image that is whole.
#[test]
fn damaged_layers_are_refused_or_whole() {
    let items = [
        Item::dir("d").xattr("user.a", "b"),
        Item::file("d/f", vec![5; 5000]).mtime(-5, 5),
        Item::hardlink("h", "d/f"),
        Item::symlink("s", "d").dialect(Dialect::Gnu),
        Item::file(format!("d/{}", "l".repeat(150)), "x").dialect(Dialect::Gnu),
        Item::device(b'3', "null", (1, 3)),
        Item::file("d/.wh.x", ""),
    ];
    let archive = tar(&items);
    let config = ProptestConfig {
        cases: if full() { 20_000 } else { 800 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let change =
        (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"0157xgLKS/.\0 \n=,"[..])]);
    let (dir, whole) = (place(), std::cell::Cell::new(0));
    proptest!(config, |(changes in prop::collection::vec(change, 1..6))| {
        let mut bytes = archive.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // Headers must be believed to be read.
            let header = at / 512 * 512;
            if bytes[header + 257..header + 262] == *b"ustar" {
                sum(&mut bytes[header..header + 512]);
            }
        }
        if let Ok((image, _)) = convert(&bytes[..], Compression::None, dir.path()) {
            whole.set(whole.get() + 1);
            if whole.get() % 8 == 0 {
                facts::read(&crate::mount::Mounted::image(&image, Way::File).root(), &[""]);
            }
            fs::remove_file(image).unwrap();
        }
    });
    assert!(whole.get() > 0, "some changes leave a layer");
}
