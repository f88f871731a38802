//! A host, and what a server asked it within one request of ours. A person may take long for an
//! answer, so the server is heard meanwhile, asks more, or takes a question back. Each answer is
//! told when it comes, whatever becomes of the others.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use ostler_protocol::Raw;

use super::{
    asked::{Asked, Refusal, reply},
    line::Line,
    replies::{Heard, Replies},
};
use crate::{
    error::Error,
    host::{Answer, Answering, Ask, Host},
    pace::Pace,
};

/// What the client says of a question it will not answer: the code that the specification uses
/// for a person's no.
const REJECTED: Refusal = (-1, "the user rejected the request");

pub(super) struct Audience<'a> {
    pub host: &'a mut dyn Host,
    /// Questions without an answer: no more than came with one request (`asks_max`), and no more
    /// bytes than a message may have.
    open: Vec<Open>,
    /// Answers on their way to the server: no more than `asks_max`, or it is heard no further.
    telling: FuturesUnordered<Telling>,
    asks: u32,
}

struct Open {
    asked: Asked,
    answering: Answering,
}

type Telling = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl<'a> Audience<'a> {
    pub fn of(host: &'a mut dyn Host) -> Audience<'a> {
        Audience {
            host,
            open: Vec::new(),
            telling: FuturesUnordered::new(),
            asks: 0,
        }
    }

    /// The next that is heard. What is there is heard before the host thinks about any of it, so
    /// what a server asks at once its host is asked at once.
    // Cancel safe: open questions stay open, and answers on their way.
    pub async fn hear(&mut self, line: &Line, replies: &mut Replies) -> Result<Heard, Error> {
        let telling_max = line.pace.limits.asks_max();
        loop {
            let has_room = self.telling.len() < telling_max;
            tokio::select! {
                biased;
                heard = replies.next(line), if has_room => return heard,
                told = poll_fn(|cx| self.poll_told(line, cx)) => told?,
            }
        }
    }

    /// How many questions came with this one.
    pub fn count_ask(&mut self) -> u32 {
        self.asks = self.asks.saturating_add(1);
        self.asks
    }

    /// Whether this question can wait beside those that wait.
    pub fn has_room(&self, asked: &Asked, line: &Line) -> bool {
        let open: usize = self.open.iter().map(|open| open.asked.bytes()).sum();
        open + asked.bytes() <= line.pace.limits.message_bytes_max || open == 0
    }

    /// Gives the host a question. One that is said again, as on a stream that was taken up again,
    /// is the same.
    pub fn ask(&mut self, asked: Asked, ask: Ask) {
        if self.open.iter().all(|open| open.asked.id != asked.id) {
            let answering = self.host.answer(ask, None);
            self.open.push(Open { asked, answering });
        }
    }

    /// Sends the answer to a question, without waiting for its way.
    pub fn tell(&mut self, line: &Line, asked: &Asked, result: Result<Raw, Refusal>) {
        self.telling.push(reply(line, asked, result));
    }

    /// The server wants no answer to this question any more ([CAN-1]).
    pub fn take_back(&mut self, id: &Raw) {
        self.open.retain(|open| open.asked.id.to_raw() != *id);
    }

    /// Nobody waits for answers any more; those that were given still arrive.
    pub async fn close(&mut self, pace: &Pace) {
        self.open.clear();
        if !self.telling.is_empty() {
            let telling = async { while self.telling.next().await.is_some() {} };
            pace.goodbye(telling).await;
        }
    }

    /// Ready when an answer was told, or could not be.
    fn poll_told(&mut self, line: &Line, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut place = 0;
        while let Some(open) = self.open.get_mut(place) {
            match open.answering.as_mut().poll(cx) {
                Poll::Pending => place += 1,
                Poll::Ready(answer) => {
                    let open = self.open.remove(place);
                    let answer = match answer {
                        Answer::Given(answer) => Ok(answer),
                        Answer::Refused => Err(REJECTED),
                    };
                    self.tell(line, &open.asked, answer);
                }
            }
        }
        match self.telling.poll_next_unpin(cx) {
            Poll::Ready(Some(told)) => Poll::Ready(told),
            // Without any there is nothing to wake for.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
