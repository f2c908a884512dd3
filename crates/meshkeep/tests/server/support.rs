//! A place of its own for each test, the built program, and whether any file changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A temporary directory with what `init` makes in it, under the name `data`.
pub struct Place(TempDir);

impl Place {
    /// Nothing made yet.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    /// Initialised.
    pub fn new() -> Self {
        let place = Self::empty();
        let made = place.init(&[]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn key(&self) -> PathBuf {
        self.path("data.root-key")
    }

    pub fn init(&self, arguments: &[&str]) -> Output {
        run(Command::new(program()).current_dir(self.0.path()).args(["init", "--data-dir", "data"]).args(arguments))
    }

    fn serve(&self, mut command: Command, arguments: &[&str]) -> Output {
        command.current_dir(self.0.path()).args(["serve", "--data-dir", "data"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        run(command.args(arguments))
    }

    /// Every file with its mode, size, modification time and content.
    pub fn tree(&self) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        walk(self.0.path(), &mut tree);
        tree
    }

    /// `serve` must refuse: one line that has `words`, this exit code, no file changed.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        self.refuses_by(Command::new(program()), arguments, code, words);
    }

    /// The same for a command that runs the program in its own way.
    #[track_caller]
    pub fn refuses_by(&self, command: Command, arguments: &[&str], code: i32, words: &[&str]) {
        let before = self.tree();
        let refused = self.serve(command, arguments);
        one_line(&refused, code, words);
        let after = self.tree();
        let changed: Vec<_> = before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "these files changed: {changed:?}");
    }
}

fn walk(dir: &Path, tree: &mut BTreeMap<PathBuf, (u32, i64, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("the place can be listed") {
        let path = entry.expect("the place can be listed").path();
        let meta = fs::symlink_metadata(&path).expect("a listed file is there");
        let content = if meta.is_file() { fs::read(&path).expect("the test may read it") } else { Vec::new() };
        // What is in a directory says more than its time: SQLite's log may have come and gone.
        let modified = if meta.is_dir() { 0 } else { meta.mtime_nsec() };
        tree.insert(path.clone(), (meta.mode(), modified, content));
        if meta.is_dir() {
            walk(&path, tree);
        }
    }
}

pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_meshkeep")
}

/// Runs to its end; a server that does not refuse is ended and reported.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdin(std::process::Stdio::null());
    let mut child = child
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the built program starts");
    let begun = std::time::Instant::now();
    while child.try_wait().expect("a child can be waited for").is_none() {
        if begun.elapsed() > std::time::Duration::from_secs(30) {
            child.kill().expect("our own child can be ended");
            let output = child.wait_with_output().expect("a child can be waited for");
            panic!("it did not end by itself: {}", text(&output.stderr));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait_with_output().expect("a child can be waited for")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The output is one line on standard error that has all `words`, with this exit code.
#[track_caller]
pub fn one_line(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("meshkeep: "), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}
