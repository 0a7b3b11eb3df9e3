//! Which packages hold a kernel, how such a kernel names itself once it runs, and of which source it is.
//!
//! Pure: what runs is told by whoever looks at the machine.

use guardian_inventory::version::Scheme;

use crate::matching::Component;

/// Packages of rpm that hold a kernel; those that only add to one have its version.
const RPM: &[&str] =
    &["kernel", "kernel-core", "kernel-default", "kernel-rt", "kernel-rt-core", "kernel-uek", "kernel-uek-core"];

/// Packages of pacman that hold a kernel, with what it adds to its own name.
const PACMAN: &[(&str, &str)] = &[
    ("linux", ""),
    ("linux-lts", "-lts"),
    ("linux-zen", "-zen"),
    ("linux-hardened", "-hardened"),
    ("linux-rt", "-rt"),
    ("linux-rt-lts", "-rt-lts"),
];

/// An installed kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// The package that holds it.
    pub package: String,
    /// Its version.
    pub version: String,
    /// As the kernel names itself (uname(2)); of rpm without the architecture where that is not known.
    pub release: String,
}

/// The kernel that a package holds, if it is such a package. Without an architecture any one fits.
pub fn of(component: &Component, arch: &str) -> Option<Kernel> {
    let release = match component.ecosystem.scheme() {
        Scheme::Dpkg => {
            let rest = component.name.strip_prefix("linux-image-")?;
            rest.strip_prefix("unsigned-").unwrap_or(rest).to_owned()
        }
        Scheme::Rpm if RPM.contains(&component.name.as_str()) => {
            let version = component.version.split_once(':').map_or(component.version.as_str(), |(_, rest)| rest);
            if arch.is_empty() { version.to_owned() } else { format!("{version}.{arch}") }
        }
        Scheme::Pacman => {
            let (_, own) = PACMAN.iter().find(|(name, _)| *name == component.name)?;
            format!("{}{own}", component.version)
        }
        _ => return None,
    };
    // Packages that only name the newest one have no kernel.
    let begins = release.starts_with(|c: char| c.is_ascii_digit());
    begins.then(|| Kernel { package: component.name.clone(), version: component.version.clone(), release })
}

impl Kernel {
    /// Whether it is the one that runs and names itself so.
    pub fn runs(&self, running: &str) -> bool {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), ".");
        // SUSE counts builds that the kernel does not name.
        let suse = running.strip_suffix("-default").filter(|_| self.package == "kernel-default");
        let rpm = RPM.contains(&self.package.as_str()).then(|| running.rsplit_once('.')).flatten();
        plain(&self.release) == plain(running)
            || rpm.is_some_and(|(release, _)| release == self.release)
            || suse.is_some_and(|running| self.release.strip_prefix(running).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// The version of the kernel that runs, where that is not the installed one's although both have one name: Debian's kernels
/// say it of themselves (`/proc/sys/kernel/version`), Arch's are named after it. None where nobody can say.
pub fn running_version(kernel: &Kernel, scheme: Scheme, running: &str, said: &str) -> Option<String> {
    match scheme {
        Scheme::Dpkg if kernel.runs(running) => {
            let (_, rest) = said.split_once(" Debian ")?;
            let version = rest.split_whitespace().next()?;
            let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= 100;
            is_version.then(|| version.to_owned())
        }
        Scheme::Pacman => {
            let (_, own) = PACMAN.iter().find(|(name, _)| *name == kernel.package)?;
            let rest = running.strip_suffix(own)?;
            let (version, build) = rest.rsplit_once('-')?;
            // Another flavour's name ends in a word.
            let is_own = build.starts_with(|c: char| c.is_ascii_digit()) && rest.len() <= 100;
            is_own.then(|| format!("{}-{build}", version.replace('-', ".")))
        }
        _ => None,
    }
}

/// The source of which advisories speak, where a package names the one that only signed what it built: Debian's
/// `linux-signed-amd64` is `linux`, Ubuntu's `linux-signed-hwe-6.8` is `linux-hwe-6.8`.
pub fn signed_source(source: &str) -> Option<String> {
    let rest = source.strip_prefix("linux-signed")?;
    let Some(rest) = rest.strip_prefix('-') else { return rest.is_empty().then(|| "linux".to_owned()) };
    let architectures = ["amd64", "arm64", "i386"];
    let kept = architectures.iter().find_map(|arch| rest.strip_suffix(arch)).unwrap_or(rest);
    let kept = kept.trim_end_matches('-');
    Some(if kept.is_empty() { "linux".to_owned() } else { format!("linux-{kept}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::Ecosystem;

    fn kernel(family: &str, release: &str, name: &str, version: &str) -> Kernel {
        let ecosystem = Ecosystem::new(family, release).unwrap();
        of(&Component::new(ecosystem, name, version), "").unwrap()
    }

    #[test]
    fn a_kernel_is_known_by_the_name_that_it_gives_itself() {
        let debian = kernel("debian", "12", "linux-image-6.1.0-30-amd64", "6.1.124-1");
        assert!(debian.runs("6.1.0-30-amd64") && !debian.runs("6.1.0-29-amd64"));
        let red_hat = kernel("redhat", "9", "kernel-core", "5.14.0-427.el9");
        assert!(red_hat.runs("5.14.0-427.el9.x86_64") && !red_hat.runs("5.14.0-427.el9.1.x86_64"));
        let arch = kernel("arch", "", "linux-lts", "6.6.8-1");
        assert!(arch.runs("6.6.8-1-lts") && !arch.runs("6.6.8-1"));
        let none = Component::new(Ecosystem::new("debian", "12").unwrap(), "linux-image-amd64", "6.1.124-1");
        assert_eq!(of(&none, ""), None, "it only names the newest one");
    }

    #[test]
    fn the_kernel_that_runs_says_its_version() {
        let debian = kernel("debian", "12", "linux-image-6.1.0-30-amd64", "6.1.128-1");
        let said = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.124-1 (2025-01-12)";
        let version = |kernel: &Kernel, scheme, running: &str, said: &str| {
            running_version(kernel, scheme, running, said).unwrap_or_default()
        };
        assert_eq!(version(&debian, Scheme::Dpkg, "6.1.0-30-amd64", said), "6.1.124-1");
        assert_eq!(version(&debian, Scheme::Dpkg, "6.1.0-29-amd64", said), "", "it is another one");
        assert_eq!(version(&debian, Scheme::Dpkg, "6.1.0-30-amd64", "#45-Ubuntu SMP"), "");
        let arch = kernel("arch", "", "linux", "6.6.9.arch1-1");
        assert_eq!(version(&arch, Scheme::Pacman, "6.6.8-arch1-1", ""), "6.6.8.arch1-1");
        assert_eq!(version(&arch, Scheme::Pacman, "6.6.8-1-lts", ""), "", "it is of another flavour");
        let lts = kernel("arch", "", "linux-lts", "6.6.9-1");
        assert_eq!(version(&lts, Scheme::Pacman, "6.6.8-1-lts", ""), "6.6.8-1");
    }

    #[test]
    fn who_signs_is_not_the_source() {
        for (source, expected) in [
            ("linux-signed-amd64", Some("linux")),
            ("linux-signed-6.1-arm64", Some("linux-6.1")),
            ("linux-signed", Some("linux")),
            ("linux-signed-hwe-6.8", Some("linux-hwe-6.8")),
            ("linux-signedness", None),
            ("grub2", None),
        ] {
            assert_eq!(signed_source(source).as_deref(), expected, "{source}");
        }
    }
}
