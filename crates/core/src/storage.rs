//! What a manifest mounts into its container beside the image: empty directories and files with text of its own.

use serde::{Deserialize, Serialize};

use crate::{Refusal, service::StorageSpec};

/// Bytes of a mount's path at most.
const MAX_PATH: usize = 1024;
/// Mounts of one service at most.
const MAX_MOUNTS: usize = 32;
/// Bytes of all files of one service at most.
const MAX_FILES: usize = 128 << 10;
/// Places that a container has already, with all that is below them.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Places that a container has already.
const TAKEN: [&str; 4] = ["/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where: absolute, without `.`, `..` and doubled slashes.
    pub path: String,
    /// Whether it may only be read.
    pub read_only: bool,
    /// The text of a file; an empty directory when `None`, which is gone when the container ends.
    pub text: Option<String>,
}

/// The mounts of a manifest, in order.
///
/// # Errors
/// `Invalid`, naming the member.
pub fn mounts(storage: &StorageSpec) -> Result<Vec<Mount>, Refusal> {
    let mut mounts = Vec::new();
    for (position, dir) in storage.empty_dirs.iter().enumerate() {
        let path = checked(&format!("container.storage.empty_dirs[{position}].path"), &dir.path, &mounts)?;
        mounts.push(Mount { path, read_only: dir.read_only.unwrap_or(false), text: None });
    }
    for (position, file) in storage.files.iter().enumerate() {
        let field = format!("container.storage.files[{position}]");
        let path = checked(&format!("{field}.path"), &file.path, &mounts)?;
        if file.text.contains('\0') {
            return Err(Refusal::invalid(&format!("{field}.text"), "holds a NUL byte"));
        }
        mounts.push(Mount { path, read_only: file.read_only.unwrap_or(true), text: Some(file.text.clone()) });
    }
    if mounts.len() > MAX_MOUNTS {
        return Err(Refusal::invalid("container.storage", format!("has more than {MAX_MOUNTS} mounts")));
    }
    if mounts.iter().filter_map(|mount| mount.text.as_ref()).map(String::len).sum::<usize>() > MAX_FILES {
        return Err(Refusal::invalid("container.storage.files", format!("are more than {MAX_FILES} bytes together"))
            .hint("put large files into the image"));
    }
    Ok(mounts)
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
            "empty_dirs": [{"path": "/cache"}, {"path": "/tmp/x", "read_only": true}],
            "files": [{"path": "/etc/app.conf", "text": "a"}, {"path": "/w", "text": "", "read_only": false}],
        }));
        let shown: Vec<_> = found.unwrap().into_iter().map(|mount| (mount.path, mount.read_only, mount.text)).collect();
        let wanted = [
            ("/cache", false, None),
            ("/tmp/x", true, None),
            ("/etc/app.conf", true, Some("a")),
            ("/w", false, Some("")),
        ];
        assert_eq!(shown, wanted.map(|(path, read_only, text)| (path.to_owned(), read_only, text.map(str::to_owned))));
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
