//! Response bodies: one block of bytes, or a stream of frames with keep-alive comments.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use ostler_auth::Authenticator;
use ostler_protocol::sse;
use ostler_types::Identity;

use crate::{
    carrier::Lost,
    heartbeat::{Beat, Wheel},
    metrics::{OpenStream, StreamEnd, StreamKind, StreamMetrics},
};

/// Given to a connection at once. Each piece it asks for shows that it moves, slow as it may be.
const PIECE_BYTES: usize = 32 << 10;

/// An SSE body: what `source` yields, framed already, with a comment whenever it has been quiet.
pub struct EventStream<S> {
    source: Option<S>,
    /// What is left of an event.
    rest: Bytes,
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
            rest: Bytes::new(),
            beat: self.wheel.join(),
            authenticator: self.authenticator.clone(),
            identity: identity.clone(),
            open: self.metrics.open(kind),
        })
    }

    /// The same body; if it is large it is not kept for a client that does not take it.
    pub fn pace(&self, whole: Body) -> Body {
        let len = http_body::Body::size_hint(&whole).exact();
        match len.filter(|len| *len > PIECE_BYTES as u64) {
            Some(left) => Body::new(Paced {
                whole,
                rest: Bytes::new(),
                left,
                beat: self.wheel.join(),
            }),
            None => whole,
        }
    }
}

/// A whole body in pieces, so that it is seen whether its client takes them.
struct Paced {
    whole: Body,
    rest: Bytes,
    /// Bytes to come.
    left: u64,
    beat: Arc<Beat>,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.beat.ask();
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.whole).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = split(&mut self.rest);
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Takes the next piece.
fn split(rest: &mut Bytes) -> Bytes {
    rest.split_to(rest.len().min(PIECE_BYTES))
}

impl<S> EventStream<S> {
    fn is_expired(&self) -> bool {
        !self.authenticator.is_current(&self.identity)
    }

    /// The next piece of an event.
    fn piece(&mut self, event: Bytes) -> Bytes {
        self.rest = event;
        self.beat.skip();
        split(&mut self.rest)
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
        self.beat.ask();
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece(rest)))));
        }
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        match source.as_mut().poll_next(context) {
            Poll::Ready(Some(event)) => {
                return Poll::Ready(Some(Ok(Frame::data(self.piece(event)))));
            }
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
            self.open.ended(match self.beat.carrier().lost() {
                Some(Lost::Stalled) => StreamEnd::Stalled,
                Some(Lost::HalfOpen) => StreamEnd::HalfOpen,
                None => StreamEnd::Gone,
            });
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

    fn streams(env: &Env, authenticator: &Arc<Authenticator>) -> Streams {
        let wheel = Wheel::new(env, Duration::from_secs(15), Duration::from_secs(30));
        drop(env.spawn("test.wheel", wheel.turn()));
        Streams {
            authenticator: authenticator.clone(),
            wheel,
            metrics: Metrics::register(env.metrics()).streams,
        }
    }

    async fn next(body: &mut Body) -> Option<Bytes> {
        let frame = body.frame().await?;
        Some(frame.unwrap().into_data().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_speaks_at_once_in_pieces_and_ends_with_its_credential() {
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
        let streams = streams(&env, &authenticator);
        let mut body = streams.body(StreamKind::Listen, stream::pending(), &identity);
        let start = env.now();
        assert_eq!(next(&mut body).await.unwrap(), sse::KEEP_ALIVE);
        assert_eq!(env.now(), start, "the first byte keeps nobody waiting");
        assert_eq!(next(&mut body).await.unwrap(), sse::KEEP_ALIVE);
        authenticator.replace(&access(Vec::new())).unwrap();
        assert_eq!(next(&mut body).await, None);

        // A large event is as it was, and nothing stands between its pieces.
        let large = Bytes::from(vec![b'x'; 3 * PIECE_BYTES + 1]);
        let events = stream::iter([large.clone()]);
        let mut body = streams.body(StreamKind::Listen, events, &identity);
        let mut seen = Vec::new();
        while let Some(piece) = next(&mut body).await {
            assert!(piece.len() <= PIECE_BYTES);
            seen.extend(piece);
        }
        assert_eq!(seen, large);
    }
}
