//! Addresses of pages and of people, as they are dictated.

use super::figure::all_digits;
use crate::text::numbers::english as numbers;

/// Endings that make a page of a name with a dot.
#[rustfmt::skip]
const TOP_LEVEL: &[&str] = &[
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "io", "dev", "ai", "app", "tv", "me", "co", "uk", "de", "fr", "eu", "us", "ca", "au",
    "jp", "cn", "in", "it", "es", "nl", "se", "no", "dk", "fi", "pl", "ru", "br", "ch", "at", "be", "ie", "nz", "kr", "xyz", "online", "site", "tech", "cloud",
];

/// Those that are said as words.
const SAID: &[&str] = &[
    "com", "org", "net", "edu", "gov", "mil", "info", "biz", "dev", "app", "me", "online", "site",
    "tech", "cloud",
];

/// `https://example.com/a-b`, `example.org`, `me@example.com`.
pub(super) fn read(core: &str) -> Option<String> {
    if !core.contains(['.', '@', ':']) {
        return None;
    }
    let (address, has_scheme) = match core.split_once("://") {
        Some((scheme, rest))
            if scheme
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-')) =>
        {
            (rest, true)
        }
        Some(_) => return None,
        None => (core.strip_prefix("mailto:").unwrap_or(core), false),
    };
    let host = address
        .split(['/', '?', '#', ':'])
        .next()
        .unwrap_or_default();
    let is_mail = address
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && is_host(host));
    let is_page = has_scheme && !host.is_empty()
        || is_host(host)
        || host.strip_prefix("www.").is_some_and(|it| it.contains('.'));
    if !is_mail && !is_page {
        return None;
    }
    Some(dictate(address, host))
}

/// `example.com`, and not `e.g` or `end.but`.
fn is_host(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let plain = |it: &&str| {
        !it.is_empty()
            && it
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
    };
    labels.len() > 1
        && labels.iter().all(plain)
        && labels.last().is_some_and(|it| TOP_LEVEL.contains(it))
}

fn dictate(address: &str, host: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut run = String::new();
    let mut at = 0;
    for c in address.chars().chain(['\0']) {
        at += c.len_utf8();
        if c.is_alphanumeric() || c == '\'' {
            let changes = run
                .chars()
                .next_back()
                .is_some_and(|it| it.is_ascii_digit() != c.is_ascii_digit());
            if changes {
                words.push(said(&std::mem::take(&mut run), false));
            }
            run.push(c);
            continue;
        }
        if !run.is_empty() {
            let in_host = at <= host.len() + 1 || address.contains('@');
            words.push(said(
                &std::mem::take(&mut run),
                in_host && words.last().is_some_and(|it| it == "dot"),
            ));
        }
        let last = address[at.min(address.len())..].is_empty();
        if let Some(name) = sign(c)
            && !(last && c == '/')
        {
            words.push(name.to_owned());
        }
    }
    words.join(" ")
}

fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '.' => "dot",
        '/' => "slash",
        '@' => "at",
        '-' => "dash",
        '_' => "underscore",
        ':' => "colon",
        '?' => "question mark",
        '=' => "equals",
        '&' => "and",
        '#' => "hash",
        '%' => "percent",
        '+' => "plus",
        '~' => "tilde",
        _ => return None,
    })
}

/// A run of letters or of digits.
fn said(run: &str, after_dot: bool) -> String {
    let spelled = |it: &str| {
        it.chars()
            .map(|it| it.to_ascii_uppercase().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    if all_digits(run) {
        return match run.parse::<u64>() {
            Ok(n) if run.len() <= 4 && !run.starts_with('0') => numbers::cardinal(n),
            _ => numbers::digits(run),
        };
    }
    if run == "www"
        || (after_dot && run.len() <= 3 && TOP_LEVEL.contains(&run) && !SAID.contains(&run))
    {
        return spelled(run);
    }
    run.to_owned()
}
