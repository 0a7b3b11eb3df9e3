//! Geographic and autonomous-system databases in MaxMind's format, whoever made them: GeoLite2, DB-IP, IPinfo and
//! ip-location-db name the same things differently, and all their names are read.
//!
//! The file is held in memory, so that replacing it on disk can never pull it away under a lookup.

use std::io;
use std::path::{Path, PathBuf};

use guardian_kit::capped::read_file_capped;
use guardian_model::{Ip, Micros};
use maxminddb::{LookupResult, Reader};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Largest database file, in bytes.
const DATABASE_BYTES_MAX: u64 = 2 << 30;

/// Networks looked at to find out what a database can tell.
const PROBES_MAX: usize = 4096;

/// Longest name that is taken over, in characters; longer ones are cut.
const NAME_CHARS_MAX: usize = 120;

/// What is known about the place of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// ISO 3166 code of the country.
    pub country: Option<String>,
    /// City, in English where the database has several languages.
    pub city: Option<String>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
    /// Who runs it.
    pub as_org: Option<String>,
}

/// A database that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatabaseInfo {
    /// The file.
    pub path: PathBuf,
    /// What its maker calls it.
    pub database_type: String,
    /// When it was made.
    pub built: Micros,
    /// Whether it knows countries.
    pub countries: bool,
    /// Whether it knows cities.
    pub cities: bool,
    /// Whether it knows autonomous systems.
    pub systems: bool,
    /// Memory that it occupies, in bytes.
    pub memory_bytes: u64,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GeoError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("not an MMDB database: {0}")]
    Format(#[from] maxminddb::MaxMindDbError),
    #[error("it is of the type {0} and knows neither countries nor cities nor autonomous systems")]
    Useless(String),
}

#[derive(Debug)]
pub(crate) struct Database {
    reader: Reader<Vec<u8>>,
    pub(crate) info: DatabaseInfo,
}

/// What one record says; texts point into the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) country: Option<&'a str>,
    pub(crate) city: Option<&'a str>,
    pub(crate) asn: Option<u32>,
    pub(crate) as_org: Option<&'a str>,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, GeoError> {
        let bytes = read_file_capped(path, DATABASE_BYTES_MAX)?;
        let memory_bytes = bytes.len() as u64;
        let reader = Reader::from_source(bytes)?;
        let metadata = reader.metadata();
        let info = DatabaseInfo {
            path: path.to_owned(),
            database_type: metadata.database_type.clone(),
            built: Micros::from_secs(i64::try_from(metadata.build_epoch).unwrap_or_default()),
            countries: false,
            cities: false,
            systems: false,
            memory_bytes,
        };
        let mut database = Self { reader, info };
        database.probe()?;
        Ok(database)
    }

    fn probe(&mut self) -> Result<(), GeoError> {
        let kind = self.info.database_type.to_lowercase();
        let mut cities = kind.contains("city") || kind.contains("enterprise");
        let (mut countries, mut systems) = (cities || kind.contains("country"), kind.contains("asn"));
        let named = countries || systems;
        for found in self.reader.networks(maxminddb::WithinOptions::default())?.take(PROBES_MAX) {
            let Ok(found) = found else { break };
            let answer = decode(&found);
            countries |= answer.country.is_some();
            cities |= answer.city.is_some();
            systems |= answer.asn.is_some();
        }
        if !(countries || cities || systems || named) {
            return Err(GeoError::Useless(self.info.database_type.clone()));
        }
        (self.info.countries, self.info.cities, self.info.systems) = (countries, cities, systems);
        Ok(())
    }

    /// The record of an address and its place in the file, by which answers can be remembered.
    pub(crate) fn find(&self, ip: Ip) -> Option<(usize, LookupResult<'_, Vec<u8>>)> {
        if self.reader.metadata().ip_version == 4 && !ip.is_v4() {
            return None;
        }
        let found = self.reader.lookup(ip.to_std()).ok()?;
        Some((found.offset()?, found))
    }
}

pub(crate) fn decode<'a>(found: &LookupResult<'a, Vec<u8>>) -> Answer<'a> {
    found.decode::<Record<'a>>().ok().flatten().map(|record| record.answer()).unwrap_or_default()
}

/// The union of what the makers write.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Named<'a>,
    #[serde(borrow)]
    registered_country: Named<'a>,
    #[serde(borrow)]
    country_code: Scalar<'a>,
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    autonomous_system_number: Scalar<'a>,
    #[serde(borrow)]
    autonomous_system_organization: Scalar<'a>,
    #[serde(borrow)]
    asn: Scalar<'a>,
    #[serde(borrow)]
    as_number: Scalar<'a>,
    #[serde(borrow)]
    as_name: Scalar<'a>,
    #[serde(borrow)]
    as_organization: Scalar<'a>,
    #[serde(borrow)]
    organization: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    traits: Traits<'a>,
}

/// Where GeoIP2 Enterprise keeps the autonomous system.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Traits<'a> {
    #[serde(borrow)]
    autonomous_system_number: Scalar<'a>,
    #[serde(borrow)]
    autonomous_system_organization: Scalar<'a>,
}

/// A name as such, or a map with codes and names in several languages.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named<'a> {
    Text(&'a str),
    #[serde(borrow)]
    Map(NamedMap<'a>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct NamedMap<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Option<Names<'a>>,
}

#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

/// A number or a text, such as `15169` or `AS15169`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar<'a> {
    Number(u64),
    Text(&'a str),
    Other(IgnoredAny),
}

impl Default for Named<'_> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl Default for Scalar<'_> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl<'a> Named<'a> {
    fn code(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(*text),
            Self::Map(map) => map.iso_code,
            Self::Other(_) => None,
        }
        .filter(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
    }

    fn name(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => named(text),
            Self::Map(map) => named(map.names.as_ref()?.en?),
            Self::Other(_) => None,
        }
    }
}

impl<'a> Scalar<'a> {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(n) => u32::try_from(*n).ok(),
            Self::Text(text) => text.trim_start_matches("AS").parse().ok(),
            Self::Other(_) => None,
        }
        .filter(|n| *n != 0)
    }

    fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { named(text) } else { None }
    }
}

fn named(text: &str) -> Option<&str> {
    let end = text.char_indices().nth(NAME_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    Some(text[..end].trim()).filter(|text| !text.is_empty() && *text != "-")
}

impl<'a> Record<'a> {
    fn answer(&self) -> Answer<'a> {
        let code = Scalar::text(&self.country_code).filter(|code| code.len() == 2);
        let numbers =
            [&self.autonomous_system_number, &self.asn, &self.as_number, &self.traits.autonomous_system_number];
        let asn = numbers.into_iter().find_map(Scalar::number);
        let organizations = [
            &self.autonomous_system_organization,
            &self.as_organization,
            &self.as_name,
            &self.traits.autonomous_system_organization,
            &self.organization,
            &self.name,
        ];
        Answer {
            country: self.country.code().or(code).or_else(|| self.registered_country.code()),
            city: self.city.name(),
            asn,
            // A bare name belongs to the system only where there is one.
            as_org: asn.and_then(|_| organizations.into_iter().find_map(Scalar::text)),
        }
    }
}
