//! Kernels of a host: what is wrong with one that does not run is no danger until somebody starts it, and what an installed
//! one mends is not mended before the machine has started with it.
//!
//! A kernel is not one package: modules, headers and tools of the same source and version go with it.

use guardian_inventory::version::Scheme;
use guardian_vuln::kernel::{self, Kernel};
use guardian_vuln::matching::Component;

use crate::board::{Judged, unit};
use crate::packed::Present;

/// A component of a source that kernels come from.
#[derive(Clone, Debug)]
pub(crate) struct Kin {
    unit: String,
    version: String,
    scheme: Scheme,
    /// The kernel that it holds; none for what only goes with one.
    image: Option<Kernel>,
}

impl Kin {
    /// Of a component; none for what cannot belong to a kernel.
    pub(crate) fn of(component: &Component) -> Option<Self> {
        let unit = unit(component);
        let fits = component.ecosystem.is_distribution() && (unit.starts_with("linux") || unit.starts_with("kernel"));
        fits.then(|| Self {
            unit: unit.to_owned(),
            version: component.version.clone(),
            scheme: component.ecosystem.scheme(),
            image: kernel::of(component, ""),
        })
    }

    fn goes_with(&self, other: &Self) -> bool {
        self.unit == other.unit && self.version == other.version
    }
}

/// What runs, as it is kept with a host: the release, and the version after a space.
fn parts(running: &str) -> (&str, Option<&str>) {
    running.split_once(' ').map_or((running, None), |(release, version)| (release, Some(version)))
}

fn runs(kernel: &Kernel, running: &str) -> bool {
    let (release, version) = parts(running);
    kernel.runs(release) && version.is_none_or(|version| version == kernel.version)
}

/// What runs, in the form in which it is kept. A kernel that runs and was replaced meanwhile is added to the components: it
/// is judged like everything else, although nothing on the disk holds it any more.
pub(crate) fn running(components: &mut Vec<Component>, release: &str, said: &str) -> String {
    if release.is_empty() || release.len() > 200 || release.contains(' ') {
        return String::new();
    }
    let version = |component: &Component| {
        let image = kernel::of(component, "")?;
        kernel::running_version(&image, component.ecosystem.scheme(), release, said)
    };
    let found = components.iter().find_map(|component| Some((component, version(component)?)));
    let Some((component, version)) = found else { return release.to_owned() };
    let mut own = component.clone();
    let pacman = own.ecosystem.scheme() == Scheme::Pacman;
    if own.version != version {
        (own.version, own.source_version) = (version.clone(), String::new());
        components.push(own);
    }
    // Arch's kernels are named after their version.
    if pacman { release.to_owned() } else { format!("{release} {version}") }
}

/// Which of a host's components go with a kernel that runs, and which with others.
#[derive(Default)]
pub(crate) struct Kernels<'a> {
    kin: Vec<(u32, &'a Kin)>,
    running: Vec<(u32, &'a Kin)>,
    others: Vec<(u32, &'a Kin)>,
}

impl<'a> Kernels<'a> {
    /// Of a host. Where it is not known what runs, nothing is told apart.
    pub(crate) fn new(kin: Vec<(u32, &'a Kin)>, running: &str) -> Self {
        if running.is_empty() {
            return Self::default();
        }
        let images = kin.iter().copied().filter(|(_, kin)| kin.image.is_some());
        let is_running = |(_, kin): &(u32, &Kin)| kin.image.as_ref().is_some_and(|image| runs(image, running));
        let (running, others): (Vec<_>, Vec<_>) = images.partition(is_running);
        if running.is_empty() {
            return Self::default();
        }
        Self { kin, running, others }
    }

    /// Whether a component is of the kernel that runs, or of another one; none for everything else.
    pub(crate) fn is_running(&self, component: u32) -> Option<bool> {
        let (_, own) = self.kin.iter().find(|(number, _)| *number == component)?;
        if self.running.iter().any(|(_, kernel)| own.goes_with(kernel)) {
            return Some(true);
        }
        self.others.iter().any(|(_, kernel)| own.goes_with(kernel)).then_some(false)
    }

    /// Whether a newer kernel of the same source is installed that does not have it.
    fn mends(&self, subject: u32, judged: &impl Fn(u32) -> &'a [Judged]) -> bool {
        let has = |number: u32| judged(number).iter().any(|judged| judged.subject == subject);
        let newer = |kin: &Kin| {
            let older = |(number, own): &(u32, &Kin)| {
                has(*number) && own.unit == kin.unit && kin.scheme.compare(&kin.version, &own.version).is_gt()
            };
            self.running.iter().any(older)
        };
        self.others.iter().any(|(number, kin)| newer(kin) && !has(*number))
    }

    /// What is there, of all components of the host, each subject once and in order.
    pub(crate) fn present(
        &self,
        components: impl Iterator<Item = u32>,
        judged: impl Fn(u32) -> &'a [Judged],
    ) -> Vec<Present> {
        const PLAIN: u8 = 1;
        const RUNNING: u8 = 2;
        const ASLEEP: u8 = 4;
        let mut all: Vec<(u32, u8)> = Vec::new();
        for number in components {
            let found = judged(number);
            if found.is_empty() {
                continue;
            }
            let mark = match self.is_running(number) {
                None => PLAIN,
                Some(true) => RUNNING,
                Some(false) => ASLEEP,
            };
            all.extend(found.iter().map(|judged| (judged.subject, mark)));
        }
        all.sort_unstable();
        let marks = all.chunk_by(|(one, _), (other, _)| one == other);
        let present = marks.filter_map(|same| {
            let mark = same.iter().fold(0, |marks, (_, mark)| marks | mark);
            let (subject, _) = *same.first()?;
            let restart = mark & PLAIN == 0 && mark & RUNNING != 0 && self.mends(subject, &judged);
            Some(Present { subject, asleep: mark == ASLEEP, restart })
        });
        present.collect()
    }
}

#[cfg(test)]
mod tests {
    use guardian_vuln::ecosystem::Ecosystem;

    use super::*;

    fn component(name: &str, version: &str, source: &str) -> Component {
        let mut component = Component::new(Ecosystem::new("debian", "12").unwrap(), name, version);
        component.source = source.to_owned();
        component
    }

    #[test]
    fn what_was_replaced_while_it_ran_still_runs() {
        let said = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.124-1 (2025-01-12)";
        let mut components = vec![component("linux-image-6.1.0-30-amd64", "6.1.128-1", "linux")];
        assert_eq!(running(&mut components, "6.1.0-30-amd64", said), "6.1.0-30-amd64 6.1.124-1");
        assert_eq!(components.iter().map(|c| c.version.as_str()).collect::<Vec<_>>(), ["6.1.128-1", "6.1.124-1"]);
        assert_eq!(running(&mut components, "6.8.0-45-generic", "#45-Ubuntu SMP"), "6.8.0-45-generic");
        assert_eq!((running(&mut components, "", said), components.len()), (String::new(), 2));
    }

    #[test]
    fn kernels_and_what_goes_with_them_are_told_apart() {
        let components = [
            component("linux-image-6.1.0-29-amd64", "6.1.123-1", "linux"),
            component("linux-image-6.1.0-30-amd64", "6.1.124-1", "linux"),
            component("linux-headers-6.1.0-30-amd64", "6.1.124-1", "linux"),
            component("linux-libc-dev", "6.1.99-1", "linux"),
            component("openssl", "3.0.9-1", ""),
        ];
        let kin: Vec<Kin> = components.iter().filter_map(Kin::of).collect();
        assert_eq!(kin.len(), 4);
        let numbered = || kin.iter().enumerate().map(|(at, kin)| (at as u32, kin)).collect::<Vec<_>>();
        // The old one has 1 and 2; the new one 2 and 3; headers of another version have 3, and something else 4.
        let found: [&[u32]; 5] = [&[1, 2], &[2, 3], &[3], &[], &[4]];
        let judged: Vec<Vec<Judged>> = found
            .iter()
            .map(|all| all.iter().map(|n| Judged { subject: *n, fixed_in: Vec::new().into() }).collect())
            .collect();
        let shown = |running: &str| {
            let kernels = Kernels::new(numbered(), running);
            let present = kernels.present(0..5, |number| judged[number as usize].as_slice());
            present.iter().map(|p| (p.subject, p.asleep, p.restart)).collect::<Vec<_>>()
        };
        let old = [(1, false, true), (2, false, false), (3, true, false), (4, false, false)];
        assert_eq!(shown("6.1.0-29-amd64 6.1.123-1"), old);
        let new = [(1, true, false), (2, false, false), (3, false, false), (4, false, false)];
        assert_eq!(shown("6.1.0-30-amd64 6.1.124-1"), new);
        let unknown = [(1, false, false), (2, false, false), (3, false, false), (4, false, false)];
        for running in ["", "6.12.0-own", "6.1.0-30-amd64 6.1.99-9"] {
            assert_eq!(shown(running), unknown, "{running}");
        }
    }
}
