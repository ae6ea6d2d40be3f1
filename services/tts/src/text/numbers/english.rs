//! English numbers.

#[rustfmt::skip]
const SMALL: [&str; 20] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
];
#[rustfmt::skip]
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
#[rustfmt::skip]
const SCALES: [&str; 6] = ["", "thousand", "million", "billion", "trillion", "quadrillion"];

fn below_hundred(n: u64) -> String {
    let (tens, ones) = (
        usize::try_from(n / 10 % 10).unwrap_or(0),
        usize::try_from(n % 10).unwrap_or(0),
    );
    match (tens, ones) {
        (0 | 1, _) => SMALL[tens * 10 + ones].to_owned(),
        (_, 0) => TENS[tens].to_owned(),
        _ => format!("{}-{}", TENS[tens], SMALL[ones]),
    }
}

fn below_thousand(n: u64) -> String {
    match (n / 100, n % 100) {
        (0, rest) => below_hundred(rest),
        (hundreds, 0) => format!("{} hundred", below_hundred(hundreds)),
        (hundreds, rest) => format!(
            "{} hundred {}",
            below_hundred(hundreds),
            below_hundred(rest)
        ),
    }
}

/// `1234` is "one thousand two hundred thirty-four". Numbers of up to 18 digits.
pub(crate) fn cardinal(n: u64) -> String {
    if n == 0 {
        return SMALL[0].to_owned();
    }
    let mut groups = Vec::new();
    let mut rest = n;
    for scale in SCALES {
        let group = rest % 1000;
        if group > 0 {
            groups.push(
                format!("{} {scale}", below_thousand(group))
                    .trim_end()
                    .to_owned(),
            );
        }
        rest /= 1000;
    }
    groups.reverse();
    groups.join(" ")
}

/// `21` is "twenty-first".
pub(crate) fn ordinal(n: u64) -> String {
    let cardinal = cardinal(n);
    let start = cardinal.rfind([' ', '-']).map_or(0, |it| it + 1);
    let (head, last) = cardinal.split_at(start);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    format!("{head}{last}")
}

/// `1984` is "nineteen eighty-four", `1905` "nineteen oh five", `2005` "two thousand five", `2024` "twenty twenty-four".
pub(crate) fn year(n: u64) -> String {
    let (century, rest) = (n / 100, n % 100);
    if !(1000..10_000).contains(&n) || century % 10 == 0 && rest < 10 {
        return cardinal(n);
    }
    match rest {
        0 => format!("{} hundred", below_hundred(century)),
        1..=9 => format!("{} oh {}", below_hundred(century), below_hundred(rest)),
        _ => format!("{} {}", below_hundred(century), below_hundred(rest)),
    }
}

/// One by one: `007` is "zero zero seven". Anything that is no digit is passed over.
pub(crate) fn digits(text: &str) -> String {
    let words = text
        .chars()
        .filter_map(|it| it.to_digit(10))
        .map(|it| SMALL[it as usize]);
    words.collect::<Vec<_>>().join(" ")
}

/// `12s` as in "the 1980s", "sixties": the plural of a number's last word.
pub(crate) fn plural(number: &str) -> String {
    match (number.strip_suffix('y'), number.ends_with("six")) {
        (Some(stem), _) => format!("{stem}ies"),
        (None, true) => format!("{number}es"),
        (None, false) => format!("{number}s"),
    }
}
