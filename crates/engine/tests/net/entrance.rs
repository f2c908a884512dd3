//! The one address of meshkeep itself: services reach it, and by it nothing else of the host.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

use meshkeep_engine::embedded::net::{Entrance, Entrances, Ipv4Pool};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::netns::{HOST, Hosts, Server, WORLD, listen_transparently, run, session, set};

const PORT: u16 = 4680;

/// A server that wants to be reached at [`PORT`], and its entrances as they come.
fn server_at(hosts: &Hosts, dir: tempfile::TempDir) -> (Server, UnboundedReceiver<Entrance>) {
    let (entrances, arrivals) = Entrances::new(PORT);
    (hosts.server_of(dir, Ipv4Pool::default(), Some(entrances)), arrivals)
}

fn server(hosts: &Hosts) -> (Server, UnboundedReceiver<Entrance>) {
    server_at(hosts, tempfile::tempdir().unwrap())
}

/// Listens on all addresses and leaves the port to the same user's other sockets, as a server on all addresses does.
fn listen_everywhere() -> TcpListener {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).unwrap();
    sockopt::set_socket_reuseport(&socket, true).unwrap();
    listen(&socket, 8).unwrap();
    socket.into()
}

#[test]
fn services_reach_the_server_and_nothing_else_of_the_host() {
    // The second time as on hosts where bridged packets pass the firewall, as Docker sets them up.
    for bridged_packets_filtered in ["0", "1"] {
        let hosts = Hosts::new();
        hosts.host.run(move || {
            if std::path::Path::new("/proc/sys/net/bridge").exists() {
                set("bridge/bridge-nf-call-iptables", bridged_packets_filtered);
            }
        });
        // Another program of the host on all addresses, and the server itself, which is told to listen on all as well.
        let _other_program = hosts.host.listen(81);
        let everywhere = hosts.host.run(listen_everywhere);
        let (server, mut arrivals) = server(&hosts);
        let (one, other) = (server.ensure(&hosts, session()), server.ensure(&hosts, session()));
        // And transparent proxies, on all addresses and on addresses that are not this session's.
        let _proxies = [(Ipv4Addr::UNSPECIFIED, 82), (HOST, 83), (other.gateway(), 83)]
            .map(|address| hosts.host.run(move || listen_transparently(address)));
        let gateway = one.gateway();
        let _bound_there = hosts.host.run(move || TcpListener::bind((gateway, 84)).unwrap());
        let service = server.service(&hosts, &one, 0);
        let stranger = server.service(&hosts, &other, 0);

        let (entrance, _) = arrivals.try_recv().unwrap();
        assert_eq!(entrance.local_addr().unwrap(), (one.gateway(), PORT).into());
        assert!(service.reaches((one.gateway(), PORT)) && stranger.reaches((other.gateway(), PORT)));
        assert_eq!(entrance.accept().unwrap().1.ip(), one.address(0), "the service's own address is seen");
        everywhere.set_nonblocking(true).unwrap();
        assert!(everywhere.accept().is_err(), "and not at the other socket");

        for (address, port, what) in [
            (one.gateway(), 81, "another program at the same address"),
            (one.gateway(), 82, "a transparent proxy at the same address"),
            (one.gateway(), 84, "another program bound to that address"),
            (HOST, 83, "a transparent proxy at the host's address"),
            (other.gateway(), 83, "a transparent proxy at another session's gateway"),
            (other.gateway(), PORT, "the entrance of another session"),
            (other.gateway(), 81, "another program at that address"),
            (HOST, PORT, "the server at the host's address"),
            (HOST, 81, "another program at the host's address"),
        ] {
            assert!(!service.reaches((address, port)), "{what} was reached");
        }
        assert!(hosts.world.reaches((HOST, PORT)), "the port itself is open to the outside");
        let datagrams = hosts.host.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap());
        assert!(!service.datagram_arrives(one.address(0), one.gateway(), &datagrams));
    }
}

#[test]
fn the_hosts_neighbours_do_not_come_in_by_a_sessions_entrance() {
    let hosts = Hosts::new();
    let (server, _arrivals) = server(&hosts);
    let network = server.ensure(&hosts, session());
    let gateway = (network.gateway(), PORT);
    let service = server.service(&hosts, &network, 0);
    hosts.world.run(|| run("ip route add 10.213.0.0/16 via 203.0.113.1"));
    assert!(service.reaches(gateway));
    assert!(!hosts.world.reaches(gateway), "a neighbour of the host");
    hosts.host.run(|| run("nft flush ruleset"));
    assert!(!hosts.world.reaches(gateway), "a neighbour, while there is no firewall");
}

#[test]
fn what_another_table_makes_of_the_entrance_is_not_reached() {
    let hosts = Hosts::new();
    let (server, _arrivals) = server(&hosts);
    let (one, other) = (server.ensure(&hosts, session()), server.ensure(&hosts, session()));
    let service = server.service(&hosts, &one, 0);
    let neighbour = server.service(&hosts, &other, 0);
    let _listening = [&hosts.host, &neighbour].map(|netns| netns.listen(8080));
    let to = other.address(0);
    for rewriting in
        ["redirect to :8080".to_owned(), "dnat to 203.0.113.1:8080".to_owned(), format!("dnat to {to}:8080")]
    {
        let rule = format!("nft add rule ip published pre tcp dport {PORT} {rewriting}");
        hosts.host.run(move || {
            run("nft add table ip published");
            run("nft add chain ip published pre { type nat hook prerouting priority dstnat ; }");
            run(&rule);
        });
        assert!(!service.reaches((one.gateway(), PORT)), "{rewriting}");
        hosts.host.run(|| run("nft delete table ip published"));
        assert!(service.reaches((one.gateway(), PORT)));
    }
}

#[test]
fn the_server_is_reached_again_after_its_end_and_after_the_firewalls() {
    let hosts = Hosts::new();
    let (server, mut arrivals) = server(&hosts);
    let id = session();
    let network = server.ensure(&hosts, id);
    let service = server.service(&hosts, &network, 0);
    let gateway = (network.gateway(), PORT);
    let _other_program = hosts.host.listen(81);
    assert!(service.reaches(gateway));
    // Killed: its sockets are closed, nothing else is done.
    let Server { networks, dir } = server;
    drop((networks, arrivals.try_recv().unwrap(), arrivals));
    assert!(!service.reaches(gateway));
    let (server, mut arrivals) = server_at(&hosts, dir);
    let (_listener, closed) = arrivals.try_recv().unwrap();
    assert!(service.reaches(gateway), "the adopted session has an entrance");

    hosts.host.run(|| run("nft flush ruleset"));
    let networks = Arc::clone(&server.networks);
    assert!(hosts.host.run(move || networks.check_firewall().unwrap()));
    assert!(service.reaches(gateway) && !service.reaches((network.gateway(), 81)));

    assert_eq!(server.ensure(&hosts, id), network);
    assert!(arrivals.try_recv().is_err() && !closed.is_cancelled(), "it stays");
    drop(service);
    let removal = format!("ip link del {}", network.bridge());
    hosts.host.run(move || run(&removal));
    assert_eq!(server.ensure(&hosts, id), network);
    assert!(closed.is_cancelled(), "that one was of the bridge that is gone");
    let (_listener, closed) = arrivals.try_recv().unwrap();
    assert!(server.service(&hosts, &network, 0).reaches(gateway));
    server.remove(&hosts, id);
    assert!(closed.is_cancelled());
}

#[test]
fn forty_sessions_have_an_entrance_each() {
    let hosts = Hosts::new();
    let (server, mut arrivals) = server(&hosts);
    let networks: Vec<_> = (0..40).map(|_| server.ensure(&hosts, session())).collect();
    for (network, next) in networks.iter().zip(networks.iter().cycle().skip(1)) {
        let (listener, _) = arrivals.try_recv().unwrap();
        let service = server.service(&hosts, network, 0);
        assert!(service.reaches((network.gateway(), PORT)));
        assert_eq!(listener.accept().unwrap().1.ip(), network.address(0));
        if network == &networks[0] {
            assert!(!service.reaches((next.gateway(), PORT)) && !service.reaches((WORLD, PORT)));
        }
    }
}
