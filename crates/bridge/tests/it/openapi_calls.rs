//! Calls through a whole node to a service that is settled by the test.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_bridge::{
    Member, Offer, Presence,
    member::Asked,
    openapi::{Config, Error, OpenApi, fetch},
};
use ostler_client::Reach;
use ostler_env::{Env, JoinHandle};
use ostler_testkit::{Modern, Replay, Seen, Stub, TestNode, until};
use ostler_types::CallKind;
use ostler_worker::{Ctx, Server, Tool, Worker};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::openapi::pets;

/// A service behind a node.
struct World {
    node: TestNode,
    stub: Stub,
    worker: JoinHandle<()>,
    offer: watch::Receiver<Arc<Offer>>,
}

impl World {
    async fn open(answer: impl Fn(&Seen) -> Replay + Send + Sync + 'static) -> Self {
        Self::with(answer, |_| {}).await
    }

    async fn with(
        answer: impl Fn(&Seen) -> Replay + Send + Sync + 'static,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let stub = Stub::start(answer).await;
        let mut config = pets();
        config.base = Some(stub.url("/v2/"));
        config.reach = Reach::Anywhere;
        change(&mut config);
        let env = Env::system();
        let member = OpenApi::new(env.clone(), &config).expect("it can be read");
        let offer = member.offer();
        let node = TestNode::anonymous().await;
        let worker = Worker::new(format!("http://{}", node.workers)).env(env.clone());
        let worker = worker.serve("default", "default", server(member));
        let worker = env.spawn("test.worker", async move {
            let ended = worker.run_until(pending::<()>()).await;
            panic!("a worker ended by itself: {ended:?}");
        });
        node.reaches("ostler_hub_links_opened_total", &[], 1.0)
            .await;
        Self {
            node,
            stub,
            worker,
            offer,
        }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        Modern::call(tool, arguments)
            .result(&self.node.door())
            .await
    }

    async fn failed(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        let text = result["content"][0]["text"].as_str();
        text.expect("it has a text").to_owned()
    }

    async fn stop(self) {
        self.worker.abort();
        self.node.stop().await;
    }
}

fn server(member: OpenApi) -> Server {
    let member = Arc::new(member);
    let offer = member.offer().borrow().clone();
    offer
        .tools
        .iter()
        .fold(Server::new("pets", "1"), |server, definition| {
            let definition: Value =
                serde_json::from_str(definition.as_str()).expect("a tool is JSON");
            let name = definition["name"]
                .as_str()
                .expect("a tool has a name")
                .to_owned();
            let member = member.clone();
            let run = {
                let name = name.clone();
                move |ctx: Ctx, arguments: Value| {
                    let asked = Asked {
                        kind: CallKind::Tool,
                        target: name.clone(),
                        arguments: Bytes::from(arguments.to_string()),
                    };
                    member.call(ctx, asked)
                }
            };
            let mut tool = Tool::new(&name, "", run).input_schema(&definition["inputSchema"]);
            if definition["outputSchema"].is_object() {
                tool = tool.output_schema(&definition["outputSchema"]);
            }
            server.with(tool)
        })
}

fn pet() -> Value {
    json!({"id": 7, "name": "Rex"})
}

#[tokio::test]
async fn a_call_is_a_request_and_its_answer_the_result() {
    let world = World::open(|seen| match seen.method.as_str() {
        "DELETE" | "PUT" => Replay::status(204),
        "GET" if seen.target.contains("photo") => {
            Replay::status(200).header("content-type", "image/png")
        }
        "GET" => Replay::json(200, &json!({"pets": [pet()], "next": null})),
        _ => Replay::json(201, &pet()),
    })
    .await;
    let listed = world.call(
        "listPets",
        json!({"limit": 2, "where": {"kind": "dog"}, "X-Trace": "t"}),
    );
    let listed = listed.await;
    assert_eq!(
        listed["structuredContent"],
        json!({"pets": [pet()], "next": null})
    );
    let added = world
        .call("listPets_2", json!({"body": {"name": "Rex"}}))
        .await;
    assert_eq!(added["structuredContent"], pet());
    assert_eq!(added["content"][0]["text"], r#"{"id":7,"name":"Rex"}"#);
    let gone = world.call("delete_pet", json!({"petId": "a"})).await;
    assert_eq!(gone["content"][0]["text"], "done (HTTP 204, no content)");
    let form = json!({"petId": "a", "petId_path": "b", "body": "q", "body_": {"name": "R x"}});
    world.call("pets.replace", form).await;

    let seen = world.stub.seen();
    let lines: Vec<_> = seen
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.target))
        .collect();
    let expected = [
        "GET /v2/pets?limit=2&where%5Bkind%5D=dog&api_key=s3cret",
        "POST /v2/pets?api_key=s3cret",
        "DELETE /v2/pets/a?api_key=s3cret",
        "PUT /v2/pets/b?petId=a&body=q&api_key=s3cret",
    ];
    assert_eq!(lines, expected);
    assert_eq!(seen[0].header("x-trace"), Some("t"));
    assert_eq!(seen[1].json(), json!({"name": "Rex"}));
    assert_eq!(seen[3].body, b"name=R%20x");
    world.stop().await;
}

/// CON-007.
#[tokio::test]
async fn an_argument_stays_in_its_segment() {
    let world = World::open(|_| Replay::json(200, &pet())).await;
    for id in ["../admin?x=", "%2e%2e%2f", "a#b", "//evil.example"] {
        world.call("GET_pets_petId", json!({"petId": id})).await;
    }
    for id in ["..", ".", ""] {
        let why = world.failed("GET_pets_petId", json!({"petId": id})).await;
        assert!(why.contains("dots"), "{why}");
    }
    let targets: Vec<_> = world
        .stub
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    let expected = [
        "..%2Fadmin%3Fx%3D",
        "%252e%252e%252f",
        "a%23b",
        "%2F%2Fevil.example",
    ];
    let expected = expected.map(|id| format!("/v2/pets/{id}?api_key=s3cret"));
    assert_eq!(targets, expected);
    world.stop().await;
}

/// CON-008: the redirect is told of, and whoever stands there hears nothing.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = Stub::start(|_| Replay::json(200, &json!({"token": "of the cloud"}))).await;
    let location = inside.url("/latest/meta-data");
    let world = World::open(move |_| Replay::status(302).header("location", &location)).await;
    let why = world.failed("GET_pets_petId", json!({"petId": "a"})).await;
    assert!(
        why.contains("HTTP 302: it redirects, which is not followed"),
        "{why}"
    );
    assert!(inside.seen().is_empty());
    world.stop().await;
}

/// CON-008: the address is checked where it is connected to, whatever name leads there.
#[tokio::test]
async fn a_private_address_is_refused_unless_it_is_allowed() {
    let world = World::with(
        |_| Replay::json(200, &pet()),
        |config| {
            let base = config.base.take().unwrap();
            config.base = Some(base.replace("127.0.0.1", "localhost"));
            config.reach = Reach::Public;
        },
    )
    .await;
    let why = world.failed("GET_pets_petId", json!({"petId": "a"})).await;
    assert!(why.contains("cannot be reached"), "{why}");
    assert!(
        !why.contains("localhost") && !why.contains("s3cret"),
        "{why}"
    );
    assert!(world.stub.seen().is_empty());
    let presence = world.offer.borrow().presence.clone();
    assert!(matches!(presence, Presence::Down(_)), "{presence:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_broken_answer_may_have_run_and_a_later_one_shows_that_the_service_is_there() {
    let world = World::open(|seen| match seen.target.contains("/pets/a") {
        true => Replay::stream(&["half"]).cut(),
        false => Replay::json(200, &pet()),
    })
    .await;
    let broken = Modern::call("GET_pets_petId", json!({"petId": "a"}));
    let broken = broken.send(&world.node.door()).await.json();
    assert_eq!(broken["error"]["code"], -31003, "{broken}");
    assert_eq!(broken["error"]["data"]["executed"], "unknown", "{broken}");
    world.call("GET_pets_petId", json!({"petId": "b"})).await;
    assert_eq!(world.offer.borrow().presence, Presence::Up);
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_success_is_for_the_model_to_read() {
    let world = World::open(|seen| match seen.target.contains("/pets/a") {
        true => Replay::json(404, &json!({"error": "no such pet"})),
        false => Replay::json(200, &json!({"pets": "x".repeat(5 << 20)})),
    })
    .await;
    let why = world.failed("GET_pets_petId", json!({"petId": "a"})).await;
    assert!(
        why.contains("HTTP 404") && why.contains("no such pet"),
        "{why}"
    );
    let why = world.failed("listPets", json!({})).await;
    assert!(
        why.contains("an answer of more than 4194304 bytes"),
        "{why}"
    );
    world.failed("listPets", json!({"api_key": "mine"})).await;
    world.stop().await;
}

#[tokio::test]
async fn a_service_that_says_nothing_is_given_up_and_let_go() {
    let silent = |_: &Seen| Replay::silence();
    let world = World::with(silent, |config| config.timeout = Duration::from_millis(50)).await;
    let why = world.failed("GET_pets_petId", json!({"petId": "a"})).await;
    assert!(why.contains("no answer within 50ms"), "{why}");
    world.stop().await;
}

/// Nobody waits any more: the service sees its connection close.
#[tokio::test]
async fn a_cancelled_call_closes_its_connection() {
    let (tx, rx) = mpsc::channel(1);
    let pieces = parking_lot::Mutex::new(Some(rx));
    let world = World::open(move |_| match pieces.lock().take() {
        Some(rx) => Replay::fed(rx),
        None => Replay::status(500),
    })
    .await;
    let call = Modern::call("GET_pets_petId", json!({"petId": "a"}));
    let door = world.node.door();
    let live = door.begin(&call.to(&door)).await;
    until("a request", || {
        (!world.stub.seen().is_empty()).then_some(())
    })
    .await;
    drop(live);
    // The stub gives its end of the channel back when it cannot write any more.
    until("a closed connection", || {
        tx.try_send(": \n".to_owned())
            .is_err_and(|why| is_closed(&why))
            .then_some(())
    })
    .await;
    world.stop().await;
}

fn is_closed<T>(error: &mpsc::error::TrySendError<T>) -> bool {
    matches!(error, mpsc::error::TrySendError::Closed(_))
}

#[tokio::test]
async fn a_description_is_fetched_within_the_same_rules() {
    let description = json!({"openapi": "3.1.0", "servers": [{"url": "http://a.example"}]});
    let stub = Stub::start(move |seen| match seen.target.as_str() {
        "/openapi.json" => Replay::json(200, &description),
        _ => Replay::status(404),
    })
    .await;
    let env = Env::system();
    let get = async |path: &str, reach| fetch(&env, &stub.url(path), reach).await;
    let text = get("/openapi.json", Reach::Anywhere).await.unwrap();
    assert!(OpenApi::new(env.clone(), &Config::new(text)).is_ok());
    let missing = get("/other", Reach::Anywhere).await;
    assert_eq!(missing, Err(Error::Fetch("HTTP 404".to_owned())));
    let private = get("/openapi.json", Reach::Public).await;
    assert!(matches!(private, Err(Error::Fetch(_))), "{private:?}");
    assert_eq!(stub.seen().len(), 2);
}
