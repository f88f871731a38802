//! Results for people.

use base64::{Engine, engine::general_purpose::STANDARD};
use ostler_client::{Facts, ListKind, text_member};
use ostler_protocol::Raw;

use super::{
    exit::{Exit, Failure},
    output::{Output, flat, line},
    tell::word,
    typed,
};

const NAME_CHARS_MAX: usize = 44;
const TEXT_CHARS_MAX: usize = 100;

/// Who the server is, in one line.
pub fn server(facts: &Facts) -> String {
    let text = |name: &str| text_member(&facts.info, name);
    let name = text("title").or_else(|| text("name"));
    let name = name.unwrap_or_else(|| "a server without name".to_owned());
    let version = text("version").map(|v| format!(" {v}")).unwrap_or_default();
    let transport = if facts.is_pair {
        "HTTP+SSE"
    } else {
        "Streamable HTTP"
    };
    let revision = facts.revision.as_str();
    line(
        &format!("{name}{version}, MCP {revision} over {transport}"),
        2 * TEXT_CHARS_MAX,
    )
}

/// One list under its heading.
pub fn list(output: Output, kind: ListKind, entries: &[Raw]) {
    output.out(&output.heading(&format!("{} ({})", word(kind), entries.len())));
    let rows: Vec<_> = entries.iter().map(|entry| row(kind, entry)).collect();
    let widths = rows.iter().map(|(name, _)| name.chars().count());
    let width = widths.max().unwrap_or(0).min(NAME_CHARS_MAX);
    for (name, text) in rows {
        match name.chars().count() > width {
            true => output.out(&format!("  {name}\n  {:width$}  {text}", "")),
            false => output.out(format!("  {name:width$}  {text}").trim_end()),
        }
    }
}

/// What an entry is called by, and what it is.
fn row(kind: ListKind, entry: &Raw) -> (String, String) {
    let text = |name: &str| text_member(entry, name);
    let said = match kind {
        ListKind::Skills => entry
            .get("frontmatter")
            .and_then(|front| text_member(&front, "description")),
        _ => text("description").or_else(|| text("title")),
    };
    let said = line(&said.unwrap_or_default(), TEXT_CHARS_MAX);
    let name = match kind {
        ListKind::Tools => {
            let schema = entry.get("inputSchema").unwrap_or_default();
            format!(
                "{}({})",
                text("name").unwrap_or_default(),
                typed::signature(&schema)
            )
        }
        ListKind::Prompts => {
            format!(
                "{}({})",
                text("name").unwrap_or_default(),
                prompt_arguments(entry)
            )
        }
        ListKind::Resources | ListKind::Skills => text("uri").unwrap_or_default(),
        ListKind::Templates => text("uriTemplate").unwrap_or_default(),
    };
    (flat(&name), said)
}

/// The arguments of a prompt in a few words.
pub fn prompt_arguments(prompt: &Raw) -> String {
    let arguments = prompt.get("arguments").unwrap_or_default();
    let shown = arguments.elements().filter_map(|argument| {
        let name = text_member(&argument, "name")?;
        let is_required = argument.get("required").and_then(|r| r.boolean()) == Some(true);
        Some(if is_required {
            name
        } else {
            format!("[{name}]")
        })
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// What a tool gave back.
pub fn tool_result(output: Output, result: &Raw) {
    let content = result.get("content").unwrap_or_default();
    let mut is_empty = true;
    for block in content.elements() {
        output.out(&output.shown(&content_block(&block)));
        is_empty = false;
    }
    // Beside texts the structured form repeats them.
    if let Some(structured) = result.get("structuredContent").filter(|_| is_empty) {
        output.out(&output.shown(structured.as_str()));
    }
}

/// The messages of a prompt.
pub fn prompt(output: Output, result: &Raw) {
    let messages = result.get("messages").unwrap_or_default();
    for (at, message) in messages.elements().enumerate() {
        if at > 0 {
            output.out("");
        }
        let role = text_member(&message, "role").unwrap_or_default();
        let content = message.get("content").unwrap_or_default();
        let text = output.shown(&content_block(&content));
        output.out(&format!("{}\n{text}", output.heading(&flat(&role))));
    }
}

/// The contents of a resource: text as it is, bytes where no terminal would show them.
pub fn resource(output: Output, result: &Raw) -> Result<(), Failure> {
    let contents = result.get("contents").unwrap_or_default();
    for content in contents.elements() {
        match (text_member(&content, "text"), text_member(&content, "blob")) {
            (Some(text), _) => output.out(&output.shown(&text)),
            (None, Some(blob)) => binary(output, &content, &blob)?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn binary(output: Output, content: &Raw, blob: &str) -> Result<(), Failure> {
    match STANDARD.decode(blob) {
        Ok(bytes) if !output.out_is_terminal => output.bytes(&bytes),
        Ok(bytes) => {
            let kind = text_member(content, "mimeType").unwrap_or_else(|| "binary".to_owned());
            output.out(&flat(&format!(
                "[{kind}, {} bytes; redirect it into a file]",
                bytes.len()
            )));
        }
        Err(_) => {
            let said = "the server sent a blob that is not base64";
            return Err(Failure::new(Exit::ServerFailed, said));
        }
    }
    Ok(())
}

/// The proposals for an argument.
pub fn completion(output: Output, result: &Raw) {
    let completion = result.get("completion").unwrap_or_default();
    let values = completion.get("values").unwrap_or_default();
    for value in values.elements() {
        output.out(&output.shown(&value.text().unwrap_or_default()));
    }
    if completion.get("hasMore").and_then(|more| more.boolean()) == Some(true) {
        output.tell("there are more");
    }
}

/// A block of content as text.
fn content_block(block: &Raw) -> String {
    let text = |name: &str| text_member(block, name);
    let kind = text("type").unwrap_or_default();
    match kind.as_str() {
        "text" => text("text").unwrap_or_default(),
        "image" | "audio" => {
            let bytes = text("data").map_or(0, |data| data.len() / 4 * 3);
            let media = text("mimeType").unwrap_or_default();
            format!("[{kind} {media}, about {bytes} bytes]")
        }
        "resource" => {
            let resource = block.get("resource").unwrap_or_default();
            let uri = text_member(&resource, "uri").unwrap_or_default();
            match text_member(&resource, "text") {
                Some(text) => format!("[resource {uri}]\n{text}"),
                None => format!("[resource {uri}]"),
            }
        }
        "resource_link" => format!("[link {}]", text("uri").unwrap_or_default()),
        _ => format!("[{kind}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_content_is_shown() {
        let rows = [
            (r#"{"type":"text","text":"hi"}"#, "hi"),
            (
                r#"{"type":"image","data":"AAAA","mimeType":"image/png"}"#,
                "[image image/png, about 3 bytes]",
            ),
            (
                r#"{"type":"resource","resource":{"uri":"a:b","text":"t"}}"#,
                "[resource a:b]\nt",
            ),
            (
                r#"{"type":"resource_link","uri":"a:b","name":"n"}"#,
                "[link a:b]",
            ),
            (r#"{"type":"hologram"}"#, "[hologram]"),
        ];
        for (block, shown) in rows {
            assert_eq!(content_block(&Raw::from_static(block)), shown);
        }
    }

    #[test]
    fn prompts_name_their_arguments() {
        let prompt =
            Raw::from_static(r#"{"arguments":[{"name":"a","required":true},{"name":"b"}]}"#);
        assert_eq!(prompt_arguments(&prompt), "a, [b]");
    }
}
