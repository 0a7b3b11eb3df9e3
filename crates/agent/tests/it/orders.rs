//! Scripts, evidence and accounts, for real.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command as Program;
use std::time::{Duration, Instant};

use guardian_agent::response::{Pins, Response, script_public_key, sign};
use guardian_evidence::{SecretKey, Unlock};
use guardian_protocol::message::{Action, Collect, Command, Denied, Progress, Scan, Script, Yara};

use crate::response::{Place, command, done, is_root, options, place, refused};

const SEED: [u8; 32] = [7; 32];

fn pinned() -> Place {
    let place = place();
    let pins = Pins { script_keys: vec![script_public_key(&SEED).unwrap()], ..Pins::default() };
    pins.write(place.home.path()).unwrap();
    place
}

fn script(text: &str) -> Script {
    Script {
        interpreter: "/bin/sh".into(),
        text: text.into(),
        expires: guardian_agent::now() + 60_000_000,
        ..Script::default()
    }
}

fn signed(script: Script) -> Action {
    Action::Script(sign(script, &SEED).unwrap())
}

fn alive(argument: &str) -> bool {
    let output = Program::new("pgrep").args(["-f", argument]).output().unwrap();
    !output.stdout.is_empty()
}

#[test]
fn a_signed_script_runs_within_its_bounds() {
    if !is_root() {
        return;
    }
    let place = pinned();
    let file = place.home.path().join("touched");
    let text = format!("touch {}; echo \"$1:$2\"; echo wrong >&2; pwd; ls; exit 3", file.display());
    let wanted = Script { arguments: vec!["a b".into(), "$(id)".into()], ..script(&text) };
    let told = place.rehearse(signed(wanted.clone()));
    done(&told);
    assert!(!file.exists() && told.output.0 == text.as_bytes());
    let outcome = place.act(signed(wanted));
    done(&outcome);
    assert!(file.exists());
    let output = String::from_utf8(outcome.output.0).unwrap();
    assert_eq!(outcome.status, Some(3));
    assert!(output.starts_with("a b:$(id)\nwrong\n") && output.ends_with("script\n"), "{output}");
    assert_eq!(fs::read_dir(place.home.path().join("response/scripts")).unwrap().count(), 0);

    let loud = place.act(signed(script("head -c 2000000 /dev/zero")));
    done(&loud);
    assert_eq!((loud.output.0.len(), loud.output_lost), (512 << 10, 2_000_000 - (512 << 10)));

    // What it leaves behind, even in a session of its own, goes with it.
    let left = place.act(signed(script("setsid sleep 7003.1 & sleep 7003.1 & echo left")));
    done(&left);
    assert!(left.steps.iter().any(|step| step.verb == "confine"));
    // Whoever is killed is there until the kernel comes to it.
    let begun = Instant::now();
    while alive("sleep 7003.1") {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(10));
    }

    let begun = Instant::now();
    let slow = Command { timeout_ms: 700, ..command(signed(script("echo begun; sleep 7004.1"))) };
    let slow = place.tell(&slow);
    assert_eq!((slow.progress, slow.output.0.as_slice()), (Progress::TimedOut, b"begun\n".as_slice()));
    assert!(begun.elapsed() < Duration::from_secs(5) && !alive("sleep 7004.1"));
}

#[test]
fn a_script_that_is_not_signed_for_this_never_runs() {
    if !is_root() {
        return;
    }
    let place = pinned();
    let file = place.home.path().join("touched");
    let text = format!("touch {}", file.display());
    let good = script(&text);
    refused(&place.act(Action::Script(good.clone())), Denied::Malformed);
    let other = sign(good.clone(), &[8; 32]).unwrap();
    refused(&place.act(Action::Script(other)), Denied::Signature);
    let Action::Script(changed) = signed(good.clone()) else { panic!("a script") };
    let changed = Script { arguments: vec!["x".into()], ..changed };
    refused(&place.act(Action::Script(changed)), Denied::Signature);
    let late = Script { expires: guardian_agent::now() - 1, ..good.clone() };
    refused(&place.act(signed(late)), Denied::Expired);
    let there = Script { hosts: vec!["host-2".into()], ..good.clone() };
    refused(&place.act(signed(there)), Denied::OtherHost);
    assert!(!file.exists());
    Pins::default().write(place.home.path()).unwrap();
    refused(&place.act(signed(good.clone())), Denied::NoKey);
    assert!(!file.exists());

    let place = pinned();
    let once = Script { once: true, hosts: vec!["host-1".into()], ..good };
    done(&place.act(signed(once.clone())));
    assert!(file.exists());
    fs::remove_file(&file).unwrap();
    // Another command with the same script, after a restart.
    let again = Response::open(options(place.home.path())).unwrap();
    let mut last = None;
    again.execute(&command(signed(once)), 0, &mut |outcome| last = Some(outcome));
    refused(&last.unwrap(), Denied::Repeated);
    assert!(!file.exists());
}

/// Keys are made, a script is signed and refused or run by the program itself, as an operator would.
#[test]
fn scripts_are_signed_at_a_desk() {
    if !is_root() {
        return;
    }
    let place = place();
    let desk = tempfile::tempdir().unwrap();
    let agent = |words: &[&str]| {
        let program =
            Program::new(env!("CARGO_BIN_EXE_guardian-agent")).arg("-d").arg(place.home.path()).args(words).output();
        let output = program.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (key, file) = (desk.path().join("key"), desk.path().join("script.sh"));
    let (key, path) = (key.to_str().unwrap(), file.to_str().unwrap());
    let (made, public) = agent(&["script-key", "--out", key]);
    assert!(made && !agent(&["script-key", "--out", key]).0, "a key is never written over");
    fs::write(path, "echo hello $1\n").unwrap();
    let (made, action) = agent(&["sign-script", "--key", key, "--purpose", "greet", path, "--", "you"]);
    assert!(made, "{action}");
    let ready = desk.path().join("action.json");
    fs::write(&ready, &action).unwrap();
    let at = format!("@{}", ready.display());
    let (ran, told) = agent(&["respond", &at]);
    assert!(!ran && told.contains("no_key"), "{told}");
    Pins { script_keys: vec![public.trim().into()], ..Pins::default() }.write(place.home.path()).unwrap();
    let (ran, told) = agent(&["respond", &at]);
    assert!(ran, "{told}");
    let outcome: guardian_protocol::message::Outcome = serde_json::from_str(&told).unwrap();
    assert_eq!(outcome.output.0, b"hello you\n");
}

#[test]
fn evidence_opens_for_its_holder_and_is_what_its_manifest_says() {
    if !is_root() {
        return;
    }
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    let content: Vec<u8> = (0..200_000u32).map(|i| (i % 253) as u8).collect();
    fs::write(real.join("one.bin"), &content).unwrap();
    fs::write(real.join("two.txt"), "secret words").unwrap();
    std::os::unix::fs::symlink("/etc/shadow", real.join("link.txt")).unwrap();
    // A program that is on no disk any more.
    let gone = real.join("gone");
    guardian_testkit::program::write(&gone, fs::read("/bin/sleep").unwrap());
    let mut hidden = Program::new(&gone).arg("7005").spawn().unwrap();
    fs::remove_file(&gone).unwrap();
    let secret = SecretKey::new([9; 32]);
    let wanted = Collect {
        files: vec![format!("{}/*.*", real.display()), "/nowhere/at/all".into()],
        folders: vec![real.to_str().unwrap().into()],
        recipient: secret.public().0,
        ..Collect::default()
    };
    let evidence = || fs::read_dir(place.home.path().join("response/evidence")).unwrap().count();
    done(&place.rehearse(Action::Collect(wanted.clone())));
    assert_eq!(evidence(), 0);
    let nobody = Collect { recipient: [0; 32], ..wanted.clone() };
    refused(&place.act(Action::Collect(nobody)), Denied::Malformed);

    let order = command(Action::Collect(wanted.clone()));
    let outcome = place.tell(&order);
    hidden.kill().unwrap();
    hidden.wait().unwrap();
    done(&outcome);
    println!("{}", outcome.text);
    let pack = outcome.pack.clone().unwrap();
    let bytes = in_parts(&place, &order, pack.bytes);
    assert_eq!(blake3::hash(&bytes).as_bytes().as_slice(), pack.hash.0);
    assert!(!bytes.windows(12).any(|part| part == b"secret words"));
    let mut found = std::collections::BTreeMap::new();
    let unlock = Unlock::Secret(secret);
    let opened = guardian_evidence::open(bytes.as_slice(), &unlock, 1 << 30, |name, entry| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        found.insert(name.to_owned(), content);
        Ok(())
    });
    let opened = opened.unwrap();
    assert_eq!(opened.problems, Vec::<String>::new());
    assert_eq!((opened.manifest.host.as_str(), opened.manifest.by.as_str()), ("host-1", "ann"));
    assert!(outcome.steps.iter().any(|step| step.verb == "manifest" && step.target.len() == 64));
    let file = |name: &str| &found[&format!("files{}", real.join(name).display())];
    assert!(file("one.bin") == &content && file("two.txt") == b"secret words");
    assert_eq!(file("link.txt").len(), 0, "a link is noted and not followed");
    let text = |name: &str| String::from_utf8(found[name].clone()).unwrap();
    let own = format!("\"pid\":{},", std::process::id());
    assert!(text("processes-000.jsonl").contains(&own));
    assert!(found.contains_key(&format!("maps/{}", std::process::id())));
    assert!(found[&format!("programs/{}", hidden.id())].starts_with(b"\x7fELF"));
    assert!(text("timeline-000.jsonl").contains("two.txt"));
    assert!(found.contains_key("persistence/etc/passwd") && !found.contains_key("persistence/etc/shadow"));
    let rest = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(text("open-files-000.jsonl").lines().count() >= rest);

    opened_by_the_program(&place.response.pack_path(&order.id), &real.join("one.bin"), &content);
    place.response.pack_done(&order.id).unwrap();
    assert_eq!(evidence(), 0);
    the_owners_key_wins(&place, wanted);
}

/// A pack as it would be sent.
fn in_parts(place: &Place, order: &Command, all: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < all {
        let (part, length) = place.response.pack_part(&order.id, bytes.len() as u64, 100_000).unwrap();
        assert_eq!(length, all);
        bytes.extend_from_slice(&part);
    }
    bytes
}

/// By the program, to a folder.
fn opened_by_the_program(pack: &Path, of: &Path, content: &[u8]) {
    let desk = tempfile::tempdir().unwrap();
    let (key, to) = (desk.path().join("key"), desk.path().join("out"));
    let mut out = fs::File::create(&key).unwrap();
    out.write_all(b"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n").unwrap();
    let mut agent = Program::new(env!("CARGO_BIN_EXE_guardian-agent"));
    agent.arg("open-evidence").arg("--key").arg(&key).arg("--to").arg(&to).arg(pack);
    let told = agent.output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(fs::read(to.join(format!("files{}", of.display()))).unwrap() == content);
}

/// The owner's own key wins over what the server asks for, and a small limit leaves out what does not fit.
fn the_owners_key_wins(place: &Place, wanted: Collect) {
    let owner = SecretKey::new([11; 32]);
    let key = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(owner.public().0)
    };
    Pins { evidence_key: Some(key), ..Pins::default() }.write(place.home.path()).unwrap();
    let parts = vec!["sockets".to_owned()];
    let small = command(Action::Collect(Collect { parts, bytes_max: 150_000, ..wanted }));
    let outcome = place.tell(&small);
    done(&outcome);
    assert!(outcome.pack.unwrap().left_out > 0);
    let bytes = fs::read(place.response.pack_path(&small.id)).unwrap();
    let opened = guardian_evidence::open(bytes.as_slice(), &Unlock::Secret(owner), 1 << 30, |_, _| Ok(())).unwrap();
    assert!(opened.problems.is_empty() && opened.manifest.left_out.iter().any(|left| left.what.ends_with("one.bin")));
}

/// Accounts of a copy of `/etc`, in a mount namespace of its own.
#[test]
fn an_account_is_locked_and_unlocked_as_it_was() {
    let tools = ["/usr/sbin/usermod", "/usr/sbin/useradd", "/usr/bin/setpriv", "/usr/bin/unshare"];
    if !is_root() || tools.iter().any(|tool| !Path::new(tool).exists()) {
        eprintln!("skipped: the tools for accounts are not here");
        return;
    }
    let place = place();
    let work = tempfile::tempdir().unwrap();
    let script = r#"
set -e
cp -a /etc "$WORK/etc"
mount --bind "$WORK/etc" /etc
useradd -M -u 47011 -p '$6$salt$hash' -e 2031-02-03 eve
useradd -M -u 47012 mallory
line() { grep "^$1:" /etc/shadow; }
respond() { "$AGENT" -d "$HOME_DIR" respond "$@" > "$WORK/out" || { cat "$WORK/out"; return 1; }; }
before=$(line eve); locked=$(line mallory)
setpriv --reuid 47011 --clear-groups sh -c 'trap "" TERM; sleep 7006 & wait' &
sleep 0.3
respond --dry-run '{"kind":"disable_user","name":"eve","sessions":true}'
grep -q '"verb": "end"' "$WORK/out"
test "$(line eve)" = "$before"
pgrep -u 47011 > /dev/null
respond '{"kind":"disable_user","name":"eve","sessions":true}'
line eve | grep -q '^eve:!\$6\$salt\$hash:.*:1:$'
! pgrep -u 47011 > /dev/null
respond '{"kind":"disable_user","name":"eve"}'
respond '{"kind":"enable_user","name":"eve"}'
test "$(line eve)" = "$before"
respond '{"kind":"disable_user","name":"mallory"}'
line mallory | grep -q ':1:$'
respond '{"kind":"enable_user","name":"mallory"}'
test "$(line mallory)" = "$locked"
! respond '{"kind":"enable_user","name":"mallory"}' > /dev/null
! respond '{"kind":"disable_user","name":"root"}' > /dev/null
! respond '{"kind":"disable_user","name":"nobody-knows"}' > /dev/null
echo as it was
"#;
    let mut program = Program::new("unshare");
    program
        .args(["-m", "--propagation", guardian_testkit::machine::propagation(), "sh", "-c", script])
        .env("WORK", work.path())
        .env("HOME_DIR", place.home.path());
    let output = program.env("AGENT", env!("CARGO_BIN_EXE_guardian-agent")).output().unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.ends_with("as it was\n"), "{told}\n{wrong}");
}

/// A rule that finds a word, and says what it is for.
const RULES: &str = r#"
rule word : test tagged {
  meta:
    description = "a word that nobody writes"
    score = 7
  strings:
    $word = "guardian-marker-4711"
    $other = { 67 75 61 ?? 64 69 61 6e 2d }
  condition:
    $word and $other
}
rule program { condition: uint32be(0) == 0x7f454c46 }
"#;

fn yara(rules: &str, path: &Path, bytes_max: u64) -> Action {
    Action::Yara(Yara { rules: rules.into(), paths: vec![path.to_str().unwrap().into()], bytes_max })
}

#[test]
fn yara_rules_find_what_they_describe_and_nothing_else_is_opened() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("below")).unwrap();
    fs::write(at("below/marked"), ["xx", "guardian-", "marker-4711"].concat()).unwrap();
    fs::write(at("plain"), "guardian").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::copy("/bin/true", at("program")).unwrap();
    fs::write(at("large"), vec![b'x'; 300_000]).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let outcome = place.act(yara(RULES, folder.path(), 200_000));
    done(&outcome);
    let found: Vec<_> = outcome.steps.iter().filter(|step| step.verb == "found").collect();
    let of = |name: &str| found.iter().find(|step| step.target.ends_with(name)).map(|step| step.note.as_str());
    assert_eq!(found.len(), 2, "{outcome:?}");
    let note = of("below/marked").unwrap();
    assert!(note.starts_with("word [test, tagged]: description = a word that nobody writes; score = 7"), "{note}");
    assert!(note.contains("$word at 0x2") && note.contains("$other at 0x2"), "{note}");
    assert!(of("program").unwrap().starts_with("program"), "{outcome:?}");
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.text.starts_with("rules match 2 files, of 4 "), "{}", outcome.text);
    assert!(outcome.text.contains("1 are larger than the limit"), "{}", outcome.text);
}

#[test]
fn yara_rules_that_cannot_be_read_are_told_where_they_are_wrong() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let outcome = place.act(yara("rule r { condition: $nothing }", folder.path(), 0));
    assert_eq!((outcome.progress, outcome.denied), (Progress::Refused, Denied::Malformed), "{outcome:?}");
    assert!(outcome.text.contains("unknown pattern `$nothing`") && outcome.text.contains("line:1"), "{}", outcome.text);
    let outside = place.act(yara("include \"/etc/passwd\"\nrule r { condition: true }", folder.path(), 0));
    assert_eq!(outside.denied, Denied::Malformed, "{outside:?}");
    assert!(!outside.text.contains("root:"), "{}", outside.text);
    let missing = place.act(yara(RULES, &folder.path().join("absent"), 0));
    assert_eq!(missing.progress, Progress::Failed, "{missing:?}");
}

#[test]
fn clamav_finds_what_it_is_told_to_look_for() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    // In two parts, so that this file is no finding itself.
    let test = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    fs::write(folder.path().join("eicar.com"), test).unwrap();
    let outcome = place.act(Action::Scan(Scan { paths: vec![folder.path().to_str().unwrap().into()] }));
    if outcome.denied == Denied::Unsupported {
        eprintln!("skipped: {}", outcome.text);
        return;
    }
    if outcome.progress == Progress::Failed {
        eprintln!("skipped: ClamAV does not work here: {}", outcome.text);
        return;
    }
    done(&outcome);
    assert!(outcome.steps.iter().any(|step| step.verb == "found" && step.target.ends_with("eicar.com")), "{outcome:?}");
}
