//! Questions in the middle of a call. A modern call is run anew for every round, with the answers
//! so far sealed into the state that the client carries; a legacy one asks over its stream.

use rmcp::{
    Peer, RoleServer,
    model::{
        ErrorData, InputRequest, InputRequests, InputRequiredResult, InputResponses,
        ProtocolVersion, RequestStateCodec, ServerRequest,
    },
};
use serde_json::Value;

use crate::{Request, typed};

/// Why a call goes no further in this round.
pub enum Stop {
    InputRequired(InputRequiredResult),
    Error(ErrorData),
}

impl From<ErrorData> for Stop {
    fn from(error: ErrorData) -> Self {
        Self::Error(error)
    }
}

pub fn is_modern(request: &Request) -> bool {
    let version = request.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// What a call was told in the rounds before this one.
pub struct Asking<'a> {
    codec: &'a RequestStateCodec,
    /// Of a legacy client, which is asked directly.
    peer: Option<&'a Peer<RoleServer>>,
    told: InputResponses,
}

impl<'a> Asking<'a> {
    pub fn new(
        codec: &'a RequestStateCodec,
        request: &'a Request,
        state: Option<&str>,
        told_now: Option<InputResponses>,
    ) -> Result<Self, ErrorData> {
        let opened = state.map(|state| codec.open_json::<InputResponses>(state));
        let mut told = opened
            .transpose()
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?
            .unwrap_or_default();
        let sensible = told_now.unwrap_or_default().into_iter();
        told.extend(sensible.filter(|(_, answer)| answer.is_object()));
        let peer = (!is_modern(request)).then_some(&request.peer);
        Ok(Self { codec, peer, told })
    }

    /// The answers in the order of the questions, each of which is a request with a key.
    pub async fn ask(&mut self, questions: &[(&str, Value)]) -> Result<Vec<Value>, Stop> {
        let mut open = InputRequests::new();
        for (key, question) in questions {
            if self.told.contains_key(*key) {
                continue;
            }
            let request: InputRequest = typed(question.clone())?;
            match self.peer {
                Some(peer) => {
                    let answer = ask_legacy(peer, request).await?;
                    self.told.insert((*key).to_owned(), answer);
                }
                None => {
                    open.insert((*key).to_owned(), request);
                }
            }
        }
        if open.is_empty() {
            let answer = |(key, _): &(&str, Value)| self.told[*key].clone();
            return Ok(questions.iter().map(answer).collect());
        }
        let state = self.codec.seal_json(&self.told).map_err(internal)?;
        let result = InputRequiredResult::new(Some(open), Some(state));
        Err(Stop::InputRequired(result))
    }

    pub async fn ask_one(&mut self, key: &str, question: Value) -> Result<Value, Stop> {
        let mut answers = self.ask(&[(key, question)]).await?;
        Ok(answers.pop().unwrap_or_default())
    }
}

async fn ask_legacy(peer: &Peer<RoleServer>, request: InputRequest) -> Result<Value, ErrorData> {
    let request = match request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        other => return Err(internal(format!("nobody can be asked {other:?}"))),
    };
    let answer = peer.send_request(request).await.map_err(internal)?;
    serde_json::to_value(answer).map_err(internal)
}

fn internal(why: impl ToString) -> ErrorData {
    ErrorData::internal_error(why.to_string(), None)
}
