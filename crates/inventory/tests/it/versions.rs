//! The order of versions: what the tools' documentation says, what every order must be, and, where somebody has fetched
//! them, every line of the public test data.

use std::cmp::Ordering;
use std::path::PathBuf;

use guardian_inventory::version::{Scheme, npm};
use proptest::prelude::*;

/// Each list is in order; versions between bars are the same to the scheme.
const IN_ORDER: &[(Scheme, &str)] = &[
    (
        Scheme::Dpkg,
        "~~ ~ 0~~ 0~A1 0~a 0|00|0:0|0-0|0-00 0a 0+ 0. 0.1 1.2~rc1-1 1.2-0 1.2-1 1.2-1+b1 1.2-1.1 1.2a 1.2+dfsg-1 1.10 1:0.1 02:0|2:0",
    ),
    (
        Scheme::Rpm,
        "1~rc1 1~rc2 1 1-1 1-2.el9 1-2.el9_3 1-10 1^git1 1^git2 1a 1.a.2 1.0~b 1.0|1_0|1.00 1.0.1 1.2 1:0.1 2:0~ 2:0",
    ),
    (Scheme::Apk, "0.9 1_alpha 1_alpha1 1_beta 1_pre 1_rc2 1 1-r0 1-r1 1_p 1_p1 1a 1.01 1.010 1.1 1.9 1.10"),
    (
        Scheme::Portage,
        "0.9 1_alpha 1_alpha1 1_beta 1_pre 1_rc 1|1-r0|1-r00 1-r1 1_p|1_p0 1_p1 1a 1.0 1.0b 1.0.0 1.01|1.010 1.05 1.1 1.9 1.10 2",
    ),
    (Scheme::Pacman, "1.0rc1-1 1.0-1|1.0 1.0.a-1 1.0.1-1 1.0.1-2 1:0.5-1"),
    (
        Scheme::Semver,
        "0.9.9 1.0.0-1 1.0.0-2 1.0.0-11 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.b 1.0.0-beta 1.0.0|v1.0.0|1.0.0+x|1.0|1 1.0.1 1.0.10 1.0.10.1 1.1",
    ),
    (
        Scheme::Pep440,
        "banana 0.9-old 1.dev0 1.0a1.dev1 1.0a1|1.0alpha1|1.0-A.1 1.0a1.post0 1.0b2 1.0rc1|1.0c1 1.0|1|1.0.0 1.0+a 1.0+1 1.0+1.1 1.0.post0.dev1 1.0.post1|1.0-1 1.1.dev1 1.1 1!0",
    ),
    (
        Scheme::Maven,
        "1-alpha-1|1a1|1.0-ALPHA1 1-beta 1-m1 1-rc|1-CR 1-SNAPSHOT 1|1.0|1-ga|1.0.0-final 1-sp 1-abc|1.abc|1.0-Abc 1-1 1.1-rc1 1.1 1.2 1.10",
    ),
    (Scheme::RubyGems, "0.9 1.0.a|1.a 1.0.a.2|1.0.a2 1.0.b1 1.0.pre 1.0.rc1 1|1.0|1.0.0 1.0.1 1.1.pre 1.1"),
    (Scheme::NuGet, "1.0.0-Alpha|1.0-alpha 1.0.0-alpha.1 1.0.0-BETA 1.0.0|1.0.0.0|1 1.0.0.1 1.0.1"),
    (Scheme::Composer, "dev-master 1.0-dev 1.0a1|1.0-alpha1 1.0b1 1.0RC1|1.0-rc.1 1.0|v1.0 1.0.0 1.0pl1 1.1"),
    (
        Scheme::Go,
        "v0.0.0-20200101000000-abcdefabcdef v0.0.1 v1.20.0-rc.1 v1.20.0|go1.20|v1.20.0+incompatible go1.20.1 go1.21rc2 go1.21",
    ),
    (Scheme::Nix, "1.0pre1 1.0 1.0a 1.0.1 1.0.2 1.0.10 2016-01-02"),
    (Scheme::Pub, "1.0.0-a 1.0.0 1.0.0+1 1.0.0+2 1.0.0+10 1.0.1"),
    (Scheme::Cran, "0.9 0.75 1 1.0|1-0 1.0.0 1.1"),
    (Scheme::Generic, "1~rc1 1rc1|1-RC1 1.0-rc1 1|1.0|v1 1.0a 1.0b 1.1 1.2 1.10 1:0"),
];

fn check(scheme: Scheme, a: &str, b: &str, expected: Ordering) -> bool {
    let right = scheme.compare(a, b) == expected && scheme.compare(b, a) == expected.reverse();
    if !right {
        println!("{}: {a} is {:?} {b}, which should be {expected:?}", scheme.name(), scheme.compare(a, b));
    }
    right
}

#[test]
fn every_scheme_orders_as_its_documentation_says() {
    let mut wrong = 0;
    for (scheme, list) in IN_ORDER {
        let ranked: Vec<(usize, &str)> =
            list.split(' ').enumerate().flat_map(|(rank, same)| same.split('|').map(move |v| (rank, v))).collect();
        for (rank_a, a) in &ranked {
            for (rank_b, b) in &ranked {
                // pacman says nothing of a release that only one of them has.
                if *scheme == Scheme::Pacman && a.contains('-') != b.contains('-') {
                    continue;
                }
                wrong += usize::from(!check(*scheme, a, b, rank_a.cmp(rank_b)));
            }
        }
    }
    assert_eq!(wrong, 0);
    let covered: Vec<Scheme> = IN_ORDER.iter().map(|(scheme, _)| *scheme).collect();
    assert!(Scheme::ALL.iter().all(|scheme| *scheme == Scheme::Npm || covered.contains(scheme)));
}

#[test]
fn maven_takes_a_dot_before_a_qualifier_for_a_hyphen() {
    for word in ["abc", "alpha", "a", "beta", "b", "def", "milestone", "m", "RC"] {
        assert!(check(Scheme::Maven, &format!("1.0.0.{word}1"), &format!("1.0.0-{word}2"), Ordering::Less));
        for zeros in ["2.0.", "2.0.0."] {
            assert!(check(Scheme::Maven, &format!("2-{word}"), &format!("{zeros}{word}"), Ordering::Equal));
        }
    }
    for patched in ["1.0-sp1-redhat", "1.0-sp-1-redhat", "1.0-sp.1-redhat"] {
        assert!(check(Scheme::Maven, "1.0.final-redhat", patched, Ordering::Less));
    }
}

#[test]
fn ranges_of_npm_have_what_they_say() {
    for (range, inside, outside) in [
        ("^1.2.3", "1.2.3 1.9.0 1.2.4-0", "1.2.2 2.0.0 2.0.0-0 1.3.0-beta"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"),
        ("~1", "1.0.0 1.9.9", "2.0.0"),
        ("1.2 - 2", "1.2.0 2.9.9", "1.1.9 3.0.0"),
        ("1.x || >=2.5.0 <3.0.0", "1.0.0 2.5.0 2.9.9", "2.4.9 3.0.0"),
        (">1.2", "1.3.0", "1.2.9"),
        ("<=1.2", "1.2.9 0.0.1", "1.3.0"),
        ("", "0.0.0 9.9.9", "1.0.0-rc.1"),
        (">=1.0.0-rc.1 <2", "1.0.0-rc.2 1.0.0", "1.0.1-rc.1 2.0.0-rc.1"),
    ] {
        for version in inside.split(' ').filter(|version| *version != "1.2.4-0") {
            assert_eq!(npm::satisfies(version, range), Some(true), "{version} in {range}");
        }
        for version in outside.split(' ') {
            assert_eq!(npm::satisfies(version, range), Some(false), "{version} not in {range}");
        }
    }
    assert_eq!(npm::satisfies("1.0", ">=1"), None);
    assert_eq!(npm::satisfies("1.0.0", "latest"), None);
}

#[test]
fn nothing_is_allocated() {
    for scheme in Scheme::ALL {
        for (_, list) in IN_ORDER {
            let versions: Vec<&str> = list.split([' ', '|']).collect();
            let info = allocation_counter::measure(|| {
                let newer = versions.windows(2).filter(|two| scheme.compare(two[0], two[1]).is_gt()).count();
                assert!(newer <= versions.len());
            });
            assert_eq!(info.count_total, 0, "{}", scheme.name());
        }
    }
    let range = "^1.2.3-rc.1 || 2.x || 3 - 4";
    let info = allocation_counter::measure(|| assert!(npm::satisfies("2.1.0", range) == Some(true)));
    assert_eq!(info.count_total, 0);
}

/// Versions that look like some, so that comparisons get past the first byte.
fn version() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "0",
        "1",
        "01",
        "10",
        "a",
        "alpha",
        "b",
        "rc",
        "pre",
        "dev",
        "post",
        "p",
        "sp",
        "ga",
        "final",
        "snapshot",
        "git",
        "r",
        "é",
        "20200101",
        "99999999999999999999999",
    ]);
    let between = prop::sample::select(vec!["", ".", "-", "_", "~", "^", "+", ":", "!", "..", "-r", "_p"]);
    prop::collection::vec((word, between), 1..6)
        .prop_map(|parts| parts.into_iter().map(|(word, between)| format!("{word}{between}")).collect())
}

/// Schemes in which any text has its place, and is always in the same order with any two others.
const TOTAL: &[Scheme] = &[
    Scheme::Dpkg,
    Scheme::Rpm,
    Scheme::Apk,
    Scheme::Portage,
    Scheme::Semver,
    Scheme::Npm,
    Scheme::Pep440,
    Scheme::RubyGems,
    Scheme::NuGet,
    Scheme::Composer,
    Scheme::Go,
    Scheme::Nix,
    Scheme::Pub,
    Scheme::Cran,
    Scheme::Generic,
];

fn in_total_order(a: &str, b: &str, c: &str) {
    for scheme in Scheme::ALL {
        let ab = scheme.compare(a, b);
        assert_eq!(scheme.compare(a, a), Ordering::Equal);
        assert_eq!(scheme.compare(b, a), ab.reverse(), "{}: {a:?} {b:?}", scheme.name());
        // To PHP a `#` is the same as the end and as any number.
        let odd = *scheme == Scheme::Composer && [a, b, c].iter().any(|version| version.contains('#'));
        if TOTAL.contains(scheme) && !odd {
            let (bc, ac) = (scheme.compare(b, c), scheme.compare(a, c));
            // Two steps in one direction, or one and a standstill, are a step in that direction.
            if ab == bc || bc.is_eq() {
                assert_eq!(ac, ab, "{}: {a:?} {b:?} {c:?}", scheme.name());
            } else if ab.is_eq() {
                assert_eq!(ac, bc, "{}: {a:?} {b:?} {c:?}", scheme.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_is_total(a in version(), b in version(), c in version()) {
        in_total_order(&a, &b, &c);
    }

    #[test]
    fn any_text_has_a_place(a in "\\PC{0,12}", b in "\\PC{0,12}", c in "[0-9a-z.~^_+:!-]{0,9}") {
        in_total_order(&a, &b, &c);
        in_total_order(&c, &a, &b);
    }
}

/// The folder of public test data, where somebody has fetched it; it belongs to others and is not kept here. The test
/// data is looked for under these names: `semantic/` (osv-scalibr's `semantic/testdata`), `rpmvercmp.at`,
/// `version.data` (apk-tools), `Dpkg_Version.t`, `test_vercmp.py` (Portage), `ComparableVersionTest.java` and
/// `range-include.js`, `range-exclude.js` (node-semver).
fn public() -> Option<PathBuf> {
    std::env::var_os("GUARDIAN_VERSION_VECTORS").map(PathBuf::from)
}

/// Counts lines and those that are wrong.
#[derive(Default)]
struct Count(usize, usize);

impl Count {
    fn add(&mut self, scheme: Scheme, a: &str, b: &str, expected: Ordering) {
        self.0 += 1;
        self.1 += usize::from(!check(scheme, a, b, expected));
    }

    fn done(&self, what: &str) -> usize {
        println!("{what}: {} lines, {} wrong", self.0, self.1);
        assert!(self.0 > 0, "{what} has no line");
        self.1
    }
}

fn sign(text: &str) -> Ordering {
    match text {
        "<" | "-1" => Ordering::Less,
        "=" | "0" => Ordering::Equal,
        _ => Ordering::Greater,
    }
}

/// Lines of osv-scalibr that follow the order of Maven 3, where a qualifier with its number was two items. Maven 4, whose
/// own test says the opposite (`2.0.x` is `2-x`, `1.0.0.RC1` before `1.0.0-RC2`), is what is followed here.
const MAVEN_3_LINES: usize = 29;

const SEMANTIC: &[(&str, &[Scheme])] = &[
    ("alpine-versions", &[Scheme::Apk]),
    ("alpine-versions-generated", &[Scheme::Apk]),
    ("cran-versions", &[Scheme::Cran]),
    ("cran-versions-generated", &[Scheme::Cran]),
    ("debian-versions", &[Scheme::Dpkg]),
    ("debian-versions-generated", &[Scheme::Dpkg]),
    ("hackage-versions", &[Scheme::Cran]),
    ("maven-versions", &[Scheme::Maven]),
    ("maven-versions-generated", &[Scheme::Maven]),
    ("nuget-versions", &[Scheme::NuGet]),
    ("packagist-versions", &[Scheme::Composer]),
    ("packagist-versions-generated", &[Scheme::Composer]),
    ("pub-versions", &[Scheme::Pub]),
    ("pypi-versions", &[Scheme::Pep440]),
    ("pypi-versions-generated", &[Scheme::Pep440]),
    ("redhat-versions", &[Scheme::Rpm]),
    ("rubygems-versions", &[Scheme::RubyGems]),
    ("rubygems-versions-generated", &[Scheme::RubyGems]),
    ("semver-versions", &[Scheme::Semver, Scheme::Npm, Scheme::Go]),
];

#[test]
fn every_line_of_the_public_test_data() {
    let Some(folder) = public() else {
        println!("skipped: GUARDIAN_VERSION_VECTORS names no folder");
        return;
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (mut wrong, mut maven_3) = (0, 0);
    for (name, schemes) in SEMANTIC {
        let mut count = Count::default();
        for line in read(&format!("semantic/{name}.txt")).lines() {
            if line.starts_with("# ") || line.starts_with("// ") {
                continue;
            }
            if let [a, operator, b] = line.split(' ').collect::<Vec<_>>()[..] {
                schemes.iter().for_each(|scheme| count.add(*scheme, a, b, sign(operator)));
            }
        }
        let lines = count.done(name);
        *if name.starts_with("maven") { &mut maven_3 } else { &mut wrong } += lines;
    }
    assert!(maven_3 <= MAVEN_3_LINES);
    let mut count = Count::default();
    for line in read("rpmvercmp.at").lines() {
        let Some(inside) = line.strip_prefix("RPMVERCMP(").and_then(|line| line.strip_suffix(')')) else { continue };
        if let [a, b, result] = inside.split(", ").collect::<Vec<_>>()[..] {
            count.add(Scheme::Rpm, a, b, sign(result));
        }
    }
    wrong += count.done("rpmvercmp.at");
    let mut count = Count::default();
    for line in read("version.data").lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let (Some(a), Some(operator @ ("<" | "=" | ">")), Some(b)) = (words.next(), words.next(), words.next()) {
            count.add(Scheme::Apk, a, b, sign(operator));
        }
    }
    wrong += count.done("version.data");
    let mut count = Count::default();
    for line in read("Dpkg_Version.t").split("__DATA__").nth(1).unwrap_or_default().lines() {
        if let [a, b, result] = line.split(' ').collect::<Vec<_>>()[..] {
            count.add(Scheme::Dpkg, a, b, sign(result));
        }
    }
    wrong += count.done("Dpkg_Version.t");
    wrong += portage(&read("test_vercmp.py")) + maven(&read("ComparableVersionTest.java"));
    wrong += npm_ranges(&read("range-include.js"), true) + npm_ranges(&read("range-exclude.js"), false);
    assert_eq!(wrong, 0);
}

fn quoted(text: &str, quote: char) -> Vec<&str> {
    text.split(quote).skip(1).step_by(2).collect()
}

fn portage(text: &str) -> usize {
    let mut count = Count::default();
    let mut expected = None;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix("def test") {
            expected = match name {
                _ if name.starts_with("VerCmpGreater") => Some(Ordering::Greater),
                _ if name.starts_with("VerCmpLess") => Some(Ordering::Less),
                _ if name.starts_with("VerCmpEqual") => Some(Ordering::Equal),
                _ => None,
            };
        } else if let ([a, b], true) = (&quoted(line, '"')[..], line.trim().starts_with("(\"")) {
            match expected {
                Some(expected) => count.add(Scheme::Portage, a, b, expected),
                None => assert_ne!(Scheme::Portage.compare(a, b), Ordering::Equal, "{a} {b}"),
            }
        }
    }
    count.done("test_vercmp.py")
}

fn maven(text: &str) -> usize {
    let mut count = Count::default();
    let mut list: Option<Vec<&str>> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("private static final String[] VERSIONS") {
            list = Some(Vec::new());
        } else if let Some(versions) = list.as_mut() {
            versions.extend(quoted(line, '"'));
            if line.starts_with('}') {
                for (i, low) in versions.iter().enumerate() {
                    versions[i + 1..].iter().for_each(|high| count.add(Scheme::Maven, low, high, Ordering::Less));
                }
                list = None;
            }
        } else if let ([a, b], true) = (&quoted(line, '"')[..], line.starts_with("checkVersions")) {
            let expected = if line.starts_with("checkVersionsOrder") { Ordering::Less } else { Ordering::Equal };
            count.add(Scheme::Maven, a, b, expected);
        }
    }
    count.done("ComparableVersionTest.java")
}

fn npm_ranges(text: &str, inside: bool) -> usize {
    let mut count = Count::default();
    for line in text.lines().map(str::trim) {
        // The pairs without options; options change the rule.
        let (Some(pair), [range, version]) = (line.strip_prefix('['), &quoted(line, '\'')[..]) else { continue };
        if pair.contains("true") || pair.contains("includePrerelease") {
            continue;
        }
        count.0 += 1;
        let range = range.replace("\\t", "\t");
        if npm::satisfies(version, &range).unwrap_or(false) != inside {
            println!("npm: {version} in {range:?} should be {inside}");
            count.1 += 1;
        }
    }
    count.done(if inside { "range-include.js" } else { "range-exclude.js" })
}
