//! What `deploy/ci` has for pipelines, run as GitHub, GitLab and Jenkins run it: the shell that each takes, the variables that it
//! sets, and the exit codes that it goes by.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::app::{guardian, text};

/// A project with one package, and a store that knows something of it.
struct Project {
    home: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let project = Self { home };
        std::fs::create_dir(project.folder()).unwrap();
        let lock = json!({ "lockfileVersion": 3, "packages": { "node_modules/left": { "version": "1.0.0" } } });
        std::fs::write(project.folder().join("package-lock.json"), lock.to_string()).unwrap();
        let advisory = json!({ "id": "CVE-2030-0001", "schema_version": "1.6.0", "modified": "2030-01-01T00:00:00Z",
            "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
            "affected": [{ "package": { "ecosystem": "npm", "name": "left" },
                "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "2.0.0" }] }] }] });
        let file = project.home.path().join("advisory.json");
        std::fs::write(&file, advisory.to_string()).unwrap();
        let mut build = guardian(project.home.path());
        build.args(["vulndb", "build"]).arg(file).arg("--store").arg(project.store());
        assert!(build.output().unwrap().status.success());
        project
    }

    fn folder(&self) -> PathBuf {
        // With a space, as folders of jobs have.
        self.home.path().join("a job")
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    fn run(&self, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Output {
        let file = self.home.path().join("script");
        std::fs::write(&file, script).unwrap();
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(&file).current_dir(self.folder()).envs(variables.iter().copied());
        command.env("HOME", self.home.path()).output().unwrap()
    }

    fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name)).unwrap()
    }
}

fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ci").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The lines of a block of YAML (`run: |`) or of what stands between two marks, without what they are indented by.
fn block(document: &str, begin: &str, end: &str) -> String {
    let lines = document.lines().skip_while(|line| line.trim() != begin && !line.trim().ends_with(begin)).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| end.is_empty() || line.trim() != end).collect();
    let indent = lines[0].len() - lines[0].trim_start().len();
    let block = lines.iter().take_while(|line| line.trim().is_empty() || line.starts_with(&" ".repeat(indent)));
    block.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_guardian");

#[test]
fn the_step_for_github_marks_and_fails() {
    let project = Project::new();
    let script = block(&deploy("github/action.yml"), "run: |", "");
    let store = project.store().display().to_string();
    // A composite step with `shell: bash` is run like this.
    let bash = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"];
    let run = |fail_on: &str, target: &str| {
        let variables = [
            ("TARGET", target),
            ("STORE", &store),
            ("FAIL_ON", fail_on),
            ("IGNORE", ""),
            ("VEX", ""),
            ("PROGRAM", PROGRAM),
            ("SARIF", "guardian.sarif"),
        ];
        project.run(&bash, &script, &variables)
    };
    let found = run("critical fixable", ".");
    assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
    assert!(text(&found.stdout).lines().any(|line| line.starts_with("::") && line.contains("CVE-2030-0001")));
    let sarif: Value = serde_json::from_str(&project.written("guardian.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_eq!(run("", ".").status.code(), Some(0));
    assert_eq!(run("kev", ".").status.code(), Some(0));
    assert_eq!(run("high", "is-not-there").status.code(), Some(1));
    // What an input holds is never run.
    run("high", "$(touch run-by-shell)");
    assert!(!project.folder().join("run-by-shell").exists());
}

#[test]
fn the_job_for_gitlab_writes_its_report_and_fails() {
    let project = Project::new();
    let script = block(&deploy("gitlab/guardian-scan.yml"), "- |", "artifacts:");
    let store = project.store().display().to_string();
    // GitLab's runner has bash, or the shell of a small image, end at the first command that fails.
    for shell in [&["bash", "-e", "-o", "pipefail"][..], &["sh", "-e"]] {
        let run = |fail_on: &str, target: &str| {
            let variables = [
                ("GUARDIAN_PROGRAM", PROGRAM),
                ("GUARDIAN_TARGET", target),
                ("GUARDIAN_STORE", &store),
                ("GUARDIAN_FAIL_ON", fail_on),
            ];
            project.run(shell, &script, &variables)
        };
        let found = run("high fixable", ".");
        assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
        let report: Value = serde_json::from_str(&project.written("gl-dependency-scanning-report.json")).unwrap();
        assert_eq!(report["vulnerabilities"].as_array().unwrap().len(), 1);
        assert!(project.written("guardian-junit.xml").contains("CVE-2030-0001"));
        assert_eq!(run("", ".").status.code(), Some(0));
        assert_eq!(run("high", "is-not-there").status.code(), Some(1));
    }
}

#[test]
fn the_step_for_jenkins_writes_its_reports_and_says_what_it_found() {
    let project = Project::new();
    let script = block(&deploy("jenkins/vars/guardianScan.groovy"), "script: '''", "''')");
    let store = project.store().display().to_string();
    let run = |fail_on: &str, target: &str| {
        let variables = [
            ("GUARDIAN_PROGRAM", PROGRAM),
            ("GUARDIAN_TARGET", target),
            ("GUARDIAN_STORE", &store),
            ("GUARDIAN_FAIL_ON", fail_on),
            ("GUARDIAN_VEX", ""),
            ("GUARDIAN_IGNORE", ""),
        ];
        // Jenkins' step `sh` is run like this.
        project.run(&["sh", "-xe"], &script, &variables)
    };
    let found = run("high", ".");
    assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
    assert!(project.written("guardian-junit.xml").contains("CVE-2030-0001"));
    assert!(serde_json::from_str::<Value>(&project.written("guardian.sarif")).is_ok());
    assert_eq!(run("", ".").status.code(), Some(0));
    assert_eq!(run("high", "is-not-there").status.code(), Some(1));
}
