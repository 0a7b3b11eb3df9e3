//! The kernel that runs against those that are installed: an old one that nobody starts any more has no hole that is open,
//! and a new one closes none until the machine has started with it.

use std::collections::{BTreeMap, BTreeSet};

use guardian_inventory::version::Scheme;

use super::Report;
use crate::scan::Placed;

/// Packages of rpm that hold a kernel; those that only add to one have its version.
const RPM: &[&str] =
    &["kernel", "kernel-core", "kernel-default", "kernel-rt", "kernel-rt-core", "kernel-uek", "kernel-uek-core"];

/// An installed kernel.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kernel {
    package: String,
    version: String,
    /// As the kernel names itself (uname(2)).
    release: String,
}

/// The kernel that a package holds, if it is such a package.
pub(super) fn of(placed: &Placed) -> Option<Kernel> {
    let component = &placed.component;
    let release = match component.ecosystem.scheme() {
        Scheme::Dpkg => {
            let rest = component.name.strip_prefix("linux-image-")?;
            rest.strip_prefix("unsigned-").unwrap_or(rest).to_owned()
        }
        Scheme::Rpm if RPM.contains(&component.name.as_str()) => {
            let version = component.version.split_once(':').map_or(component.version.as_str(), |(_, rest)| rest);
            format!("{version}.{}", placed.arch)
        }
        Scheme::Pacman if component.name.starts_with("linux") && !component.name.contains("-headers") => {
            component.version.clone()
        }
        _ => return None,
    };
    // Packages that only name the newest one have no kernel.
    let begins = release.starts_with(|c: char| c.is_ascii_digit());
    begins.then(|| Kernel { package: component.name.clone(), version: component.version.clone(), release })
}

impl Kernel {
    fn runs(&self, running: &str) -> bool {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), ".");
        // SUSE counts builds that the kernel does not name.
        let suse = running.strip_suffix("-default").filter(|_| self.package == "kernel-default");
        plain(&self.release) == plain(running)
            || suse.is_some_and(|running| self.release.strip_prefix(running).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// Remarks what follows for findings in kernels.
pub(super) fn remark(report: &mut Report, kernels: &BTreeSet<Kernel>, running: &str) {
    if kernels.is_empty() || running.is_empty() {
        return;
    }
    if !kernels.iter().any(|kernel| kernel.runs(running)) {
        report.issues.push(format!("the kernel that runs, {running}, belongs to no package that is installed"));
    }
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for entry in &report.findings {
        let places = found.entry(entry.finding.vulnerability.clone()).or_default();
        places.insert((entry.package.clone(), entry.installed.clone()));
    }
    for entry in &mut report.findings {
        let own = kernels.iter().find(|kernel| kernel.package == entry.package && kernel.version == entry.installed);
        let Some(own) = own else { continue };
        if !own.runs(running) {
            entry.remark = format!("this kernel does not run: {running} does");
            continue;
        }
        let has = |kernel: &Kernel| {
            let places = found.get(&entry.finding.vulnerability);
            places.is_some_and(|places| places.contains(&(kernel.package.clone(), kernel.version.clone())))
        };
        if let Some(other) = kernels.iter().find(|kernel| *kernel != own && !kernel.runs(running) && !has(kernel)) {
            entry.remark = format!("{} is installed and does not have it: it counts after a restart", other.release);
        }
    }
}
