//! What the machine says of itself.

use std::fs;

use guardian_protocol::message::Platform;

/// Facts about the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Name of the machine.
    pub name: String,
    /// Distribution and release.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// Random number of this start of the machine.
    pub boot: [u8; 16],
}

impl Facts {
    /// Those of this machine; what cannot be read is empty.
    pub fn read() -> Self {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let release = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        Self {
            name: line("/proc/sys/kernel/hostname"),
            system: pretty_name(&release.unwrap_or_default()),
            kernel: line("/proc/sys/kernel/osrelease"),
            architecture: std::env::consts::ARCH.to_owned(),
            boot: boot_id(&line("/proc/sys/kernel/random/boot_id")),
        }
    }

    /// The operating system.
    pub const fn platform() -> Platform {
        if cfg!(windows) { Platform::Windows } else { Platform::Linux }
    }

    /// The word for it.
    pub const fn platform_name() -> &'static str {
        if cfg!(windows) { "windows" } else { "linux" }
    }
}

/// The name for people in an os-release file.
fn pretty_name(text: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

fn boot_id(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(pretty_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(pretty_name(""), "");
        assert_eq!(boot_id("00000000-0000-0000-0000-0000000000ff")[15], 255);
        assert_eq!(boot_id("nothing"), [0; 16]);
    }
}
