//! `cargo xtask probe`: what testers' and attackers' tools make of the running program. Each run has a server of its own
//! in an empty directory, filled over its own API by `crates/xtask/probe/fill.py`; the tools live in virtual environments
//! below `target/`, and their whole reports stay in `target/probe`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::child::Interrupt;
use crate::up::server::Server;
use crate::{attacks, cargo, peers, say};

/// Options of `cargo xtask probe`.
#[derive(Args)]
pub(crate) struct Options {
    /// Areas to probe instead of all
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(ALL.map(|area| area.name)))]
    area: Vec<String>,
    /// How long each tool may take, per role
    #[arg(long, default_value_t = 400)]
    seconds: u32,
    /// Probe the program that an earlier run built
    #[arg(long)]
    no_build: bool,
}

struct Area {
    name: &'static str,
    about: &'static str,
    run: fn(&Probe) -> Result<Vec<String>>,
}

/// Every area, in the order they run; each returns what was found.
const ALL: [Area; 4] = [
    Area { name: "api", about: "schemathesis over the OpenAPI document, as every role and as nobody", run: api },
    Area { name: "sql", about: "sqlmap on what takes text", run: sql },
    Area { name: "web", about: "wapiti on the console and the API", run: web },
    Area { name: "tls", about: "sslyze against Mozilla's guideline, with the local authority", run: tls },
];

/// Settings under which a session lasts as long as a tool.
const SETTINGS: &[&str] = &["server.address=127.0.0.1:0", "collect.listeners=[]", "identity.step_up=2h"];
/// Operations that would end the session that asks; the walk test (`crates/guardian/tests/it/walk.rs`) covers them.
const ENDS_SESSIONS: &str =
    "^(delete_session|delete_session_sessions|delete_session_sessions_id|put_session_password)$";
/// Where texts from outside reach a query, for sqlmap; `*` marks a place in the path.
const TEXTS: &[&str] = &[
    "/alerts?search=scan&entity=10&rule=a&attack=t1046&assignee=none&status=open&sort=activity&from=2026-01-01T00:00:00Z",
    "/incidents?search=case&entity=10&tag=a&owner=none&status=new&sort=updated",
    "/audit?action=session&subject=user&search=admin",
    "/flows?filter=dst_port%3D22&from=2026-01-01T00:00:00Z",
    "/flows/top?by=src_ip&metric=bytes&filter=dst_port%3D22",
    "/flows/histogram?filter=dst_port%3D22&buckets=9",
    "/search?q=10.0.0.1",
    "/users?search=admin&role=viewer",
    "/entities/ip/10.0.0.1*",
    "/rules/5f3f0a9e-2b0c-4b6f-9c55-7d1f64d10a01*",
];

/// Attacks of wapiti. Its attack on LDAP is left out: it takes two different refusals of a value for a directory's answer,
/// and refusals name the value. Sign-in asks a real directory in the tests instead.
const WEB_MODULES: &str =
    "backup,cookieflags,crlf,csp,csrf,exec,file,http_headers,methods,permanentxss,redirect,sql,timesql,xss,xxe";

/// What the runs share.
struct Probe {
    interrupt: Interrupt,
    /// Reports and data.
    folder: PathBuf,
    seconds: u32,
}

/// Runs the chosen areas.
pub(crate) fn run(options: &Options) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let folder = std::path::absolute(cargo::target_dir().join("probe"))?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if !options.no_build {
        cargo::build_guardian()?;
    }
    let probe = Probe { interrupt, folder, seconds: options.seconds };
    let chosen = |area: &&Area| options.area.is_empty() || options.area.iter().any(|name| name == area.name);
    let mut findings = Vec::new();
    for area in ALL.iter().filter(chosen) {
        say::step(&format!("{}: {}", area.name, area.about));
        let found = (area.run)(&probe)?;
        if found.is_empty() {
            say::note("nothing found");
        }
        findings.extend(found.into_iter().map(|finding| format!("{}: {finding}", area.name)));
    }
    for finding in &findings {
        say::note(finding);
    }
    ensure!(findings.is_empty(), "{} findings; the reports are in {}", findings.len(), probe.folder.display());
    Ok(())
}

/// A filled server; it goes away with its data.
struct Target {
    server: Server,
    data: PathBuf,
    people: Value,
}

impl Drop for Target {
    fn drop(&mut self) {
        let stopped = self.server.stop();
        if let Err(error) = stopped.and_then(|()| Ok(fs::remove_dir_all(&self.data)?)) {
            say::failure(&error);
        }
    }
}

impl Target {
    fn authority(&self) -> PathBuf {
        self.data.join("tls").join("ca.pem")
    }

    /// The session cookie of a role, `name=value`, and the id of its user.
    fn person(&self, role: &str) -> Result<(&str, &str)> {
        let person = &self.people["people"][role];
        let text = |name: &str| person[name].as_str().with_context(|| format!("nobody was made a {role}"));
        Ok((text("cookie")?, text("id")?))
    }
}

impl Probe {
    /// Starts a server and fills it.
    fn target(&self, name: &str) -> Result<Target> {
        let data = self.folder.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let settings: Vec<String> = SETTINGS.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect();
        let server = Server::start(&data, &settings, &self.interrupt)?;
        let mut target = Target { server, data, people: Value::Null };
        attacks::replay(&target.data, &[])?;
        let key = fs::read_to_string(target.data.join("run").join("operator.key"))?;
        let root = cargo::root();
        let mut fill = Command::new(peers::tools(&peers::API_TESTER)?.join("python"));
        fill.arg(root.join("crates/xtask/probe/fill.py")).arg(&target.server.url).arg(target.authority());
        let output = fill.arg(key.trim()).arg(root.join("crates/guardian/tests/it/walk-rule.yml")).output()?;
        ensure!(output.status.success(), "filling failed: {}", String::from_utf8_lossy(&output.stderr));
        target.people = serde_json::from_slice(&output.stdout).context("fill.py says no JSON")?;
        Ok(target)
    }

    /// Runs a tool with its output in a file; returns whether it succeeded, and the file's text.
    fn tool(&self, command: &mut Command, report: &str) -> Result<(bool, String)> {
        ensure!(!self.interrupt.is_set(), "stopped");
        let path = self.folder.join(report);
        let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        // Some libraries prefer the authorities of these variables to the one that they are given.
        for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status().with_context(|| format!("{command:?} does not start"))?;
        say::note(&format!("report: {}", path.display()));
        Ok((status.success(), fs::read_to_string(&path)?))
    }
}

/// Schemathesis, once per role and once as nobody.
fn api(probe: &Probe) -> Result<Vec<String>> {
    let tools = peers::tools(&peers::API_TESTER)?;
    let scripts = cargo::root().join("crates/xtask/probe");
    let mut findings = Vec::new();
    for role in ["nobody", "viewer", "operator", "admin"] {
        let target = probe.target(&format!("api-{role}"))?;
        let mut command = Command::new(tools.join("schemathesis"));
        command.arg("--config-file").arg(std::path::absolute(scripts.join("schemathesis.toml"))?).arg("--no-color");
        command.arg("run").arg(format!("{}/api/v1/openapi.json", target.server.url));
        command.arg("--tls-verify").arg(target.authority()).args(["--checks", "all", "--mode", "all"]);
        command.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--seed", "1"]);
        command.args(["--max-examples", "15", "--max-time", &probe.seconds.to_string()]);
        command.args(["--exclude-operation-id-regex", ENDS_SESSIONS]);
        let mut own = "nobody";
        if role != "nobody" {
            let (cookie, id) = target.person(role)?;
            command.args(["-H", &format!("Cookie: {cookie}"), "-H", "x-guardian-request: 1"]);
            own = id;
        }
        command
            .env("PROBE_OWN_ID", own)
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", std::path::absolute(&scripts)?);
        let (clean, text) = probe.tool(&mut command, &format!("api-{role}.txt"))?;
        let summary =
            text.split("= SUMMARY =").nth(1).with_context(|| format!("schemathesis ended early as {role}"))?;
        let wanted = |line: &&str| line.contains("generated") || line.contains("Tested:");
        summary.lines().filter(wanted).for_each(|line| say::note(&format!("{role}: {}", line.trim())));
        if !clean {
            let codes = summary.lines().filter(|line| line.trim_start().starts_with('❌') && line.contains(": "));
            findings.extend(codes.map(|line| format!("as {role}: {}", line.trim())));
        }
        still_signed_in(&target, role)?;
    }
    Ok(findings)
}

/// A run whose session ended half-way has tried little: that is a fault of the probe.
fn still_signed_in(target: &Target, role: &str) -> Result<()> {
    if role == "nobody" {
        return Ok(());
    }
    let (cookie, _) = target.person(role)?;
    let script = "import sys, urllib.request as u, ssl; r = u.Request(sys.argv[1], headers={'cookie': sys.argv[2]}); \
                  u.urlopen(r, context=ssl.create_default_context(cafile=sys.argv[3]))";
    let mut ask = Command::new(peers::tools(&peers::API_TESTER)?.join("python"));
    ask.args(["-c", script, &format!("{}/api/v1/session", target.server.url), cookie]).arg(target.authority());
    if !ask.stderr(Stdio::null()).status()?.success() {
        bail!("the session of the {role} ended during the run");
    }
    Ok(())
}

/// sqlmap as an administrator, on reads with text in them and on signing in.
fn sql(probe: &Probe) -> Result<Vec<String>> {
    let target = probe.target("sql")?;
    let (cookie, _) = target.person("admin")?;
    let sqlmap = peers::tools(&peers::SQL_TESTER)?.join("sqlmap");
    let url = format!("{}/api/v1", target.server.url);
    let each = (probe.seconds as usize / (TEXTS.len() + 1)).max(20).to_string();
    let mut findings = Vec::new();
    let mut attack = |name: &str, arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(&sqlmap);
        command.args(arguments).args([
            "--batch",
            "--flush-session",
            "--disable-coloring",
            "--level",
            "2",
            "--threads",
            "2",
        ]);
        command.args(["--dbms", "SQLite", "--technique", "BEUST", "--time-sec", "2", "--time-limit", &each]);
        command.args(["--ignore-code", "*"]).arg("--output-dir").arg(probe.folder.join("sqlmap"));
        let (_, text) = probe.tool(&mut command, &format!("sql-{name}.txt"))?;
        // Without either word it did not get as far as judging.
        ensure!(text.contains("testing") || text.contains("tested"), "sqlmap tested nothing: see sql-{name}.txt");
        if text.contains("identified the following injection point") || text.contains("is vulnerable") {
            findings.push(format!("{arguments:?} can be injected into"));
        }
        Ok(())
    };
    let cookie = format!("--cookie={cookie}");
    for (n, text) in TEXTS.iter().enumerate() {
        attack(&n.to_string(), &["-u", &format!("{url}{text}"), &cookie])?;
    }
    let body = r#"{"name": "admin-1", "password": "wrong"}"#;
    attack("session", &["-u", &format!("{url}/session"), "--data", body, "--headers=Content-Type: application/json"])?;
    Ok(findings)
}

/// Wapiti as an administrator, led by the OpenAPI document.
fn web(probe: &Probe) -> Result<Vec<String>> {
    let target = probe.target("web")?;
    let (cookie, _) = target.person("admin")?;
    let report = probe.folder.join("web.json");
    let mut command = Command::new(peers::tools(&peers::WEB_SCANNER)?.join("wapiti"));
    command.args(["-u", &format!("{}/", target.server.url), "--swagger"]);
    command.arg(format!("{}/api/v1/openapi.json", target.server.url)).args(["-H", &format!("Cookie: {cookie}")]);
    command.args(["-H", "x-guardian-request: 1", "--flush-session", "--no-bugreport", "--scope", "folder"]);
    command.args(["-x", &format!("{}/api/v1/session", target.server.url), "--verify-ssl", "0"]);
    command.args(["-m", WEB_MODULES]);
    command.args(["--max-scan-time", &probe.seconds.to_string(), "--max-attack-time", "60", "-f", "json", "-o"]);
    command.arg(&report).arg("--store-session").arg(probe.folder.join("wapiti"));
    probe.tool(&mut command, "web.txt")?;
    let text = fs::read_to_string(&report).context("wapiti wrote no report; see web.txt")?;
    let report: Value = serde_json::from_str(&text).context("wapiti's report is no JSON")?;
    let mut findings = Vec::new();
    for part in ["vulnerabilities", "anomalies"] {
        for (kind, found) in report[part].as_object().into_iter().flatten() {
            for finding in found.as_array().into_iter().flatten() {
                let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
                findings.push(format!("{kind}: {} {} {}", text("method"), text("path"), text("info")));
            }
        }
    }
    Ok(findings)
}

/// Sslyze, trusting the authority that the program made.
fn tls(probe: &Probe) -> Result<Vec<String>> {
    let target = probe.target("tls")?;
    let address = target.server.url.strip_prefix("https://").context("no https")?;
    let mut command = Command::new(peers::tools(&peers::TLS_SCANNER)?.join("sslyze"));
    command.args(["--mozilla_config=intermediate", "--certinfo_ca_file"]).arg(target.authority()).arg(address);
    let (clean, text) = probe.tool(&mut command, "tls.txt")?;
    ensure!(text.contains("Supplied CA file CA Store"), "sslyze judged no certificate; see tls.txt");
    let mut findings = Vec::new();
    if !clean {
        findings.extend(
            text.lines()
                .filter(|line| line.trim_start().starts_with("* "))
                .filter(|l| l.contains(": "))
                .map(str::to_owned),
        );
        if findings.is_empty() {
            findings.push("not compliant; see tls.txt".to_owned());
        }
    }
    Ok(findings)
}
