//! Masks for secrets in configuration. A mask is `‹secret 1a2b3c4d›`: part of a keyed hash of what was there, so that the
//! same secret has the same mask on one machine, and nobody who lacks the machine's key can try passwords against it.
//!
//! What looks like a secret is masked. A line too many that cannot be read is better than a password that can.

use std::path::Path;

/// Names of settings whose values are secret, as parts of the name in small letters without `_`, `-` and `.`.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "presharedkey",
    "psk",
    "sharedkey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "accountkey",
    "masterkey",
    "authkey",
    "credential",
    "bindpw",
    "rootpw",
    "userpassword",
    "community",
    "cookie",
    "sessionkey",
    "licensekey",
    "webhook",
    "rndckey",
    "clientsecret",
    "authorization",
    "bearer",
    "keytab",
    "connectionstring",
    "dsn",
    "wpapsk",
    "saslpass",
    "authpass",
    "requirepass",
    "masterauth",
    "enablesecret",
    "authtoken",
    "salt",
    "seed",
    "pin",
];
/// Names that contain one of those and are no secret.
const HARMLESS: &[&str] = &[
    "passwordauthentication",
    "permitemptypasswords",
    "passwordfile",
    "passwdfile",
    "pwdfile",
    "secretfile",
    "tokenfile",
    "pinned",
    "pinning",
    "mapping",
    "spinning",
    "shopping",
    "ping",
    "typing",
    "keepalive",
    "cookiename",
    "seedfile",
    "kbdinteractive",
    "maxauthtries",
    "pinentry",
    "passwordless",
];
/// Whole words in front of a secret, in a line without a sign of assignment.
const WORDS: &[&str] =
    &["password", "passwd", "secret", "psk", "token", "pass", "requirepass", "rootpw", "bindpw", "community"];
/// Beginnings of well-known tokens.
const TOKENS: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "npm_",
    "pypi-",
    "dop_v1_",
    "hf_",
    "SG.",
    "hvs.",
    "AGE-SECRET-KEY-",
];
/// Files that hold nothing but secrets: every value is masked.
const SECRET_FILES: &[&str] = &[
    "/etc/ppp/chap-secrets",
    "/etc/ppp/pap-secrets",
    "/etc/ipsec.secrets",
    "/etc/krb5.keytab",
    "/etc/rndc.key",
    "/etc/bind/rndc.key",
    "/etc/exim4/passwd.client",
    "/etc/chrony/chrony.keys",
    "/etc/chrony.keys",
    "/etc/ntp.keys",
    "/etc/postfix/sasl_passwd",
    "/etc/security/opasswd",
    "/etc/munge/munge.key",
];
/// Names of such files wherever they are.
const SECRET_NAMES: &[&str] = &[
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".smbcredentials",
    "credentials",
    "secrets.yaml",
    "secrets.yml",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "id_dsa",
];
/// Bytes of one line that are looked through.
const LINE_BYTES_MAX: usize = 4_000;
/// Longest base64 or hex run that stands without a mask.
const RUN_MAX: usize = 39;

/// Masks the secrets of one file.
#[derive(Debug)]
pub struct Mask<'a> {
    key: &'a [u8; 32],
    /// Lines of fields between colons, with the place of the secret one.
    fields: Option<usize>,
    /// Whether everything behind the first word of a line is secret.
    all: bool,
}

impl<'a> Mask<'a> {
    /// For a file at this path, with the machine's own key, which must never leave it.
    pub fn new(path: &Path, key: &'a [u8; 32]) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fields =
            matches!(name, "shadow" | "shadow-" | "gshadow" | "gshadow-" | "passwd" | "passwd-" | "group" | "group-")
                .then_some(1);
        let all = SECRET_FILES.iter().any(|file| path.ends_with(file.trim_start_matches('/')))
            || SECRET_NAMES.contains(&name)
            || path.extension().is_some_and(|end| end == "key");
        Self { key, fields, all }
    }

    fn masked(&self, secret: &str) -> String {
        let hash = blake3::keyed_hash(self.key, secret.as_bytes());
        format!("‹secret {}›", &hash.to_hex()[..8])
    }

    /// The lines with their secrets masked. Private keys lose all their lines.
    pub(super) fn lines<'t>(&self, lines: impl Iterator<Item = &'t str>) -> Vec<String> {
        let mut masked = Vec::new();
        // The lines of a private key, once it has begun.
        let mut key: Option<String> = None;
        // A value that goes on: the depth from which on lines belong to it.
        let mut block: Option<usize> = None;
        for line in lines {
            let marks = line.contains("-----");
            if marks && line.contains("-----BEGIN ") && line.contains("PRIVATE KEY") {
                key = Some(String::new());
                // A key on one line, with its line breaks written out.
                let begin = line.find("-----BEGIN ").unwrap_or(0);
                if line[begin + 11..].contains("-----END ") {
                    masked.push(format!("{}{}", &line[..begin], self.masked(&line[begin..])));
                    key = None;
                } else {
                    masked.push(line.to_owned());
                }
                continue;
            }
            if let Some(held) = &mut key {
                if marks && line.contains("-----END ") {
                    masked.push(self.masked(held));
                    masked.push(line.to_owned());
                    key = None;
                } else {
                    held.push_str(line);
                }
                continue;
            }
            let depth = line.len() - line.trim_start().len();
            if let Some(above) = block {
                if depth > above && !line.trim().is_empty() {
                    masked.push(format!("{}{}", &line[..depth], self.masked(line.trim())));
                    continue;
                }
                block = None;
            }
            let told = self.line(line);
            if let Some((name, value)) = assignment(line)
                && is_secret_name(name)
                && matches!(value.trim(), "" | "|" | ">" | "|-" | ">-" | "\\")
            {
                block = Some(depth);
            }
            masked.push(told);
        }
        if let Some(held) = key {
            masked.push(self.masked(&held));
        }
        masked
    }

    /// One line with its secrets masked.
    pub fn line(&self, line: &str) -> String {
        let mut end = line.len().min(LINE_BYTES_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        if end < line.len() {
            // What is too long to be looked through is a secret until the opposite is known.
            return format!("{}{}", self.line(&line[..end]), self.masked(&line[end..]));
        }
        if let Some(secret) = self.fields {
            return self.field(line, secret);
        }
        if self.all {
            let (first, rest) = line.split_once(char::is_whitespace).unwrap_or(("", line));
            let comment = line.trim_start().starts_with('#') && !line.contains(['=', ':']);
            if comment || line.trim().is_empty() || (rest.trim().is_empty() && first.len() < 3) {
                return line.to_owned();
            }
            return if first.is_empty() { self.masked(rest) } else { format!("{first} {}", self.masked(rest)) };
        }
        let line = match assignment(line) {
            Some((name, value)) if is_secret_name(name) && !harmless_value(value) => {
                let end = line.len() - value.len();
                let (space, value, tail) = trimmed(value);
                format!("{}{space}{}{tail}", &line[..end], self.masked(value))
            }
            _ => self.after_words(line),
        };
        self.tokens(&self.hashes(&self.addresses(&line)))
    }

    /// `name:SECRET:...`; what only says that there is none is left.
    fn field(&self, line: &str, secret: usize) -> String {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        if let Some(field) = fields.get_mut(secret)
            && !matches!(field.as_str(), "" | "x" | "*" | "!" | "!!" | "!*")
        {
            // Whether it is locked, and how it was hashed, is no secret.
            let locked = field.len() - field.trim_start_matches('!').len();
            let how = field[locked..].split('$').nth(1).map(|how| format!("${how}$")).unwrap_or_default();
            *field = format!("{}{how}{}", &field[..locked], self.masked(field));
        }
        fields.join(":")
    }

    /// `requirepass SECRET`, `--password SECRET`, `machine x login y password SECRET`.
    fn after_words(&self, line: &str) -> String {
        let mut told = String::with_capacity(line.len());
        let mut secret = false;
        for part in line.split_inclusive(char::is_whitespace) {
            let word = part.trim_end();
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
            if secret && !word.is_empty() {
                let value = word.trim_matches(['"', '\'']);
                // The sign of an assignment between the two.
                if !value.bytes().any(|b| b.is_ascii_alphanumeric()) {
                    told.push_str(part);
                    continue;
                }
                if harmless_value(value) || WORDS.contains(&bare.as_str()) {
                    told.push_str(part);
                } else {
                    told.push_str(&self.masked(value));
                    told.push_str(&part[word.len()..]);
                }
                secret = false;
            } else {
                told.push_str(part);
            }
            // In a sentence they are words like others.
            if !word.is_empty() && !line.trim_start().starts_with('#') {
                secret = WORDS.contains(&bare.as_str()) || (word.starts_with('-') && is_secret_name(&bare));
            }
        }
        told
    }

    /// `scheme://user:SECRET@host`.
    fn addresses(&self, line: &str) -> String {
        let mut told = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find("://") {
            let (before, after) = rest.split_at(at + 3);
            told.push_str(before);
            let end = after
                .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<' | '>' | '?'))
                .unwrap_or(after.len());
            let (authority, tail) = after.split_at(end);
            match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?, host))) {
                Some(((user, secret), host)) if !secret.is_empty() => {
                    told.push_str(&format!("{user}:{}@{host}", self.masked(secret)));
                }
                _ => told.push_str(authority),
            }
            rest = tail;
        }
        told.push_str(rest);
        told
    }

    /// Hashes of passwords (crypt(5), LDAP's `{SSHA}`) wherever they stand.
    fn hashes(&self, line: &str) -> String {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | ',' | ';');
        let mut told = String::with_capacity(line.len());
        let mut rest = line;
        loop {
            let crypt = [
                "$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$argon2", "$apr1$", "{SSHA", "{SHA", "{CRYPT}",
                "{MD5}", "{PBKDF2",
            ];
            // Forward only, so that a line full of signs takes no longer than another.
            let Some(at) = rest.find(['$', '{']) else { break };
            if !crypt.iter().any(|start| rest[at..].starts_with(start)) {
                told.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            }
            told.push_str(&rest[..at]);
            let end = rest[at..].find(is_end).map_or(rest.len(), |end| at + end);
            if end - at > 12 {
                told.push_str(&self.masked(&rest[at..end]));
            } else {
                told.push_str(&rest[at..end]);
            }
            // At least the sign itself is used up.
            let end = end.max(at + 1);
            rest = &rest[end..];
        }
        told.push_str(rest);
        told
    }

    /// Words that begin as well-known tokens do, and long runs of base64 or hex digits that look random.
    fn tokens(&self, line: &str) -> String {
        // Public keys are what one wants to see.
        let public = ["ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-", "ssh-dss ", "sk-ssh-", "sk-ecdsa-"]
            .iter()
            .any(|kind| line.contains(kind));
        if public || line.contains("-----") {
            return line.to_owned();
        }
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-' | '.');
        let mut told = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(start) = rest.find(inside) {
            told.push_str(&rest[..start]);
            let run = &rest[start..];
            let end = run.find(|c| !inside(c)).unwrap_or(run.len());
            let run = &run[..end];
            // `name=TOKEN` is one run.
            let value = run.split_once('=').map(|(_, value)| value).filter(|value| value.len() > 3).unwrap_or(run);
            let known = TOKENS.iter().any(|token| value.starts_with(token)) && value.len() >= 16 && has_digit(value);
            if known || looks_random(value) {
                told.push_str(&run[..run.len() - value.len()]);
                told.push_str(&self.masked(value));
            } else {
                told.push_str(run);
            }
            rest = &rest[start + end..];
        }
        told.push_str(rest);
        told
    }
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// A long run in which letters and digits are mixed, that is no path, name of a host, or version.
fn looks_random(run: &str) -> bool {
    let bare = run.trim_end_matches('=');
    if bare.len() <= RUN_MAX || bare.contains('.') || !has_digit(bare) {
        return false;
    }
    if bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return true;
    }
    // Paths have short parts; base64 has letters of both cases.
    let longest = bare.split(['/', '-', '_']).map(str::len).max().unwrap_or(0);
    let (upper, lower) = (bare.bytes().any(|b| b.is_ascii_uppercase()), bare.bytes().any(|b| b.is_ascii_lowercase()));
    upper && lower && longest >= 16 && !bare.starts_with('/')
}

/// `name = value`, `name: value`, `"name": "value"`, `<name>value</name>`, `export NAME=value`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    if let Some(start) = line.find('<')
        && let Some(end) = line[start..].find('>')
        && let Some(close) = line[start + end..].find("</")
    {
        let name = &line[start + 1..start + end];
        let value_end = start + end + close;
        // The closing tag is part of what is masked: it says nothing.
        return Some((name.split_whitespace().next().unwrap_or(name), &line[start + end + 1..]))
            .filter(|_| value_end > start);
    }
    let at = line.find(['=', ':'])?;
    // `://` is no assignment, but one may come later.
    if line[at..].starts_with("://") {
        return None;
    }
    let name = line[..at].trim_end_matches(['+', '?', ':']).trim();
    let mut value = &line[at + 1..];
    if let Some(rest) = value.strip_prefix('=').or_else(|| value.strip_prefix('>')) {
        value = rest;
    }
    // The last word is the name: `export NAME`, `set name`.
    let name =
        name.split_whitespace().next_back().unwrap_or(name).trim_matches(['"', '\'', '{', '[', ',', '-', '#', ';']);
    Some((name, value))
}

fn is_secret_name(name: &str) -> bool {
    let bare: String =
        name.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    let short = matches!(bare.as_str(), "pass" | "key" | "pw" | "auth" | "pin" | "seed" | "salt");
    let named = NAMES.iter().any(|part| if part.len() <= 4 { bare.ends_with(part) } else { bare.contains(part) });
    (short || named || bare.ends_with("pass")) && !HARMLESS.iter().any(|harmless| bare.contains(harmless))
}

/// Values that say how, not what.
fn harmless_value(value: &str) -> bool {
    let value = value.trim().trim_end_matches([',', ';']).trim_matches(['"', '\'']).trim();
    let word = matches!(
        value.to_ascii_lowercase().as_str(),
        "" | "yes"
            | "no"
            | "true"
            | "false"
            | "none"
            | "null"
            | "on"
            | "off"
            | "required"
            | "requisite"
            | "sufficient"
            | "optional"
            | "include"
            | "|"
            | ">"
            | "|-"
            | ">-"
            | "\\"
            | "{"
            | "["
            | "prompt"
            | "ask"
            | "files"
            | "sss"
    );
    // A reference to where it is.
    word || value.starts_with("${")
        || value.starts_with("$(")
        || value.starts_with("{{")
        || value.starts_with('[')
        || value.starts_with('/') && value.len() < 256
}

/// Space in front, the value without quotes, and what closes it.
fn trimmed(value: &str) -> (&str, &str, &str) {
    let begin = value.len() - value.trim_start().len();
    let end = value.trim_end().len().max(begin);
    let middle = &value[begin..end];
    let bare_end = middle.trim_end_matches([',', ';']).len();
    let bare = &middle[..bare_end];
    let quoted = bare.len() >= 2
        && (bare.starts_with('"') && bare.ends_with('"') || bare.starts_with('\'') && bare.ends_with('\''));
    if quoted {
        return (&value[..=begin], &bare[1..bare.len() - 1], &value[begin + bare_end - 1..]);
    }
    (&value[..begin], bare, &value[begin + bare_end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(path: &str, line: &str) -> String {
        Mask::new(Path::new(path), &[7; 32]).lines(line.lines()).join("\n")
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (path, line) in [
            ("/etc/app.conf", "password = S3CRET-x"),
            ("/etc/app.conf", "db.password=S3CRET-x"),
            ("/etc/app.json", "  \"api_key\": \"S3CRET-x\","),
            ("/etc/app.yml", "client-secret: 'S3CRET-x'"),
            ("/etc/app.yml", "password: |\n  S3CRET-x\n  S3CRET-y"),
            ("/etc/app.xml", "<password>S3CRET-x</password>"),
            ("/etc/default/app", "export AWS_SECRET_ACCESS_KEY=S3CRET-x"),
            ("/etc/default/app", "DATABASE_URL=postgres://app:S3CRET-x@db.example.net:5432/app?sslmode=require"),
            ("/etc/redis.conf", "requirepass S3CRET-x"),
            ("/etc/cron.d/x", "* * * * * root mysqldump --password S3CRET-x db"),
            ("/etc/cron.d/x", "* * * * * root mysqldump --password=S3CRET-x db"),
            ("/etc/wpa_supplicant.conf", "    psk=\"S3CRET-x\""),
            ("/etc/wireguard/wg0.conf", "PrivateKey = S3CRETx8ZmVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWU="),
            ("/etc/snmp/snmpd.conf", "rocommunity: S3CRET-x"),
            ("/etc/shadow", "root:$y$j9T$S3CRETS3CRET$hash:19000:0:99999:7:::"),
            ("/srv/jail/etc/shadow", "root:!$6$S3CRETS3CRET$hash:19000:0:99999:7:::"),
            ("/etc/apache2/users", "jane:$apr1$S3CRET$7Yx8ZmVlZWVlZWVlZWVl"),
            ("/etc/ldap/slapd.conf", "rootpw {SSHA}S3CRETS3CRETS3CRETS3CRET"),
            (concat!("/root", "/.netrc"), "machine example.net login jane password S3CRET-x"),
            ("/etc/ppp/chap-secrets", "jane * S3CRET-x *"),
            ("/etc/app.conf", "Authorization: Bearer S3CRET-x"),
            ("/etc/app.conf", "hook https://example.net ghp_S3CRET0123456789abcdefghij0123456789"),
            ("/etc/app.conf", "value AKIAS3CRET0123456789"),
            ("/etc/app.conf", "blob S3CRET0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"),
            ("/etc/ssl/x.pem", "-----BEGIN PRIVATE KEY-----\nS3CRET\nS3CRET\n-----END PRIVATE KEY-----"),
            ("/etc/app.env", "KEY=\"-----BEGIN RSA PRIVATE KEY-----\\nS3CRET\\n-----END RSA PRIVATE KEY-----\""),
            ("/etc/cut.pem", "-----BEGIN OPENSSH PRIVATE KEY-----\nS3CRET"),
        ] {
            let told = masked(path, line);
            assert!(!told.contains("S3CRET") && told.contains("‹secret "), "{path} {line}: {told}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "password required pam_unix.so sha512 shadow",
            "password\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok",
            "ssl_certificate_key /etc/ssl/private/site.key;",
            "password_file = /etc/app/password",
            "token = ${TOKEN}",
            "server = https://example.net:8443/path",
            "jane ALL=(ALL) NOPASSWD: /usr/bin/systemctl restart app",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0123456789abcdefghijklmnopqrstuvwxyzABCDEF jane@host",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "include /etc/apache2/sites-enabled/some-rather-long-name-of-a-site-2024.conf",
            "kernel.randomize_va_space = 2",
            "-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(masked("/etc/some.conf", line), line);
        }
        assert_eq!(masked("/etc/passwd", "root:x:0:0:root:/root:/bin/bash"), "root:x:0:0:root:/root:/bin/bash");
        assert_eq!(masked("/etc/shadow", "daemon:*:19000:0:99999:7:::"), "daemon:*:19000:0:99999:7:::");
    }

    #[test]
    fn the_same_secret_has_the_same_mask_and_the_key_decides() {
        let line =
            |key: u8, secret: &str| Mask::new(Path::new("/etc/x"), &[key; 32]).line(&format!("password={secret}"));
        assert_eq!(line(1, "a"), line(1, "a"));
        assert_ne!(line(1, "a"), line(1, "b"));
        assert_ne!(line(1, "a"), line(2, "a"));
    }
}
