//! A small MCP server over stdio, in both eras: for tests, kills and measurements of the bridge.
//!
//! `echo_stdio [ERAS [NAME [RUNS]]]`: see [`answers`].

#[path = "echo/answers.rs"]
mod answers;

use std::io::{self, BufRead, Write};

use self::answers::Echo;

fn main() -> io::Result<()> {
    let echo = Echo::new(std::env::args().skip(1))?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str(&line?) else {
            continue;
        };
        if let Some(reply) = echo.answer(&message) {
            writeln!(out, "{reply}")?;
            out.flush()?;
        }
    }
    Ok(())
}
