//! A wire in memory: what is written comes out at the other end in its order and some time later,
//! until somebody cuts it.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use ostler_env::{Env, Sleep};
use ostler_types::Instant;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::dice::Dice;

/// Bytes on the way in one direction; a writer waits at this bound.
const BYTES_MAX: usize = 256 << 10;

/// One end of a wire. Dropping it hangs up.
pub struct Wire {
    line: Arc<Mutex<Line>>,
    /// Which of the two ends this is.
    end: usize,
    env: Env,
    timer: Sleep,
}

/// What both ends share.
pub struct Line {
    lanes: [Lane; 2],
    cut: bool,
    dice: Dice,
    /// Nothing arrives before.
    stalled_until: Instant,
}

/// One direction, by the end that writes it.
#[derive(Default)]
struct Lane {
    pieces: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    arrives: Instant,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}

/// What can be done to a wire from outside.
pub struct Remote(Weak<Mutex<Line>>);

impl Remote {
    pub fn is_up(&self) -> bool {
        let line = self.0.upgrade();
        line.is_some_and(|line| !line.lock().cut)
    }

    /// Both ends find it broken; what was on the way is lost.
    pub fn cut(&self) {
        if let Some(line) = self.0.upgrade() {
            let mut line = line.lock();
            line.cut = true;
            line.lanes.iter_mut().for_each(Lane::wake);
        }
    }

    /// Nothing arrives until then.
    pub fn stall(&self, until: Instant) {
        if let Some(line) = self.0.upgrade() {
            let mut line = line.lock();
            line.stalled_until = line.stalled_until.max(until);
        }
    }
}

/// A new wire, its two ends and what can be done to it.
pub fn wire(env: &Env, dice: &Dice) -> (Wire, Wire, Remote) {
    let line = Arc::new(Mutex::new(Line {
        lanes: Default::default(),
        cut: false,
        dice: dice.fork(),
        stalled_until: Instant::default(),
    }));
    let end = |end| Wire {
        line: line.clone(),
        end,
        env: env.clone(),
        timer: env.deadline_sleep(env.now()),
    };
    let remote = Remote(Arc::downgrade(&line));
    (end(0), end(1), remote)
}

impl Line {
    /// Mostly quick, sometimes not.
    fn delay(&self) -> Duration {
        match self.dice.below(50) {
            0 => self.dice.millis(20, 400),
            1..10 => self.dice.millis(1, 8),
            _ => Duration::from_millis(1),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Wire {
            line,
            end,
            env,
            timer,
        } = self.get_mut();
        let mut line = line.lock();
        let stalled_until = line.stalled_until;
        if line.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let lane = &mut line.lanes[1 - *end];
        lane.reader = Some(cx.waker().clone());
        let Some((arrives, piece)) = lane.pieces.front_mut() else {
            return match lane.closed {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        };
        let arrives = (*arrives).max(stalled_until);
        if arrives > env.now() {
            timer.reset(arrives);
            std::task::ready!(Pin::new(timer).poll(cx));
        }
        let len = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..len]);
        piece.advance(len);
        if piece.is_empty() {
            lane.pieces.pop_front();
        }
        lane.bytes -= len;
        lane.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = self.env.now();
        let mut line = self.line.lock();
        if line.cut || line.lanes[1 - self.end].closed || line.lanes[self.end].closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let arrives = now + line.delay();
        let lane = &mut line.lanes[self.end];
        if lane.bytes >= BYTES_MAX {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.arrives = lane.arrives.max(arrives);
        lane.bytes += bytes.len();
        lane.pieces
            .push_back((lane.arrives, Bytes::copy_from_slice(bytes)));
        lane.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line.lock();
        let lane = &mut line.lanes[self.end];
        lane.closed = true;
        lane.wake();
        Poll::Ready(Ok(()))
    }
}

/// Clients and workers are on the node's machine.
pub const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4_000);

impl Connected for Wire {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(PEER),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut line = self.line.lock();
        line.lanes[self.end].closed = true;
        line.lanes.iter_mut().for_each(Lane::wake);
    }
}
