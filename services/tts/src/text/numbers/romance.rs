//! French, Spanish, Portuguese, Italian.

use super::{scaled, thousands, word};

pub(super) fn french(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 20] = [
        "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize", "quatorze",
        "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt"];
    const SCALES: [&str; 4] = ["million", "milliard", "billion", "billiard"];
    // The plural `s` of "quatre-vingts" and "deux cents" falls before another number, "mille" being one.
    let small = |n: u64, last: bool| match (n / 10, n % 10) {
        (0 | 1, _) => word(&SMALL, n).to_owned(),
        (7, 1) => "soixante et onze".to_owned(),
        (7 | 9, ones) => format!("{}-{}", word(&TENS, n / 10), word(&SMALL, ones + 10)),
        (8, 0) => if last {
            "quatre-vingts"
        } else {
            "quatre-vingt"
        }
        .to_owned(),
        (tens, 0) => word(&TENS, tens).to_owned(),
        (8, ones) => format!("quatre-vingt-{}", word(&SMALL, ones)),
        (tens, 1) => format!("{} et un", word(&TENS, tens)),
        (tens, ones) => format!("{}-{}", word(&TENS, tens), word(&SMALL, ones)),
    };
    let group = |n: u64, last: bool| match (n / 100, n % 100) {
        (0, rest) => small(rest, last),
        (1, 0) => "cent".to_owned(),
        (1, rest) => format!("cent {}", small(rest, last)),
        (hundreds, 0) => format!(
            "{} cent{}",
            word(&SMALL, hundreds),
            if last { "s" } else { "" }
        ),
        (hundreds, rest) => format!("{} cent {}", word(&SMALL, hundreds), small(rest, last)),
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    scaled(
        n,
        |n| group(n, true),
        |n, power| match (n, power) {
            (1, 1) => "mille".to_owned(),
            (_, 1) => format!("{} mille", group(n, false)),
            (1, _) => format!("un {}", SCALES[power - 2]),
            _ => format!("{} {}s", group(n, true), SCALES[power - 2]),
        },
    )
}

/// `un` where a noun follows, `uno` where none does.
fn spanish_group(n: u64, noun_follows: bool) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 30] = [
        "", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce", "trece", "catorce", "quince",
        "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno", "veintidós", "veintitrés", "veinticuatro", "veinticinco",
        "veintiséis", "veintisiete", "veintiocho", "veintinueve",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
    #[rustfmt::skip]
    const HUNDREDS: [&str; 10] = [
        "", "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos", "ochocientos", "novecientos",
    ];
    let one = if noun_follows { "un" } else { "uno" };
    let small = match n % 100 {
        1 => one.to_owned(),
        21 if noun_follows => "veintiún".to_owned(),
        rest @ 0..30 => word(&SMALL, rest).to_owned(),
        rest if rest % 10 == 0 => word(&TENS, rest / 10).to_owned(),
        rest if rest % 10 == 1 => format!("{} y {one}", word(&TENS, rest / 10)),
        rest => format!("{} y {}", word(&TENS, rest / 10), word(&SMALL, rest % 10)),
    };
    if n == 100 {
        return "cien".to_owned();
    }
    format!("{} {small}", word(&HUNDREDS, n / 100))
        .trim()
        .to_owned()
}

pub(super) fn spanish(n: u64) -> String {
    const SCALES: [(&str, &str); 3] = [("", ""), ("millón", "millones"), ("billón", "billones")];
    if n == 0 {
        return "cero".to_owned();
    }
    let below_million = |n: u64, noun_follows: bool| {
        let thousand = match n / 1000 {
            0 => String::new(),
            1 => "mil".to_owned(),
            it => format!("{} mil", spanish_group(it, true)),
        };
        format!("{thousand} {}", spanish_group(n % 1000, noun_follows))
            .trim()
            .to_owned()
    };
    let mut words = Vec::new();
    for power in [2, 1, 0] {
        let group = n / 1_000_000_u64.pow(power) % 1_000_000;
        let (one, many) = SCALES[power as usize];
        match (group, power) {
            (0, _) => {}
            (_, 0) => words.push(below_million(group, false)),
            (1, _) => words.push(format!("un {one}")),
            _ => words.push(format!("{} {many}", below_million(group, true))),
        }
    }
    words.join(" ")
}

pub(super) fn portuguese(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 20] = [
        "zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze", "treze", "quatorze", "quinze",
        "dezesseis", "dezessete", "dezoito", "dezenove",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"];
    #[rustfmt::skip]
    const HUNDREDS: [&str; 10] = [
        "", "cento", "duzentos", "trezentos", "quatrocentos", "quinhentos", "seiscentos", "setecentos", "oitocentos", "novecentos",
    ];
    const SCALES: [(&str, &str); 4] = [
        ("milhão", "milhões"),
        ("bilhão", "bilhões"),
        ("trilhão", "trilhões"),
        ("quatrilhão", "quatrilhões"),
    ];
    let small = |n: u64| match (n / 10, n % 10) {
        (0 | 1, _) => word(&SMALL, n).to_owned(),
        (tens, 0) => word(&TENS, tens).to_owned(),
        (tens, ones) => format!("{} e {}", word(&TENS, tens), word(&SMALL, ones)),
    };
    let group = |n: u64| match (n / 100, n % 100) {
        (0, rest) => small(rest),
        (1, 0) => "cem".to_owned(),
        (hundreds, 0) => word(&HUNDREDS, hundreds).to_owned(),
        (hundreds, rest) => format!("{} e {}", word(&HUNDREDS, hundreds), small(rest)),
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    let groups = thousands(n);
    let mut spoken = String::new();
    for (i, &(digits, power)) in groups.iter().enumerate() {
        if i > 0 {
            // "e" before the last group if it is simple: "mil e duzentos", "mil duzentos e trinta".
            let simple = i + 1 == groups.len() && (digits < 100 || digits.is_multiple_of(100));
            spoken.push_str(if simple { " e " } else { " " });
        }
        spoken.push_str(&match (digits, power) {
            (_, 0) => group(digits),
            (1, 1) => "mil".to_owned(),
            (_, 1) => format!("{} mil", group(digits)),
            (1, _) => format!("um {}", SCALES[power - 2].0),
            _ => format!("{} {}", group(digits), SCALES[power - 2].1),
        });
    }
    spoken
}

pub(super) fn italian(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 20] = [
        "zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici", "dodici", "tredici",
        "quattordici", "quindici", "sedici", "diciassette", "diciotto", "diciannove",
    ];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"];
    const SCALES: [(&str, &str); 4] = [
        ("milione", "milioni"),
        ("miliardo", "miliardi"),
        ("bilione", "bilioni"),
        ("biliardo", "biliardi"),
    ];
    let small = |n: u64| match (n / 10, n % 10) {
        (0 | 1, _) => word(&SMALL, n).to_owned(),
        (tens, 0) => word(&TENS, tens).to_owned(),
        // "ventuno", "ventotto": the vowel before them falls.
        (tens, ones @ (1 | 8)) => {
            let tens = word(&TENS, tens);
            format!("{}{}", &tens[..tens.len() - 1], word(&SMALL, ones))
        }
        (tens, 3) => format!("{}tré", word(&TENS, tens)),
        (tens, ones) => format!("{}{}", word(&TENS, tens), word(&SMALL, ones)),
    };
    let group = |n: u64| {
        let hundred = match n / 100 {
            0 => String::new(),
            1 => "cento".to_owned(),
            it => format!("{}cento", word(&SMALL, it)),
        };
        match n % 100 {
            0 if n > 0 => hundred,
            3 if n > 100 => format!("{hundred}tré"),
            rest => hundred + &small(rest),
        }
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = Vec::new();
    for (digits, power) in thousands(n / 1_000_000) {
        let (one, many) = SCALES[power];
        words.push(if digits == 1 {
            format!("un {one}")
        } else {
            format!("{} {many}", group(digits))
        });
    }
    let (thousand, rest) = (n % 1_000_000 / 1000, n % 1000);
    let mut last = match thousand {
        0 => String::new(),
        1 => "mille".to_owned(),
        it => format!("{}mila", group(it).replace('é', "e")),
    };
    if rest > 0 {
        last.push_str(&group(rest));
    }
    if !last.is_empty() {
        words.push(last);
    }
    words.join(" ")
}
