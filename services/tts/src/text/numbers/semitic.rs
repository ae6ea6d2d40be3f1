//! Arabic and Hebrew, as numbers are counted when nothing is counted.

use super::word;

/// Below a milliard.
pub(super) fn arabic(n: u64) -> String {
    #[rustfmt::skip]
    const SMALL: [&str; 13] = ["صفر", "واحد", "اثنان", "ثلاثة", "أربعة", "خمسة", "ستة", "سبعة", "ثمانية", "تسعة", "عشرة", "أحد عشر", "اثنا عشر"];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "عشرون", "ثلاثون", "أربعون", "خمسون", "ستون", "سبعون", "ثمانون", "تسعون"];
    #[rustfmt::skip]
    const HUNDREDS: [&str; 10] = ["", "مئة", "مئتان", "ثلاثمئة", "أربعمئة", "خمسمئة", "ستمئة", "سبعمئة", "ثمانمئة", "تسعمئة"];
    let small = |n: u64| match (n / 10, n % 10) {
        (0, _) => word(&SMALL, n).to_owned(),
        (1, 0..=2) => word(&SMALL, n).to_owned(),
        (1, ones) => format!("{} عشر", word(&SMALL, ones)),
        (tens, 0) => word(&TENS, tens).to_owned(),
        (tens, ones) => format!("{} و{}", word(&SMALL, ones), word(&TENS, tens)),
    };
    let group = |n: u64| match (n / 100, n % 100) {
        (0, rest) => small(rest),
        (hundreds, 0) => word(&HUNDREDS, hundreds).to_owned(),
        (hundreds, rest) => format!("{} و{}", word(&HUNDREDS, hundreds), small(rest)),
    };
    // One, two, three to ten, and more of something.
    let counted = |n: u64, [one, two, few, many]: [&str; 4]| match (n, n % 100) {
        (1, _) => one.to_owned(),
        (2, _) => two.to_owned(),
        (_, 3..=10) => format!("{} {few}", group(n)),
        _ => format!("{} {many}", group(n)),
    };
    if n == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = Vec::new();
    if n >= 1_000_000 {
        words.push(counted(
            n / 1_000_000,
            ["مليون", "مليونان", "ملايين", "مليون"],
        ));
    }
    if !(n / 1000).is_multiple_of(1000) {
        words.push(counted(n / 1000 % 1000, ["ألف", "ألفان", "آلاف", "ألف"]));
    }
    if !n.is_multiple_of(1000) {
        words.push(group(n % 1000));
    }
    words.join(" و")
}

/// Below a million.
pub(super) fn hebrew(n: u64) -> String {
    #[rustfmt::skip]
    const FEMININE: [&str; 11] = ["אפס", "אחת", "שתיים", "שלוש", "ארבע", "חמש", "שש", "שבע", "שמונה", "תשע", "עשר"];
    #[rustfmt::skip]
    const MASCULINE: [&str; 11] = ["אפס", "אחד", "שניים", "שלושה", "ארבעה", "חמישה", "שישה", "שבעה", "שמונה", "תשעה", "עשרה"];
    #[rustfmt::skip]
    const TENS: [&str; 10] = ["", "", "עשרים", "שלושים", "ארבעים", "חמישים", "שישים", "שבעים", "שמונים", "תשעים"];
    #[rustfmt::skip]
    const THOUSANDS: [&str; 11] = [
        "", "אלף", "אלפיים", "שלושת אלפים", "ארבעת אלפים", "חמשת אלפים", "ששת אלפים", "שבעת אלפים", "שמונת אלפים", "תשעת אלפים", "עשרת אלפים",
    ];
    // The parts of a number, of which the last is joined with "and".
    let parts = |n: u64, masculine: bool| {
        let ones = |it: u64| word(if masculine { &MASCULINE } else { &FEMININE }, it);
        let mut parts: Vec<String> = Vec::new();
        match n / 100 {
            0 => {}
            1 => parts.push("מאה".to_owned()),
            2 => parts.push("מאתיים".to_owned()),
            it => parts.push(format!("{} מאות", word(&FEMININE, it))),
        }
        match (n % 100 / 10, n % 10) {
            (0, 0) => {}
            (0, it) => parts.push(ones(it).to_owned()),
            (1, 0) => parts.push(ones(10).to_owned()),
            (1, 2) => parts.push(
                if masculine {
                    "שנים עשר"
                } else {
                    "שתים עשרה"
                }
                .to_owned(),
            ),
            (1, it) => parts.push(format!(
                "{} {}",
                ones(it),
                if masculine { "עשר" } else { "עשרה" }
            )),
            (tens, 0) => parts.push(word(&TENS, tens).to_owned()),
            (tens, it) => parts.extend([word(&TENS, tens).to_owned(), ones(it).to_owned()]),
        }
        parts
    };
    let join = |parts: &[String]| match parts {
        [.., _] if parts.len() > 1 => format!(
            "{} ו{}",
            parts[..parts.len() - 1].join(" "),
            parts[parts.len() - 1]
        ),
        _ => parts.concat(),
    };
    if n == 0 {
        return FEMININE[0].to_owned();
    }
    let rest = parts(n % 1000, false);
    match n / 1000 {
        0 => join(&rest),
        it => {
            let thousands = if it <= 10 {
                word(&THOUSANDS, it).to_owned()
            } else {
                format!("{} אלף", join(&parts(it, true)))
            };
            let all: Vec<String> = [thousands].into_iter().chain(rest).collect();
            join(&all)
        }
    }
}
