//! From a registry to a mount: the layers of an image that was fetched, in the order in which they are put together.

use std::{fs, sync::Arc};

use meshkeep_image::{
    Image, Images, ImagesConfig,
    testing::{RegistryOptions, Silent, TestRegistry},
};
use serde_json::json;

use crate::{
    mount::{Mounted, WAYS},
    peers::place,
    tarball::{Item, tar},
};

async fn fetched(layers: &[Vec<u8>], look: impl Fn(&Image)) {
    let registry = TestRegistry::start(RegistryOptions::default()).await;
    registry.push_image("team/app", "1", layers, &json!({})).await;
    let dir = place();
    let mut config = ImagesConfig::new(dir.path().join("images"));
    config.registries = registry.settings();
    let images = Images::open(config).await.unwrap();
    let reference = format!("{}/team/app:1", registry.host()).parse().unwrap();
    // The second time it is all there.
    for _ in 0..2 {
        look(&images.fetch(&reference, Some(&registry.credential()), Arc::new(Silent)).await.unwrap());
    }
}

#[tokio::test]
async fn a_fetched_image_can_be_mounted() {
    let lower = tar(&[Item::dir("bin"), Item::file("bin/app", "old").mode(0o755), Item::file("gone", "x")]);
    let upper = tar(&[Item::dir("bin"), Item::file("bin/app", "new").mode(0o755), Item::file(".wh.gone", "")]);
    fetched(&[lower, upper], |image| {
        assert_eq!(image.layers.len(), 2);
        for way in WAYS {
            let root = Mounted::overlay(image.layers.iter().map(|layer| Mounted::image(&layer.path, way)).collect());
            assert_eq!(fs::read(root.root().join("bin/app")).unwrap(), b"new");
            assert!(!root.root().join("gone").exists());
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_seen_through_an_opaque_root() {
    let lowest = tar(&[Item::file("secret-of-an-earlier-step", "1")]);
    let opaque = tar(&[Item::file(".wh..wh..opq", ""), Item::file("kept", "2")]);
    let top = tar(&[Item::file("top", "3")]);
    fetched(&[lowest, opaque, top], |image| {
        assert_eq!(image.layers.len(), 2);
        for way in WAYS {
            let root = Mounted::overlay(image.layers.iter().map(|layer| Mounted::image(&layer.path, way)).collect());
            let mut names: Vec<_> =
                fs::read_dir(root.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["kept", "top"]);
        }
    })
    .await;
}
