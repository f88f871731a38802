//! Modern servers on a pipe.

use ostler_client::{Error, Filter, Notice};
use ostler_testkit::soon;
use serde_json::{Value, json};

use crate::{
    far::modern,
    world::{Ear, call, form, run},
};

fn done() -> Value {
    json!({"resultType": "complete", "content": []})
}

fn meta<'a>(message: &'a Value, name: &str) -> &'a Value {
    &message["params"]["_meta"][format!("io.modelcontextprotocol/{name}")]
}

#[tokio::test]
async fn each_request_says_what_its_own_caller_can_do() {
    let (client, mut far) = modern().await;
    let mut ears = [Ear::of(1), Ear::of(2)];
    let behalf = ears[1].behalf.as_mut().expect("it has one");
    behalf.abilities = Default::default();
    behalf.log_level = Some("debug".to_owned());
    let call = call("t");
    let expected = [
        (json!({"form": {}}), Value::Null),
        (Value::Null, json!("debug")),
    ];
    for (ear, (elicitation, level)) in ears.iter_mut().zip(expected) {
        let serving = async {
            let asked = far.hear("tools/call").await;
            assert_eq!(
                meta(&asked, "clientCapabilities")["elicitation"],
                elicitation
            );
            assert_eq!(*meta(&asked, "logLevel"), level);
            far.result(&asked, done()).await;
        };
        let (ran, ()) = tokio::join!(run(&client, &call, ear), serving);
        assert_eq!(ran.unwrap(), done());
    }
}

#[tokio::test]
async fn a_round_of_questions_is_answered_by_another_request() {
    let (client, mut far) = modern().await;
    let (call, mut ear) = (call("t"), Ear::new());
    let serving = async {
        let asked = far.hear("tools/call").await;
        let token = &asked["params"]["_meta"]["progressToken"];
        far.note(
            "notifications/progress",
            json!({"progressToken": token, "progress": 1}),
        )
        .await;
        let request = json!({"method": "elicitation/create", "params": form()});
        let round = json!({"resultType": "input_required", "requestState": "s",
            "inputRequests": {"k": request}});
        far.result(&asked, round).await;
        let asked = far.hear("tools/call").await;
        assert_eq!(asked["params"]["requestState"], "s");
        assert_eq!(asked["params"]["inputResponses"]["k"]["action"], "accept");
        far.result(&asked, done()).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut ear), serving);
    assert_eq!(ran.unwrap(), done());
    assert_eq!((ear.asks.len(), ear.notices.len()), (1, 1));
}

#[tokio::test]
async fn a_modern_server_that_sends_requests_is_refused_and_calls_go_on() {
    let (client, mut far) = modern().await;
    let (call, mut ear) = (call("t"), Ear::new());
    let serving = async {
        let asked = far.hear("tools/call").await;
        far.ask(1, "elicitation/create", form()).await;
        assert_eq!(far.next().await.unwrap()["error"]["code"], -32603);
        far.result(&asked, done()).await;
    };
    let (ran, ()) = tokio::join!(run(&client, &call, &mut ear), serving);
    assert_eq!(ran.unwrap(), done());
    assert!(ear.asks.is_empty());
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_a_dropped_task_too() {
    let (client, mut far) = modern().await;
    let (call, mut ear) = (call("t"), Ear::new());
    let asked = tokio::select! {
        asked = far.hear("tools/call") => asked,
        ended = client.run(&call, &mut ear) => panic!("{ended:?}"),
    };
    let cancelled = far.hear("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], asked["id"]);
    let becoming = async {
        let asked = far.hear("tools/call").await;
        let task = json!({"resultType": "task", "taskId": "t-1", "status": "working",
            "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z",
            "ttlMs": null, "pollIntervalMs": 60_000});
        far.result(&asked, task).await;
    };
    let mut told = Teller::default();
    let rx = told.told();
    tokio::select! {
        ended = client.run(&call, &mut told) => panic!("{ended:?}"),
        () = async { becoming.await; rx.notified().await } => {}
    }
    let cancelled = far.hear("tasks/cancel").await;
    assert_eq!(cancelled["params"]["taskId"], "t-1");
}

/// Says when it hears something.
#[derive(Default)]
struct Teller(std::sync::Arc<tokio::sync::Notify>);

impl Teller {
    fn told(&self) -> std::sync::Arc<tokio::sync::Notify> {
        self.0.clone()
    }
}

impl ostler_client::Host for Teller {
    fn notice(&mut self, _: Notice) {
        self.0.notify_one();
    }

    fn answer(&mut self, _: ostler_client::Ask, _: Option<&str>) -> ostler_client::Answering {
        Box::pin(async { ostler_client::Answer::Refused })
    }
}

#[tokio::test]
async fn a_listen_changes_its_filter_without_a_gap() {
    let (client, mut far) = modern().await;
    let filter = |uri: &str| Filter {
        uris: vec![uri.to_owned()],
    };
    let (wanted, rx) = tokio::sync::watch::channel(filter("a:1"));
    let mut ear = Ear::new();
    let updated = "notifications/resources/updated";
    let serving = async {
        let of = |id: &Value| json!({"io.modelcontextprotocol/subscriptionId": id});
        let first = far.hear("subscriptions/listen").await;
        let acknowledged = "notifications/subscriptions/acknowledged";
        let ack = |id| json!({"_meta": of(id), "notifications": {}});
        far.note(acknowledged, ack(&first["id"])).await;
        wanted.send_replace(filter("b:2"));
        let second = far.hear("subscriptions/listen").await;
        let uris = &second["params"]["notifications"]["resourceSubscriptions"];
        assert_eq!(*uris, json!(["b:2"]));
        // The first one is heard until the second one is.
        far.note(updated, json!({"_meta": of(&first["id"]), "uri": "a:1"}))
            .await;
        far.note(acknowledged, ack(&second["id"])).await;
        let cancelled = far.hear("notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], first["id"]);
        far.note(updated, json!({"_meta": of(&second["id"]), "uri": "b:2"}))
            .await;
        // How a server ends one on a pipe; then it is gone.
        far.note(
            "notifications/cancelled",
            json!({"requestId": second["id"]}),
        )
        .await;
        far.hear("subscriptions/listen").await;
        drop(far);
    };
    let listening = client.listen(rx, &mut ear);
    let (heard, ()) = soon("the end", async { tokio::join!(listening, serving) }).await;
    assert!(
        matches!(heard, Err(Error::NotSent { .. } | Error::Broken { .. })),
        "{heard:?}"
    );
    let at = |uri: &str| Notice::Updated {
        uri: uri.to_owned(),
    };
    assert_eq!(ear.notices, [Notice::Listening, at("a:1"), at("b:2")]);
}
