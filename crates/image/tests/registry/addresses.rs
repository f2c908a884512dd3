//! Metadata services and private hosts that are really there: in a network namespace of this test's own, their addresses
//! are on an interface and somebody listens.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use meshkeep_image::{HostSettings, RegistrySettings, testing::answer};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::support::{Shelf, assert_refused, challenge, credential, insecure, scripted};

/// Set in the process that runs within the namespace.
const INSIDE: &str = "MESHKEEP_TEST_INSIDE";

const ADDRESSES: [&str; 7] =
    ["169.254.169.254", "169.254.170.2", "100.100.100.200", "10.0.0.1", "192.168.1.1", "fd00:ec2::254", "127.0.0.2"];

#[test]
#[expect(clippy::disallowed_methods, reason = "how this test tells its other self from itself")]
fn metadata_services_that_are_there_are_not_reached() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(inside());
    }
    let mut again = Command::new("unshare");
    again.arg("--net").arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
    again.args(["--exact", "addresses::metadata_services_that_are_there_are_not_reached", "--nocapture"]);
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{told}");
}

async fn inside() {
    ip(&["link", "set", "lo", "up"]);
    let reached = Arc::new(AtomicUsize::new(0));
    for address in ADDRESSES {
        let parsed: IpAddr = address.parse().unwrap();
        if !parsed.is_loopback() {
            // Without nodad an IPv6 address can be bound only when the kernel has had time to look for its double.
            let (prefix, at_once): (_, &[_]) = if parsed.is_ipv4() { (32, &[]) } else { (128, &["nodad"]) };
            let address = format!("{address}/{prefix}");
            ip(&[&["address", "add", &address, "dev", "lo"], at_once].concat());
        }
        for port in [80, 443] {
            listen(SocketAddr::new(parsed, port), &reached).await;
        }
    }
    for host in ADDRESSES.iter().flat_map(|address| spellings(address)) {
        as_a_registry(&host).await;
        as_a_redirect(&host).await;
        as_a_token_service(&host).await;
    }
    as_a_name().await;
    assert_eq!(reached.load(Ordering::SeqCst), 0);

    // The services are there: whom the operator allows, reaches them.
    for address in ["169.254.169.254", "[fd00:ec2::254]"] {
        let section = HostSettings { insecure: true, ..HostSettings::default() };
        let shelf = Shelf::new(RegistrySettings::new([(address.parse().unwrap(), section)].into())).await;
        shelf.fetch(&format!("{address}/a:1"), None).await.unwrap_err();
        assert_ne!(reached.swap(0, Ordering::SeqCst), 0, "{address}");
    }
}

/// How an attacker writes it: plainly, and wrapped in IPv6.
fn spellings(address: &str) -> Vec<String> {
    match address.parse().unwrap() {
        IpAddr::V4(v4) => {
            let [.., high, low] = v4.to_ipv6_mapped().segments();
            vec![v4.to_string(), format!("[::ffff:{v4}]"), format!("[::ffff:{high:x}:{low:x}]")]
        }
        IpAddr::V6(v6) => vec![format!("[{v6}]")],
    }
}

async fn as_a_registry(host: &str) {
    let shelf = Shelf::new(RegistrySettings::default()).await;
    let reference = format!("{host}/latest/meta-data:1");
    assert_refused(shelf.fetch(&reference, Some(&credential(host))).await, "refused_address");
}

async fn as_a_redirect(host: &str) {
    for (scheme, code) in [("https", "refused_address"), ("http", "redirect_refused")] {
        let target = format!("{scheme}://{host}/latest/meta-data");
        let registry = scripted(move |_| answer(307, &[("location", &target)], "")).await;
        let shelf = Shelf::new(insecure(&[&registry.host()])).await;
        let reference = format!("{}/team/app:1", registry.host());
        assert_refused(shelf.fetch(&reference, Some(&credential(&registry.host()))).await, code);
    }
}

async fn as_a_token_service(host: &str) {
    for scheme in ["https", "http"] {
        let realm = format!(r#"Bearer realm="{scheme}://{host}/latest/meta-data",service="x""#);
        let registry = scripted(move |_| challenge(&realm)).await;
        let shelf = Shelf::new(insecure(&[&registry.host()])).await;
        let reference = format!("{}/team/app:1", registry.host());
        let outcome = shelf.fetch(&reference, Some(&credential(&registry.host()))).await;
        assert_refused(outcome, "token_service_refused");
    }
}

/// The attacker's name server answers with them, one by one and all at once.
async fn as_a_name() {
    let settings = RegistrySettings::default();
    for address in ADDRESSES {
        settings.names.add("one.evil.test", &[address]);
    }
    settings.names.add("all.evil.test", &ADDRESSES);
    let shelf = Shelf::new(settings).await;
    for _ in ADDRESSES {
        for host in ["one.evil.test", "all.evil.test"] {
            assert_refused(shelf.fetch(&format!("{host}/a:1"), Some(&credential(host))).await, "refused_address");
        }
    }
}

async fn listen(at: SocketAddr, reached: &Arc<AtomicUsize>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let reached = Arc::clone(reached);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            reached.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
}

fn ip(words: &[&str]) {
    assert!(Command::new("ip").args(words).status().unwrap().success(), "ip {words:?}");
}
