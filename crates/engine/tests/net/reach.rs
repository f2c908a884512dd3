//! What services reach, and what they must not.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Barrier},
};

use meshkeep_engine::embedded::net::{FirewallGuard, NetError, attach};

use crate::netns::{HOST, Hosts, METADATA, Monitor, Netns, WORLD, run, session, set, setting};

#[test]
fn services_reach_their_session_and_the_world_and_nothing_else() {
    // The second time as on hosts where bridged packets pass the firewall, as Docker sets them up.
    for bridged_packets_filtered in ["0", "1"] {
        let hosts = Hosts::new();
        hosts.host.run(move || {
            if std::path::Path::new("/proc/sys/net/bridge").exists() {
                set("bridge/bridge-nf-call-iptables", bridged_packets_filtered);
            }
        });
        let server = hosts.server();
        let (one, other) = (server.ensure(&hosts, session()), server.ensure(&hosts, session()));
        let [api, worker] = [0, 59].map(|place| server.service(&hosts, &one, place));
        let stranger = server.service(&hosts, &other, 0);
        // All listen on the same port, below 1024, the host and the world too.
        let _listening = [&api, &worker, &stranger, &hosts.host, &hosts.world].map(|netns| netns.listen(80));

        assert!(api.reaches((one.address(59), 80)) && worker.reaches((one.address(0), 80)), "the same session");
        assert!(api.reaches((WORLD, 80)), "the world, through NAT");
        assert!(hosts.host.reaches((one.address(0), 80)) && hosts.host.reaches((other.address(0), 80)), "probes");
        assert!(hosts.host.reaches((HOST, 80)) && hosts.host.reaches((METADATA, 80)), "the host itself");

        for (address, what) in [
            (other.address(0), "another session"),
            (other.gateway(), "another session's gateway"),
            (one.gateway(), "the gateway"),
            (HOST, "the host"),
            (METADATA, "metadata"),
            (Ipv4Addr::new(100, 100, 100, 200), "another cloud's metadata"),
        ] {
            assert!(!api.reaches((address, 80)), "{what} was reached");
        }
        assert!(api.reaches((Ipv4Addr::LOCALHOST, 80)), "its own loopback");
    }
}

#[test]
fn the_host_is_not_reached_by_its_loopback_nor_by_ports_it_publishes() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let service = server.service(&hosts, &network, 0);
    let _listening = [&hosts.host, &hosts.world].map(|netns| netns.listen(8080));
    hosts.host.run(|| {
        // What kube-proxy does, and what Docker does for `--publish 9090:8080`.
        set("ipv4/conf/all/route_localnet", "1");
        run("nft add table ip published");
        run("nft add chain ip published pre { type nat hook prerouting priority dstnat ; }");
        run("nft add rule ip published pre tcp dport 9090 dnat to 203.0.113.2:8080");
        run("nft add rule ip published pre tcp dport 9091 redirect to :8080");
    });
    let gateway = network.gateway();
    service.run(move || {
        run("ip route del local 127.0.0.0/8 dev lo table local");
        run("ip route del local 127.0.0.1 dev lo table local");
        run(&format!("ip route add 127.0.0.0/8 via {gateway}"));
        set("ipv4/conf/all/route_localnet", "1");
    });
    assert!(!service.reaches((Ipv4Addr::LOCALHOST, 8080)), "the host's loopback");
    assert!(!service.reaches((HOST, 9090)), "a published port");
    assert!(!service.reaches((gateway, 9090)), "a published port at the gateway");
    assert!(!service.reaches((gateway, 9091)), "a redirected port");
    assert!(!service.reaches((WORLD, 9091)), "an outside port that the host redirects to itself");
    assert!(service.reaches((WORLD, 8080)), "the world");
}

#[test]
fn the_host_reads_no_datagram_of_a_service_and_the_world_none_from_a_false_source() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let (one, other) = (server.ensure(&hosts, session()), server.ensure(&hosts, session()));
    let service = server.service(&hosts, &one, 0);
    let (own, foreign) = (one.address(0), other.address(0));
    service.run(move || {
        run("ip addr add 198.51.100.7/32 dev eth0");
        run(&format!("ip addr add {foreign}/32 dev eth0"));
    });
    let bind = |netns: &Netns| netns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    let (host, world) = (bind(&hosts.host), bind(&hosts.world));
    assert!(service.datagram_arrives(own, WORLD, &world), "its own address");
    for source in [Ipv4Addr::new(198, 51, 100, 7), foreign] {
        assert!(!service.datagram_arrives(source, WORLD, &world), "{source} is not its own");
    }
    for to in [HOST, one.gateway(), Ipv4Addr::BROADCAST] {
        assert!(!service.datagram_arrives(own, to, &host), "{to} is the host");
    }
}

#[test]
fn nothing_outside_begins_a_connection_to_a_service() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let service = server.service(&hosts, &network, 0);
    let _listening = service.listen(80);
    hosts.world.run(|| run("ip route add 10.213.0.0/16 via 203.0.113.1"));
    let service_at = (network.address(0), 80);
    assert!(!hosts.world.reaches(service_at));

    // And this is the firewall's doing, which is made again when someone empties it.
    hosts.host.run(|| run("nft flush ruleset"));
    assert!(hosts.world.reaches(service_at));
    let networks = Arc::clone(&server.networks);
    assert!(hosts.host.run(move || networks.check_firewall().unwrap()));
    assert!(!hosts.world.reaches(service_at));
    hosts.host.run(|| run("nft flush ruleset"));
    server.ensure(&hosts, session());
    assert!(!hosts.world.reaches(service_at));
}

#[test]
fn the_firewall_is_kept_while_there_are_sessions() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let service = server.service(&hosts, &network, 0);
    let _listening = service.listen(80);
    hosts.world.run(|| run("ip route add 10.213.0.0/16 via 203.0.113.1"));
    let networks = Arc::clone(&server.networks);
    hosts.host.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kept = tokio::spawn(FirewallGuard::new().unwrap().keep(networks));
            for _ in 0..3 {
                // Another listener tells when the table is there again.
                let mut monitor = Monitor::start();
                run("nft flush ruleset");
                tokio::task::spawn_blocking(move || monitor.wait_for("add chain inet meshkeep after")).await.unwrap();
            }
            kept.abort();
        });
    });
    assert!(!hosts.world.reaches((network.address(0), 80)));
}

#[test]
fn a_service_has_one_address_no_ipv6_and_every_port() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let service = server.service(&hosts, &network, 7);
    let (v6, ports, routes) = service.run(|| {
        let v6 = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
        let routes = std::process::Command::new("ip").args(["-4", "route"]).output().unwrap().stdout;
        (v6, setting("ipv4/ip_unprivileged_port_start"), String::from_utf8(routes).unwrap())
    });
    assert!(v6.lines().all(|line| line.ends_with(" lo")), "{v6}");
    assert_eq!(ports, "0");
    assert!(routes.contains(&format!("default via {}", network.gateway())), "{routes}");
    assert!(routes.contains(&format!("src {}", network.address(7))), "{routes}");
    let bridge = network.bridge().to_owned();
    assert_eq!(hosts.host.run(move || setting(&format!("ipv6/conf/{bridge}/disable_ipv6"))), "1");
}

#[test]
fn what_a_former_attempt_left_at_a_place_is_replaced() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let _former = server.service(&hosts, &network, 3);
    let _listening = hosts.world.listen(80);
    let service = server.service(&hosts, &network, 3);
    assert!(service.reaches((WORLD, 80)));
    let place = network.clone();
    let refused = hosts.host.run(move || Netns::empty().run(move || attach(&place, 60)));
    assert!(matches!(refused, Err(NetError::Place { place: 60 })));
    let refused = hosts.host.run(move || Netns::empty().run(move || attach(&network, 0)));
    assert!(matches!(refused, Err(NetError::NoBridge { .. })), "a bridge of another namespace");
}

#[test]
fn forty_services_attach_at_once() {
    let hosts = Hosts::new();
    let server = hosts.server();
    let network = server.ensure(&hosts, session());
    let _listening = hosts.world.listen(80);
    let (shared, start) = (network.clone(), Arc::new(Barrier::new(40)));
    let services: Vec<Netns> = hosts.host.run(move || {
        let starting: Vec<_> = (0..40)
            .map(|place| {
                let (network, start) = (shared.clone(), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    Netns::service(&network, place)
                })
            })
            .collect();
        starting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let _first = services[0].listen(80);
    for service in &services[1..] {
        assert!(service.reaches((network.address(0), 80)) && service.reaches((WORLD, 80)));
    }
}
