//! What the service knows this bridge by. It comes from the configuration alone: no argument can
//! set it, and nothing that is shown holds it.

use base64::{Engine, engine::general_purpose::STANDARD};
use ostler_types::Secret;

use super::{request::Outgoing, style::encode};

/// What goes along with every request to the service.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic { user: String, password: Secret },
    /// A key under a name.
    Key {
        place: KeyPlace,
        name: String,
        key: Secret,
    },
}

/// Where a key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    Header,
    Query,
    Cookie,
}

impl Credential {
    /// Whether it is what stands there. Names of headers have no case; to be sure, none has here.
    pub(super) fn is_at(&self, place: KeyPlace, name: &str) -> bool {
        match self {
            Credential::Bearer(_) | Credential::Basic { .. } => {
                place == KeyPlace::Header && name.eq_ignore_ascii_case("authorization")
            }
            Credential::Key {
                place: ours,
                name: key,
                ..
            } => *ours == place && name.eq_ignore_ascii_case(&encode(key)),
        }
    }

    /// The secret itself.
    pub(super) fn text(&self) -> &str {
        match self {
            Credential::Bearer(secret)
            | Credential::Basic {
                password: secret, ..
            }
            | Credential::Key { key: secret, .. } => secret.expose(),
        }
    }

    /// Puts it into the request, which is shown to nobody from then on.
    pub(super) fn join(&self, outgoing: &mut Outgoing) {
        let mut authorize = |text: String| {
            outgoing.headers.push(("authorization".to_owned(), text));
        };
        match self {
            Credential::Bearer(token) => authorize(format!("Bearer {}", token.expose())),
            Credential::Basic { user, password } => {
                let both = format!("{user}:{}", password.expose());
                authorize(format!("Basic {}", STANDARD.encode(both)));
            }
            Credential::Key { place, name, key } => match place {
                KeyPlace::Header => outgoing
                    .headers
                    .push((name.clone(), key.expose().to_owned())),
                KeyPlace::Cookie => {
                    let cookie = format!("{}={}", encode(name), encode(key.expose()));
                    outgoing.cookies.push(cookie);
                }
                KeyPlace::Query => {
                    let sign = if outgoing.target.contains('?') {
                        '&'
                    } else {
                        '?'
                    };
                    let key = format!("{sign}{}={}", encode(name), encode(key.expose()));
                    outgoing.target.push_str(&key);
                }
            },
        }
    }
}
