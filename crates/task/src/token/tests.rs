//! What a client may bring back, and what it may not.

use std::time::Duration;

use ostler_types::{CallKind, ServerName, TenantId};

use super::*;

const MAX: usize = 32 << 10;
const NOW: Timestamp = Timestamp(1_000);

fn owner(tenant: &str, principal: u8, server: &str) -> Owner {
    Owner {
        tenant: TenantId::parse(tenant).unwrap(),
        principal: [principal; 32],
        server: ServerName::parse(server).unwrap(),
    }
}

fn ours() -> Owner {
    owner("acme", 1, "bank")
}

fn binding(kind: CallKind, target: &str, arguments: &'static str) -> Binding {
    Binding::new(kind, target, &Raw::from_static(arguments))
}

fn transfer() -> Binding {
    binding(CallKind::Tool, "transfer", r#"{"to":"bob","amount":10}"#)
}

fn token() -> Token {
    let mut known = KnownAnswers::default();
    known.push(
        "first".to_owned(),
        Some([5; 32]),
        Raw::from_static(r#"{"a":1.50}"#),
        true,
    );
    Token {
        owner: ours(),
        binding: transfer(),
        task: TaskId([7; 24]),
        round: 3,
        expires_at: NOW + Duration::from_secs(60),
        asked: vec![AskedKey {
            shown: "name-2".to_owned(),
            key: "name".to_owned(),
            question: [6; 32],
        }],
        replay_safe: true,
        known,
    }
}

struct Ring {
    keys: KeyRing,
    env: Env,
}

impl Ring {
    fn new() -> Self {
        let env = Env::seeded(1);
        let keys = KeyRing::ephemeral(&env);
        Self { keys, env }
    }

    fn seal(&self, token: &Token) -> String {
        token.seal(&self.keys, &self.env, MAX)
    }

    fn open(&self, text: &str) -> Result<Token, BadState> {
        Token::open(text, &self.keys, MAX, NOW, &ours(), &transfer())
    }
}

#[tokio::test]
async fn a_token_opens_for_the_request_it_was_made_for() {
    let ring = Ring::new();
    assert_eq!(ring.open(&ring.seal(&token())), Ok(token()));
    // The same arguments in another order are the same arguments.
    let reordered = binding(CallKind::Tool, "transfer", r#"{"amount":10,"to":"bob"}"#);
    let text = ring.seal(&token());
    assert!(Token::open(&text, &ring.keys, MAX, NOW, &ours(), &reordered).is_ok());
}

#[tokio::test]
async fn two_tokens_of_one_state_differ() {
    // [MR-9]
    let ring = Ring::new();
    assert_ne!(ring.seal(&token()), ring.seal(&token()));
}

#[tokio::test]
async fn a_token_changed_at_any_byte_is_refused() {
    // [RPC-050]
    let ring = Ring::new();
    let text = ring.seal(&token());
    for at in 0..text.len() {
        for other in [b'A', b'z', b'=', b'\n'] {
            let mut bytes = text.clone().into_bytes();
            if bytes[at] == other {
                continue;
            }
            bytes[at] = other;
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(ring.open(&forged), Err(BadState::Seal), "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_token_cut_or_continued_is_refused() {
    let ring = Ring::new();
    let text = ring.seal(&token());
    for at in 0..text.len() {
        assert_eq!(ring.open(&text[..at]), Err(BadState::Seal), "cut at {at}");
    }
    for suffix in ["-TAMPERED", "=", "A", "AA", "AAA", "AAAA", " ", "\0", "."] {
        assert_eq!(
            ring.open(&format!("{text}{suffix}")),
            Err(BadState::Seal),
            "{suffix:?}"
        );
    }
    assert_eq!(ring.open(&format!(" {text}")), Err(BadState::Seal));
}

#[tokio::test]
async fn a_token_is_of_no_use_to_anybody_or_anything_else() {
    // [RPC-051] [RPC-052]
    let ring = Ring::new();
    let text = ring.seal(&token());
    let arguments = r#"{"to":"bob","amount":10}"#;
    let cases = [
        (owner("acme", 2, "bank"), transfer(), BadState::Principal),
        (owner("evil", 1, "bank"), transfer(), BadState::Server),
        (owner("acme", 1, "shop"), transfer(), BadState::Server),
        (
            ours(),
            binding(CallKind::Tool, "echo", arguments),
            BadState::Target,
        ),
        (
            ours(),
            binding(CallKind::Prompt, "transfer", arguments),
            BadState::Target,
        ),
        (
            ours(),
            binding(CallKind::Tool, "transfer", "{}"),
            BadState::Arguments,
        ),
        (
            ours(),
            binding(CallKind::Tool, "transfer", r#"{"to":"bob","amount":10.0}"#),
            BadState::Arguments,
        ),
        (
            ours(),
            binding(CallKind::Tool, "transfer", r#"{"to":"eve","amount":10}"#),
            BadState::Arguments,
        ),
    ];
    for (owner, binding, expected) in cases {
        let opened = Token::open(&text, &ring.keys, MAX, NOW, &owner, &binding);
        assert_eq!(opened, Err(expected));
    }
}

#[tokio::test]
async fn a_token_ends_with_its_round() {
    // [RPC-053]
    let ring = Ring::new();
    let text = ring.seal(&token());
    let open = |at| Token::open(&text, &ring.keys, MAX, at, &ours(), &transfer());
    assert!(open(Timestamp(token().expires_at.0 - 1)).is_ok());
    assert_eq!(open(token().expires_at), Err(BadState::Expired));
}

#[tokio::test]
async fn another_ring_does_not_open_it() {
    let text = Ring::new().seal(&token());
    let env = Env::seeded(2);
    let keys = KeyRing::ephemeral(&env);
    assert_eq!(Ring { keys, env }.open(&text), Err(BadState::Seal));
}

#[tokio::test]
async fn a_value_sealed_for_something_else_does_not_open() {
    let ring = Ring::new();
    let plain = token().encode(true);
    let cursor = ring.keys.seal(Purpose::Cursor, AAD, &plain, &ring.env);
    assert_eq!(ring.open(&cursor), Err(BadState::Seal));
    let other_form = ring
        .keys
        .seal(Purpose::RequestState, b"v9", &plain, &ring.env);
    assert_eq!(ring.open(&other_form), Err(BadState::Seal));
    let trailing = [plain, vec![0]].concat();
    let trailing = ring
        .keys
        .seal(Purpose::RequestState, AAD, &trailing, &ring.env);
    assert_eq!(ring.open(&trailing), Err(BadState::Form));
}

#[tokio::test]
async fn a_token_is_bounded_and_does_without_answers_that_do_not_fit() {
    let ring = Ring::new();
    let mut long = token();
    let value = Raw::from_text(&"x".repeat(MAX));
    long.known.push("long".to_owned(), None, value, true);
    let text = ring.seal(&long);
    assert!(text.len() <= MAX);
    let opened = ring.open(&text).unwrap();
    assert_eq!(
        (opened.known.entries.len(), opened.known.complete),
        (0, false)
    );
    assert_eq!(opened.rerun(&BTreeMap::new()), None);
    assert_eq!(ring.open(&"A".repeat(MAX + 1)), Err(BadState::TooLong));
}

#[tokio::test]
async fn the_length_is_known_before_sealing() {
    let ring = Ring::new();
    for extra in 0..8 {
        let mut token = token();
        token.asked[0].shown = "k".repeat(extra);
        assert_eq!(
            ring.seal(&token).len(),
            sealed_exact(token.encode(true).len())
        );
        assert!(sealed_len(token.encode(true).len()) >= ring.seal(&token).len());
    }
}

/// Without padding.
fn sealed_exact(plain: usize) -> usize {
    ((plain + 44) * 4).div_ceil(3)
}

#[tokio::test]
async fn a_rerun_has_earlier_answers_and_those_of_the_round() {
    let values = BTreeMap::from([
        ("name-2".to_owned(), Raw::from_static("{}")),
        ("name".to_owned(), Raw::from_static("1")),
        ("junk".to_owned(), Raw::from_static("2")),
    ]);
    let known = token().rerun(&values).unwrap();
    let keys: Vec<_> = known
        .entries
        .iter()
        .map(|known| (known.key.as_str(), known.spent))
        .collect();
    assert_eq!(keys, [("first", false), ("name", false)]);
    let unsafe_token = Token {
        replay_safe: false,
        ..token()
    };
    assert_eq!(unsafe_token.rerun(&values), None);
}

#[test]
fn reasons_are_listed_in_the_order_of_their_numbers() {
    for (number, reason) in BadState::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, number);
    }
}
