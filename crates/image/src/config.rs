//! The image config: how an image's process is run, and the digests of its layers' contents. Inert text of the author.

use std::collections::BTreeMap;

use meshkeep_core::name::EntryName;
use serde::Deserialize;

use crate::{
    image::{Digest, ImageConfig},
    manifest::{MAX_LAYERS, ManifestFault, malformed},
};

/// A config that was read.
#[derive(Debug)]
pub(crate) struct Config {
    /// `os/architecture`, in its words.
    pub platform: String,
    /// How its process is run.
    pub config: ImageConfig,
    /// SHA-256 of each layer's tar, lowest first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<RawProcess>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct RawProcess {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
}

/// Reads a config's bytes; `layers` is how many the manifest has.
pub(crate) fn parse(bytes: &[u8], layers: usize) -> Result<Config, ManifestFault> {
    let raw: RawConfig = serde_json::from_slice(bytes).map_err(|error| malformed("its config", &error))?;
    if raw.rootfs.kind != "layers" {
        return Err(ManifestFault::Disagreement);
    }
    let diff_ids = raw.rootfs.diff_ids;
    if diff_ids.len() != layers || diff_ids.len() > MAX_LAYERS {
        return Err(ManifestFault::LayerCount { config: diff_ids.len(), manifest: layers });
    }
    let process = raw.config.unwrap_or_default();
    let config = ImageConfig {
        entrypoint: process.entrypoint.unwrap_or_default(),
        cmd: process.cmd.unwrap_or_default(),
        env: environment(process.env.unwrap_or_default()),
        user: process.user.unwrap_or_default(),
        working_dir: process.working_dir.unwrap_or_default(),
        stop_signal: process.stop_signal.unwrap_or_default(),
    };
    Ok(Config { platform: format!("{}/{}", raw.os, raw.architecture), config, diff_ids })
}

/// Split at the first `=`; entries without one, with no variable's name, or with NUL are left out. A later entry of the
/// same name wins, at the first one's place.
fn environment(entries: Vec<String>) -> Vec<(String, String)> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let Some((name, value)) = entry.split_once('=') else { continue };
        if name.parse::<EntryName>().is_err() || value.contains('\0') {
            continue;
        }
        match places.get(name) {
            Some(place) => value.clone_into(&mut kept[*place].1),
            None => {
                places.insert(name.to_owned(), kept.len());
                kept.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_docker_writes() {
        let diff_id = Digest::from_bytes([7; 32]);
        let bytes = json!({
            "os": "linux", "architecture": "amd64", "created": "2024-01-01T00:00:00Z",
            "config": {
                "Env": ["PATH=/bin", "EMPTY=", "no-equals", "bad name=x", "A=b=c", "PATH=/usr/bin", "N=\u{0}"],
                "Entrypoint": null, "Cmd": ["sh", "-c"], "WorkingDir": "/srv", "User": "app:app", "StopSignal": "SIGINT",
                "Volumes": {"/data": {}}, "Labels": {"containerd.io/x": "$(reboot)"},
            },
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let read = parse(bytes.to_string().as_bytes(), 1).unwrap();
        assert_eq!(read.platform, "linux/amd64");
        assert_eq!(read.diff_ids, [diff_id]);
        let env: Vec<_> = read.config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["PATH=/usr/bin", "EMPTY=", "A=b=c"]);
        assert_eq!((read.config.entrypoint.len(), read.config.cmd.len()), (0, 2));
        assert_eq!((read.config.user.as_str(), read.config.stop_signal.as_str()), ("app:app", "SIGINT"));
    }

    #[test]
    fn refuses_what_does_not_fit_the_manifest() {
        let config =
            |kind: &str| json!({"rootfs": {"type": kind, "diff_ids": [Digest::from_bytes([7; 32])]}}).to_string();
        let refused = |text: String, layers| parse(text.as_bytes(), layers).unwrap_err();
        assert_eq!(refused(config("layers"), 2), ManifestFault::LayerCount { config: 1, manifest: 2 });
        assert_eq!(refused(config("files"), 1), ManifestFault::Disagreement);
        assert!(matches!(refused("{}".into(), 1), ManifestFault::Malformed("its config", 1, _)));
        assert!(matches!(refused("[".repeat(100_000), 1), ManifestFault::Malformed(..)));
    }
}
