//! Processes by a descriptor (pidfd_open(2)): a number may be given to another process, a descriptor is never.
#![expect(unsafe_code, reason = "pidfd_open and pidfd_send_signal have no safe form in the standard library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

/// A signal that is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// None: whether the process is there is all that is asked.
    Nothing,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
}

/// A process, or what is left of it.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// The process that has this number now. An error of kind `NotFound` says that there is none.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        // SAFETY: the call takes numbers and gives a descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let Ok(fd @ 0..) = libc::c_int::try_from(fd) else { return Err(told(io::Error::last_os_error())) };
        // SAFETY: the call above has just opened it, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal. An error of kind `NotFound` says that the process has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Nothing => 0,
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
            Signal::Stop => libc::SIGSTOP,
            Signal::Continue => libc::SIGCONT,
        };
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is ours, and without information the kernel makes its own.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, none, 0) };
        if sent == 0 { Ok(()) } else { Err(told(io::Error::last_os_error())) }
    }

    /// Waits until it has ended; false where it has not in time.
    pub fn ended_within(&self, time: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one entry, which is ours.
        match unsafe { libc::poll(&raw mut poll, 1, millis) } {
            0 => Ok(false),
            1.. => Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            },
        }
    }
}

/// "No such process" as the standard library would say it.
fn told(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ESRCH) { io::ErrorKind::NotFound.into() } else { error }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_stopped_goes_on_and_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let state = |wanted: char| {
            (0..200).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
                stat.rsplit(") ").next().unwrap().starts_with(wanted)
            })
        };
        process.signal(Signal::Nothing).unwrap();
        process.signal(Signal::Stop).unwrap();
        assert!(state('T'));
        process.signal(Signal::Continue).unwrap();
        assert!(state('S'));
        assert!(!process.ended_within(Duration::from_millis(1)).unwrap());
        process.signal(Signal::Kill).unwrap();
        assert!(process.ended_within(Duration::from_secs(5)).unwrap());
        child.wait().unwrap();
        assert_eq!(process.signal(Signal::Nothing).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Process::open(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
