//! Time-based one-time codes (RFC 6238 over RFC 4226): HMAC-SHA-1, six digits, steps of 30 seconds, because that is what
//! every authenticator app takes. Pure: the time is a parameter.

use ring::hmac;

/// Length of a secret, in bytes: that of the hash, as RFC 4226 recommends.
pub(crate) const SECRET_BYTES: usize = 20;
/// Length of a step, in seconds.
const STEP_SECS: i64 = 30;
/// Steps that a clock may be off in either direction.
const DRIFT_STEPS: i64 = 1;

/// The six digits of a step (RFC 4226, section 5.3).
fn code(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[19] & 0xf);
    let word = u32::from_be_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]]);
    (word & 0x7fff_ffff) % 1_000_000
}

/// The step whose code `text` is, if it is a present one and later than `after`. Every step of the window is looked at
/// whatever is found, so that the time tells nothing.
pub(crate) fn matching_step(secret: &[u8], text: &str, now_secs: i64, after: i64) -> Option<i64> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let given = digits.parse::<u32>().ok()?;
    let present = now_secs.div_euclid(STEP_SECS);
    let window = present - DRIFT_STEPS..=present + DRIFT_STEPS;
    window.fold(None, |found, step| {
        let matches = (code(secret, step) ^ given) == 0 && step > after;
        if matches { Some(step) } else { found }
    })
}

/// RFC 4648 base 32 without padding, as authenticator apps want secrets.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(LETTERS[(held >> bits & 31) as usize] as char);
        }
    }
    if bits > 0 {
        text.push(LETTERS[(held << (5 - bits) & 31) as usize] as char);
    }
    text
}

/// What a QR code for authenticator apps holds.
pub(crate) fn uri(secret: &str, account: &str) -> String {
    let escaped: String = account
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'@' => (b as char).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect();
    format!("otpauth://totp/Guardian:{escaped}?secret={secret}&issuer=Guardian&algorithm=SHA1&digits=6&period=30")
}

#[cfg(test)]
pub(crate) fn code_at(secret: &[u8], now_secs: i64) -> String {
    format!("{:06}", code(secret, now_secs.div_euclid(STEP_SECS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn the_codes_of_the_standard() {
        let secret = b"12345678901234567890";
        for (secs, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(secret, secs), expected);
            assert_eq!(matching_step(secret, expected, secs, 0), Some(secs / 30));
            assert_eq!(matching_step(secret, expected, secs + 30, 0), Some(secs / 30), "half a minute late");
            assert_eq!(matching_step(secret, expected, secs + 90, 0), None, "too late");
            assert_eq!(matching_step(secret, expected, secs, secs / 30), None, "used");
        }
        for wrong in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(matching_step(secret, wrong, 59, 0), None, "{wrong}");
        }
        assert_eq!(matching_step(secret, "287 082", 59, 0), Some(1), "people write it in two groups");
    }

    /// RFC 4648, section 10, without the padding.
    #[test]
    fn secrets_are_base_32() {
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(
            uri("ABC", "ann keller"),
            "otpauth://totp/Guardian:ann%20keller?secret=ABC&issuer=Guardian&algorithm=SHA1&digits=6&period=30"
        );
    }
}
