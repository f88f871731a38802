use serde_json::json;

use super::{
    database::{Database, Found},
    *,
};

fn query(sql: &str, rows_max: usize) -> rusqlite::Result<Found> {
    Database::Sample.query(sql, rows_max, || false)
}

#[test]
fn the_sample_has_tables_and_a_view() {
    let tables = Database::Sample.tables().unwrap();
    let named: Vec<_> = tables
        .iter()
        .map(|t| (t.name.as_str(), t.kind.as_str()))
        .collect();
    let wanted = [
        ("bill", "view"),
        ("guests", "table"),
        ("horses", "table"),
        ("stays", "table"),
    ];
    assert_eq!(named, wanted);
    assert_eq!(tables[1].columns, ["id", "name", "town"]);
}

#[test]
fn a_table_is_described_with_its_keys() {
    let description = Database::Sample.describe("horses").unwrap().unwrap();
    assert!(description.columns[0].primary_key);
    assert!(description.columns[1].required);
    assert_eq!(description.references[0].table, "guests");
    assert!(description.sql.starts_with("CREATE TABLE horses"));
    assert_eq!(Database::Sample.describe("cows").unwrap(), None);
}

#[test]
fn a_query_returns_rows_of_every_kind() {
    let found = query("SELECT 1, 2.5, 'a', NULL, x'0102'", 10).unwrap();
    assert_eq!(
        found.rows,
        [[
            json!(1),
            json!(2.5),
            json!("a"),
            json!(null),
            json!("(2 bytes)")
        ]]
    );
    assert!(!found.truncated);
    let found = query("SELECT guest, sum(pence) FROM bill GROUP BY 1", 2).unwrap();
    assert_eq!((found.rows.len(), found.truncated), (2, true));
}

#[test]
fn nothing_can_be_changed_and_nothing_else_be_read() {
    for sql in [
        "DELETE FROM stays",
        "INSERT INTO guests (name) VALUES ('x')",
        "CREATE TABLE t (a)",
        "DROP TABLE stays",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA query_only = false",
        "VACUUM INTO 'x'",
        "SELECT load_extension('x')",
        "SELECT zeroblob(100000000)",
        "SELECT hex(zeroblob(2000000))",
        "SELECT 1; SELECT 2",
        "",
        "nonsense",
    ] {
        assert!(query(sql, 10).is_err(), "{sql}");
    }
}

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                   SELECT count(*) FROM n";
    let mut looks = 0;
    let stop = move || {
        looks += 1;
        looks > 2
    };
    let error = Database::Sample.query(endless, 10, stop).unwrap_err();
    let code = error.sqlite_error_code();
    assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
}

#[test]
fn large_answers_are_cut() {
    let wide = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                SELECT hex(zeroblob(100000)) FROM n";
    let found = query(wide, 1000).unwrap();
    assert!(
        found.truncated && found.rows.len() < 10,
        "{}",
        found.rows.len()
    );
}

#[test]
fn no_row_is_larger_than_an_answer() {
    let columns = |len: usize| vec!["hex(zeroblob(50000))"; len].join(", ");
    let found = query(&format!("SELECT {}", columns(200)), 10).unwrap();
    assert_eq!((found.rows.len(), found.truncated), (0, true));
    assert!(query(&format!("SELECT {}", columns(201)), 10).is_err());
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let file = std::path::Path::new("no/such/file.db");
    let error = Database::open(Some(file)).unwrap_err();
    assert!(error.to_string().contains("no/such/file.db"), "{error}");
}

#[test]
fn the_server_offers_tools_and_a_prompt() {
    let server = server::server(Database::Sample, Env::seeded(1)).unwrap();
    for tool in ["list_tables", "describe_table", "query"] {
        assert!(server.has_tool(tool), "{tool}");
    }
    assert!(server.has_prompt("ask"));
}
