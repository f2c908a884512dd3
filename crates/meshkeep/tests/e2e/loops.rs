//! Layers over loop devices, as on kernels that mount no files: forced by the setting of `meshkeep.toml`.

use std::{fs, path::Path};

use crate::server::Server;

/// The host's loop devices that show a file of this directory, with the file.
fn devices(dir: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").expect("sysfs is mounted").flatten();
    let backing = devices.filter_map(|device| {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        file.contains(&dir.display().to_string()).then(|| format!("{} {file}", device.file_name().display()))
    });
    backing.collect()
}

#[test]
fn a_service_on_loop_devices_starts_and_leaves_none() {
    let settings = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    fs::write(settings.path(), "[engine]\nforce_loop = true\n").expect("it can be written");
    let mut server = Server::with_arguments(&["--config", settings.path().to_str().expect("a path")]);
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\npull_secret: {pull}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let dir = server.data_dir();
    assert!(!devices(&dir).is_empty(), "its layers are not on loop devices");
    server.log_with(&session, "weather", "serving on port 8000");
    server.ok(&["session", "terminate", &session], "");
    assert_eq!(devices(&dir), Vec::<String>::new(), "after the session");
    server.end();
    assert_eq!(devices(&dir), Vec::<String>::new());
}
