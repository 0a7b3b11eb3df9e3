//! Messages between two processes of ours, each with an open file if need be: a pair of sockets that keeps the bounds of
//! messages. What the messages say is the callers' business.
#![expect(unsafe_code, reason = "descriptors that arrive come as numbers")]

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

/// Longest message.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Longest single wait, so that a deadline far away fits what the system takes.
const WAIT_MS_MAX: u128 = 60_000;

/// One end. Whoever has the other one is not trusted: what comes is bounded, and files that were not asked for are closed.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What came.
#[derive(Debug)]
pub struct Received<'a> {
    /// The message.
    pub bytes: &'a [u8],
    /// The file that came with it.
    pub file: Option<File>,
}

impl Channel {
    /// A channel, and the end for another process.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self::of(ours), theirs))
    }

    /// The end that this process was started with as its standard input.
    pub fn of_standard_input() -> io::Result<Self> {
        Ok(Self::of(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// An end that is open.
    pub fn of(socket: OwnedFd) -> Self {
        Self { socket, buffer: vec![0; MESSAGE_BYTES_MAX] }
    }

    /// Sends a message; an error of [`ErrorKind::TimedOut`] where there is no room before the deadline.
    pub fn send(&self, bytes: &[u8], file: Option<BorrowedFd<'_>>, until: Option<Instant>) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a message of no length, or too long"));
        }
        let files: Vec<RawFd> = file.iter().map(|file| file.as_raw_fd()).collect();
        let with = [ControlMessage::ScmRights(&files)];
        let with = if files.is_empty() { &with[..0] } else { &with[..] };
        loop {
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], with, flags, None) {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT, until)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message; none where the other end is closed. An error of [`ErrorKind::TimedOut`] where none comes before the
    /// deadline.
    pub fn receive(&mut self, until: Option<Instant>) -> io::Result<Option<Received<'_>>> {
        loop {
            self.wait(PollFlags::POLLIN, until)?;
            match self.take() {
                Ok(None) => return Ok(None),
                Ok(Some((length, file))) => {
                    return Ok(Some(Received { bytes: &self.buffer[..length], file }));
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // The other process was killed while we had not read all.
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(Errno::EMSGSIZE) => {
                    return Err(io::Error::new(ErrorKind::InvalidData, "a message that is too long"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self) -> Result<Option<(usize, Option<File>)>, Errno> {
        let mut with = nix::cmsg_space!(RawFd);
        let mut into = [IoSliceMut::new(&mut self.buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let came = recvmsg::<()>(self.socket.as_raw_fd(), &mut into, Some(&mut with), flags)?;
        let (length, cut) = (came.bytes, came.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC));
        let mut files = Vec::new();
        // Where the list of descriptors was cut there are none to be had, and the message is refused as a whole.
        for message in came.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(descriptors) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
                files.extend(descriptors.into_iter().map(|fd| unsafe { File::from_raw_fd(fd) }));
            }
        }
        if cut {
            return Err(Errno::EMSGSIZE);
        }
        if length == 0 {
            return Ok(None);
        }
        // Whatever came beside the first is closed here.
        Ok(Some((length, files.into_iter().next())))
    }

    fn wait(&self, what: PollFlags, until: Option<Instant>) -> io::Result<()> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()).as_millis());
            if left == Some(0) {
                return Err(ErrorKind::TimedOut.into());
            }
            let wait = left.map_or(PollTimeout::NONE, |left| {
                PollTimeout::try_from(left.min(WAIT_MS_MAX) as i32).unwrap_or(PollTimeout::ZERO)
            });
            match poll(&mut [PollFd::new(self.socket.as_fd(), what)], wait) {
                Ok(1..) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_keep_their_bounds_and_bring_files() {
        let (mut ours, theirs) = Channel::pair().unwrap();
        let theirs = Channel::of(theirs);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        theirs.send(b"one", None, None).unwrap();
        theirs.send(b"two", Some(file.as_fd()), None).unwrap();
        let one = ours.receive(None).unwrap().unwrap();
        assert_eq!((one.bytes, one.file.is_none()), (&b"one"[..], true));
        let two = ours.receive(None).unwrap().unwrap();
        assert_eq!(two.bytes, b"two");
        let mut came = two.file.unwrap();
        io::Seek::rewind(&mut came).unwrap();
        let mut text = String::new();
        came.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        drop(theirs);
        assert!(ours.receive(None).unwrap().is_none());
    }

    #[test]
    fn who_waits_does_not_wait_for_ever() {
        let (mut ours, theirs) = Channel::pair().unwrap();
        let until = Instant::now() + Duration::from_millis(50);
        assert_eq!(ours.receive(Some(until)).unwrap_err().kind(), ErrorKind::TimedOut);
        let full = vec![1; MESSAGE_BYTES_MAX];
        let until = Instant::now() + Duration::from_millis(100);
        let refused = (0..1_000).find_map(|_| ours.send(&full, None, Some(until)).err());
        assert_eq!(refused.unwrap().kind(), ErrorKind::TimedOut, "nobody reads at the other end");
        assert_eq!(ours.send(&vec![1; MESSAGE_BYTES_MAX + 1], None, None).unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(theirs);
        assert!(ours.send(b"x", None, None).is_err());
    }

    #[test]
    fn files_that_nobody_asked_for_are_closed() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let (mut ours, theirs) = Channel::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        for several in [2, 3, 40] {
            let many = vec![file.as_raw_fd(); several];
            let with = [ControlMessage::ScmRights(&many)];
            let before = open();
            sendmsg::<()>(theirs.as_raw_fd(), &[IoSlice::new(b"x")], &with, MsgFlags::empty(), None).unwrap();
            match ours.receive(None) {
                Ok(came) => drop(came.unwrap()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData),
            }
            // Other tests of this process open files too.
            assert!(open() < before + several, "{several}");
        }
    }
}
