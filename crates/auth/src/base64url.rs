//! base64url without padding (RFC 4648 section 5), one spelling per value.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Refuses padding, foreign characters and unused bits that are not zero, so that no two texts
/// mean the same bytes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Exactly `N` bytes, or nothing.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The engine checks lengths by an upper bound: room for one more group is needed.
    let mut bytes = [0; 64];
    const { assert!(N + 3 <= 64) }
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes[..len].try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_spelling() {
        assert_eq!(decode("AQ"), Some(vec![1]));
        for bad in ["AR", "AQ=", "AQ==", "AQ\n", " AQ", "A", "A+", "A/"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_array_has_exactly_its_length() {
        let text = encode(&[7; 32]);
        assert_eq!(decode_array::<32>(&text), Some([7; 32]));
        assert_eq!(decode_array::<31>(&text), None);
        assert_eq!(decode_array::<32>(&format!("{text}A")), None);
        assert_eq!(decode_array::<32>(&text[1..]), None);
    }
}
