//! The one credential of the admin port: whoever can read its file may command the node.

use std::{io, path::Path};

use ostler_env::Env;

use crate::{
    base64url,
    credential::{Hash, bearer},
    secret_file,
};

/// What the token starts with, for people and for scanners of leaked secrets.
const PREFIX: &str = "oat_";
const SECRET_BYTES: usize = 32;

/// Proves the token of the admin port.
pub struct AdminToken(Hash);

impl AdminToken {
    /// Reads the token of `path`; makes one of 256 random bits, with mode 0600, if there is none.
    pub fn open_or_create(path: &Path, env: &Env) -> io::Result<Self> {
        let new = || {
            let mut secret = [0; SECRET_BYTES];
            env.fill_random(&mut secret);
            format!("{PREFIX}{}\n", base64url::encode(&secret))
        };
        let text = secret_file::read_or_create(path, env, new)?;
        let token = text.trim();
        let secret = token.strip_prefix(PREFIX).and_then(base64url::decode_array);
        let _: [u8; SECRET_BYTES] = secret.ok_or_else(|| {
            let what = "is not a token of the admin port; remove the file, and a node makes one";
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(Self(Hash::of(token)))
    }

    /// Whether a value of `Authorization` carries it. Hashes are compared, in constant time.
    pub fn admits(&self, authorization: &[u8]) -> bool {
        bearer(authorization).is_some_and(|token| self.0.matches(token))
    }
}

/// Never shows the token, nor its hash.
impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let (dir, env) = (TempDir::new().unwrap(), Env::seeded(1));
        let path = dir.path().join("data/admin-token");
        AdminToken::open_or_create(&path, &env).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let shown = fs::read_to_string(&path).unwrap();
        let token = AdminToken::open_or_create(&path, &env).unwrap();
        assert!(token.admits(format!("Bearer {}", shown.trim()).as_bytes()));
        assert_eq!(fs::read_to_string(&path).unwrap(), shown);
        assert!(!format!("{token:?}").contains(shown.trim()));
        let left = fs::read_dir(dir.path().join("data")).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[test]
    fn only_the_token_is_let_in() {
        let (dir, env) = (TempDir::new().unwrap(), Env::seeded(1));
        let (mine, other) = (dir.path().join("mine"), dir.path().join("other"));
        let token = AdminToken::open_or_create(&mine, &env).unwrap();
        AdminToken::open_or_create(&other, &env).unwrap();
        let (mine, other) = [mine, other]
            .map(|path| fs::read_to_string(path).unwrap())
            .into();
        let mine = mine.trim();
        let cut = &mine[..mine.len() - 1];
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            &format!("Bearer {cut}"),
            &format!("Basic {mine}"),
            mine,
        ] {
            assert!(!token.admits(bad.as_bytes()), "{bad:?}");
        }
        assert!(!token.admits(format!("Bearer {}", other.trim()).as_bytes()));
        assert!(!token.admits(b"Bearer \xff"));
    }

    #[test]
    fn a_file_with_something_else_in_it_is_refused_and_kept() {
        let (dir, env) = (TempDir::new().unwrap(), Env::seeded(1));
        let path = dir.path().join("token");
        for bad in ["", "secret", "oat_", "oat_AAAA"] {
            fs::write(&path, bad).unwrap();
            let refused = AdminToken::open_or_create(&path, &env).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{bad:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }
}
