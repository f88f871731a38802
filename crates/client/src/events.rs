//! The events of a body as they come.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use ostler_protocol::sse::decode::{Decoder, Frame};

use crate::error::Error;

/// An open event stream. Dropping it closes its connection.
pub struct EventStream {
    body: Incoming,
    decoder: Decoder,
}

impl EventStream {
    pub(crate) fn new(body: Incoming, bytes_max: usize) -> Self {
        Self {
            body,
            decoder: Decoder::new(bytes_max),
        }
    }

    /// The next event or comment; `None` at the end of the stream.
    // Cancel safe: a piece that was read is in the decoder.
    pub async fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let decoded = self.decoder.next_frame();
            if let Some(frame) = decoded.map_err(|why| Error::Protocol(why.to_string()))? {
                return Ok(Some(frame));
            }
            match self.body.frame().await {
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
}
