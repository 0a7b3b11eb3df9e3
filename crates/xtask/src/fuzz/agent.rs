//! What the targets of the agent start from: configuration of a machine, statements, messages of the kernel and of a child
//! that reads apart, answers of a server, policies, and baselines of other checkers.

/// Configuration, each with the number of its place in `fuzz/fuzz_targets/lists.rs`.
const CONFIGURATION: &[(u8, &str)] = &[
    (0, "root:x:0:0:root:/root:/bin/bash\nann::1000:1000:Ann,,,:/home/ann:/bin/sh\n"),
    (1, "root:$y$j9T$x$y:19700:0:99999:7:::\nann:!:19700:0:99999:7::20000:\n"),
    (2, "root:x:0:\nsudo:x:27:ann,bob\n"),
    (
        3,
        "from=\"10.0.0.0/8\",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4Bs0QMaqPWGXYwDYvzMZKuiS/5Lnbq2jWnM6zJrEDx a@b\n",
    ),
    (4, "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/keys/%u none\n"),
    (
        5,
        "Defaults env_reset\nUser_Alias A = ann, %web\nA ALL=(root) NOPASSWD: /usr/bin/id, !/bin/sh\n@includedir /etc/sudoers.d\n",
    ),
    (6, "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n@reboot root /x\n"),
    (
        7,
        "[Unit]\nDescription=Web\n[Service]\nExecStart=-/usr/sbin/web \\\n  --on\nUser=www\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        8,
        "[Interface]\nPrivateKey = c2VjcmV0\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = cGVlcg==\nEndpoint = 203.0.113.7:51820\nAllowedIPs = 0.0.0.0/0\n",
    ),
    (9, "client\ndev tun\nremote 203.0.113.9 1194 udp\ncipher AES-256-GCM\n<key>\nx\n</key>\n"),
    (10, "conn office\n  left=%any\n  right=203.0.113.9\n  auto=start\n"),
    (11, "connections {\n office {\n  remote_addrs = 203.0.113.9\n }\n}\n"),
    (
        12,
        r#"{"Name": "/db", "Config": {"Image": "postgres:17"}, "State": {"Running": true}, "MountPoints": {"/host": {"Source": "/"}}}"#,
    ),
    (13, r#"{"Privileged": true, "NetworkMode": "host", "PidMode": "host", "CapAdd": ["SYS_ADMIN"]}"#),
    (
        14,
        r#"[{"id": "a", "names": ["web"], "image": "b", "metadata": "{\"image-name\": \"nginx\"}", "created": "2026-01-02"}]"#,
    ),
    (15, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
];
/// Statements over the tables of live queries.
const STATEMENTS: &[&str] = &[
    "SELECT pid, name, path FROM processes WHERE uid = 0 ORDER BY name LIMIT 5",
    "SELECT u.username, count(*) FROM users u JOIN processes p USING (uid) GROUP BY 1 HAVING count(*) > 1",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 9) SELECT x, hex(randomblob(3)) FROM n",
    "SELECT key, value FROM process_envs WHERE pid = 1 AND key LIKE 'P%'",
    "SELECT substr(name, 1, 3) || char(0x41), CAST(uid AS REAL) FROM os_version, uptime, users",
    "SELECT * FROM mounts EXCEPT SELECT * FROM mounts",
    "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]'), x'00ff', NULL IS NOT NULL, 9223372036854775807 + 1",
    "SELECT printf('%.20c', 'x'), replace(version, '.', '-') FROM kernel_info; DROP TABLE users",
    "ATTACH '/etc/passwd' AS x",
];
/// Paths that a child asks for, rightly and not, each with the number of its task in `fuzz/fuzz_targets/apart.rs`.
const ASKED: &[(u8, &str)] = &[
    (0, "/var/lib/dpkg/status"),
    (2, "/var/lib/dpkg/../../../etc/shadow"),
    (3, "/home/ann/node_modules/package.json"),
    (4, "/etc/ssl/private/web.key"),
    (8, "/etc/crontab"),
    (9, "/etc/shadow"),
    (11, "/srv/secret.txt"),
    (11, "/home/ann/.ssh/authorized_keys2"),
    (12, "/proc/1/cmdline"),
];
/// What answers an enrolment.
const ANSWERS: &[&str] = &[
    "HTTP/1.1 201 Created\r\nContent-Length: 68\r\n\r\n{\"id\": \"a\", \"certificate\": \"b\", \"authority\": \"c\", \"not_after\": \"d\"}",
    "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\n\r\n{\"title\": \"no\", \"detail\": \"the token is used up\"}",
    "HTTP/1.1 201 Created\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "HTTP/1.0 302 Found\r\nLocation: https://192.0.2.1/\r\n\r\n",
    r#"{"id": "a", "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "authority": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "not_after": "2027-01-01T00:00:00Z"}"#,
    "gde_aaaaaaaaaaaaaaaa.sssssssssssssssssssssssssssssssssssssssssss.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
];
/// Policies, whole and with what an agent does not know.
const POLICIES: &[&str] = &[
    r#"{"intervals": {"heartbeat_s": 30, "health_s": 60, "connections_s": 5}, "sources": {"files": false, "logs": true}}"#,
    r#"{"files": {"sets": {"pages": {"roots": ["/srv/www"], "rules": [{"path": "/srv/www/log", "watch": ["mode", "growing"]}]}}, "scan_mib_per_s": 8}}"#,
    r#"{"files": {"windows": {"night": {"days": ["mon", "tue"], "start": "02:00", "minutes": 90}}}}"#,
    r#"{"logs": {"follow": {"app": {"path": "/var/log/app.log", "form": "syslog"}}}, "spool": {"mib_max": 64, "drop": "newest"}}"#,
    r#"{"queries": {"root_programs": {"sql": "SELECT path FROM suid_bin", "every_s": 3600}}}"#,
    r#"{"limits": {"memory_mib": 512, "cpu_percent": 100, "io_mib_per_s": 0}}"#,
    r#"{"dreams": {}, "spool": {"mib_max": 64, "color": "red"}}"#,
];
/// What other checkers of files say.
const BASELINES: &[&str] = &[
    "@@begin_db\n@@db_spec name lname perm uid gid size mtime sha256\n/srv/a 0 100644 0 0 3 MTc5NTM4MzM2OQ== mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q=\n@@end_db\n",
    "@@begin_db\n@@db_spec name perm attr\n/srv/sp%20ace%2541 40755 111671250941\n",
    "AIDE found differences between database and filesystem!!\n\n---\nAdded entries:\n---\n\nf+++++++++++++++++: /srv/new\n",
    "---------------------------------------------------\nChanged entries:\n---------------------------------------------------\n\nf = .... : /etc/a\n",
    "Open Source Tripwire(R) 2.4.3.7 Database\n\n# Section: Unix File System\n\n /srv/a\n     -rw-r--r--  root (0)             8          Sun Nov 22 21:57:14 2026\n",
    "/srv/a: b.exe: Win.Test.EICAR_HDB-1 FOUND\n/srv/b: OK\n",
];
/// Types of messages of the process connector, with their words.
const EVENTS: &[(u32, [u32; 4])] = &[
    (1, [10, 10, 11, 11]),
    (2, [11, 11, 0, 0]),
    (4, [11, 11, 33, 0]),
    (0x100, [11, 11, 10, 10]),
    (0x4000_0000, [11, 11, 0, 0]),
    (0x8000_0000, [11, 11, 256, 17]),
];

/// Seeds: target, name, and the bytes.
pub(super) fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut put = |target: &'static str, bytes: Vec<u8>| all.push((target, format!("made-{}", all.len()), bytes));
    for (place, text) in CONFIGURATION {
        put("lists", [&[*place], text.as_bytes()].concat());
    }
    for (target, texts) in [("queries", STATEMENTS), ("enrol", ANSWERS), ("policy", POLICIES), ("baselines", BASELINES)]
    {
        texts.iter().for_each(|text| put(target, text.as_bytes().to_vec()));
    }
    for (task, path) in ASKED {
        // The words «open», «entries» and «resolve» as the agent writes them, each behind its length.
        let words = (1..=3_u8).map(|word| {
            let word = [&[word, path.len() as u8], path.as_bytes()].concat();
            [&[word.len() as u8], &word[..]].concat()
        });
        put("apart", [vec![*task], words.flatten().collect()].concat());
    }
    put("kernel", [vec![0], types()].concat());
    for (kind, words) in EVENTS {
        put("kernel", [vec![1], event(*kind, words)].concat());
    }
    put("kernel", [vec![2], socket()].concat());
    put("kernel", [vec![3], (0..400_u32).map(|at| (at % 61) as u8).collect()].concat());
    all
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Type information with `struct task { int pid; struct { long mm; }; }` (BPF Type Format).
fn types() -> Vec<u8> {
    let strings = b"\0task\0pid\0mm\0";
    let structure = 4 << 24;
    let types = [
        words(&[0, 1 << 24, 4, 32]),
        words(&[0, 1 << 24, 8, 64]),
        words(&[0, structure | 1, 8, 10, 2, 0]),
        words(&[1, structure | 2, 16, 6, 1, 0, 0, 3, 64]),
    ]
    .concat();
    let length = types.len() as u32;
    let head = words(&[24, 0, length, length, strings.len() as u32]);
    [&0xeb9f_u16.to_ne_bytes()[..], &[1, 0], &head, &types, strings].concat()
}

/// A message of the process connector (`linux/cn_proc.h`).
fn event(kind: u32, fields: &[u32]) -> Vec<u8> {
    let head = words(&[76, 3, 0, 0, 1, 1, 7, 0, 40, kind, 1, 4_711, 0]);
    let mut message = [head, words(fields)].concat();
    message.resize(76, 0);
    message
}

/// An answer about a socket of TCP (`linux/inet_diag.h`).
fn socket() -> Vec<u8> {
    let mut body = vec![0; 72];
    body[..8].copy_from_slice(&[2, 1, 0, 0, 0xc3, 0x50, 0x01, 0xbb]);
    let attributes = [&[8, 0, 10, 0, 6, 0, 0, 0][..], &[12, 0, 2, 0], &[1; 8]].concat();
    let length = (16 + body.len() + attributes.len()) as u32;
    [words(&[length, 20, 0, 0]), body, attributes].concat()
}
