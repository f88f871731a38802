//! Questions of workers to clients, on both wires: which may be shown, how they are written,
//! and whether an answer fits. Workers write their `params` in the form of 2026-07-28.

mod answer;
mod form;
mod older;
mod question;
mod sampling;

use bytes::Bytes;

pub use answer::check_answer;
pub use question::{KEY_BYTES_MAX, check_question};

use crate::{
    call::{Question, QuestionKind},
    facet::{Capability, ClientFacet},
    json::walk,
    meta,
    revision::Revision,
    write::{Writer, close_message},
};

/// Whether a client may be shown a question [MR-3], [S2C-1]: the capability it lacks if not.
/// `facet` is what it declared, in this request (modern) or for its session (legacy).
pub fn gate(
    revision: Revision,
    facet: &ClientFacet,
    question: &Question,
) -> Result<(), Capability> {
    for (capability, is_known) in needed(revision, question) {
        if !(is_known && facet.has(capability)) {
            return Err(capability);
        }
    }
    Ok(())
}

/// What a question needs, and whether the revision has it at all.
fn needed(revision: Revision, question: &Question) -> Vec<(Capability, bool)> {
    match question.kind {
        QuestionKind::ElicitForm => {
            vec![(Capability::ElicitForm, can_show_form(revision, question))]
        }
        QuestionKind::ElicitUrl => vec![(Capability::ElicitUrl, revision.has_url_elicitation())],
        QuestionKind::Roots => vec![(Capability::Roots, true)],
        QuestionKind::Sample => sampling::needed(revision, &question.params),
    }
}

/// Whether the revision has words for this form [SP-3].
fn can_show_form(revision: Revision, question: &Question) -> bool {
    let has_words = || revision.has_rich_forms() || older::can_show_form(&question.params);
    revision.has_elicitation() && has_words()
}

/// A request of ours to a legacy client [S2C-2]. `elicitation_id` makes what a visit to a page is
/// known by where the revision wants an id, which is unique beyond the session [SP-5].
pub fn to_request(
    revision: Revision,
    server_request_id: &str,
    elicitation_id: impl FnOnce() -> String,
    question: &Question,
) -> Bytes {
    let is_visit = question.kind == QuestionKind::ElicitUrl && revision.has_elicitation_ids();
    let elicitation_id = is_visit.then(elicitation_id);
    let bytes = server_request_id.len() + question.params.bytes().len();
    let mut writer = Writer::new(240 + bytes);
    writer.open();
    writer.raw_member("jsonrpc", "\"2.0\"");
    writer.string_member("id", server_request_id);
    writer.string_member("method", method(question.kind));
    writer.object_member("params", |writer| {
        write_params(writer, revision, question);
        if let Some(elicitation_id) = elicitation_id {
            writer.string_member("elicitationId", &elicitation_id);
        }
    });
    close_message(writer)
}

/// The `inputRequests` member of input-required results and tasks [MR-2].
pub(crate) fn write_input_requests(writer: &mut Writer, questions: &[Question]) {
    writer.object_member("inputRequests", |writer| {
        for question in questions {
            writer.object_member(&question.key, |writer| {
                writer.string_member("method", method(question.kind));
                writer.object_member("params", |writer| {
                    write_params(writer, Revision::LATEST_MODERN, question);
                });
            });
        }
    });
}

/// About how long [`write_input_requests`] writes.
pub(crate) fn input_requests_bytes(questions: &[Question]) -> usize {
    let bytes = |question: &Question| 96 + question.key.len() + question.params.bytes().len();
    questions.iter().map(bytes).sum()
}

fn method(kind: QuestionKind) -> &'static str {
    match kind {
        QuestionKind::ElicitForm | QuestionKind::ElicitUrl => "elicitation/create",
        QuestionKind::Sample => "sampling/createMessage",
        QuestionKind::Roots => "roots/list",
    }
}

/// The members of `params`. Those that are the platform's to write never come from a worker:
/// the mode, ids, a task of the client's, progress tokens and reserved `_meta` keys [SEC-6].
fn write_params(writer: &mut Writer, revision: Revision, question: &Question) {
    if revision.has_url_elicitation() {
        match question.kind {
            QuestionKind::ElicitForm => writer.string_member("mode", "form"),
            QuestionKind::ElicitUrl => writer.string_member("mode", "url"),
            QuestionKind::Sample | QuestionKind::Roots => {}
        }
    }
    for (name, value) in walk::members(question.params.as_str()) {
        match name.as_ref() {
            "mode" | "elicitationId" | "task" => {}
            "_meta" => write_meta(writer, value),
            "requestedSchema" if !revision.has_rich_forms() => {
                writer.object_member(&name, |writer| older::write_form(writer, value));
            }
            "messages" if !revision.has_sampling_lists() => {
                writer.name(&name);
                older::write_messages(writer, value);
            }
            _ => writer.raw_member(&name, value),
        }
    }
}

/// We never ask a client for progress [P-9].
fn write_meta(writer: &mut Writer, meta: &str) {
    let passes = |key: &str| !meta::is_reserved(key) && key != "progressToken";
    if walk::members(meta).any(|(key, _)| passes(&key)) {
        writer.object_member("_meta", |writer| {
            for (key, value) in walk::members(meta).filter(|(key, _)| passes(key)) {
                writer.raw_member(&key, value);
            }
        });
    }
}

#[cfg(test)]
mod tests;
