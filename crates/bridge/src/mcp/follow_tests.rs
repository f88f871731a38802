use ostler_client::{EraChoice, Limits};
use ostler_env::Env;
use ostler_types::{ServerId, ServerName, TenantId};
use ostler_worker::Server;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    Metrics,
    mcp::{Connector, MemberId, Settings, Way, testing},
    pool::{self, Pool},
    process::Keeper,
    scope::Isolation,
};

fn shared(env: &Env) -> Shared {
    let server = ServerId {
        tenant: TenantId::parse("default").expect("a name"),
        name: ServerName::parse("test").expect("a name"),
    };
    let metrics = Metrics::register(env.metrics());
    let connector = Connector::new(env.clone(), metrics.clone(), Keeper::this_binary(), []);
    Shared {
        settings: Settings {
            id: MemberId::new(server, "test"),
            way: Way::Url(ostler_client::Endpoint {
                url: "http://nowhere.test/".to_owned(),
                token: None,
                headers: Vec::new(),
                reach: ostler_client::Reach::Public,
            }),
            isolation: Isolation::Shared,
            choice: EraChoice::Auto,
            log_level: "info".to_owned(),
            refresh: Duration::from_secs(60),
            visit_max: Duration::ZERO,
            limits: Limits::default(),
        },
        env: env.clone(),
        pool: Arc::new(Pool::new(env, &metrics, pool::Limits::default(), connector)),
        server: Server::new("test", "1"),
        offer: watch::Sender::default(),
        tools: Default::default(),
        wanted: watch::Sender::default(),
    }
}

/// What is shown of a server that answers so, once `seconds` have passed: how many tools, prompts
/// and templates. All that while it is followed, over the same connection.
async fn shown(answers: testing::Answers, seconds: u64) -> (Presence, [usize; 3]) {
    let env = Env::seeded(1);
    let connection = testing::connection(&env, answers).await;
    let shared = shared(&env);
    let until = env.now() + Duration::from_secs(seconds);
    let ended = env.until(until, shared.serve(&connection)).await;
    assert_eq!(ended, None, "nothing that went wrong ends the connection");
    let offer = shared.offer.borrow().clone();
    let lists = [&offer.tools, &offer.prompts, &offer.templates];
    (offer.presence.clone(), lists.map(Vec::len))
}

fn sound(method: &str) -> Option<Value> {
    Some(match method {
        "tools/list" => json!({"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}),
        "prompts/list" => json!({"prompts": [{"name": "b"}]}),
        "resources/list" => json!({"resources": []}),
        "resources/templates/list" => json!({"resourceTemplates": [{"uriTemplate": "c:{d}"}]}),
        _ => json!({}),
    })
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_never_answered_hides_no_other() {
    let answers: testing::Answers = |method, _| match method {
        "resources/templates/list" => None,
        method => sound(method),
    };
    assert_eq!(shown(answers, 21).await, (Presence::Up, [1, 1, 0]));
    assert_eq!(shown(answers, 3_600).await, (Presence::Up, [1, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_none_hides_no_other() {
    let answers: testing::Answers = |method, _| match method {
        "tools/list" => Some(json!({"nothing": "of the kind"})),
        "prompts/list" => Some(json!({"prompts": [], "nextCursor": "again"})),
        method => sound(method),
    };
    assert_eq!(shown(answers, 1).await, (Presence::Up, [0, 0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_comes_late_is_asked_for_again() {
    let answers: testing::Answers = |method, asked| match (method, asked) {
        ("tools/list", 0..2) => None,
        (method, _) => sound(method),
    };
    assert_eq!(shown(answers, 21).await, (Presence::Up, [0, 1, 1]));
    assert_eq!(shown(answers, 50).await, (Presence::Up, [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn who_gives_nothing_at_all_is_not_there() {
    let hangs: testing::Answers = |_, _| None;
    assert_eq!(shown(hangs, 300).await, (Presence::Unknown, [0, 0, 0]));
    let wakes: testing::Answers = |method, asked| match asked {
        0 => None,
        _ => sound(method),
    };
    assert_eq!(shown(wakes, 50).await, (Presence::Up, [1, 1, 1]));
    let nothing: testing::Answers = |method, _| match method {
        "capabilities" => Some(json!({"completions": {}})),
        _ => None,
    };
    assert_eq!(shown(nothing, 1).await, (Presence::Up, [0, 0, 0]));
}

/// Each minute the prompts are read; the tools are none, and asked for twice a minute at most.
#[tokio::test(start_paused = true)]
async fn what_comes_in_time_does_not_hurry_what_is_late() {
    let answers: testing::Answers = |method, asked| match (method, asked) {
        ("capabilities", _) => {
            let told = json!({"listChanged": true});
            Some(json!({"tools": told, "prompts": {}, "resources": told}))
        }
        ("tools/list", 0..140) => Some(json!({"nothing": "of the kind"})),
        (method, _) => sound(method),
    };
    assert_eq!(shown(answers, 3_600).await, (Presence::Up, [0, 1, 1]));
    assert_eq!(shown(answers, 5_400).await, (Presence::Up, [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_changes_are_not_told_is_read_again_while_others_are_heard() {
    let answers: testing::Answers = |method, asked| match (method, asked) {
        ("capabilities", _) => {
            let told = json!({"listChanged": true});
            Some(json!({"tools": told, "prompts": {}, "resources": told}))
        }
        // Lists are read at first, and once more when changes are heard.
        ("prompts/list", 0..2) => Some(json!({"prompts": []})),
        ("tools/list", 2..) => Some(json!({"tools": []})),
        (method, _) => sound(method),
    };
    assert_eq!(shown(answers, 50).await, (Presence::Up, [1, 0, 1]));
    assert_eq!(shown(answers, 70).await, (Presence::Up, [1, 1, 1]));
}
