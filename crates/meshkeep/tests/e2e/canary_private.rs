//! What users of the host could open, of a server that was started with no umask at all.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::{canary_search::core, leftovers, server::Server};

const NOBODY: u32 = 65_534;

/// Whether a command succeeds as `nobody`; its exit code otherwise.
fn as_nobody(command: &[&str]) -> Option<i32> {
    let mut run = Command::new(command[0]);
    run.args(&command[1..]).uid(NOBODY).gid(NOBODY).current_dir("/");
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts").code()
}

fn all_under(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all_under(&entry.path(), found);
        }
    }
}

/// Files, directories and sockets that have a bit for others than their owner.
fn open_to_others(paths: &[PathBuf]) -> Vec<String> {
    let of = |path: &PathBuf| {
        let metadata = fs::symlink_metadata(path).ok()?;
        let mode = metadata.mode() & 0o7777;
        let is_open = !metadata.is_symlink() && mode & 0o077 != 0;
        is_open.then(|| format!("{mode:o} {}", path.display()))
    };
    paths.iter().filter_map(of).collect()
}

#[test]
fn nobody_on_the_host_opens_anything_of_a_running_server() {
    let mut server = Server::new();
    server.stop(Signal::TERM);
    server.umask = "000";
    server.start();
    let key = server.secret("keys", &format!("VALUE={}\n", core()));
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\npull_secret: {pull}\nsecrets: [{key}]"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let data = server.data_dir();
    // The data directory itself must keep them out, not the temporary one around it.
    fs::set_permissions(data.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut paths = vec![data.clone(), data.with_extension("root-key")];
    all_under(&data, &mut paths);
    let is_socket = |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let sockets: Vec<_> = paths.iter().filter(is_socket).collect();
    assert!(paths.len() > 20 && !sockets.is_empty(), "there is more than {paths:?}");
    assert_eq!(open_to_others(&paths), Vec::<String>::new());

    for path in &paths {
        let name = path.to_str().unwrap();
        assert_ne!(as_nobody(&["test", "-r", name]), Some(0), "{name} can be read");
        assert_ne!(as_nobody(&["test", "-w", name]), Some(0), "{name} can be written");
    }
    const REFUSED: Option<i32> = Some(7);
    let connect =
        |socket: &Path| as_nobody(&["curl", "-s", "-m", "2", "--unix-socket", socket.to_str().unwrap(), "http://x/"]);
    for socket in sockets {
        assert_eq!(connect(socket), REFUSED, "{} takes connections", socket.display());
    }
    // The attempts are real.
    let open = data.with_file_name("open");
    let _listener = UnixListener::bind(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    assert_ne!(connect(&open), REFUSED);
    assert_eq!(as_nobody(&["test", "-w", open.to_str().unwrap()]), Some(0));

    let services = leftovers::processes(&session);
    let supervisors = leftovers::supervisors(&session);
    assert!(!services.is_empty() && !supervisors.is_empty());
    for pid in services.into_iter().chain(supervisors).chain([server.pid()]) {
        for name in ["environ", "mem", "maps", "fd/0", "root/etc/passwd"] {
            assert_ne!(as_nobody(&["head", "-c", "1", &format!("/proc/{pid}/{name}")]), Some(0), "{name} of {pid}");
        }
    }
    assert_eq!(as_nobody(&["head", "-c", "1", "/proc/self/environ"]), Some(0));
    server.end();
}
