//! Killing and stopping processes: held by a descriptor and compared by when they started, so that no other process with the
//! same number is ever hit. A tree is stopped from its root on before it is killed, so that nothing in it can start more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use guardian_inventory::process::{Stat, parse_cmdline, parse_stat, parse_status};
use guardian_protocol::message::{Action, Denied, Kill, Resume, Suspend};
use guardian_sys::pidfd::{Process, Signal};

use super::books::boot_id;
use super::doing::{Doing, Done, Stop, denied};

/// Processes of one tree.
const TREE_MAX: usize = 20_000;
/// Looks at a tree that grows, and rounds of ending a user's processes.
const LOOKS_MAX: usize = 64;
/// Pause before it is looked again whether a tree stands still.
const STILL_PAUSE: Duration = Duration::from_millis(10);
/// How long a tree has to stand still. On a busy machine a process may wait long for the moment in which a stop takes hold.
const STILL: Duration = Duration::from_secs(30);
/// After so long, one that waits in the kernel counts as standing still: whoever waits for a child of `vfork` that was stopped does
/// nothing before that child does.
const STILL_IN_KERNEL: Duration = Duration::from_secs(2);
/// How long those that were asked to end have for it.
const GRACE: Duration = Duration::from_secs(5);
/// How long those that were killed have to be gone.
const DEATH: Duration = Duration::from_secs(5);
/// The kernel's own: `kthreadd`, whose children its threads are.
const KERNEL: u32 = 2;

/// A process that is held.
pub(crate) struct Held {
    pub(crate) pid: u32,
    pub(crate) stat: Stat,
    pub(crate) process: Process,
}

impl Held {
    /// The process with this number, if it is there.
    pub(crate) fn open(pid: u32) -> io::Result<Option<Self>> {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let process = match Process::open(pid) {
            // A thread that is not the first of its process has no descriptor.
            Err(error) if gone(&error) || error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            process => process?,
        };
        let Some(stat) = stat(pid) else { return Ok(None) };
        // It was there after its file was read, so that the file was about it.
        match process.signal(Signal::Nothing) {
            Err(error) if gone(&error) => return Ok(None),
            // Not permitted is there as well.
            _ => {}
        }
        Ok(Some(Self { pid, stat, process }))
    }

    /// Number and command, for people.
    pub(crate) fn name(&self) -> String {
        let command = parse_cmdline(&fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default()).join(" ");
        let command: String = command.chars().take(200).collect();
        if command.is_empty() {
            format!("{} [{}]", self.pid, self.stat.name)
        } else {
            format!("{} {command}", self.pid)
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<bool> {
        match self.process.signal(signal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            sent => sent.map(|()| true),
        }
    }
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?).ok()
}

/// Every process there is.
pub(crate) fn all() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Those that are never hit: the first process, the kernel's own, the agent and all that it came from.
pub(crate) fn protected() -> BTreeSet<u32> {
    let mut all = BTreeSet::from([0, 1, KERNEL]);
    let mut pid = std::process::id();
    while all.insert(pid) {
        pid = stat(pid).map_or(0, |stat| stat.parent);
    }
    all
}

/// Why a process is not hit, if it is not.
pub(crate) fn why_not(held: &Held, protected: &BTreeSet<u32>) -> Option<&'static str> {
    if held.stat.parent == KERNEL {
        return Some("it is a thread of the kernel");
    }
    protected.contains(&held.pid).then_some("it is the system's first process, the agent, or one that the agent needs")
}

fn root(pid: u32, start_ticks: u64, boot: &str) -> Result<Held, Stop> {
    if !boot.is_empty() && boot != boot_id() {
        return denied(Denied::NotFound, "the machine was restarted since");
    }
    let held = Held::open(pid)?;
    let Some(held) = held.filter(|held| held.stat.start_ticks == start_ticks) else {
        return denied(Denied::NotFound, format!("process {pid} is gone, or is another by now"));
    };
    if let Some(why) = why_not(&held, &protected()) {
        return denied(Denied::Protected, format!("process {pid} is not touched: {why}"));
    }
    Ok(held)
}

/// The root and all that came from it and is still known to: children, and who is in a process group or session that one of them
/// leads, also where its parent has ended. With `freeze` each is stopped as soon as it is found, and it is looked until there are
/// no more.
fn tree(root: Held, whole: bool, freeze: bool, doing: &Doing<'_>) -> Result<Vec<Held>, Stop> {
    if freeze {
        root.signal(Signal::Stop)?;
    }
    let mut held = vec![root];
    if !whole {
        return Ok(held);
    }
    let protected = protected();
    let (begun, time) = (Instant::now(), doing.time(STILL));
    for look in 0.. {
        doing.go_on()?;
        let still = !freeze || stand_still(&held, begun.elapsed() > STILL_IN_KERNEL);
        if !still && begun.elapsed() > time {
            return Err(Stop::Failed(format!("a tree of {} does not stand still", processes(held.len()))));
        }
        let before = held.len();
        for (parent, child) in below(&held.iter().map(|held| held.pid).collect::<Vec<_>>())? {
            // Its number may have gone to another between the two looks.
            let Some(child) = Held::open(child)?.filter(|child| belongs(&child.stat, parent)) else { continue };
            if protected.contains(&child.pid) {
                if child.stat.parent != parent {
                    continue;
                }
                let text = format!("process {} in the tree is the agent, or one that it needs", child.pid);
                return denied(Denied::Protected, text);
            }
            if held.len() >= TREE_MAX {
                return denied(Denied::Busy, format!("the tree has more than {TREE_MAX} processes"));
            }
            if freeze {
                child.signal(Signal::Stop)?;
            }
            held.push(child);
        }
        // Without stopping them, what goes on growing is never known whole.
        if (held.len() == before && still) || (!freeze && look >= LOOKS_MAX) {
            break;
        }
    }
    Ok(held)
}

/// Whether a process is a child of another, or in a group or session that it leads.
fn belongs(stat: &Stat, to: u32) -> bool {
    [stat.parent, stat.group, stat.session].contains(&to)
}

/// Who belongs to those that are held and is not held yet, each with whom it belongs to.
fn below(held: &[u32]) -> io::Result<Vec<(u32, u32)>> {
    let mut of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for pid in all()? {
        if let Some(stat) = stat(pid) {
            for above in [stat.parent, stat.group, stat.session] {
                of.entry(above).or_default().insert(pid);
            }
        }
    }
    let mut ask = held.to_vec();
    let mut known: BTreeSet<u32> = ask.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(above) = ask.pop() {
        for pid in of.remove(&above).unwrap_or_default() {
            if known.insert(pid) {
                ask.push(pid);
                found.push((above, pid));
            }
        }
    }
    Ok(found)
}

/// Whether all stand still. A stop takes hold when a process is next scheduled: one that was told to stop in the middle of a
/// fork still has its child, so that what was looked for before all stood still was looked for too early.
fn stand_still(held: &[Held], in_kernel: bool) -> bool {
    let stands = |state| matches!(state, 'T' | 't' | 'Z' | 'X') || (in_kernel && state == 'D');
    let still = |held: &Held| stat(held.pid).is_none_or(|stat| stands(stat.state));
    let all = held.iter().all(still);
    if !all {
        std::thread::sleep(STILL_PAUSE);
    }
    all
}

/// Lets go what was stopped for a killing that does not take place.
fn frozen(root: Held, whole: bool, doing: &Doing<'_>) -> Result<Vec<Held>, Stop> {
    let (pid, again) = (root.pid, Process::open(root.pid)?);
    tree(root, whole, true, doing).inspect_err(|_| {
        again.signal(Signal::Continue).ok();
        if let Ok(Some(root)) = Held::open(pid)
            && let Ok(tree) = tree(root, whole, false, doing)
        {
            tree.iter().for_each(|held| drop(held.signal(Signal::Continue)));
        }
    })
}

fn wait(held: &[Held], time: Duration) -> Vec<u32> {
    let until = Instant::now() + time;
    let left = |held: &&Held| {
        let time = until.saturating_duration_since(Instant::now());
        !held.process.ended_within(time).unwrap_or(false)
    };
    held.iter().filter(left).map(|held| held.pid).collect()
}

/// Kills a process, with its children if that is wanted.
pub(crate) fn kill(wanted: &Kill, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let found = root(wanted.pid, wanted.start_ticks, &wanted.boot)?;
    if doing.dry {
        let tree = tree(found, wanted.tree, false, doing)?;
        tree.iter()
            .for_each(|held| doing.step("kill", held.name(), format!("started at tick {}", held.stat.start_ticks)));
        return Ok(Done::new(format!("{} would be killed", processes(tree.len()))));
    }
    let mut asked = Vec::new();
    let found = if wanted.gently {
        asked = tree(found, wanted.tree, false, doing)?;
        for held in &asked {
            doing.step("ask", held.name(), "SIGTERM");
            held.signal(Signal::Terminate)?;
        }
        let left = wait(&asked, doing.time(GRACE));
        if left.is_empty() {
            return Ok(Done::new(format!("{} ended as asked", processes(asked.len()))));
        }
        // The rest is killed, with what it has started meanwhile.
        Held::open(wanted.pid)?.filter(|held| held.stat.start_ticks == wanted.start_ticks)
    } else {
        Some(found)
    };
    let mut tree = match found {
        Some(found) => frozen(found, wanted.tree, doing)?,
        None => Vec::new(),
    };
    let known: BTreeSet<u32> = tree.iter().map(|held| held.pid).collect();
    // Those whose parent ended first belong to the tree no more, but they were asked.
    tree.extend(asked.into_iter().filter(|held| !known.contains(&held.pid)));
    let mut hit = 0;
    strike(&tree, &mut hit, doing)?;
    // Whoever was about to be born when the last look was taken is in a group or session of theirs.
    for _ in 0..LOOKS_MAX {
        let late = if wanted.tree { survivors(&tree)? } else { Vec::new() };
        if late.is_empty() {
            break;
        }
        strike(&late, &mut hit, doing)?;
        tree.extend(late);
    }
    let left = wait(&tree, doing.time(DEATH));
    if !left.is_empty() {
        let text =
            format!("{hit} processes were killed, and {} are not gone yet (they wait in the kernel)", left.len());
        return Err(Stop::Failed(text));
    }
    Ok(Done::new(format!("{} killed", was(hit))))
}

/// Kills all of them, and gives them time to end.
fn strike(held: &[Held], hit: &mut usize, doing: &mut Doing<'_>) -> Result<(), Stop> {
    for held in held {
        let name = held.name();
        if held.signal(Signal::Kill)? {
            *hit += 1;
            doing.step("kill", name, format!("started at tick {}", held.stat.start_ticks));
        }
    }
    wait(held, doing.time(DEATH));
    Ok(())
}

/// Who belongs to those that were killed and lives. A number that is another's by now has no survivors: the kernel gives none
/// away that is still a group's or a session's.
fn survivors(killed: &[Held]) -> Result<Vec<Held>, Stop> {
    let protected = protected();
    let same = |held: &&Held| stat(held.pid).is_none_or(|stat| stat.start_ticks == held.stat.start_ticks);
    let ours: Vec<u32> = killed.iter().filter(same).map(|held| held.pid).collect();
    let mut found = Vec::new();
    for (above, pid) in below(&ours)? {
        let lives = |held: &Held| belongs(&held.stat, above) && !matches!(held.stat.state, 'Z' | 'X');
        if !protected.contains(&pid)
            && let Some(held) = Held::open(pid)?.filter(lives)
        {
            found.push(held);
        }
    }
    Ok(found)
}

fn processes(count: usize) -> String {
    if count == 1 { "one process".to_owned() } else { format!("{count} processes") }
}

fn was(count: usize) -> String {
    format!("{} {}", processes(count), if count == 1 { "was" } else { "were" })
}

/// Stops a process where it stands.
pub(crate) fn suspend(wanted: &Suspend, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let found = root(wanted.pid, wanted.start_ticks, &wanted.boot)?;
    let tree = if doing.dry { tree(found, wanted.tree, false, doing)? } else { frozen(found, wanted.tree, doing)? };
    tree.iter().for_each(|held| doing.step("stop", held.name(), "SIGSTOP"));
    if doing.dry {
        return Ok(Done::new(format!("{} would be stopped", processes(tree.len()))));
    }
    let undo =
        Action::Resume(Resume { pid: wanted.pid, start_ticks: wanted.start_ticks, tree: wanted.tree, boot: boot_id() });
    Ok(Done::new(format!("{} stopped", was(tree.len()))).undone_by(undo))
}

/// Lets a process go on.
pub(crate) fn resume(wanted: &Resume, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let found = root(wanted.pid, wanted.start_ticks, &wanted.boot)?;
    let tree = tree(found, wanted.tree, false, doing)?;
    tree.iter().for_each(|held| doing.step("continue", held.name(), "SIGCONT"));
    if doing.dry {
        return Ok(Done::new(format!("{} would go on", processes(tree.len()))));
    }
    // From the leaves on, so that a parent finds its children as it left them.
    for held in tree.iter().rev() {
        held.signal(Signal::Continue)?;
    }
    Ok(Done::new(format!("{} let go on", was(tree.len()))))
}

/// Whether a process runs as a user, in any of the ways in which it can.
pub(crate) fn is_of(pid: u32, uid: u32) -> bool {
    fs::read(format!("/proc/{pid}/status")).is_ok_and(|status| parse_status(&status).uid.contains(&uid))
}

/// Ends all processes of a user: asks first, then kills, until there are no more. How many there were.
pub(crate) fn end_all_of(uid: u32, doing: &mut Doing<'_>) -> Result<usize, Stop> {
    let protected = protected();
    let mut seen = BTreeSet::new();
    for round in 0..LOOKS_MAX {
        doing.go_on()?;
        let mut held = Vec::new();
        for pid in all()?.into_iter().filter(|pid| is_of(*pid, uid)) {
            let Some(one) = Held::open(pid)?.filter(|one| one.stat.state != 'Z' && is_of(one.pid, uid)) else {
                continue;
            };
            let new = seen.insert((pid, one.stat.start_ticks));
            if let Some(why) = why_not(&one, &protected) {
                if new {
                    doing.step("leave", one.name(), why);
                }
            } else {
                if new {
                    doing.step("end", one.name(), "");
                }
                held.push(one);
            }
        }
        if held.is_empty() || doing.dry {
            break;
        }
        let signal = if round == 0 { Signal::Terminate } else { Signal::Kill };
        for one in &held {
            one.signal(signal)?;
        }
        wait(&held, doing.time(if round == 0 { Duration::from_secs(2) } else { DEATH }));
    }
    Ok(seen.len())
}
