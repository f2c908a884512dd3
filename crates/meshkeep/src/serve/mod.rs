//! `meshkeep serve`: checks everything that can be wrong, then runs the control plane until it is told to stop.
//!
//! What must stay true: a refusal to start is one line that says what to do, has an exit code by kind, and leaves every
//! file as it was; stopping leaves workloads running.

mod args;
mod logging;
mod notify;
mod parts;
mod process;

use std::{net::SocketAddr, process::ExitCode};

use meshkeep_engine::Entrances;
use meshkeep_web::{Settings, Tls};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

pub use args::{EngineKind, ServeArgs};
pub use parts::lock;
pub use process::{harden, private_files};

use crate::{
    config::{Environment, ServerConfig, Transport},
    failure::{Exit, Failure},
};

/// Runs until SIGTERM or SIGINT. Must be called before any other thread exists.
#[must_use]
pub fn run(args: ServeArgs) -> ExitCode {
    let environment = Environment::read();
    match prepare(&args, &environment).and_then(|config| runtime()?.block_on(serve(config, environment))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn prepare(args: &ServeArgs, environment: &Environment) -> Result<ServerConfig, Failure> {
    harden().map_err(|error| Failure::host("the process could not be hardened", &error))?;
    private_files();
    logging::start(&args.log)?;
    ServerConfig::load(args, environment)
}

/// Two workers: the work is waiting. Conversion and hashing of layers go to blocking threads, which end when idle.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(128)
        .enable_all()
        .build()
        .map_err(|error| Failure::host("the server's threads could not be started", &error))
}

async fn serve(mut config: ServerConfig, environment: Environment) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let tls = load_tls(&config.transport)?;
    let alone = lock(&config.data_dir)?;
    // Taken before anything is opened, listened on when all is: a taken port changes no file.
    let socket = bind(config.listen)?;
    // Port 0 has become a number.
    config.listen = socket.local_addr().map_err(|error| Failure::host("the address is not known", &error))?;
    let (entrances, arrivals) = Entrances::new(config.listen.port());
    config.engine.entrances = Some(entrances);
    let parts::Opened { control, running, store } = parts::open(&config).await?;
    let stopping = CancellationToken::new();
    let anchoring = tokio::spawn(parts::keep_anchor(store.clone(), stopping.clone()));
    let first_link = parts::first_link(&store, &config.public_url()).await?;
    let listener = listen(socket)?;

    let behind_proxy = config.transport == Transport::BehindProxy;
    let is_https = config.public_url().starts_with("https://");
    let settings =
        Settings { behind_proxy, is_https, facts: parts::facts(&config, &store).await?, stopping: stopping.clone() };
    let router = meshkeep_web::router(control, settings);
    let edge = tokio::spawn(meshkeep_web::serve(listener, arrivals, tls, router, stopping.clone()));
    tracing::info!(
        listen = %config.listen_url(),
        data_dir = %config.data_dir.path().display(),
        engine = config.engine_kind.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    if let Some(link) = first_link {
        // To the terminal, not to the log: it is a credential, though one that works once.
        println!(
            "Studio: {link}\n        signs you in as the operator, once, within 15 minutes; `meshkeep studio-link` makes another"
        );
    }
    notify::ready(environment.notify_socket.as_deref());

    let signal = stop.wait().await;
    tracing::info!(signal, "stopping; workloads keep running");
    notify::stopping(environment.notify_socket.as_deref());
    stopping.cancel();
    if let Err(error) = edge.await {
        tracing::error!(%error, "the edge ended in an error");
    }
    running.stop().await;
    if let Err(error) = anchoring.await {
        tracing::error!(%error, "keeping the anchor ended in an error");
    }
    store.close().await;
    tracing::info!("stopped");
    drop(alone);
    Ok(())
}

fn load_tls(transport: &Transport) -> Result<Option<Tls>, Failure> {
    match transport {
        Transport::Tls { cert, key } => Tls::load(cert, key)
            .map(Some)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()).hint("give a PEM chain and its PEM key")),
        Transport::Loopback | Transport::BehindProxy => Ok(None),
    }
}

fn bind(listen: SocketAddr) -> Result<TcpSocket, Failure> {
    let refused = |error: &std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; end it or give another port with `--listen`"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports under 1024 need a privilege; give another one with `--listen`"
            }
            _ => "give an address of this machine with `--listen`",
        };
        Failure::host(&format!("cannot listen on {listen}"), error).hint(hint)
    };
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| refused(&error))?;
    // Restarts do not wait for the kernel to forget old connections.
    socket.set_reuseaddr(true).map_err(|error| refused(&error))?;
    socket.bind(listen).map_err(|error| refused(&error))?;
    // Only now, for a taken port is refused: this server's own sockets in the sessions' networks share the port.
    socket.set_reuseport(listen.ip().is_unspecified()).map_err(|error| refused(&error))?;
    Ok(socket)
}

fn listen(socket: TcpSocket) -> Result<TcpListener, Failure> {
    socket.listen(1024).map_err(|error| Failure::host("cannot listen", &error))
}

/// The two signals that end the server.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|error| Failure::host("signals cannot be received", &error));
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
