//! Vectors and their scores: worked out by hand from the specifications, and, where somebody has fetched them, every line
//! of the public test data.

use std::path::PathBuf;

use guardian_vuln::cvss::{Malformed, Rating, Vector};
use proptest::prelude::*;

fn vector(text: &str) -> Vector {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn scores_are_those_of_the_specifications() {
    for (text, base, threat, environmental) in [
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", "7.8", "7.8", "7.8"),
        ("(AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C/CDP:H/TD:H/CR:M/IR:M/AR:H)", "7.8", "6.4", "9.2"),
        ("AV:L/AC:H/Au:M/C:N/I:N/A:N", "0.0", "0.0", "0.0"),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "9.8", "9.8", "9.8"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C", "9.8", "8.5", "8.5"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "10.0", "10.0", "10.0"),
        ("CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", "0.0", "0.0", "0.0"),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N/MAV:N/MPR:N/MC:H/CR:H", "1.6", "1.6", "7.1"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", "10.0", "10.0", "10.0"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "9.3", "9.3", "9.3"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", "9.3", "8.1", "8.1"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", "0.0", "0.0", "0.0"),
    ] {
        let vector = vector(text);
        let scores = [vector.base(), vector.threat(), vector.environmental()].map(|score| score.to_string());
        assert_eq!(scores, [base, threat, environmental], "{text}");
    }
}

#[test]
fn a_vector_says_everything_mandatory_once() {
    for (text, error) in [
        ("", Malformed::Part(String::new())),
        ("CVSS:5.0/AV:N", Malformed::Version("5.0".into())),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", Malformed::Missing("A")),
        ("CVSS:3.1/AV:N/AV:N", Malformed::Twice("AV")),
        ("CVSS:3.1/AV:X", Malformed::Part("AV:X".into())),
        ("CVSS:4.0/AV:N/S:Q", Malformed::Part("S:Q".into())),
    ] {
        assert_eq!(text.parse::<Vector>(), Err(error), "{text}");
    }
}

#[test]
fn ratings_and_one_s_own_requirements() {
    let plain = vector("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N");
    assert_eq!(plain.rating(plain.base()), Rating::High);
    let hardly = plain.with("CR", "L").unwrap();
    assert!(hardly.environmental() < plain.environmental());
    assert_eq!(hardly.base(), plain.base());
    assert_eq!(plain.with("CR", "Z"), None);
    assert_eq!(plain.get("AV"), Some("N"));
    assert_eq!(vector("AV:N/AC:L/Au:N/C:C/I:C/A:C").rating(guardian_vuln::cvss::Score(100)), Rating::High);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(text in "(CVSS:(3.1|4.0|3.0)/)?[A-Za-z]{1,3}:[A-Z]{1,2}(/[A-Za-z]{1,3}:[A-Z]{1,2}){0,20}") {
        if let Ok(vector) = text.parse::<Vector>() {
            prop_assert_eq!(vector.to_string().parse(), Ok(vector));
        }
    }
}

/// Where the folder `tests/` of RedHatProductSecurity/cvss is, where somebody has fetched it.
fn public() -> Option<PathBuf> {
    std::env::var_os("GUARDIAN_CVSS_VECTORS").map(PathBuf::from)
}

#[test]
fn every_line_of_the_public_test_data() {
    let Some(folder) = public() else {
        println!("skipped: GUARDIAN_CVSS_VECTORS names no folder");
        return;
    };
    let (mut lines, mut wrong) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vectors_")) {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let Some((text, expected)) = line.split_once(" - ") else { continue };
            let vector = vector(text);
            let expected: Vec<Option<f64>> = expected
                .trim_matches(['(', ')'])
                .split(',')
                .map(str::trim)
                .filter(|e| !e.is_empty())
                .map(|e| e.parse().ok())
                .collect();
            // Version 4 has one score, of all that is said.
            let scores = match expected.len() {
                1 => vec![vector.environmental()],
                _ => vec![vector.base(), vector.threat(), vector.environmental()],
            };
            lines += 1;
            let right =
                scores.iter().zip(&expected).all(|(score, e)| e.is_none_or(|e| (score.value() - e).abs() < 1e-6));
            if !right {
                wrong += 1;
                println!("{text}: {scores:?}, which should be {expected:?}");
            }
        }
    }
    println!("{lines} lines, {wrong} wrong");
    assert!(lines > 0);
    assert_eq!(wrong, 0);
}
