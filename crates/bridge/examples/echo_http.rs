//! The same small MCP server over Streamable HTTP, one request on each connection: for kills.
//!
//! `echo_http ADDRESS [ERAS [NAME [RUNS]]]`: see [`answers`]. Legacy sessions are its own process: after a
//! restart there are none of before.

#[path = "echo/answers.rs"]
mod answers;

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use ostler_env::Env;
use serde_json::Value;

use self::answers::Echo;

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let env = Env::system();
    let listener = TcpListener::bind(address)?;
    let echo = Arc::new(Echo::new(words)?);
    for stream in listener.incoming() {
        let (stream, echo) = (stream?, echo.clone());
        // Who goes away in the middle is not missed.
        drop(env.spawn_thread("echo", move || drop(serve(stream, &echo))));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, echo: &Echo) -> io::Result<()> {
    let request = Request::read(&mut stream)?;
    let me = std::process::id().to_string();
    let other = request.session.is_some_and(|session| session != me);
    match request.verb.as_str() {
        _ if other => respond(&mut stream, "404 Not Found", ""),
        "POST" => {
            let message: Value = serde_json::from_slice(&request.body)?;
            match (echo.answer(&message), message.get("id")) {
                (Some(reply), _) => {
                    let session = format!("Mcp-Session-Id: {me}\r\n");
                    let is_first = message["method"] == "initialize";
                    let session = if is_first { &*session } else { "" };
                    let head = format!("200 OK\r\n{session}Content-Type: application/json");
                    respond(&mut stream, &head, &reply.to_string())
                }
                (None, None) => respond(&mut stream, "202 Accepted", ""),
                // Until the client goes away.
                (None, Some(_)) => stream.read(&mut [0]).map(drop),
            }
        }
        "DELETE" => respond(&mut stream, "200 OK", ""),
        _ => respond(&mut stream, "405 Method Not Allowed", ""),
    }
}

fn respond(stream: &mut TcpStream, head: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

struct Request {
    verb: String,
    session: Option<String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut TcpStream) -> io::Result<Request> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let verb = line.split(' ').next().unwrap_or_default().to_owned();
        let (mut session, mut length) = (None, 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "mcp-session-id" => session = Some(value.to_owned()),
                "content-length" => length = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Request {
            verb,
            session,
            body,
        })
    }
}
