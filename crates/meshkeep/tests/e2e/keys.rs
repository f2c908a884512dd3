//! Root keys: changed and broken off at every moment, locked with a passphrase, passed by the service manager, locked by a
//! key service.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    leftovers,
    process::{eventually, is_full, run, text},
    server::{Server, workload},
};

const ROTATE: [&str; 4] = ["root-key", "rotate", "--data-dir", "data"];

#[test]
fn a_change_of_the_root_key_may_be_killed_at_every_moment() {
    let mut server = Server::new();
    let key = server.secret("weather-keys", "WEATHER_API_KEY=\"sixteen or more of them\"\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let container = format!(
        "image: {image}\npull_secret: {pull}\nsecrets: [{key}]\ncommand: sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.2; done'"
    );
    server.service("waits", &container);
    let session = server.launch("lobby");
    server.until_ready(&session);
    let processes = leftovers::processes(&session);
    let refused = run(&mut server.operator(&ROTATE), "");
    assert_eq!(refused.status.code(), Some(3), "a server runs");
    assert!(text(&refused.stderr).contains("another meshkeep serves"), "{}", text(&refused.stderr));
    server.stop(Signal::TERM);

    let first = fs::read(server.place().join("data.root-key")).unwrap();
    let begun = Instant::now();
    let said = server.operates(&ROTATE);
    let whole = begun.elapsed();
    assert!(said.contains("the key of 1 project") && said.contains("data.root-key.old-"), "{said}");
    assert_ne!(fs::read(server.place().join("data.root-key")).unwrap(), first);
    assert!(!server.place().join("data.root-key.next").exists());

    let rounds = if is_full() { 120 } else { 24 };
    let (mut broken_off, mut between) = (0, 0);
    for round in 0..rounds {
        let mut rotate = server.operator(&ROTATE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something: the moment of the crash.
        std::thread::sleep(whole.mul_f64(f64::from(round) / f64::from(rounds)));
        let _ = rotate.kill();
        broken_off += i32::from(!rotate.wait().unwrap().success());
        let mut complaints = server.complaints(&[]);
        complaints.retain(|line| !line.contains("a change of it was broken off"));
        assert_eq!(complaints, Vec::<String>::new(), "round {round}");
        between += i32::from(server.place().join("data.root-key.next").exists());
    }
    assert!(broken_off > rounds / 3 && between > 0, "{broken_off} were broken off, {between} with two keys");

    // A server that starts in the middle serves, whichever key is the database's.
    let begun = Instant::now();
    let mut started = 0;
    while started < 4 {
        let mut rotate = server.operator(&ROTATE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let next = server.place().join("data.root-key.next");
        while !next.exists() && rotate.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        std::thread::sleep(whole.mul_f64(f64::from(started) / 8.0));
        let _ = rotate.kill();
        rotate.wait().unwrap();
        server.start();
        let found = server.until_ready(&session);
        assert_eq!(workload(&found, "waits")["restarts"], 0);
        assert!(server.ok(&["secret", "show", "weather-keys"], "").contains("WEATHER_API_KEY"));
        server.stop(Signal::TERM);
        started += 1;
        assert!(begun.elapsed() < Duration::from_secs(120));
    }
    server.operates(&ROTATE);
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    // What was before the changes opens nothing any more.
    fs::write(server.place().join("old"), first).unwrap();
    fs::set_permissions(server.place().join("old"), fs::Permissions::from_mode(0o600)).unwrap();
    let complaints = server.complaints(&["--root-key-file", "old"]);
    assert!(complaints.iter().any(|line| line.contains("is sealed under root key")), "{complaints:?}");

    server.start();
    server.until_ready(&session);
    assert!(processes.iter().any(|pid| leftovers::processes(&session).contains(pid)), "the service was restarted");
    assert!(server.ok(&["audit", "list"], "").contains("session.launch"));
    server.end();
}

fn private_file(at: &Path, text: &str) {
    fs::write(at, text).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_root_key_with_a_passphrase_opens_with_it_alone() {
    let words = tempfile::NamedTempFile::new().unwrap();
    fs::write(words.path(), "correct horse battery\n").unwrap();
    let words_path = words.path().to_str().unwrap();
    let mut server = Server::initialised("127.0.0.1:0", &["--new-passphrase-file", words_path], Vec::new());
    let key = fs::read_to_string(server.place().join("data.root-key")).unwrap();
    assert!(key.contains(" argon2id 65536 3 4\n"), "{key}");

    let (code, said) = server.refuses_to_start();
    assert!(
        code == Some(2) && said.contains("locked with a passphrase") && said.contains("--passphrase-file"),
        "{said}"
    );
    private_file(&server.place().join("wrong"), "wrong horse battery\n");
    server.arguments = vec!["--passphrase-file".to_owned(), "wrong".to_owned()];
    let (code, said) = server.refuses_to_start();
    assert!(code == Some(3) && said.contains("does not open with this passphrase"), "{said}");
    assert!(!said.contains("horse"), "{said}");

    server.arguments = vec!["--passphrase-file".to_owned(), words_path.to_owned()];
    server.start();
    server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);

    // The service manager passes both, and says where.
    let credentials = server.place().join("credentials");
    fs::create_dir(&credentials).unwrap();
    private_file(&credentials.join("meshkeep.root-key"), &key);
    private_file(&credentials.join("meshkeep.passphrase"), "correct horse battery");
    fs::rename(server.place().join("data.root-key"), server.place().join("elsewhere")).unwrap();
    server.arguments.clear();
    server.environment = vec![("CREDENTIALS_DIRECTORY".to_owned(), credentials.display().to_string())];
    server.start();
    assert!(server.ok(&["secret", "list"], "").contains("weather-keys"));
    server.stop(Signal::TERM);
    let refused = run(&mut server.operator(&ROTATE), "");
    assert!(text(&refused.stderr).contains("is a copy"), "{}", text(&refused.stderr));

    // Changed, it stays locked; until it is asked to be open.
    let at = ["--root-key-file", "elsewhere", "--passphrase-file", words_path];
    server.operates(&[&ROTATE[..], &at].concat());
    let locked = fs::read_to_string(server.place().join("elsewhere")).unwrap();
    assert!(locked != key && locked.contains(" argon2id "), "{locked}");
    server.operates(&[&ROTATE[..], &at, &["--new-open"]].concat());
    assert!(fs::read_to_string(server.place().join("elsewhere")).unwrap().starts_with("meshkeep root key 1\n"));
    server.environment.clear();
    server.arguments = vec!["--root-key-file".to_owned(), "elsewhere".to_owned()];
    server.start();
    assert!(server.ok(&["secret", "list"], "").contains("weather-keys"));
    server.end();

    let short = tempfile::NamedTempFile::new().unwrap();
    fs::write(short.path(), "short").unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_meshkeep"));
    init.current_dir(&place).args(["init", "--data-dir", "data", "--new-passphrase-file"]).arg(short.path());
    let refused = run(&mut init, "");
    assert!(text(&refused.stderr).contains("shorter than 12 characters"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "a refused init leaves nothing");
}

/// With Debian's SoftHSM: a real module, loaded and asked as a hardware one would be.
#[test]
fn a_root_key_that_a_key_service_locks_opens_with_it_alone() {
    let place = tempfile::tempdir().unwrap();
    let token = |name: &str, pin: &str| {
        let dir = place.path().join(name);
        fs::create_dir(&dir).unwrap();
        let settings = place.path().join(format!("{name}.conf"));
        fs::write(
            &settings,
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", dir.display()),
        )
        .unwrap();
        let mut make = Command::new("softhsm2-util");
        make.args(["--init-token", "--free", "--label", "meshkeep", "--so-pin", "0000", "--pin", pin]);
        let output = run(make.env("SOFTHSM2_CONF", &settings), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        vec![("SOFTHSM2_CONF".to_owned(), settings.display().to_string())]
    };
    let pin = place.path().join("pin");
    private_file(&pin, "493817\n");
    let uri = format!(
        "pkcs11:token=meshkeep;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source={}",
        pin.display()
    );
    let mut server = Server::initialised("127.0.0.1:0", &["--new-pkcs11", &uri], token("own", "493817"));
    let file = fs::read_to_string(server.place().join("data.root-key")).unwrap();
    assert!(file.contains(&format!(" pkcs11 {uri}\n")) && !file.contains("493817"), "{file}");
    server.start();
    server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);
    server.operates(&ROTATE);
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.start();
    assert!(server.ok(&["secret", "list"], "").contains("weather-keys"));
    server.stop(Signal::TERM);

    let own = server.environment.clone();
    for (environment, words) in [
        (token("other", "493817"), "has no key `root`"),
        (vec![("SOFTHSM2_CONF".to_owned(), "/nonexistent".to_owned())], "could not"),
    ] {
        server.environment = environment;
        let (code, said) = server.refuses_to_start();
        assert!(code == Some(3) && said.contains(words) && !said.contains("493817"), "{said}");
    }
    server.environment = own;
    private_file(&pin, "111111\n");
    let (code, said) = server.refuses_to_start();
    assert!(code == Some(3) && said.contains("refuses the PIN") && !said.contains("111111"), "{said}");
    private_file(&pin, "493817\n");
    eventually("a good start", || {
        server.start();
        Ok(())
    });
    server.end();
}

/// Every command of docs/keeping.md, in its order.
#[test]
fn the_commands_of_the_page_about_keeping_run_as_they_are_written() {
    let mut server = Server::new();
    server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);
    fs::write(server.place().join("words"), "correct horse battery\n").unwrap();
    let page = fs::read_to_string(crate::image::repository().join("docs/keeping.md")).unwrap();
    let commands: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(
        commands.len() >= 6 && commands.iter().all(|line| line.starts_with("meshkeep ") || line.starts_with("cp "))
    );
    let mut shell = Command::new("sh");
    shell.current_dir(server.place()).args(["-euc", &commands.join("\n")]);
    let program = Path::new(env!("CARGO_BIN_EXE_meshkeep")).parent().unwrap();
    shell.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", program.display()));
    for (name, value) in [("DATA", "data"), ("NEW", "new"), ("BACKUP", "backup"), ("WORDS", "words")] {
        shell.env(name, value);
    }
    let output = run(&mut shell, "");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    for made in ["backup", "new/meshkeep.db", "new.root-key"] {
        assert!(server.place().join(made).exists(), "{made}");
    }
}
