//! The small image of all tests: busybox and the demo's start script, made once.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::process::{run, text};

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A directory with `config.json` and `layer.tar.gz`. Runs of the tests share it, also when there are two at once: it is
/// called by what it is made of, made under another name and put in place whole.
pub fn made() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let make = repository().join("scripts/lib/make-image");
        let start = repository().join("examples/weather-image/start.sh");
        let mut hash = DefaultHasher::new();
        for part in [&make, &start] {
            fs::read(part).expect("the script is there").hash(&mut hash);
        }
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-image-{:016x}", hash.finish()));
        if !place.exists() {
            let hidden =
                tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory can be written");
            let output = run(Command::new(&make).arg(hidden.path()).arg("/usr/bin/busybox").arg(&start), "");
            assert!(output.status.success(), "make-image: {}", text(&output.stderr));
            // Another run may have been first: then its image serves, and this one goes.
            if fs::rename(hidden.path(), &place).is_ok() {
                let _ = hidden.keep();
            }
        }
        place
    })
}
