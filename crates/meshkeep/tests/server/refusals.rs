//! What `serve` refuses to start on: one line that says what to do, an exit code by kind, no file changed.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Command};

use crate::support::{Place, one_line, program, run};

#[test]
fn no_data_directory() {
    let place = Place::empty();
    place.refuses(&[], 3, &["no meshkeep database", "meshkeep init --data-dir"]);
    fs::create_dir(place.data()).unwrap();
    place.refuses(&[], 3, &["no meshkeep database"]);
    let unnamed = run(Command::new(program()).arg("serve"));
    one_line(&unnamed, 2, &["--data-dir"]);
}

#[test]
fn a_root_key_that_is_missing_foreign_open_or_cut_short() {
    let place = Place::new();
    let other = Place::new();
    let other_key = other.key();
    place.refuses(&["--root-key-file", other_key.to_str().unwrap()], 3, &["sealed under root key", "--root-key-file"]);

    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o644)).unwrap();
    place.refuses(&[], 3, &["open to others", "chmod 600"]);
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o600)).unwrap();

    let whole = fs::read(place.key()).unwrap();
    fs::write(place.key(), &whole[..whole.len() / 2]).unwrap();
    place.refuses(&[], 3, &["not a whole root key file"]);

    fs::remove_file(place.key()).unwrap();
    place.refuses(&[], 3, &["data.root-key", "--root-key-file"]);
}

#[test]
fn a_database_that_is_newer() {
    let place = Place::new();
    let database = place.path("data/meshkeep.db");
    let later = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, 1, x'00', 1);
        PRAGMA wal_checkpoint(TRUNCATE);";
    let edited = run(Command::new("sqlite3").arg(&database).arg(later));
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    place.refuses(&[], 3, &["schema 9999", "newer"]);
}

#[test]
fn a_database_that_is_damaged() {
    let place = Place::new();
    let database = place.path("data/meshkeep.db");
    let whole = fs::read(&database).unwrap();

    fs::write(&database, &whole[..whole.len() / 2]).unwrap();
    place.refuses(&[], 3, &["damaged", "restore a backup"]);

    fs::write(&database, b"not a database at all").unwrap();
    place.refuses(&[], 3, &["damaged", "restore a backup"]);

    fs::write(&database, b"").unwrap();
    place.refuses(&[], 3, &["damaged", "restore a backup"]);

    let mut flipped = whole.clone();
    for byte in flipped.iter_mut().skip(4096).step_by(64) {
        *byte ^= 0x55;
    }
    fs::write(&database, flipped).unwrap();
    place.refuses(&[], 3, &["damaged", "restore a backup"]);
}

#[test]
fn a_port_that_is_taken() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.refuses(&["--listen", &address], 4, &[&address, "another program listens there", "--listen"]);
}

#[test]
fn a_privilege_that_is_missing() {
    let place = Place::new();
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", program()]);
    place.refuses_by(without, &[], 4, &["embedded engine needs CAP_SYS_ADMIN", "privileged"]);
    assert!(!place.path("data/engine").exists());
}

#[test]
fn what_others_could_read_on_the_way() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        place.refuses(&["--listen", address], 2, &["--tls-cert", "--behind-proxy"]);
    }
    place.refuses(&["--tls-cert", "c.pem"], 2, &["belong together"]);
    place.refuses(&["--tls-cert", "c.pem", "--tls-key", "k.pem"], 2, &["c.pem", "PEM"]);
}

#[test]
fn settings_that_are_not_known() {
    let place = Place::new();
    fs::write(place.path("m.toml"), "[server]\nlisen = '127.0.0.1:1'\n").unwrap();
    place.refuses(&["--config", "m.toml"], 2, &["m.toml", "line 2", "lisen"]);
    place.refuses(&["--config", "none.toml"], 2, &["none.toml"]);
    place.refuses(&["--insecure-registry", "http://x"], 2, &["registry"]);
    place.refuses(&["--log", "=/"], 2, &["--log"]);
}
