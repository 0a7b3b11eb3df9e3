//! The messages by which an agent gets another version of its program, and proves that it still reaches the server with it.
//! All of them may be skipped by a peer that does not know them.

use serde::{Deserialize, Serialize};

use crate::release::SignedManifest;
use crate::wire::{Blob, code, message};

code! {
    /// How far an agent has come with a release.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    UpgradeState {
        /// A state that this version does not know.
        Other,
        /// It fetches the program.
        1 Fetching,
        /// The program is there and sound, and is tried next.
        2 Trying,
        /// The new program speaks, and asks for [`Proof`].
        3 Connected,
        /// The new program stays.
        4 Kept,
        /// The new program did not prove itself: the one before is back.
        5 RolledBack,
        /// The release is not tried: not signed, not newer, not for this machine, rolled back here before.
        6 Refused,
        /// It could not be fetched or started; another time it may be.
        7 Failed,
        /// The trial was cut short, by a reboot perhaps: the one before is back.
        8 Interrupted,
    }
}

message! {
    /// A release for the agent. Offered again, with the same id, it goes on where it was.
    Offer {
        /// By what both sides remember it.
        1 id: [u8; 16],
        /// What was signed about it; absent where the agent is to go back.
        2 release: Option<SignedManifest>,
        /// Bytes of the program a second at most; 0 for no limit.
        3 bytes_per_s: u64,
        /// How long the new program has to prove that it reaches the server, in seconds.
        4 prove_within_s: u32,
        /// Go back to the version that the release with this id took the place of.
        5 revert: bool,
        /// Try it though it was rolled back here before.
        6 again: bool,
    }

    /// The agent wants a part of the program.
    Fetch {
        /// The offer.
        1 offer: [u8; 16],
        /// From this byte on.
        2 offset: u64,
        /// At most so many.
        3 length: u32,
    }

    /// A part of the program.
    Piece {
        /// The offer.
        1 offer: [u8; 16],
        /// Its place.
        2 offset: u64,
        /// The bytes; none where the server has no more.
        3 bytes: Blob,
    }

    /// What became of an offer. It is said again at each connection until the server answers with [`Heard`].
    UpgradeNews {
        /// The offer.
        1 offer: [u8; 16],
        /// How far it has come.
        2 state: UpgradeState,
        /// Version of the program that says it.
        3 version: String,
        /// Bytes of the program that are there.
        4 fetched: u64,
        /// For people.
        5 text: String,
        /// Whether it is about going back.
        6 revert: bool,
    }

    /// The server has seen the new program connected: it has proved itself.
    Proof {
        /// The offer.
        1 offer: [u8; 16],
    }

    /// The server has written down what became of an offer.
    Heard {
        /// The offer.
        1 offer: [u8; 16],
    }

    /// The offer does not stand any more: what is being fetched is left.
    Withdraw {
        /// The offer.
        1 offer: [u8; 16],
    }

    /// The agent is taken off its machine: its certificate is to be worth nothing.
    Leaving {
        /// For people.
        1 text: String,
    }
}
