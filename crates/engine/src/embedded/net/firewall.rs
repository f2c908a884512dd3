//! The table `inet meshkeep`: one for all sessions of all servers of a host, by the names of their bridges.
//!
//! `nft` is run when the table is made or removed, never for a single session. Whether the table is there is asked of
//! the kernel directly.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
};

use super::{error::NetError, netlink::Netlink};

const TABLE: &str = include_str!("sessions.nft");
const REMOVAL: &str = "table inet meshkeep\ndelete table inet meshkeep\n";

const NETLINK_NETFILTER: isize = 12;
const NFT_MSG_GETTABLE: u16 = (10 << 8) | 1;
const NFPROTO_INET: u8 = 1;
const NFTA_TABLE_NAME: u16 = 1;

/// Makes the table, or replaces one of another version.
pub(super) fn install() -> Result<(), NetError> {
    nft(TABLE)
}

/// Removes the table. One that is not there is no failure.
pub(super) fn remove() -> Result<(), NetError> {
    nft(REMOVAL)
}

/// Whether the table is there: someone else may have emptied the whole firewall.
pub(super) fn installed() -> Result<bool, NetError> {
    let name = b"meshkeep\0";
    let mut body = vec![NFPROTO_INET, 0, 0, 0];
    body.extend_from_slice(&(4 + name.len() as u16).to_ne_bytes());
    body.extend_from_slice(&NFTA_TABLE_NAME.to_ne_bytes());
    body.extend_from_slice(name);
    body.resize(body.len().next_multiple_of(4), 0);
    match Netlink::open(NETLINK_NETFILTER).and_then(|mut netlink| netlink.ask(NFT_MSG_GETTABLE, &body)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(NetError::kernel("show the firewall of the sessions")(error)),
    }
}

fn nft(script: &str) -> Result<(), NetError> {
    // A server's PATH may lack the directories of the system's own programs.
    for program in ["nft", "/usr/sbin/nft", "/sbin/nft"] {
        let started = Command::new(program)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(NetError::FirewallTool)?,
        };
        let mut stdin = child.stdin.take();
        let written = stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(script.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().map_err(NetError::FirewallTool)?;
        if output.status.success() {
            return written.map_err(NetError::FirewallTool);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(NetError::Firewall { said: said.lines().next().unwrap_or("nothing").to_owned() });
    }
    Err(NetError::NoFirewallTool)
}
