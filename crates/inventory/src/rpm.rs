//! rpm's database in its three forms (SQLite since 4.16, "ndb" on SUSE, Berkeley DB before), and the headers in it
//! (rpm documentation, "Package format" and "Header tags").

mod bdb;
mod header;
mod ndb;

pub use header::{File, Header};

use crate::limits::ENTRIES_MAX;
use crate::sqlite::Database;
use crate::{Found, Malformed, Package};

/// The packages of a database file, whatever its form: `rpmdb.sqlite` (with what its `-wal` file has committed),
/// `Packages.db` or `Packages`. As in `rpm -qa`, the signing keys that rpm keeps as packages (`gpg-pubkey`) are there.
pub fn parse(file: &[u8], wal: Option<&[u8]>) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    headers(file, wal, |number, blob| {
        match Header::parse(blob).and_then(|header| header.package()) {
            Ok(package) => found.push(package),
            Err(malformed) => found.issue(number as usize, malformed.to_string()),
        }
        !found.full()
    })?;
    Ok(found)
}

/// Calls `each` with the number and the header of every package, until it returns false.
pub fn headers(file: &[u8], wal: Option<&[u8]>, mut each: impl FnMut(u32, &[u8]) -> bool) -> Result<(), Malformed> {
    if file.starts_with(b"SQLite format 3\0") {
        return Database::open(file, wal)?.rows("Packages", |id, values| match values.get(1).and_then(|v| v.bytes()) {
            Some(blob) => each(u32::try_from(id).unwrap_or(0), blob),
            None => true,
        });
    }
    let mut count = 0;
    let mut each = |number: u32, blob: &[u8]| {
        count += 1;
        each(number, blob) && count < ENTRIES_MAX
    };
    if file.starts_with(ndb::MAGIC) { ndb::headers(file, &mut each) } else { bdb::headers(file, &mut each) }
}
