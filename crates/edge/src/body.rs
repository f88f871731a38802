//! Response bodies: one block of bytes, or a stream of frames with keep-alive comments.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;
use ostler_auth::Authenticator;
use ostler_protocol::sse;
use ostler_types::Identity;

use crate::{
    heartbeat::{Beat, Wheel},
    metrics::{OpenStream, StreamEnd, StreamKind, StreamMetrics},
};

/// An SSE body: what `source` yields, framed already, with a comment whenever it has been quiet.
pub struct EventStream<S> {
    source: Option<S>,
    beat: Arc<Beat>,
    authenticator: Arc<Authenticator>,
    /// Whose stream it is: it ends when the credential does, by time or by a reload [L-10].
    identity: Arc<Identity>,
    open: OpenStream,
}

/// What every stream of an edge shares.
#[derive(Clone)]
pub struct Streams {
    pub authenticator: Arc<Authenticator>,
    pub wheel: Arc<Wheel>,
    pub metrics: StreamMetrics,
}

impl Streams {
    /// A body that ends when `source` does or the credential expires. Dropping the body drops
    /// `source`, which is how a broken socket is told apart from an end.
    pub fn body<S>(&self, kind: StreamKind, source: S, identity: &Arc<Identity>) -> Body
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        Body::new(EventStream {
            source: Some(Box::pin(source)),
            beat: self.wheel.join(),
            authenticator: self.authenticator.clone(),
            identity: identity.clone(),
            open: self.metrics.open(kind),
        })
    }
}

impl<S> EventStream<S> {
    fn is_expired(&self) -> bool {
        !self.authenticator.is_current(&self.identity)
    }

    fn end(
        &mut self,
        reason: StreamEnd,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.source = None;
        self.open.ended(reason);
        Poll::Ready(None)
    }
}

impl<S> http_body::Body for EventStream<Pin<Box<S>>>
where
    S: Stream<Item = Bytes>,
{
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        match source.as_mut().poll_next(context) {
            Poll::Ready(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Poll::Ready(None) => return self.end(StreamEnd::Complete),
            Poll::Pending => {}
        }
        if !self.beat.take(context) {
            return Poll::Pending;
        }
        if self.is_expired() {
            return self.end(StreamEnd::Expired);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(sse::KEEP_ALIVE)))))
    }
}

impl<S> Drop for EventStream<S> {
    fn drop(&mut self) {
        if self.source.is_some() {
            self.open.ended(StreamEnd::Gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;
    use ostler_auth::{ApiKey, CredentialKind, TenantAccess, mint};
    use ostler_env::Env;
    use ostler_types::TenantId;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_credential_is_taken_away() {
        let env = Env::seeded(1);
        let tenant = TenantId::parse("acme").unwrap();
        let access = |keys| {
            [(
                tenant.clone(),
                TenantAccess {
                    keys,
                    anonymous: None,
                },
            )]
        };
        let key = mint(&env, CredentialKind::Client);
        let stored = ApiKey {
            id: key.id.clone(),
            hash: key.hash.clone(),
            subject: None,
            scopes: Vec::new(),
            valid_until: None,
        };
        let authenticator = Arc::new(Authenticator::new(&env, &access(vec![stored])).unwrap());
        let header = format!("Bearer {}", key.shown.expose());
        let identity = authenticator
            .authenticate(&tenant, Some(header.as_bytes()))
            .unwrap();
        let streams = Streams {
            authenticator: authenticator.clone(),
            wheel: Wheel::start(&env, Duration::from_secs(15)),
            metrics: Metrics::register(env.metrics()).streams,
        };
        let mut body = streams.body(StreamKind::Listen, stream::pending(), &identity);
        let comment = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(comment, sse::KEEP_ALIVE);
        authenticator.replace(&access(Vec::new())).unwrap();
        assert!(body.frame().await.is_none());
    }
}
