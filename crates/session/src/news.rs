//! What tasks tell the sessions that asked for them. It comes from above, so it waits for nothing.

use std::sync::{Arc, Weak};

use ostler_dispatch::workers::Workers;
use ostler_hub::Hub;
use ostler_types::{SessionId, TenantId};

use crate::{Sessions, actor::Data, record::SessionKey, sessions::Shared, state::News};

/// A way to live sessions that keeps none of them.
pub struct SessionNews<W: Workers = Hub>(Weak<Shared<W>>);

impl<W: Workers> Sessions<W> {
    pub fn news(&self) -> SessionNews<W> {
        SessionNews(Arc::downgrade(&self.0))
    }
}

impl<W: Workers> SessionNews<W> {
    /// A session that sleeps, or has no room, does without.
    pub fn tell(&self, tenant: &TenantId, session: SessionId, news: News) {
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        let tenant = tenant.clone();
        let key = SessionKey {
            tenant,
            id: session,
        };
        if let Some(held) = shared.directory.find(&key) {
            drop(held.address.tell(Data::News(news)));
        }
    }
}
