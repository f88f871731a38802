//! Calls that are refused until a user has visited pages (-32042).

use ostler_client::{Answer, Client, EraChoice, Error, Notice};
use ostler_env::Env;
use ostler_testkit::{Replay, Stub, soon};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    far::{self, Far},
    world::{Panel, Questions, at, call, error, event, ok, options, run, session},
};

const COMPLETE: &str = "notifications/elicitation/complete";

fn done() -> Value {
    json!({"content": []})
}

fn page(id: &str) -> Value {
    let url = format!("https://a.example/{id}");
    json!({"mode": "url", "message": "sign in", "url": url, "elicitationId": id})
}

fn pages(ids: &[&str]) -> Value {
    let pages: Vec<_> = ids.iter().map(|id| page(id)).collect();
    json!({"elicitations": pages})
}

async fn refuse(far: &mut Far, asked: &Value, ids: &[&str]) {
    let error = json!({"code": -32042, "message": "sign in first", "data": pages(ids)});
    far.say(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
        .await;
}

async fn complete(far: &mut Far, id: &str) {
    far.note(COMPLETE, json!({"elicitationId": id})).await;
}

/// A client that may send its user to pages, and its server.
async fn connected() -> (Client, Far) {
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.abilities.url = true;
    options.limits.rounds_max = 3;
    far::legacy_with("2025-11-25", options).await
}

/// How a call ends at this server, and which pages its host heard are done.
async fn ended(
    client: &Client,
    panel: &mut Panel,
    serving: impl Future<Output = ()>,
) -> (Result<Value, Error>, Vec<String>) {
    let call = call("t");
    let (ended, ()) = tokio::join!(run(client, &call, panel), serving);
    let visited = panel.notices.drain(..).filter_map(|notice| match notice {
        Notice::Visited { id } => Some(id),
        _ => None,
    });
    (ended, visited.collect())
}

async fn agree(questions: &mut Questions, pages: usize) {
    for _ in 0..pages {
        questions.next().await.accept();
    }
}

#[tokio::test]
async fn a_call_is_made_again_when_all_its_pages_are_done() {
    let (client, mut far) = connected().await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        refuse(&mut far, &asked, &["a", "b"]).await;
        let (a, b) = (questions.next().await, questions.next().await);
        assert_eq!(a.text(), "https://a.example/a", "both are asked at once");
        a.accept();
        b.accept();
        let visited = questions.next().await;
        assert_eq!(visited.text(), "visited?");
        // Of these nobody knows, or knows already.
        for id in ["else", "a", "a", "b"] {
            complete(&mut far, id).await;
        }
        let asked = far.hear("tools/call").await;
        visited.dropped().await;
        far.result(&asked, done()).await;
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert_eq!(ended, Ok(done()));
    assert_eq!(visited, ["a", "b"]);
}

#[tokio::test]
async fn a_page_that_is_done_before_consent_is_not_waited_for() {
    let (client, mut far) = connected().await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        refuse(&mut far, &asked, &["a"]).await;
        let a = questions.next().await;
        complete(&mut far, "a").await;
        // It is answered after what was said before it.
        far.ask(1, "ping", json!({})).await;
        far.next().await.unwrap();
        a.accept();
        let asked = far.hear("tools/call").await;
        assert!(questions.is_empty());
        far.result(&asked, done()).await;
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert_eq!((ended, visited), (Ok(done()), vec!["a".to_owned()]));
}

#[tokio::test]
async fn without_a_word_of_the_server_the_host_says_when_to_go_on() {
    let (client, mut far) = connected().await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        refuse(&mut far, &asked, &["a", "b"]).await;
        agree(&mut questions, 2).await;
        complete(&mut far, "a").await;
        questions.next().await.accept();
        let asked = far.hear("tools/call").await;
        far.result(&asked, done()).await;
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert_eq!((ended, visited), (Ok(done()), vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_server_that_is_never_content_is_left() {
    let (client, mut far) = connected().await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        for _ in 0..3 {
            let asked = far.hear("tools/call").await;
            refuse(&mut far, &asked, &["a"]).await;
            agree(&mut questions, 1).await;
            let visited = questions.next().await;
            complete(&mut far, "a").await;
            visited.dropped().await;
        }
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?}");
    assert_eq!(visited, ["a"; 3]);
}

#[tokio::test]
async fn who_will_not_visit_one_page_visits_none() {
    for visited in [false, true] {
        let (client, mut far) = connected().await;
        let (mut panel, mut questions) = Panel::new();
        let serving = async {
            let asked = far.hear("tools/call").await;
            refuse(&mut far, &asked, &["a", "b"]).await;
            let (a, b) = (questions.next().await, questions.next().await);
            if visited {
                a.accept();
                b.accept();
                // They went, and gave up there.
                questions.next().await.give(Answer::cancelled());
                return;
            }
            b.give(Answer::declined());
            a.dropped().await;
        };
        let (ended, _) = ended(&client, &mut panel, serving).await;
        assert!(matches!(ended, Err(Error::Rpc(rpc)) if rpc.code == -32042));
        drop(client);
        assert_eq!(far.next().await, None, "the call is not made again");
    }
}

#[tokio::test]
async fn what_names_something_else_than_pages_ends_the_call() {
    for elicitation in [json!({"message": "m", "requestedSchema": {}}), json!(7)] {
        let (client, mut far) = connected().await;
        let (mut panel, _questions) = Panel::new();
        let serving = async {
            let asked = far.hear("tools/call").await;
            let data = json!({"elicitations": [elicitation]});
            let error = json!({"code": -32042, "message": "no", "data": data});
            far.say(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
                .await;
        };
        let (ended, _) = ended(&client, &mut panel, serving).await;
        assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?}");
    }
}

/// On a channel that all share, the notification names nothing but the page.
#[tokio::test]
async fn the_call_that_asked_for_a_page_hears_that_it_is_done() {
    let (client, mut far) = connected().await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(7, "elicitation/create", page("a")).await;
        agree(&mut questions, 1).await;
        assert_eq!(far.next().await.unwrap()["id"], 7);
        complete(&mut far, "a").await;
        far.result(&asked, done()).await;
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert_eq!((ended, visited), (Ok(done()), vec!["a".to_owned()]));
}

/// A server over Streamable HTTP, whose stream for what belongs to no request is this.
async fn over_http(get: impl Fn() -> Replay + Send + Sync + 'static) -> (Stub, Client) {
    let first = Mutex::new(true);
    let stub = Stub::start(move |seen| match seen.about().as_str() {
        "tools/call" if std::mem::take(&mut *first.lock()) => {
            error(seen, 200, -32042, pages(&["a"]))
        }
        "tools/call" => ok(seen, done()),
        "GET" => get(),
        _ => session("2025-11-25", seen),
    })
    .await;
    let (mut options, _stopper) = options(EraChoice::Legacy);
    options.abilities.url = true;
    let endpoint = at(&stub);
    let client = Client::connect(Env::system(), &endpoint, options);
    let client = soon("a client", client).await.expect("it connects");
    (stub, client)
}

#[tokio::test]
async fn over_http_the_end_of_a_visit_is_heard_on_a_stream_of_its_own() {
    let (tx, rx) = mpsc::channel(4);
    let rx = Mutex::new(Some(rx));
    let (_stub, client) =
        over_http(move || Replay::fed(rx.lock().take().expect("one stream"))).await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        agree(&mut questions, 1).await;
        let visited = questions.next().await;
        let said = json!({"jsonrpc": "2.0", "method": COMPLETE, "params": {"elicitationId": "a"}});
        tx.send(event("1", &said)).await.expect("it is read");
        visited.dropped().await;
    };
    let (ended, visited) = ended(&client, &mut panel, serving).await;
    assert_eq!((ended, visited), (Ok(done()), vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_server_without_such_a_stream_says_nothing_there() {
    let (_stub, client) = over_http(|| Replay::status(405)).await;
    let (mut panel, mut questions) = Panel::new();
    let serving = async {
        agree(&mut questions, 2).await;
    };
    let (ended, _) = ended(&client, &mut panel, serving).await;
    assert_eq!(ended, Ok(done()));
}
