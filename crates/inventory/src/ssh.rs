//! What an `ssh` that runs was told to forward, by its arguments (ssh(1)): options up to the host, options behind it, and not
//! what stands in the command that it runs there. And what its configuration (ssh_config(5)) has it forward each time.

use crate::text::{clip, lines};

/// Letters that take a word.
const WITH_WORD: &str = "BbcDEeFIiJLlmOoPpQRSWw";
/// Forwards of one process that are told.
const FORWARDS_MAX: usize = 64;

/// What is forwarded: kind and what it was said to be. Kinds: `ssh_proxy` (`-D`), `ssh_from_here` (`-L`), `ssh_from_there`
/// (`-R`), `ssh_network` (`-w`).
pub fn forwards(arguments: &[String]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut rest = arguments.iter().skip(1);
    let mut has_host = false;
    while let Some(word) = rest.next() {
        if found.len() >= FORWARDS_MAX {
            break;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            // The first word is the host; options may follow it. The next one begins the command.
            if has_host {
                break;
            }
            has_host = true;
            continue;
        };
        if letters == "-" {
            break;
        }
        let Some((at, letter)) = letters.char_indices().find(|(_, letter)| WITH_WORD.contains(*letter)) else {
            continue;
        };
        let value = match &letters[at + letter.len_utf8()..] {
            "" => rest.next().cloned().unwrap_or_default(),
            value => value.to_owned(),
        };
        found.extend(match letter {
            'D' => Some(("ssh_proxy", value)),
            'L' => Some(("ssh_from_here", value)),
            'R' => Some(("ssh_from_there", value)),
            'w' => Some(("ssh_network", value)),
            'o' => option(&value),
            _ => None,
        });
    }
    found
}

/// A forward as a setting says it: `DynamicForward=1080`, `LocalForward 80 host:80` (ssh_config(5)).
fn option(text: &str) -> Option<(&'static str, String)> {
    let (name, value) = text.trim().split_once([' ', '=', '\t'])?;
    let kind = match name.to_ascii_lowercase().as_str() {
        "dynamicforward" => "ssh_proxy",
        "localforward" => "ssh_from_here",
        "remoteforward" => "ssh_from_there",
        "tunneldevice" => "ssh_network",
        _ => return None,
    };
    Some((kind, value.trim_matches([' ', '=', '\t', '"']).to_owned()))
}

/// A forward in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// As of [`forwards`].
    pub kind: &'static str,
    /// What is forwarded.
    pub what: String,
    /// The hosts for which it is: patterns behind `Host`, or what stands behind `Match`; `*` for all.
    pub hosts: String,
}

/// What a configuration has forwarded: `LocalForward`, `RemoteForward`, `DynamicForward`, and `TunnelDevice` where `Tunnel` is
/// switched on for the same hosts.
pub fn configured(file: &[u8]) -> Vec<Configured> {
    let mut found = Vec::new();
    let mut block = Block::default();
    for (_, line) in lines(file) {
        let line = line.trim();
        let Some((name, value)) = line.split_once([' ', '=', '\t']).filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let value = value.trim_matches([' ', '=', '\t', '"']);
        match name.to_ascii_lowercase().as_str() {
            "host" => block.end(&mut found, value),
            "match" => block.end(&mut found, &format!("match {value}")),
            "tunnel" => block.tunnel = !value.eq_ignore_ascii_case("no"),
            _ => match option(line) {
                Some(("ssh_network", device)) => block.device = clip(&device),
                Some((kind, what)) if found.len() < FORWARDS_MAX => {
                    found.push(Configured { kind, what: clip(&what), hosts: block.hosts() });
                }
                _ => {}
            },
        }
    }
    block.end(&mut found, "");
    found
}

/// The part of a configuration that is for the same hosts.
#[derive(Debug, Default)]
struct Block {
    hosts: String,
    tunnel: bool,
    device: String,
}

impl Block {
    fn hosts(&self) -> String {
        if self.hosts.is_empty() { "*".to_owned() } else { self.hosts.clone() }
    }

    fn end(&mut self, found: &mut Vec<Configured>, next: &str) {
        if self.tunnel && found.len() < FORWARDS_MAX {
            let what = if self.device.is_empty() { "any:any".to_owned() } else { self.device.clone() };
            found.push(Configured { kind: "ssh_network", what, hosts: self.hosts() });
        }
        *self = Self { hosts: clip(next), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::{Configured, configured, forwards};

    fn of(line: &str) -> Vec<(&'static str, String)> {
        forwards(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn forwards_are_told_from_other_words() {
        let one = |kind, what: &str| vec![(kind, what.to_owned())];
        assert_eq!(of("ssh -fND 1080 host"), one("ssh_proxy", "1080"));
        assert_eq!(of("/usr/bin/ssh -D1080 -p 22 host"), one("ssh_proxy", "1080"));
        assert_eq!(of("ssh host -L 80:a:80"), one("ssh_from_here", "80:a:80"));
        assert_eq!(of("ssh -oDynamicForward=1080 host"), one("ssh_proxy", "1080"));
        assert_eq!(of("ssh -o RemoteForward=22 host"), one("ssh_from_there", "22"));
        assert_eq!(of("ssh -w 0:1 root@host"), one("ssh_network", "0:1"));
        assert_eq!(of("ssh -i -L host"), [], "a key may be called anything");
        assert_eq!(of("ssh host ls -R /"), [], "that is the command's");
        assert_eq!(of("ssh -oLogLevel=ERROR host"), []);
        assert_eq!(of("ssh -- host -D 1"), []);
        assert_eq!(of("ssh -D"), one("ssh_proxy", ""));
        assert_eq!(of("ssh"), []);
        assert_eq!(of("ssh -R 1:a:1 -R 2:b:2 host").len(), 2);
    }

    #[test]
    fn configured_forwards_are_of_their_hosts() {
        let file = b"# LocalForward 1 a:1\nDynamicForward 1080\nHost db *.example\n  LocalForward 5432 127.0.0.1:5432\n\
            \tremoteforward=2222 localhost:22\n  TunnelDevice 0:1\nHost vpn\n Tunnel point-to-point\n TunnelDevice 3:any\n\
            Match user root\n Tunnel yes\nHost *\n Tunnel no\n ForwardAgent yes\n";
        let of = |kind, what: &str, hosts: &str| Configured { kind, what: what.to_owned(), hosts: hosts.to_owned() };
        let expected = [
            of("ssh_proxy", "1080", "*"),
            of("ssh_from_here", "5432 127.0.0.1:5432", "db *.example"),
            of("ssh_from_there", "2222 localhost:22", "db *.example"),
            of("ssh_network", "3:any", "vpn"),
            of("ssh_network", "any:any", "match user root"),
        ];
        assert_eq!(configured(file), expected);
        assert!(configured(&b"LocalForward 1 a:1\n".repeat(10_000)).len() <= super::FORWARDS_MAX);
    }

    #[test]
    fn any_words_are_borne() {
        for line in ["", "-", "ssh - -- -", "ssh -ö D", "ssh -Dä", "ssh -o", "ssh -o =", "ssh -o x"] {
            assert!(of(line).len() < 3, "{line}");
        }
    }
}
