//! Finding out what a server speaks.

use ostler_client::{Client, EraChoice, Error, ListKind};
use ostler_env::Env;
use ostler_protocol::Revision;
use ostler_testkit::{Replay, Stub, soon};
use serde_json::{Value, json};

use crate::world::{Ear, at, connect, error, initialized, legacy, modern, ok, options};

#[tokio::test]
async fn a_modern_server_is_known_by_its_answer() {
    let stub = modern(|seen| {
        ok(
            seen,
            json!({"resultType": "complete", "tools": [{"name": "a"}]}),
        )
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(client.facts().revision, Revision::V2026_07_28);
    let tools = soon("tools", client.list(ListKind::Tools, &mut Ear::new()))
        .await
        .unwrap();
    assert_eq!(tools.len(), 1);
    client.close().await;
    let seen = stub.seen();
    assert_eq!(stub.abouts(), ["server/discover", "tools/list"]);
    for seen in &seen {
        let meta = &seen.json()["params"]["_meta"];
        assert_eq!(
            meta["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(declared["elicitation"], json!({"form": {}}));
        assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(seen.header("mcp-method"), Some(seen.about().as_str()));
        assert_eq!(seen.header("authorization"), Some("Bearer secret"));
        assert_eq!(seen.header("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn a_legacy_server_gets_a_session() {
    let stub = legacy("2025-11-25", |seen| ok(seen, json!({"tools": []}))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    soon("tools", client.list(ListKind::Tools, &mut Ear::new()))
        .await
        .unwrap();
    client.close().await;
    let expected = [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/list",
        "DELETE",
    ];
    assert_eq!(stub.abouts(), expected);
    for seen in &stub.seen()[2..] {
        assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
        assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    }
    let asked = &stub.seen()[1].json()["params"];
    assert_eq!(asked["protocolVersion"], "2025-11-25");
    assert_eq!(asked["capabilities"]["elicitation"], json!({"form": {}}));
}

#[tokio::test]
async fn every_legacy_revision_can_be_asked_for() {
    for date in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let stub = legacy(date, |seen| ok(seen, json!({"tools": []}))).await;
        let revision = Revision::parse(date).unwrap();
        let client = connect(&stub, EraChoice::Only(revision)).await.unwrap();
        assert_eq!(client.facts().revision, revision);
        let seen = stub.seen();
        assert_eq!(seen[0].json()["params"]["protocolVersion"], date);
        // The header is younger than the session [LIF-5].
        let header = (date >= "2025-06-18").then_some(date);
        assert_eq!(seen[1].header("mcp-protocol-version"), header, "{date}");
    }
}

#[tokio::test]
async fn a_server_of_another_modern_revision_says_where_to_meet() {
    let stub = Stub::start(|seen| match seen.about().as_str() {
        "server/discover" => {
            let data = json!({"supported": ["2027-01-01", "2025-06-18", "2025-03-26"]});
            error(seen, 400, -32022, data)
        }
        "initialize" => ok(seen, initialized("2025-06-18")),
        _ => Replay::status(202),
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(client.facts().revision, Revision::V2025_06_18);
    let asked = stub.seen()[1].json();
    assert_eq!(asked["params"]["protocolVersion"], "2025-06-18");
}

#[tokio::test]
async fn a_date_that_is_refused_is_asked_anew_as_one_that_is_not() {
    let stub = Stub::start(|seen| {
        let wanted = seen.json()["params"]["protocolVersion"].clone();
        match (seen.about().as_str(), wanted.as_str()) {
            ("server/discover", _) => Replay::status(404),
            ("initialize", Some("2025-03-26")) => ok(seen, initialized("2025-03-26")),
            ("initialize", _) => error(seen, 200, -32602, json!({"supported": ["2025-03-26"]})),
            _ => Replay::status(202),
        }
    })
    .await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    assert_eq!(client.facts().revision, Revision::V2025_03_26);
}

#[tokio::test]
async fn a_refusal_says_nothing_of_the_era_and_ends_the_search() {
    let stub = Stub::start(|_| Replay::status(401).header("WWW-Authenticate", "Bearer x")).await;
    let refused = connect(&stub, EraChoice::Auto).await.err();
    let challenge = Some("Bearer x".to_owned());
    assert!(
        matches!(refused, Some(Error::Refused { status: 401, challenge: c, .. }) if c == challenge)
    );
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn where_nothing_answers_there_is_no_endpoint() {
    let stub = Stub::start(|_| Replay::status(404)).await;
    let none = connect(&stub, EraChoice::Auto).await.err();
    assert_eq!(none, Some(Error::NoEndpoint { status: 404 }));
    assert_eq!(stub.abouts(), ["server/discover", "initialize", "GET"]);
    let modern = connect(&stub, EraChoice::Modern).await.err();
    assert_eq!(modern, Some(Error::NoEndpoint { status: 404 }));
}

#[tokio::test]
async fn a_revision_nobody_knows_is_not_spoken() {
    for date in ["1999-01-01", "2026-07-28"] {
        let stub = legacy(date, |_| Replay::status(500)).await;
        let error = connect(&stub, EraChoice::Legacy).await.err();
        let server = vec![date.to_owned()];
        assert_eq!(error, Some(Error::NoRevision { server }));
    }
}

#[tokio::test]
async fn pages_are_followed_but_not_in_circles() {
    let page = |cursor: Value| match cursor.as_str() {
        None => json!({"resultType": "complete", "tools": [{"name": "a"}], "nextCursor": ""}),
        Some("") => json!({"resultType": "complete", "tools": [{"name": "b"}], "nextCursor": "2"}),
        Some(_) => json!({"resultType": "complete", "tools": [{"name": "c"}]}),
    };
    let stub = modern(move |seen| ok(seen, page(seen.json()["params"]["cursor"].clone()))).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let tools = soon("tools", client.list(ListKind::Tools, &mut Ear::new()))
        .await
        .unwrap();
    assert_eq!(tools.len(), 3);

    let circle = json!({"resultType": "complete", "tools": [], "nextCursor": "1"});
    let stub = modern(move |seen| ok(seen, circle.clone())).await;
    let client = connect(&stub, EraChoice::Auto).await.unwrap();
    let listed = soon("tools", client.list(ListKind::Tools, &mut Ear::new())).await;
    assert!(matches!(listed, Err(Error::Protocol(_))), "{listed:?}");
}

#[tokio::test]
async fn a_server_that_keeps_silent_about_what_it_does_not_know_is_a_legacy_one() {
    let (hold, held) = tokio::sync::mpsc::channel(1);
    let held = parking_lot::Mutex::new(Some(held));
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "server/discover" => Replay::fed(held.lock().take().expect("it is asked once")),
        "initialize" => ok(seen, initialized("2025-11-25")),
        _ => Replay::status(202),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Auto);
    options.limits.probe_max = std::time::Duration::from_millis(50);
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(&stub), options),
    )
    .await
    .unwrap();
    assert_eq!(client.facts().revision, Revision::V2025_11_25);
    drop(hold);
}

#[tokio::test]
async fn a_redirection_is_said_and_not_followed() {
    let other = Stub::start(|_| Replay::status(200)).await;
    let elsewhere = other.url("/mcp");
    let location = elsewhere.clone();
    let stub = Stub::start(move |_| Replay::status(307).header("Location", &location)).await;
    let error = connect(&stub, EraChoice::Auto).await.err();
    let message = format!("it redirects to {elsewhere}");
    let expected = Error::Status {
        status: 307,
        message,
    };
    assert_eq!(error, Some(expected));
    assert!(
        other.seen().is_empty(),
        "the credential stays where it belongs"
    );
}
