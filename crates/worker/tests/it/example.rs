//! The example, as its reader would run it.

#[path = "../../examples/calc.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod calc;

use serde_json::json;

use crate::hub::Hub;

#[tokio::test(start_paused = true)]
async fn three_tools_fit_on_one_screen_and_work() {
    let lines = include_str!("../../examples/calc.rs").lines().count();
    assert!(lines <= 60, "{lines} lines");
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(calc::calc())).await;
    link.call(1, "add", json!({"a": 1, "b": 2})).await;
    assert!(link.said().await.contains(r#""text":"3""#));
    link.call(2, "divide", json!({"a": 7, "b": 2})).await;
    assert!(
        link.said()
            .await
            .contains(r#""structuredContent":{"quotient":3,"remainder":1}"#)
    );
    link.call(3, "divide", json!({"a": 7, "b": 0})).await;
    assert!(link.said().await.contains("cannot divide by zero"));
    link.call(4, "greet", json!({})).await;
    assert_eq!(link.said().await, "started 4");
    assert!(link.said().await.contains("Who are you?"));
    let ann = json!({"action": "accept", "content": {"name": "Ann"}});
    link.answer(4, "name", ann).await;
    assert!(link.said().await.contains("Hello, Ann!"));
}
