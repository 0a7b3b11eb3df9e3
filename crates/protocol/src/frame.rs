//! Frames: kind (1 byte), length (4 bytes, big-endian), body. The reader takes bytes as they come and gives frames back;
//! a length beyond the limit ends the connection before anything is allocated for it.

use crate::limits::FRAME_BYTES_MAX;
use crate::message::{FromAgent, FromServer};
use crate::wire::{Budget, WireError};

const HEAD_BYTES: usize = 5;

/// Kinds from here on may be skipped by a peer that does not know them; below it, not knowing one ends the connection.
pub const OPTIONAL_KIND_MIN: u8 = 128;

/// One frame as it came: its kind and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Number of the kind, of the direction in which it travels.
    pub kind: u8,
    /// The coded message.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// The message as an agent would say it; none for a kind that may be skipped.
    pub fn from_agent(&self) -> Result<Option<FromAgent>, WireError> {
        skip(FromAgent::take_body(self.kind, self.body, &mut Budget::new()))
    }

    /// The message as the server would say it; none for a kind that may be skipped.
    pub fn from_server(&self) -> Result<Option<FromServer>, WireError> {
        skip(FromServer::take_body(self.kind, self.body, &mut Budget::new()))
    }
}

fn skip<T>(message: Result<T, WireError>) -> Result<Option<T>, WireError> {
    match message {
        Err(WireError::UnknownKind(OPTIONAL_KIND_MIN..)) => Ok(None),
        other => other.map(Some),
    }
}

/// Appends a frame. A body beyond the limit is refused and nothing is appended.
pub fn put_frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) -> Result<(), WireError> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(WireError::Limit("the length of a frame"));
    }
    out.reserve(HEAD_BYTES + body.len());
    out.push(kind);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
    Ok(())
}

impl FromAgent {
    /// Appends the message as a frame.
    pub fn put(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut body = Vec::new();
        self.put_body(&mut body);
        put_frame(out, self.kind(), &body)
    }
}

impl FromServer {
    /// Appends the message as a frame.
    pub fn put(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut body = Vec::new();
        self.put_body(&mut body);
        put_frame(out, self.kind(), &body)
    }
}

/// Collects bytes and gives frames.
#[derive(Debug)]
pub struct Frames {
    held: Vec<u8>,
    /// Where the first frame that was not given begins.
    start: usize,
    body_bytes_max: usize,
}

impl Frames {
    /// A reader that accepts bodies up to `body_bytes_max`, and never beyond the protocol's limit.
    pub fn new(body_bytes_max: usize) -> Self {
        Self { held: Vec::new(), start: 0, body_bytes_max: body_bytes_max.min(FRAME_BYTES_MAX) }
    }

    /// From now on bodies up to `body_bytes_max` are accepted, and never beyond the protocol's limit.
    pub fn accept(&mut self, body_bytes_max: usize) {
        self.body_bytes_max = body_bytes_max.min(FRAME_BYTES_MAX);
    }

    /// Adds what was received. Call [`Frames::next`] until it gives none before adding more: that is what bounds what
    /// is held to one frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.held.drain(..self.start);
            self.start = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// The next whole frame. After an error the connection is of no use any more.
    #[expect(
        clippy::should_implement_trait,
        reason = "a frame borrows from the reader, which an iterator's item cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let rest = &self.held[self.start..];
        let Some((&[kind, a, b, c, d], tail)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.body_bytes_max {
            return Err(WireError::Limit("the length of a frame"));
        }
        let Some(body) = tail.get(..length) else {
            return Ok(None);
        };
        self.start += HEAD_BYTES + length;
        Ok(Some(Frame { kind, body }))
    }

    /// Bytes of a frame that is not whole yet.
    pub fn held_bytes(&self) -> usize {
        self.held.len() - self.start
    }

    /// Gives memory back after a large frame, where nothing waits.
    pub fn shrink(&mut self) {
        if self.held_bytes() == 0 {
            (self.held, self.start) = (Vec::new(), 0);
        }
    }
}
