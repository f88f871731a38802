//! What the examples `echo_stdio` and `echo_http` answer, in both eras.
//!
//! Tools: `echo` answers its `text`; `pid` says who answers; `fork` starts a process that outlives
//! this one; `hang` never answers.

use std::{
    fs::File,
    io::{self, Write},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// How to answer, as the command line says it.
pub struct Echo {
    /// `legacy` or `modern` to speak one era only, `both` or nothing for both.
    only: Option<String>,
    /// Takes the text of each `echo` and `hang` before anything else is done about it: who kills
    /// this sees what was run, and how often.
    runs: Option<File>,
}

impl Echo {
    /// Of the words `[ERAS [NAME [RUNS]]]`; the name is for those who look among processes.
    pub fn new(mut words: impl Iterator<Item = String>) -> io::Result<Echo> {
        let only = words.next().filter(|only| only != "both");
        let open = |path: String| File::options().append(true).create(true).open(path);
        let runs = words.nth(1).map(open).transpose()?;
        Ok(Echo { only, runs })
    }

    /// None for notifications, and where nothing is to be said.
    pub fn answer(&self, message: &Value) -> Option<Value> {
        let id = message.get("id").filter(|id| !id.is_null())?;
        let params = &message["params"];
        let era = match params["_meta"]["io.modelcontextprotocol/protocolVersion"] {
            Value::Null => "legacy",
            _ => "modern",
        };
        let result = match (message["method"].as_str()?, era) {
            (_, era) if self.only.as_ref().is_some_and(|only| only != era) => {
                Err(fault(-32601, "not in this era"))
            }
            ("initialize", "legacy") => Ok(initialized(params)),
            ("ping", "legacy") => Ok(json!({})),
            ("server/discover", "modern") => Ok(discovered()),
            ("tools/list", era) => Ok(dressed(json!({"tools": tools()}), era, true)),
            ("tools/call", era) => self
                .called(params)
                .transpose()?
                .map(|result| dressed(result, era, false)),
            _ => Err(fault(-32601, "no such method")),
        };
        Some(match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
        })
    }

    /// `Ok(None)` for a call that is never answered.
    fn called(&self, params: &Value) -> Result<Option<Value>, Value> {
        let arguments = &params["arguments"];
        let text = match params["name"].as_str() {
            Some("echo") => self.run(arguments).to_owned(),
            Some("pid") => std::process::id().to_string(),
            Some("fork") => fork().map_err(|error| fault(-32603, &error.to_string()))?,
            Some("hang") => {
                self.run(arguments);
                return Ok(None);
            }
            _ => return Err(fault(-32602, "no such tool")),
        };
        Ok(Some(json!({"content": [{"type": "text", "text": text}]})))
    }

    fn run<'a>(&self, arguments: &'a Value) -> &'a str {
        let text = arguments["text"].as_str().unwrap_or_default();
        if let Some(mut runs) = self.runs.as_ref() {
            let written = runs.write_all(format!("{text}\n").as_bytes());
            written.expect("whoever wants it can take it");
        }
        text
    }
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
