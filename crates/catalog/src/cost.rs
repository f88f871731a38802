//! How much work a schema can cause, found without running it.
//!
//! The measure is visits: how often one node of a document can be looked at. In-place keywords
//! (`allOf`, `$ref` ...) add up at one node; child keywords pass the node's children on. A schema
//! that refers to itself in place never ends; one that refers to itself twice per level doubles
//! its work with each level. Both are refused here [T-7].

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Nesting of subschemas as written.
const DEPTH_MAX: usize = 32;
/// Subschemas as written.
const SUBSCHEMAS_MAX: usize = 2_000;
/// References that lead in place to further references.
const CHAIN_MAX: usize = 200;
/// Visits of one node, at worst.
const VISITS_MAX: u64 = 10_000;
/// Levels of a document that are looked at: the depth limit of JSON from clients.
const LEVELS: usize = 64;

const REFERENCES: &[&str] = &["$ref", "$dynamicRef"];

/// How a keyword applies the subschemas it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Applies {
    /// To the same node.
    InPlace,
    /// To children; several such keywords may meet at one child.
    AnyChild,
    /// To children; only one of these at each child.
    OneChild,
    /// Not by itself.
    Never,
}

/// Keywords that hold one subschema or a list of them.
const PLAIN: &[(&str, Applies)] = &[
    ("allOf", Applies::InPlace),
    ("anyOf", Applies::InPlace),
    ("oneOf", Applies::InPlace),
    ("not", Applies::InPlace),
    ("if", Applies::InPlace),
    ("then", Applies::InPlace),
    ("else", Applies::InPlace),
    ("additionalProperties", Applies::AnyChild),
    ("unevaluatedProperties", Applies::AnyChild),
    ("propertyNames", Applies::AnyChild),
    ("additionalItems", Applies::AnyChild),
    ("unevaluatedItems", Applies::AnyChild),
    ("contains", Applies::AnyChild),
    ("items", Applies::OneChild),
    ("prefixItems", Applies::OneChild),
];

/// Keywords that hold subschemas by name.
const NAMED: &[(&str, Applies)] = &[
    ("properties", Applies::OneChild),
    ("patternProperties", Applies::AnyChild),
    ("dependentSchemas", Applies::InPlace),
    ("dependencies", Applies::InPlace),
    ("$defs", Applies::Never),
    ("definitions", Applies::Never),
];

/// Visits per node at worst, or why the schema is refused.
pub(crate) fn estimate(schema: &Value) -> Result<u64, String> {
    let mut graph = Graph::default();
    graph.read(schema, "", 0)?;
    graph.link_references(schema)?;
    let order = graph.in_place_order()?;
    graph.visits(&order)
}

/// All subschemas and which applies which. Node 0 is the root.
#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    by_address: HashMap<*const Value, usize>,
    anchors: HashMap<&'a str, usize>,
}

struct Node<'a> {
    /// A JSON pointer, for messages.
    at: String,
    references: Vec<&'a str>,
    in_place: Vec<usize>,
    any_child: Vec<usize>,
    one_child: Vec<usize>,
}

impl<'a> Graph<'a> {
    /// Adds a subschema and all below it.
    fn read(&mut self, schema: &'a Value, at: &str, depth: usize) -> Result<usize, String> {
        if depth > DEPTH_MAX {
            return Err(format!("subschemas are nested deeper than {DEPTH_MAX}"));
        }
        if self.nodes.len() == SUBSCHEMAS_MAX {
            return Err(format!("there are more than {SUBSCHEMAS_MAX} subschemas"));
        }
        let id = self.nodes.len();
        self.by_address.insert(schema, id);
        self.nodes.push(Node::new(at));
        match schema {
            Value::Bool(_) => {}
            Value::Object(object) => {
                self.read_names(object, id, depth)?;
                self.read_below(object, id, depth)?;
            }
            _ => return Err(format!("{at:?} must be an object or a boolean")),
        }
        Ok(id)
    }

    fn read_names(
        &mut self,
        object: &'a Map<String, Value>,
        id: usize,
        depth: usize,
    ) -> Result<(), String> {
        let at = self.nodes[id].at.clone();
        if depth > 0 && (object.contains_key("$id") || object.contains_key("$schema")) {
            return Err(format!("{at:?}: $id and $schema belong to the root only"));
        }
        if object.contains_key("$recursiveRef") {
            return Err(format!("{at:?}: $recursiveRef is not supported"));
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(anchor) = object.get(keyword).and_then(Value::as_str)
                && self.anchors.insert(anchor, id).is_some()
            {
                return Err(format!("the anchor {anchor:?} occurs twice"));
            }
        }
        for reference in REFERENCES.iter().filter_map(|keyword| object.get(*keyword)) {
            let local = reference.as_str().filter(|text| text.starts_with('#'));
            let outside =
                || format!("{at:?}: the reference {reference} leads outside of the schema");
            let local = local.ok_or_else(outside)?;
            self.nodes[id].references.push(local);
        }
        Ok(())
    }

    fn read_below(
        &mut self,
        object: &'a Map<String, Value>,
        id: usize,
        depth: usize,
    ) -> Result<(), String> {
        for (path, schema, applies) in subschemas(object) {
            let at = format!("{}/{path}", self.nodes[id].at);
            let child = self.read(schema, &at, depth + 1)?;
            let node = &mut self.nodes[id];
            match applies {
                Applies::InPlace => node.in_place.push(child),
                Applies::AnyChild => node.any_child.push(child),
                Applies::OneChild => node.one_child.push(child),
                Applies::Never => {}
            }
        }
        Ok(())
    }

    fn link_references(&mut self, root: &'a Value) -> Result<(), String> {
        for id in 0..self.nodes.len() {
            for reference in std::mem::take(&mut self.nodes[id].references) {
                let at = &self.nodes[id].at;
                let nothing = || format!("{at:?}: {reference:?} leads to no subschema");
                let target = self.resolve(root, reference).ok_or_else(nothing)?;
                self.nodes[id].in_place.push(target);
            }
        }
        Ok(())
    }

    fn resolve(&self, root: &'a Value, reference: &str) -> Option<usize> {
        let fragment = crate::uri::decode(reference.strip_prefix('#')?)?;
        let fragment = std::str::from_utf8(&fragment).ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let address = std::ptr::from_ref(root.pointer(fragment)?);
            return self.by_address.get(&address).copied();
        }
        self.anchors.get(fragment).copied()
    }

    /// An order in which every node comes after all it applies in place.
    fn in_place_order(&self) -> Result<Vec<usize>, String> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut marks = vec![Mark::New; self.nodes.len()];
        for id in 0..self.nodes.len() {
            self.visit_in_place(id, 0, &mut marks, &mut order)?;
        }
        Ok(order)
    }

    fn visit_in_place(
        &self,
        id: usize,
        chain: usize,
        marks: &mut [Mark],
        order: &mut Vec<usize>,
    ) -> Result<(), String> {
        let at = &self.nodes[id].at;
        match marks[id] {
            Mark::Done => return Ok(()),
            Mark::Open => return Err(format!("{at:?} refers to itself without end")),
            Mark::New if chain > CHAIN_MAX => {
                return Err(format!("{at:?} is at the end of too many references"));
            }
            Mark::New => marks[id] = Mark::Open,
        }
        for next in &self.nodes[id].in_place {
            self.visit_in_place(*next, chain + 1, marks, order)?;
        }
        marks[id] = Mark::Done;
        order.push(id);
        Ok(())
    }

    /// Visits at one node and along one line of its descendants, level by level from below.
    fn visits(&self, order: &[usize]) -> Result<u64, String> {
        let mut below = vec![0_u64; self.nodes.len()];
        for _ in 0..LEVELS {
            let mut here = vec![0_u64; self.nodes.len()];
            for id in order {
                let node = &self.nodes[*id];
                let in_place: u64 = node.in_place.iter().map(|next| here[*next]).sum();
                let any: u64 = node.any_child.iter().map(|next| below[*next]).sum();
                let one = node.one_child.iter().map(|next| below[*next]).max();
                here[*id] = 1 + in_place + any + one.unwrap_or(0);
                if here[*id] > VISITS_MAX {
                    return Err(format!("{:?} could take too long to check", node.at));
                }
            }
            if here == below {
                break;
            }
            below = here;
        }
        Ok(below[0])
    }
}

impl Node<'_> {
    fn new(at: &str) -> Self {
        Self {
            at: at.to_owned(),
            references: Vec::new(),
            in_place: Vec::new(),
            any_child: Vec::new(),
            one_child: Vec::new(),
        }
    }
}

#[derive(Clone, Copy)]
enum Mark {
    New,
    Open,
    Done,
}

/// The subschemas directly in a schema, with the rest of their pointers.
fn subschemas(object: &Map<String, Value>) -> Vec<(String, &Value, Applies)> {
    let mut found = Vec::new();
    for (keyword, applies) in PLAIN {
        match object.get(*keyword) {
            None => {}
            Some(Value::Array(list)) => {
                let numbered = list.iter().enumerate();
                found
                    .extend(numbered.map(|(i, value)| (format!("{keyword}/{i}"), value, *applies)));
            }
            Some(value) => found.push(((*keyword).to_owned(), value, *applies)),
        }
    }
    for (keyword, applies) in NAMED {
        let members = object.get(*keyword).and_then(Value::as_object);
        // An array here is the list of names that `dependencies` of draft-07 may hold.
        let schemas = members
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_array());
        found.extend(schemas.map(|(name, value)| (format!("{keyword}/{name}"), value, *applies)));
    }
    found
}

#[cfg(test)]
mod tests;
