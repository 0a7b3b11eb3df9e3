//! Questions to the kernel by netlink(7), and all of its answer, or nothing.

use std::time::{Duration, Instant};

use guardian_inventory::netlink::{Part, parts};
use guardian_sys::netlink::{Family, Netlink};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Messages of one answer.
const MESSAGES_MAX: usize = 200_000;

/// A socket to a part of the kernel.
pub(crate) struct Kernel(Netlink);

impl Kernel {
    /// None where the kernel has no such part, or does not speak to us.
    pub(crate) fn open(family: Family) -> Option<Self> {
        Netlink::open(family, 0).ok().map(Self)
    }

    /// Asks, and hands over each message of the answer. None where it did not come to its end; `one` says that it is a single
    /// message, which has no end of its own.
    pub(crate) fn ask(&mut self, question: &[u8], one: bool, mut each: impl FnMut(u16, &[u8])) -> Option<()> {
        self.0.send(question).ok()?;
        let (asked, mut whole, mut count) = (Instant::now(), false, 0);
        while !whole && asked.elapsed() < ANSWER_MAX && count < MESSAGES_MAX && self.0.wait(ANSWER_MAX).ok()? {
            while let Some(datagram) = self.0.receive().ok()? {
                parts(datagram, |part| match part {
                    Part::Message(kind, body) => {
                        each(kind, body);
                        whole |= one;
                        count += 1;
                    }
                    Part::End => whole = true,
                });
            }
        }
        // Answers about tunnels have their keys in them.
        self.0.wipe();
        whole.then_some(())
    }
}
