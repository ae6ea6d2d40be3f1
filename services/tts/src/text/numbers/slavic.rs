//! Russian and Polish: what is counted changes with the number that counts it.

use super::{scaled, word};

/// One, two to four, and more of something.
type Forms = [&'static str; 3];

struct Slavic {
    small: [&'static str; 20],
    tens: [&'static str; 10],
    hundreds: [&'static str; 10],
    scales: [Forms; 5],
    /// One and two of a feminine: Russian thousands.
    feminine: Option<(&'static str, &'static str)>,
    /// Whether 21 takes the form of 1.
    by_last_digit: bool,
}

impl Slavic {
    fn group(&self, n: u64, feminine: bool) -> String {
        let rest = n % 100;
        let (tens, ones) = if rest < 20 {
            (0, rest)
        } else {
            (rest / 10, rest % 10)
        };
        let ones = match (ones, self.feminine.filter(|_| feminine)) {
            (0, _) => "",
            (1, Some((one, _))) => one,
            (2, Some((_, two))) => two,
            (it, _) => word(&self.small, it),
        };
        let words = [word(&self.hundreds, n / 100), word(&self.tens, tens), ones];
        words
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn form(&self, n: u64) -> usize {
        match (n % 10, n % 100) {
            (1, rest) if n == 1 || (self.by_last_digit && rest != 11) => 0,
            (2..=4, rest) if !(12..=14).contains(&rest) => 1,
            _ => 2,
        }
    }

    fn cardinal(&self, n: u64) -> String {
        if n == 0 {
            return self.small[0].to_owned();
        }
        scaled(
            n,
            |it| self.group(it, false),
            |digits, power| {
                let name = self.scales[power - 1][self.form(digits)];
                if digits == 1 {
                    name.to_owned()
                } else {
                    format!("{} {name}", self.group(digits, power == 1))
                }
            },
        )
    }
}

pub(super) fn russian(n: u64) -> String {
    #[rustfmt::skip]
    let rules = Slavic {
        small: [
            "ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять", "одиннадцать", "двенадцать",
            "тринадцать", "четырнадцать", "пятнадцать", "шестнадцать", "семнадцать", "восемнадцать", "девятнадцать",
        ],
        tens: [
            "", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто",
        ],
        hundreds: [
            "", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот",
        ],
        scales: [
            ["тысяча", "тысячи", "тысяч"],
            ["миллион", "миллиона", "миллионов"],
            ["миллиард", "миллиарда", "миллиардов"],
            ["триллион", "триллиона", "триллионов"],
            ["квадриллион", "квадриллиона", "квадриллионов"],
        ],
        feminine: Some(("одна", "две")),
        by_last_digit: true,
    };
    rules.cardinal(n)
}

pub(super) fn polish(n: u64) -> String {
    #[rustfmt::skip]
    let rules = Slavic {
        small: [
            "zero", "jeden", "dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć", "dziesięć", "jedenaście", "dwanaście",
            "trzynaście", "czternaście", "piętnaście", "szesnaście", "siedemnaście", "osiemnaście", "dziewiętnaście",
        ],
        tens: [
            "", "", "dwadzieścia", "trzydzieści", "czterdzieści", "pięćdziesiąt", "sześćdziesiąt", "siedemdziesiąt", "osiemdziesiąt",
            "dziewięćdziesiąt",
        ],
        hundreds: [
            "", "sto", "dwieście", "trzysta", "czterysta", "pięćset", "sześćset", "siedemset", "osiemset", "dziewięćset",
        ],
        scales: [
            ["tysiąc", "tysiące", "tysięcy"],
            ["milion", "miliony", "milionów"],
            ["miliard", "miliardy", "miliardów"],
            ["bilion", "biliony", "bilionów"],
            ["biliard", "biliardy", "biliardów"],
        ],
        feminine: None,
        by_last_digit: false,
    };
    rules.cardinal(n)
}
