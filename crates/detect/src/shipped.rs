//! The rules that ship: everything under `rules/`, embedded, in an explicit order. A test compares the list with the
//! folder. Must never read files.

use std::sync::Arc;

use guardian_rules::{Document, parse};

/// One rule folder that ships.
#[derive(Clone, Copy, Debug)]
pub struct ShippedRule {
    /// Folder below `rules/`.
    pub path: &'static str,
    /// Text of its `rule.yml`.
    pub text: &'static str,
    /// Flows that it finds.
    pub positive: &'static str,
    /// Flows that it leaves alone.
    pub negative: &'static str,
}

macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        /// Every rule that ships.
        pub const ALL: &[ShippedRule] = &[$(ShippedRule {
            path: $path,
            text: include_str!(concat!("../../../rules/", $path, "/rule.yml")),
            positive: include_str!(concat!("../../../rules/", $path, "/fixtures/positive.yml")),
            negative: include_str!(concat!("../../../rules/", $path, "/fixtures/negative.yml")),
        }),*];
    };
}

shipped![
    "host/account-command",
    "host/account-opened",
    "host/attack-tool",
    "host/baseline-replaced",
    "host/busybox-shell",
    "host/capability-given",
    "host/certificate-expires",
    "host/clock-set",
    "host/cloud-metadata-asked",
    "host/cron-persistence",
    "host/decoded-and-run",
    "host/decoded-into-shell",
    "host/disguised-program",
    "host/downloaded-and-run",
    "host/file-server-improvised",
    "host/files-encrypted",
    "host/host-offline",
    "host/immutable-flag-removed",
    "host/kernel-module-audit",
    "host/kernel-module-command",
    "host/keystrokes-recorded",
    "host/known-exploited",
    "host/ld-preload-file",
    "host/ld-preload-process",
    "host/log-cut",
    "host/log-deleted",
    "host/log-tampering",
    "host/logging-changed",
    "host/magic-key-asked",
    "host/masquerading-name",
    "host/mass-deletion",
    "host/memfd-exec",
    "host/obfuscated-command",
    "host/packets-captured",
    "host/pam-changed",
    "host/password-hashes-read",
    "host/privileged-group",
    "host/process-hidden",
    "host/process-memory-read",
    "host/program-tampered",
    "host/program-unexplained",
    "host/protection-off",
    "host/ptrace",
    "host/python-startup-hook",
    "host/reverse-shell",
    "host/root-certificate-added",
    "host/secrets-searched",
    "host/service-account-opened",
    "host/setuid-command",
    "host/setuid-file",
    "host/shell-out-of-a-program",
    "host/shell-startup-changed",
    "host/ssh-key-added",
    "host/ssh-login-after-failures",
    "host/ssh-login-brute-force",
    "host/sudo-failures",
    "host/sudo-not-permitted",
    "host/sudoers-changed",
    "host/systemd-persistence",
    "host/times-changed",
    "host/web-server-shell",
    "network/clear-text-admin",
    "network/exposed-admin-service",
    "network/horizontal-scan-inside",
    "network/horizontal-scan-outside",
    "network/indicator-reached-service",
    "network/ping-sweep",
    "network/rdp-brute-force",
    "network/ssh-brute-force",
    "network/syn-flood",
    "network/traffic-to-indicator",
    "network/udp-amplification",
    "network/vertical-scan-inside",
    "network/vertical-scan-outside",
    "test/test-alert",
];

/// The documents of all rules that ship, ready to be compiled. They parse without issues; a test makes sure.
pub fn shipped() -> Vec<Arc<Document>> {
    ALL.iter().flat_map(|rule| parse(rule.text).documents).collect()
}

/// The one whose last document has this id.
pub fn find(id: &str) -> Option<&'static ShippedRule> {
    ALL.iter().find(|rule| parse(rule.text).documents.last().is_some_and(|document| document.id == id))
}
