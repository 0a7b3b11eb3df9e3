//! Scripts. None runs that was not signed by a key which is pinned on this machine, whoever sends it: who takes over the server
//! can send only what its owner has signed before, to those hosts, until it expires.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use guardian_protocol::Blob;
use guardian_protocol::limits::OUTPUT_BYTES_MAX;
use guardian_protocol::message::{Denied, Script};
use guardian_sys::child::Limits;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::books::{Books, Standing};
use super::control_group::ControlGroup;
use super::doing::{Doing, Done, Stop, denied, failed};
use super::pins::{self, Pins};
use super::{Options, program};

/// What each process of a script may use.
const LIMITS: Limits = Limits { cpu_s: 3_600, memory_bytes: 8 << 30, file_bytes: 1 << 30, files: 1_024, nice: 10 };

fn pair(seed: &[u8; 32]) -> io::Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| io::Error::other("the key cannot be used"))
}

/// The public key, base64, of a seed.
pub fn script_public_key(seed: &[u8; 32]) -> io::Result<String> {
    Ok(STANDARD.encode(pair(seed)?.public_key().as_ref()))
}

/// Signs a script with the key of a seed.
pub fn sign(script: Script, seed: &[u8; 32]) -> io::Result<Script> {
    let signature = Blob(pair(seed)?.sign(&script.statement()).as_ref().to_vec());
    Ok(Script { signature, ..script })
}

/// Whether a script may run on this machine, now.
fn admit(options: &Options, pins: &Pins, script: &Script) -> Result<(), Stop> {
    if pins.script_keys.is_empty() {
        return denied(Denied::NoKey, "no key for scripts is pinned on this machine: none ever runs");
    }
    let statement = script.statement();
    let signed = pins
        .script_keys
        .iter()
        .filter_map(|text| pins::key(text).ok())
        .any(|key| UnparsedPublicKey::new(&ED25519, key).verify(&statement, &script.signature.0).is_ok());
    if !signed {
        return denied(Denied::Signature, "the script is not signed by a key that is pinned on this machine");
    }
    // What follows is believed, because it was signed.
    if !script.hosts.is_empty() && !script.hosts.contains(&options.host) {
        return denied(Denied::OtherHost, "the script was signed for other machines");
    }
    if crate::now() > script.expires {
        return denied(Denied::Expired, "the signature of the script has expired");
    }
    Ok(())
}

/// Runs a script.
pub(crate) fn run(
    options: &Options,
    books: &Books,
    pins: &Pins,
    script: &Script,
    doing: &mut Doing<'_>,
) -> Result<Done, Stop> {
    admit(options, pins, script)?;
    let interpreter = Path::new(&script.interpreter);
    if !fs::metadata(interpreter).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0) {
        return denied(Denied::Unsupported, format!("this machine has no {}", script.interpreter));
    }
    let statement = blake3::hash(&script.statement()).to_hex().to_string();
    if script.once && books.standing()?.scripts.contains_key(&statement) {
        return denied(Denied::Repeated, "the script was to run once, and did");
    }
    doing.step("verify", &statement, "signed by a key that is pinned here");
    let words: Vec<String> = script.arguments.iter().map(|argument| format!("{argument:?}")).collect();
    doing.step("run", format!("{} SCRIPT {}", script.interpreter, words.join(" ")), script.purpose.clone());
    if doing.dry {
        doing.output(script.text.as_bytes().to_vec(), 0);
        return Ok(Done::new("the script would run as root; its text is in the output"));
    }
    if script.once {
        // Noted before it runs: one that is interrupted has run.
        let edit = |standing: &mut Standing| {
            let now = crate::now();
            standing.scripts.retain(|_, expires| *expires > now);
            standing.scripts.insert(statement.clone(), script.expires);
            Ok(())
        };
        books.change(edit, |_| Ok(()))?;
    }
    let folder = books.scripts().join(HEXLOWER.encode(&doing.id));
    fs::create_dir(&folder).map_err(failed("no folder for the script"))?;
    let ran = start(interpreter, script, &folder, doing);
    fs::remove_dir_all(&folder).map_err(failed("the script's folder cannot be removed"))?;
    let mut ran = ran?;
    let code = ran.code();
    doing.output(std::mem::take(&mut ran.output), ran.lost);
    if let Some(stop) = ran.stopped {
        return Err(stop);
    }
    let text = if code < 0 { format!("signal {} ended it", -code) } else { format!("it ended with {code}") };
    Ok(Done { status: Some(code), ..Done::new(text) })
}

fn start(interpreter: &Path, script: &Script, folder: &Path, doing: &mut Doing<'_>) -> Result<program::Ran, Stop> {
    let file = folder.join("script");
    let mut out = fs::File::options().write(true).create_new(true).mode(0o500).open(&file)?;
    io::Write::write_all(&mut out, script.text.as_bytes())?;
    drop(out);
    let mut command = program::bare(Command::new(interpreter));
    command.arg(&file).args(&script.arguments).env("HOME", folder).env("TMPDIR", folder).current_dir(folder);
    let group = ControlGroup::new(&HEXLOWER.encode(&doing.id));
    let held = match &group {
        Some(group) if !group.limits.is_empty() => group.limits.join(", "),
        Some(_) => "no controllers: limits of single processes alone".to_owned(),
        None => "none: limits of single processes alone".to_owned(),
    };
    doing.step("confine", "control group", held);
    let entrance = group.as_ref().map(ControlGroup::entrance).transpose().map_err(failed("its control group"))?;
    let ran = program::run(command, b"", LIMITS, entrance, OUTPUT_BYTES_MAX, doing);
    if let Some(group) = group
        && !group.kill()
    {
        doing.step("leave", "processes of the script", "they wait in the kernel and cannot be killed now");
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_pinned_key_signed_for_this_host_and_this_time_may_run() {
        let options =
            Options { home: "/nonexistent".into(), host: "host-1".into(), server: String::new(), proxy: None };
        let (seed, other) = ([7; 32], [8; 32]);
        let pins = Pins { script_keys: vec![script_public_key(&seed).unwrap()], ..Pins::default() };
        let script = Script {
            interpreter: "/bin/sh".into(),
            text: "id".into(),
            expires: crate::now() + 60_000_000,
            ..Script::default()
        };
        let why = |pins: &Pins, script: Script| match admit(&options, pins, &script) {
            Ok(()) => None,
            Err(Stop::Denied(why, _)) => Some(why),
            Err(stop) => panic!("{stop}"),
        };
        let signed = |script: Script| sign(script, &seed).unwrap();
        assert_eq!(why(&pins, signed(script.clone())), None);
        let here = Script { hosts: vec!["host-2".into(), "host-1".into()], ..script.clone() };
        assert_eq!(why(&pins, signed(here)), None);
        assert_eq!(why(&Pins::default(), signed(script.clone())), Some(Denied::NoKey));
        assert_eq!(why(&pins, sign(script.clone(), &other).unwrap()), Some(Denied::Signature));
        assert_eq!(why(&pins, Script { text: "id -u".into(), ..signed(script.clone()) }), Some(Denied::Signature));
        assert_eq!(why(&pins, Script { once: true, ..signed(script.clone()) }), Some(Denied::Signature));
        assert_eq!(why(&pins, script.clone()), Some(Denied::Signature));
        let there = Script { hosts: vec!["host-2".into()], ..script.clone() };
        assert_eq!(why(&pins, signed(there)), Some(Denied::OtherHost));
        let late = Script { expires: crate::now() - 1, ..script };
        assert_eq!(why(&pins, signed(late)), Some(Denied::Expired));
    }
}
