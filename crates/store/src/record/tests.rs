use super::*;

fn record(payload: Vec<u8>) -> Record {
    Record {
        kind: 0x0102,
        version: 0x0304,
        epoch: 5,
        owner: Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [9; 32],
        },
        payload: payload.into(),
    }
}

#[test]
fn the_form_of_a_record_stays_as_it_is() {
    let rows = encode(b"key", &record(vec![7, 8]), Some(Timestamp(6)));
    let crc = &rows.head[1..5];
    let expected = [
        &[1],
        crc,
        &[1, 2, 3, 4],
        &[0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 0, 0, 0, 0, 6],
        &[0, 0, 0, 2],
        &[4],
        b"acme",
        &[9; 32],
        &[7, 8],
    ];
    assert_eq!(rows.head, expected.concat());
    assert_eq!(crc, 0xd6e4_f1c4_u32.to_be_bytes());
}

#[test]
fn the_longest_head_stays_within_a_row() {
    let mut record = record(vec![1; CHUNK_BYTES * 2]);
    record.owner.tenant = TenantId::parse(&"x".repeat(63)).unwrap();
    let rows = encode(b"key", &record, None);
    assert!(rows.head.len() <= ROW_BYTES_MAX);
    assert_eq!(rows.parts.len(), 1);
    assert_eq!(decode(b"key", &rows.head, &rows.parts), Ok(record));
}

#[test]
fn any_bytes_at_all_are_damaged_and_not_a_panic() {
    for len in 0..120 {
        for byte in [0, 1, 4, 255] {
            let mut head = vec![byte; len];
            assert_eq!(
                decode(b"key", &Bytes::from(head.clone()), &[]),
                Err(Damaged)
            );
            if let Some(format) = head.first_mut() {
                *format = FORMAT;
            }
            assert_eq!(decode(b"key", &Bytes::from(head), &[]), Err(Damaged));
        }
    }
}

#[test]
fn principals_that_only_read_alike_have_different_hashes() {
    let owner = |issuer: &str, subject: &str, client: &str| {
        let principal = Principal {
            issuer: issuer.into(),
            subject: subject.into(),
            client: client.into(),
        };
        Owner::new(&TenantId::parse("acme").unwrap(), &principal)
    };
    assert_eq!(owner("a", "b", "c"), owner("a", "b", "c"));
    assert_ne!(owner("ab", "", "c"), owner("a", "b", "c"));
    assert_ne!(owner("a", "bc", ""), owner("a", "b", "c"));
}
