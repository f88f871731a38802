//! A database that can only be read, and only so much at a time.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::{
    Connection, OpenFlags, Row,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
    types::ValueRef,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A file, or the sample. Every read has a connection of its own, so that none waits for
/// another; the sample is small enough to be made each time.
#[derive(Debug, Clone)]
pub enum Database {
    File(PathBuf),
    Sample,
}

/// Rows of one answer.
pub const ROWS_MAX: usize = 1000;
/// Bytes of all cells of one answer.
const CELLS_BYTES_MAX: usize = 1 << 20;
/// Bytes of one value or row inside SQLite, and of one statement.
const VALUE_BYTES_MAX: i32 = 1 << 20;
/// Columns of one answer, so that no row is far larger than all of them may be.
const COLUMNS_MAX: i32 = 200;
/// Steps of SQLite between two looks at the time limit. One step may work on a whole value.
const STEPS: i32 = 500;

/// A table or view.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Table {
    pub name: String,
    /// "table" or "view".
    pub kind: String,
    pub columns: Vec<String>,
}

/// What a table is made of.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Description {
    pub name: String,
    pub kind: String,
    pub columns: Vec<Column>,
    pub references: Vec<Reference>,
    /// The statement that made it.
    pub sql: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Column {
    pub name: String,
    /// The declared type; empty when there is none.
    #[serde(rename = "type")]
    pub declared: String,
    pub required: bool,
    pub primary_key: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reference {
    pub column: String,
    pub table: String,
    /// The column of the other table; absent means its primary key.
    pub to: Option<String>,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// There is more than was asked for or fits.
    pub truncated: bool,
}

impl Database {
    /// The database in `file`, or the sample.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self::Sample);
        };
        let database = Self::File(file.to_owned());
        let tables = database.tables();
        tables.with_context(|| format!("{} is no SQLite database to read", file.display()))?;
        Ok(database)
    }

    pub fn tables(&self) -> rusqlite::Result<Vec<Table>> {
        let connection = self.connect()?;
        let mut statement = connection.prepare(
            "SELECT name, type FROM sqlite_schema
             WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY name",
        )?;
        let names = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let tables = names.map(|named| {
            let (name, kind): (String, String) = named?;
            let columns = columns(&connection, &name)?;
            let columns = columns.into_iter().map(|column| column.name).collect();
            Ok(Table {
                name,
                kind,
                columns,
            })
        });
        tables.collect()
    }

    /// `None` when there is no such table or view.
    pub fn describe(&self, table: &str) -> rusqlite::Result<Option<Description>> {
        let connection = self.connect()?;
        let mut statement = connection.prepare(
            "SELECT name, type, coalesce(sql, '') FROM sqlite_schema
             WHERE type IN ('table', 'view') AND name = ?1",
        )?;
        let mut rows = statement.query((table,))?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Description {
            name: row.get(0)?,
            kind: row.get(1)?,
            columns: columns(&connection, table)?,
            references: references(&connection, table)?,
            sql: row.get(2)?,
        }))
    }

    /// Runs one statement that only reads. `stop` is asked now and then whether to give up.
    pub fn query(
        &self,
        sql: &str,
        rows_max: usize,
        stop: impl FnMut() -> bool + Send + 'static,
    ) -> rusqlite::Result<Found> {
        let connection = self.connect()?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
        connection.set_limit(Limit::SQLITE_LIMIT_COLUMN, COLUMNS_MAX)?;
        connection.authorizer(Some(only_reading));
        connection.progress_handler(STEPS, Some(stop));
        let mut statement = connection.prepare(sql)?;
        let columns: Vec<_> = statement
            .column_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut found = Found {
            columns,
            rows: Vec::new(),
            truncated: false,
        };
        let mut bytes = 0;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let cells = match found.rows.len() < rows_max {
                true => cells(row, found.columns.len(), &mut bytes)?,
                false => None,
            };
            let Some(cells) = cells else {
                found.truncated = true;
                break;
            };
            found.rows.push(cells);
        }
        Ok(found)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = match self {
            Self::File(path) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(path, flags)?
            }
            Self::Sample => {
                let connection = Connection::open_in_memory()?;
                connection.execute_batch(include_str!("sample.sql"))?;
                connection
            }
        };
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

/// Nothing but reading tables and calling functions: no other files, no settings.
fn only_reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let columns = statement.query_map((table,), |row| {
        Ok(Column {
            name: row.get(0)?,
            declared: row.get(1)?,
            required: row.get(2)?,
            primary_key: row.get::<_, i64>(3)? > 0,
        })
    })?;
    columns.collect()
}

fn references(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Reference>> {
    let mut statement = connection.prepare(
        "SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let references = statement.query_map((table,), |row| {
        Ok(Reference {
            column: row.get(0)?,
            table: row.get(1)?,
            to: row.get(2)?,
        })
    })?;
    references.collect()
}

/// The cells of a row; nothing when they do not fit with the `bytes` before them.
fn cells(row: &Row<'_>, len: usize, bytes: &mut usize) -> rusqlite::Result<Option<Vec<Value>>> {
    let mut cells = Vec::with_capacity(len);
    for index in 0..len {
        let value = row.get_ref(index)?;
        *bytes += size(value);
        if *bytes > CELLS_BYTES_MAX {
            return Ok(None);
        }
        cells.push(cell(value));
    }
    Ok(Some(cells))
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => format!("({} bytes)", bytes.len()).into(),
    }
}

fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(text) => text.len(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => 16,
    }
}
