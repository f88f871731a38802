//! What carries a response to its client, and how it was lost.
//!
//! A stuck socket does not ask its body for more, so that a body cannot end itself then: the task
//! that carries it must be ended. Over HTTP/1 that is the connection, over HTTP/2 one stream of it,
//! whose neighbors go on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;

tokio::task_local! {
    /// Of the task that runs. hyper starts the task of an HTTP/2 stream itself, after it has called
    /// the service for it: there is no other way from a response to its task.
    static CURRENT: Arc<Carrier>;
}

/// The task that carries a response.
#[derive(Debug, Default)]
pub struct Carrier {
    cut: AtomicBool,
    waker: AtomicWaker,
    /// Bytes of this response went out since somebody looked.
    moved: AtomicBool,
    socket: Arc<Socket>,
}

/// A connection, whatever it carries.
#[derive(Debug, Default)]
pub struct Socket {
    /// The socket took nothing when it was last asked to.
    blocked: AtomicBool,
    lost: Mutex<Option<Lost>>,
}

/// How a client was lost, if anybody noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It is there and takes nothing.
    Stalled,
    /// It has vanished without a word.
    HalfOpen,
}

impl Carrier {
    pub fn on(socket: &Arc<Socket>) -> Arc<Self> {
        Arc::new(Self {
            socket: socket.clone(),
            ..Self::default()
        })
    }

    /// The one that runs this; outside of a connection one that carries nothing.
    pub fn current() -> Arc<Self> {
        CURRENT.try_with(Arc::clone).unwrap_or_default()
    }

    /// Runs `future` until it ends or the carrier is cut; `None` then.
    pub async fn carry<F: Future>(self: Arc<Self>, future: F) -> Option<F::Output> {
        let carried = async {
            tokio::select! {
                biased;
                () = self.is_cut() => None,
                output = future => Some(output),
            }
        };
        CURRENT.scope(self.clone(), carried).await
    }

    async fn is_cut(&self) {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.cut.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Ends what it carries: nobody takes it.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether bytes went out since the last look.
    pub fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }

    /// How its client was lost; `None` if it left by itself.
    pub fn lost(&self) -> Option<Lost> {
        match self.cut.load(Ordering::Acquire) {
            true => Some(Lost::Stalled),
            false => *self.socket.lost.lock(),
        }
    }
}

impl Socket {
    /// The system has given the client up. One whose window is closed is there as far as we know.
    pub fn give_up(&self) {
        let lost = match self.blocked.load(Ordering::Acquire) {
            true => Lost::Stalled,
            false => Lost::HalfOpen,
        };
        *self.lost.lock() = Some(lost);
    }
}

/// A socket that is watched: what it takes, and whether the system gave its peer up.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    carrier: Arc<Carrier>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, carrier: &Arc<Carrier>) -> Self {
        Self {
            stream,
            carrier: carrier.clone(),
        }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.carrier.socket.give_up();
        }
        result
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let socket = &self.carrier.socket;
        socket
            .blocked
            .store(written.is_pending(), Ordering::Release);
        let written = ready!(written);
        if written.is_ok() {
            self.carrier.moved.store(true, Ordering::Release);
        }
        Poll::Ready(self.note(written))
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        Poll::Ready(self.note(read))
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_carried_ends_with_its_carrier_alone() {
        let socket = Arc::<Socket>::default();
        let (one, other) = (Carrier::on(&socket), Carrier::on(&socket));
        assert_eq!(other.clone().carry(async { 7 }).await, Some(7));
        let carried = one.clone().carry(async {
            Carrier::current().cut();
            std::future::pending::<()>().await;
        });
        assert_eq!(carried.await, None);
        assert_eq!((one.lost(), other.lost()), (Some(Lost::Stalled), None));
    }

    #[test]
    fn a_closed_window_is_no_vanished_peer() {
        let socket = Arc::<Socket>::default();
        let carrier = Carrier::on(&socket);
        socket.give_up();
        assert_eq!(carrier.lost(), Some(Lost::HalfOpen));
        socket.blocked.store(true, Ordering::Release);
        socket.give_up();
        assert_eq!(carrier.lost(), Some(Lost::Stalled));
    }
}
