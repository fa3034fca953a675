//! The alphabet of byte-level BPE: a printable character for every byte.

/// Characters for the bytes 0 to 255, as GPT-2 chose them.
///
/// Printable bytes of Latin-1 stand for themselves; the others follow from U+0100 on.
pub(super) fn alphabet() -> [char; 256] {
    let mut next = 0x100_u32;
    std::array::from_fn(|byte| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => {
            char::from(u8::try_from(byte).expect("an index below 256 is a byte"))
        }
        _ => {
            next += 1;
            char::from_u32(next - 1).expect("68 characters from U+0100 on exist")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabet_is_that_of_gpt2() {
        let alphabet = alphabet();
        assert_eq!(alphabet[usize::from(b'a')], 'a');
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
        assert_eq!(alphabet[0xad], 'Ń');
        let distinct: std::collections::BTreeSet<_> = alphabet.iter().collect();
        assert_eq!(distinct.len(), 256);
    }
}
