//! Certificates on the disk (RFC 5280, PEM by RFC 7468): whose, until when, with which key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use x509_parser::der_parser::oid::Oid;
use x509_parser::objects::{oid_registry, oid2abbrev, oid2sn};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

use crate::Found;
use crate::limits::LIST_MAX;
use crate::text::{clip, lines};

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Serial number, in hex.
    pub serial: String,
    /// Names and addresses that it is good for.
    pub names: Vec<String>,
    /// Not before, in seconds since the epoch.
    pub from_s: i64,
    /// Not after, in seconds since the epoch.
    pub until_s: i64,
    /// Whether it may sign others.
    pub authority: bool,
    /// Kind of key: `rsa`, `ec`, `dsa`, or the object identifier.
    pub key: String,
    /// Length of the key in bits, where it has one.
    pub key_bits: Option<u32>,
    /// SHA-256 of the whole, in hex.
    pub sha256: String,
}

impl Certificate {
    /// Whether it ends before `now_s + within_s`; what has ended counts.
    pub const fn ends_within(&self, now_s: i64, within_s: i64) -> bool {
        self.until_s < now_s.saturating_add(within_s)
    }
}

/// A certificate with what only few ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The certificate.
    pub certificate: Certificate,
    /// Parts of the name of whose it is, by their short names.
    pub subject: Vec<(String, String)>,
    /// Parts of the name of who signed it.
    pub issuer: Vec<(String, String)>,
    /// How it was signed.
    pub signed_with: String,
    /// What the key may be used for.
    pub usage: String,
    /// Identifier of the key, in hex.
    pub key_id: String,
    /// Identifier of the key that signed it, in hex.
    pub signer_key_id: String,
    /// The certificate itself.
    pub der: Vec<u8>,
}

/// Bytes of one certificate in PEM form.
const PEM_BYTES_MAX: usize = 256 << 10;

/// The certificates of a file, PEM (one or many, among whatever else) or DER.
pub fn parse(file: &[u8]) -> Found<Certificate> {
    each(file, read)
}

/// The same with all that is in them.
pub fn details(file: &[u8]) -> Found<Detail> {
    each(file, detail)
}

type Read<T> = fn(&X509Certificate<'_>, &[u8]) -> T;

fn each<T>(file: &[u8], read: Read<T>) -> Found<T> {
    let mut found = Found::default();
    // DER is a sequence with a long length; PEM is text.
    if file.starts_with(&[0x30, 0x82]) {
        add(&mut found, 0, file, read);
        return found;
    }
    let mut open: Option<(usize, String)> = None;
    for (number, line) in lines(file) {
        let line = line.trim();
        match line {
            "-----BEGIN CERTIFICATE-----"
            | "-----BEGIN TRUSTED CERTIFICATE-----"
            | "-----BEGIN X509 CERTIFICATE-----" => {
                open = Some((number, String::new()));
            }
            _ if line.starts_with("-----END ") => {
                if let Some((begun, text)) = open.take() {
                    match STANDARD.decode(text) {
                        Ok(der) => add(&mut found, begun, &der, read),
                        Err(_) => found.issue(begun, "a certificate that is not Base64"),
                    }
                }
            }
            _ => {
                if let Some((_, text)) = open.as_mut().filter(|(_, text)| text.len() < PEM_BYTES_MAX) {
                    text.push_str(line);
                }
            }
        }
    }
    if let Some((begun, _)) = open {
        found.issue(begun, "a certificate without an end");
    }
    found
}

fn add<T>(found: &mut Found<T>, at: usize, der: &[u8], read: Read<T>) {
    // What OpenSSL calls trusted has its own data behind the certificate.
    match X509Certificate::from_der(der) {
        Ok((rest, certificate)) => found.push(read(&certificate, &der[..der.len() - rest.len()])),
        Err(_) => found.issue(at, "a certificate that is malformed"),
    }
}

fn read(certificate: &X509Certificate<'_>, der: &[u8]) -> Certificate {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(name).take(LIST_MAX);
    let public_key = certificate.public_key();
    let (key, key_bits) = match public_key.parsed() {
        Ok(PublicKey::RSA(rsa)) => ("rsa".to_owned(), Some(rsa.key_size() as u32)),
        Ok(PublicKey::EC(point)) => ("ec".to_owned(), Some(point.key_size() as u32)),
        Ok(PublicKey::DSA(_)) => ("dsa".to_owned(), None),
        _ => (public_key.algorithm.algorithm.to_id_string(), None),
    };
    Certificate {
        subject: clip(&certificate.subject().to_string()),
        issuer: clip(&certificate.issuer().to_string()),
        serial: HEXLOWER.encode(&certificate.raw_serial()[..certificate.raw_serial().len().min(64)]),
        names: names.collect(),
        from_s: certificate.validity().not_before.timestamp(),
        until_s: certificate.validity().not_after.timestamp(),
        authority: certificate.is_ca(),
        key: clip(&key),
        key_bits,
        sha256: HEXLOWER.encode(&Sha256::digest(der)),
    }
}

/// The short name of an object identifier, or its numbers.
fn short(oid: &Oid<'_>) -> String {
    oid2sn(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned)
}

fn detail(certificate: &X509Certificate<'_>, der: &[u8]) -> Detail {
    let parts = |name: &X509Name<'_>| {
        let part = |part: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            let value =
                part.as_str().map_or_else(|_| HEXLOWER.encode(&part.as_slice()[..part.as_slice().len().min(64)]), clip);
            let name = oid2abbrev(part.attr_type(), oid_registry());
            (name.map_or_else(|_| short(part.attr_type()), str::to_owned), value)
        };
        name.iter_attributes().take(LIST_MAX).map(part).collect()
    };
    let (mut usage, mut key_id, mut signer_key_id) = (String::new(), String::new(), String::new());
    for extension in certificate.extensions().iter().take(LIST_MAX) {
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(allowed) => usage = allowed.to_string(),
            ParsedExtension::SubjectKeyIdentifier(id) => key_id = HEXLOWER.encode(&id.0[..id.0.len().min(64)]),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                let id = id.key_identifier.as_ref().map_or(&[][..], |id| id.0);
                signer_key_id = HEXLOWER.encode(&id[..id.len().min(64)]);
            }
            _ => {}
        }
    }
    Detail {
        certificate: read(certificate, der),
        subject: parts(certificate.subject()),
        issuer: parts(certificate.issuer()),
        signed_with: short(&certificate.signature_algorithm.algorithm),
        usage,
        key_id,
        signer_key_id,
        der: der.to_vec(),
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(clip(name)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
