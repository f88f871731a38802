//! What each command does with a server.

use std::io::Read as _;

use ostler_client::{
    Client, Endpoint, Filter, ListKind, Options, Request, Stopper, object, parse, text_member,
};
use ostler_env::Env;
use ostler_protocol::Raw;
use tokio::sync::watch;

use super::{
    args::{Call, ClientCommand, Complete, Get, Kind, List, Listen, Read},
    desk::Desk,
    doctor,
    exit::{Exit, Failure},
    output::Output,
    show,
    tell::word,
    typed,
};

/// What a command works with.
pub struct Bench {
    pub env: Env,
    pub output: Output,
    pub endpoint: Endpoint,
    pub options: Options,
    pub desk: Desk,
    pub stopper: Stopper,
}

pub async fn run(command: &ClientCommand, bench: Bench) -> Result<Exit, Failure> {
    if let ClientCommand::Doctor(arguments) = command {
        return doctor::run(arguments, bench).await;
    }
    let client = Client::connect(bench.env.clone(), &bench.endpoint, bench.options.clone()).await?;
    let exit = work(command, &client, bench).await;
    client.close().await;
    exit
}

async fn work(command: &ClientCommand, client: &Client, mut bench: Bench) -> Result<Exit, Failure> {
    let bench = &mut bench;
    let exit = match command {
        ClientCommand::List(arguments) => list(arguments, client, bench).await,
        ClientCommand::Call(arguments) => call(arguments, client, bench).await,
        ClientCommand::Read(arguments) => read(arguments, client, bench).await,
        ClientCommand::Get(arguments) => get(arguments, client, bench).await,
        ClientCommand::Complete(arguments) => complete(arguments, client, bench).await,
        ClientCommand::Listen(arguments) => listen(arguments, client, bench).await,
        ClientCommand::Doctor(_) => Ok(Exit::Done),
    };
    bench.desk.clear();
    match (exit, bench.desk.take_unanswered()) {
        // Whoever ended it knows why it has no result.
        (Err(failure), Some(_)) if failure.exit == Exit::Interrupted => Err(failure),
        (_, Some(ask)) => Err(Failure::new(Exit::Unanswered, ask)),
        (exit, None) => exit,
    }
}

async fn list(arguments: &List, client: &Client, bench: &mut Bench) -> Result<Exit, Failure> {
    let output = bench.output;
    match output.is_json() {
        true => output.event("server", server_members(client)),
        false => output.tell(&show::server(client.facts())),
    }
    for kind in kinds(arguments.kind) {
        let entries = client.list(kind, &mut bench.desk).await?;
        match output.is_json() {
            true => {
                for entry in entries {
                    output.event(singular(kind), [("entry", entry)]);
                }
            }
            false if entries.is_empty() && arguments.kind.is_none() => {}
            false => show::list(output, kind, &entries),
        }
    }
    Ok(Exit::Done)
}

fn server_members(client: &Client) -> [(&'static str, Raw); 5] {
    let facts = client.facts();
    let transport = if facts.is_pair {
        "http+sse"
    } else {
        "streamable-http"
    };
    let instructions = facts.instructions.as_deref();
    [
        ("revision", Raw::from_text(facts.revision.as_str())),
        ("transport", Raw::from_text(transport)),
        ("info", facts.info.clone()),
        ("capabilities", facts.capabilities.clone()),
        (
            "instructions",
            instructions.map_or(Raw::from_static("null"), Raw::from_text),
        ),
    ]
}

fn kinds(kind: Option<Kind>) -> Vec<ListKind> {
    match kind {
        None => ListKind::ALL.to_vec(),
        Some(Kind::Tools) => vec![ListKind::Tools],
        Some(Kind::Prompts) => vec![ListKind::Prompts],
        Some(Kind::Resources) => vec![ListKind::Resources],
        Some(Kind::Templates) => vec![ListKind::Templates],
        Some(Kind::Skills) => vec![ListKind::Skills],
    }
}

fn singular(kind: ListKind) -> &'static str {
    let word = word(kind);
    word.strip_suffix('s').unwrap_or(word)
}

async fn call(arguments: &Call, client: &Client, bench: &mut Bench) -> Result<Exit, Failure> {
    let tool = entry(ListKind::Tools, &arguments.tool, client, &mut bench.desk).await?;
    let schema = tool.get("inputSchema").unwrap_or_default();
    let given = match arguments.args.as_deref() {
        Some(text) => whole(text, bench).await?,
        None => typed::arguments(&schema, &arguments.arguments)?,
    };
    let request = Request::Call {
        name: arguments.tool.clone(),
        arguments: given,
        tool: Some(tool),
    };
    let result = client.run(&request, &mut bench.desk).await?;
    bench.desk.clear();
    finish(bench.output, &result, show::tool_result);
    match result.get("isError").and_then(|flag| flag.boolean()) {
        Some(true) => Ok(Exit::ToolFailed),
        Some(false) | None => Ok(Exit::Done),
    }
}

/// All arguments of a call, given as JSON or on standard input.
async fn whole(text: &str, bench: &Bench) -> Result<Raw, Failure> {
    let text = match text {
        "-" => standard_input(bench).await?,
        text => text.to_owned(),
    };
    match parse(&text) {
        Ok(arguments) if arguments.is_object() => Ok(arguments),
        Ok(_) => Err(Failure::wrong_use("--args must be a JSON object")),
        Err(why) => Err(Failure::wrong_use(format!("--args is not JSON: {why}"))),
    }
}

/// All of it, read by a thread of its own: whoever should write it may never do.
async fn standard_input(bench: &Bench) -> Result<String, Failure> {
    let bytes_max = bench.options.limits.message_bytes_max as u64;
    let reading = bench.env.spawn_blocking("ostler.input", move || {
        let mut text = String::new();
        let read = std::io::stdin()
            .take(bytes_max + 1)
            .read_to_string(&mut text)?;
        match read as u64 > bytes_max {
            true => Err(std::io::Error::other(format!(
                "more than {bytes_max} bytes"
            ))),
            false => Ok(text),
        }
    });
    let read = tokio::select! {
        biased;
        () = bench.options.stop.wait() => return Err(ostler_client::Error::Stopped.into()),
        read = reading => read.unwrap_or_else(|why| Err(std::io::Error::other(why))),
    };
    read.map_err(|why| Failure::wrong_use(format!("standard input: {why}")))
}

/// The entry of this name; a server would not say as clearly that there is none.
async fn entry(
    kind: ListKind,
    name: &str,
    client: &Client,
    desk: &mut Desk,
) -> Result<Raw, Failure> {
    let entries = client.list(kind, desk).await?;
    let is_it = |entry: &&Raw| text_member(entry, "name").as_deref() == Some(name);
    let found = entries.iter().find(is_it).cloned();
    found.ok_or_else(|| {
        let what = singular(kind);
        let list = word(kind);
        let failure = Failure::new(Exit::NotFound, format!("there is no {what} {name:?}"));
        failure.with_advice(format!("`ostler list {list}` shows what there is"))
    })
}

async fn read(arguments: &Read, client: &Client, bench: &mut Bench) -> Result<Exit, Failure> {
    let request = Request::Read {
        uri: arguments.uri.clone(),
    };
    let result = client.run(&request, &mut bench.desk).await?;
    bench.desk.clear();
    match bench.output.is_json() {
        true => bench.output.event("result", [("result", result)]),
        false => show::resource(bench.output, &result)?,
    }
    Ok(Exit::Done)
}

async fn get(arguments: &Get, client: &Client, bench: &mut Bench) -> Result<Exit, Failure> {
    let prompt = entry(
        ListKind::Prompts,
        &arguments.prompt,
        client,
        &mut bench.desk,
    )
    .await?;
    let given = texts(&arguments.arguments)?;
    let wanted = prompt.get("arguments").unwrap_or_default();
    for argument in wanted.elements() {
        let is_required = argument.get("required").and_then(|r| r.boolean()) == Some(true);
        let name = text_member(&argument, "name").unwrap_or_default();
        if is_required && given.get(&name).is_none() {
            let takes = show::prompt_arguments(&prompt);
            let failure = Failure::wrong_use(format!("missing: {name}"));
            return Err(failure.with_advice(format!("it takes: {takes}")));
        }
    }
    let request = Request::Get {
        name: arguments.prompt.clone(),
        arguments: given,
    };
    let result = client.run(&request, &mut bench.desk).await?;
    bench.desk.clear();
    finish(bench.output, &result, show::prompt);
    Ok(Exit::Done)
}

async fn complete(
    arguments: &Complete,
    client: &Client,
    bench: &mut Bench,
) -> Result<Exit, Failure> {
    let reference = match (&arguments.prompt, &arguments.template) {
        (Some(prompt), _) => [("type", "ref/prompt"), ("name", prompt)],
        (None, template) => [
            ("type", "ref/resource"),
            ("uri", template.as_deref().unwrap_or_default()),
        ],
    };
    let (argument, value) = arguments.argument.clone();
    let request = Request::Complete {
        reference: object(reference.map(|(name, text)| (name, Raw::from_text(text)))),
        argument,
        value,
        settled: texts(&arguments.settled)?,
    };
    let result = client.run(&request, &mut bench.desk).await?;
    finish(bench.output, &result, show::completion);
    Ok(Exit::Done)
}

async fn listen(arguments: &Listen, client: &Client, bench: &mut Bench) -> Result<Exit, Failure> {
    if let Some(count) = arguments.count {
        bench.desk.stop_after(count, bench.stopper.clone());
    }
    let filter = Filter {
        uris: arguments.resources.clone(),
    };
    let heard = client
        .listen(watch::channel(filter).1, &mut bench.desk)
        .await;
    match heard {
        Err(ostler_client::Error::Stopped) if bench.desk.has_enough() => Ok(Exit::Done),
        Err(error) => Err(error.into()),
        Ok(()) => Err(Failure::new(
            Exit::ServerFailed,
            "the server ended the stream",
        )),
    }
}

/// Arguments that are texts, as prompts have them.
fn texts(pairs: &[(String, String)]) -> Result<Raw, Failure> {
    for (at, (key, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(known, _)| known == key) {
            return Err(Failure::wrong_use(format!(
                "the argument {key} is given twice"
            )));
        }
    }
    Ok(object(
        pairs.iter().map(|(key, text)| (key, Raw::from_text(text))),
    ))
}

fn finish(output: Output, result: &Raw, show: impl FnOnce(Output, &Raw)) {
    match output.is_json() {
        true => output.event("result", [("result", result.clone())]),
        false => show(output, result),
    }
}
