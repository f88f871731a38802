//! The database as an MCP server: tools to look and ask, the schema as resources, a prompt.

use std::time::Duration;

use ostler_env::Env;
use ostler_worker::{
    Completion, Content, Ctx, Declarations, Json, Prompt, PromptMessage, Resource,
    ResourceContents, Server, Template, Tool, ToolError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::database::{Database, Description, Found, ROWS_MAX, Table};

/// A query that takes longer is stopped.
const QUERY_MAX: Duration = Duration::from_secs(5);
const ROWS: usize = 100;
/// Tables that are listed as resources; all others can be read by the template.
const RESOURCES_MAX: usize = 200;

/// One database and the means to read it beside the link.
#[derive(Clone)]
struct Demo {
    database: Database,
    env: Env,
}

pub fn server(database: Database, env: Env) -> anyhow::Result<Server> {
    let tables = database.tables()?;
    let demo = Demo { database, env };
    let server = Server::new("ostler-demo", env!("CARGO_PKG_VERSION"))
        .title("Ostler demo database")
        .instructions(
            "A SQLite database to read. Look with list_tables and describe_table, then ask \
             with query, in SQLite's dialect. Nothing can be changed.",
        );
    let server = tools(server, &demo);
    let server = resources(server, &demo, &tables);
    let names: Vec<_> = tables.into_iter().map(|table| table.name).collect();
    let server = server.completion(move |_ctx: Ctx, completion: Completion| {
        let typed = completion.value;
        let fitting = names.iter().filter(|name| name.starts_with(&typed));
        let fitting: Vec<_> = fitting.cloned().collect();
        async { fitting }
    });
    Ok(server.with(prompt(&demo)))
}

#[derive(Serialize, JsonSchema)]
struct Tables {
    tables: Vec<Table>,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of a table or view.
    table: String,
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// One SELECT statement in SQLite's dialect.
    sql: String,
    /// Rows to return at most; 100 unless given, 1000 at most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

fn tools(server: Server, demo: &Demo) -> Server {
    let reading = || json!({"readOnlyHint": true, "openWorldHint": false});
    let harmless = || {
        Declarations::new()
            .idempotent()
            .timeout(Duration::from_secs(30))
    };
    let finish = |tool: Tool| tool.annotations(reading()).declare(harmless());
    let (list, describe, query) = (demo.clone(), demo.clone(), demo.clone());
    server
        .with(finish(Tool::new(
            "list_tables",
            "Lists the tables and views with their columns.",
            move |ctx: Ctx| list.clone().list_tables(ctx),
        )))
        .with(finish(Tool::new(
            "describe_table",
            "Describes one table or view: columns, keys and the statement that made it.",
            move |ctx: Ctx, args: Name| describe.clone().describe_table(ctx, args),
        )))
        .with(finish(Tool::new(
            "query",
            "Runs one SELECT statement and returns the rows.",
            move |ctx: Ctx, args: Query| query.clone().query(ctx, args),
        )))
}

impl Demo {
    async fn list_tables(self, ctx: Ctx) -> Result<Json<Tables>, ToolError> {
        let tables = ctx.run_blocking(move || self.database.tables()).await??;
        Ok(Json(Tables { tables }))
    }

    async fn describe_table(self, ctx: Ctx, args: Name) -> Result<Json<Description>, ToolError> {
        let missing = ToolError::failed(format!(
            "there is no table {}; list_tables names them all",
            args.table
        ));
        self.describe(ctx, args.table)
            .await?
            .ok_or(missing)
            .map(Json)
    }

    async fn query(self, ctx: Ctx, args: Query) -> Result<Json<Found>, ToolError> {
        let rows_max = args.limit.unwrap_or(ROWS).clamp(1, ROWS_MAX);
        let (env, watched) = (self.env, ctx.clone());
        let until = env.now() + QUERY_MAX;
        let stop = move || watched.is_cancelled() || env.now() >= until;
        let query = move || self.database.query(&args.sql, rows_max, stop);
        let found = ctx.run_blocking(query).await?;
        found.map(Json).map_err(explain)
    }

    async fn describe(self, ctx: Ctx, table: String) -> Result<Option<Description>, ToolError> {
        let describe = move || self.database.describe(&table);
        Ok(ctx.run_blocking(describe).await??)
    }

    async fn schema(self, ctx: Ctx, args: Name) -> Result<String, ToolError> {
        let missing = ToolError::NotFound(format!("there is no table {}", args.table));
        let description = self.describe(ctx, args.table).await?.ok_or(missing)?;
        Ok(format!("{};\n", description.sql))
    }
}

/// What went wrong, and what to do about it.
fn explain(error: rusqlite::Error) -> ToolError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => ToolError::failed(format!(
            "the query took longer than {} s; ask for less",
            QUERY_MAX.as_secs()
        )),
        Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
            ToolError::failed("only SELECT statements are allowed: this database can be read only")
        }
        _ => ToolError::failed(error),
    }
}

fn resources(server: Server, demo: &Demo, tables: &[Table]) -> Server {
    let mime_type = "application/sql";
    let (listed, templated) = (tables.iter().take(RESOURCES_MAX), demo.clone());
    let server = listed.fold(server, |server, table| {
        let (demo, name) = (demo.clone(), table.name.clone());
        let read = move |ctx: Ctx| {
            let table = name.clone();
            demo.clone().schema(ctx, Name { table })
        };
        let title = format!("Schema of {}", table.name);
        let resource = Resource::new(&uri(&table.name), &table.name, mime_type, read);
        server.with(resource.title(&title))
    });
    let read = move |ctx: Ctx, args: Name| templated.clone().schema(ctx, args);
    let template = Template::new("sqlite://schema/{table}", "schema", mime_type, read);
    server.with(template.description("The statement that made a table or view."))
}

fn uri(table: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let encode = |b: u8| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    let name: String = table.bytes().map(encode).collect();
    format!("sqlite://schema/{name}")
}

#[derive(Deserialize, JsonSchema)]
struct Question {
    /// What you want to know.
    question: String,
}

fn prompt(demo: &Demo) -> Prompt {
    let demo = demo.clone();
    let ask = move |ctx: Ctx, args: Question| demo.clone().ask(ctx, args);
    Prompt::new("ask", "Answers a question from the database.", ask).title("Ask the database")
}

impl Demo {
    async fn ask(self, ctx: Ctx, args: Question) -> Result<Vec<PromptMessage>, ToolError> {
        let tables = self.clone();
        let tables = ctx.run_blocking(move || tables.database.tables()).await??;
        let mut messages = Vec::new();
        for Table { name: table, .. } in tables.into_iter().take(RESOURCES_MAX) {
            let uri = uri(&table);
            let sql = self.clone().schema(ctx.clone(), Name { table }).await?;
            let resource = ResourceContents::text(uri, sql).mime_type("application/sql");
            messages.push(PromptMessage::user(Content::resource(resource)));
        }
        let task = format!(
            "Answer this question with the tool query, from the tables above, and show the \
             statement you used: {}",
            args.question
        );
        messages.push(PromptMessage::user(task));
        Ok(messages)
    }
}
