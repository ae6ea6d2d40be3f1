//! What is shipped to watch the services names what they serve: alert rules, dashboards, the status page, the list in
//! the docs.
//!
//! A query that names a metric that does not exist is no error anywhere: it draws nothing and never alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use e2e::http::get;
use e2e::{Asr, Tts, run};

/// Served only where there is a GPU. `chassis::gpu` has a test for these names.
const GPU: [&str; 5] = [
    "gpu_memory_total_bytes",
    "gpu_memory_used_bytes",
    "gpu_power_watts",
    "gpu_temperature_celsius",
    "gpu_utilization_ratio",
];
/// What the names of our metrics begin with.
const PREFIXES: [&str; 5] = ["asr_", "tts_", "gpu_", "process_", "build_info"];
/// Labels that Prometheus adds, or whose values are not known here.
const OPEN: [&str; 10] = [
    "job",
    "instance",
    "host",
    "le",
    "gpu",
    "route",
    "status",
    "version",
    "commit",
    "instance_id",
];

/// The labels of a metric, each with the values it has.
type Labels = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Served {
    /// By the name of the family.
    families: BTreeMap<String, Labels>,
    histograms: BTreeSet<String>,
}

impl Served {
    fn by_both() -> Served {
        let asr = Asr::scripted(asr::models::scripted::Script::default(), |_| {});
        let tts = Tts::scripted(tts::models::scripted::Script::default(), |_| {});
        let mut served = Served::default();
        run(async {
            for url in [asr.url("/metrics"), tts.url("/metrics")] {
                // The first request is counted when the second asks.
                get(&url).await;
                served.add(&get(&url).await.text());
            }
        });
        for name in GPU {
            served.families.entry(name.to_owned()).or_default();
        }
        served
    }

    fn add(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').unwrap();
                self.families.entry(name.to_owned()).or_default();
                if kind == "histogram" {
                    self.histograms.insert(name.to_owned());
                }
            } else if !line.starts_with('#') {
                let (name, labels) = selector(line);
                let family = self.family(name).unwrap().to_owned();
                for (label, _, value) in labels {
                    let values = self.families.get_mut(&family).unwrap();
                    values.entry(label).or_default().insert(value);
                }
            }
        }
    }

    fn family<'n>(&self, name: &'n str) -> Option<&'n str> {
        let parts = ["_bucket", "_sum", "_count"];
        let of_histogram = parts.iter().find_map(|part| {
            let family = name.strip_suffix(part)?;
            self.histograms.contains(family).then_some(family)
        });
        of_histogram.or_else(|| {
            (self.families.contains_key(name) && !self.histograms.contains(name)).then_some(name)
        })
    }

    /// What is wrong with a selector that somebody wrote.
    fn objections(&self, text: &str) -> Vec<String> {
        let (name, matchers) = selector(text);
        // In prose a histogram has its own name; a query names one of its parts.
        let in_prose = text[name.len()..].starts_with('`') && self.histograms.contains(name);
        if in_prose {
            return Vec::new();
        }
        let Some(family) = self.family(name) else {
            return vec![format!("`{name}` is not served")];
        };
        let labels = &self.families[family];
        let mut wrong = Vec::new();
        for (label, operator, value) in matchers {
            if OPEN.contains(&label.as_str()) || value.contains('$') {
                continue;
            }
            let Some(values) = labels.get(&label) else {
                wrong.push(format!("`{name}` has no label `{label}`"));
                continue;
            };
            let alternatives: Vec<&str> = if operator.contains('~') {
                value.split('|').filter(|it| *it != ".*").collect()
            } else {
                vec![&value]
            };
            for alternative in alternatives {
                if !values.contains(alternative) {
                    wrong.push(format!("`{name}` is never {label}={alternative}"));
                }
            }
        }
        wrong
    }
}

/// A metric with what stands in braces behind it: labels, operators, values.
fn selector(text: &str) -> (&str, Vec<(String, String, String)>) {
    let end = text.find(|it: char| !is_of_name(it)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut matchers = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut rest = inside;
        while let Some((label, value)) = rest.split_once('"') {
            // The brace closes before the next quotation begins.
            if label.contains('}') {
                break;
            }
            let Some((value, after)) = value.split_once('"') else {
                break;
            };
            let label = label.trim_start_matches([',', ' ']);
            let at = label.find(['=', '!']).unwrap_or(label.len());
            let (label, operator) = label.split_at(at);
            matchers.push((label.to_owned(), operator.to_owned(), value.to_owned()));
            rest = after;
        }
    }
    (name, matchers)
}

fn is_of_name(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_'
}

/// Every metric that a text names, with what follows it.
fn mentions(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, it) in text.char_indices() {
        // `job:asr_…` is a rule's own name, and `x/asr_…` or `x-asr_…` a file's.
        let begins = !is_of_name(before) && !":/-.$".contains(before);
        if begins && PREFIXES.iter().any(|prefix| text[at..].starts_with(prefix)) {
            found.push(&text[at..]);
        }
        before = it;
    }
    found
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|it| {
            ["yml", "yaml", "json", "js", "md"]
                .iter()
                .any(|kind| it == *kind)
        }) {
            found.push(path);
        }
    }
}

#[test]
fn what_is_named_is_served_and_what_is_served_is_explained() {
    let served = Served::by_both();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = vec![root.join("docs/MONITORING.md")];
    for folder in ["config/prometheus", "config/grafana", "nginx/status"] {
        files(&root.join(folder), &mut paths);
    }
    let mut wrong = Vec::new();
    let mut n_mentions = 0;
    for path in &paths {
        let text = fs::read_to_string(path).unwrap().replace("\\\"", "\"");
        for mention in mentions(&text) {
            n_mentions += 1;
            for objection in served.objections(mention) {
                wrong.push(format!("{}: {objection}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_mentions > 200, "only {n_mentions} in {paths:?}");

    let explained = fs::read_to_string(&paths[0]).unwrap();
    let missing: Vec<&String> = served
        .families
        .keys()
        .filter(|name| !explained.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/MONITORING.md lacks {missing:?}");
}

#[test]
fn what_is_not_served_is_found() {
    let mut served = Served::default();
    served.add("# TYPE asr_wait histogram\nasr_wait_bucket{lane=\"urgent\",le=\"0.1\"} 1\n");
    served.add("# TYPE asr_n counter\nasr_n{why=\"full\"} 0\nasr_n{why=\"late\"} 0\n");
    let objections = |text: &str| {
        let found = mentions(text);
        found
            .iter()
            .map(|it| served.objections(it).join("; "))
            .collect::<Vec<_>>()
    };
    let fine = "sum(rate(asr_wait_bucket{lane=\"urgent\", job=\"x\"}[5m])) / asr_n{why=~\"full|late\"} > job:asr_x";
    assert_eq!(objections(fine), ["", ""]);
    for (text, objection) in [
        ("rate(asr_m[5m])", "`asr_m` is not served"),
        ("asr_wait > 1", "`asr_wait` is not served"),
        ("`asr_wait` and `asr_waits`", "; `asr_waits` is not served"),
        ("asr_n_count", "`asr_n_count` is not served"),
        ("asr_n{lane=\"x\"}", "`asr_n` has no label `lane`"),
        ("asr_n{why!~\"full|early\"}", "`asr_n` is never why=early"),
    ] {
        assert_eq!(objections(text).join("; "), objection, "{text}");
    }
}
