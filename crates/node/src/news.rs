//! What tasks tell sessions: neither knows the other.

use ostler_session::SessionNews;
use ostler_task::{Listener, News};
use ostler_types::{SessionId, TenantId};

pub struct ToSessions(pub SessionNews);

impl Listener for ToSessions {
    fn tell(&self, tenant: &TenantId, session: SessionId, news: News) {
        let news = match news {
            News::Status(message) => ostler_session::News::Status(message),
            News::Progress(message) => ostler_session::News::Progress(message),
        };
        self.0.tell(tenant, session, news);
    }
}
