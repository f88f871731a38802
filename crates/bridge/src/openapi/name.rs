//! Names of tools.

use std::collections::HashSet;

/// The protocol allows 128 characters ([T-2]); hosts and models often stop at 64.
const NAME_LEN_MAX: usize = 64;

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A name made of `wish`: of the characters that the protocol allows, and no other's. Who
    /// comes later gets a number, so the order decides and is the description's.
    pub fn take(&mut self, wish: &str) -> String {
        let base = allowed(wish);
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            let end = format!("_{number}");
            let start_len = base.len().min(NAME_LEN_MAX - end.len());
            name = format!("{}{end}", &base[..start_len]);
            number += 1;
        }
        name
    }
}

/// Everything else becomes an underscore, several of them one.
fn allowed(wish: &str) -> String {
    let mut name = String::new();
    for c in wish.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => name.push(c),
            _ if name.ends_with('_') || name.is_empty() => {}
            _ => name.push('_'),
        }
    }
    name.truncate(NAME_LEN_MAX);
    let name = name.trim_end_matches('_');
    match name.is_empty() {
        true => "unnamed".to_owned(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_unique_and_always_the_same() {
        let mut names = Names::default();
        let mut check = |wish: &str, expected: &str| assert_eq!(names.take(wish), expected);
        check("listPets", "listPets");
        check("listPets", "listPets_2");
        check("listPets", "listPets_3");
        check("GET /pets/{petId}", "GET_pets_petId");
        check("__a  b//c__", "a_b_c");
        check("größe", "gr_e");
        check("日本", "unnamed");
        check("", "unnamed_2");
        check(&"a".repeat(200), &"a".repeat(64));
        check(&"a".repeat(200), &format!("{}_2", "a".repeat(62)));
    }
}
