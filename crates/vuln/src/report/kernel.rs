//! The kernel that runs against those that are installed: an old one that nobody starts any more has no hole that is open,
//! and a new one closes none until the machine has started with it.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use crate::kernel::{self, Kernel};
use crate::scan::Placed;

/// The kernel that a package holds, if it is such a package.
pub(super) fn of(placed: &Placed) -> Option<Kernel> {
    kernel::of(&placed.component, &placed.arch)
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
