//! File integrity: a first baseline of `/usr` by the agent as it ships, beside plainly reading the same files and beside AIDE,
//! from a cold cache, in turns. What both checkers wrote down is compared: a scan that leaves files out is no scan.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::median;
use crate::{cargo, install, say};

/// What is read.
const ROOT: &str = "/usr";
/// Rounds; the median counts.
const ROUNDS: usize = 3;
/// So many times the reading, at most.
const READING_RATIO_MAX: f64 = 1.5;
/// So many times as fast as AIDE, at least.
const AIDE_RATIO_MIN: f64 = 5.0;
/// What is read at once, and threads that read in one of the two ways.
const READ_BYTES: usize = 128 << 10;
const READERS: usize = 16;
/// Files on which the two checkers may differ: somebody may install something meanwhile.
const OTHERS_MAX: usize = 100;
/// What the agent leaves out of this root by itself, as AIDE and the plain reader have to be told.
const LEFT_OUT: &str = r"!/usr/.*/__pycache__
!/usr/share/mime/mime\.cache$
!/usr/lib/modules/[^/]*/modules\.[^/]*\.bin$
";
/// The same that the agent keeps, but for BLAKE3, which AIDE does not have: it does less.
const AIDE_RULE: &str = "ftype+p+u+g+i+n+l+s+m+c+acl+xattrs+sha256";

/// Runs all rounds with this agent.
pub(super) fn run(agent: &Path) -> Result<Vec<Value>> {
    if !install::has("aide") {
        install::apt(&["aide"], "comparing with AIDE", || install::has("aide"))?;
    }
    let folder = cargo::target_dir().join("bench").join(format!("integrity-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = rounds(&Subjects { agent, folder: &folder });
    fs::remove_dir_all(&folder)?;
    let measured = measured?;
    say::note(&format!(
        "{} files have the same SHA-256 by both, {} are another or only one has them",
        measured.same, measured.others
    ));
    ensure!(measured.same > 0 && measured.others <= OTHERS_MAX, "the two do not agree on what is in the files");
    Ok(measured.results())
}

/// Seconds of every round.
#[derive(Default)]
struct Measured {
    cold: bool,
    read: Vec<f64>,
    agent: Vec<f64>,
    aide: Vec<f64>,
    aide_workers: Vec<f64>,
    bytes: u64,
    same: usize,
    others: usize,
}

impl Measured {
    fn results(&self) -> Vec<Value> {
        let (read, agent) = (median(&self.read), median(&self.agent));
        let (aide, workers) = (median(&self.aide), median(&self.aide_workers));
        let cache = if self.cold { "cold" } else { "warm" };
        vec![
            json!({"bench": format!("integrity/read_{cache}"), "value": read, "unit": "s"}),
            json!({"bench": format!("integrity/read_{cache}/rate"), "value": self.bytes as f64 / read, "unit": "bytes/s"}),
            json!({"bench": format!("integrity/baseline_{cache}"), "value": agent, "unit": "s", "peer": "reading",
                "peer_value": read, "ratio": agent / read, "floor": read * READING_RATIO_MAX,
                "pass": agent <= read * READING_RATIO_MAX}),
            json!({"bench": format!("integrity/baseline_{cache}/aide"), "value": agent, "unit": "s", "peer": "aide",
                "peer_value": aide, "ratio": aide / agent, "floor": aide / AIDE_RATIO_MIN,
                "pass": agent * AIDE_RATIO_MIN <= aide}),
            json!({"bench": format!("integrity/baseline_{cache}/aide_workers"), "value": agent, "unit": "s",
                "peer": "aide, a worker a core", "peer_value": workers, "ratio": workers / agent}),
        ]
    }
}

struct Subjects<'a> {
    agent: &'a Path,
    folder: &'a Path,
}

fn rounds(subjects: &Subjects<'_>) -> Result<Measured> {
    let mut measured = Measured { cold: forget_cache().is_ok(), ..Measured::default() };
    if !measured.cold {
        say::note("only root may empty the page cache: everything is measured with what is in it");
    }
    let cores = std::thread::available_parallelism()?.get();
    for round in 1..=ROUNDS {
        // Whatever way of reading suits the disk better.
        let (mut read, mut bytes) = (f64::INFINITY, 0);
        for readers in [1, READERS] {
            let (took, length) = measured.timed(|| plain_read(readers))?;
            (read, bytes) = (read.min(took), length);
        }
        measured.bytes = bytes;
        measured.read.push(read);
        let (agent, ()) = measured.timed(|| subjects.agent())?;
        measured.agent.push(agent);
        let (aide, ()) = measured.timed(|| subjects.aide(1))?;
        measured.aide.push(aide);
        let (workers, ()) = measured.timed(|| subjects.aide(cores))?;
        measured.aide_workers.push(workers);
        say::note(&format!(
            "round {round}: reading {read:.1} s, the agent {agent:.1} s, aide {aide:.1} s, with {cores} workers {workers:.1} s"
        ));
    }
    (measured.same, measured.others) = subjects.compare()?;
    Ok(measured)
}

impl Measured {
    /// Seconds that something takes, from an empty page cache where that is permitted.
    fn timed<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
        if self.cold {
            forget_cache()?;
            std::thread::sleep(Duration::from_millis(500));
        }
        let begun = Instant::now();
        let done = work()?;
        Ok((begun.elapsed().as_secs_f64(), done))
    }
}

fn forget_cache() -> std::io::Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")
}

impl Subjects<'_> {
    fn exported(&self) -> PathBuf {
        self.folder.join("agent.db")
    }

    fn aide_database(&self) -> PathBuf {
        self.folder.join("aide.db")
    }

    /// What the agent does at its first start: a baseline of everything, here with an empty database taken over. Nothing is left
    /// from the round before.
    fn agent(&self) -> Result<()> {
        let (home, empty) = (self.folder.join("agent"), self.folder.join("empty.db"));
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::write(&empty, "@@begin_db\n@@db_spec name lname attr perm\n@@end_db\n")?;
        let mut command = Command::new(self.agent);
        command.arg("--dir").arg(&home).args(["baseline", "import-aide"]).arg(&empty).args(["--files", ROOT]);
        done(&mut command, &[0])
    }

    fn aide(&self, workers: usize) -> Result<()> {
        let config = self.folder.join("aide.conf");
        let out = self.aide_database();
        let text = format!(
            "database_out=file:{}\ngzip_dbout=no\nreport_url=file:{}\n{LEFT_OUT}{ROOT} {AIDE_RULE}\n",
            std::path::absolute(&out)?.display(),
            std::path::absolute(self.folder.join("aide.report"))?.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new("aide");
        command.arg("--config").arg(&config).arg(format!("--workers={workers}")).arg("--init");
        done(&mut command, &[0])
    }

    /// Files whose SHA-256 both wrote down alike, and those that only one has or that are another.
    fn compare(&self) -> Result<(usize, usize)> {
        let mut command = Command::new(self.agent);
        command.arg("--dir").arg(self.folder.join("agent")).args(["baseline", "export-aide"]).arg(self.exported());
        done(&mut command, &[0])?;
        let (ours, theirs) = (fs::read_to_string(self.exported())?, fs::read_to_string(self.aide_database())?);
        let (ours, theirs) = (hashes(&ours)?, hashes(&theirs)?);
        let same = ours.iter().filter(|(path, hash)| theirs.get(*path) == Some(hash)).count();
        Ok((same, ours.len().max(theirs.len()) - same))
    }
}

/// SHA-256 by path, of the lines of a database of AIDE's that have one.
fn hashes(database: &str) -> Result<HashMap<&str, &str>> {
    let columns = database.lines().find_map(|line| line.strip_prefix("@@db_spec "));
    let columns: Vec<&str> = columns.context("the database does not name its columns")?.split_whitespace().collect();
    let place = |name: &str| columns.iter().position(|one| *one == name).with_context(|| format!("no column {name}"));
    let (name, sha256) = (place("name")?, place("sha256")?);
    let lines = database.lines().filter(|line| line.starts_with('/'));
    Ok(lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(' ').collect();
            let hash = cells.get(sha256).filter(|hash| hash.len() == 44)?;
            Some((*cells.get(name)?, *hash))
        })
        .collect())
}

fn done(command: &mut Command, codes: &[i32]) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} does not start"))?;
    let fine = output.status.code().is_some_and(|code| codes.contains(&code));
    ensure!(fine, "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Reads every file once and keeps nothing: with one thread as they come, with more in the order of their numbers. How many bytes
/// there were.
fn plain_read(readers: usize) -> Result<u64> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    let device = fs::metadata(ROOT)?.dev();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if is_left_out(&path, &entry.file_name()) {
                continue;
            }
            if kind.is_dir() {
                if fs::symlink_metadata(&path)?.dev() == device {
                    folders.push(path);
                }
            } else if kind.is_file() {
                files.push((entry.ino(), path));
            }
        }
    }
    if readers > 1 {
        files.sort_unstable();
    }
    let (next, files) = (AtomicUsize::new(0), &files);
    let read = || -> std::io::Result<u64> {
        let (mut buffer, mut bytes) = (vec![0; READ_BYTES], 0);
        while let Some((_, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut file = File::options().read(true).custom_flags(nix::libc::O_NOATIME).open(path)?;
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    length => bytes += length as u64,
                }
            }
        }
        Ok(bytes)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..readers).map(|_| scope.spawn(read)).collect();
        threads
            .into_iter()
            .try_fold(0, |sum, thread| Ok(sum + thread.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??))
    })
}

/// As [`LEFT_OUT`] says it.
fn is_left_out(path: &Path, name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let modules = path.starts_with("/usr/lib/modules") && name.starts_with("modules.") && name.ends_with(".bin");
    name == "__pycache__" || modules || path == Path::new("/usr/share/mime/mime.cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_by_the_names_of_columns() {
        let hash = "A".repeat(44);
        let database = format!("@@begin_db\n@@db_spec name attr sha256\n/a 1 {hash}\n/b 1 0\n# /c\n@@end_db\n");
        assert_eq!(hashes(&database).unwrap(), HashMap::from([("/a", hash.as_str())]));
        assert!(hashes("@@begin_db\n/a 1\n").is_err());
        assert!(hashes("@@db_spec name attr\n/a 1\n").is_err());
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn what_the_agent_leaves_out_is_left_out() {
        let out = |path: &str| is_left_out(Path::new(path), &Path::new(path).file_name().unwrap().to_owned());
        assert!(out("/usr/lib/x/__pycache__") && out("/usr/lib/modules/6.1/modules.dep.bin"));
        assert!(!out("/usr/lib/modules/6.1/modules.dep") && !out("/usr/bin/mime.cache"));
    }
}
