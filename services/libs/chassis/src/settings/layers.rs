//! Reading the sources, one layer over the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use config::{FileFormat, Source, ValueKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Aliases, Given, Loaded, Origin, Problems, Sources, tree};

/// What every variable that is a setting starts with. Both underscores count: `VOICE_ASR` is somebody else's.
const PREFIX: &str = "VOICE";
const SEPARATOR: &str = "__";

/// A known key and the value given for it.
struct Entry {
    key: String,
    value: Value,
    origin: Origin,
}

struct Reader<'a> {
    defaults: Value,
    aliases: &'a Aliases,
    problems: Problems,
}

pub(super) fn load<R>(defaults: &R, aliases: &Aliases, sources: &Sources) -> Loaded<R>
where
    R: Serialize + DeserializeOwned,
{
    let mut reader = Reader {
        defaults: tree::of(defaults),
        aliases,
        problems: Problems::default(),
    };
    let layers = [
        reader.file(sources.file.as_deref()),
        reader.variable_aliases(&sources.environment),
        reader.variables(&sources.environment),
        reader.sets(&sources.sets),
        reader.arguments(sources),
    ];

    let mut effective = BTreeMap::new();
    for entry in layers.into_iter().flatten() {
        effective.insert(entry.key.clone(), entry);
    }
    let mut merged = reader.defaults.clone();
    let mut given = Vec::new();
    for entry in effective.into_values() {
        given.push(Given {
            key: entry.key.clone(),
            origin: entry.origin.clone(),
        });
        match reader.accept::<R>(&entry) {
            Ok(value) => tree::set(&mut merged, &entry.key, value),
            Err(message) => reader.problems.add_from(&entry.key, message, entry.origin),
        }
    }
    let raw = read(merged).unwrap_or_else(|error| {
        // Each value was right alone, so only a `Deserialize` with rules across keys comes here.
        reader
            .problems
            .add("", format!("the settings do not fit together: {error}"));
        read(reader.defaults).expect("the defaults read back what they wrote")
    });
    Loaded {
        raw,
        given,
        problems: reader.problems,
    }
}

fn read<R: DeserializeOwned>(tree: Value) -> Result<R, serde_json::Error> {
    serde_json::from_value(tree)
}

impl Reader<'_> {
    fn file(&mut self, path: Option<&Path>) -> Vec<Entry> {
        let Some(path) = path else {
            return Vec::new();
        };
        let origin = Origin::File(path.to_owned());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems
                    .add("", format!("cannot read `{}`: {error}", path.display()));
                return Vec::new();
            }
        };
        let source = config::File::from_str(&text, FileFormat::Yaml);
        let map = match source.collect() {
            Ok(map) => map,
            Err(error) => {
                self.problems.add(
                    "",
                    format!("`{}` is not a YAML map: {error}", path.display()),
                );
                return Vec::new();
            }
        };
        let root = to_json(config::Value::new(None, ValueKind::Table(map)));
        let mut entries = Vec::new();
        self.flatten(String::new(), root, &origin, &mut entries);
        self.refuse_twice(&entries);
        entries
    }

    fn variable_aliases(&mut self, environment: &[(String, String)]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for alias in self.aliases.variables {
            let given = environment.iter().find(|(name, _)| name == alias.variable);
            if let Some((name, value)) = given {
                let origin = Origin::Variable(name.clone());
                self.flatten(
                    alias.key.to_owned(),
                    value.as_str().into(),
                    &origin,
                    &mut entries,
                );
            }
        }
        entries
    }

    fn variables(&mut self, environment: &[(String, String)]) -> Vec<Entry> {
        let near_miss = format!("{PREFIX}_");
        let ours = format!("{PREFIX}{SEPARATOR}");
        for (name, _) in environment {
            // The `config` crate would ignore this one, and its author would wonder why.
            if name.starts_with(&near_miss) && !name.starts_with(&ours) && name.contains(SEPARATOR)
            {
                let meant = name.replacen(&near_miss, &ours, 1);
                self.problems.add(
                    "",
                    format!("environment variable `{name}` is not read; did you mean `{meant}`, with two underscores?"),
                );
            }
        }
        let of_ours = environment
            .iter()
            .filter(|(name, _)| name.starts_with(&ours))
            .cloned();
        let source = config::Environment::with_prefix(PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(Some(of_ours.collect()));
        let mut entries = Vec::new();
        match source.collect() {
            Ok(map) => {
                // Sorted, so that the same mistakes are told in the same order.
                for (key, value) in map.into_iter().collect::<BTreeMap<_, _>>() {
                    let name = format!("{ours}{}", key.replace('.', SEPARATOR).to_uppercase());
                    let origin = Origin::Variable(name);
                    self.flatten(key, to_json(value), &origin, &mut entries);
                }
            }
            Err(error) => self
                .problems
                .add("", format!("cannot read the environment: {error}")),
        }
        entries
    }

    fn sets(&mut self, sets: &[String]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for set in sets {
            let Some((key, value)) = set.split_once('=') else {
                self.problems.add(
                    "",
                    format!(
                        "`--set` takes `key=value`, for example `server.port=8001`. Given: `{set}`"
                    ),
                );
                continue;
            };
            self.flatten(
                key.trim().to_owned(),
                value.into(),
                &Origin::Set,
                &mut entries,
            );
        }
        entries
    }

    fn arguments(&mut self, sources: &Sources) -> Vec<Entry> {
        let mut entries = Vec::new();
        for argument in &sources.arguments {
            let origin = Origin::Flag(argument.flag);
            let value = argument.value.as_str().into();
            self.flatten(argument.key.to_owned(), value, &origin, &mut entries);
        }
        entries
    }

    /// Follows a given value down to known keys.
    fn flatten(&mut self, key: String, value: Value, origin: &Origin, entries: &mut Vec<Entry>) {
        let alias = self.aliases.keys.iter().find(|it| it.given == key);
        let (key, value) = match alias {
            Some(alias) => {
                let translated = alias.values.iter().find(|(given, _)| value == *given);
                let value = translated.map_or(value, |(_, means)| (*means).into());
                (alias.means.to_owned(), value)
            }
            None => (key, value),
        };
        let is_section = key.is_empty() || self.holds_aliases(&key) || {
            let known = tree::at(&self.defaults, &key);
            known.is_some_and(|node| tree::as_section(node).is_some())
        };
        if is_section {
            match value {
                Value::Object(map) => {
                    for (name, child) in map {
                        let below = if key.is_empty() {
                            name
                        } else {
                            format!("{key}.{name}")
                        };
                        self.flatten(below, child, origin, entries);
                    }
                }
                // `section:` with nothing below it, as is left when every line is commented out.
                Value::Null => {}
                other
                @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                    let message = format!(
                        "`{key}` is a section: its settings are written below it. Given: {other}"
                    );
                    self.problems.add_from(&key, message, origin.clone());
                }
            }
        } else if self.is_known(&key) {
            let origin = origin.clone();
            entries.push(Entry { key, value, origin });
        } else {
            let mut message = format!("`{key}` is not a setting");
            if let Some(near) = self.nearest(&key) {
                // Writing to a `String` cannot fail.
                let written = write!(message, "; did you mean `{near}`?");
                debug_assert!(written.is_ok());
            }
            self.problems.add_from(&key, message, origin.clone());
        }
    }

    /// Whether a key that is no section of ours is one in the files that our aliases are for.
    fn holds_aliases(&self, key: &str) -> bool {
        let below = |given: &str| {
            given
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        !self.is_known(key) && self.aliases.keys.iter().any(|it| below(it.given))
    }

    fn is_known(&self, key: &str) -> bool {
        tree::at(&self.defaults, key).is_some() || self.is_in_map(key)
    }

    /// Whether a key is directly below one of the maps whose keys are the operator's own.
    fn is_in_map(&self, key: &str) -> bool {
        let map = key.rsplit_once('.').map(|(map, _)| map);
        map.is_some_and(|map| self.aliases.maps.contains(&map))
    }

    fn refuse_twice(&mut self, entries: &[Entry]) {
        for (idx, entry) in entries.iter().enumerate() {
            if entries[..idx].iter().any(|it| it.key == entry.key) {
                let message = format!("`{}` is given twice, under two names", entry.key);
                self.problems
                    .add_from(&entry.key, message, entry.origin.clone());
            }
        }
    }

    /// The known key that was most probably meant.
    fn nearest(&self, key: &str) -> Option<String> {
        let mut known = Vec::new();
        tree::leaves(&self.defaults, &mut String::new(), &mut known);
        let mut names: Vec<String> = known.into_iter().map(|(name, _)| name).collect();
        names.extend(
            self.defaults
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let same_word_elsewhere = names.iter().find(|name| last(name) == last(key));
        let by_distance = names
            .iter()
            .map(|name| (strsim::damerau_levenshtein(name, key), name))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= (key.len() / 4).max(2));
        by_distance
            .map(|(_, name)| name)
            .or(same_word_elsewhere)
            .cloned()
    }

    /// The value in the type that the setting wants, or why it cannot be.
    fn accept<R: DeserializeOwned>(&self, entry: &Entry) -> Result<Value, String> {
        let mut first_error = None;
        let default = tree::at(&self.defaults, &entry.key).unwrap_or(&Value::Null);
        for candidate in readings(&entry.value, default) {
            let mut alone = self.defaults.clone();
            tree::set(&mut alone, &entry.key, candidate.clone());
            match read::<R>(alone) {
                Ok(_) => return Ok(candidate),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let error = first_error
            .map(|it| in_words(&it.to_string()))
            .unwrap_or_default();
        Err(format!(
            "`{}` has a value that it cannot take: {error}",
            entry.key
        ))
    }
}

/// The ways a value may be read, the likeliest first. Variables and arguments are always text; YAML is mostly typed.
fn readings(value: &Value, default: &Value) -> Vec<Value> {
    let Value::String(text) = value else {
        let is_scalar = value.is_boolean() || value.is_number();
        let may_be_text = default.is_string() || default.is_null();
        let as_text = (is_scalar && may_be_text).then(|| Value::String(value.to_string()));
        return [value.clone()].into_iter().chain(as_text).collect();
    };
    let text = text.trim();
    let plain = value.clone();
    match default {
        Value::String(_) => vec![plain],
        Value::Bool(_) => flag(text).into_iter().chain([plain]).collect(),
        Value::Number(_) => number(text).into_iter().chain([plain]).collect(),
        Value::Array(_) => vec![list(text)],
        Value::Null if text.is_empty() => vec![Value::Null],
        Value::Null => {
            let others = [flag(text), number(text), json(text), Some(list(text))];
            [plain]
                .into_iter()
                .chain(others.into_iter().flatten())
                .collect()
        }
        Value::Object(_) => json(text).into_iter().chain([plain]).collect(),
    }
}

fn flag(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
        "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    json(text).filter(Value::is_number)
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// `a, b` or `["a", "b"]`; an empty text is an empty list.
fn list(text: &str) -> Value {
    if let Some(array) = json(text).filter(Value::is_array) {
        return array;
    }
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let typed = items.map(|item| number(item).unwrap_or_else(|| item.into()));
    Value::Array(typed.collect())
}

/// Serde's sentence with the names of Rust's types turned into words.
fn in_words(sentence: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
    ];
    let known = WORDS.iter().find(|(rust, _)| sentence.ends_with(rust));
    match known {
        Some((rust, words)) => sentence.replace(rust, words),
        None => sentence.to_owned(),
    }
}

fn to_json(value: config::Value) -> Value {
    match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => Value::Bool(flag),
        ValueKind::I64(number) => number.into(),
        // Beyond 64 bits no setting of ours goes; as text it is refused in words.
        ValueKind::I128(number) => number.to_string().into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::U128(number) => number.to_string().into(),
        // Infinity and not-a-number are no JSON; as text they are refused in words.
        ValueKind::Float(number) => {
            let finite = serde_json::Number::from_f64(number).map(Value::Number);
            finite.unwrap_or_else(|| number.to_string().into())
        }
        ValueKind::String(text) => text.into(),
        ValueKind::Table(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, to_json(value)))
                .collect(),
        ),
        ValueKind::Array(items) => items.into_iter().map(to_json).collect(),
    }
}
