//! One form of sealed bytes: a mark, a random nonce, and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) over the rest.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

use crate::{error::Error, secret};

/// What sealed bytes begin with.
const MARK: &[u8; 4] = b"PGS1";
const NONCE: usize = 24;

/// 256 bits that are nobody's business.
#[derive(Clone)]
pub(super) struct Key(pub(super) [u8; 32]);

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&key.0).into())
}

/// Seals bytes together with where they belong.
pub(super) fn seal(key: &Key, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
    // 192 random bits: no two are alike in any number of pictures.
    let nonce: [u8; NONCE] = secret::random_bytes();
    let payload = Payload {
        msg: bytes,
        aad: context,
    };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.map_err(|_| Error::internal("too many bytes to seal"))?;
    Ok([MARK.as_slice(), &nonce, &sealed].concat())
}

/// Opens sealed bytes; refuses a changed byte, another key and another place.
pub(super) fn open(key: &Key, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = || Error::internal("sealed bytes are damaged, or belong elsewhere");
    let rest = bytes.strip_prefix(MARK).ok_or_else(damaged)?;
    let (nonce, msg) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
    let payload = Payload { msg, aad: context };
    let opened = cipher(key).decrypt(&XNonce::from(*nonce), payload);
    opened.map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_at_the_same_place_open() {
        let key = Key([7; 32]);
        let sealed = seal(&key, b"here", b"a picture").unwrap();
        assert_eq!(open(&key, b"here", &sealed).unwrap(), b"a picture");
        assert!(!sealed.windows(9).any(|window| window == b"a picture"));
        assert_ne!(seal(&key, b"here", b"a picture").unwrap(), sealed);
        assert!(open(&key, b"there", &sealed).is_err());
        assert!(open(&Key([8; 32]), b"here", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, b"here", &changed).is_err(), "byte {at}");
            assert!(open(&key, b"here", &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
