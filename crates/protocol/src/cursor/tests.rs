use proptest::prelude::*;

use super::*;

/// Stands in for a keyed hash: good enough to notice every change below.
fn mac(bytes: &[u8]) -> [u8; MAC_LEN] {
    let mut state = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
    for byte in bytes {
        state = (state ^ u128::from(*byte)).wrapping_mul(0x0100_0000_01b3_0000_0000_0000_0193);
        state = state.rotate_left(29);
    }
    state.to_be_bytes()
}

const TOOLS: Sequence = Sequence::List(ListKind::Tools);
const RESOURCES: Sequence = Sequence::List(ListKind::Resources);

fn read(sequence: Sequence, cursor: &str) -> Result<Option<Vec<u8>>, BadCursor> {
    decode(sequence, cursor, |body, found| mac(body) == *found)
}

#[test]
fn the_empty_cursor_is_the_start() {
    assert_eq!(read(TOOLS, ""), Ok(None));
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let cursor = encode(TOOLS, b"key", mac);
    assert_eq!(read(TOOLS, &cursor), Ok(Some(b"key".to_vec())));
    let others = [
        Sequence::List(ListKind::Prompts),
        RESOURCES,
        Sequence::List(ListKind::Templates),
        Sequence::List(ListKind::Skills),
        Sequence::Directory,
    ];
    for sequence in others {
        assert_eq!(read(sequence, &cursor), Err(BadCursor));
    }
}

#[test]
fn what_we_never_gave_out_is_refused() {
    let cursor = encode(TOOLS, b"key", mac);
    let padded = format!("{cursor}=");
    let suffixed = format!("{cursor}-TAMPERED");
    let huge = "A".repeat(CURSOR_LEN_MAX + 1);
    for bad in ["x", "AQ", "invalid-cursor", " ", &padded, &suffixed, &huge] {
        assert_eq!(read(TOOLS, bad), Err(BadCursor), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_cursor_comes_back_as_it_went(key in prop::collection::vec(any::<u8>(), 0..64)) {
        let cursor = encode(RESOURCES, &key, mac);
        prop_assert_eq!(read(RESOURCES, &cursor), Ok(Some(key)));
    }

    #[test]
    fn a_change_anywhere_is_noticed(
        key in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let cursor = encode(TOOLS, &key, mac);
        let mut bytes = cursor.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert_eq!(read(TOOLS, &changed), Err(BadCursor));
        }
    }
}
