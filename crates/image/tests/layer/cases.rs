//! Single cases that layers have: sizes at a block's border, links, sparse files, many entries, attributes.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use meshkeep_image::layer::Compression;

use crate::{
    facts,
    mount::{Mounted, Way},
    peers::{assert_as_gnu_tar, assert_mounts_as_gnu_tar, convert, pack, place},
    tarball::{Dialect, Item, tar},
};

const DIALECTS: [Dialect; 3] = [Dialect::Pax, Dialect::Gnu, Dialect::Ustar];

fn os(text: &str) -> OsString {
    text.into()
}

#[test]
fn an_empty_layer_is_an_empty_root() {
    for bytes in [&b""[..], &[0; 1024], &[0; 10240]] {
        let dir = place();
        let (image, converted) = convert(bytes, Compression::None, dir.path()).unwrap();
        assert_eq!(converted.entries, 0);
        let shown = facts::read(&Mounted::image(&image, Way::Loop).root(), &[""]);
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[OsStr::new("")].mode, shown[OsStr::new("")].links), (0o755, 2));
    }
}

#[test]
fn files_of_sizes_around_borders() {
    let sizes =
        [0, 1, 511, 512, 513, 2047, 2048, 2049, 4031, 4032, 4095, 4096, 4097, 8191, 8192, 8193, 524_288, 600_001];
    let items: Vec<Item> = sizes
        .iter()
        .map(|size| {
            let data: Vec<u8> = (0..*size).map(|at: usize| (at * 7 + size) as u8).collect();
            Item::file(format!("file-{size}"), data)
        })
        .collect();
    let shown = assert_as_gnu_tar(&tar(&items));
    assert_eq!(shown.len(), sizes.len() + 1);
    assert!(sizes.iter().all(|size| shown[OsStr::new(&format!("file-{size}"))].size == *size as u64));
}

#[test]
fn metadata_is_kept_to_the_last_bit() {
    let mut capability = vec![1, 0, 0, 2];
    capability.extend([0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let items = [
        Item::dir(".").mode(0o711).owner(3, 4).mtime(1_234_567_890, 123_456_789),
        Item::file("setuid", "x").mode(0o4755).owner(65_536, 4_294_967_294),
        Item::file("setgid", "x").mode(0o2711).owner(100_000, 70_000).dialect(Dialect::Gnu),
        Item::dir("sticky").mode(0o1777).mtime(-1, 500_000_000),
        Item::file("old", "x").mtime(-86_400, 0).dialect(Dialect::Gnu),
        Item::file("late", "x").mtime(4_300_000_000, 999_999_999),
        Item::file("none", "x").mode(0),
        Item::device(b'3', "null", (1, 3)).mode(0o666),
        Item::device(b'4', "disk", (259, 70_000)),
        Item::device(b'6', "fifo", (0, 0)).mode(0o600),
        Item::symlink("to-fifo", "fifo").owner(5, 6),
        Item::file("ping", "x").xattr("security.capability", &capability),
        Item::file("tagged", "x").xattr("user.a", "1").xattr("user.empty", "").xattr("user.long", [7; 3000]),
        Item::dir("tagged.d").xattr("user.b", "two\nlines\0and a NUL"),
    ];
    let shown = assert_as_gnu_tar(&tar(&items));
    assert_eq!(shown[OsStr::new("disk")].kind, 'b');
    assert_eq!(shown[OsStr::new("ping")].xattrs.len(), 1);
    assert_eq!(shown[OsStr::new("tagged")].xattrs.len(), 3);
    assert_eq!(shown[OsStr::new("")].mtime, (1_234_567_890, 123_456_789));
}

#[test]
fn hard_links_share_their_inode() {
    let items = [
        Item::dir("d"),
        Item::file("d/one", [9; 5000]),
        Item::hardlink("d/two", "d/one"),
        Item::hardlink("three", "./d/two"),
        Item::symlink("link", "d/one"),
        Item::hardlink("link2", "link"),
        Item::file("small", "s"),
        Item::hardlink("small2", "small"),
        Item::device(b'6', "fifo", (0, 0)),
        Item::hardlink("fifo2", "fifo"),
        Item::file("gone", "first"),
        Item::hardlink("kept", "gone"),
        Item::file("gone", "second"),
    ];
    let shown = assert_as_gnu_tar(&tar(&items));
    assert_eq!(shown[OsStr::new("three")].links, 3);
    assert_eq!(shown[OsStr::new("three")].same_as, Some(os("d/one")));
    assert_eq!(shown[OsStr::new("kept")].links, 1);
}

#[test]
fn names_of_every_length_and_byte() {
    let deep = ["seventy-bytes-of-a-directory-name-which-is-not-short-by-any-measure-at-all"; 3];
    let bytes: Vec<u8> = (1..=255).filter(|b| *b != b'/').collect();
    for dialect in DIALECTS {
        let mut items: Vec<Item> = (1..=deep.len()).map(|parts| Item::dir(deep[..parts].join("/"))).collect();
        items.push(Item::file(format!("{}/file", deep[..2].join("/")), "x"));
        items.push(Item::symlink("short", deep[..1].join("/")));
        if dialect != Dialect::Ustar {
            items.push(Item::file(format!("{}/{}", deep.join("/"), "n".repeat(255)), "x"));
            items.push(Item::symlink("long", "t/".repeat(2000)));
            items.push(Item::hardlink("hard", format!("{}/{}", deep.join("/"), "n".repeat(255))));
            items.push(Item::file(&bytes, "every byte"));
            items.push(Item::file("p".repeat(100), "just fits"));
            items.push(Item::file("p".repeat(101), "just does not"));
        }
        items.iter_mut().for_each(|item| item.dialect = dialect);
        assert_as_gnu_tar(&tar(&items));
    }
}

#[test]
fn directories_of_many_names_are_found_through() {
    let mut items = vec![Item::dir("many")];
    items.extend((0..5000).map(|at| Item::file(format!("many/{}{at}", "x".repeat(at % 90)), at.to_string())));
    items.extend(["!", "-", "...", "..a", ".a", ". ", "\u{7f}"].map(|name| Item::file(format!("many/{name}"), name)));
    let shown = assert_as_gnu_tar(&tar(&items));
    assert_eq!(shown.len(), 5009);
}

#[test]
fn a_hundred_thousand_entries() {
    let mut items = Vec::new();
    for outer in 0..100 {
        items.push(Item::dir(format!("d{outer}")));
        items.extend((0..999).map(|at| Item::file(format!("d{outer}/f{at}"), [outer; 9])));
    }
    let archive = tar(&items);
    let dir = place();
    let (image, converted) = convert(&archive[..], Compression::None, dir.path()).unwrap();
    assert_eq!(converted.entries, 100_000);
    let shown = facts::read(&Mounted::image(&image, Way::File).root(), &[]);
    assert_eq!(shown.len(), 100_001);
    assert_eq!(shown.iter().filter(|(_, fact)| fact.kind == 'f' && fact.size == 9).count(), 99_900);
    assert_eq!(shown[OsStr::new("")].links, 102);
}

/// All sparse formats of GNU tar, from a file with holes at its begin, between and at its end.
#[test]
fn sparse_files_in_every_format() {
    let dir = place();
    let file = File::create(dir.path().join("holes")).unwrap();
    for (at, length) in [(1 << 20, 5000), (3 << 20, 4096), ((5 << 20) + 4096, 1)] {
        file.write_all_at(&vec![7; length], at).unwrap();
    }
    file.set_len(9 << 20).unwrap();
    let many = File::create(dir.path().join("many")).unwrap();
    for at in 0..100 {
        many.write_all_at(&[8; 4096], at * 65_536).unwrap();
    }
    File::create(dir.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
    fs::write(dir.path().join("plain"), "after").unwrap();
    let names: Vec<&OsStr> = ["holes", "many", "hole", "plain"].map(OsStr::new).to_vec();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let arguments = [&["--sparse"], format].concat();
        let archive = pack(dir.path(), &arguments, &names);
        assert!(archive.len() < 2 << 20, "{format:?} is sparse");
        let shown = assert_as_gnu_tar(&archive);
        assert_eq!(shown[OsStr::new("holes")].size, 9 << 20, "{format:?}");
        assert_eq!(shown.len(), 5);
    }
}

#[test]
fn a_file_of_more_than_four_gigabytes() {
    let dir = place();
    let path = dir.path().join("large");
    let size = (4 << 30) + 4097;
    let mut file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    file.write_all_at(b"end", size - 3).unwrap();
    file.seek(SeekFrom::Start(1 << 32)).unwrap();
    file.write_all(b"border").unwrap();
    let archive = pack(dir.path(), &["--sparse", "--format=pax"], &[OsStr::new("large")]);
    let (image, converted) = convert(&archive[..], Compression::None, dir.path()).unwrap();
    assert!(converted.image_bytes > size);
    assert!(blocks(&image) < 1 << 20, "holes stay holes");
    let mounted = Mounted::image(&image, Way::File);
    let shown = File::open(mounted.root().join("large")).unwrap();
    assert_eq!(shown.metadata().unwrap().len(), size);
    for (at, expected) in [(0, &[0; 6][..]), ((1 << 32) - 1, b"\0border\0"), (size - 4, b"\0end")] {
        let mut read = vec![1; expected.len()];
        shown.read_exact_at(&mut read, at).unwrap();
        assert_eq!(read, expected, "at {at}");
    }
    if full() {
        assert_mounts_as_gnu_tar(&image, &archive[..], dir.path());
    }
}

/// Whether raised counts are asked for.
#[expect(clippy::disallowed_methods, reason = "the test's own switch, which scripts/test sets")]
pub fn full() -> bool {
    std::env::var_os("MESHKEEP_TEST_FULL").is_some()
}

fn blocks(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn every_compression_gives_the_same_image() {
    let archive = tar(&[Item::dir("d"), Item::file("d/f", vec![3; 300_000]), Item::symlink("l", "d/f")]);
    let gzipped = meshkeep_image::testing::gzip(&archive);
    let (half, rest) = archive.split_at(archive.len() / 2);
    let members = [meshkeep_image::testing::gzip(half), meshkeep_image::testing::gzip(rest)].concat();
    let zstd = zstd::encode_all(&archive[..], 3).unwrap();
    let frames = [zstd::encode_all(half, 1).unwrap(), zstd::encode_all(rest, 9).unwrap()].concat();
    let dir = place();
    let (plain, first) = convert(&archive[..], Compression::None, dir.path()).unwrap();
    let plain = fs::read(plain).unwrap();
    for (blob, compression) in [
        (&gzipped, Compression::Gzip),
        (&members, Compression::Gzip),
        (&zstd, Compression::Zstd),
        (&frames, Compression::Zstd),
    ] {
        let (image, converted) = convert(&blob[..], compression, dir.path()).unwrap();
        assert_eq!(converted, first);
        assert_eq!(fs::read(image).unwrap(), plain, "the same layer gives the same bytes");
    }
}
