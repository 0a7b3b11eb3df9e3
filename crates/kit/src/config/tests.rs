use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

/// How Guardian runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Root {
    /// The telemetry store.
    lake: Lake,
    listeners: Vec<Listener>,
    /// Level of the log.
    level: Level,
    /// Password of the database.
    password: Secret,
}

/// Keeps telemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Lake {
    /// Where files go.
    dir: PathBuf,
    /// How long rows are kept.
    retention: Duration,
    /// How much disk is used at most.
    size_max: ByteSize,
    /// Threads that compact.
    #[schemars(range(min = 1, max = 64))]
    workers: u16,
    compress: bool,
    /// Share of the disk that stays free.
    free_ratio: f64,
    networks: Vec<String>,
    label: Option<String>,
}

impl Default for Lake {
    fn default() -> Self {
        Self {
            dir: "data".into(),
            retention: Duration::days(90),
            size_max: ByteSize::gib(10),
            workers: 2,
            compress: true,
            free_ratio: 0.1,
            networks: vec!["10.0.0.0/8".to_owned()],
            label: None,
        }
    }
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Listener {
    /// Its port.
    port: u16,
    /// Its site.
    #[serde(default)]
    site: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// Everything.
    Debug,
    /// What matters.
    #[default]
    Info,
}

fn sources(yaml: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources {
        text: Some(("g.yaml".to_owned(), yaml.to_owned())),
        env: owned(env),
        env_prefix: "GUARDIAN_".to_owned(),
        env_ignore: vec!["GUARDIAN_CONFIG".to_owned()],
        overrides: owned(flags),
        ..Sources::default()
    }
}

fn problems(yaml: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    load::<Root>(&sources(yaml, env, flags)).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn stronger_sources_win_and_are_remembered() {
    let yaml = "lake:\n  dir: /a\n  workers: 3\n  retention: 5m\n  compress: false\nlisteners:\n  - {port: 2055}\n";
    let env = [("GUARDIAN_LAKE__DIR", "/b"), ("GUARDIAN_LAKE__WORKERS", "4"), ("GUARDIAN_CONFIG", "x"), ("PATH", "y")];
    let loaded = load::<Root>(&sources(yaml, &env, &[("lake.workers", "5"), ("level", "debug")])).unwrap();
    let lake =
        Lake { dir: "/b".into(), workers: 5, retention: "5m".parse().unwrap(), compress: false, ..Lake::default() };
    let listeners = vec![Listener { port: 2055, site: String::new() }];
    assert_eq!(loaded.value, Root { lake, listeners, level: Level::Debug, password: Secret::default() });
    let shown: BTreeMap<&str, String> = loaded.sources.iter().map(|(k, o)| (&**k, o.to_string())).collect();
    assert_eq!(shown["lake.dir"], "environment variable GUARDIAN_LAKE__DIR");
    assert_eq!(shown["lake.workers"], "command line");
    assert_eq!(shown["lake.retention"], "g.yaml, line 4");
    assert!(!shown.contains_key("lake.free_ratio"));
}

#[test]
fn texts_from_outside_take_the_type_of_their_place() {
    let cases: &[(&str, &str, fn(&Lake) -> bool)] = &[
        ("lake.networks", "a, b", |l| l.networks == ["a", "b"]),
        ("lake.networks", "[\"c\", d]", |l| l.networks == ["c", "d"]),
        ("lake.networks", "[]", |l| l.networks.is_empty()),
        ("lake.free_ratio", "0.25", |l| (l.free_ratio - 0.25).abs() < f64::EPSILON),
        ("lake.compress", "no", |l| !l.compress),
        ("lake.label", "123", |l| l.label.as_deref() == Some("123")),
        ("lake.size_max", "1 MiB", |l| l.size_max == ByteSize::mib(1)),
        ("lake.size_max", "77", |l| l.size_max == ByteSize(77)),
        ("lake", "{workers: 9}", |l| l.workers == 9),
    ];
    for (key, text, holds) in cases {
        let loaded = load::<Root>(&sources("", &[], &[(key, text)])).unwrap();
        assert!(holds(&loaded.value.lake), "{key} = {text}: {:?}", loaded.value.lake);
    }
}

#[test]
fn empty_texts_and_sections_are_the_defaults() {
    for yaml in ["", "# nothing\n", "---\n", "lake:\nlisteners: []\n", "{}", "{\"lake\": {\"workers\": 2}}"] {
        assert_eq!(load::<Root>(&sources(yaml, &[], &[])).unwrap().value, Root::default(), "{yaml:?}");
    }
}

#[test]
fn all_problems_are_reported_with_key_line_and_remedy() {
    let yaml = "\
lake:
  retension: 5m
  retention: 5 parsecs
  workers: 65
  compress: maybe
  size_max: [1]
listeners:
  - port: 99999
  - site: a
  - {port: 1, prot: udp}
level: debgu
workers: 3
zzz: 1
";
    let expected = [
        "unknown key `lake.retension`: did you mean `retention`? (g.yaml, line 2)",
        "`lake.retention`: expected a duration such as 250ms, 5m, 1h30m or 90d, not \"5 parsecs\" (g.yaml, line 3)",
        "`lake.workers`: expected a whole number from 1 to 64, not 65 (g.yaml, line 4)",
        "`lake.compress`: expected true or false, not \"maybe\" (g.yaml, line 5)",
        "`lake.size_max`: expected a size such as 10 GiB, 500MB or 65536 (g.yaml, line 6)",
        "`listeners[0].port`: expected a whole number from 0 to 65535, not 99999 (g.yaml, line 8)",
        "`listeners[1]`: missing field `port` (g.yaml, line 9)",
        "unknown key `listeners[2].prot`: did you mean `port`? (g.yaml, line 10)",
        "`level`: expected one of debug, info, not \"debgu\"; did you mean debug? (g.yaml, line 11)",
        "unknown key `workers`: did you mean `lake.workers`? (g.yaml, line 12)",
        "unknown key `zzz`: known here are lake, listeners, level, password (g.yaml, line 13)",
    ];
    let found = problems(yaml, &[], &[]);
    for line in expected {
        assert!(found.iter().any(|f| f == line), "missing: {line}\nin {found:#?}");
    }
    // A listener whose port was refused lacks it afterwards; that is no second problem for a reader.
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn environment_and_flags_are_held_to_the_same_rules() {
    let found = problems("", &[("GUARDIAN_LAKE__WORKER", "1"), ("GUARDIAN_LAKE__WORKERS", "x")], &[("levle", "info")]);
    assert_eq!(
        found,
        [
            "unknown key `lake.worker`: did you mean `workers`? (environment variable GUARDIAN_LAKE__WORKER)",
            "`lake.workers`: expected a whole number from 1 to 64, not \"x\" (environment variable GUARDIAN_LAKE__WORKERS)",
            "unknown key `levle`: did you mean `level`? (command line)",
        ]
    );
}

#[test]
fn hostile_and_broken_yaml_is_refused_with_a_line() {
    let bomb = format!("a: &a [x,x]\n{}", (0..200).fold(String::new(), |s, i| s + &format!("b{i}: *a\n")));
    let deep = "[".repeat(10_000);
    for (yaml, part) in [
        ("lake:\n  dir: a\n  dir: b\n", "line 3"),
        ("lake: [", "not valid YAML"),
        ("- 1\n- 2\n", "must be keys"),
        ("just text", "must be keys"),
        (&*bomb, "YAML"),
        (&*deep, "YAML"),
    ] {
        let found = problems(yaml, &[], &[]);
        assert!(found[0].contains(part), "{found:?} lacks {part}");
    }
    let missing = Sources { file: Some("/no/such.yaml".into()), ..Sources::default() };
    assert!(load::<Root>(&missing).unwrap_err().to_string().contains("/no/such.yaml"));
}

#[test]
fn secrets_never_leak() {
    let found = problems("password: 12345\n", &[], &[]);
    assert_eq!(found, ["`password`: expected text (g.yaml, line 1)"]);
    let loaded = load::<Root>(&sources("password: hunter2\n", &[], &[])).unwrap();
    assert_eq!(loaded.value.password.expose(), "hunter2");
    let shown = loaded.show();
    assert!(!shown.contains("hunter2") && shown.contains("password: \"<redacted>\"  # g.yaml, line 1"), "{shown}");
}

#[test]
fn documents_derive_from_the_types() {
    let reference = reference::<Root>();
    for part in [
        "## `lake`\n\nThe telemetry store.\n\n| Key | Type | Default | Meaning |",
        "| `lake.retention` | duration | `90d` | How long rows are kept. |",
        "| `lake.workers` | integer 1–64 | `2` | Threads that compact. |",
        "| `lake.networks` | list of text | `[10.0.0.0/8]` |",
        "| `level` | `debug`, `info` | `info` | Level of the log. `debug`: Everything. `info`: What matters. |",
        "## `listeners[]`\n\nA socket.",
        "| `listeners[].port` | integer 0–65535 | required | Its port. |",
    ] {
        assert!(reference.contains(part), "{part}\nnot in\n{reference}");
    }
    let sample_text = sample::<Root>(&[("lake.dir", "/srv/x y".into()), ("lake.workers", 7.into())]);
    for line in ["  # How long rows are kept.", "  # retention: 90d", "  dir: /srv/x y", "  workers: 7"] {
        assert!(sample_text.lines().any(|l| l == line), "{line}\nnot in\n{sample_text}");
    }
    let loaded = load::<Root>(&sources(&sample_text, &[], &[])).unwrap();
    let lake = Lake { dir: "/srv/x y".into(), workers: 7, ..Lake::default() };
    assert_eq!(loaded.value, Root { lake, ..Root::default() });
    // Every commented key is valid when its comment sign is taken away.
    let uncommented: String = sample_text
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            Some(rest) if rest.split(':').next().is_some_and(|k| !k.contains(' ')) && rest.contains(": ") => {
                line.replacen("# ", "", 1) + "\n"
            }
            _ => format!("{line}\n"),
        })
        .collect();
    load::<Root>(&sources(&uncommented, &[], &[])).unwrap();
    // What is shown can be read again.
    let shown = loaded.show();
    assert_eq!(load::<Root>(&sources(&shown, &[], &[])).unwrap().value.lake, loaded.value.lake, "{shown}");
}
