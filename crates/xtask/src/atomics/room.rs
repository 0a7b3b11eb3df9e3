//! A throwaway machine: a copy of a Debian root on a file system of its own, and an agent inside. What a test does there
//! ends with it: it has process, network, IPC and host name spaces of its own, may not load modules, set the
//! clock or write kernel settings, and only so many processes and so much memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use guardian_testkit::machine::{MOUNT, propagation};

use super::tests::FOLDER;
use crate::child::Service;
use crate::{machine, say};

/// Programs that tests commonly use, in Debian's packages.
const PACKAGES: &str = "ca-certificates,cron,at,sudo,openssh-client,openssh-server,python3-minimal,perl,curl,wget,\
    netcat-openbsd,socat,iproute2,iptables,nftables,procps,psmisc,rsyslog,auditd,kmod,file,zip,unzip,xxd,tcpdump,net-tools,\
    nmap,openssl,gcc,libc6-dev,make,vim-tiny,libcap2-bin,attr,acl,ncat,git,strace,lsof,util-linux,bsdutils,dnsutils,whois,\
    rsync,cpio,e2fsprogs,ed,iputils-ping,libpam0g-dev,ruby,php-cli,sshpass,tmux,screen,p7zip-full,gpg";
/// Where tests are kept from using up the machine.
const CONTROL_GROUP: &str = "/sys/fs/cgroup/guardian-atomics";
/// What is kept of what a test prints.
const OUTPUT_MAX: u64 = 4_096;
/// How long a test may take, in seconds.
const SECONDS_MAX: u32 = 20;

/// What a test may read of the kernel's settings and not write, since they are everybody's.
const FILE_SYSTEMS: &str = "/proc/sys /proc/sys none bind,ro 0 0\n/dev/null /proc/sysrq-trigger none bind 0 0\n";
const FILE_SYSTEMS_PATH: &str = "/usr/local/share/room.fstab";
/// Goes on in name spaces of its own; `$1` is the shell, `$2` the account. It stands in a file, because the agent reads
/// command lines.
const ENTER_PATH: &str = "/usr/local/sbin/room-enter";
const ENTER: &str = r#"#!/bin/sh
ip link set lo up
mount -a -T /usr/local/share/room.fstab 2>/dev/null || [ ! -e /proc/sysrq-trigger ] || exit 125
cd /tmp
caps=-sys_module,-sys_boot,-sys_time,-sys_rawio,-mac_admin,-mac_override,-bpf
if [ "$2" = root ]; then
  exec env -i HOME=/root USER=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    setpriv --bounding-set $caps --inh-caps $caps "$1"
fi
cd "/home/$2"
exec env -i HOME="/home/$2" USER="$2" PATH=/usr/local/bin:/usr/bin:/bin TERM=dumb \
  setpriv --bounding-set $caps --inh-caps $caps --reuid "$2" --regid "$2" --init-groups "$1"
"#;

/// How a script ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status; 124 where it took too long.
    pub(crate) code: i32,
    /// The first of what it printed.
    pub(crate) output: String,
}

/// The machine. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    holder: Service,
    agent: Option<Service>,
    log: Option<Service>,
}

/// Makes the root that is never written to, once.
pub(crate) fn base(folder: &Path) -> Result<PathBuf> {
    machine::image(folder, PACKAGES, "6G")
}

impl Room {
    /// Opens it over `root`, with the folder of tests in it.
    pub(crate) fn open(work: &Path, root: &Path, tests: &Path) -> Result<Self> {
        fs::create_dir_all(work)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", propagation(), "sh", "-ec", MOUNT, "room"]);
        command.arg(work).arg(root).arg(tests).arg(FOLDER).stdin(Stdio::null());
        let mut holder = Service::start("unshare", &mut command)?;
        for _ in 0..1_200 {
            ensure!(holder.ended()?.is_none(), "the throwaway machine could not be mounted");
            let name = fs::read_to_string(format!("/proc/{}/comm", holder.id())).unwrap_or_default();
            if name.trim() == "sleep" {
                fs::create_dir_all(CONTROL_GROUP).ok();
                for (file, value) in [("pids.max", "400"), ("memory.max", "1G")] {
                    if fs::write(Path::new(CONTROL_GROUP).join(file), value).is_err() {
                        say::hint(&format!("no control group: {file} is not bounded"));
                    }
                }
                let room = Self { holder, agent: None, log: None };
                fs::write(room.path(FILE_SYSTEMS_PATH), FILE_SYSTEMS)?;
                fs::write(room.path(ENTER_PATH), ENTER)?;
                fs::set_permissions(room.path(ENTER_PATH), fs::Permissions::from_mode(0o755))?;
                return Ok(room);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the throwaway machine is not there after a minute");
    }

    /// Where a file of the machine is for us.
    fn path(&self, path: &str) -> String {
        format!("/proc/{}/root{path}", self.holder.id())
    }

    /// A command in the machine, outside what a test has of its own.
    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args(["--target", &target, "--mount", "--root", "--wdns=/", "--"]).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Puts the agent in, enrols and starts it.
    pub(crate) fn start_agent(&mut self, program: &Path, server: &str, token: &str, log: &Path) -> Result<()> {
        fs::copy(program, self.path("/usr/local/bin/guardian-agent"))
            .context("the agent's program is not there: build the workspace first")?;
        self.log = Some(Service::start("rsyslogd", self.inside().args(["rsyslogd", "-n"]).stderr(Stdio::null()))?);
        let enrol = ["guardian-agent", "enroll", "--server", server, "--token", token, "--name", "atomics"];
        let output = self.inside().args(enrol).output()?;
        ensure!(output.status.success(), "the agent is not let in: {}", String::from_utf8_lossy(&output.stderr));
        let file = fs::File::create(log)?;
        let mut run = self.inside();
        run.args(["guardian-agent", "run"]).stdout(file.try_clone()?).stderr(file);
        self.agent = Some(Service::start("guardian-agent", &mut run)?);
        Ok(())
    }

    /// Has a program run that does nothing, and writes a file that nobody reads: both with a word by which they are found again.
    pub(crate) fn mark(&self, word: &str) -> Result<()> {
        self.inside().args(["/bin/true", word]).status()?;
        fs::write(self.path(&format!("/etc/{word}")), "")?;
        Ok(())
    }

    /// Runs a script as a test: by `shell`, as root or as a common account. The script comes by the standard input, so that
    /// no command line holds it as a whole.
    pub(crate) fn run(&self, shell: &str, root: bool, script: &str) -> Result<Ended> {
        let target = self.holder.id().to_string();
        let limit = SECONDS_MAX.to_string();
        let join = format!("echo $$ > {CONTROL_GROUP}/cgroup.procs; exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &join, "join", "timeout", "--kill-after=2", &limit])
            .args(["nsenter", "--target", &target, "--mount", "--root", "--wdns=/", "--", "unshare", "--mount"])
            .args([
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--net",
                "--ipc",
                "--uts",
            ])
            .args([ENTER_PATH, shell, if root { "root" } else { "user" }])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        let text = format!("exec 2>&1\n{script}\n");
        let feed = std::thread::spawn(move || input.write_all(text.as_bytes()).ok());
        let mut said = String::new();
        let mut output = child.stdout.take().context("no output")?;
        let mut first = Vec::new();
        output.by_ref().take(OUTPUT_MAX).read_to_end(&mut first)?;
        std::io::copy(&mut output, &mut std::io::sink())?;
        said.push_str(&String::from_utf8_lossy(&first));
        feed.join().ok();
        let status = child.wait()?;
        Ok(Ended { code: status.code().unwrap_or(-1), output: said })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for service in [&mut self.agent, &mut self.log].into_iter().flatten() {
            service.stop().ok();
        }
        fs::write(Path::new(CONTROL_GROUP).join("cgroup.kill"), "1").ok();
        self.holder.stop().ok();
        std::thread::sleep(Duration::from_millis(200));
        fs::remove_dir(CONTROL_GROUP).ok();
    }
}
