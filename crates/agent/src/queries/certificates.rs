//! Certificates of the system's store, or of the files that the statement names.

use data_encoding::HEXLOWER;
use guardian_inventory::certificate::{self, Detail};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rusqlite::types::Value;

use super::{Answered, Asked, Table, column, int, read, row, text};

/// Stores of the distributions, as one file.
const STORES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// `certificates`.
pub(super) const CERTIFICATES: Table = Table {
    name: "certificates",
    about: "Certificates that the system trusts, or those of a file or folder that is named",
    needs: false,
    columns: &[
        text("common_name", "Common name of whose it is"),
        text("subject", "Whose it is, with slashes between the parts"),
        text("subject2", "Whose it is, with commas between the parts"),
        text("issuer", "Who signed it, with slashes between the parts"),
        text("issuer2", "Who signed it, with commas between the parts"),
        int("ca", "Whether it may sign others"),
        int("self_signed", "Whether who signed it is whose it is"),
        column("not_valid_before", super::Kind::BigInt, "Not before, in seconds since the epoch"),
        column("not_valid_after", super::Kind::BigInt, "Not after, in seconds since the epoch"),
        text("signing_algorithm", "How it was signed"),
        text("key_algorithm", "Kind of the key"),
        text("key_strength", "Bits of the key"),
        text("key_usage", "What the key may be used for"),
        text("subject_key_id", "Identifier of the key"),
        text("authority_key_id", "Identifier of the key that signed it"),
        text("sha1", "SHA-1 of the certificate"),
        text("path", "The file").given(),
        text("serial", "Serial number, hexadecimal"),
    ],
    rows: certificates,
};

fn certificates(asked: &Asked<'_>) -> Answered {
    let paths = match asked.text("path") {
        Some(path) => vec![path.to_owned()],
        // The same store has several names.
        None => STORES
            .iter()
            .find(|path| std::path::Path::new(path).is_file())
            .map(|p| (*p).to_owned())
            .into_iter()
            .collect(),
    };
    let rows = paths.into_iter().filter(|path| std::fs::metadata(path).is_ok_and(|m| m.is_file())).flat_map(|path| {
        let found = certificate::details(&read::bytes(&path).unwrap_or_default()).entries;
        found.into_iter().map(move |detail| certificate_row(detail, &path)).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

/// A name in both usual forms.
fn written(parts: &[(String, String)]) -> (String, String) {
    let pairs: Vec<String> = parts.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (pairs.iter().map(|pair| format!("/{pair}")).collect(), pairs.join(", "))
}

fn certificate_row(detail: Detail, path: &str) -> Vec<Value> {
    let name = detail.subject.iter().find(|(key, _)| key == "CN").map(|(_, value)| value.clone());
    let ((subject, subject2), (issuer, issuer2)) = (written(&detail.subject), written(&detail.issuer));
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &detail.der);
    let certificate = detail.certificate;
    row![
        name.unwrap_or_default(),
        subject,
        subject2,
        issuer,
        issuer2,
        certificate.authority,
        detail.subject == detail.issuer,
        certificate.from_s,
        certificate.until_s,
        detail.signed_with,
        certificate.key,
        certificate.key_bits.map(|bits| bits.to_string()).unwrap_or_default(),
        detail.usage,
        detail.key_id,
        detail.signer_key_id,
        HEXLOWER.encode(sha1.as_ref()),
        path,
        certificate.serial,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_a_file_has_its_names_and_its_hash() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut wanted = rcgen::CertificateParams::new(vec!["www.example".into()]).unwrap();
        wanted.distinguished_name.push(rcgen::DnType::CommonName, "www.example");
        wanted.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop");
        let made = wanted.self_signed(&key).unwrap();
        let found = certificate::details(made.pem().as_bytes()).entries;
        let [detail] = <[Detail; 1]>::try_from(found).unwrap();
        let row = certificate_row(detail, "/x.pem");
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(row.len(), CERTIFICATES.columns.len());
        assert_eq!(row[0], text("www.example"));
        assert!(matches!(&row[1], Value::Text(name) if name.contains("/O=Shop") && name.contains("/CN=www.example")));
        assert_eq!((&row[5], &row[6]), (&Value::Integer(0), &Value::Integer(1)));
        let sha1: String = HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, made.der()).as_ref());
        assert_eq!((&row[15], &row[16]), (&text(&sha1), &text("/x.pem")));
    }
}
