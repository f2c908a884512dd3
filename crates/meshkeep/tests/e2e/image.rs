//! The small image of all tests: busybox and the demo's start script, made once.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::process::{run, text};

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A directory with `config.json` and `layer.tar.gz`.
pub fn made() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-image");
        let mut make = Command::new(repository().join("scripts/lib/make-image"));
        make.arg(&dir).arg("/usr/bin/busybox").arg(repository().join("examples/weather-image/start.sh"));
        let output = run(&mut make, "");
        assert!(output.status.success(), "make-image: {}", text(&output.stderr));
        dir
    })
}
