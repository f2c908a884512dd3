//! What a manifest mounts into its container beside the image: empty directories and files with text of its own.

use crate::{Refusal, service::StorageSpec};

/// Bytes of a mount's path at most.
const MAX_PATH: usize = 1024;
/// Mounts of one service at most.
const MAX_MOUNTS: usize = 32;
/// Images that one service mounts at most.
const MAX_IMAGES: usize = 8;
/// Bytes of all files of one service at most.
const MAX_FILES: usize = 128 << 10;
/// Places that a container has already, with all that is below them.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Places that a container has already.
const TAKEN: [&str; 4] = ["/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where: absolute, without `.`, `..` and doubled slashes.
    pub path: String,
    /// Whether it may only be read.
    pub read_only: bool,
    /// What is there.
    pub what: What,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An empty directory in memory, which is gone when the container ends.
    EmptyDir,
    /// A file of this text.
    File(String),
    /// A directory that stays, or a part of it.
    Stored {
        /// Whose.
        of: Stored,
        /// Which part: relative, without `.` and `..`; empty for all.
        subpath: String,
    },
    /// The files of another image, or a part of them; read-only always.
    Image {
        /// The image reference, as it was written.
        reference: String,
        /// Which part, likewise.
        subpath: String,
    },
}

/// Directories that stay when containers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The room's: every service of its sessions may have it.
    Room,
    /// The project's: services of all rooms may have it.
    Project,
}

/// The mounts of a manifest, in order.
///
/// # Errors
/// `Invalid`, naming the member.
pub fn mounts(storage: &StorageSpec) -> Result<Vec<Mount>, Refusal> {
    let mut mounts = Vec::new();
    let stored = [("room", Stored::Room, false, &storage.room), ("project", Stored::Project, true, &storage.project)];
    for (member, of, read_only, all) in stored {
        for (position, mount) in all.iter().enumerate() {
            let field = format!("container.storage.{member}[{position}]");
            let path = checked(&format!("{field}.path"), &mount.path, &mounts)?;
            let what = What::Stored { of, subpath: part(&format!("{field}.subpath"), mount.subpath.as_deref())? };
            mounts.push(Mount { path, read_only: mount.read_only.unwrap_or(read_only), what });
        }
    }
    for (position, image) in storage.images.iter().enumerate() {
        let field = format!("container.storage.images[{position}]");
        let path = checked(&format!("{field}.path"), &image.path, &mounts)?;
        if image.image.trim().is_empty() {
            return Err(Refusal::invalid(&format!("{field}.image"), "is empty"));
        }
        if image.read_only == Some(false) {
            return Err(Refusal::invalid(&format!("{field}.read_only"), "is false, and an image cannot be written")
                .hint("mount an empty directory beside it"));
        }
        let subpath = part(&format!("{field}.subpath"), image.subpath.as_deref())?;
        mounts.push(Mount { path, read_only: true, what: What::Image { reference: image.image.clone(), subpath } });
    }
    for (position, dir) in storage.empty_dirs.iter().enumerate() {
        let path = checked(&format!("container.storage.empty_dirs[{position}].path"), &dir.path, &mounts)?;
        mounts.push(Mount { path, read_only: dir.read_only.unwrap_or(false), what: What::EmptyDir });
    }
    for (position, file) in storage.files.iter().enumerate() {
        let field = format!("container.storage.files[{position}]");
        let path = checked(&format!("{field}.path"), &file.path, &mounts)?;
        if file.text.contains('\0') {
            return Err(Refusal::invalid(&format!("{field}.text"), "holds a NUL byte"));
        }
        mounts.push(Mount { path, read_only: file.read_only.unwrap_or(true), what: What::File(file.text.clone()) });
    }
    if mounts.len() > MAX_MOUNTS {
        return Err(Refusal::invalid("container.storage", format!("has more than {MAX_MOUNTS} mounts")));
    }
    if storage.images.len() > MAX_IMAGES {
        return Err(Refusal::invalid("container.storage.images", format!("are more than {MAX_IMAGES}")));
    }
    if storage.files.iter().map(|file| file.text.len()).sum::<usize>() > MAX_FILES {
        return Err(Refusal::invalid("container.storage.files", format!("are more than {MAX_FILES} bytes together"))
            .hint("put large files into the image"));
    }
    Ok(mounts)
}

/// A part of a directory, with or without a slash before it.
fn part(field: &str, subpath: Option<&str>) -> Result<String, Refusal> {
    let part = subpath.unwrap_or_default().trim_matches('/');
    let is_plain = part.is_empty() || part.split('/').all(|name| !matches!(name, "" | "." | ".."));
    if !is_plain || part.len() > MAX_PATH || part.contains('\0') {
        return Err(Refusal::invalid(
            field,
            "must be a path without `.`, `..` and doubled slashes, of at most 1024 bytes",
        ));
    }
    Ok(part.to_owned())
}

fn checked(field: &str, path: &str, before: &[Mount]) -> Result<String, Refusal> {
    let refuse = |why: &str| Err(Refusal::invalid(field, why));
    let names = path.strip_prefix('/').map(|names| names.split('/'));
    let is_plain = names.is_some_and(|mut names| names.all(|name| !matches!(name, "" | "." | "..")));
    if !is_plain || path.len() > MAX_PATH || path.contains('\0') {
        return refuse("must be an absolute path without `.`, `..`, doubled or closing slashes, of at most 1024 bytes");
    }
    let is_below =
        |parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if RESERVED.iter().any(|parent| is_below(parent)) || TAKEN.contains(&path) {
        return refuse("is a place that every container has already");
    }
    if before.iter().any(|mount| mount.path == path) {
        return refuse("is mounted twice");
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value) -> Result<Vec<Mount>, Refusal> {
        mounts(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let found = of(serde_json::json!({
            "room": [{"path": "/room"}, {"path": "/part", "subpath": "/a/b/", "read_only": true}],
            "project": [{"path": "/project"}, {"path": "/shared", "read_only": false}],
            "images": [{"image": "acme/tools:1", "path": "/tools", "subpath": "usr/bin"}],
            "empty_dirs": [{"path": "/cache"}, {"path": "/tmp/x", "read_only": true}],
            "files": [{"path": "/etc/app.conf", "text": "a"}, {"path": "/w", "text": "", "read_only": false}],
        }));
        let stored = |of, subpath: &str| What::Stored { of, subpath: subpath.to_owned() };
        let wanted = [
            ("/room", false, stored(Stored::Room, "")),
            ("/part", true, stored(Stored::Room, "a/b")),
            ("/project", true, stored(Stored::Project, "")),
            ("/shared", false, stored(Stored::Project, "")),
            ("/tools", true, What::Image { reference: "acme/tools:1".to_owned(), subpath: "usr/bin".to_owned() }),
            ("/cache", false, What::EmptyDir),
            ("/tmp/x", true, What::EmptyDir),
            ("/etc/app.conf", true, What::File("a".to_owned())),
            ("/w", false, What::File(String::new())),
        ];
        let wanted = wanted.map(|(path, read_only, what)| Mount { path: path.to_owned(), read_only, what });
        assert_eq!(found.unwrap(), wanted);
    }

    #[test]
    fn parts_and_images_that_are_none_are_refused_by_their_member() {
        for (storage, field) in [
            (serde_json::json!({"room": [{"path": "/a", "subpath": "../b"}]}), "room[0].subpath"),
            (serde_json::json!({"project": [{"path": "/a", "subpath": "b//c"}]}), "project[0].subpath"),
            (serde_json::json!({"images": [{"path": "/a", "image": " "}]}), "images[0].image"),
            (serde_json::json!({"images": [{"path": "/a", "image": "x", "read_only": false}]}), "images[0].read_only"),
            (serde_json::json!({"room": [{"path": "/a"}], "images": [{"path": "/a", "image": "x"}]}), "images[0].path"),
        ] {
            assert_eq!(of(storage).unwrap_err().field, format!("container.storage.{field}"));
        }
    }

    #[test]
    fn places_that_are_none_are_refused_by_their_member() {
        let long = format!("/{}", "a".repeat(MAX_PATH));
        for path in [
            "",
            "/",
            "x",
            "/a/",
            "//a",
            "/a/../b",
            "/a/./b",
            "/proc",
            "/proc/self",
            "/sys/x",
            "/dev/null",
            "/tmp",
            "/etc/hosts",
            "/a\0b",
            &long,
        ] {
            let refusal = of(serde_json::json!({"empty_dirs": [{"path": "/fine"}, {"path": path}]})).unwrap_err();
            assert_eq!(refusal.field, "container.storage.empty_dirs[1].path", "{path}");
        }
        for (files, field) in [
            (
                serde_json::json!([{"path": "/a", "text": "x"}, {"path": "/a", "text": "y"}]),
                "container.storage.files[1].path",
            ),
            (serde_json::json!([{"path": "/a", "text": "\0"}]), "container.storage.files[0].text"),
            (serde_json::json!([{"path": "/a", "text": "x".repeat(MAX_FILES + 1)}]), "container.storage.files"),
        ] {
            assert_eq!(of(serde_json::json!({ "files": files })).unwrap_err().field, field);
        }
        assert!(of(serde_json::json!({"empty_dirs": [{"path": "/procedure"}, {"path": "/etc/hosts.d"}]})).is_ok());
        let many: Vec<_> = (0..=MAX_MOUNTS).map(|n| serde_json::json!({"path": format!("/{n}")})).collect();
        assert_eq!(of(serde_json::json!({ "empty_dirs": many })).unwrap_err().field, "container.storage");
    }
}
