//! Three tools. `cargo run -p ostler-worker --example calc [http://127.0.0.1:7070]`

use ostler_worker::{Ctx, Json, Server, ToolError, Worker, WorkerError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Pair {
    a: i64,
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Quotient {
    quotient: i64,
    remainder: i64,
}

async fn add(_ctx: Ctx, Pair { a, b }: Pair) -> Result<i64, ToolError> {
    a.checked_add(b).ok_or(ToolError::failed("too large"))
}

async fn divide(_ctx: Ctx, Pair { a, b }: Pair) -> Result<Json<Quotient>, ToolError> {
    let by_zero = || ToolError::failed("cannot divide by zero");
    let quotient = a.checked_div(b).ok_or_else(by_zero)?;
    let remainder = a % b;
    Ok(Json(Quotient {
        quotient,
        remainder,
    }))
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// What to call you.
    name: String,
}

async fn greet(ctx: Ctx) -> Result<String, ToolError> {
    let asked = ctx.elicit_as::<Name>("name", "Who are you?").await?;
    let name = asked.accepted().map(|form| form.name);
    Ok(format!("Hello, {}!", name.as_deref().unwrap_or("stranger")))
}

pub fn calc() -> Server {
    Server::new("calc", "1.0.0")
        .tool("add", "Adds two numbers.", add)
        .tool("divide", "Divides one number by another.", divide)
        .tool("greet", "Asks for a name and greets.", greet)
}

#[tokio::main]
async fn main() -> Result<(), WorkerError> {
    let hub = std::env::args().nth(1);
    let worker = Worker::new(hub.as_deref().unwrap_or("http://127.0.0.1:7070"));
    worker.serve("default", "calc", calc()).run().await
}
