//! The system calls that have no safe wrapper, one small function each. All unsafe code of this crate is here.
//!
//! What must stay true: every function is sound for any argument its types allow; callers that must be single-threaded
//! (the runtime child) are said so.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{Interest, unix::AsyncFd};

/// Closes every descriptor from `first` on. Only for a process that owns no descriptor at or above `first` yet.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the runtime child calls this before it opened anything; descriptors that nobody owns are closed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Closes the descriptors from `first` up to the one before `end`. Only for a process that never uses what stood for them.
pub(super) fn close_between(first: u32, end: i32) -> io::Result<()> {
    let last = u32::try_from(end - 1).map_err(io::Error::other)?;
    // SAFETY: the caller's process never uses an object again that owned one of them.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Has the kernel close every descriptor from `first` on when this process executes something.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes a flag of descriptors.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// SIGKILL for a child of this process that was not reaped.
pub(super) fn kill(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// A new mount namespace for this single-threaded process.
pub(super) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: takes flags only; CLONE_NEWNS changes no memory.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into()).map(drop)
}

/// Maps the owners in a mount that is not attached yet through the mapping of `user_namespace`.
pub(super) fn idmap_mount(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    let namespace = u64::try_from(user_namespace.as_raw_fd()).map_err(io::Error::other)?;
    set_mount(mount, libc::MOUNT_ATTR_IDMAP, namespace)
}

/// Nothing is written through this mount.
pub(super) fn read_only_mount(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_mount(mount, libc::MOUNT_ATTR_RDONLY, 0)
}

/// Nothing of this mount, which is not attached yet, is a device or gives an owner's rights to who executes it.
pub(super) fn confine_mount(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_mount(mount, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV, 0)
}

fn set_mount(mount: BorrowedFd<'_>, attr_set: u64, userns_fd: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd };
    // SAFETY: the empty path is NUL-terminated, `attributes` lives over the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// A forked process that sits in a new user namespace and does nothing; killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Parked(Pid);

impl Parked {
    /// Forks; the caller's other threads, if it has any, are not in the new process.
    pub(super) fn in_new_user_namespace() -> io::Result<Self> {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        // SAFETY: takes and changes nothing.
        let parent = unsafe { libc::getpid() };
        // SAFETY: without CLONE_VM and with no stack this is a fork; the child runs only async-signal-safe calls.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
        if pid == 0 {
            // SAFETY: all calls are async-signal-safe and none returns into Rust code of the parent's copy.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != parent {
                    // It ended before the line above.
                    libc::_exit(0);
                }
                loop {
                    libc::pause();
                }
            }
        }
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process id"))?;
        Ok(Self(pid))
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        // It cannot have ended by itself; if it was killed by somebody, waiting still reaps it.
        let _ = kill_process(self.0, Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.0), rustix::process::WaitOptions::empty());
    }
}

/// Which side of a fork this is.
pub(super) enum Fork {
    /// The new process.
    Child,
    /// The old one; the new one's id.
    Parent(i32),
}

/// Forks this single-threaded process. The child is a child of this one, or with `sibling` of this one's parent, which
/// is what a process in another process namespace must be to be waited for from outside. The child never returns to
/// its caller's caller: it ends in [`leave`] or executes something.
pub(super) fn fork(sibling: bool) -> io::Result<Fork> {
    let flags = libc::SIGCHLD | if sibling { libc::CLONE_PARENT } else { 0 };
    // SAFETY: without CLONE_VM and with no stack this is a fork; there is one thread, so no lock is held by another.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    match i32::try_from(pid) {
        Ok(0) => Ok(Fork::Child),
        Ok(pid) => Ok(Fork::Parent(pid)),
        Err(_) => Err(io::Error::other("no process id")),
    }
}

/// Ends this process at once, without anything that would run at an ordinary end.
pub(super) fn leave(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Whether a child has ended; it is reaped then.
pub(super) fn reap_if_ended(pid: i32) -> bool {
    // SAFETY: no status is wanted.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) != 0 }
}

/// The other end of a terminal, without a path to it.
pub(super) fn terminal_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const TIOCGPTPEER: u64 = 0x5441;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is a number; the answer is a new descriptor that nobody else owns.
    let fd = check(unsafe { libc::ioctl(master.as_raw_fd(), TIOCGPTPEER, flags) }.into())?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: just opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a terminal be opened by its other end.
pub(super) fn unlock_terminal(master: BorrowedFd<'_>) -> io::Result<()> {
    const TIOCSPTLCK: u64 = 0x4004_5431;
    let unlocked: c_int = 0;
    // SAFETY: the argument is a number that lives over the call.
    check(unsafe { libc::ioctl(master.as_raw_fd(), TIOCSPTLCK, &raw const unlocked) }.into()).map(drop)
}

/// Makes a terminal the controlling one of this process, the leader of a session without one.
pub(super) fn control_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Makes a free loop device show `file` read-only and go away with its last user.
pub(super) fn loop_configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
    const LOOP_CONFIGURE: u64 = 0x4C0A;
    const READ_ONLY: u32 = 1;
    const AUTOCLEAR: u32 = 4;
    /// `struct loop_info64` of linux/loop.h.
    #[repr(C)]
    struct Info {
        device: u64,
        inode: u64,
        rdevice: u64,
        offset: u64,
        size_limit: u64,
        number: u32,
        encrypt_type: u32,
        encrypt_key_size: u32,
        flags: u32,
        file_name: [u8; 64],
        crypt_name: [u8; 64],
        encrypt_key: [u8; 32],
        init: [u64; 2],
    }
    /// `struct loop_config` of linux/loop.h.
    #[repr(C)]
    struct Config {
        fd: u32,
        block_size: u32,
        info: Info,
        reserved: [u64; 8],
    }
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: READ_ONLY | AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let fd = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
    let config = Config { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: the argument is the structure that this request reads, and lives over the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }.into()).map(drop)
}

/// The number of a free loop device.
pub(super) fn loop_get_free(control: BorrowedFd<'_>) -> io::Result<u32> {
    const LOOP_CTL_GET_FREE: u64 = 0x4C82;
    // SAFETY: this request takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) }.into())?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Becomes `program`. Returns only why it could not. Both lists are strings of their own with their NULs.
pub(super) fn execve(program: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Error {
    let pointers = |strings: &[&CStr]| -> Vec<*const c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all strings are NUL-terminated, both arrays end in a null pointer, and all live over the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Whether the current directory lies below this process's root. The kernel is asked itself: of a directory outside, the
/// C library's `getcwd` climbs up and may find a root that looks like ours.
pub(super) fn cwd_is_inside() -> io::Result<bool> {
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most as many bytes as the place has.
    check(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    Ok(path[0] == b'/')
}

/// Gives every signal its default disposition and holds none up: this program's runtime and the C library's way to start
/// it leave some ignored, and a program that is executed inherits that.
pub(super) fn default_signals() -> io::Result<()> {
    const SIGNALS: c_int = 64;
    /// The kernel's `struct sigaction`: SIG_DFL, no flags, no restorer, an empty mask. The C library's own call refuses
    /// the two signals that it keeps for itself.
    const DEFAULT: [u64; 4] = [0; 4];
    static NONE: u64 = 0;
    for signal in (1..=SIGNALS).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let no_old: *mut c_void = std::ptr::null_mut();
        // SAFETY: the new action is as large as the kernel reads and lives over the call; the old one is not wanted.
        check(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), no_old, size_of::<u64>()) })?;
    }
    let no_old: *mut c_void = std::ptr::null_mut();
    let how = libc::SIG_SETMASK;
    // SAFETY: the new set is as large as is said and lives over the call; the old one is not wanted.
    check(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const NONE, no_old, size_of::<u64>()) }).map(drop)
}

/// Ends this process after `seconds`, unless called again before; 0 takes it back.
pub(super) fn end_after(seconds: u32) {
    // SAFETY: takes a number only. The signal's disposition is the default: the process ends.
    unsafe { libc::alarm(seconds) };
}

/// Waits for a child that has ended and says how: exit status, or 128 + signal number.
pub(super) fn reap(pid: i32) -> io::Result<i32> {
    let mut status: c_int = 0;
    // SAFETY: `status` is a valid place for the answer.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) }.into())?;
    Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) })
}

/// Sends any signal number, real-time ones too, to the process that `pidfd` holds.
pub(super) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info: *const c_void = std::ptr::null();
    // SAFETY: a null pointer for the information is allowed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) }).map(drop)
}

/// Marks a socket as one that may stand for addresses of others (`IP_TRANSPARENT`); takes CAP_NET_ADMIN.
pub(super) fn set_transparent(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_IP, libc::IP_TRANSPARENT, 1)
}

/// Lets a socket have only what comes in by one interface.
pub(super) fn bind_to_interface(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let index = c_int::try_from(index).map_err(io::Error::other)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)
}

fn set_option(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    let value: *const c_int = &raw const value;
    // SAFETY: `value` lives over the call and its size is given.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast::<c_void>(), size) }.into()).map(drop)
}

/// Lets the runtime wait until `fd` can be read. Called within the runtime.
pub(super) fn awaited(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor, always the same, until it is dropped with what is returned here.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
