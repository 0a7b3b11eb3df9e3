//! The messages. A field's tag is never reused; a new field is absent for older peers, so that its default must mean
//! "not said". Times are UTC microseconds. Who speaks is known from the certificate and is in no message.

use serde::{Deserialize, Serialize};

pub use crate::action::*;
pub use crate::upgrade::*;
use crate::wire::{Blob, choice, code, message};

code! {
    /// The operating system of an agent.
    Platform {
        /// One that this version does not know.
        Other,
        /// Linux.
        1 Linux,
        /// Windows.
        2 Windows,
    }
    /// Why the server does not talk to the agent now.
    Refusal {
        /// A reason that this version does not know.
        Other,
        /// No version in common.
        1 Version,
        /// The certificate was revoked; the agent must be enrolled again.
        2 Revoked,
        /// Too many connect at once; come back later.
        3 Busy,
        /// Another connection with the same certificate took its place.
        4 Replaced,
        /// The server goes down; come back soon.
        5 Stopping,
        /// The agent said something that is not in the protocol.
        6 Malformed,
    }
    /// How far a command has come.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Progress {
        /// A state that this version does not know.
        Other,
        /// It was read and will run.
        1 Accepted,
        /// It runs.
        2 Running,
        /// It is done; its effect holds.
        3 Done,
        /// It could not be done; the text says why.
        4 Failed,
        /// It is not done: not permitted here, not signed, expired, unknown.
        5 Refused,
        /// It was stopped by its deadline.
        6 TimedOut,
    }
}

message! {
    /// The first message of an agent.
    Hello {
        /// Oldest version of the messages that it speaks.
        1 version_min: u32,
        /// Newest version of the messages that it speaks.
        2 version_max: u32,
        /// Version of its program.
        3 program: String,
        /// Its operating system.
        4 platform: Platform,
        /// Distribution and release, as the system says.
        5 system: String,
        /// Kernel release.
        6 kernel: String,
        /// Processor architecture, as the system says.
        7 architecture: String,
        /// Name of the machine.
        8 hostname: String,
        /// Random number of this start of the machine.
        9 boot: [u8; 16],
        /// Random number of this spool: marks of another are not its.
        10 epoch: u64,
        /// The lanes with what is first in each and not acknowledged.
        11 lanes: Vec<Lane>,
        /// Its clock.
        12 time: i64,
        /// What it can do here and now, by name; what it lacks has its reason in the first heartbeat.
        13 abilities: Vec<String>,
        /// The policy it runs.
        14 policy: Option<PolicyState>,
    }

    /// One strictly ordered part of what an agent sends.
    Lane {
        /// Its number.
        1 lane: u32,
        /// Sequence of the first batch that is not acknowledged.
        2 first: u64,
        /// Batches that wait.
        3 batches: u64,
        /// Their bytes.
        4 bytes: u64,
    }

    /// Events.
    Batch {
        /// The lane.
        1 lane: u32,
        /// Its place in the lane, from 1.
        2 sequence: u64,
        /// Length of the events before compression.
        3 raw_bytes: u32,
        /// The events, compressed; see [`crate::open`].
        4 events: Blob,
        /// What was lost between the batch before and this one.
        5 lost: Vec<Loss>,
    }

    /// Rows that will never come.
    Loss {
        /// Class of the events.
        1 class: String,
        /// Rows lost.
        2 rows: u64,
        /// Where, by the name of the agent's counter.
        3 place: String,
    }

    /// What the agent says about itself at each beat.
    Heartbeat {
        /// Counts up from 1 within a connection; the answer carries it.
        1 beat: u64,
        /// Its clock.
        2 time: i64,
        /// Bytes that wait in the spool.
        3 spool_bytes: u64,
        /// Processor time that all its processes have used since they started, in microseconds.
        4 cpu_us: u64,
        /// Resident memory of all its processes.
        5 resident_bytes: u64,
        /// Counters of what it lost since it started.
        6 lost: Vec<Loss>,
        /// What is wrong with it.
        7 complaints: Vec<String>,
        /// The policy it runs.
        8 policy: Option<PolicyState>,
        /// Length of the round to the server and back at the last beat, in microseconds.
        9 round_us: u64,
    }

    /// Which policy an agent runs.
    PolicyState {
        /// Its version.
        1 version: u64,
        /// BLAKE3 of the document.
        2 hash: Blob,
        /// Parts that it could not apply, with reasons.
        3 complaints: Vec<String>,
        /// Names of values that an option of its command line decides, with that value: `spool.mib_max=64`.
        4 overrides: Vec<String>,
    }

    /// What became of a command; there may be several, `part` in order. The last one says how it ended.
    #[derive(Serialize, Deserialize)]
    #[serde(default)]
    Outcome {
        /// The command.
        #[serde(with = "crate::json::hex_id")]
        1 command: [u8; 16],
        /// From 0.
        2 part: u32,
        /// How far it has come.
        3 progress: Progress,
        /// For people.
        4 text: String,
        /// Output of this part.
        #[serde(with = "crate::json::base64_blob")]
        5 output: Blob,
        /// Exit status of a script; less than 0 for the signal that ended it.
        7 status: Option<i64>,
        /// What undoes it, if anything can.
        8 undo: Option<Action>,
        /// What was done, or would be, in order.
        9 steps: Vec<Step>,
        /// Why it was refused.
        10 denied: Denied,
        /// What was collected and waits on the machine.
        11 pack: Option<Pack>,
        /// Bytes of output beyond the limit, which were thrown away.
        12 output_lost: u64,
        /// Whether it was a rehearsal: nothing was done.
        13 dry_run: bool,
        /// When it began, by the machine's clock.
        14 begun: i64,
        /// When it ended, by the machine's clock; 0 before.
        15 ended: i64,
    }

    /// Rows of a live query; there may be several, `part` in order.
    Answer {
        /// The query.
        1 query: [u8; 16],
        /// From 0.
        2 part: u32,
        /// Names of the columns, in part 0.
        3 columns: Vec<String>,
        /// Length of the rows before compression.
        4 raw_bytes: u32,
        /// The rows: JSON arrays in lines, compressed; see [`crate::answer`].
        5 rows: Blob,
        /// Whether it is the last part.
        6 last: bool,
        /// Why it ended early.
        7 error: Option<String>,
        /// Rows in this part.
        8 count: u32,
        /// Whether there would have been more than was wanted; in the last part.
        9 more: bool,
        /// How long it took, in milliseconds; in the last part.
        10 took_ms: u32,
    }

    /// One part of the inventory: a whole list, or what changed since the list with `base`. With nothing in it, and the same
    /// `base` and `hash`, it asks whether the server has that list: the answer is [`Kept`] or [`Resend`].
    Inventory {
        /// Which list, such as `packages` or `users`.
        1 list: String,
        /// Hash of the list that this changes; absent for a whole list.
        2 base: Option<Blob>,
        /// Hash of the list afterwards.
        3 hash: Blob,
        /// From 0.
        4 part: u32,
        /// Whether it is the last part.
        5 last: bool,
        /// Length of the entries before compression.
        6 raw_bytes: u32,
        /// The entries, as JSON lines, compressed; see [`crate::lists`].
        7 entries: Blob,
        /// When it was read.
        8 time: i64,
    }

    /// A part of what a command collected, as the server asked for it with [`FetchPack`].
    PackPart {
        /// The command.
        1 command: [u8; 16],
        /// Where the part begins.
        2 offset: u64,
        /// Length of the whole pack.
        3 bytes: u64,
        /// The part; not empty unless there is an error.
        4 content: Blob,
        /// Why there is nothing to give, now or ever.
        5 error: Option<String>,
    }

    /// Which baseline of files the agent has: said at each connection, and when there is another.
    BaselineState {
        /// Its root: BLAKE3 over its folders.
        1 root: [u8; 32],
        /// Roots of the baselines since the one that the server was last known to have, the oldest first; the last one is
        /// what the agent kept as its own, whatever lies on the disk by now.
        2 chain: Vec<Blob>,
        /// When it was made.
        3 made: i64,
        /// BLAKE3 of the policy it was made under.
        4 policy: Blob,
    }

    /// A part of what changed in a baseline, as the server asked for it with [`FetchBaseline`].
    BaselinePart {
        /// The baseline.
        1 root: [u8; 32],
        /// The one that it is compared with; absent where it is whole.
        2 base: Option<Blob>,
        /// Where the part begins.
        3 offset: u64,
        /// Length of the whole.
        4 bytes: u64,
        /// The part; not empty unless there is an error.
        5 content: Blob,
        /// Why there is nothing to give now.
        6 error: Option<String>,
    }

    /// The agent ends the connection.
    Goodbye {
        /// For people.
        1 text: String,
    }

    /// The agent asks for its next certificate, for a key that it made.
    Renew {
        /// PKCS #10, DER.
        1 request: Blob,
    }

    /// The server's answer to [`Hello`].
    Welcome {
        /// The version that both speak from now on.
        1 version: u32,
        /// Version of its program.
        2 program: String,
        /// Its clock.
        3 time: i64,
        /// What is durable of each lane of the agent's epoch.
        4 marks: Vec<Ack>,
        /// How often it wants a heartbeat.
        5 heartbeat_ms: u32,
        /// How many batches may be on their way without acknowledgement.
        6 window: u32,
        /// Whether the certificate is due: the agent asks for the next one by [`Renew`].
        7 renewal_wanted: bool,
    }

    /// Everything up to here is durable.
    Ack {
        /// The lane.
        1 lane: u32,
        /// Sequence of the last batch that is safe, with all before it.
        2 sequence: u64,
    }

    /// The answer to a heartbeat.
    Beat {
        /// Of the heartbeat.
        1 beat: u64,
        /// The server's clock.
        2 time: i64,
    }

    /// What the agent shall do from now on.
    Policy {
        /// Grows with each change.
        1 version: u64,
        /// BLAKE3 of the document.
        2 hash: Blob,
        /// The document, JSON.
        3 document: Blob,
    }

    /// Something to do once.
    Command {
        /// Random; the same id is never done twice.
        1 id: [u8; 16],
        /// When it was decided, by the server's clock.
        2 issued: i64,
        /// Not begun later than this, by the server's clock.
        3 expires: i64,
        /// How long it may take.
        4 timeout_ms: u32,
        /// Say what would be done and do nothing.
        5 dry_run: bool,
        /// Who decided, for the host's own log.
        6 by: String,
        /// What.
        7 action: Option<Action>,
    }

    /// Stop a command or query.
    Cancel {
        /// Its id.
        1 id: [u8; 16],
    }

    /// A question to the tables of the agent.
    Query {
        /// Random.
        1 id: [u8; 16],
        /// One `SELECT`.
        2 sql: String,
        /// How long it may take.
        3 timeout_ms: u32,
        /// Rows that are wanted at most.
        4 rows_max: u32,
        /// Bytes that are wanted at most, before compression; 0 for what the agent deems right.
        5 bytes_max: u64,
    }

    /// The server wants a part of what a command collected, or has all of it.
    FetchPack {
        /// The command.
        1 command: [u8; 16],
        /// Where the part is to begin.
        2 offset: u64,
        /// Most bytes of it.
        3 bytes_max: u32,
        /// The server has the pack for good: it need not be kept on the machine. Nothing is sent.
        4 kept: bool,
    }

    /// The server wants a part of what changed in a baseline of files since one that it has, or since none.
    FetchBaseline {
        /// The baseline.
        1 root: [u8; 32],
        /// The one that the server has; absent where it wants the whole.
        2 base: Option<Blob>,
        /// Where the part is to begin.
        3 offset: u64,
        /// Most bytes of it.
        4 bytes_max: u32,
    }

    /// The server has this baseline, for good.
    KeptBaseline {
        /// Its root.
        1 root: [u8; 32],
        /// Its number among those of this host.
        2 number: u64,
    }

    /// The server wants the whole of a list, because it lacks what a change was made from, and has room for it now.
    Resend {
        /// Which list.
        1 list: String,
    }

    /// The server has this list, for good.
    Kept {
        /// Which list.
        1 list: String,
        /// Its hash.
        2 hash: Blob,
    }

    /// The answer to [`Renew`]: from the next connection on the agent shows this one.
    Certificate {
        /// X.509, DER.
        1 certificate: Blob,
        /// Until when it is valid.
        2 not_after: i64,
    }

    /// The server ends the connection.
    Refuse {
        /// Why.
        1 reason: Refusal,
        /// For people.
        2 text: String,
        /// Come back not before this; the agent adds jitter.
        3 retry_ms: u32,
    }
}

choice! {
    /// What agents say.
    FromAgent {
        /// See [`Hello`].
        1 Hello(Hello),
        /// See [`Batch`].
        2 Batch(Batch),
        /// See [`Heartbeat`].
        3 Heartbeat(Heartbeat),
        /// See [`Outcome`].
        4 Outcome(Outcome),
        /// See [`Answer`].
        5 Answer(Answer),
        /// See [`Inventory`].
        6 Inventory(Inventory),
        /// See [`Goodbye`].
        7 Goodbye(Goodbye),
        /// See [`Renew`].
        8 Renew(Renew),
        /// See [`PackPart`].
        130 PackPart(PackPart),
        /// See [`BaselinePart`].
        131 BaselinePart(BaselinePart),
        /// See [`BaselineState`].
        132 BaselineState(BaselineState),
        /// See [`UpgradeNews`].
        140 UpgradeNews(UpgradeNews),
        /// See [`Fetch`].
        141 Fetch(Fetch),
        /// See [`Leaving`].
        142 Leaving(Leaving),
    }
}

choice! {
    /// What the server says.
    FromServer {
        /// See [`Welcome`].
        1 Welcome(Welcome),
        /// See [`Ack`].
        2 Ack(Ack),
        /// See [`Beat`].
        3 Beat(Beat),
        /// See [`Policy`].
        4 Policy(Policy),
        /// See [`Command`].
        5 Command(Command),
        /// See [`Cancel`].
        6 Cancel(Cancel),
        /// See [`Query`].
        7 Query(Query),
        /// See [`Resend`].
        8 Resend(Resend),
        /// See [`Refuse`].
        9 Refuse(Refuse),
        /// See [`Certificate`].
        10 Certificate(Certificate),
        /// See [`Kept`].
        20 Kept(Kept),
        /// See [`FetchPack`].
        130 FetchPack(FetchPack),
        /// See [`FetchBaseline`].
        131 FetchBaseline(FetchBaseline),
        /// See [`KeptBaseline`].
        132 KeptBaseline(KeptBaseline),
        /// See [`Offer`].
        140 Offer(Offer),
        /// See [`Piece`].
        141 Piece(Piece),
        /// See [`Proof`].
        142 Proof(Proof),
        /// See [`Heard`].
        143 Heard(Heard),
        /// See [`Withdraw`].
        144 Withdraw(Withdraw),
    }
}
