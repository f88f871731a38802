//! One tool, as small as it gets: for load measurements.
//! `cargo run --release -p ostler-worker --example echo [http://127.0.0.1:7070]`

use ostler_worker::{Ctx, Server, ToolError, Worker, WorkerError};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    message: String,
}

async fn echo(_ctx: Ctx, Echo { message }: Echo) -> Result<String, ToolError> {
    Ok(message)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), WorkerError> {
    let hub = std::env::args().nth(1);
    let worker = Worker::new(hub.as_deref().unwrap_or("http://127.0.0.1:7070"));
    let server = Server::new("echo", "1.0.0").tool("echo", "Says it again.", echo);
    worker
        .capacity(4096)
        .serve("default", "default", server)
        .run()
        .await
}
