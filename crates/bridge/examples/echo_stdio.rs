//! A small MCP server over stdio, in both eras: for tests, kills and measurements of the bridge.
//!
//! Tools: `echo` answers its `text`; `pid` says who answers; `fork` starts a process that outlives
//! this one; `hang` never answers. `echo_stdio legacy` and `echo_stdio modern` speak one era only; what
//! follows is a name for those who look for it among processes.

use std::{
    io::{self, BufRead, Write},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

fn main() -> io::Result<()> {
    let only = std::env::args().nth(1).filter(|only| only != "both");
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        if let Some(reply) = answer(&message, only.as_deref()) {
            writeln!(out, "{reply}")?;
            out.flush()?;
        }
    }
    Ok(())
}

/// None for notifications, and where nothing is to be said.
fn answer(message: &Value, only: Option<&str>) -> Option<Value> {
    let id = message.get("id").filter(|id| !id.is_null())?;
    let params = &message["params"];
    let era = match params["_meta"]["io.modelcontextprotocol/protocolVersion"] {
        Value::Null => "legacy",
        _ => "modern",
    };
    let result = match (message["method"].as_str()?, era) {
        (_, era) if only.is_some_and(|only| only != era) => Err(fault(-32601, "not in this era")),
        ("initialize", "legacy") => Ok(initialized(params)),
        ("ping", "legacy") => Ok(json!({})),
        ("server/discover", "modern") => Ok(discovered()),
        ("tools/list", era) => Ok(dressed(json!({"tools": tools()}), era, true)),
        ("tools/call", era) => called(params)
            .transpose()?
            .map(|result| dressed(result, era, false)),
        _ => Err(fault(-32601, "no such method")),
    };
    Some(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    })
}

fn fault(code: i32, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn info() -> Value {
    json!({"name": "echo_stdio", "version": "1"})
}

fn initialized(params: &Value) -> Value {
    let revision = match params["protocolVersion"].as_str() {
        Some(asked) if asked < MODERN => asked,
        _ => LEGACY,
    };
    json!({
        "protocolVersion": revision,
        "capabilities": {"tools": {}},
        "serverInfo": info(),
    })
}

fn discovered() -> Value {
    let result = json!({
        "supportedVersions": [MODERN],
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": info()},
    });
    dressed(result, "modern", true)
}

/// What every result of that era has besides.
fn dressed(mut result: Value, era: &str, cached: bool) -> Value {
    if era == "modern" {
        result["resultType"] = "complete".into();
        if cached {
            result["ttlMs"] = 60_000.into();
            result["cacheScope"] = "public".into();
        }
    }
    result
}

fn tools() -> Value {
    let text = json!({
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    });
    let nothing = json!({"type": "object"});
    json!([
        {"name": "echo", "inputSchema": text, "annotations": {"readOnlyHint": true}},
        {"name": "pid", "inputSchema": nothing, "annotations": {"readOnlyHint": true}},
        {"name": "fork", "inputSchema": nothing},
        {"name": "hang", "inputSchema": nothing},
    ])
}

/// `Ok(None)` for a call that is never answered.
fn called(params: &Value) -> Result<Option<Value>, Value> {
    let arguments = &params["arguments"];
    let text = match params["name"].as_str() {
        Some("echo") => arguments["text"].as_str().unwrap_or_default().into(),
        Some("pid") => std::process::id().to_string(),
        Some("fork") => fork().map_err(|error| fault(-32603, &error.to_string()))?,
        Some("hang") => return Ok(None),
        _ => return Err(fault(-32602, "no such tool")),
    };
    Ok(Some(json!({"content": [{"type": "text", "text": text}]})))
}

/// In a session of its own, with no pipe of ours: only its keeper finds it.
fn fork() -> io::Result<String> {
    let mut child = Command::new("/usr/bin/setsid");
    let child = child.args(["--fork", "/bin/sleep", "100000"]);
    let child = child
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    child.status().map(|status| status.to_string())
}
