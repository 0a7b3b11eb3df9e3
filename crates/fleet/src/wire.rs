//! Frames over a connection. What is held of one is bounded to one frame and one read, and of one that is silent nothing:
//! a server has ten thousand of them.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use guardian_protocol::{Frames, FromAgent, FromServer, WireError, limits};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

const READ_BYTES: usize = 16 << 10;
/// Room that is kept for what is said next.
const OUT_KEPT_BYTES: usize = 256;
/// An agent that takes longer than this to take what it is told is let go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The other side said something that is not in the protocol.
    #[error("it does not speak the protocol: {0}")]
    Wire(#[from] WireError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// The reading side.
pub(crate) struct Reader<R> {
    stream: R,
    frames: Frames,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, frames: Frames::new(limits::GREETING_BYTES_MAX) }
    }

    /// The greeting is over: larger frames may come.
    pub(crate) fn greeted(&mut self) {
        self.frames.accept(limits::FRAME_BYTES_MAX);
    }

    /// The next message; none at the end of the connection. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Option<FromAgent>, Broken> {
        loop {
            while let Some(frame) = self.frames.next()? {
                if let Some(message) = frame.from_agent()? {
                    return Ok(Some(message));
                }
            }
            self.frames.shrink();
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Adds to the frames what has come. The room to read into is there only while something is read.
    async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| {
            let mut room = [MaybeUninit::<u8>::uninit(); READ_BYTES];
            let mut room = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
            self.frames.push(room.filled());
            Poll::Ready(Ok(room.filled().len()))
        })
        .await
    }
}

/// The writing side.
pub(crate) struct Writer<W> {
    stream: W,
    out: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self { stream, out: Vec::new() }
    }

    /// Adds a message to what is sent next.
    pub(crate) fn put(&mut self, message: &FromServer) -> Result<(), Broken> {
        Ok(message.put(&mut self.out)?)
    }

    /// Sends what was added.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        let writing = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, writing).await {
            Ok(done) => done?,
            Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
        self.out.clear();
        self.out.shrink_to(OUT_KEPT_BYTES);
        Ok(())
    }

    pub(crate) async fn send(&mut self, message: &FromServer) -> Result<(), Broken> {
        self.put(message)?;
        self.flush().await
    }

    /// Says the last word and ends the connection.
    pub(crate) async fn finish(mut self, message: &FromServer) {
        // Whoever is gone does not hear it.
        if self.send(message).await.is_ok() {
            tokio::time::timeout(WRITE_TIMEOUT, self.stream.shutdown()).await.ok();
        }
    }
}
