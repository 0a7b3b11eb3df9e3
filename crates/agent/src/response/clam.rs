//! ClamAV, where it is installed: through its daemon if that answers, else by itself. What it finds is told; taking it away is
//! an action of its own.

use guardian_protocol::limits::OUTPUT_BYTES_MAX;
use guardian_protocol::message::{Denied, Scan};
use guardian_sys::child::Limits;

use super::doing::{Doing, Done, Stop, denied};
use super::program;

/// It takes hours for a large disk, and shall not be felt.
const LIMITS: Limits = Limits { cpu_s: 0, memory_bytes: 0, file_bytes: 0, files: 0, nice: 15 };

/// The line of one file that it found something in: path and name.
pub fn finding(line: &str) -> Option<(&str, &str)> {
    let (path, rest) = line.strip_suffix(" FOUND")?.rsplit_once(": ")?;
    Some((path, rest))
}

/// Lets ClamAV look through files.
pub(crate) fn scan(wanted: &Scan, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let daemon = ["/run/clamav/clamd.ctl", "/run/clamd.scan/clamd.sock", "/run/clamav/clamd.sock"];
    let daemon = daemon.iter().any(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok());
    let name = match (program::find("clamdscan"), program::find("clamscan")) {
        (Some(_), _) if daemon => "clamdscan",
        (_, Some(_)) => "clamscan",
        _ => return denied(Denied::Unsupported, "ClamAV is not installed on this machine"),
    };
    let mut command = program::of(name)?;
    command.args(["--infected", "--no-summary"]);
    if name == "clamdscan" {
        // The daemon runs as a user of its own: it gets the open files.
        command.args(["--fdpass", "--multiscan"]);
    } else {
        command.args(["--recursive", "--cross-fs=no", "--follow-dir-symlinks=0", "--follow-file-symlinks=0"]);
    }
    command.arg("--").args(&wanted.paths);
    for path in &wanted.paths {
        doing.step("scan", path, name);
    }
    if doing.dry {
        return Ok(Done::new(format!("{name} would look through {} paths", wanted.paths.len())));
    }
    let mut ran = program::run(command, b"", LIMITS, None, OUTPUT_BYTES_MAX, doing)?;
    let code = ran.code();
    let output = std::mem::take(&mut ran.output);
    let text = String::from_utf8_lossy(&output).into_owned();
    doing.output(output, ran.lost);
    if let Some(stop) = ran.stopped {
        return Err(stop);
    }
    let found: Vec<_> = text.lines().filter_map(finding).collect();
    for (path, name) in &found {
        doing.step("found", *path, *name);
    }
    // 0 nothing was found, 1 something was, all else is an error (clamscan(1)).
    match code {
        0 => Ok(Done { status: Some(0), ..Done::new("nothing was found") }),
        1 => Ok(Done { status: Some(1), ..Done::new(format!("something was found in {} files", found.len())) }),
        _ => {
            let line: String = text.lines().last().unwrap_or_default().chars().take(300).collect();
            Err(Stop::Failed(format!("{name} ends with {code}: {line}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::finding;

    #[test]
    fn findings_are_read() {
        assert_eq!(
            finding("/srv/a: b.exe: Win.Test.EICAR_HDB-1 FOUND"),
            Some(("/srv/a: b.exe", "Win.Test.EICAR_HDB-1"))
        );
        assert_eq!(finding("/srv/a: OK"), None);
        assert_eq!(finding("LibClamAV Warning: FOUND"), None);
    }
}
