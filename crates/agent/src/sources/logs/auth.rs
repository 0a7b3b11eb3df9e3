//! Who got in or did not, from the messages of sshd, sudo, su, login and PAM. Pure; what it remembers is bounded.
//!
//! One attempt is one login event, though several messages tell of it: of those, the program's own counts, and PAM's only
//! for programs that say nothing themselves.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Connections to sshd of which it is remembered that an attempt was told.
const CONNECTIONS_MAX: usize = 1_024;

/// One attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `login`, `logout` or `elevate`.
    pub activity: Cow<'static, str>,
    /// Whether it worked.
    pub success: bool,
    /// The program.
    pub service: String,
    /// Who.
    pub user: String,
    /// Whom they wanted to become.
    pub target_user: Option<String>,
    /// Where from.
    pub address: Option<IpAddr>,
    /// Where from, if only a name is said.
    pub host: Option<String>,
    /// The port there.
    pub port: Option<u16>,
    /// How they proved it.
    pub method: Option<String>,
    /// Why it failed.
    pub reason: Option<Cow<'static, str>>,
    /// The terminal.
    pub terminal: Option<String>,
    /// What was to be run.
    pub command: Option<String>,
    /// Fingerprint of the key.
    pub key: Option<String>,
    /// Whether there is no such user; none where that is not said.
    pub unknown_user: Option<bool>,
    /// How often.
    pub count: u32,
}

impl Login {
    fn new(activity: &'static str, success: bool, service: &str, user: &str) -> Self {
        let (service, user) = (service.to_owned(), user.to_owned());
        Self { activity: activity.into(), success, service, user, count: 1, ..Self::default() }
    }
}

/// Reads messages in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// Connections, by the number of sshd's process, of which a failure was told.
    told: VecDeque<u32>,
}

impl Auth {
    /// Whether it remembers no more than it can.
    pub(super) fn is_bounded(&self) -> bool {
        self.told.len() <= CONNECTIONS_MAX
    }

    /// The attempt that a message tells of.
    pub fn read(&mut self, program: &str, pid: Option<u32>, message: &str) -> Option<Login> {
        if let Some(rest) = message.strip_prefix("message repeated ") {
            let (times, rest) = rest.split_once(" times: [ ")?;
            let inner = rest.strip_suffix(']').unwrap_or(rest);
            let times = times.parse().ok()?;
            // One within another is nobody's but who wants to lead us into the depth.
            return self.read_one(program, pid, inner).map(|login| Login { count: times, ..login });
        }
        self.read_one(program, pid, message)
    }

    fn read_one(&mut self, program: &str, pid: Option<u32>, message: &str) -> Option<Login> {
        match program {
            "sshd" | "sshd-session" | "sshd-auth" => self.sshd(pid, message),
            "sudo" => sudo(message),
            "su" => su(message),
            "login" => terminal_login(message).or_else(|| pam(program, message, &["session"])),
            "pkexec" => pkexec(message),
            // What runs by a clock or for a session manager is no login.
            "cron" | "CRON" | "crond" | "systemd" | "systemd-user" | "atd" | "runuser" => None,
            _ => pam(program, message, &["auth", "session"]),
        }
    }

    fn sshd(&mut self, pid: Option<u32>, message: &str) -> Option<Login> {
        let connection = pid.unwrap_or(0);
        if let Some(rest) = message.strip_prefix("Accepted ") {
            let (method, rest) = rest.split_once(" for ")?;
            let mut login = from(rest, "login", true)?;
            login.method = Some(method.to_owned());
            login.key = rest.split_once(" ssh2: ").map(|(_, key)| key.to_owned());
            login.unknown_user = Some(false);
            return Some(login);
        }
        if let Some(rest) = message.strip_prefix("Failed ") {
            let (method, rest) = rest.split_once(" for ")?;
            // A client asks with `none` what else it may try.
            if method == "none" {
                return None;
            }
            let known = rest.strip_prefix("invalid user ");
            let mut login = from(known.unwrap_or(rest), "login", false)?;
            login.method = Some(method.to_owned());
            login.unknown_user = Some(known.is_some());
            login.reason = Some(if known.is_some() { "unknown_user" } else { "wrong_proof" }.into());
            self.note(connection);
            return Some(login);
        }
        if let Some(rest) = message.strip_prefix("pam_unix(sshd:session): session closed for user ") {
            return Some(Login::new("logout", true, "sshd", rest.split(' ').next()?));
        }
        // Somebody who never came so far as to be refused.
        let left = ["Connection closed by ", "Connection reset by ", "Disconnected from "]
            .iter()
            .find_map(|start| message.strip_prefix(start))?;
        let unknown = left.strip_prefix("invalid user ");
        let rest = unknown.or_else(|| left.strip_prefix("authenticating user "))?;
        if self.told.contains(&connection) {
            return None;
        }
        let mut words = rest.rsplitn(5, ' ').collect::<Vec<_>>();
        words.reverse();
        // `USER ADDRESS port PORT [preauth]`
        let [user, address, "port", port, _] = words[..] else { return None };
        let mut login = Login::new("login", false, "sshd", user);
        place(&mut login, address, Some(port));
        login.unknown_user = Some(unknown.is_some());
        login.reason = Some(if unknown.is_some() { "unknown_user" } else { "gave_up" }.into());
        Some(login)
    }

    fn note(&mut self, connection: u32) {
        if self.told.contains(&connection) {
            return;
        }
        if self.told.len() >= CONNECTIONS_MAX {
            self.told.pop_front();
        }
        self.told.push_back(connection);
    }
}

fn place(login: &mut Login, address: &str, port: Option<&str>) {
    match address.parse() {
        Ok(ip) => login.address = Some(ip),
        Err(_) => login.host = Some(address.to_owned()).filter(|h| !h.is_empty() && h != "UNKNOWN"),
    }
    login.port = port.and_then(|p| p.parse().ok());
}

/// `USER from ADDRESS port PORT …`; a user's name may hold blanks, even ` from `, so that the last one counts.
fn from(text: &str, activity: &'static str, success: bool) -> Option<Login> {
    let text = text.split_once(" ssh2").map_or(text, |(before, _)| before);
    let (user, place_text) = text.rsplit_once(" from ")?;
    let (address, port) = place_text.split_once(" port ").map_or((place_text, None), |(a, p)| (a, Some(p)));
    let mut login = Login::new(activity, success, "sshd", user);
    place(&mut login, address, port);
    Some(login)
}

/// `USER : [WHY ; ]TTY=… ; PWD=… ; USER=… ; COMMAND=…`
fn sudo(message: &str) -> Option<Login> {
    let (user, rest) = message.trim_start().split_once(" : ")?;
    if user.contains(' ') {
        return None;
    }
    let (rest, command) = rest.split_once("COMMAND=").map_or((rest, None), |(rest, c)| (rest, Some(c)));
    let mut login = Login::new("elevate", true, "sudo", user);
    login.command = command.map(str::to_owned);
    for part in rest.split(" ; ").map(str::trim).filter(|p| !p.is_empty()) {
        let part = part.trim_end_matches(" ;");
        match part.split_once('=') {
            Some(("TTY", terminal)) => login.terminal = Some(terminal.to_owned()).filter(|t| t != "unknown"),
            Some(("USER", target)) => login.target_user = Some(target.to_owned()),
            Some(_) => {}
            None if part.contains("incorrect password attempt") => {
                login.success = false;
                login.reason = Some("wrong_proof".into());
                login.count = part.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(1);
            }
            None if part.contains("password is required") => {
                (login.success, login.reason) = (false, Some("proof_missing".into()));
            }
            None if part.contains("NOT in sudoers")
                || part.contains("not allowed")
                || part.contains("NOT authorized") =>
            {
                (login.success, login.reason) = (false, Some("not_permitted".into()));
            }
            None => {}
        }
    }
    (login.target_user.is_some() || !login.success).then_some(login)
}

/// `(to TARGET) USER on TERMINAL` and `FAILED SU (to TARGET) USER on TERMINAL`.
fn su(message: &str) -> Option<Login> {
    let (success, rest) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (false, rest),
        None => (true, message),
    };
    let (target, rest) = rest.strip_prefix("(to ")?.split_once(") ")?;
    let (user, terminal) = rest.rsplit_once(" on ").map_or((rest, None), |(u, t)| (u, Some(t)));
    let mut login = Login::new("elevate", success, "su", user);
    login.target_user = Some(target.to_owned());
    login.terminal = terminal.map(str::to_owned).filter(|t| t != "none");
    login.reason = (!success).then_some("wrong_proof".into());
    Some(login)
}

/// `FAILED LOGIN (1) on '/dev/pts/6' FOR 'eve', Authentication failure`.
fn terminal_login(message: &str) -> Option<Login> {
    let rest = message.strip_prefix("FAILED LOGIN ")?;
    let terminal = rest.split_once(" on '").and_then(|(_, t)| t.split_once('\'')).map(|(t, _)| t.to_owned());
    let host = rest.split_once(" from '").and_then(|(_, t)| t.split_once('\'')).map(|(h, _)| h);
    let (user, why) = rest.split_once(" FOR '")?.1.split_once('\'')?;
    let mut login = Login::new("login", false, "login", user);
    login.terminal = terminal;
    place(&mut login, host.unwrap_or_default(), None);
    let unknown = why.contains("User not known");
    login.unknown_user = unknown.then_some(true);
    login.reason = Some(if unknown { "unknown_user" } else { "wrong_proof" }.into());
    Some(login)
}

/// `USER: Executing command [USER=root] [TTY=…] [CWD=…] [COMMAND=…]`.
fn pkexec(message: &str) -> Option<Login> {
    let (user, rest) = message.split_once(": ")?;
    let field = |name: &str| {
        rest.split_once(&format!("[{name}=")).and_then(|(_, v)| v.split_once(']')).map(|(v, _)| v.to_owned())
    };
    let success = rest.starts_with("Executing command");
    if !success && !rest.starts_with("Error executing command") {
        return None;
    }
    let mut login = Login::new("elevate", success, "pkexec", user);
    login.target_user = field("USER");
    login.terminal = field("TTY").filter(|t| t != "unknown");
    login.command = field("COMMAND");
    login.reason = (!success).then_some("not_permitted".into());
    Some(login)
}

/// PAM's own words: `pam_unix(SERVICE:auth): authentication failure; …` and `session opened|closed for user U`.
fn pam(program: &str, message: &str, wanted: &[&str]) -> Option<Login> {
    let rest = message.strip_prefix("pam_unix(").or_else(|| message.strip_prefix("pam_sss("))?;
    let (head, rest) = rest.split_once("): ")?;
    let (service, kind) = head.split_once(':')?;
    if !wanted.contains(&kind) || matches!(service, "cron" | "systemd-user" | "runuser" | "runuser-l" | "crond") {
        return None;
    }
    if let Some(fields) = rest.strip_prefix("authentication failure;") {
        let field = |name: &str| fields.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        let user = field("user").filter(|u| !u.is_empty());
        let mut login = Login::new("login", false, program, user.unwrap_or_default());
        login.unknown_user = user.is_none().then_some(true);
        login.reason = Some(if user.is_none() { "unknown_user" } else { "wrong_proof" }.into());
        login.terminal = field("tty").filter(|t| !t.is_empty()).map(str::to_owned);
        place(&mut login, field("rhost").unwrap_or_default(), None);
        return Some(login);
    }
    let (activity, user) =
        match (rest.strip_prefix("session opened for user "), rest.strip_prefix("session closed for user ")) {
            (Some(user), _) => ("login", user),
            (_, Some(user)) => ("logout", user),
            _ => return None,
        };
    let user = user.split([' ', '(']).next()?;
    Some(Login::new(activity, true, program, user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::logs::syslog;

    fn read(file: &str) -> Vec<Login> {
        let mut auth = Auth::default();
        let lines = file.lines().map(|line| syslog::parse(line, 1_795_385_300_000_000, 0));
        lines.filter_map(|line| auth.read(line.program, line.pid, line.message)).collect()
    }

    fn words(logins: &[Login]) -> Vec<String> {
        let word = |l: &Login| {
            let target = l.target_user.as_ref().map_or(String::new(), |t| format!(">{t}"));
            let why = l.reason.as_ref().map_or(String::new(), |r| format!(" {r}"));
            let times = if l.count > 1 { format!(" x{}", l.count) } else { String::new() };
            let mark = if l.success { '+' } else { '-' };
            format!("{mark}{} {} {}{target}{why}{times}", l.activity, l.service, l.user)
        };
        logins.iter().map(word).collect()
    }

    #[test]
    fn recorded_sessions_of_sshd_and_su() {
        let logins = read(include_str!("../../../fixtures/logs/auth.log"));
        assert_eq!(
            words(&logins),
            [
                "-login sshd tester wrong_proof",
                "-login sshd tester wrong_proof",
                "-login sshd tester wrong_proof",
                "-login sshd nobodyhere unknown_user",
                "+login sshd tester",
                "+logout sshd tester",
                "+login sshd tester",
                "+logout sshd tester",
                "+elevate su root>tester",
                "-elevate su tester>root wrong_proof",
                "+elevate su root>root",
                "+elevate su root>tester",
                "+elevate su root>tester",
                "+elevate su root>tester",
                "+elevate su root>nobody",
                "-elevate sudo nobody>root not_permitted",
            ]
        );
        let first = &logins[0];
        assert_eq!((first.address, first.port), (Some("127.0.0.1".parse().unwrap()), Some(47_500)));
        assert_eq!(first.method.as_deref(), Some("password"));
        let key = logins.iter().find_map(|l| l.key.as_deref()).unwrap();
        assert!(key.starts_with("ED25519 SHA256:"), "{key}");
    }

    #[test]
    fn recorded_sessions_of_sudo_and_login() {
        let logins = read(include_str!("../../../fixtures/logs/sudo.log"));
        assert_eq!(
            words(&logins),
            [
                "+elevate sudo tester>root",
                "-elevate sudo tester>root wrong_proof x3",
                "-elevate sudo eve>root not_permitted",
                "-elevate su tester>root wrong_proof",
                "+elevate su tester>eve",
                "+login login eve",
                "-login login eve wrong_proof",
            ]
        );
        assert_eq!(logins[1].command.as_deref(), Some("/usr/bin/cat /etc/shadow"));
        assert_eq!(logins[1].terminal.as_deref(), Some("pts/1"));
    }

    #[test]
    fn messages_that_were_not_recorded() {
        let mut auth = Auth::default();
        let mut one = |program: &str, message: &str| auth.read(program, Some(7), message);
        let repeated =
            one("sshd", "message repeated 2 times: [ Failed password for root from 203.0.113.9 port 4711 ssh2]")
                .unwrap();
        assert_eq!((repeated.count, repeated.user.as_str()), (2, "root"));
        // A name is the attacker's to choose.
        let odd =
            one("sshd", "Failed password for invalid user root from 10.0.0.1 port 1 from 203.0.113.9 port 4711 ssh2")
                .unwrap();
        assert_eq!(odd.address, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(one("sshd", "Failed none for root from 203.0.113.9 port 4711 ssh2"), None);
        assert_eq!(
            one("sshd", "Connection closed by invalid user a 203.0.113.9 port 1 [preauth]"),
            None,
            "told already"
        );
        let gone =
            auth.read("sshd", Some(8), "Connection closed by invalid user admin 203.0.113.9 port 1 [preauth]").unwrap();
        assert_eq!((gone.user.as_str(), gone.unknown_user), ("admin", Some(true)));
        let ftp = Auth::default().read(
            "vsftpd",
            None,
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=ann rhost=203.0.113.9  user=ann",
        );
        assert_eq!(ftp.map(|l| (l.user, l.address)), Some(("ann".into(), "203.0.113.9".parse().ok())));
        for (program, message) in [
            ("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            ("sudo", ""),
            ("su", "(to "),
            ("x", "pam_unix("),
        ] {
            assert_eq!(Auth::default().read(program, None, message), None, "{message}");
        }
    }

    #[test]
    fn nobody_is_led_into_the_depth() {
        let deep = "message repeated 2 times: [ ".repeat(100_000);
        assert_eq!(Auth::default().read("sshd", None, &deep), None);
        let once = "message repeated 2 times: [ Failed password for root from 192.0.2.1 port 1 ssh2]";
        assert_eq!(Auth::default().read("sshd", None, once).map(|login| login.count), Some(2));
    }
}
