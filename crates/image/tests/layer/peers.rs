//! Our converter, and the two programs that it is compared with: GNU tar and `fsck.erofs`.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use meshkeep_image::layer::{self, Compression, Converted, LayerError, Limits};
use tempfile::TempDir;

use crate::{
    facts::{self, Fact, Facts, assert_same},
    mount::{Mounted, WAYS, Way},
};

/// Attributes that a layer may bring.
pub const KEPT: &[&str] = &["user.", "security.capability"];

/// A directory on a disk: `tmpfs` counts links of directories otherwise.
pub fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Converts a layer into a file below `dir`.
pub fn convert(blob: impl Read, compression: Compression, dir: &Path) -> Result<(PathBuf, Converted), LayerError> {
    convert_within(blob, compression, dir, &Limits::default())
}

/// The same with limits.
pub fn convert_within(
    blob: impl Read,
    compression: Compression,
    dir: &Path,
    limits: &Limits,
) -> Result<(PathBuf, Converted), LayerError> {
    let (file, path) = tempfile::Builder::new().suffix(".erofs").tempfile_in(dir).unwrap().keep().unwrap();
    let converted = layer::convert(blob, compression, &file, limits)?;
    assert_eq!(file.metadata().unwrap().len(), converted.image_bytes);
    assert_eq!(converted.image_bytes % 4096, 0);
    Ok((path, converted))
}

/// Unpacks a tar over `dir` as GNU tar does.
pub fn unpack(tar: impl Read, dir: &Path) {
    let mut child = Command::new("tar");
    child.args(["--extract", "--file=-", "--numeric-owner", "--preserve-permissions", "--same-owner", "--xattrs"]);
    child.args([
        "--xattrs-include=user.*",
        "--xattrs-include=security.capability",
        "--exclude=.wh.*",
        "--delay-directory-restore",
    ]);
    feed(child.arg("--directory").arg(dir), tar);
}

/// What `fsck.erofs` makes of an image.
pub fn extract(image: &Path, dir: &Path) {
    let mut option = std::ffi::OsString::from("--extract=");
    option.push(dir);
    run(Command::new("fsck.erofs").arg(option).arg("--force").arg("--overwrite").arg("--preserve").arg(image));
}

/// Runs `tar --create` and answers the archive.
pub fn pack(dir: &Path, arguments: &[&str], names: &[&OsStr]) -> Vec<u8> {
    let mut command = Command::new("tar");
    command.args(["--create", "--file=-", "--numeric-owner"]).args(arguments);
    run(command.arg("--directory").arg(dir).arg("--no-recursion").arg("--").args(names))
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn feed(command: &mut Command, mut input: impl Read) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before its input does; its exit tells.
    let _ = std::io::copy(&mut input, &mut stdin).and_then(|_| stdin.flush());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Mounts an image and reads all of it.
pub fn mounted(image: &Path, way: Way, keep: &[&str]) -> Facts {
    facts::read(&Mounted::image(image, way).root(), keep)
}

/// Asserts that a tar (plain, complete with all its directories) shows the same mounted in both ways, extracted by
/// `fsck.erofs`, and unpacked by GNU tar. Answers what it shows.
pub fn assert_as_gnu_tar(tar: &[u8]) -> Facts {
    let dir = place();
    let (image, converted) = convert(tar, Compression::None, dir.path()).unwrap();
    assert_eq!(converted.uncompressed_bytes, tar.len() as u64);
    assert_image_as_gnu_tar(&image, tar, dir.path())
}

/// The same for an image that was made before.
pub fn assert_image_as_gnu_tar(image: &Path, tar: impl Read, dir: &Path) -> Facts {
    let expected = assert_mounts_as_gnu_tar(image, tar, dir);
    let extracted = dir.join("extracted");
    extract(image, &extracted);
    assert_same("fsck.erofs and GNU tar", &facts::read(&extracted, KEPT), &expected, |path, fact| {
        without_root(path, fact);
        as_extracted(fact);
    });
    expected
}

/// The same without `fsck.erofs`, which in Debian 12 cannot read files of 2 GiB.
pub fn assert_mounts_as_gnu_tar(image: &Path, tar: impl Read, dir: &Path) -> Facts {
    let unpacked = dir.join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    unpack(tar, &unpacked);
    let expected = facts::read(&unpacked, KEPT);
    for way in WAYS {
        let shown = mounted(image, way, &["user.", "security.", "trusted."]);
        assert_same(&format!("{way:?} and GNU tar"), &shown, &expected, without_root);
    }
    expected
}

/// A tar without an entry for its root says nothing about it.
pub fn without_root(path: &OsStr, fact: &mut Fact) {
    if path.is_empty() {
        *fact = Fact { mode: 0, uid: 0, gid: 0, mtime: (0, 0), ..fact.clone() };
    }
}

/// Debian 12's `fsck.erofs` extracts no attributes and no hard links as such, and sets owners after modes, which takes
/// set-user-id bits away again.
fn as_extracted(fact: &mut Fact) {
    fact.xattrs.clear();
    fact.mode &= if fact.kind == 'd' { 0o7777 } else { 0o1777 };
    fact.same_as = None;
    if fact.kind != 'd' {
        fact.links = 1;
    }
}

/// Converts a plain tar that is known to be a layer.
pub fn convert_tar(tar: &[u8], dir: &Path) -> PathBuf {
    convert(tar, Compression::None, dir).unwrap().0
}
