//! Greek, Finnish, Turkish, Malay, Swahili.

use super::{scaled, word};

pub(super) fn greek(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 20] = [
        "μηδέν", "ένα", "δύο", "τρία", "τέσσερα", "πέντε", "έξι", "επτά", "οκτώ", "εννέα", "δέκα", "έντεκα", "δώδεκα", "δεκατρία",
        "δεκατέσσερα", "δεκαπέντε", "δεκαέξι", "δεκαεπτά", "δεκαοκτώ", "δεκαεννέα",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "είκοσι", "τριάντα", "σαράντα", "πενήντα", "εξήντα", "εβδομήντα", "ογδόντα", "ενενήντα"];
    #[rustfmt::skip]
    const HUNDREDS: [&str; 10] = ["", "εκατόν", "διακόσι", "τριακόσι", "τετρακόσι", "πεντακόσι", "εξακόσι", "επτακόσι", "οκτακόσι", "εννιακόσι"];
    #[rustfmt::skip]
    const SCALES: [&str; 4] = ["εκατομμύρι", "δισεκατομμύρι", "τρισεκατομμύρι", "τετράκις εκατομμύρι"];
    // Thousands are feminine, everything else is counted in the neuter.
    let group = |n: u64, feminine: bool| {
        let rest = n % 100;
        let (tens, ones) = if rest < 20 {
            (0, rest)
        } else {
            (rest / 10, rest % 10)
        };
        let ones = match (ones, feminine) {
            (0, _) => "",
            (1, true) => "μία",
            (3, true) => "τρεις",
            (4, true) => "τέσσερις",
            (13, true) => "δεκατρείς",
            (14, true) => "δεκατέσσερις",
            (it, _) => word(&SMALL, it),
        };
        let hundreds = match (n / 100, rest) {
            (0, _) => String::new(),
            (1, 0) => "εκατό".to_owned(),
            (1, _) => "εκατόν".to_owned(),
            (it, _) => format!(
                "{}{}",
                word(&HUNDREDS, it),
                if feminine { "ες" } else { "α" }
            ),
        };
        let words = [hundreds.as_str(), word(&TENS, tens), ones];
        words
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    scaled(
        n,
        |n| group(n, false),
        |n, power| match (n, power) {
            (1, 1) => "χίλια".to_owned(),
            (_, 1) => format!("{} χιλιάδες", group(n, true)),
            (1, _) => format!("ένα {}ο", SCALES[power - 2]),
            _ => format!("{} {}α", group(n, false), SCALES[power - 2]),
        },
    )
}

pub(super) fn finnish(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 11] = ["nolla", "yksi", "kaksi", "kolme", "neljä", "viisi", "kuusi", "seitsemän", "kahdeksan", "yhdeksän", "kymmenen"];
    const SCALES: [(&str, &str); 4] = [
        ("miljoona", "miljoonaa"),
        ("miljardi", "miljardia"),
        ("biljoona", "biljoonaa"),
        ("tuhat biljoonaa", "tuhatta biljoonaa"),
    ];
    let small = |n: u64| match (n / 10, n % 10) {
        (0, _) | (1, 0) => word(&SMALL, n).to_owned(),
        (1, ones) => format!("{}toista", word(&SMALL, ones)),
        (tens, 0) => format!("{}kymmentä", word(&SMALL, tens)),
        (tens, ones) => format!("{}kymmentä{}", word(&SMALL, tens), word(&SMALL, ones)),
    };
    let group = |n: u64| {
        let hundreds = match n / 100 {
            0 => return small(n),
            1 => "sata".to_owned(),
            it => format!("{}sataa", word(&SMALL, it)),
        };
        if n.is_multiple_of(100) {
            hundreds
        } else {
            hundreds + &small(n % 100)
        }
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    scaled(n, group, |digits, power| match (digits, power) {
        (1, 1) => "tuhat".to_owned(),
        (_, 1) => format!("{}tuhatta", group(digits)),
        // A thousand billions may be followed by billions of their own, which then are named once.
        (_, 5) if !(n / 1_000_000_000_000).is_multiple_of(1000) => {
            if digits == 1 {
                "tuhat".to_owned()
            } else {
                format!("{}tuhatta", group(digits))
            }
        }
        (1, 5) => SCALES[3].0.to_owned(),
        (_, 5) => format!("{}{}", group(digits), SCALES[3].1),
        // After thousands of them, one billion is one of many.
        (1, 4) if n / 1_000_000_000_000 > 1 => format!("yksi {}", SCALES[2].1),
        (1, _) => SCALES[power - 2].0.to_owned(),
        _ => format!("{} {}", group(digits), SCALES[power - 2].1),
    })
}

pub(super) fn turkish(n: u64) -> String {
    #[rustfmt::skip]
    const ONES: [&str; 10] = ["sıfır", "bir", "iki", "üç", "dört", "beş", "altı", "yedi", "sekiz", "dokuz"];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "on", "yirmi", "otuz", "kırk", "elli", "altmış", "yetmiş", "seksen", "doksan"];
    const SCALES: [&str; 6] = ["", "bin", "milyon", "milyar", "trilyon", "katrilyon"];
    let group = |n: u64| {
        let hundreds = match n / 100 {
            0 => String::new(),
            1 => "yüz".to_owned(),
            it => format!("{} yüz", word(&ONES, it)),
        };
        let ones = if n.is_multiple_of(10) {
            ""
        } else {
            word(&ONES, n % 10)
        };
        let words = [hundreds.as_str(), word(&TENS, n / 10 % 10), ones];
        words
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    if n == 0 {
        return ONES[0].to_owned();
    }
    scaled(n, group, |n, power| {
        if (n, power) == (1, 1) {
            "bin".to_owned()
        } else {
            format!("{} {}", group(n), SCALES[power])
        }
    })
}

pub(super) fn malay(n: u64) -> String {
    #[rustfmt::skip]
    const ONES: [&str; 10] = ["sifar", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "lapan", "sembilan"];
    const SCALES: [&str; 6] = ["", "ribu", "juta", "bilion", "trilion", "kuadrilion"];
    let small = |n: u64| match (n / 10, n % 10) {
        (0, _) => word(&ONES, n).to_owned(),
        (1, 0) => "sepuluh".to_owned(),
        (1, 1) => "sebelas".to_owned(),
        (1, ones) => format!("{} belas", word(&ONES, ones)),
        (tens, 0) => format!("{} puluh", word(&ONES, tens)),
        (tens, ones) => format!("{} puluh {}", word(&ONES, tens), word(&ONES, ones)),
    };
    let group = |n: u64| match (n / 100, n % 100) {
        (0, rest) => small(rest),
        (hundreds, rest) => {
            let hundreds = if hundreds == 1 {
                "seratus".to_owned()
            } else {
                format!("{} ratus", word(&ONES, hundreds))
            };
            if rest == 0 {
                hundreds
            } else {
                format!("{hundreds} {}", small(rest))
            }
        }
    };
    if n == 0 {
        return ONES[0].to_owned();
    }
    scaled(n, group, |n, power| {
        if (n, power) == (1, 1) {
            "seribu".to_owned()
        } else {
            format!("{} {}", group(n), SCALES[power])
        }
    })
}

/// Below a million.
pub(super) fn swahili(n: u64) -> String {
    #[rustfmt::skip]
    const ONES: [&str; 10] = ["sifuri", "moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa"];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "kumi", "ishirini", "thelathini", "arobaini", "hamsini", "sitini", "sabini", "themanini", "tisini"];
    let group = |n: u64| {
        let mut words: Vec<String> = Vec::new();
        if n >= 100 {
            words.push(format!("mia {}", word(&ONES, n / 100)));
        }
        if !(n / 10).is_multiple_of(10) {
            words.push(word(&TENS, n / 10 % 10).to_owned());
        }
        if !n.is_multiple_of(10) {
            words.push(word(&ONES, n % 10).to_owned());
        }
        // "na" stands before the last part only.
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} na {last}", rest.join(" ")),
            _ => words.concat(),
        }
    };
    if n == 0 {
        return ONES[0].to_owned();
    }
    match (n / 1000, n % 1000) {
        (0, rest) => group(rest),
        (thousands, 0) => format!("elfu {}", group(thousands)),
        (thousands, rest) if rest < 100 && (rest < 11 || rest % 10 == 0) => {
            format!("elfu {} na {}", group(thousands), group(rest))
        }
        (thousands, rest) => format!("elfu {} {}", group(thousands), group(rest)),
    }
}
