//! `guardian vulndb update`, and the server that does it itself, from a folder of downloads that a small web server on this
//! machine gives as a mirror.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::app::{App, PATIENCE, guardian, text};

/// Serves the files of a folder.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/advisories", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let path = lines.next().unwrap_or_default();
            let path = path.split(' ').nth(1).unwrap_or_default().trim_start_matches("/advisories/").to_owned();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let (status, body) = match std::fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            (&stream).write_all(&[head.as_bytes(), &body].concat()).ok();
        }
    });
    address
}

fn kev(folder: &Path, name: &str) {
    std::fs::create_dir_all(folder.join("kev")).unwrap();
    let catalogue = json!({ "catalogVersion": "1", "vulnerabilities": [{ "cveID": name, "dateAdded": "2030-01-01" }] });
    std::fs::write(folder.join("kev/kev.json"), catalogue.to_string()).unwrap();
}

fn without_proxy(mut command: Command) -> Command {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

fn update(data: &Path, mirror: &str, sources: &[&str]) -> Output {
    let mut command = without_proxy(guardian(data));
    command.args(["vulndb", "update", "--mirror", mirror]);
    sources.iter().for_each(|source| {
        command.args(["--source", source]);
    });
    command.output().unwrap()
}

#[test]
fn what_a_mirror_has_is_fetched_and_judged_by() {
    let home = tempfile::tempdir().unwrap();
    let (web, data) = (home.path().join("web"), home.path().join("data"));
    kev(&web, "CVE-2030-0001");
    let mirror = serve(web.clone());
    let done = update(&data, &mirror, &["kev"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    // Another source that is not there says so, and takes nothing away.
    let done = update(&data, &mirror, &["kev", "epss"]);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("epss/current.csv.gz could not be had, and there is none"));
    let status = |arguments: &[&str]| {
        let output = guardian(&data).args(["vulndb", "status"]).args(arguments).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = status(&[]);
    assert!(code == Some(0) && said.contains("kev") && said.contains("fetched last"), "{said}");
    assert!(said.contains("epss/current.csv.gz could not be had"), "{said}");
    // What was known on a day is asked of the stores that are kept.
    assert_eq!(status(&["--as-of", "2000-01-31"]).0, Some(1));
    assert!(status(&["--as-of", "2000-01-31"]).1.contains("the oldest was built"));
    assert_eq!(status(&["--as-of", "2999-01-31"]).0, Some(0));
    assert_eq!(status(&["--as-of", "yesterday"]).0, Some(2));
    // Nothing at all is an error.
    let nothing = update(&home.path().join("other"), &mirror, &["epss"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing.stderr));
}

#[test]
fn sources_are_listed_with_their_addresses() {
    let home = tempfile::tempdir().unwrap();
    let output = guardian(home.path()).args(["--output", "json", "vulndb", "sources"]).output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| rows.as_array().unwrap().iter().find(|row| row["source"] == name).cloned().unwrap();
    assert!(of("kev")["from"].as_str().unwrap().starts_with("https://www.cisa.gov/"));
    assert_eq!(of("osv")["file"], "AlmaLinux.zip");
}

#[test]
fn the_server_fetches_where_it_is_told_to() {
    let home = tempfile::tempdir().unwrap();
    let web = home.path().join("web");
    kev(&web, "CVE-2030-0002");
    let mirror = serve(web);
    let mut app = App::elsewhere();
    let set = format!("vulnerabilities.update_mirror={mirror}");
    app.spawn_with(&["--set", "vulnerabilities.update_interval=6h", "--set", &set]);
    let begun = std::time::Instant::now();
    loop {
        let said = app.cli(&["vulndb", "status"]);
        let said = text(&said.stdout) + &text(&said.stderr);
        if said.contains("kev") && said.contains("fetched last") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{said}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
