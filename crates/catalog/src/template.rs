//! Does a URI come from a URI template (RFC 6570, levels 1 to 3, and `*` of level 4).
//!
//! A template is compiled into a small automaton and all its states are followed at once, so the
//! time is linear in the URI whatever the template (RPC-047). Variables are not read out: the
//! worker does that. The question is only whether it may be asked.

/// Longest template, in bytes. Bounds the states that are followed at once.
const TEMPLATE_BYTES_MAX: usize = 1 << 10;

/// A compiled template.
#[derive(Debug)]
pub struct Pattern {
    states: Vec<State>,
    /// What every matching URI starts with: most URIs fail here.
    prefix: String,
}

/// A state and where it leads. `Accept` is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Takes this byte and goes on to the next state.
    Byte(u8),
    /// Takes one byte of the class and goes on to the next state.
    One(Class),
    /// Takes any number of bytes of the class, also none.
    Many(Class),
    /// Goes on to the next state or to this one, without taking a byte.
    Fork(usize),
    Accept,
}

/// Which bytes a value may have. Bytes of non-ASCII characters always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// One path segment: everything but `/`, `?` and `#`.
    Segment,
    /// A query: everything but `#`.
    Query,
    /// Reserved expansion: everything.
    Any,
}

impl Class {
    fn has(self, byte: u8) -> bool {
        match self {
            Class::Segment => !matches!(byte, b'/' | b'?' | b'#'),
            Class::Query => byte != b'#',
            Class::Any => true,
        }
    }
}

impl Pattern {
    /// Compiles a template, or says what is wrong with it.
    pub fn compile(template: &str) -> Result<Self, String> {
        if template.len() > TEMPLATE_BYTES_MAX {
            return Err(format!(
                "the template is longer than {TEMPLATE_BYTES_MAX} bytes"
            ));
        }
        let mut states = Vec::new();
        let mut rest = template;
        while let Some((literal, tail)) = rest.split_once('{') {
            push_literal(&mut states, literal)?;
            let (expression, tail) = tail.split_once('}').ok_or("a { is not closed")?;
            push_expression(&mut states, expression)?;
            rest = tail;
        }
        push_literal(&mut states, rest)?;
        states.push(State::Accept);
        let prefix = template.split('{').next().unwrap_or_default().to_owned();
        Ok(Self { states, prefix })
    }

    /// How much work [`Pattern::matches`] is at most, in states looked at.
    pub(crate) fn cost(&self, uri: &str) -> usize {
        match uri.starts_with(&self.prefix) {
            true => uri.len().saturating_mul(self.states.len()).max(1),
            false => 1,
        }
    }

    /// Whether some values of the variables give this URI.
    pub fn matches(&self, uri: &str) -> bool {
        if !uri.starts_with(&self.prefix) {
            return false;
        }
        let mut active = Active::new(&self.states);
        active.add(0);
        for byte in uri.bytes() {
            active.step(byte);
            if active.now.is_empty() {
                return false;
            }
        }
        active.seen[self.states.len() - 1] == active.round
    }
}

/// The states that some reading of the URI so far leads to.
struct Active<'a> {
    states: &'a [State],
    now: Vec<usize>,
    /// In which round a state was last added: each is added once per round.
    seen: Vec<usize>,
    round: usize,
}

impl<'a> Active<'a> {
    fn new(states: &'a [State]) -> Self {
        Self {
            states,
            now: Vec::new(),
            seen: vec![0; states.len()],
            round: 1,
        }
    }

    /// Adds a state and all it leads to without a byte.
    fn add(&mut self, first: usize) {
        let mut open = vec![first];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut self.seen[id], self.round) == self.round {
                continue;
            }
            self.now.push(id);
            match self.states[id] {
                State::Many(_) => open.push(id + 1),
                State::Fork(other) => open.extend([id + 1, other]),
                State::Byte(_) | State::One(_) | State::Accept => {}
            }
        }
    }

    fn step(&mut self, byte: u8) {
        let before = std::mem::take(&mut self.now);
        self.round += 1;
        for id in before {
            match self.states[id] {
                State::Byte(wanted) if wanted == byte => self.add(id + 1),
                State::One(class) if class.has(byte) => self.add(id + 1),
                State::Many(class) if class.has(byte) => self.add(id),
                State::Byte(_) | State::One(_) | State::Many(_) => {}
                State::Fork(_) | State::Accept => {}
            }
        }
    }
}

fn push_literal(states: &mut Vec<State>, literal: &str) -> Result<(), String> {
    if literal.contains('}') {
        return Err("a } is not opened".to_owned());
    }
    states.extend(literal.bytes().map(State::Byte));
    Ok(())
}

fn push_expression(states: &mut Vec<State>, expression: &str) -> Result<(), String> {
    let operator = expression.chars().next().filter(|c| "+#./;?&".contains(*c));
    let names = &expression[operator.map_or(0, char::len_utf8)..];
    let variables: Vec<&str> = names.split(',').collect();
    for variable in &variables {
        check_variable(variable)?;
    }
    match operator {
        None => push_some(states, Class::Segment),
        Some('+') => push_some(states, Class::Any),
        Some('#') => push_optional(states, b'#', Class::Any),
        Some('.') => push_optional(states, b'.', Class::Segment),
        Some(';') => push_optional(states, b';', Class::Segment),
        Some('?') => push_optional(states, b'?', Class::Query),
        Some('&') => push_optional(states, b'&', Class::Query),
        Some('/') => push_segments(states, &variables),
        Some(other) => return Err(format!("the operator {other:?} is not supported")),
    }
    Ok(())
}

fn check_variable(variable: &str) -> Result<(), String> {
    if variable.contains(':') {
        return Err(format!("{variable:?}: prefix lengths are not supported"));
    }
    let name = variable.strip_suffix('*').unwrap_or(variable);
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'%' | b'-');
    match !name.is_empty() && name.bytes().all(inner) {
        true => Ok(()),
        false => Err(format!("{variable:?} is not the name of a variable")),
    }
}

/// One byte at least.
fn push_some(states: &mut Vec<State>, class: Class) {
    states.extend([State::One(class), State::Many(class)]);
}

/// Undefined variables leave nothing behind, not even the operator.
fn push_optional(states: &mut Vec<State>, operator: u8, class: Class) {
    let end = states.len() + 3;
    states.extend([State::Fork(end), State::Byte(operator), State::Many(class)]);
}

/// At most one segment for each variable; any number of them for one with `*`.
fn push_segments(states: &mut Vec<State>, variables: &[&str]) {
    for variable in variables {
        let start = states.len();
        let repeats = variable.ends_with('*');
        let end = start + if repeats { 5 } else { 4 };
        states.extend([State::Fork(end), State::Byte(b'/')]);
        push_some(states, Class::Segment);
        if repeats {
            // Falls through to the end, or back to the start for one more segment.
            states.push(State::Fork(start));
        }
    }
}

#[cfg(test)]
mod tests;
