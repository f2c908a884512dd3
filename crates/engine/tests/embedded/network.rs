//! Services of one session reach each other by name; nobody else reaches them, and they reach nobody else here.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
};

use libtest_mimic::Trial;
use meshkeep_core::id::SessionId;
use meshkeep_engine::{Engine as _, Peer, Workload};
use uuid::Uuid;

use crate::place::{PATIENCE, Place, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("peers_reach_each_other_by_name", peers_by_name),
        trial("other_sessions_and_the_host_are_out_of_reach", isolation),
    ]
}

fn peers(names: &[&str]) -> Vec<Peer> {
    names.iter().zip(0..).map(|(name, place)| Peer { name: name.parse().unwrap(), place }).collect()
}

/// A web server, as a plain user on port 80.
fn server(place: &Place, name: &str) -> Workload {
    let script = "mkdir /tmp/www; echo hello from $(hostname) >/tmp/www/index.html; httpd -p 80 -h /tmp/www; echo up; while :; do sleep 1; done";
    let mut workload = place.shell(name, script);
    workload.image.config.user = "app".to_owned();
    workload
}

async fn peers_by_name(place: &mut Place) {
    let mut web = server(place, "Web-Shop");
    web.peers = peers(&["Web-Shop", "client"]);
    let script = "cat /etc/hosts; hostname; cat /etc/hostname; wget -q -O- http://web-shop/; wget -q -O- http://localhost/ 2>/dev/null || echo no; ip -o addr show lo | grep -c ::1/128";
    let mut client = place.shell("client", script);
    client.peers = web.peers.clone();
    place.start(&web, &[]).await.unwrap();
    place.wait_for_line(&web, "up").await;
    place.start(&client, &[]).await.unwrap();
    place.ended(&client).await;
    let (at, own) = (address(place, &web).await, address(place, &client).await);
    let gateway = gateway(at);
    let printed = place.log(&client).await;
    let wanted = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost\n{gateway}\tmeshkeep\n{at}\tweb-shop\n{own}\tclient\nclient\nclient\nhello from web-shop\nno\n1\n"
    );
    assert_eq!(printed, wanted);
    // The host reaches it, for probes and the proxy.
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(at, 80), PATIENCE).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello from web-shop\n"), "{answer}");
}

async fn isolation(place: &mut Place) {
    let web = server(place, "web");
    place.start(&web, &[]).await.unwrap();
    place.wait_for_line(&web, "up").await;
    let at = address(place, &web).await;
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let script = format!(
        "try() {{ nc -w 1 $1 $2 </dev/null >/dev/null 2>&1 && echo reached $1; }}
        gateway=$(ip route | head -n 1 | cut -d' ' -f3)
        try {at} 80; try $gateway {port}; try 127.0.0.1 {port}; try {} {port}; try 169.254.169.254 80; echo done",
        host_address(),
    );
    let mut stranger = place.shell("stranger", &script);
    stranger.session = SessionId::from_uuid(Uuid::new_v4());
    assert_eq!(place.output(&stranger).await, "done\n");
    place.engine.remove(stranger.id).await.unwrap();
    place.engine.remove_session(stranger.session).await.unwrap();
}

/// The first address of the session's /26.
fn gateway(service: IpAddr) -> IpAddr {
    let IpAddr::V4(address) = service else { panic!("{service} is not IPv4") };
    std::net::Ipv4Addr::from_bits((address.to_bits() & !63) + 1).into()
}

async fn address(place: &Place, workload: &Workload) -> IpAddr {
    place.observed(workload).await.unwrap().address.unwrap().into()
}

/// An address of this machine that is not loopback, when it has one.
fn host_address() -> IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: it only chooses the way.
    let _ = socket.connect("192.0.2.1:9");
    socket.local_addr().unwrap().ip()
}
