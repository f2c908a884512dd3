//! Network namespaces for tests: a "host" that is not this machine, services attached to it, and a world outside.
//!
//! A namespace is a thread that lives in it; it and all links in it are gone when its thread has ended.

use std::{
    io::{BufRead as _, BufReader, Lines},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use meshkeep_core::id::SessionId;
use meshkeep_engine::embedded::net::{Entrances, Ipv4Pool, Networks, SessionNetwork, attach};
use rustix::thread::UnshareFlags;

type Task = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub struct Netns {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    tid: i32,
}

impl Netns {
    /// A thread that first runs `enter` in the calling thread's namespace.
    fn start(enter: impl FnOnce() + Send + 'static) -> Self {
        let (tasks, queue) = mpsc::channel::<Task>();
        let (ready, entered) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            enter();
            ready.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            while let Ok(task) = queue.recv() {
                task();
            }
        });
        let tid = entered.recv().expect("the namespace was entered");
        Self { tasks: Some(tasks), thread: Some(thread), tid }
    }

    /// An empty namespace with `lo` up.
    pub fn empty() -> Self {
        Self::start(|| {
            new_namespace();
            run("ip link set lo up");
        })
    }

    /// A service of a session. To be called in the host's namespace.
    pub fn service(network: &SessionNetwork, place: u8) -> Self {
        let network = network.clone();
        Self::start(move || attach(&network, place).unwrap())
    }

    /// Runs `task` in the namespace.
    pub fn run<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        let task = Box::new(move || answer.send(task()).unwrap());
        self.tasks.as_ref().unwrap().send(task).unwrap();
        answered.recv().expect("the task did not panic")
    }

    /// Listens on all addresses; connections are made as long as the answer lives.
    pub fn listen(&self, port: u16) -> TcpListener {
        self.run(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
    }

    /// Whether a TCP connection can be made from here.
    pub fn reaches(&self, address: impl Into<SocketAddr>) -> bool {
        let address = address.into();
        self.run(move || TcpStream::connect_timeout(&address, Duration::from_millis(400)).is_ok())
    }

    /// Whether a datagram from `source` arrives at `receiver`.
    pub fn datagram_arrives(&self, source: Ipv4Addr, to: Ipv4Addr, receiver: &UdpSocket) -> bool {
        receiver.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let to = (to, receiver.local_addr().unwrap().port());
        self.run(move || UdpSocket::bind((source, 0)).unwrap().send_to(b"x", to)).ok();
        receiver.recv(&mut [0; 8]).is_ok()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        self.tasks = None;
        // A panic in it was reported by whoever waited for an answer.
        let _ = self.thread.take().unwrap().join();
    }
}

#[expect(unsafe_code, reason = "tests need namespaces of their own")]
fn new_namespace() {
    // SAFETY: a network namespace of its own touches neither memory nor file descriptors.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("these tests run as root");
}

/// Runs a command in the calling thread's namespace.
pub fn run(command: &str) {
    assert!(try_run(command), "{command}");
}

/// Whether a command succeeds in the calling thread's namespace.
pub fn try_run(command: &str) -> bool {
    let mut words = command.split(' ');
    Command::new(words.next().unwrap()).args(words).output().unwrap().status.success()
}

/// `nft monitor` in the calling thread's namespace.
pub struct Monitor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Monitor {
    /// Returns when it listens.
    pub fn start() -> Self {
        let mut child = Command::new("nft").args(["monitor", "ruleset"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut monitor = Self { child, lines };
        // What it shows first proves that it is there; until then there is something to show.
        let (done, stop) = mpsc::channel::<()>();
        let noise = std::thread::spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stop.recv_timeout(Duration::from_millis(20)) {
                run("nft add table ip noise; delete table ip noise");
            }
        });
        monitor.wait_for("add table ip noise");
        done.send(()).unwrap();
        noise.join().unwrap();
        monitor
    }

    /// Returns when a line begins with `text`.
    pub fn wait_for(&mut self, text: &str) {
        assert!(self.lines.any(|line| line.unwrap().starts_with(text)), "{text}");
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Listens as a transparent proxy of the calling thread's namespace does.
#[expect(unsafe_code, reason = "the option has no safe wrapper")]
pub fn listen_transparently(address: impl Into<SocketAddr>) -> TcpListener {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    let on: libc::c_int = 1;
    // SAFETY: `on` lives over the call and its size is given.
    let done = unsafe {
        let size = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_IP, libc::IP_TRANSPARENT, (&raw const on).cast(), size)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    rustix::net::bind(&socket, &address.into()).unwrap();
    rustix::net::listen(&socket, 8).unwrap();
    socket.into()
}

/// What a kernel setting of the calling thread's namespace says.
pub fn setting(name: &str) -> String {
    std::fs::read_to_string(Path::new("/proc/sys/net").join(name)).unwrap().trim().to_owned()
}

/// Writes a kernel setting of the calling thread's namespace.
pub fn set(name: &str, value: &str) {
    std::fs::write(Path::new("/proc/sys/net").join(name), value).unwrap();
}

/// The host's address towards the world.
pub const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The world's ordinary address.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// Where clouds keep credentials.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// A host with a world outside it that has an ordinary address and, behind the same link, the metadata address.
pub struct Hosts {
    pub host: Netns,
    pub world: Netns,
}

impl Hosts {
    pub fn new() -> Self {
        let (host, world) = (Netns::empty(), Netns::empty());
        let link = format!("ip link add out0 type veth peer name w0 netns {}", world.tid);
        host.run(move || {
            set("ipv4/ip_forward", "0");
            run(&link);
            run("ip addr add 203.0.113.1/24 dev out0");
            run("ip link set out0 up");
        });
        world.run(|| {
            run("ip addr add 203.0.113.2/24 dev w0");
            run("ip addr add 169.254.169.254/32 dev w0");
            run("ip addr add 100.100.100.200/32 dev w0");
            run("ip link set w0 up");
        });
        host.run(|| {
            run("ip route add 169.254.0.0/16 via 203.0.113.2");
            run("ip route add default via 203.0.113.2");
            // The kernel takes its time with a new link. Being refused means that it works.
            let refused = TcpStream::connect_timeout(&(WORLD, 1).into(), Duration::from_secs(20));
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        });
        Self { host, world }
    }

    /// A server on the host.
    pub fn server(&self) -> Server {
        self.server_with(tempfile::tempdir().unwrap(), Ipv4Pool::default())
    }

    /// The same in a directory that is there already, or with another pool.
    pub fn server_with(&self, dir: tempfile::TempDir, pool: Ipv4Pool) -> Server {
        self.server_of(dir, pool, None)
    }

    /// The same with something that serves its services.
    pub fn server_of(&self, dir: tempfile::TempDir, pool: Ipv4Pool, entrances: Option<Entrances>) -> Server {
        let path = dir.path().join("networks");
        let networks = self.host.run(move || Networks::open(path, pool, entrances).unwrap());
        Server { networks: std::sync::Arc::new(networks), dir }
    }
}

/// A server's networks.
pub struct Server {
    pub networks: std::sync::Arc<Networks>,
    pub dir: tempfile::TempDir,
}

impl Server {
    pub fn ensure(&self, hosts: &Hosts, id: SessionId) -> SessionNetwork {
        let networks = std::sync::Arc::clone(&self.networks);
        hosts.host.run(move || networks.ensure_session(id).unwrap())
    }

    pub fn remove(&self, hosts: &Hosts, id: SessionId) {
        let networks = std::sync::Arc::clone(&self.networks);
        hosts.host.run(move || networks.remove_session(id).unwrap());
    }

    /// What a server does when it ends.
    pub fn close(&self, hosts: &Hosts) {
        let networks = std::sync::Arc::clone(&self.networks);
        hosts.host.run(move || networks.close().unwrap());
    }

    /// A service at a place of a session's network.
    pub fn service(&self, hosts: &Hosts, network: &SessionNetwork, place: u8) -> Netns {
        let network = network.clone();
        hosts.host.run(move || Netns::service(&network, place))
    }
}

/// A new session's id.
pub fn session() -> SessionId {
    SessionId::from_uuid(uuid::Uuid::now_v7())
}
