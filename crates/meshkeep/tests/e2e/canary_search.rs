//! Looks for values that must be nowhere. Each line of a canary holds a random core of letters and digits, which JSON,
//! URLs and shells leave as it is: whoever shows any of these forms shows the core. Base64 and hexadecimal are looked
//! for besides. The cores go through pipes, never into a file or an argument.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::process::{run, text};

/// Text that occurs nowhere else: 24 letters and digits.
pub fn core() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").expect("Linux has it").trim().replace('-', "")[..24].to_owned()
}

pub struct Search {
    needles: Vec<String>,
    /// Seconds since 1970.
    begun: i64,
}

impl Search {
    /// Files count when they changed after this was made.
    pub fn new(cores: &[&str]) -> Self {
        let needles = cores.iter().flat_map(|core| forms(core)).collect();
        let file = tempfile::tempfile().expect("a file can be made");
        Self { needles, begun: file.metadata().expect("it is open").ctime() }
    }

    /// Whether a text shows a canary.
    pub fn finds(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// The lines that show one, without it: for the report of a failure.
    pub fn hidden(&self, text: &str) -> Option<String> {
        let hide = |line: &str| {
            let hidden = self.needles.iter().fold(line.to_owned(), |line, needle| line.replace(needle, "<canary>"));
            (hidden != line).then(|| hidden.chars().take(400).collect::<String>())
        };
        text.lines().find_map(hide)
    }

    /// Those of these files that show one.
    pub fn files(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let needles = self.needles.join("\n");
        let mut found = Vec::new();
        for some in files.chunks(400) {
            let mut grep = Command::new("grep");
            grep.env("LC_ALL", "C").args(["-lsaF", "-f", "-", "--"]).args(some);
            let output = run(&mut grep, &needles);
            // 2: a file went away meanwhile, or a process.
            found.extend(text(&output.stdout).lines().map(PathBuf::from));
        }
        found
    }

    /// All files under a directory.
    pub fn under(&self, dir: &Path) -> Vec<PathBuf> {
        self.files(&walk(dir, &|_| true))
    }

    /// Files under a directory that changed since the test began.
    pub fn changed_under(&self, dir: &Path) -> Vec<PathBuf> {
        self.files(&walk(dir, &|file| file.ctime() >= self.begun))
    }

    /// Numbers of the processes that show one in `environ` or `cmdline`.
    pub fn processes(&self, what: &str) -> Vec<u32> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join(what));
        let found = self.files(&all.filter(|path| path.exists()).collect::<Vec<_>>());
        found.iter().filter_map(|path| path.iter().nth(2)?.to_str()?.parse().ok()).collect()
    }
}

/// Regular files of one file system that fit; links are not followed.
fn walk(dir: &Path, fits: &dyn Fn(&fs::Metadata) -> bool) -> Vec<PathBuf> {
    let Ok(device) = fs::symlink_metadata(dir).map(|dir| dir.dev()) else { return Vec::new() };
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(entry_of) if entry_of.is_dir() && entry_of.dev() == device => dirs.push(entry.path()),
                Ok(entry_of) if entry_of.is_file() && fits(&entry_of) => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

/// As it is, in hexadecimal, and in base64 whatever stands before it.
fn forms(core: &str) -> Vec<String> {
    let hex: String = core.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![core.to_owned(), hex.to_uppercase(), hex];
    for before in 0..3 {
        let output = run(Command::new("base64").args(["-w", "0"]), &format!("{}{core}", &"   "[..before]));
        let encoded = text(&output.stdout);
        // What depends on the neighbours goes, at both ends.
        let (from, to) = ((before * 8).div_ceil(6), (before + core.len()) / 3 * 4);
        forms.push(encoded[from..to].to_owned());
    }
    forms
}

#[test]
fn the_search_finds_what_is_planted() {
    let core = core();
    let search = Search::new(&[&core]);
    let dir = tempfile::tempdir().unwrap();
    let value = format!("x\"{core} y$");
    let base64 = |text: &str| crate::process::text(&run(&mut Command::new("base64"), text).stdout);
    for (name, planted) in [
        ("raw", value.clone()),
        ("base64-0", base64(&value)),
        ("base64-1", base64(&format!("-{value}"))),
        ("base64-2", base64(&format!("--{value}"))),
        ("hex", value.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ("json", serde_json::to_string(&value).unwrap()),
        ("amid", format!("\0\u{1}{value}\0")),
    ] {
        assert!(search.under(dir.path()).is_empty());
        let file = dir.path().join(name);
        fs::write(&file, &planted).unwrap();
        assert!(search.finds(&planted), "{name}");
        assert_eq!(search.under(dir.path()), std::slice::from_ref(&file), "{name}");
        assert_eq!(search.changed_under(dir.path()), std::slice::from_ref(&file), "{name}");
        fs::remove_file(file).unwrap();
    }
    let mut sleep = Command::new("sleep").arg("60").env("PLANTED", &value).spawn().unwrap();
    let mut argument = Command::new("sh").args(["-c", "read line", &value]).stdin(Stdio::piped()).spawn().unwrap();
    let found = crate::process::eventually("both are seen", || {
        let found = (search.processes("environ"), search.processes("cmdline"));
        if found.0.is_empty() || found.1.is_empty() { Err(format!("{found:?}")) } else { Ok(found) }
    });
    let pids = (sleep.id(), argument.id());
    for child in [&mut sleep, &mut argument] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!((found.0, found.1), (vec![pids.0], vec![pids.1]));
}
