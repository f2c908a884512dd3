//! The last steps inside the container: find the command, then become it with exactly the delivered environment.
//!
//! Runs in the container's first process, after everything of it is confined. What must stay true: the environment is
//! never put into this process's own (`setup_envs` does nothing); no command is executed that is not the image's, or in
//! a directory outside the container's root; a failure is told over a pipe that closes by itself when the command
//! starts; the process dies with its supervisor.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::{CStr, CString},
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    rc::Rc,
};

use libcontainer::{
    oci_spec::runtime::Spec,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Access, CWD, FileType, Mode, OFlags, ResolveFlags, access, fstat, openat2},
    process::{PidfdFlags, Signal, getpid, pidfd_open, set_parent_process_death_signal},
};
use zeroize::Zeroizing;

use super::{
    super::sys,
    fault::{Doing, Fault},
};

/// Where commands are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Executes the workload's command.
#[derive(Clone)]
pub(super) struct Exec(Rc<Inner>);

struct Inner {
    /// `NAME=value` and a NUL, one after the other.
    environment: Zeroizing<Vec<u8>>,
    arguments: Vec<CString>,
    /// Told why the command did not start; closed by the kernel when it did.
    report: OwnedFd,
    program: RefCell<Option<CString>>,
    /// Held by this descriptor because the container has process numbers of its own.
    supervisor: OwnedFd,
}

impl Exec {
    /// Takes what the command shall get. `home` is set when the environment has no `HOME`.
    pub(super) fn new(
        mut environment: Zeroizing<Vec<u8>>,
        home: &str,
        arguments: &[String],
        report: OwnedFd,
    ) -> Result<Self, Fault> {
        if find(&environment, "HOME").is_none() {
            // Growing a buffer leaves its old copy behind: the block is moved into one that is large enough, and wiped.
            let mut grown = Zeroizing::new(Vec::with_capacity(environment.len() + home.len() + 6));
            grown.extend_from_slice(&environment);
            grown.extend_from_slice(format!("HOME={home}\0").as_bytes());
            environment = grown;
        }
        let arguments = arguments.iter().map(|argument| CString::new(argument.as_str())).collect::<Result<_, _>>();
        let arguments = arguments.map_err(|_| {
            Fault::invalid("unknown_command", "the command holds a NUL byte", "remove it from the command")
        })?;
        let supervisor = pidfd_open(getpid(), PidfdFlags::empty()).doing("holding the supervisor")?;
        Ok(Self(Rc::new(Inner { environment, arguments, report, program: RefCell::new(None), supervisor })))
    }

    fn find_program(&self) -> Result<CString, Fault> {
        let command = self.0.arguments.first().map(|first| Path::new(std::ffi::OsStr::from_bytes(first.to_bytes())));
        let command = command.unwrap_or_else(|| Path::new(""));
        let path = find(&self.0.environment, "PATH").map(String::from_utf8_lossy);
        let path = path.as_deref().unwrap_or(DEFAULT_PATH);
        let candidates: Vec<PathBuf> = if command.as_os_str().as_bytes().contains(&b'/') {
            vec![command.to_owned()]
        } else {
            path.split(':').map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(command)).collect()
        };
        let mut present = None;
        for candidate in &candidates {
            if !is_of_the_image(candidate) {
                continue;
            }
            if access(candidate, Access::EXEC_OK).is_ok() {
                return CString::new(candidate.as_os_str().as_bytes()).map_err(|_| unknown(command, path));
            }
            present.get_or_insert(candidate);
        }
        Err(present.map_or_else(|| unknown(command, path), |found| not_executable(found)))
    }

    /// Whether the supervisor ended before the kernel was asked to tell of that. Its number says nothing in here.
    fn supervisor_is_gone(&self) -> bool {
        let mut fds = [PollFd::new(&self.0.supervisor, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Tells why there will be no command.
    pub(super) fn tell(&self, fault: Fault) -> String {
        let refusal = fault.into_refusal();
        let report = self.0.report.try_clone().map(File::from);
        let told = report.and_then(|mut pipe| pipe.write_all(&serde_json::to_vec(&refusal)?));
        // When nobody listens any more, nobody is left to tell.
        drop(told);
        refusal.message
    }

    /// Looks whether the command can be executed. Nothing after this may change credentials: that would take back that
    /// this process dies with its supervisor.
    pub(super) fn prepare(&self) -> Result<(), String> {
        // From here on this process waits for its start, and must not wait for a supervisor that is gone.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
        if self.supervisor_is_gone() {
            return Err("the supervisor is gone".to_owned());
        }
        let program = inside().and_then(|()| self.find_program()).map_err(|fault| self.tell(fault))?;
        self.0.program.replace(Some(program));
        Ok(())
    }

    /// Becomes the command. Returns only why it could not; that is told as well.
    pub(super) fn execute(&self) -> String {
        let program = self.0.program.borrow();
        let Some(program) = program.as_deref() else { return "no command was found".to_owned() };
        if let Err(error) = sys::default_signals() {
            return error.to_string();
        }
        let arguments: Vec<&CStr> = self.0.arguments.iter().map(CString::as_c_str).collect();
        let block = self.0.environment.split_inclusive(|byte| *byte == 0);
        let environment: Vec<&CStr> = block.filter_map(|one| CStr::from_bytes_with_nul(one).ok()).collect();
        let error = sys::execve(program, &arguments, &environment);
        self.tell(refused_by_kernel(program, &error))
    }
}

impl Executor for Exec {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.prepare().map_err(ExecutorValidationError::ArgValidationError)
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        Err(ExecutorError::Other(self.execute()))
    }
}

/// libcontainer has entered the working directory by its path, and in the container's `/proc` a path may lead along
/// descriptors that are still open to where the container was made.
fn inside() -> Result<(), Fault> {
    if sys::cwd_is_inside().doing("looking where the command starts")? {
        return Ok(());
    }
    let message = "the working directory lies outside the image";
    Err(Fault::invalid("bad_working_dir", message, "give a directory of the image with `container.working_dir`"))
}

/// A file, and not one that `/proc` leads to: `/proc/self/exe` would be our own program, run in the container.
fn is_of_the_image(path: &Path) -> bool {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .and_then(fstat)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// The value of a variable in a block.
fn find<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    block.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn unknown(command: &Path, path: &str) -> Fault {
    let command = command.display();
    let message = if command.to_string().contains('/') {
        format!("the image has no command {command}")
    } else {
        format!("the image has no command `{command}` on its PATH ({path})")
    };
    Fault::invalid("unknown_command", message, "correct `container.command`, or use an image that has it")
}

fn not_executable(program: &Path) -> Fault {
    Fault::invalid(
        "unknown_command",
        format!("{} in the image may not be executed by the image's user", program.display()),
        "make it executable in the image, or run it through its interpreter",
    )
}

fn refused_by_kernel(program: &CStr, error: &io::Error) -> Fault {
    let program = program.to_string_lossy();
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => Fault::invalid(
            "unknown_command",
            format!("{program} is no program for this machine"),
            "use an image for this architecture; a script needs a first line such as #!/bin/sh",
        ),
        Some(libc::ENOENT) => Fault::invalid(
            "unknown_command",
            format!("{program} is there, but not the interpreter that it names"),
            "the image lacks the dynamic loader or the interpreter of the script's first line",
        ),
        Some(libc::E2BIG) => Fault::invalid(
            "over_a_limit",
            format!("the command and environment of {program} are too long for the kernel"),
            "bind fewer or shorter values",
        ),
        _ => {
            Fault::invalid("unknown_command", format!("{program} could not be executed: {error}"), "look at the image")
        }
    }
}
