//! From a launch to a container that waits for its start: the order of all steps.

use std::{
    io::PipeReader,
    os::fd::{AsFd, OwnedFd},
};

use libcontainer::{
    container::{Container, builder::ContainerBuilder},
    syscall::syscall::SyscallType,
};
use rustix::{
    fs::{CWD, Gid, Mode, OFlags, Uid, fchown, openat},
    process::{Pid, PidfdFlags, pidfd_open},
};
use zeroize::Zeroizing;

use super::{
    super::{net, proto::Launch},
    account::Account,
    bundle,
    executor::Exec,
    fault::{Doing, Fault},
    layers,
    rootfs::Rootfs,
    stage, volumes,
};

/// A container that waits for its start.
pub(super) struct Built {
    container: Container,
    /// Its first process, on the host.
    pub pid: i32,
    /// The same, unmistakably.
    pub pidfd: OwnedFd,
    /// What it prints.
    pub stdout: OwnedFd,
    /// What it complains.
    pub stderr: OwnedFd,
    /// Says why the command did not start; ends without a word when it did.
    pub report: PipeReader,
    /// Who its process is.
    pub account: Account,
}

impl Built {
    /// Lets the command start.
    pub(super) fn start(&mut self) -> Result<(), Fault> {
        self.container
            .start()
            .map_err(|error| Fault::Step { doing: "starting the container".into(), source: Box::new(error) })
    }
}

/// Builds the container. `environment` is wiped here as soon as the container's first process has its copy.
pub(super) fn build(launch: &Launch, environment: Zeroizing<Vec<u8>>) -> Result<Built, Fault> {
    let user_namespace = layers::user_namespace(launch)?;
    let mounts = layers::mount_all(launch, &user_namespace)?;
    let volumes = volumes::open(launch, &user_namespace)?;
    stage::enter(launch, &mounts)?;
    drop(mounts);
    volumes.attach()?;
    net::attach(&launch.network, launch.place)
        .map_err(|error| Fault::Step { doing: "joining the session's network".into(), source: Box::new(error) })?;
    let rootfs = Rootfs::open().doing("opening the image's root")?;
    let account = Account::find(&rootfs, &launch.user)?;
    rootfs.make_dirs(&launch.working_dir, launch.id_base).map_err(|error| {
        Fault::invalid(
            "bad_working_dir",
            format!("the working directory {} cannot be made in the image: {error}", launch.working_dir),
            "give a directory with `container.working_dir` or in the image",
        )
    })?;
    // The container's first process inherits what is open here until it executes the command.
    drop(rootfs);
    bundle::write(launch, &account, user_namespace.as_fd()).doing("writing the bundle")?;
    create(launch, environment, account)
}

fn create(launch: &Launch, environment: Zeroizing<Vec<u8>>, account: Account) -> Result<Built, Fault> {
    let (mut report, report_writer) = std::io::pipe().doing("making a pipe")?;
    let (stdout, stdout_writer) = std::io::pipe().doing("making a pipe")?;
    let (stderr, stderr_writer) = std::io::pipe().doing("making a pipe")?;
    // Programs open /dev/stdout by its name, which the kernel allows to the pipe's owner only.
    let [uid, gid] = [account.uid, account.gid].map(|id| launch.id_base + id);
    for writer in [&stdout_writer, &stderr_writer] {
        fchown(writer, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).doing("giving the streams away")?;
    }
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).doing("opening /dev/null")?;
    let exec = Exec::new(environment, &account.home, &launch.args, report_writer.into())?;
    let built = ContainerBuilder::new("workload".to_owned(), SyscallType::default())
        .with_executor(exec)
        .with_stdin(null)
        .with_stdout(stdout_writer)
        .with_stderr(stderr_writer)
        .with_root_path(stage::STATE)
        .and_then(|builder| builder.as_init(stage::BUNDLE).with_systemd(false).build());
    let container = match built {
        Ok(container) => container,
        Err(error) => {
            return Err(told(&mut report)
                .unwrap_or_else(|| Fault::Step { doing: "building the container".into(), source: Box::new(error) }));
        }
    };
    let pid = container.pid().map(|pid| pid.as_raw()).ok_or_else(|| std::io::Error::other("it has no process"));
    let pid = pid.doing("finding the container's process")?;
    let process = Pid::from_raw(pid).ok_or_else(|| std::io::Error::other("it has no process"));
    let pidfd = process.and_then(|process| Ok(pidfd_open(process, PidfdFlags::empty())?));
    let pidfd = pidfd.doing("holding the container's process")?;
    Ok(Built { container, pid, pidfd, stdout: stdout.into(), stderr: stderr.into(), report, account })
}

/// Why the command did not start, when the container's process said so. Blocks until the pipe is closed.
pub(super) fn told(report: &mut PipeReader) -> Option<Fault> {
    serde_json::from_reader(report).ok().map(Fault::Refused)
}
