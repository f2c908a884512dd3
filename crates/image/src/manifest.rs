//! Manifests: which image of a list is this machine's, and which blobs it is made of. Pure; the bytes are a stranger's.
//!
//! What must stay true: the media type says what a document is, its body may not say otherwise (CVE-2021-41190), and
//! `urls` of a descriptor are never looked at (CVE-2020-15157).

use serde::Deserialize;

use crate::{image::Digest, layer::Compression};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What a request for a manifest accepts.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Most layers of an image.
pub(crate) const MAX_LAYERS: usize = 256;
/// Most entries of a list.
const MAX_ENTRIES: usize = 1024;
/// Largest layer blob that is begun: 256 GiB.
const MAX_BLOB: u64 = 256 << 30;

/// Why a manifest or an image config is refused. The message completes "a manifest that is refused: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Not JSON, or not of the shape that its media type promises.
    #[error("{0} is malformed at line {1}, column {2}")]
    Malformed(&'static str, usize, usize),
    /// The media type is none of an image's.
    #[error("its media type is none of an image's")]
    UnknownMediaType,
    /// Docker's first format.
    #[error("it is of Docker's schema 1, which is not supported")]
    Schema1,
    /// Header, body or list say different things.
    #[error("its media type and its content disagree")]
    Disagreement,
    /// A list within a list.
    #[error("it is a list within a list")]
    NestedIndex,
    /// More than the bound.
    #[error("it has more than {0} {1}")]
    TooMany(usize, &'static str),
    /// An artifact such as a chart.
    #[error("it is not a container image's: its config is of another kind")]
    NotAnImage,
    /// Layers that are to be fetched from elsewhere.
    #[error("it has a foreign layer, whose bytes are not in the registry")]
    ForeignLayer,
    /// A layer of an unknown kind.
    #[error("it has a layer of an unknown media type")]
    UnknownLayer,
    /// No layer at all.
    #[error("it has no layers")]
    NoLayers,
    /// The config names other layers.
    #[error("its config names {config} layers, but it has {manifest}")]
    LayerCount {
        /// `diff_ids` in the config.
        config: usize,
        /// Layers in the manifest.
        manifest: usize,
    },
    /// A size that no blob has.
    #[error("it states a size that is out of bounds")]
    Size,
}

/// A document that a manifest names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// What a manifest's bytes are.
#[derive(Debug)]
pub(crate) enum Manifest {
    /// One image per platform.
    Index(Vec<Descriptor>),
    /// An image.
    Image(ImageManifest),
}

/// An image's blobs.
#[derive(Debug)]
pub(crate) struct ImageManifest {
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<LayerBlob>,
}

/// A layer as it is fetched.
#[derive(Clone, Debug)]
pub(crate) struct LayerBlob {
    pub digest: Digest,
    pub size: u64,
    pub compression: Compression,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

/// Reads a manifest that came with `media_type`.
pub(crate) fn parse(media_type: &str, bytes: &[u8]) -> Result<Manifest, ManifestFault> {
    let index = match media_type {
        OCI_INDEX | DOCKER_LIST => true,
        OCI_MANIFEST | DOCKER_MANIFEST => false,
        other if DOCKER_SCHEMA1.contains(&other) => return Err(ManifestFault::Schema1),
        _ => return Err(ManifestFault::UnknownMediaType),
    };
    let raw: RawManifest = serde_json::from_slice(bytes).map_err(|error| malformed("it", &error))?;
    if raw.schema_version == 1 {
        return Err(ManifestFault::Schema1);
    }
    if raw.schema_version != 2 || raw.media_type.is_some_and(|own| own != media_type) {
        return Err(ManifestFault::Disagreement);
    }
    match (index, raw.manifests, raw.config, raw.layers) {
        (true, Some(entries), None, None) => {
            if entries.len() > MAX_ENTRIES {
                return Err(ManifestFault::TooMany(MAX_ENTRIES, "entries"));
            }
            Ok(Manifest::Index(entries))
        }
        (false, None, Some(config), Some(layers)) => image(config, layers).map(Manifest::Image),
        _ => Err(ManifestFault::Disagreement),
    }
}

pub(crate) fn malformed(what: &'static str, error: &serde_json::Error) -> ManifestFault {
    ManifestFault::Malformed(what, error.line(), error.column())
}

fn image(config: Descriptor, layers: Vec<Descriptor>) -> Result<ImageManifest, ManifestFault> {
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err(ManifestFault::NotAnImage);
    }
    if layers.is_empty() {
        return Err(ManifestFault::NoLayers);
    }
    if layers.len() > MAX_LAYERS {
        return Err(ManifestFault::TooMany(MAX_LAYERS, "layers"));
    }
    let layers = layers.into_iter().map(layer).collect::<Result<_, _>>()?;
    Ok(ImageManifest { config, layers })
}

fn layer(descriptor: Descriptor) -> Result<LayerBlob, ManifestFault> {
    let compression = match descriptor.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => Compression::None,
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Compression::Gzip
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            Compression::Zstd
        }
        other if other.contains("foreign") || other.contains("nondistributable") => {
            return Err(ManifestFault::ForeignLayer);
        }
        _ => return Err(ManifestFault::UnknownLayer),
    };
    if descriptor.size > MAX_BLOB {
        return Err(ManifestFault::Size);
    }
    Ok(LayerBlob { digest: descriptor.digest, size: descriptor.size, compression })
}

/// This machine, in the words of the OCI specification.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Why a list has nothing for this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoChoice {
    /// What it offers instead, `os/architecture[/variant]`, in its words.
    Offered(String),
    /// The chosen entry is refused.
    Fault(ManifestFault),
}

/// The entry of a list for linux on `architecture`.
pub(crate) fn choose(entries: &[Descriptor], architecture: &str) -> Result<Descriptor, NoChoice> {
    let fits = |entry: &&Descriptor| match &entry.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == architecture,
        None => entries.len() == 1,
    };
    let rank = |entry: &&Descriptor| {
        let variant = entry.platform.as_ref().and_then(|platform| platform.variant.as_deref()).unwrap_or_default();
        variant_rank(architecture, variant)
    };
    let best = entries.iter().filter(fits).filter(|entry| rank(entry).is_some()).min_by_key(|entry| rank(entry));
    let Some(best) = best else { return Err(NoChoice::Offered(offered(entries))) };
    match best.media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(best.clone()),
        OCI_INDEX | DOCKER_LIST => Err(NoChoice::Fault(ManifestFault::NestedIndex)),
        other if DOCKER_SCHEMA1.contains(&other) => Err(NoChoice::Fault(ManifestFault::Schema1)),
        _ => Err(NoChoice::Fault(ManifestFault::UnknownMediaType)),
    }
}

/// Lower is better; `None` needs more than every machine of the architecture has.
fn variant_rank(architecture: &str, variant: &str) -> Option<u8> {
    match (architecture, variant) {
        ("arm64", "v8") | ("amd64", "v1") | (_, "") => Some(0),
        ("arm64", "v8.0") => Some(1),
        _ => None,
    }
}

fn offered(entries: &[Descriptor]) -> String {
    let mut names: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| {
            let variant =
                platform.variant.as_deref().filter(|v| !v.is_empty()).map_or(String::new(), |v| format!("/{v}"));
            format!("{}/{}{variant}", platform.os, platform.architecture)
        })
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest(byte: u8) -> String {
        Digest::from_bytes([byte; 32]).to_string()
    }

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": digest(1), "size": 7})
    }

    fn manifest(layers: &[&str]) -> Value {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(CONFIGS[0]),
            "layers": layers.iter().map(|one| descriptor(one)).collect::<Vec<_>>(),
        })
    }

    fn read(media_type: &str, value: &Value) -> Result<Manifest, ManifestFault> {
        parse(media_type, value.to_string().as_bytes())
    }

    const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    #[test]
    fn an_images_layers_are_read_in_order() {
        let kinds = [GZIP, "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+zstd"];
        let Manifest::Image(image) = read(OCI_MANIFEST, &manifest(&kinds)).unwrap() else { panic!("not an image") };
        let compressions: Vec<_> = image.layers.iter().map(|layer| layer.compression).collect();
        assert_eq!(compressions, [Compression::Gzip, Compression::None, Compression::Zstd]);
    }

    #[test]
    fn what_is_refused_is_named() {
        let refused = |media_type: &str, value: Value| read(media_type, &value).unwrap_err();
        assert_eq!(refused("text/html", manifest(&[GZIP])), ManifestFault::UnknownMediaType);
        assert_eq!(refused(DOCKER_SCHEMA1[1], manifest(&[GZIP])), ManifestFault::Schema1);
        assert_eq!(refused(DOCKER_MANIFEST, json!({"schemaVersion": 1})), ManifestFault::Schema1);
        assert_eq!(refused(DOCKER_MANIFEST, manifest(&[GZIP])), ManifestFault::Disagreement);
        assert_eq!(refused(OCI_INDEX, manifest(&[GZIP])), ManifestFault::Disagreement);
        let mut both = manifest(&[GZIP]);
        both["manifests"] = json!([]);
        assert_eq!(refused(OCI_MANIFEST, both.clone()), ManifestFault::Disagreement);
        both["mediaType"] = json!(OCI_INDEX);
        assert_eq!(refused(OCI_INDEX, both), ManifestFault::Disagreement);
        assert_eq!(refused(OCI_MANIFEST, manifest(&[])), ManifestFault::NoLayers);
        let many = [GZIP].repeat(MAX_LAYERS + 1);
        assert_eq!(refused(OCI_MANIFEST, manifest(&many)), ManifestFault::TooMany(MAX_LAYERS, "layers"));
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        assert_eq!(refused(OCI_MANIFEST, manifest(&[foreign])), ManifestFault::ForeignLayer);
        assert_eq!(refused(OCI_MANIFEST, manifest(&["application/octet-stream"])), ManifestFault::UnknownLayer);
        let mut chart = manifest(&[GZIP]);
        chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        assert_eq!(refused(OCI_MANIFEST, chart), ManifestFault::NotAnImage);
        for bad in ["sha512:00", "sha256:../../etc/passwd", "sha256:ABC"] {
            let mut value = manifest(&[GZIP]);
            value["layers"][0]["digest"] = json!(bad);
            assert!(matches!(refused(OCI_MANIFEST, value), ManifestFault::Malformed("it", 1, _)), "{bad}");
        }
        let mut negative = manifest(&[GZIP]);
        negative["layers"][0]["size"] = json!(-1);
        assert!(matches!(refused(OCI_MANIFEST, negative), ManifestFault::Malformed(..)));
        let mut huge = manifest(&[GZIP]);
        huge["layers"][0]["size"] = json!(u64::MAX);
        assert_eq!(refused(OCI_MANIFEST, huge), ManifestFault::Size);
        let twice = br#"{"schemaVersion":2,"schemaVersion":1,"manifests":[]}"#;
        assert!(matches!(parse(OCI_INDEX, twice), Err(ManifestFault::Malformed(..))));
    }

    fn entry(byte: u8, os: &str, architecture: &str, variant: Option<&str>) -> Value {
        let mut platform = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            platform["variant"] = json!(variant);
        }
        json!({"mediaType": OCI_MANIFEST, "digest": digest(byte), "size": 7, "platform": platform})
    }

    fn chosen(entries: Value, architecture: &str) -> Result<Digest, NoChoice> {
        let Manifest::Index(entries) = read(OCI_INDEX, &json!({"schemaVersion": 2, "manifests": entries})).unwrap()
        else {
            panic!("not an index")
        };
        choose(&entries, architecture).map(|entry| entry.digest)
    }

    #[test]
    fn a_list_gives_this_machines_image() {
        let list = json!([
            entry(1, "windows", "amd64", None),
            entry(2, "linux", "amd64", Some("v3")),
            entry(3, "linux", "amd64", None),
            entry(4, "linux", "arm64", Some("v9")),
            entry(5, "linux", "arm64", Some("v8")),
            entry(6, "unknown", "unknown", None),
        ]);
        assert_eq!(chosen(list.clone(), "amd64").unwrap(), Digest::from_bytes([3; 32]));
        assert_eq!(chosen(list.clone(), "arm64").unwrap(), Digest::from_bytes([5; 32]));
        let offered = "linux/amd64, linux/amd64/v3, linux/arm64/v8, linux/arm64/v9, windows/amd64";
        assert_eq!(chosen(list, "riscv64").unwrap_err(), NoChoice::Offered(offered.to_owned()));
        assert_eq!(chosen(json!([]), "amd64").unwrap_err(), NoChoice::Offered("nothing".to_owned()));
        let mut nested = entry(1, "linux", "amd64", None);
        nested["mediaType"] = json!(OCI_INDEX);
        assert_eq!(chosen(json!([nested]), "amd64").unwrap_err(), NoChoice::Fault(ManifestFault::NestedIndex));
    }
}
