//! Comparisons of versions, scheme by scheme: neighbours in a list such as advisories and installed packages have.

use divan::Bencher;
use divan::counter::ItemsCount;
use guardian_inventory::version::Scheme;

fn main() {
    divan::main();
}

/// Versions that differ late, as most that are compared do.
fn versions(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::Dpkg => &[
            "1:9.2p1-2+deb12u2",
            "1:9.2p1-2+deb12u3",
            "2.36-9+deb12u4",
            "2.36-9+deb12u10",
            "3.0.14-1~deb12u2",
            "3.0.15-1~deb12u1",
            "5.2.15-2+b7",
            "252.30-1~deb12u2",
        ],
        Scheme::Rpm => &[
            "1:3.0.7-25.el9_3",
            "1:3.0.7-27.el9",
            "2.34-100.el9_4.2",
            "2.34-100.el9_4.4",
            "8.7p1-38.el9_4.1",
            "8.7p1-38.el9_4.4",
            "5.14.0-427.13.1.el9_4",
            "5.14.0-427.24.1.el9_4",
        ],
        Scheme::Apk => &[
            "1.2.4_git20230717-r4",
            "1.2.4_git20230717-r5",
            "3.1.4-r5",
            "3.1.4-r6",
            "1.36.1-r15",
            "1.36.1-r19",
            "9.6_p1-r0",
            "9.6_p1-r1",
        ],
        Scheme::Maven => &["2.14.1", "2.15.0", "5.3.18.RELEASE", "5.3.19", "9.0.0.M1", "9.0.0.M27", "1.0-rc1", "1.0"],
        Scheme::Pep440 => {
            &["2.31.0", "2.32.0rc1", "2.32.0", "1.26.18", "1.26.18.post1", "42.0.0", "42.0.1.dev0", "42.0.2"]
        }
        _ => &["4.17.20", "4.17.21", "1.0.0-rc.1", "1.0.0-rc.2", "1.0.0", "0.10.40", "0.10.48", "7.5.2"],
    }
}

#[divan::bench(args = Scheme::ALL.iter().map(|scheme| scheme.name()))]
fn compare(bencher: Bencher<'_, '_>, name: &str) {
    let scheme = *Scheme::ALL.iter().find(|scheme| scheme.name() == name).expect("a scheme of this name");
    let versions = versions(scheme);
    bencher.counter(ItemsCount::new(versions.len() * versions.len())).bench_local(|| {
        let mut newer = 0;
        for a in versions {
            for b in versions {
                newer += usize::from(divan::black_box(scheme).compare(divan::black_box(a), b).is_gt());
            }
        }
        newer
    });
}
