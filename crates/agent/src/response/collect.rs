//! Evidence: what runs, what it has open, what would make something run again, what changed lately, and files that are asked
//! for. All of it goes through a stream into a pack that only the holder of a key can open; nothing of it lies open on the
//! disk. The agent reads `/proc` and the files itself: programs of this machine may lie.

mod files;
mod persistence;
mod processes;
mod timeline;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use guardian_evidence::{Lock, Manifest, Origin, PackWriter, PublicKey, SecretKey};
use guardian_protocol::Blob;
use guardian_protocol::action::PARTS;
use guardian_protocol::message::{Collect, Denied, Pack};
use guardian_sys::disk;
use serde::Serialize;
use serde_json::json;

use super::Options;
use super::books::{Books, boot_id};
use super::doing::{Doing, Done, Stop, denied};
use super::pins::{self, Pins};
use crate::facts::Facts;

/// Bytes before compression where nobody says otherwise.
const USUAL_BYTES_MAX: u64 = 512 << 20;
/// Bytes that stay free on the disk whatever is collected.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Bytes of one part of a list.
const LIST_BYTES_MAX: usize = 4 << 20;
/// Packs that wait for the server.
const PACKS_MAX: usize = 16;

/// Where the pack of a command is.
pub(crate) fn pack_path(folder: &Path, command: &[u8; 16]) -> PathBuf {
    folder.join(format!("{}.pack", HEXLOWER.encode(command)))
}

/// Deletes packs that nobody fetched, and what an interrupted collection left.
pub(crate) fn forget_old(folder: &Path, age_max: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > age_max) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// What is collected, and where it goes: nowhere in a rehearsal.
struct Gather<'a, 'b> {
    pack: Option<PackWriter<File>>,
    doing: &'a mut Doing<'b>,
    entries: u32,
    bytes: u64,
    bytes_max: u64,
}

impl Gather<'_, '_> {
    fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes)
    }

    /// Adds an entry of known length.
    fn add(&mut self, name: &str, origin: Origin, bytes: u64, source: &mut dyn io::Read) -> Result<bool, Stop> {
        self.doing.go_on()?;
        let added = match &mut self.pack {
            Some(pack) => pack.add(name, origin, bytes, source).map_err(|e| Stop::Failed(format!("{name}: {e}")))?,
            None => bytes <= self.room(),
        };
        if added {
            self.entries += 1;
            self.bytes += bytes;
        }
        Ok(added)
    }

    fn text(&mut self, name: &str, bytes: &[u8]) -> Result<(), Stop> {
        let origin = Origin { modified: crate::now(), ..Origin::default() };
        self.add(name, origin, bytes.len() as u64, &mut { bytes }).map(drop)
    }

    fn left_out(&mut self, what: &str, why: &str) {
        if let Some(pack) = &mut self.pack {
            pack.left_out(what, why);
        }
    }
}

/// A list of JSON lines that is written in parts, so that its length does not matter.
struct List {
    name: String,
    part: u32,
    lines: Vec<u8>,
    count: u64,
}

impl List {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), part: 0, lines: Vec::new(), count: 0 }
    }

    fn push(&mut self, gather: &mut Gather<'_, '_>, line: &impl Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.lines, line).map_err(io::Error::from)?;
        self.lines.push(b'\n');
        self.count += 1;
        if self.lines.len() >= LIST_BYTES_MAX { self.flush(gather) } else { Ok(()) }
    }

    fn flush(&mut self, gather: &mut Gather<'_, '_>) -> Result<(), Stop> {
        let name = format!("{}-{:03}.jsonl", self.name, self.part);
        gather.text(&name, &std::mem::take(&mut self.lines))?;
        self.part += 1;
        Ok(())
    }

    fn finish(mut self, gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
        self.flush(gather)?;
        Ok(self.count)
    }
}

fn recipient(pins: &Pins, wanted: &Collect) -> Result<PublicKey, Stop> {
    // The key that the machine's owner has pinned wins over the server's.
    if let Some(pinned) = &pins.evidence_key {
        return Ok(PublicKey(pins::key(pinned)?));
    }
    if wanted.recipient == [0; 32] {
        return denied(Denied::Malformed, "nobody is named who could open the evidence");
    }
    Ok(PublicKey(wanted.recipient))
}

/// Collects evidence.
pub(crate) fn collect(
    options: &Options,
    books: &Books,
    pins: &Pins,
    wanted: &Collect,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    let recipient = recipient(pins, wanted)?;
    let limit = if wanted.bytes_max == 0 { USUAL_BYTES_MAX } else { wanted.bytes_max };
    let free = disk::space(&books.evidence())?.available_bytes;
    let bytes_max = limit.min(free.saturating_sub(FREE_BYTES_MIN));
    let waiting = fs::read_dir(books.evidence())?.count();
    if bytes_max == 0 || waiting >= PACKS_MAX {
        let text = format!("{free} bytes are free on the disk, and {waiting} packs wait for the server");
        return denied(Denied::Busy, text);
    }
    let path = pack_path(&books.evidence(), &doing.id);
    let fresh = path.with_extension("new");
    let pack = if doing.dry {
        None
    } else {
        let lock = Lock::Public { recipient, fresh: SecretKey::new(rand::random()) };
        let manifest = Manifest {
            host: options.host.clone(),
            command: HEXLOWER.encode(&doing.id),
            by: doing.by.to_owned(),
            begun: crate::now(),
            ..Manifest::default()
        };
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        let pack = PackWriter::new(file, &lock, manifest, bytes_max);
        Some(pack.map_err(|error| Stop::Failed(error.to_string()))?)
    };
    let mut gather = Gather { pack, doing, entries: 0, bytes: 0, bytes_max };
    let gathered = all(&mut gather, options, wanted);
    let (entries, bytes) = (gather.entries, gather.bytes);
    let Some(pack) = gather.pack else {
        gathered?;
        return Ok(Done::new(format!("{entries} entries of {bytes} bytes would be collected")));
    };
    let finished = gathered.and_then(|()| {
        let (made, manifest, file) = pack.finish(crate::now()).map_err(|e| Stop::Failed(e.to_string()))?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok((made, manifest))
    });
    let (made, manifest) = finished.inspect_err(|_| drop(fs::remove_file(&fresh)))?;
    doing.step("seal", HEXLOWER.encode(&recipient.0), "for the holder of this X25519 key");
    doing.step("manifest", HEXLOWER.encode(&made.manifest), format!("BLAKE3; {} entries", manifest.entries.len()));
    let left_out = manifest.left_out.len() as u32;
    let pack = Pack {
        bytes: made.bytes,
        hash: Blob(made.blake3.to_vec()),
        entries: manifest.entries.len() as u32,
        raw_bytes: made.raw_bytes,
        left_out,
    };
    let text =
        format!("{entries} entries of {bytes} bytes were collected, {left_out} left out; {} bytes wait", made.bytes);
    Ok(Done { pack: Some(pack), ..Done::new(text) })
}

fn all(gather: &mut Gather<'_, '_>, options: &Options, wanted: &Collect) -> Result<(), Stop> {
    let facts = Facts::read();
    let system = json!({
        "host": options.host,
        "name": facts.name,
        "system": facts.system,
        "kernel": facts.kernel,
        "architecture": facts.architecture,
        "agent": crate::upgrade::version(),
        "boot": boot_id(),
        "uptime": fs::read_to_string("/proc/uptime").unwrap_or_default().trim(),
        "time": crate::now(),
    });
    gather.text("system.json", &serde_json::to_vec_pretty(&system).map_err(io::Error::from)?)?;
    let wants = |part: &str| wanted.parts.is_empty() || wanted.parts.iter().any(|wanted| wanted == part);
    // What is gone first is taken first.
    for part in PARTS.iter().filter(|part| wants(part)) {
        let count = match *part {
            "processes" => processes::processes(gather)?,
            "maps" => processes::maps(gather)?,
            "files" => processes::open_files(gather)?,
            "sockets" => processes::sockets(gather)?,
            "persistence" => persistence::persistence(gather)?,
            "timeline" => timeline::timeline(gather, options, &wanted.folders, wanted.days)?,
            _ => 0,
        };
        gather.doing.step("collect", *part, format!("{count} entries"));
    }
    for pattern in &wanted.files {
        let count = files::chosen(gather, options, pattern)?;
        gather.doing.step(
            "collect",
            pattern,
            if count == 1 { "one file".to_owned() } else { format!("{count} files") },
        );
    }
    Ok(())
}
