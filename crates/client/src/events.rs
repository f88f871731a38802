//! The events of a body as they come.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{self, Incoming};
use ostler_env::Env;
use ostler_protocol::sse::decode::{Decoder, Frame};

use crate::{error::Error, limits::Limits};

/// An open event stream. Dropping it closes its connection.
pub struct EventStream {
    body: Incoming,
    decoder: Decoder,
    env: Env,
    silence_max: Duration,
    /// A server that kept it alive once and stops is gone, whatever the connection says.
    is_kept_alive: bool,
}

impl EventStream {
    pub(crate) fn new(body: Incoming, env: Env, limits: &Limits) -> Self {
        Self {
            body,
            decoder: Decoder::new(limits.message_bytes_max),
            env,
            silence_max: limits.silence_max,
            is_kept_alive: false,
        }
    }

    /// The next event or comment; `None` at the end of the stream.
    // Cancel safe: a piece that was read is in the decoder.
    pub async fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let decoded = self.decoder.next_frame();
            if let Some(frame) = decoded.map_err(|why| Error::Protocol(why.to_string()))? {
                self.is_kept_alive |= frame == Frame::Comment;
                return Ok(Some(frame));
            }
            match self.piece().await? {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Some(piece) = frame.data_ref() {
                        self.decoder.feed(piece);
                    }
                }
                Some(Err(why)) => {
                    return Err(Error::Broken {
                        reason: why.to_string(),
                    });
                }
            }
        }
    }

    // Cancel safe: nothing is taken that is not given.
    async fn piece(&mut self) -> Result<Option<Piece>, Error> {
        let piece = self.body.frame();
        if !self.is_kept_alive {
            return Ok(piece.await);
        }
        let until = self.env.now() + self.silence_max;
        self.env
            .until(until, piece)
            .await
            .ok_or_else(|| Error::Broken {
                reason: "the stream fell silent".to_owned(),
            })
    }
}

type Piece = Result<body::Frame<Bytes>, hyper::Error>;
