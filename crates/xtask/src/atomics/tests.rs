//! The tests of Atomic Red Team as its YAML files describe them: what is read of them, and what is left out.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Where the folder of the tests stands in the room.
pub(crate) const FOLDER: &str = "/atomics";
/// Files that are read, at most; one that is larger is no description of tests.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Technique {
    attack_technique: String,
    #[serde(default)]
    atomic_tests: Vec<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    name: String,
    #[serde(default)]
    auto_generated_guid: String,
    #[serde(default)]
    supported_platforms: Vec<String>,
    #[serde(default)]
    input_arguments: Option<BTreeMap<String, Argument>>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    executor: Executor,
}

#[derive(Deserialize)]
struct Argument {
    #[serde(default)]
    default: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    prereq_command: Option<String>,
    #[serde(default)]
    get_prereq_command: Option<String>,
}

#[derive(Deserialize)]
struct Executor {
    #[serde(default)]
    name: String,
    #[serde(default)]
    elevation_required: bool,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    cleanup_command: Option<String>,
}

/// A test that a shell can run.
#[derive(Debug, PartialEq)]
pub(crate) struct Test {
    /// ATT&CK technique, such as `T1053.003`.
    pub(crate) technique: String,
    /// What it is called where it comes from.
    pub(crate) name: String,
    /// Its id there.
    pub(crate) guid: String,
    /// `sh` or `bash`; empty where a person or a cloud runs it.
    pub(crate) shell: &'static str,
    /// Whether it is to be run as root.
    pub(crate) root: bool,
    /// What must succeed before, and what may make it so.
    pub(crate) needs: Vec<(String, String)>,
    /// What it does.
    pub(crate) command: String,
    /// What takes it back.
    pub(crate) cleanup: String,
}

/// All tests for Linux below a folder `atomics`, in the order of their techniques.
pub(crate) fn read(folder: &Path) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with('T'))
        .collect();
    folders.sort();
    for name in folders {
        let path = folder.join(&name).join(format!("{name}.yaml"));
        if !path.exists() {
            continue;
        }
        ensure!(path.metadata()?.len() <= BYTES_MAX, "{} is too large", path.display());
        let text = std::fs::read_to_string(&path)?;
        tests.extend(parse(&text).with_context(|| format!("{} is not understood", path.display()))?);
    }
    ensure!(!tests.is_empty(), "{} holds no tests for Linux: give the folder `atomics`", folder.display());
    Ok(tests)
}

fn parse(text: &str) -> Result<Vec<Test>> {
    let technique: Technique = serde_saphyr::from_str(text)?;
    let of = technique.attack_technique;
    let fits = |raw: &Raw| raw.supported_platforms.iter().any(|platform| platform == "linux");
    Ok(technique.atomic_tests.into_iter().filter(fits).map(|raw| filled(&of, raw)).collect())
}

fn filled(technique: &str, raw: Raw) -> Test {
    let arguments = raw.input_arguments.unwrap_or_default();
    let fill = |text: &str| {
        let mut text = text.to_owned();
        for (name, argument) in &arguments {
            let value = match &argument.default {
                Some(serde_json::Value::String(value)) => value.clone(),
                Some(serde_json::Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            text = text.replace(&format!("#{{{name}}}"), &value);
        }
        text.replace("PathToAtomicsFolder/..", "/tmp").replace("PathToAtomicsFolder", FOLDER)
    };
    let said = |text: &Option<String>| fill(text.as_deref().unwrap_or_default());
    let shell = match raw.executor.name.as_str() {
        "sh" => "sh",
        "bash" => "bash",
        _ => "",
    };
    Test {
        technique: technique.to_owned(),
        name: raw.name,
        guid: raw.auto_generated_guid,
        shell,
        root: raw.executor.elevation_required,
        needs: raw
            .dependencies
            .iter()
            .map(|need| (said(&need.prereq_command), said(&need.get_prereq_command)))
            .collect(),
        command: said(&raw.executor.command),
        cleanup: said(&raw.executor.cleanup_command),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn tests_for_linux_with_their_arguments_filled_in() {
        let text = "attack_technique: T1000.001\natomic_tests:\n\
            - name: one\n  auto_generated_guid: a-b\n  supported_platforms: [macos, linux]\n  \
            input_arguments:\n    file:\n      type: path\n      default: PathToAtomicsFolder/T1000.001/src/x\n    \
            times:\n      type: integer\n      default: 3\n  \
            dependencies:\n  - description: d\n    prereq_command: 'test -e #{file}'\n    get_prereq_command: 'touch #{file}'\n  \
            executor:\n    name: bash\n    elevation_required: true\n    command: 'run #{file} #{times}'\n    cleanup_command: 'rm #{file}'\n\
            - name: two\n  supported_platforms: [windows]\n  executor:\n    name: powershell\n    command: x\n";
        let tests = parse(text).unwrap();
        let [test] = tests.as_slice() else { panic!("{tests:?}") };
        assert_eq!((test.technique.as_str(), test.name.as_str(), test.guid.as_str()), ("T1000.001", "one", "a-b"));
        assert_eq!((test.shell, test.root), ("bash", true));
        let need = ("test -e /atomics/T1000.001/src/x".to_owned(), "touch /atomics/T1000.001/src/x".to_owned());
        assert_eq!(test.needs, [need]);
        assert_eq!(test.command, "run /atomics/T1000.001/src/x 3");
        assert_eq!(test.cleanup, "rm /atomics/T1000.001/src/x");
    }

    #[test]
    fn what_no_shell_runs_has_no_shell() {
        let text = "attack_technique: T1\natomic_tests:\n- name: by hand\n  supported_platforms: [linux]\n  \
            executor:\n    name: manual\n    steps: look\n";
        assert_eq!(parse(text).unwrap()[0].shell, "");
    }
}
