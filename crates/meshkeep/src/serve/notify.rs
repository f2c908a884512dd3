//! Readiness for systemd (sd_notify), when it asks.

use std::{
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt as _,
        unix::ffi::OsStrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// The server serves.
pub(super) fn ready(socket: Option<&OsStr>) {
    send(socket, b"READY=1\n");
}

/// The server stops.
pub(super) fn stopping(socket: Option<&OsStr>) {
    send(socket, b"STOPPING=1\n");
}

fn send(socket: Option<&OsStr>, message: &[u8]) {
    let Some(socket) = socket else { return };
    let sent = address(socket).and_then(|address| UnixDatagram::unbound()?.send_to_addr(message, &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// A path, or an abstract name after `@`.
fn address(socket: &OsStr) -> std::io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_path_and_an_abstract_name() {
        let dir = std::env::temp_dir().join(format!("meshkeep-notify-{}", std::process::id()));
        let at_path = UnixDatagram::bind(&dir).unwrap();
        let name = format!("meshkeep-test-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        ready(Some(dir.as_os_str()));
        ready(Some(OsStr::new(&format!("@{name}"))));
        std::fs::remove_file(&dir).unwrap();
        for socket in [at_path, abstract_one] {
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
    }
}
