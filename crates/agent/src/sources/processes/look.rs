//! One look at a process in `/proc`.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::process;
use guardian_sys::netlink::ticks_per_second;

use super::audit::Executed;
use super::probe::Noted;
use crate::sources::connections::By;

/// Bytes of arguments that are kept.
const COMMAND_BYTES_MAX: usize = 8 << 10;
/// Bytes of any other file of `/proc/PID` that are read.
const BYTES_MAX: u64 = 16 << 10;
/// Bytes of the environment that are read.
const ENVIRONMENT_BYTES_MAX: u64 = 64 << 10;
/// Letters of the name that the kernel gives a process.
const NAME_MAX: usize = 15;
/// What stands for nobody.
const UNSET: u32 = u32::MAX;

/// What a standard stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A terminal.
    Terminal,
    /// A file.
    File,
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// Nothing in, nothing out.
    Null,
    /// It is not open.
    Closed,
}

impl Stream {
    /// Its name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Null => "null",
            Self::Closed => "closed",
        }
    }

    fn of(folder: &Path, number: u32) -> Self {
        let Ok(link) = fs::read_link(folder.join(format!("fd/{number}"))) else { return Self::Closed };
        match link.to_string_lossy() {
            l if l.starts_with("socket:") => Self::Socket,
            l if l.starts_with("pipe:") => Self::Pipe,
            l if l.starts_with("/dev/pts/") || l.starts_with("/dev/tty") || l == "/dev/console" => Self::Terminal,
            l if l == "/dev/null" => Self::Null,
            _ => Self::File,
        }
    }
}

/// What is known of a process beside its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When it began, in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// Its parent.
    pub parent: u32,
    /// Its name for itself.
    pub name: String,
    /// Its program.
    pub image: Option<String>,
    /// Its arguments, with blanks between them.
    pub command: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// Its user.
    pub uid: Option<u32>,
    /// The user whose rights it has.
    pub euid: Option<u32>,
    /// Who signed in.
    pub login_uid: Option<u32>,
    /// The login session.
    pub session: Option<u32>,
    /// Its terminal.
    pub terminal: Option<String>,
    /// Its control group.
    pub cgroup: Option<String>,
    /// Its container.
    pub container: Option<String>,
    /// Its effective capabilities.
    pub capabilities: Option<u64>,
    /// Its standard input and output.
    pub streams: Option<(Stream, Stream)>,
    /// What its environment has loaded first.
    pub preload: Option<String>,
    /// SHA-256 of its program.
    pub sha256: Option<String>,
}

impl Known {
    /// Roughly how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts =
            [&self.image, &self.command, &self.cwd, &self.terminal, &self.cgroup, &self.container, &self.preload];
        size_of::<Self>() + self.name.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// The systemd unit, from the control group.
    pub fn unit(&self) -> Option<&str> {
        let parts = self.cgroup.as_deref()?.rsplit('/');
        parts.into_iter().find(|part| part.ends_with(".service") || part.ends_with(".scope"))
    }
}

impl Known {
    /// The arguments that the kernel noted.
    pub fn command_of(noted: &Noted) -> Option<String> {
        join(&process::parse_cmdline(&noted.arguments))
    }

    /// What the kernel noted of a process that connects or listens.
    pub fn of_connecting(by: &By) -> Self {
        Self {
            start_ticks: Some(ticks(by.start_ns)),
            name: by.name.clone(),
            command: join(&process::parse_cmdline(&by.arguments)),
            uid: Some(by.uid),
            login_uid: Some(by.login_uid).filter(|n| *n != UNSET),
            ..Self::default()
        }
    }

    /// What audit says of a process that became another program, over what is known of it.
    pub fn told(self, record: &Executed) -> Self {
        Self {
            parent: if record.parent == 0 { self.parent } else { record.parent },
            name: if record.name.is_empty() { self.name } else { record.name.clone() },
            image: record.image.clone().or(self.image),
            command: join(&process::parse_cmdline(&record.arguments)).or(self.command),
            cwd: record.cwd.clone().or(self.cwd),
            uid: record.uid.or(self.uid),
            euid: record.euid.or(self.euid),
            login_uid: record.login_uid.or(self.login_uid),
            session: record.session.or(self.session),
            terminal: record.terminal.clone().or(self.terminal),
            ..self
        }
    }

    /// What the kernel noted of a process that is gone, over what is known of it from before.
    pub fn with(self, noted: &Noted) -> Self {
        let set = |number: u32| Some(number).filter(|n| *n != UNSET);
        let image = Some(noted.image.clone()).filter(|path| path.starts_with('/'));
        Self {
            start_ticks: Some(ticks(noted.start_ns)),
            parent: noted.parent,
            name: noted.image.rsplit('/').next().unwrap_or_default().chars().take(NAME_MAX).collect(),
            image,
            command: Self::command_of(noted),
            uid: Some(noted.uid),
            euid: Some(noted.euid),
            login_uid: set(noted.login_uid),
            session: set(noted.session),
            capabilities: Some(noted.capabilities),
            ..self
        }
    }
}

fn ticks(start_ns: u64) -> u64 {
    start_ns / (1_000_000_000 / ticks_per_second())
}

fn read(folder: &Path, name: &str, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(folder.join(name));
    // A process that ends meanwhile leaves what was read so far.
    file.and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_or_else(|_| Vec::new(), |_| bytes)
}

fn number(bytes: &[u8]) -> Option<u32> {
    str::from_utf8(bytes).ok()?.trim().parse().ok().filter(|n| *n != UNSET)
}

fn lossy(link: PathBuf) -> String {
    String::from_utf8_lossy(&OsString::from(link).into_vec()).into_owned()
}

/// What `/proc` says of a process; none where it is gone.
pub fn look(pid: u32) -> Option<Known> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    // What goes away first when a process ends comes first: its memory, with program and arguments.
    let image = fs::read_link(folder.join("exe")).ok().map(lossy);
    let command = join(&process::parse_cmdline(&read(&folder, "cmdline", BYTES_MAX)));
    let streams = image.as_ref().map(|_| (Stream::of(&folder, 0), Stream::of(&folder, 1)));
    let preload = image.as_ref().and_then(|_| preload(&read(&folder, "environ", ENVIRONMENT_BYTES_MAX)));
    let stat = process::parse_stat(&read(&folder, "stat", BYTES_MAX)).ok()?;
    // A dead process that nobody has asked about yet still has its numbers, but no program any more; a kernel thread
    // never had one.
    if image.is_none() && command.is_none() && stat.state == 'Z' {
        return None;
    }
    let status = process::parse_status(&read(&folder, "status", BYTES_MAX));
    let cgroup = read(&folder, "cgroup", BYTES_MAX);
    Some(Known {
        start_ticks: Some(stat.start_ticks),
        parent: stat.parent,
        name: stat.name,
        image,
        command,
        cwd: fs::read_link(folder.join("cwd")).ok().map(lossy),
        uid: Some(status.uid[0]),
        euid: Some(status.uid[1]),
        login_uid: number(&read(&folder, "loginuid", BYTES_MAX)),
        session: number(&read(&folder, "sessionid", BYTES_MAX)),
        terminal: terminal(stat.terminal),
        container: process::container(&cgroup),
        cgroup: group(&cgroup),
        capabilities: Some(status.capabilities),
        streams,
        preload,
        sha256: None,
    })
}

/// Arguments in one text, cut at its bound; those with blanks or nothing in them are quoted.
fn join(arguments: &[String]) -> Option<String> {
    if arguments.is_empty() {
        return None;
    }
    let mut text = String::new();
    for argument in arguments {
        if !text.is_empty() {
            text.push(' ');
        }
        if argument.is_empty() || argument.contains(' ') {
            text.extend(["'", argument, "'"]);
        } else {
            text.push_str(argument);
        }
        if text.len() > COMMAND_BYTES_MAX {
            let end = (0..=COMMAND_BYTES_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            text.truncate(end);
            break;
        }
    }
    Some(text)
}

fn preload(environment: &[u8]) -> Option<String> {
    let value = environment.split(|b| *b == 0).find_map(|pair| pair.strip_prefix(b"LD_PRELOAD="))?;
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

/// The control group of the unified hierarchy, else of systemd's own.
fn group(cgroup: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cgroup);
    let path = |start: &str| text.lines().find_map(|l| l.split_once(start).map(|(_, path)| path.to_owned()));
    path("0::").or_else(|| path("name=systemd:")).filter(|path| path != "/")
}

/// The name of a terminal from its device number (`devices.txt` of the kernel).
fn terminal(device: i32) -> Option<String> {
    let device = device.cast_unsigned();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        0 => None,
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        _ => Some(format!("{major}:{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_names() {
        for (device, name) in [(0, None), (34_816 + 5, Some("pts/5")), (1_025, Some("tty1")), (1_088, Some("ttyS0"))] {
            assert_eq!(terminal(device).as_deref(), name, "{device}");
        }
    }

    #[test]
    fn control_groups_name_units() {
        let known = |text: &[u8]| Known { cgroup: group(text), ..Known::default() };
        assert_eq!(known(b"0::/system.slice/ssh.service\n").unit(), Some("ssh.service"));
        let session = b"0::/user.slice/user-1000.slice/session-3.scope\n";
        assert_eq!(known(session).unit(), Some("session-3.scope"));
        let old = b"12:pids:/x\n1:name=systemd:/system.slice/cron.service\n";
        assert_eq!(known(old).unit(), Some("cron.service"));
        assert_eq!(known(b"0::/\n").cgroup, None);
    }

    #[test]
    fn arguments_are_bounded_and_preloads_found() {
        assert_eq!(join(&["sh".into(), "-c".into(), "id; ls".into()]).unwrap(), "sh -c 'id; ls'");
        assert!(join(&vec!["ä".repeat(1_000); 100]).unwrap().len() <= COMMAND_BYTES_MAX);
        assert_eq!(preload(b"A=1\0LD_PRELOAD=/tmp/x.so\0").as_deref(), Some("/tmp/x.so"));
        assert_eq!(preload(b"A=1\0XLD_PRELOAD=/tmp/x.so\0LD_PRELOAD=\0"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let known = look(std::process::id()).unwrap();
        assert!(known.image.unwrap().contains("guardian_agent"));
        assert!(known.start_ticks.is_some() && known.uid.is_some() && known.streams.is_some());
        assert!(look(u32::MAX - 1).is_none());
    }
}
