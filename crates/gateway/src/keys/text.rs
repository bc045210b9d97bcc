//! The text of a key, `js-<12 of a-z2-7>-<43 of base64url>`: how it is made, taken apart and hashed.
//!
//! The first two parts are its id, which is public and may stand in logs; the last is 256 bits of chance. A plain hash is right
//! for those (a slow one is for what people can remember), and it is of the whole text, never of a part of it. This is the one
//! place that draws a secret.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use types::ids::KeyId;

/// What every key begins with, also what the command line and secret scanners know it by.
const PREFIX: &str = "js-";
/// What every admin token that the gateway makes begins with.
const ADMIN_PREFIX: &str = "jsadm-";
const ID_CHARS: usize = 12;
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;
const ID_LEN: usize = PREFIX.len() + ID_CHARS;
const TEXT_LEN: usize = ID_LEN + 1 + SECRET_CHARS;

/// SHA-256 of a whole key.
pub type Digest = [u8; 32];

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoChance;

/// The text of a key. It prints as its id.
#[derive(Clone)]
pub struct KeyText(SecretString);

impl KeyText {
    /// The text itself: for the one answer that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its public part.
    pub fn id(&self) -> KeyId {
        KeyId::from(&self.expose()[..ID_LEN])
    }

    /// What is stored of it.
    pub fn digest_hex(&self) -> String {
        hex(&digest_of(self.expose().as_bytes()))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-[redacted]", self.id())
    }
}

/// A new id.
pub fn draw_id() -> Result<KeyId, NoChance> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 8];
    draw(&mut bytes)?;
    let mut left = u64::from_le_bytes(bytes);
    let mut id = PREFIX.to_owned();
    for _ in 0..ID_CHARS {
        id.push(char::from(ALPHABET[(left & 31) as usize]));
        left >>= 5;
    }
    Ok(KeyId::from(id))
}

/// A new secret for an id.
pub fn draw_text(id: &KeyId) -> Result<KeyText, NoChance> {
    Ok(KeyText(SecretString::from(format!("{id}-{}", draw_secret()?))))
}

/// A new token for the admin API.
pub fn draw_admin_token() -> Result<SecretString, NoChance> {
    Ok(SecretString::from(format!("{ADMIN_PREFIX}{}", draw_secret()?)))
}

fn draw_secret() -> Result<String, NoChance> {
    let mut bytes = [0; SECRET_BYTES];
    draw(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn draw(bytes: &mut [u8]) -> Result<(), NoChance> {
    SystemRandom::new().fill(bytes).map_err(|_| NoChance)
}

/// The id in what may be a key; `None` for what is not written like one.
pub fn id_in(text: &str) -> Option<&str> {
    let id_like = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
    let secret_like = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let bytes = text.as_bytes();
    let written_like_one = bytes.len() == TEXT_LEN
        && text.starts_with(PREFIX)
        && bytes[PREFIX.len()..ID_LEN].iter().all(|b| id_like(*b))
        && bytes[ID_LEN] == b'-'
        && bytes[ID_LEN + 1..].iter().all(|b| secret_like(*b));
    written_like_one.then(|| &text[..ID_LEN])
}

/// SHA-256 of what was shown, whatever it is.
pub fn digest_of(text: &[u8]) -> Digest {
    let digest = digest::digest(&digest::SHA256, text);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// As it is stored: 64 hexadecimal digits.
fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads [`KeyText::digest_hex`] back.
pub fn parse_hex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_id_and_a_secret_and_shows_only_the_id() {
        let id = draw_id().unwrap();
        let text = draw_text(&id).unwrap();
        assert_eq!(text.expose().len(), TEXT_LEN);
        assert_eq!(id_in(text.expose()), Some(id.as_str()));
        assert_eq!(format!("{text:?}"), format!("{id}-[redacted]"));
        let digest = parse_hex(&text.digest_hex()).unwrap();
        assert_eq!(digest, digest_of(text.expose().as_bytes()));
        assert_ne!(draw_text(&id).unwrap().digest_hex(), text.digest_hex());
    }

    #[test]
    fn what_is_not_written_like_a_key_has_no_id() {
        let secret = "A".repeat(43);
        let rows = [
            (format!("js-abcdefgh2345-{secret}"), true),
            (format!("js-abcdefgh2345-{}", "-_".repeat(21) + "9"), true),
            (format!("js-abcdefgh2345_{secret}"), false),
            (format!("js-abcdefgh2341-{secret}"), false),
            (format!("js-ABCDEFGH2345-{secret}"), false),
            (format!("JS-abcdefgh2345-{secret}"), false),
            (format!("js-abcdefgh2345-{secret}A"), false),
            (format!("js-abcdefgh2345-{}=", "A".repeat(42)), false),
            (format!("js-abcdefgh234é{secret}"), false),
            ("js-abcdefgh2345".to_owned(), false),
            (String::new(), false),
        ];
        for (text, is_one) in rows {
            assert_eq!(id_in(&text).is_some(), is_one, "{text}");
        }
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        assert_eq!(parse_hex(&"0f".repeat(32)), Some([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse_hex(wrong), None, "{wrong}");
        }
    }
}
