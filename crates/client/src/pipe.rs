//! MCP over a pair of byte streams, one message a line: what a process reads and writes (stdio).

mod lines;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use ostler_env::Env;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    error::Error,
    limits::Limits,
    message::{self, Ids, Message},
    pace::Pace,
    switch::{Flight, Inbox, Switch},
};

use lines::Lines;

/// The two directions of a pipe. The process behind it is its owner's business.
pub struct Pipe {
    /// What the server writes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the server reads. It is closed when the client is.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Requests that wait for the pipe. Each waits with its own bytes.
const REQUESTS_MAX: usize = 16;
/// Small things that are said without waiting, to a server that does not read.
const SAID_MAX: usize = 256;

/// A pipe in use, by all requests at once. Clones are the same.
#[derive(Clone)]
pub(crate) struct Piped {
    pub pace: Pace,
    pub switch: Switch,
    pub ids: Ids,
    ends: Arc<Ends>,
}

struct Ends {
    requests: mpsc::Sender<(Option<u64>, Bytes)>,
    said: mpsc::Sender<Bytes>,
    reading: JoinHandle<()>,
    writing: Mutex<Option<JoinHandle<()>>>,
}

impl Piped {
    pub(crate) fn start(env: Env, pipe: Pipe, limits: Limits) -> Piped {
        let pace = Pace { env, limits };
        let switch = Switch::new(&pace);
        let (requests, requests_rx) = mpsc::channel(REQUESTS_MAX);
        let (said, said_rx) = mpsc::channel(SAID_MAX);
        let lines = Lines::new(pipe.reader, pace.limits.message_bytes_max);
        let reading = Reading {
            garbage_max: pace.limits.garbage_max,
            switch: switch.clone(),
            said: said.clone(),
        };
        let ways = (requests_rx, said_rx);
        let writing = write(pipe.writer, ways, switch.clone());
        let ends = Ends {
            requests,
            said,
            reading: pace.env.spawn("client.pipe_in", reading.run(lines)),
            writing: Mutex::new(Some(pace.env.spawn("client.pipe_out", writing))),
        };
        Piped {
            pace,
            switch,
            ids: Ids::default(),
            ends: Arc::new(ends),
        }
    }

    /// Sends a request; what comes for it is in the inbox.
    pub(crate) async fn request(&self, flight: Flight, body: Bytes) -> Result<Inbox, Error> {
        let id = flight.id;
        let inbox = self.switch.open(flight)?;
        self.put(Some(id), body).await?;
        Ok(inbox)
    }

    /// Sends a message that is not answered.
    pub(crate) async fn tell(&self, body: Bytes) -> Result<(), Error> {
        self.put(None, body).await
    }

    /// Says something small, now or never.
    pub(crate) fn say(&self, body: Bytes) {
        let _ = self.ends.said.try_send(body);
    }

    /// Closes the server's input, after everything that was said.
    pub(crate) async fn close(&self) {
        let writing = self.ends.writing.lock().take();
        // An empty message ends the writer.
        let _ = self.ends.requests.try_send((None, Bytes::new()));
        if let Some(mut writing) = writing {
            self.pace.goodbye(&mut writing).await;
            writing.abort();
        }
    }

    async fn put(&self, id: Option<u64>, body: Bytes) -> Result<(), Error> {
        let sent = self.ends.requests.send((id, body)).await;
        sent.map_err(|_| Error::NotSent {
            reason: "the pipe is closed".to_owned(),
        })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.reading.abort();
        if let Some(writing) = self.writing.lock().take() {
            writing.abort();
        }
    }
}

/// The only one that reads.
struct Reading {
    garbage_max: u32,
    switch: Switch,
    said: mpsc::Sender<Bytes>,
}

impl Reading {
    async fn run(self, mut lines: Lines) {
        let mut garbage = 0;
        let reason = loop {
            let line = match lines.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => break "the server closed its output".to_owned(),
                Err(why) => break why.to_string(),
            };
            // Many a library prints to where only messages belong.
            match message::read(line) {
                Err(_) if garbage == self.garbage_max => {
                    break "what the server writes is no MCP".to_owned();
                }
                Err(_) => garbage += 1,
                Ok(messages) => {
                    garbage = 0;
                    if !messages.into_iter().all(|message| self.hear(message)) {
                        break "the server asks and does not read".to_owned();
                    }
                }
            }
        };
        self.switch.fail(&reason);
    }

    fn hear(&self, message: Message) -> bool {
        let said = self.switch.hear(message);
        said.into_iter()
            .all(|said| self.said.try_send(said).is_ok())
    }
}

type Ways = (mpsc::Receiver<(Option<u64>, Bytes)>, mpsc::Receiver<Bytes>);

/// The only one that writes, so that no message is cut by another: answers before requests.
async fn write(
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    (mut requests, mut said): Ways,
    switch: Switch,
) {
    loop {
        let (id, body) = tokio::select! {
            biased;
            Some(said) = said.recv() => (None, said),
            Some(request) = requests.recv() => request,
            else => break,
        };
        if body.is_empty() {
            break;
        }
        // Nobody waits for it any more.
        if id.is_some_and(|id| !switch.begins(id)) {
            continue;
        }
        let mut line = body.chain(&b"\n"[..]);
        let written = match writer.write_all_buf(&mut line).await {
            Ok(()) => writer.flush().await,
            Err(why) => Err(why),
        };
        if let Err(why) = written {
            return switch.fail(&format!("the server reads no more: {why}"));
        }
    }
    let _ = writer.shutdown().await;
    switch.fail("the client is closed");
}
