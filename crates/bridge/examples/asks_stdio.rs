//! A small legacy MCP server over stdio whose tool `two` asks two things at once, and takes no answer
//! before it has both.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut call = None;
    let mut answers = Vec::new();
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let id = &message["id"];
        let said = match message["method"].as_str() {
            Some("tools/call") => {
                call = Some(id.clone());
                vec![question("one"), question("two")]
            }
            Some(method) if !id.is_null() => vec![reply(id, method)],
            Some(_) => Vec::new(),
            None => {
                answers.push(format!(
                    "{} {}",
                    id.as_str().unwrap_or_default(),
                    action(&message)
                ));
                if answers.len() < 2 {
                    continue;
                }
                answers.sort();
                let text = answers.join(", ");
                answers.clear();
                let result = json!({"content": [{"type": "text", "text": text}]});
                vec![json!({"jsonrpc": "2.0", "id": call.take(), "result": result})]
            }
        };
        let lines: String = said.iter().map(|message| format!("{message}\n")).collect();
        out.write_all(lines.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn action(answer: &Value) -> &str {
    answer["result"]["action"].as_str().unwrap_or("refused")
}

fn question(id: &str) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    let params = json!({"message": id, "requestedSchema": schema});
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params})
}

fn reply(id: &Value, method: &str) -> Value {
    let result = match method {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "asks_stdio", "version": "1"}}),
        "tools/list" => json!({"tools": [{"name": "two", "inputSchema": {"type": "object"}}]}),
        "ping" => json!({}),
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            return json!({"jsonrpc": "2.0", "id": id, "error": error});
        }
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}
