//! Sessions that live as long as their one stream: HTTP+SSE of 2024-11-05.
//!
//! They are no other actors than the stored ones. Only what they write goes nowhere, all that they
//! say goes to one reader, and the end of that reader is theirs ([`Lifetime::Stream`](crate::lifetime)).

use std::sync::Arc;

use ostler_auth::{Purpose, decode_id, encode_id};
use ostler_dispatch::workers::Workers;
use ostler_protocol::inbound::Initialize;
use ostler_types::{Caller, ServerId, SessionId};

use crate::{
    HeldSession, SessionError, Sessions, StreamReader,
    actor::{self, Listener},
    record::SessionKey,
    stream,
};

impl<W: Workers> Sessions<W> {
    /// A name for a session that will live as long as its stream. It cannot be guessed, and names
    /// no stored session.
    pub fn mint_token(&self) -> String {
        let SessionId(id) = actor::mint_id(&self.0);
        encode_id(&self.0.keys, Purpose::StreamToken, &id)
    }

    /// Opens the session that `token` was minted for, and gives its stream: when the reader is
    /// dropped the session ends, and with it all it runs.
    pub async fn open_stream(
        &self,
        caller: &Caller,
        server: &ServerId,
        init: &Initialize,
        token: &str,
    ) -> Result<(HeldSession<W>, StreamReader), SessionError> {
        let shared = &self.0;
        self.check_opens(init)?;
        let key = self.key_of_token(server, token)?;
        let row = self.row(caller, server, init);
        let nudge = Arc::default();
        let (writer, reader) = stream::pair(shared.config.reader_bounds(), &nudge);
        let listener = Listener { writer, nudge };
        let activate = async |slot| actor::open_on(shared, slot, caller, row, listener);
        let held = shared.directory.hold(key, activate).await?;
        shared.metrics.created.increment(1);
        let held = HeldSession::new(held, caller.clone(), shared.resources.clone());
        Ok((held, reader))
    }

    /// Holds a session that lives as long as its stream.
    pub fn hold_stream(
        &self,
        caller: &Caller,
        server: &ServerId,
        token: &str,
    ) -> Result<HeldSession<W>, SessionError> {
        let key = self.key_of_token(server, token)?;
        let held = self.0.directory.find(&key).ok_or(SessionError::Unknown)?;
        let held = self.check_held(held, caller, server)?;
        Ok(self.use_held(held, caller))
    }

    fn key_of_token(&self, server: &ServerId, token: &str) -> Result<SessionKey, SessionError> {
        let id = decode_id(&self.0.keys, Purpose::StreamToken, token);
        let id = SessionId(id.ok_or(SessionError::Unknown)?);
        let tenant = server.tenant.clone();
        Ok(SessionKey { tenant, id })
    }
}
