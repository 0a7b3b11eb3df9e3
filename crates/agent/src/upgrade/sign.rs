//! Who may release: a key that lies where no server reaches it, and is pinned on the machine.

use std::io;

use guardian_protocol::Blob;
use guardian_protocol::release::{Manifest, SignedManifest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::facts::Facts;
use crate::response::Pins;

/// Signs what is said about a release with the key of a seed.
pub fn sign_release(manifest: &Manifest, seed: &[u8; 32]) -> io::Result<SignedManifest> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| io::Error::other("the key cannot be used"))?;
    let signed = SignedManifest {
        manifest: serde_json::to_string(manifest)?,
        key: Blob(pair.public_key().as_ref().to_vec()),
        signature: Blob::default(),
    };
    let signature = Blob(pair.sign(&signed.statement()).as_ref().to_vec());
    Ok(SignedManifest { signature, ..signed })
}

/// Whether a release may be tried on this machine in the place of the version `own`. The error is for people.
pub(super) fn admit(pins: &Pins, signed: &SignedManifest, own: &str) -> Result<Manifest, String> {
    if pins.off.iter().any(|off| off == "upgrade" || off == "all") {
        return Err("upgrades are switched off on this machine".into());
    }
    let keys: Vec<[u8; 32]> = pins.release_keys();
    if keys.is_empty() {
        return Err("no key for releases is pinned on this machine: it is never upgraded from afar".into());
    }
    let pinned = keys.iter().any(|key| key.as_slice() == signed.key.0);
    if !pinned {
        return Err("the release is signed by a key that is not pinned on this machine".into());
    }
    let key = UnparsedPublicKey::new(&ED25519, &signed.key.0);
    if key.verify(&signed.statement(), &signed.signature.0).is_err() {
        return Err("the signature of the release is wrong".into());
    }
    // What follows is believed, because it was signed.
    let manifest = signed.read().map_err(|invalid| format!("the release: {invalid}"))?;
    if manifest.platform != Facts::platform_name() || manifest.architecture != std::env::consts::ARCH {
        return Err(format!("the release is for {} on {}", manifest.platform, manifest.architecture));
    }
    if manifest.version != own && !manifest.may_replace(own) {
        return Err(format!("{} is older than {own}, and is not signed to replace it", manifest.version));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::script_public_key;

    #[test]
    fn only_what_the_pinned_key_signed_for_this_machine_and_newer_is_tried() {
        let seed = [7; 32];
        let pins = Pins { release_keys: vec![script_public_key(&seed).unwrap()], ..Pins::default() };
        let manifest = Manifest {
            version: "2.0.0".into(),
            platform: "linux".into(),
            architecture: std::env::consts::ARCH.into(),
            size: 3,
            sha256: "ab".repeat(32),
            ..Manifest::default()
        };
        let why = |pins: &Pins, manifest: &Manifest, seed: &[u8; 32], own: &str| {
            admit(pins, &sign_release(manifest, seed).unwrap(), own).map(|m| m.version)
        };
        assert_eq!(why(&pins, &manifest, &seed, "1.9.0").as_deref(), Ok("2.0.0"));
        let says = |answer: Result<String, String>, text: &str| {
            let error = answer.unwrap_err();
            assert!(error.contains(text), "{error}");
        };
        says(why(&Pins::default(), &manifest, &seed, "1.0.0"), "no key for releases");
        says(why(&pins, &manifest, &[8; 32], "1.0.0"), "not pinned");
        says(why(&pins, &manifest, &seed, "2.0.1"), "older than 2.0.1");
        let back = Manifest { replaces_up_to: "2.0.1".into(), ..manifest.clone() };
        assert!(why(&pins, &back, &seed, "2.0.1").is_ok());
        says(why(&pins, &back, &seed, "2.0.2"), "older");
        let other = Manifest { architecture: "vax".into(), ..manifest.clone() };
        says(why(&pins, &other, &seed, "1.0.0"), "on vax");
        let off = Pins { off: vec!["upgrade".into()], ..pins.clone() };
        says(why(&off, &manifest, &seed, "1.0.0"), "switched off");
        let mut forged = sign_release(&manifest, &seed).unwrap();
        forged.manifest = forged.manifest.replace("2.0.0", "3.0.0");
        assert!(admit(&pins, &forged, "1.0.0").unwrap_err().contains("signature"));
    }
}
