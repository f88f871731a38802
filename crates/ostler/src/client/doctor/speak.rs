//! What the server speaks, offers and does.

use ostler_client::{
    Client, EraChoice, Error, Host, ListKind, Options, Request, object, text_member,
};
use ostler_protocol::{Era, Raw, Revision};

use super::{Cut, Patient, report::Report};
use crate::client::{
    desk::Desk,
    exit::{Exit, Failure},
    show,
    tell::word,
    typed,
};

/// Tries every revision, then connects as any client would.
pub async fn connect(patient: &Patient, report: &mut Report) -> Result<Client, Cut> {
    let mut spoken = Vec::new();
    for revision in Revision::ALL {
        match patient
            .within(connect_as(patient, EraChoice::Only(*revision)))
            .await
        {
            Ok(client) => {
                if client.facts().revision == *revision {
                    spoken.push(*revision);
                }
                client.close().await;
            }
            Err(Error::Broken { reason }) => {
                let said = format!("{}: {reason}", revision.as_str());
                let advice = "refuse what is not spoken, at once: clients wait for an answer";
                report.warn("revisions", said, advice);
            }
            // Another revision will do.
            Err(_) => {}
        }
    }
    let client = match patient
        .within(connect_as(patient, chosen(patient, &spoken)))
        .await
    {
        Ok(client) => client,
        Err(error) => {
            let usual = match error {
                Error::Broken { .. } => Some("it lets callers in and does not answer: see its log"),
                _ => None,
            };
            let failure = Failure::from(error);
            let advice = usual.or(failure.advice.as_deref());
            let advice = advice.unwrap_or("is this the URL of an MCP server?");
            report.fail("revisions", failure.exit, &failure.message, advice);
            return Err(Cut);
        }
    };
    revisions(&spoken, report);
    report.ok("server", show::server(client.facts()));
    Ok(client)
}

/// What the person chose; else what was seen to be spoken, without another search.
fn chosen(patient: &Patient, spoken: &[Revision]) -> EraChoice {
    match (patient.options.choice, spoken.iter().max()) {
        (EraChoice::Auto, Some(newest)) => EraChoice::Only(*newest),
        (choice, _) => choice,
    }
}

async fn connect_as(patient: &Patient, choice: EraChoice) -> Result<Client, Error> {
    let options = Options {
        choice,
        ..patient.options.clone()
    };
    Client::connect(patient.env.clone(), &patient.endpoint, options).await
}

fn revisions(spoken: &[Revision], report: &mut Report) {
    let dates: Vec<_> = spoken.iter().map(|revision| revision.as_str()).collect();
    let dates = dates.join(", ");
    let has = |era| spoken.iter().any(|revision| revision.era() == era);
    match (has(Era::Modern), has(Era::Legacy)) {
        (true, false) => {
            let advice =
                "most clients of before 2026-07-28 cannot connect: serve a legacy revision too";
            report.warn("revisions", dates, advice);
        }
        (false, true) => {
            report.ok(
                "revisions",
                format!("{dates}; clients of 2026-07-28 fall back to them"),
            );
        }
        (true, true) | (false, false) => report.ok("revisions", dates),
    }
}

pub async fn look(client: &Client, patient: &Patient, report: &mut Report, desk: &mut Desk) {
    let facts = client.facts();
    let names: Vec<_> = facts
        .capabilities
        .members()
        .map(|(name, _)| name.into_owned())
        .collect();
    match names.is_empty() {
        false => report.ok("capabilities", names.join(", ")),
        true => report.warn(
            "capabilities",
            "none",
            "clients will not look for tools that are not declared",
        ),
    }
    let tools = lists(client, patient, report, desk).await;
    check_tools(&tools, report);
    first_call(client, patient, &tools, report, desk).await;
}

/// Reads every list that is declared; gives the tools.
async fn lists(
    client: &Client,
    patient: &Patient,
    report: &mut Report,
    desk: &mut Desk,
) -> Vec<Raw> {
    let mut tools = Vec::new();
    let mut counts = Vec::new();
    let facts = client.facts();
    for kind in ListKind::ALL
        .into_iter()
        .filter(|kind| facts.has_list(*kind))
    {
        match patient.within(client.list(kind, desk)).await {
            Ok(entries) => {
                counts.push(format!("{} {}", word(kind), entries.len()));
                if kind == ListKind::Tools {
                    tools = entries;
                }
            }
            Err(error) => {
                let said = format!("{}: {error}", word(kind));
                let advice = "it declares the list, so it must give it";
                report.fail("lists", Exit::ServerFailed, said, advice);
            }
        }
    }
    if !counts.is_empty() {
        report.ok("lists", counts.join(", "));
    }
    tools
}

/// What clients stumble over in a list of tools ([T-2], [T-4]).
fn check_tools(tools: &[Raw], report: &mut Report) {
    let mut names = std::collections::BTreeSet::new();
    for tool in tools {
        let name = text_member(tool, "name").unwrap_or_default();
        let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_good) {
            let said = format!("the tool {name:?} has a name that clients may refuse");
            report.warn("tools", said, "use 1 to 128 of A-Z a-z 0-9 _ - .");
        }
        let schema = tool.get("inputSchema").unwrap_or_default();
        if text_member(&schema, "type").as_deref() != Some("object") {
            let said = format!("the tool {name:?} has no inputSchema of type object");
            report.warn(
                "tools",
                said,
                "many clients drop such a tool, or the whole list",
            );
        }
        if !names.insert(name.clone()) {
            let said = format!("the tool {name:?} is listed twice");
            report.warn("tools", said, "names must be unique");
        }
    }
}

/// Calls a tool that says it changes nothing and needs nothing; no other.
async fn first_call(
    client: &Client,
    patient: &Patient,
    tools: &[Raw],
    report: &mut Report,
    host: &mut dyn Host,
) {
    let Some(tool) = tools.iter().find(|tool| is_safe(tool)) else {
        report.skip(
            "first call",
            "no tool is marked readOnly and takes no arguments",
        );
        return;
    };
    let name = text_member(tool, "name").unwrap_or_default();
    let request = Request::Call {
        name: name.clone(),
        arguments: object::<&str>([]),
        tool: Some(tool.clone()),
    };
    match patient.within(client.run(&request, host)).await {
        Ok(result) if result.get("isError").and_then(|e| e.boolean()) == Some(true) => {
            let advice = "the call arrived; look at what the tool needs";
            report.warn("first call", format!("{name} says that it failed"), advice);
        }
        Ok(_) => report.ok("first call", format!("{name} answered")),
        Err(error) => {
            let said = format!("{name}: {error}");
            report.fail(
                "first call",
                Exit::ServerFailed,
                said,
                "look at the server's log",
            );
        }
    }
}

fn is_safe(tool: &Raw) -> bool {
    let hints = tool.get("annotations").unwrap_or_default();
    let is_read_only = hints.get("readOnlyHint").and_then(|hint| hint.boolean()) == Some(true);
    let schema = tool.get("inputSchema").unwrap_or_default();
    is_read_only && typed::required(&schema).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tool_that_changes_nothing_and_needs_nothing_is_called() {
        let rows = [
            (
                r#"{"annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}}"#,
                true,
            ),
            (
                r#"{"annotations":{"readOnlyHint":true},"inputSchema":{"required":["a"]}}"#,
                false,
            ),
            (
                r#"{"annotations":{"readOnlyHint":false},"inputSchema":{}}"#,
                false,
            ),
            (r#"{"inputSchema":{}}"#, false),
        ];
        for (tool, expected) in rows {
            assert_eq!(is_safe(&Raw::from_static(tool)), expected, "{tool}");
        }
    }
}
