//! German, Dutch, Danish, Swedish, Norwegian.

use super::{scaled, thousands, word};

#[rustfmt::skip]
const GERMAN: [&str; 20] = [
    "null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "dreizehn", "vierzehn",
    "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
];
#[rustfmt::skip]
const GERMAN_TENS: [&str; 10] = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

/// Without the final `s` of "eins".
fn german_group(n: u64) -> String {
    let small = |n: u64| match (n / 10, n % 10) {
        (0 | 1, _) => word(&GERMAN, n).to_owned(),
        (tens, 0) => word(&GERMAN_TENS, tens).to_owned(),
        (tens, ones) => format!("{}und{}", word(&GERMAN, ones), word(&GERMAN_TENS, tens)),
    };
    match (n / 100, n % 100) {
        (0, rest) => small(rest),
        (hundreds, 0) => format!("{}hundert", word(&GERMAN, hundreds)),
        (hundreds, rest) => format!("{}hundert{}", word(&GERMAN, hundreds), small(rest)),
    }
}

pub(super) fn german(n: u64) -> String {
    const SCALES: [(&str, &str); 4] = [
        ("Million", "Millionen"),
        ("Milliarde", "Milliarden"),
        ("Billion", "Billionen"),
        ("Billiarde", "Billiarden"),
    ];
    if n == 0 {
        return "null".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for (group, power) in thousands(n / 1_000_000) {
        let (one, many) = SCALES[power];
        words.push(if group == 1 {
            format!("eine {one}")
        } else {
            format!("{} {many}", german_group(group))
        });
    }
    let (thousand, rest) = (n % 1_000_000 / 1000, n % 1000);
    let mut last = String::new();
    if thousand > 0 {
        last = format!("{}tausend", german_group(thousand));
    }
    if rest > 0 {
        last.push_str(&german_group(rest));
        if rest % 100 == 1 {
            last.push('s');
        }
    }
    if !last.is_empty() {
        words.push(last);
    }
    words.join(" ")
}

pub(super) fn dutch(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 20] = [
        "nul", "een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien", "elf", "twaalf", "dertien", "veertien",
        "vijftien", "zestien", "zeventien", "achttien", "negentien",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"];
    const SCALES: [&str; 6] = ["", "duizend", "miljoen", "miljard", "biljoen", "biljard"];
    let small = |n: u64| match (n / 10, n % 10) {
        (0 | 1, _) => word(&SMALL, n).to_owned(),
        (tens, 0) => word(&TENS, tens).to_owned(),
        (tens, ones @ (2 | 3)) => format!("{}ën{}", word(&SMALL, ones), word(&TENS, tens)),
        (tens, ones) => format!("{}en{}", word(&SMALL, ones), word(&TENS, tens)),
    };
    let group = |n: u64| match (n / 100, n % 100) {
        (0, rest) => small(rest),
        (hundreds, rest) => {
            let hundred = if hundreds == 1 {
                "honderd".to_owned()
            } else {
                format!("{}honderd", word(&SMALL, hundreds))
            };
            if rest == 0 {
                hundred
            } else {
                hundred + &small(rest)
            }
        }
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    scaled(n, group, |n, power| match (n, power) {
        (1, 1) => "duizend".to_owned(),
        (_, 1) => format!("{}duizend", group(n)),
        _ => format!("{} {}", group(n), SCALES[power]),
    })
}

/// What differs between the Scandinavian languages.
struct Nordic {
    small: [&'static str; 20],
    /// Twenty to ninety.
    tens: [&'static str; 10],
    /// Danish says the ones first.
    ones_first: bool,
    hundred: &'static str,
    thousand: &'static str,
    /// One of a neuter: hundred, thousand.
    neuter_one: &'static str,
    /// One of the others: million.
    common_one: &'static str,
    /// Between the hundreds and what follows.
    and: &'static str,
    scales: [(&'static str, &'static str); 4],
}

impl Nordic {
    fn below_hundred(&self, n: u64) -> String {
        match (n / 10, n % 10) {
            (0 | 1, _) => word(&self.small, n).to_owned(),
            (tens, 0) => word(&self.tens, tens).to_owned(),
            (tens, ones) if self.ones_first => {
                format!("{}og{}", word(&self.small, ones), word(&self.tens, tens))
            }
            (tens, ones) => format!("{}{}", word(&self.tens, tens), word(&self.small, ones)),
        }
    }

    fn below_thousand(&self, n: u64) -> String {
        let hundreds = match n / 100 {
            0 => return self.below_hundred(n),
            1 => self.neuter_one,
            it => word(&self.small, it),
        };
        let rest = n % 100;
        let rest = if rest == 0 {
            String::new()
        } else {
            format!("{}{}", self.and, self.below_hundred(rest))
        };
        format!("{hundreds} {}{rest}", self.hundred)
    }

    fn cardinal(&self, n: u64) -> String {
        if n == 0 {
            return self.small[0].to_owned();
        }
        let last = n % 1000;
        let last_words = if n > 1000 && (1..100).contains(&last) {
            // "et tusind og fem"
            format!("{}{}", self.and.trim_start(), self.below_thousand(last))
        } else {
            self.below_thousand(last)
        };
        scaled(
            n,
            |_| last_words.clone(),
            |group, power| match (group, power) {
                (1, 1) => format!("{} {}", self.neuter_one, self.thousand),
                (_, 1) => format!("{} {}", self.below_thousand(group), self.thousand),
                (1, _) => format!("{} {}", self.common_one, self.scales[power - 2].0),
                _ => format!(
                    "{} {}",
                    self.below_thousand(group),
                    self.scales[power - 2].1
                ),
            },
        )
    }
}

pub(super) fn danish(n: u64) -> String {
    #[rustfmt::skip]
    let rules = Nordic {
        small: [
            "nul", "en", "to", "tre", "fire", "fem", "seks", "syv", "otte", "ni", "ti", "elleve", "tolv", "tretten", "fjorten", "femten",
            "seksten", "sytten", "atten", "nitten",
        ],
        tens: [
            "", "", "tyve", "tredive", "fyrre", "halvtreds", "tres", "halvfjerds", "firs", "halvfems",
        ],
        ones_first: true,
        hundred: "hundrede",
        thousand: "tusind",
        neuter_one: "et",
        common_one: "en",
        and: " og ",
        scales: [
            ("million", "millioner"),
            ("milliard", "milliarder"),
            ("billion", "billioner"),
            ("billiard", "billiarder"),
        ],
    };
    rules.cardinal(n)
}

pub(super) fn swedish(n: u64) -> String {
    #[rustfmt::skip]
    let rules = Nordic {
        small: [
            "noll", "ett", "två", "tre", "fyra", "fem", "sex", "sju", "åtta", "nio", "tio", "elva", "tolv", "tretton", "fjorton", "femton",
            "sexton", "sjutton", "arton", "nitton",
        ],
        tens: [
            "", "", "tjugo", "trettio", "fyrtio", "femtio", "sextio", "sjuttio", "åttio", "nittio",
        ],
        ones_first: false,
        hundred: "hundra",
        thousand: "tusen",
        neuter_one: "ett",
        common_one: "en",
        and: " ",
        scales: [
            ("miljon", "miljoner"),
            ("miljard", "miljarder"),
            ("biljon", "biljoner"),
            ("biljard", "biljarder"),
        ],
    };
    rules.cardinal(n)
}

pub(super) fn norwegian(n: u64) -> String {
    #[rustfmt::skip]
    let rules = Nordic {
        small: [
            "null", "en", "to", "tre", "fire", "fem", "seks", "sju", "åtte", "ni", "ti", "elleve", "tolv", "tretten", "fjorten", "femten",
            "seksten", "sytten", "atten", "nitten",
        ],
        tens: [
            "", "", "tjue", "tretti", "førti", "femti", "seksti", "sytti", "åtti", "nitti",
        ],
        ones_first: false,
        hundred: "hundre",
        thousand: "tusen",
        neuter_one: "ett",
        common_one: "en",
        and: " og ",
        scales: [
            ("million", "millioner"),
            ("milliard", "milliarder"),
            ("billion", "billioner"),
            ("billiard", "billiarder"),
        ],
    };
    rules.cardinal(n)
}
