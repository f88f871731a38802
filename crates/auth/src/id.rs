//! The wire form of minted ids: authenticated, so that a guessed id costs no look-up.

use crate::{
    base64url,
    keyring::{KeyRing, Purpose},
};

const ID_BYTES: usize = 24;
/// A forged id must pass this many MAC bytes and then still name something that exists.
const MAC_BYTES: usize = 8;

/// base64url of the 24 bytes and 8 bytes of MAC: 43 characters of visible ASCII [SES-2].
pub fn encode_id(keys: &KeyRing, purpose: Purpose, id: &[u8; ID_BYTES]) -> String {
    let mac = keys.mac(purpose, &[id]);
    let mut bytes = [0; ID_BYTES + MAC_BYTES];
    bytes[..ID_BYTES].copy_from_slice(id);
    bytes[ID_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
    base64url::encode(&bytes)
}

/// The id behind a wire form, if any key of ours made it for this purpose.
pub fn decode_id(keys: &KeyRing, purpose: Purpose, text: &str) -> Option<[u8; ID_BYTES]> {
    let bytes: [u8; ID_BYTES + MAC_BYTES] = base64url::decode_array(text)?;
    let (id, mac) = bytes.split_first_chunk::<ID_BYTES>()?;
    keys.verify(purpose, &[id], mac).then_some(*id)
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;

    use super::*;

    #[test]
    fn an_id_comes_back_from_its_wire_form() {
        let keys = KeyRing::ephemeral(&Env::seeded(1));
        let text = encode_id(&keys, Purpose::SessionId, &[9; 24]);
        assert_eq!(text.len(), 43);
        assert_eq!(decode_id(&keys, Purpose::SessionId, &text), Some([9; 24]));
    }

    #[test]
    fn no_other_text_is_an_id() {
        let keys = KeyRing::ephemeral(&Env::seeded(1));
        let text = encode_id(&keys, Purpose::SessionId, &[9; 24]);
        assert_eq!(decode_id(&keys, Purpose::TaskId, &text), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'x' { b'y' } else { b'x' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(
                decode_id(&keys, Purpose::SessionId, &forged),
                None,
                "byte {at}"
            );
        }
        for bad in [
            "",
            "=",
            &text[..42],
            &format!("{text}="),
            &format!("{text}AA"),
        ] {
            assert_eq!(decode_id(&keys, Purpose::SessionId, bad), None, "{bad:?}");
        }
    }
}
