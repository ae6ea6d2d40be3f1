//! Settings as a tree of JSON values: its leaves, changes to one of them, and printing.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// The tree of a value.
///
/// It goes by way of text, because that is where an `f32` keeps its short form: 0.35 and not 0.3499999940395355.
pub(super) fn of<R: Serialize>(raw: &R) -> Value {
    let text =
        serde_json::to_string(raw).expect("settings have text keys and no failing serialiser");
    serde_json::from_str(&text).expect("serde_json reads what it wrote")
}

/// Whether a node has keys that are known; below any other node, only `Deserialize` knows what is right.
pub(super) fn as_section(node: &Value) -> Option<&serde_json::Map<String, Value>> {
    node.as_object().filter(|map| !map.is_empty())
}

/// The node at a key with dots.
pub(super) fn at<'tree>(tree: &'tree Value, key: &str) -> Option<&'tree Value> {
    key.split('.')
        .try_fold(tree, |node, name| node.as_object()?.get(name))
}

/// Changes the node at a key that exists.
pub(super) fn set(tree: &mut Value, key: &str, value: Value) {
    let mut node = tree;
    for name in key.split('.') {
        node = &mut node[name];
    }
    *node = value;
}

/// Every key with its value, in the order of the tree.
pub(super) fn leaves(node: &Value, path: &mut String, found: &mut Vec<(String, Value)>) {
    let Some(section) = as_section(node) else {
        found.push((path.clone(), node.clone()));
        return;
    };
    for (name, child) in section {
        let parent_len = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        leaves(child, path, found);
        path.truncate(parent_len);
    }
}

/// YAML with a comment behind each value.
pub(super) fn to_yaml(tree: &Value, comment: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    write_yaml(tree, "", 0, &comment, &mut text);
    text
}

fn write_yaml(
    node: &Value,
    path: &str,
    depth: usize,
    comment: &impl Fn(&str) -> String,
    text: &mut String,
) {
    let Some(section) = as_section(node) else {
        return;
    };
    for (name, child) in section {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let indent = "  ".repeat(depth);
        // Writing to a `String` cannot fail.
        let written = if as_section(child).is_some() {
            writeln!(text, "{indent}{name}:")
        } else {
            // A JSON value is a YAML value.
            writeln!(text, "{indent}{name}: {child}  # {}", comment(&key))
        };
        debug_assert!(written.is_ok());
        write_yaml(child, &key, depth + 1, comment, text);
    }
}
