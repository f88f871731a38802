//! Where rows lie.

use ostler_store::{Key, KeyPrefix, Table};
use ostler_types::{CallId, SessionId, TenantId};

use crate::{
    state::AskId,
    stream::{Place, StreamId},
};

/// A session's name in the store, and in the directory of live ones. The tenant is part of it:
/// another tenant's request for the same id looks elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub tenant: TenantId,
    pub id: SessionId,
}

/// Where a call's rows lie: all calls of a session together.
pub(crate) struct CallKey<'a> {
    pub session: &'a SessionKey,
    pub call: CallId,
}

impl SessionKey {
    fn key(&self, table: Table) -> Key {
        Key::new(table, self.id.shard(), &self.tenant).bytes(&self.id.0)
    }

    pub fn row(&self) -> Key {
        self.key(Table::Sessions)
    }

    pub fn events(&self) -> KeyPrefix {
        self.key(Table::Events).prefix()
    }

    pub fn calls(&self) -> KeyPrefix {
        self.key(Table::Calls).prefix()
    }

    pub fn stream(&self, stream: StreamId) -> KeyPrefix {
        self.key(Table::Events).u64(stream.0).prefix()
    }

    pub fn event(&self, stream: StreamId, place: Place) -> Key {
        let key = self.key(Table::Events).u64(stream.0);
        key.u64(place.epoch).u64(place.seq)
    }
}

impl CallKey<'_> {
    fn key(&self) -> Key {
        let key = self.session.key(Table::Calls);
        key.bytes(&self.call.0.to_be_bytes())
    }

    pub fn row(&self) -> Key {
        self.key()
    }

    pub fn question(&self, id: AskId) -> Key {
        self.key().u64(id.epoch).u32(id.number)
    }
}

/// The place at the end of an event's key.
pub(crate) fn event_place(key: &Key) -> Option<Place> {
    let [epoch, seq] = last_numbers(key)?;
    Some(Place { epoch, seq })
}

/// The session and call of a call's row, by a key that ends with both.
pub(crate) fn call_of_key(key: &Key, tenant: &TenantId) -> Option<(SessionKey, CallId)> {
    let bytes: [u8; 40] = key.last_bytes()?;
    let (id, call) = bytes.split_first_chunk::<24>()?;
    let session = SessionKey {
        tenant: tenant.clone(),
        id: SessionId(*id),
    };
    let call = CallId(u128::from_be_bytes(call.try_into().ok()?));
    // The key is ours only if it is exactly where such a row lies.
    let expected = CallKey {
        session: &session,
        call,
    };
    (expected.row() == *key).then_some((session, call))
}

fn last_numbers(key: &Key) -> Option<[u64; 2]> {
    let bytes: [u8; 16] = key.last_bytes()?;
    let (first, second) = bytes.split_first_chunk::<8>()?;
    let second = second.try_into().ok()?;
    Some([u64::from_be_bytes(*first), u64::from_be_bytes(second)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::question_of_key;

    fn session() -> SessionKey {
        SessionKey {
            tenant: TenantId::parse("acme").unwrap(),
            id: SessionId([9; 24]),
        }
    }

    #[test]
    fn an_events_key_gives_back_its_place_and_sorts_by_it() {
        let at = |epoch, seq| session().event(StreamId(4), Place { epoch, seq });
        assert_eq!(event_place(&at(2, 300)), Some(Place { epoch: 2, seq: 300 }));
        assert!(at(1, 300) < at(2, 1) && at(2, 255) < at(2, 256));
    }

    #[test]
    fn a_calls_key_gives_back_its_session_and_no_other_key_does() {
        let session = session();
        let call = CallId(77 << 100);
        let key = CallKey {
            session: &session,
            call,
        };
        let found = call_of_key(&key.row(), &session.tenant);
        assert_eq!(found, Some((session.clone(), call)));
        let ask = AskId {
            epoch: 1,
            number: 1,
        };
        assert_eq!(call_of_key(&key.question(ask), &session.tenant), None);
        assert_eq!(question_of_key(&key.question(ask)), Some((call, ask)));
    }
}
