//! Chinese, Japanese, Korean, Hindi.

use super::word;

/// The groups of four digits of `n`, the highest first, each with its power of ten thousand. Groups of nothing are left out.
fn myriads(n: u64) -> Vec<(u64, usize)> {
    let groups = (0..5)
        .rev()
        .map(|power| (n / 10_000_u64.pow(power) % 10_000, power as usize));
    groups.filter(|it| it.0 > 0).collect()
}

pub(super) fn chinese(n: u64) -> String {
    const ONES: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    const UNITS: [&str; 4] = ["千", "百", "十", ""];
    const SCALES: [&str; 5] = ["", "万", "亿", "万亿", "亿亿"];
    if n == 0 {
        return ONES[0].to_owned();
    }
    let mut spoken = String::new();
    let mut next_power = None;
    for (group, power) in myriads(n) {
        // A gap is told by one zero, however wide it is.
        let mut gap =
            next_power.is_some_and(|it| power < it) || (!spoken.is_empty() && group < 1000);
        for (i, unit) in UNITS.iter().enumerate() {
            let digit = group / [1000, 100, 10, 1][i] % 10;
            if digit == 0 {
                gap |= !spoken.is_empty() && !group.is_multiple_of([1000, 100, 10, 1][i]);
                continue;
            }
            if gap {
                spoken.push_str(ONES[0]);
                gap = false;
            }
            // "十二" and not "一十二" at the start; "两千" and not "二千".
            let starts_with_ten = spoken.is_empty() && i == 2 && digit == 1;
            let pair = digit == 2 && i == 0 && spoken.is_empty();
            let digit = if pair { "两" } else { word(&ONES, digit) };
            let alone = digit == "二" && i == 3 && group == 2 && power > 0 && spoken.is_empty();
            if !starts_with_ten {
                spoken.push_str(if alone { "两" } else { digit });
            }
            spoken.push_str(unit);
        }
        spoken.push_str(SCALES[power]);
        next_power = power.checked_sub(1);
    }
    spoken
}

/// In kana: of the readings of kanji a model knows nothing.
pub(super) fn japanese(n: u64) -> String {
    #[rustfmt::skip]
    const ONES: [&str; 10] = ["ぜろ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう"];
    #[rustfmt::skip]
    const HUNDREDS: [&str; 10] = ["", "ひゃく", "にひゃく", "さんびゃく", "よんひゃく", "ごひゃく", "ろっぴゃく", "ななひゃく", "はっぴゃく", "きゅうひゃく"];
    #[rustfmt::skip]
    const THOUSANDS: [&str; 10] = ["", "せん", "にせん", "さんぜん", "よんせん", "ごせん", "ろくせん", "ななせん", "はっせん", "きゅうせん"];
    const SCALES: [&str; 5] = ["", "まん", "おく", "ちょう", "けい"];
    if n == 0 {
        return ONES[0].to_owned();
    }
    let mut spoken = String::new();
    for (group, power) in myriads(n) {
        let (thousands, tens, ones) = (group / 1000, group / 10 % 10, group % 10);
        // "いっせんまん": a thousand of something is counted.
        spoken.push_str(if thousands == 1 && power > 0 {
            "いっせん"
        } else {
            word(&THOUSANDS, thousands)
        });
        spoken.push_str(word(&HUNDREDS, group / 100 % 10));
        match tens {
            0 => {}
            // Before "chō" and "kei" the last sound of ten is doubled.
            1 if ones == 0 && power > 2 => spoken.push_str("じゅっ"),
            1 => spoken.push_str("じゅう"),
            it => {
                spoken.push_str(word(&ONES, it));
                spoken.push_str(if ones == 0 && power > 2 {
                    "じゅっ"
                } else {
                    "じゅう"
                });
            }
        }
        spoken.push_str(match (ones, power) {
            (0, _) => "",
            (1, 3 | 4) => "いっ",
            (8, 3 | 4) => "はっ",
            (6, 4) => "ろっ",
            (it, _) => word(&ONES, it),
        });
        spoken.push_str(SCALES[power]);
    }
    spoken
}

pub(super) fn korean(n: u64) -> String {
    const ONES: [&str; 10] = ["영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"];
    const UNITS: [&str; 4] = ["천", "백", "십", ""];
    const SCALES: [&str; 5] = ["", "만", "억", "조", "경"];
    if n == 0 {
        return ONES[0].to_owned();
    }
    let mut words = Vec::new();
    for (group, power) in myriads(n) {
        let mut spoken = String::new();
        for (i, unit) in UNITS.iter().enumerate() {
            let digit = group / [1000, 100, 10, 1][i] % 10;
            // One is not said before a unit, nor before ten thousand.
            let silent = digit == 0
                || (digit == 1 && (i < 3 || (group == 1 && power == 1 && words.is_empty())));
            if !silent {
                spoken.push_str(word(&ONES, digit));
            }
            if digit > 0 {
                spoken.push_str(unit);
            }
        }
        words.push(spoken + SCALES[power]);
    }
    words.join(" ")
}

/// Below a hundred billion: the names above are hardly used.
pub(super) fn hindi(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 100] = [
        "शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ", "दस", "ग्यारह", "बारह", "तेरह", "चौदह", "पंद्रह", "सोलह", "सत्रह",
        "अठारह", "उन्नीस", "बीस", "इक्कीस", "बाईस", "तेईस", "चौबीस", "पच्चीस", "छब्बीस", "सत्ताईस", "अट्ठाईस", "उनतीस", "तीस", "इकतीस",
        "बत्तीस", "तैंतीस", "चौंतीस", "पैंतीस", "छत्तीस", "सैंतीस", "अड़तीस", "उनतालीस", "चालीस", "इकतालीस", "बयालीस", "तैंतालीस", "चवालीस",
        "पैंतालीस", "छियालीस", "सैंतालीस", "अड़तालीस", "उनचास", "पचास", "इक्यावन", "बावन", "तिरपन", "चौवन", "पचपन", "छप्पन", "सत्तावन",
        "अट्ठावन", "उनसठ", "साठ", "इकसठ", "बासठ", "तिरसठ", "चौंसठ", "पैंसठ", "छियासठ", "सड़सठ", "अड़सठ", "उनहत्तर", "सत्तर", "इकहत्तर",
        "बहत्तर", "तिहत्तर", "चौहत्तर", "पचहत्तर", "छिहत्तर", "सतहत्तर", "अठहत्तर", "उन्यासी", "अस्सी", "इक्यासी", "बयासी", "तिरासी",
        "चौरासी", "पचासी", "छियासी", "सत्तासी", "अट्ठासी", "नवासी", "नब्बे", "इक्यानवे", "बानवे", "तिरानवे", "चौरानवे", "पंचानवे", "छियानवे",
        "सत्तानवे", "अट्ठानवे", "निन्यानवे",
    ];
    const SCALES: [(u64, &str); 5] = [
        (1_000_000_000, "अरब"),
        (10_000_000, "करोड़"),
        (100_000, "लाख"),
        (1000, "हज़ार"),
        (100, "सौ"),
    ];
    if n == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = Vec::new();
    let mut rest = n;
    for (size, name) in SCALES {
        if rest >= size {
            words.push(format!("{} {name}", word(&SMALL, rest / size)));
            rest %= size;
        }
    }
    if rest > 0 {
        words.push(word(&SMALL, rest).to_owned());
    }
    words.join(" ")
}
