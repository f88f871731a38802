//! The lines of a byte stream, within bounds.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What one read asks for at least.
const PIECE_BYTES: usize = 8 << 10;

pub(super) struct Lines {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    bytes_max: usize,
    read: BytesMut,
    /// So far there is no end of a line.
    looked: usize,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn AsyncRead + Send + Unpin>, bytes_max: usize) -> Lines {
        Lines {
            reader,
            bytes_max,
            read: BytesMut::new(),
            looked: 0,
        }
    }

    /// The next line that is not empty; nothing at the end, where half a line is none.
    // Cancel safe: what was read is kept.
    pub(super) async fn next_line(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            while let Some(line) = self.cut() {
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.read.len() > self.bytes_max {
                let why = format!("a line of more than {} bytes", self.bytes_max);
                return Err(io::Error::other(why));
            }
            self.read.reserve(PIECE_BYTES);
            if self.reader.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let end = self.read[self.looked..].iter().position(|b| *b == b'\n');
        let Some(end) = end.map(|end| self.looked + end) else {
            self.looked = self.read.len();
            return None;
        };
        let mut line = self.read.split_to(end + 1).freeze();
        self.looked = 0;
        line.truncate(end);
        if line.ends_with(b"\r") {
            line.truncate(end - 1);
        }
        Some(line)
    }
}
