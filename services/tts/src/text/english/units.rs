//! What a number counts: measures, money, hundreds of millions.

use super::figure::Figure;
use crate::text::numbers::english as numbers;

/// Sign, one of it, several, and whether it may stand apart from its number (`in` may not: it is a word).
type Unit = (&'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const UNITS: &[Unit] = &[
    ("km", "kilometer", "kilometers", true), ("m", "meter", "meters", true), ("cm", "centimeter", "centimeters", true),
    ("mm", "millimeter", "millimeters", true), ("μm", "micrometer", "micrometers", true), ("nm", "nanometer", "nanometers", true),
    ("mi", "mile", "miles", true), ("ft", "foot", "feet", true), ("in", "inch", "inches", false), ("yd", "yard", "yards", true),
    ("kg", "kilogram", "kilograms", true), ("g", "gram", "grams", true), ("mg", "milligram", "milligrams", true), ("μg", "microgram", "micrograms", true),
    ("lb", "pound", "pounds", true), ("lbs", "pound", "pounds", true), ("oz", "ounce", "ounces", true),
    ("L", "liter", "liters", true), ("l", "liter", "liters", true), ("mL", "milliliter", "milliliters", true), ("ml", "milliliter", "milliliters", true), ("cl", "centiliter", "centiliters", true),
    ("gal", "gallon", "gallons", true), ("m²", "square meter", "square meters", true), ("km²", "square kilometer", "square kilometers", true), ("cm²", "square centimeter", "square centimeters", true),
    ("m³", "cubic meter", "cubic meters", true), ("cm³", "cubic centimeter", "cubic centimeters", true), ("ha", "hectare", "hectares", true),
    ("km/h", "kilometer per hour", "kilometers per hour", true), ("kph", "kilometer per hour", "kilometers per hour", true), ("kmh", "kilometer per hour", "kilometers per hour", true),
    ("mph", "mile per hour", "miles per hour", true), ("m/s", "meter per second", "meters per second", true), ("m/s²", "meter per second squared", "meters per second squared", true),
    ("mpg", "mile per gallon", "miles per gallon", true), ("rpm", "revolution per minute", "revolutions per minute", true), ("fps", "frame per second", "frames per second", true), ("bpm", "beat per minute", "beats per minute", true),
    ("°C", "degree Celsius", "degrees Celsius", true), ("℃", "degree Celsius", "degrees Celsius", true), ("°F", "degree Fahrenheit", "degrees Fahrenheit", true), ("℉", "degree Fahrenheit", "degrees Fahrenheit", true), ("°", "degree", "degrees", true),
    ("Hz", "hertz", "hertz", true), ("kHz", "kilohertz", "kilohertz", true), ("MHz", "megahertz", "megahertz", true), ("GHz", "gigahertz", "gigahertz", true),
    ("KB", "kilobyte", "kilobytes", true), ("kB", "kilobyte", "kilobytes", true), ("MB", "megabyte", "megabytes", true), ("GB", "gigabyte", "gigabytes", true), ("TB", "terabyte", "terabytes", true), ("PB", "petabyte", "petabytes", true),
    ("KiB", "kibibyte", "kibibytes", true), ("MiB", "mebibyte", "mebibytes", true), ("GiB", "gibibyte", "gibibytes", true),
    ("kbps", "kilobit per second", "kilobits per second", true), ("Mbps", "megabit per second", "megabits per second", true), ("Gbps", "gigabit per second", "gigabits per second", true), ("kbit/s", "kilobit per second", "kilobits per second", true), ("Mbit/s", "megabit per second", "megabits per second", true), ("MB/s", "megabyte per second", "megabytes per second", true), ("GB/s", "gigabyte per second", "gigabytes per second", true),
    ("W", "watt", "watts", true), ("kW", "kilowatt", "kilowatts", true), ("MW", "megawatt", "megawatts", true), ("GW", "gigawatt", "gigawatts", true), ("kWh", "kilowatt hour", "kilowatt hours", true), ("Wh", "watt hour", "watt hours", true),
    ("V", "volt", "volts", true), ("mV", "millivolt", "millivolts", true), ("kV", "kilovolt", "kilovolts", true), ("A", "ampere", "amperes", false), ("mA", "milliampere", "milliamperes", true), ("mAh", "milliampere hour", "milliampere hours", true), ("Ω", "ohm", "ohms", true),
    ("s", "second", "seconds", false), ("sec", "second", "seconds", true), ("secs", "second", "seconds", true), ("ms", "millisecond", "milliseconds", true), ("μs", "microsecond", "microseconds", true), ("ns", "nanosecond", "nanoseconds", true),
    ("min", "minute", "minutes", true), ("mins", "minute", "minutes", true), ("h", "hour", "hours", true), ("hr", "hour", "hours", true), ("hrs", "hour", "hours", true), ("yr", "year", "years", true), ("yrs", "year", "years", true),
    ("dB", "decibel", "decibels", true), ("px", "pixel", "pixels", true), ("kcal", "kilocalorie", "kilocalories", true), ("cal", "calorie", "calories", true), ("kJ", "kilojoule", "kilojoules", true), ("J", "joule", "joules", true), ("N", "newton", "newtons", false),
    ("Pa", "pascal", "pascals", true), ("hPa", "hectopascal", "hectopascals", true), ("kPa", "kilopascal", "kilopascals", true), ("psi", "P S I", "P S I", true), ("ppm", "part per million", "parts per million", true), ("mmHg", "millimeter of mercury", "millimeters of mercury", true),
    ("%", "percent", "percent", true), ("‰", "per mille", "per mille", true), ("x", "time", "times", false), ("×", "time", "times", false), ("k", "thousand", "thousand", false), ("M", "million", "million", false), ("bn", "billion", "billion", true), ("mn", "million", "million", true), ("+", "plus", "plus", false),
    ("¢", "cent", "cents", true), ("€", "euro", "euros", true), ("£", "pound", "pounds", true), ("$", "dollar", "dollars", true), ("¥", "yen", "yen", true), ("USD", "U S dollar", "U S dollars", true), ("EUR", "euro", "euros", true), ("GBP", "British pound", "British pounds", true), ("JPY", "Japanese yen", "Japanese yen", true), ("CHF", "Swiss franc", "Swiss francs", true),
];

/// Units whose full stop is part of them.
pub(super) fn takes_stop(unit: &str) -> bool {
    matches!(
        unit,
        "in" | "ft"
            | "yd"
            | "mi"
            | "lb"
            | "lbs"
            | "oz"
            | "gal"
            | "sec"
            | "secs"
            | "min"
            | "mins"
            | "hr"
            | "hrs"
            | "yr"
            | "yrs"
    )
}

/// The name of a unit that is written right behind a figure, or `apart` from it.
pub(super) fn unit(sign: &str, one: bool, apart: bool) -> Option<&'static str> {
    let found = UNITS.iter().find(|it| it.0 == sign && (it.3 || !apart))?;
    Some(if one { found.1 } else { found.2 })
}

/// `thousand` to `quadrillion`: they stand between a figure and what it counts.
pub(super) fn scale(word: &str) -> Option<&'static str> {
    [
        "hundred",
        "thousand",
        "million",
        "billion",
        "trillion",
        "quadrillion",
    ]
    .into_iter()
    .find(|it| it.eq_ignore_ascii_case(word))
}

/// `k`, `M`, `bn` behind an amount of money.
pub(super) fn scale_sign(sign: &str) -> Option<&'static str> {
    match sign {
        "k" | "K" => Some("thousand"),
        "m" | "M" | "mn" | "MM" => Some("million"),
        "b" | "B" | "bn" | "Bn" => Some("billion"),
        "t" | "T" | "tn" => Some("trillion"),
        _ => None,
    }
}

/// A currency: its sign, one and several of it, one and several of its hundredth.
#[derive(Debug)]
pub(super) struct Currency {
    sign: &'static str,
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    cent: Option<(&'static str, &'static str)>,
}

const CENT: Option<(&str, &str)> = Some(("cent", "cents"));

#[rustfmt::skip]
const CURRENCIES: &[Currency] = &[
    Currency { sign: "US$", one: "U S dollar", many: "U S dollars", cent: CENT },
    Currency { sign: "CA$", one: "Canadian dollar", many: "Canadian dollars", cent: CENT },
    Currency { sign: "C$", one: "Canadian dollar", many: "Canadian dollars", cent: CENT },
    Currency { sign: "A$", one: "Australian dollar", many: "Australian dollars", cent: CENT },
    Currency { sign: "HK$", one: "Hong Kong dollar", many: "Hong Kong dollars", cent: CENT },
    Currency { sign: "$", one: "dollar", many: "dollars", cent: CENT },
    Currency { sign: "£", one: "pound", many: "pounds", cent: Some(("penny", "pence")) },
    Currency { sign: "€", one: "euro", many: "euros", cent: CENT },
    Currency { sign: "¥", one: "yen", many: "yen", cent: None },
    Currency { sign: "₹", one: "rupee", many: "rupees", cent: None },
    Currency { sign: "₩", one: "won", many: "won", cent: None },
    Currency { sign: "₽", one: "ruble", many: "rubles", cent: None },
    Currency { sign: "₿", one: "bitcoin", many: "bitcoins", cent: None },
];

/// The currency whose sign `text` begins with, and what follows it.
pub(super) fn currency(text: &str) -> Option<(&'static Currency, &str)> {
    CURRENCIES
        .iter()
        .find_map(|it| Some((it, text.strip_prefix(it.sign)?)))
}

impl Currency {
    /// `3.50` of it.
    pub(super) fn amount(&self, figure: Figure<'_>) -> String {
        let sign = if figure.is_negative() { "minus " } else { "" };
        let cents = figure
            .fraction()
            .filter(|it| it.len() == 2)
            .and_then(|it| it.parse::<u64>().ok());
        let (Some(cents), Some((cent, many_cents)), Some(whole)) =
            (cents, self.cent, figure.integer())
        else {
            return format!(
                "{} {}",
                figure.spoken(),
                if figure.is_one() { self.one } else { self.many }
            );
        };
        let coins = format!(
            "{} {}",
            numbers::cardinal(cents),
            if cents == 1 { cent } else { many_cents }
        );
        let notes = format!(
            "{} {}",
            numbers::cardinal(whole),
            if whole == 1 { self.one } else { self.many }
        );
        match (whole, cents) {
            (_, 0) => format!("{sign}{notes}"),
            (0, _) => format!("{sign}{coins}"),
            _ => format!("{sign}{notes} and {coins}"),
        }
    }
}
