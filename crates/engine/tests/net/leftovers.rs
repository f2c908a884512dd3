//! What is left behind: after an orderly end nothing, after a crash nothing that the next start does not remove.

use std::{fs, sync::Arc};

use meshkeep_engine::embedded::net::{Ipv4Pool, NetError};

use crate::netns::{Hosts, WORLD, run, session, set, setting, try_run};

fn forwarding(hosts: &Hosts) -> String {
    hosts.host.run(|| setting("ipv4/ip_forward"))
}

fn has_table(hosts: &Hosts) -> bool {
    hosts.host.run(|| try_run("nft list table inet meshkeep"))
}

fn has_link(hosts: &Hosts, name: &str) -> bool {
    let command = format!("ip link show {name}");
    hosts.host.run(move || try_run(&command))
}

#[test]
fn the_last_session_and_the_server_take_everything_with_them() {
    for before in ["0", "1"] {
        let hosts = Hosts::new();
        hosts.host.run(move || set("ipv4/ip_forward", before));
        let server = hosts.server();
        assert!(has_table(&hosts), "ready for the first session");
        let ids = [session(), session()];
        let networks = ids.map(|id| server.ensure(&hosts, id));
        assert_eq!(server.ensure(&hosts, ids[0]), networks[0], "the same again");
        assert_ne!(networks[0].bridge(), networks[1].bridge());
        assert_eq!(forwarding(&hosts), "1");
        let service = server.service(&hosts, &networks[1], 0);
        server.remove(&hosts, ids[0]);
        server.remove(&hosts, ids[0]);
        server.close(&hosts);
        assert!(has_table(&hosts) && forwarding(&hosts) == "1");
        assert!(!has_link(&hosts, networks[0].bridge()) && has_link(&hosts, networks[1].bridge()));
        drop(service);
        server.remove(&hosts, ids[1]);
        assert!(has_table(&hosts) && !has_link(&hosts, networks[1].bridge()));
        server.close(&hosts);
        server.close(&hosts);
        assert!(!has_table(&hosts));
        assert_eq!(forwarding(&hosts), before);
        assert_eq!(fs::read_dir(server.dir.path().join("networks")).unwrap().count(), 0);
    }
}

#[test]
fn servers_share_a_host() {
    let hosts = Hosts::new();
    let (one, other) = (hosts.server(), hosts.server());
    let (id, other_id) = (session(), session());
    let (network, other_network) = (one.ensure(&hosts, id), other.ensure(&hosts, other_id));
    let service = one.service(&hosts, &network, 0);
    let stranger = other.service(&hosts, &other_network, 0);
    let _listening = [&stranger, &hosts.world].map(|netns| netns.listen(80));
    assert!(!service.reaches((other_network.address(0), 80)) && service.reaches((WORLD, 80)));
    assert!(hosts.host.reaches((other_network.address(0), 80)));
    // A restart of one leaves the other's alone.
    let one = hosts.server_with(one.dir, Ipv4Pool::default());
    assert!(has_link(&hosts, other_network.bridge()) && has_link(&hosts, network.bridge()));
    one.remove(&hosts, id);
    one.close(&hosts);
    assert!(has_table(&hosts) && forwarding(&hosts) == "1");
    other.remove(&hosts, other_id);
    other.close(&hosts);
    assert!(!has_table(&hosts) && forwarding(&hosts) == "0", "the second knew how it was before the first");
}

#[test]
fn networks_that_the_host_uses_are_left_alone() {
    let hosts = Hosts::new();
    hosts.host.run(|| {
        run("ip link add lan0 type bridge");
        run("ip addr add 10.99.0.9/27 dev lan0");
        run("ip link set lan0 up");
        // Wider than the pool: a VPN's, say.
        run("ip route add 10.0.0.0/8 via 203.0.113.2");
        run("ip route add blackhole 10.99.0.192/28");
    });
    let server = hosts.server_with(tempfile::tempdir().unwrap(), "10.99.0.0/24".parse().unwrap());
    let mut gateways = [session(), session()].map(|id| server.ensure(&hosts, id).gateway().to_string());
    gateways.sort();
    assert_eq!(gateways, ["10.99.0.129", "10.99.0.65"]);
    let networks = Arc::clone(&server.networks);
    let refused = hosts.host.run(move || networks.ensure_session(session()).unwrap_err());
    assert!(matches!(&refused, NetError::PoolExhausted { pool } if pool == "10.99.0.0/24"), "{refused}");
    assert!(refused.to_string().contains("engine.subnet_pool"));
}

#[test]
fn the_next_start_removes_what_a_crash_left() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let (kept, lost) = (session(), session());
    let (kept_network, lost_network) = (server.ensure(&hosts, kept), server.ensure(&hosts, lost));
    let dir = server.dir.path().join("networks");
    fs::remove_file(dir.join(format!("{lost}.json"))).unwrap();
    fs::write(dir.join(format!("{}.half", session())), "{").unwrap();
    fs::write(dir.join(format!("{}.json", session())), "{\"bridge\"").unwrap();
    let server = hosts.server_with(server.dir, Ipv4Pool::default());
    assert_eq!(server.networks.sessions(), [kept]);
    assert!(!has_link(&hosts, lost_network.bridge()) && has_link(&hosts, kept_network.bridge()));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    assert_eq!(server.ensure(&hosts, kept), kept_network);

    // Killed between two steps of removing the last one.
    hosts.host.run(|| set("ipv4/ip_forward", "0"));
    fs::remove_file(dir.join(format!("{kept}.json"))).unwrap();
    let server = hosts.server_with(server.dir, Ipv4Pool::default());
    assert!(!has_link(&hosts, kept_network.bridge()) && forwarding(&hosts) == "0");
    assert!(server.networks.sessions().is_empty());
    server.close(&hosts);
    assert!(!has_table(&hosts));
}

#[test]
fn a_network_is_made_again_after_a_reboot_or_where_it_is_half_made() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let id = session();
    let network = server.ensure(&hosts, id);
    // A boot has neither links nor tables; the records are still there.
    let (removal, down) =
        (format!("ip link del {}", network.bridge()), format!("ip addr flush dev {}", network.bridge()));
    hosts.host.run(move || {
        run(&removal);
        run("nft flush ruleset");
        set("ipv4/ip_forward", "0");
    });
    let server = hosts.server_with(server.dir, Ipv4Pool::default());
    assert_eq!(server.ensure(&hosts, id), network);
    assert!(has_table(&hosts) && forwarding(&hosts) == "1");

    // Killed after the bridge was made and before it had its address.
    hosts.host.run(move || {
        run(&down);
        run("nft flush ruleset");
    });
    let server = hosts.server_with(server.dir, Ipv4Pool::default());
    assert_eq!(server.ensure(&hosts, id), network);
    let _listening = hosts.world.listen(80);
    assert!(server.service(&hosts, &network, 0).reaches((WORLD, 80)));

    // After a boot the slice may be another's.
    let removal = format!("ip link del {}", network.bridge());
    let taken = format!("ip route add blackhole {}", network.address(9));
    hosts.host.run(move || {
        run(&removal);
        run(&taken);
        set("ipv4/ip_forward", "0");
    });
    let again = server.ensure(&hosts, id);
    assert_ne!(again.gateway(), network.gateway());
    assert_eq!(server.networks.sessions(), [id]);
    assert!(server.service(&hosts, &again, 0).reaches((WORLD, 80)));
    server.remove(&hosts, id);
    server.close(&hosts);
    assert!(!has_table(&hosts) && forwarding(&hosts) == "0");
}
