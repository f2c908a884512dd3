//! Real Debian files: the required packages of this machine as one layer, Python's (or the compiler's) as the next.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
    process::Command,
};

use meshkeep_image::{layer::Compression, testing::gzip};

use crate::{
    facts::{self, Fact, assert_same},
    mount::{Mounted, WAYS},
    peers::{KEPT, assert_image_as_gnu_tar, convert, pack, place, unpack, without_root},
};

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// The packages without which Debian is none.
fn required() -> Vec<String> {
    let listed = output("dpkg-query", &["--show", "--showformat", "${Priority} ${Package}\n"]);
    let text = String::from_utf8(listed).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("required ")).map(str::to_owned).collect()
}

/// A second layer's packages: the first of these that are here.
fn others() -> Vec<&'static str> {
    let candidates =
        [&["python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"][..], &["gcc-12", "cpp-12"]];
    let here = |package: &&str| {
        Path::new(&format!("/var/lib/dpkg/info/{package}.list")).exists()
            || Path::new(&format!("/var/lib/dpkg/info/{package}:amd64.list")).exists()
    };
    candidates.into_iter().find(|packages| packages.iter().all(here)).expect("gcc builds this test").to_vec()
}

/// Every path of these packages that is there, each after its directory; none that leads over a link.
fn files_of(packages: &[impl AsRef<str>]) -> Vec<OsString> {
    let packages: Vec<&str> = packages.iter().map(AsRef::as_ref).collect();
    let listed = output("dpkg-query", &[&["--listfiles"], &packages[..]].concat());
    let mut paths = BTreeSet::new();
    for line in listed.split(|b| *b == b'\n').filter(|line| line.starts_with(b"/") && line.len() > 2) {
        let Ok(path) = fs::canonicalize(Path::new(OsStr::from_bytes(line)).parent().unwrap()) else { continue };
        let path = path.join(Path::new(OsStr::from_bytes(line)).file_name().unwrap());
        // What the kernel shows there changes while it is read.
        let is_kernels = ["/proc", "/sys"].iter().any(|of| path.starts_with(of));
        if !is_kernels && fs::symlink_metadata(&path).is_ok() {
            paths.extend(path.ancestors().filter(|path| path.parent().is_some()).map(Path::to_owned));
        }
    }
    // Merged /usr: the links that make it, which no package has.
    paths.extend(
        ["/bin", "/sbin", "/lib", "/lib64"]
            .map(Path::new)
            .into_iter()
            .filter(|path| path.is_symlink())
            .map(Path::to_owned),
    );
    paths.into_iter().map(|path| OsString::from_vec(path.as_os_str().as_bytes()[1..].to_vec())).collect()
}

fn archive(packages: &[impl AsRef<str>]) -> Vec<u8> {
    let files = files_of(packages);
    let names: Vec<&OsStr> = files.iter().map(OsString::as_os_str).collect();
    pack(Path::new("/"), &["--format=pax", "--xattrs", "--xattrs-include=*"], &names)
}

#[test]
fn a_debian_root_and_python_look_as_unpacked() {
    let (lower, upper) = (archive(&required()), archive(&others()));
    let dir = place();
    let mut images = Vec::new();
    for (name, tar) in [("lower", &lower), ("upper", &upper)] {
        let own = dir.path().join(name);
        fs::create_dir(&own).unwrap();
        let (image, converted) = convert(&gzip(tar)[..], Compression::Gzip, &own).unwrap();
        assert!(converted.entries > 100, "{converted:?}");
        assert_eq!(converted.uncompressed_bytes, tar.len() as u64);
        assert_image_as_gnu_tar(&image, &tar[..], &own);
        images.push(image);
    }
    let unpacked = dir.path().join("both");
    fs::create_dir(&unpacked).unwrap();
    unpack(&lower[..], &unpacked);
    unpack(&upper[..], &unpacked);
    let expected = facts::read(&unpacked, KEPT);
    for way in WAYS {
        let layers = images.iter().map(|image| Mounted::image(image, way)).collect();
        let shown = facts::read(&Mounted::overlay(layers).root(), KEPT);
        assert_same("overlayfs and one after the other", &shown, &expected, |path, fact| {
            without_root(path, fact);
            *fact = Fact { same_as: None, links: 0, ..fact.clone() };
        });
    }
}
