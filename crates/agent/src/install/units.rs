//! The service, as systemd and OpenRC know it: the agent itself, and what stands (isolation, blocks) before there is a network.

use super::Init;

/// The agent.
pub(super) const SERVICE: &str = "guardian-agent.service";
/// What is done before the network.
pub(super) const EARLY: &str = "guardian-agent-reapply.service";
/// The program that is started, whichever version that is.
const PROGRAM: &str = "/usr/local/lib/guardian-agent/current/guardian-agent";

/// The agent needs the rights of root to see and to act, and the file system as it is: what it watches, takes away and puts back
/// may be anywhere. So it gets no file system of its own (`Protect…`, `Private…`), but no way to load code into the kernel, to
/// touch the clock or the hardware, or to start the machine anew. The bounds of memory and tasks are those of its scripts too,
/// which have a group of their own below them where the system allows it.
const SYSTEMD: &str = "[Unit]
Description=Guardian agent
After=network.target guardian-agent-reapply.service
RequiresMountsFor=@HOME@ /usr/local/lib/guardian-agent
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=@PROGRAM@ --dir @HOME@ run@ARGUMENTS@
Restart=always
RestartSec=5
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_BOOT CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_LEASE
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
KeyringMode=private
OOMScoreAdjust=-250
CPUWeight=20
IOWeight=20
MemoryHigh=512M
MemoryMax=1536M
TasksMax=1024

[Install]
WantedBy=multi-user.target
";

const SYSTEMD_EARLY: &str = "[Unit]
Description=Guardian agent: isolation and blocks before the network
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
After=local-fs.target
RequiresMountsFor=@HOME@ /usr/local/lib/guardian-agent
ConditionPathExists=@HOME@/response/standing.json

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=@PROGRAM@ --dir @HOME@ reapply
TimeoutStartSec=20
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=sysinit.target
";

const OPENRC: &str = "#!/sbin/openrc-run
description=\"Guardian agent\"
supervisor=supervise-daemon
command=@PROGRAM@
command_args=\"--dir @HOME@ run@ARGUMENTS@\"
respawn_delay=5
respawn_max=0
umask=0077

depend() {
  need localmount
  after net guardian-agent-reapply
}
";

const OPENRC_EARLY: &str = "#!/sbin/openrc-run
description=\"Guardian agent: isolation and blocks before the network\"

depend() {
  need localmount
  before net
}

start() {
  [ -e @HOME@/response/standing.json ] || return 0
  ebegin \"Isolation and blocks of the Guardian agent\"
  @PROGRAM@ --dir @HOME@ reapply
  eend $?
}
";

/// The files of the service: path below the root, text and permissions.
pub(super) fn files(init: Init, home: &str, arguments: &str) -> Vec<(&'static str, String, u32)> {
    let arguments = if arguments.is_empty() { String::new() } else { format!(" {arguments}") };
    let fill =
        |text: &str| text.replace("@PROGRAM@", PROGRAM).replace("@HOME@", home).replace("@ARGUMENTS@", &arguments);
    match init {
        Init::Systemd => vec![
            ("etc/systemd/system/guardian-agent.service", fill(SYSTEMD), 0o644),
            ("etc/systemd/system/guardian-agent-reapply.service", fill(SYSTEMD_EARLY), 0o644),
        ],
        Init::OpenRc => vec![
            ("etc/init.d/guardian-agent", fill(OPENRC), 0o755),
            ("etc/init.d/guardian-agent-reapply", fill(OPENRC_EARLY), 0o755),
        ],
        Init::Other => Vec::new(),
    }
}

/// What has to be started by hand where nobody is known who starts services.
pub(super) fn by_hand(home: &str, arguments: &str) -> String {
    let arguments = if arguments.is_empty() { String::new() } else { format!(" {arguments}") };
    format!(
        "neither systemd nor OpenRC is here: have the machine start, as root, before its network \
         `{PROGRAM} --dir {home} reapply`, and then for good `{PROGRAM} --dir {home} run{arguments}`"
    )
}
