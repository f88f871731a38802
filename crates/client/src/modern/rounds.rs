//! Requests that ask: each round of questions ends one request, the answers begin the next ([MR-4]).

use futures_util::future::try_join_all;
use ostler_protocol::Raw;

use super::{Asked, Modern};
use crate::{
    error::{Error, protocol},
    host::{Answer, Ask, Host},
    json,
    request::Request,
    switch::Part,
};

/// What the last round gave.
pub(super) enum Ended {
    Complete(Raw),
    /// The flat task it became.
    Task(Raw),
}

/// How one round ended.
enum Round {
    Last(Ended),
    Asked { requests: Raw, state: Option<Raw> },
}

impl Modern {
    /// Asks and answers until there is a result, within the bounds on rounds and on coming again.
    pub(super) async fn rounds(
        &self,
        request: &Request,
        host: &mut dyn Host,
    ) -> Result<Ended, Error> {
        let params = request.params();
        let mut asked = Asked {
            method: request.method(),
            params: params.clone(),
            headers: request.param_mirrors(),
            part: match request.has_news() {
                true => Part::Call,
                false => Part::Plain,
            },
        };
        let pace = self.way.pace();
        let limits = &pace.limits;
        let (mut rounds, mut polls) = (0, 0);
        loop {
            let result = match self.exchange(&asked, host).await {
                // As one request it began with the first round.
                Err(error) if rounds + polls > 0 => return Err(error.begun()),
                result => result?,
            };
            let (requests, state) = match read(result)? {
                Round::Asked { requests, state } => (requests, state),
                Round::Last(ended) => return Ok(ended),
            };
            let answers = match is_empty(&requests) {
                // A state alone means "come again": no question, and not at once ([MR-9]).
                true => {
                    polls += 1;
                    pace.env.sleep(limits.poll).await;
                    None
                }
                false if rounds == limits.rounds_max => return protocol("it asks without end"),
                false => {
                    rounds += 1;
                    Some(("inputResponses", self.answers(&requests, host).await?))
                }
            };
            if polls > limits.polls_max {
                return protocol("it wants us to come again without end");
            }
            let state = state.map(|state| ("requestState", state));
            asked.params = json::extended(&params, answers.into_iter().chain(state));
        }
    }

    /// The answers to questions by their keys. What cannot be answered ends the request, because
    /// a round without that answer would be asked again.
    pub(super) async fn answers(&self, requests: &Raw, host: &mut dyn Host) -> Result<Raw, Error> {
        let round = requests
            .members()
            .map(|(key, request)| Ok((key.into_owned(), self.ask(&request, host)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let answers = round.into_iter().map(|(key, ask)| {
            let method = ask.method();
            let answer = host.answer(ask, Some(&key));
            async move {
                match answer.await {
                    Answer::Given(answer) => Ok((key, answer)),
                    Answer::Refused => Err(Error::Unanswered(method)),
                }
            }
        });
        // All are given to the host before any is polled.
        let answers: Vec<_> = answers.collect();
        Ok(json::object(try_join_all(answers).await?))
    }

    fn ask(&self, request: &Raw, host: &dyn Host) -> Result<Ask, Error> {
        let method = json::text_member(request, "method").unwrap_or_default();
        let params = request.get("params").unwrap_or_default();
        match Ask::read(&method, &params)? {
            Some(ask) if self.behalf(host).abilities.has(&ask) => Ok(ask),
            Some(_) => protocol(format!("it asks {method}, which was not declared")),
            None => protocol(format!("it asks {method}, which is no question")),
        }
    }
}

fn is_empty(object: &Raw) -> bool {
    object.members().next().is_none()
}

fn read(result: Raw) -> Result<Round, Error> {
    match json::text_member(&result, "resultType").as_deref() {
        // Servers of the first days leave it out.
        None | Some("complete") => Ok(Round::Last(Ended::Complete(result))),
        Some("task") => Ok(Round::Last(Ended::Task(result))),
        Some("input_required") => {
            let requests = result.get("inputRequests");
            let state = result.get("requestState");
            if requests.is_none() && state.is_none() {
                return protocol("it requires input but asks nothing");
            }
            Ok(Round::Asked {
                requests: requests.unwrap_or_default(),
                state,
            })
        }
        Some(other) => protocol(format!("unknown resultType {other:?}")),
    }
}
