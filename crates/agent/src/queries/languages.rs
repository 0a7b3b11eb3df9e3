//! Packages of Python and Node, where they usually lie.

use std::path::Path;

use guardian_inventory::{npm, python};
use rusqlite::types::Value;

use super::{Answered, Asked, Table, big, int, read, row, text};

/// Folders of one place that are looked at.
const FOLDERS_MAX: usize = 20_000;
/// How deep folders of Node lie in each other.
const DEPTH_MAX: usize = 8;
const NODE: [&str; 4] =
    ["/usr/lib/node_modules", "/usr/local/lib/node_modules", "/usr/share/nodejs", "/opt/lib/node_modules"];

/// `python_packages`.
pub(super) const PYTHON_PACKAGES: Table = Table {
    name: "python_packages",
    about: "Distributions of Python in the usual folders, or in the one that is named",
    needs: false,
    columns: &[
        text("name", "Name"),
        big("uid", "In whose home it lies; 0 for the system's"),
        text("version", "Version"),
        text("summary", "What it is"),
        text("author", "Who made it"),
        text("license", "Licence"),
        text("path", "Its folder"),
        text("directory", "The folder that was looked into").given(),
    ],
    rows: python_packages,
};

/// `npm_packages`.
pub(super) const NPM_PACKAGES: Table = Table {
    name: "npm_packages",
    about: "Packages of Node in the usual folders, or below the one that is named",
    needs: false,
    columns: &[
        text("name", "Name"),
        text("version", "Version"),
        text("description", "What it is"),
        text("author", "Who made it"),
        text("license", "Licence"),
        text("homepage", "Its home on the web"),
        text("path", "Its file package.json"),
        text("directory", "The folder that was looked into").given(),
        int("depth", "How many packages it lies in"),
    ],
    rows: npm_packages,
};

/// Folders with distributions, and whose they are.
fn python_folders() -> Vec<(u32, String)> {
    let mut all = Vec::new();
    let mut add = |uid: u32, place: &str| {
        for name in read::names(place).into_iter().filter(|name| name.starts_with("python")) {
            let inside = ["site-packages", "dist-packages"].map(|end| format!("{place}/{name}/{end}"));
            all.extend(inside.into_iter().filter(|folder| Path::new(folder).is_dir()).map(|folder| (uid, folder)));
        }
    };
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt/venv/lib"]
        .iter()
        .for_each(|place| add(0, place));
    read::users().iter().for_each(|user| add(user.uid, &format!("{}/.local/lib", user.home)));
    all.dedup();
    all
}

fn python_packages(asked: &Asked<'_>) -> Answered {
    let folders = asked.text("directory").map_or_else(python_folders, |folder| vec![(0, folder.to_owned())]);
    let rows = folders.into_iter().flat_map(|(uid, folder)| {
        let one = |name: String| {
            let path = format!("{folder}/{name}");
            let metadata = match name.rsplit_once('.').map(|(_, end)| end) {
                Some("dist-info") => read::bytes(format!("{path}/METADATA")),
                Some("egg-info") => read::bytes(format!("{path}/PKG-INFO")).or_else(|| read::bytes(&path)),
                _ => None,
            }?;
            let package = python::parse(&metadata).ok()?;
            let (summary, licence) = (python::summary(&metadata), package.licences.join(", "));
            let (author, folder) = (package.vendor, folder.as_str());
            Some(row![package.name, uid, package.version, summary, author, licence, path, folder])
        };
        read::names(&folder).into_iter().take(FOLDERS_MAX).filter_map(one).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn npm_packages(asked: &Asked<'_>) -> Answered {
    let places = match asked.text("directory") {
        Some(folder) => vec![folder.to_owned()],
        None => NODE.map(str::to_owned).into(),
    };
    let rows = places.into_iter().flat_map(|place| {
        let inside = format!("{}/node_modules", place.trim_end_matches('/'));
        // Either the folder of the packages is named, or the one of the project.
        let begin = if Path::new(&inside).is_dir() { inside } else { place.clone() };
        let mut rows = Vec::new();
        walk(&begin, &place, 0, &mut rows);
        rows
    });
    Ok(Box::new(rows))
}

fn walk(folder: &str, place: &str, depth: usize, rows: &mut Vec<Vec<Value>>) {
    for name in read::names(folder) {
        if rows.len() >= FOLDERS_MAX || name.starts_with('.') {
            continue;
        }
        let path = format!("{folder}/{name}");
        // Links lead to what is found elsewhere.
        if !std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            continue;
        }
        if name.starts_with('@') {
            walk(&path, place, depth, rows);
            continue;
        }
        rows.extend(package_row(&format!("{path}/package.json"), place, depth));
        if depth < DEPTH_MAX {
            walk(&format!("{path}/node_modules"), place, depth + 1, rows);
        }
    }
}

fn package_row(path: &str, place: &str, depth: usize) -> Option<Vec<Value>> {
    let file = read::bytes(path)?;
    let package = npm::parse(&file).ok()?;
    let whole: serde_json::Value = serde_json::from_slice(&file).ok()?;
    let author = whole["author"].as_str().or_else(|| whole["author"]["name"].as_str()).unwrap_or_default();
    Some(row![
        package.name,
        package.version,
        whole["description"].as_str().unwrap_or_default(),
        author,
        package.licences.join(", "),
        package.url,
        path,
        place,
        depth as u64,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_node_lie_in_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, name: &str| {
            let folder = dir.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!(r#"{{"name":"{name}","version":"1.2.3","description":"it","author":{{"name":"Ann"}}}}"#);
            std::fs::write(folder.join("package.json"), text).unwrap();
        };
        put("node_modules/a", "a");
        put("node_modules/a/node_modules/b", "b");
        put("node_modules/@scope/c", "@scope/c");
        let mut rows = Vec::new();
        let place = dir.path().to_str().unwrap();
        walk(&format!("{place}/node_modules"), place, 0, &mut rows);
        let seen: Vec<_> = rows.iter().map(|row| (row[0].clone(), row[3].clone(), row[8].clone())).collect();
        let text = |text: &str| Value::Text(text.into());
        let expected = [("@scope/c", 0), ("a", 0), ("b", 1)];
        assert_eq!(seen, expected.map(|(name, depth)| (text(name), text("Ann"), Value::Integer(depth))));
    }
}
