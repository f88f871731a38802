//! May this caller do this. The one place that says yes.

use ostler_types::{Caller, Operation, ServerId};

/// Proof that policy said yes to one operation. Only [`decide`] makes one, it cannot be copied,
/// and `dispatch` starts nothing without it.
#[derive(Debug)]
#[must_use]
pub struct Permit(());

/// Why policy said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Another tenant's Server: to be answered like one that does not exist.
    #[error("no such server")]
    Foreign,
    /// All scopes the operation needs, for the challenge that names them (RFC 6750 section 3.1).
    #[error("the credential lacks a scope")]
    Scopes(Vec<String>),
}

/// Decides one operation. `required_scopes` are those the target's worker declared.
pub fn decide(
    caller: &Caller,
    server: &ServerId,
    operation: Operation<'_>,
    required_scopes: &[impl AsRef<str>],
) -> Result<Permit, Denied> {
    if *caller.tenant() != server.tenant {
        return Err(Denied::Foreign);
    }
    // Scopes guard what is behind a Server, not a look at what it offers. Roles will add to
    // this match.
    match operation {
        Operation::Look | Operation::Listen => Ok(Permit(())),
        Operation::Call { .. } => check_scopes(caller, required_scopes),
    }
}

fn check_scopes(caller: &Caller, required: &[impl AsRef<str>]) -> Result<Permit, Denied> {
    let held = &caller.identity.scopes;
    let holds = |scope: &str| held.iter().any(|held| **held == *scope);
    if required.iter().all(|scope| holds(scope.as_ref())) {
        return Ok(Permit(()));
    }
    let all = required.iter().map(|scope| scope.as_ref().to_owned());
    Err(Denied::Scopes(all.collect()))
}

#[cfg(test)]
mod tests;
