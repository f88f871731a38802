//! The pipe to the host: one message a line, both ways, within bounds.

use std::io;

use bytes::Bytes;
use ostler_env::Env;
use ostler_protocol::Raw;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::{mpsc, oneshot},
};

/// The longest line that is taken. Ostler takes 4 MiB; others may take more.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Lines that were read and not looked at yet: 64 MiB at worst.
const LINES_MAX: usize = 4;
/// Lines that wait for the host to read. Each stream from the remote holds one more, and stops.
const OUT_MAX: usize = 4;

/// What stood in a line of the host.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Whole(Bytes),
    TooLong,
}

/// The lines of standard input; the channel ends with it.
pub fn lines(env: &Env) -> mpsc::Receiver<Heard> {
    let (tx, rx) = mpsc::channel(LINES_MAX);
    // A blocked read ends with the process; nobody can await it before.
    drop(env.spawn("connect.stdin", async move {
        let mut input = BufReader::with_capacity(64 << 10, tokio::io::stdin());
        loop {
            let line = match next_line(&mut input, LINE_BYTES_MAX).await {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "standard input broke");
                    return;
                }
            };
            if tx.send(line).await.is_err() {
                return;
            }
        }
    }));
    rx
}

async fn next_line<I>(input: &mut I, bytes_max: usize) -> io::Result<Option<Heard>>
where
    I: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let mut bounded = (&mut *input).take(bytes_max as u64 + 1);
    let read = bounded.read_until(b'\n', &mut line).await?;
    if read > bytes_max && !line.ends_with(b"\n") {
        skip_line(input).await?;
        return Ok(Some(Heard::TooLong));
    }
    Ok((read > 0).then(|| Heard::Whole(line.into())))
}

async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let piece = input.fill_buf().await?;
        let end = piece.iter().position(|b| *b == b'\n');
        let (taken, is_over) = match end {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        input.consume(taken);
        if is_over {
            return Ok(());
        }
    }
}

/// Standard output.
pub struct Out(mpsc::Sender<Item>);

enum Item {
    Line(Raw),
    Flushed(oneshot::Sender<()>),
}

impl Out {
    pub fn start(env: &Env) -> Out {
        let (tx, rx) = mpsc::channel(OUT_MAX);
        // It ends with its last sender, or with the process where the host reads no more.
        drop(env.spawn("connect.stdout", async move {
            if let Err(error) = write_all(rx, tokio::io::stdout()).await {
                tracing::warn!(%error, "the host reads no more");
            }
        }));
        Out(tx)
    }

    /// Waits while the host does not read.
    pub async fn write(&self, message: Raw) {
        // To a host that is gone nothing is said; `closed` ends us.
        let _ = self.0.send(Item::Line(message)).await;
    }

    /// Waits until all that was written before is with the host.
    pub async fn flushed(&self) {
        let (tx, rx) = oneshot::channel();
        if self.0.send(Item::Flushed(tx)).await.is_ok() {
            // An error means that the host is gone.
            let _ = rx.await;
        }
    }

    /// Waits until the host reads no more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

async fn write_all<O>(mut items: mpsc::Receiver<Item>, mut output: O) -> io::Result<()>
where
    O: tokio::io::AsyncWrite + Unpin,
{
    while let Some(item) = items.recv().await {
        match item {
            // A `Raw` has no line break in it.
            Item::Line(message) => {
                output.write_all(message.bytes()).await?;
                output.write_all(b"\n").await?;
                output.flush().await?;
            }
            Item::Flushed(tell) => {
                // Whoever waited may have lost patience.
                let _ = tell.send(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_the_next_one_is_whole_again() {
        let whole = |text: &'static str| Some(Heard::Whole(Bytes::from_static(text.as_bytes())));
        let mut input = BufReader::with_capacity(4, &b"ab\n12345678\n123456789\n\nlast"[..]);
        for expected in [
            whole("ab\n"),
            whole("12345678\n"),
            Some(Heard::TooLong),
            whole("\n"),
            whole("last"),
            None,
        ] {
            assert_eq!(next_line(&mut input, 8).await.unwrap(), expected);
        }
    }
}
