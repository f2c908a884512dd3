//! From outside a container to a command inside: the same confinement as the first process has, step by step.
//!
//! Order matters: the cgroup while its files are in sight; all namespaces at once; then a process within the process
//! namespace; its streams; its ids; no new privileges; capabilities; the filter of system calls; and only then is
//! anything looked at by a name that the container decides about.

use std::{
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
};

use libcontainer::{
    capabilities,
    oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp},
    seccomp,
    syscall::syscall::create_syscall,
};
use rustix::{
    fs::{Gid, Mode, Uid},
    process::{Resource, Rlimit, chdir, setrlimit, setsid, umask},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::{
        ThreadNameSpaceType, move_into_thread_name_spaces, set_no_new_privs, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};

use super::{
    super::{
        super::{
            cgroups::Hierarchies,
            sys::{self, Fork},
        },
        bundle,
        executor::Exec,
        fault::{Doing, Fault},
    },
    Door, Theirs,
};

/// Joins the container and forks the command's process, whose id goes to `ids`. Returns only why it could not.
pub(super) fn join(
    door: &Door,
    container: &OwnedFd,
    streams: &Theirs,
    exec: &Exec,
    mut ids: PipeWriter,
) -> Result<(), Fault> {
    Hierarchies::find().and_then(|all| all.join(&door.cgroup)).doing("joining the container's cgroup")?;
    let namespaces = ThreadNameSpaceType::USER
        | ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    // The network's is the supervisor's own already.
    move_into_thread_name_spaces(container.as_fd(), namespaces).doing("joining the container's namespaces")?;
    match sys::fork(true).doing("making a process in the container")? {
        Fork::Parent(pid) => {
            ids.write_all(&pid.to_be_bytes()).doing("saying the command's process id")?;
            sys::leave(0)
        }
        Fork::Child => {
            drop(ids);
            confine(door, streams)?;
            // Both tell by themselves why there will be no command.
            if exec.prepare().is_ok() {
                exec.execute();
            }
            sys::leave(1)
        }
    }
}

/// The id that [`join`] said.
pub(super) fn read_id(ids: &mut PipeReader) -> Option<i32> {
    let mut bytes = [0; 4];
    ids.read_exact(&mut bytes).ok()?;
    Some(i32::from_be_bytes(bytes))
}

fn confine(door: &Door, streams: &Theirs) -> Result<(), Fault> {
    setsid().doing("leading a session")?;
    take(streams).doing("taking the streams")?;
    umask(Mode::from_raw_mode(0o022));
    let files = bundle::max_files();
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: Some(files) }).doing("bounding open files")?;
    // Where the command starts; a directory that is gone is no reason to refuse somebody who wants to look why.
    if chdir(door.working_dir.as_str()).is_err() {
        chdir("/").doing("entering the container's root")?;
    }
    become_user(door).doing("becoming the container's user")?;
    set_no_new_privs(true).doing("giving up new privileges")?;
    let wrong = |error: String| Fault::Step { doing: "confining the command".into(), source: error.into() };
    let allowed: LinuxCapabilities =
        serde_json::from_value(bundle::capabilities(&door.capabilities)).map_err(|error| wrong(error.to_string()))?;
    let system = create_syscall();
    capabilities::reset_effective(&*system).map_err(|error| wrong(error.to_string()))?;
    capabilities::drop_privileges(&allowed, &*system).map_err(|error| wrong(error.to_string()))?;
    // Everything that is open is closed by the kernel when the command starts.
    sys::close_on_exec_from(3).doing("closing what is open")?;
    let filter: LinuxSeccomp =
        serde_json::from_value(super::super::seccomp::profile()).map_err(|error| wrong(error.to_string()))?;
    seccomp::initialize_seccomp(&filter).map_err(|error| wrong(error.to_string()))?;
    Ok(())
}

fn take(streams: &Theirs) -> io::Result<()> {
    let [stdin, stdout, stderr] = match streams {
        Theirs::Terminal(terminal) => {
            sys::control_terminal(terminal.as_fd())?;
            [terminal, terminal, terminal]
        }
        Theirs::Pipes(pipes) => pipes.each_ref(),
    };
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    Ok(())
}

fn become_user(door: &Door) -> io::Result<()> {
    let groups: Vec<Gid> = door.account.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(door.account.uid), Gid::from_raw(door.account.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
