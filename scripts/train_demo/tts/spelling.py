"""Numbers, dates, times, sums of money, telephone numbers and letters, as the synthesiser's text front end says them.

The voice never meets a digit: `services/tts/src/text` has turned them into words before. What it is trained on must be
spelled in the same way, so the rules here are those of the front end, and a test compares them with its own tables.
"""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
MONTHS = (
    "January February March April May June July August September October November December"
).split()


def cardinal(n: int) -> str:
    """`342` is "three hundred forty-two"."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{ONES[n // 100]} hundred" + (f" {cardinal(n % 100)}" if n % 100 else "")
    for size, name in SCALES:
        if n >= size:
            return f"{cardinal(n // size)} {name}" + (f" {cardinal(n % size)}" if n % size else "")
    raise ValueError(n)


def ordinal(n: int) -> str:
    """`21` is "twenty-first"."""
    words = cardinal(n)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    head, last = words[:cut], words[cut:]
    if last in IRREGULAR:
        return head + IRREGULAR[last]
    return head + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def digits(text: str) -> str:
    """Digit by digit."""
    return " ".join(ONES[int(it)] for it in text)


def decimal(whole: int, fraction: str) -> str:
    """`3.14` is "three point one four"."""
    return f"{cardinal(whole)} point {digits(fraction)}"


def year(n: int) -> str:
    """`1905` is "nineteen oh five", `2005` is "two thousand five"."""
    high, low = divmod(n, 100)
    if 2000 <= n <= 2009:
        return cardinal(n)
    if low == 0:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} " + (f"oh {ONES[low]}" if low < 10 else cardinal(low))


def date(month: int, day: int, at_year: int | None = None) -> str:
    """The third of March 2024 is "March third, twenty twenty-four"."""
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    return said if at_year is None else f"{said}, {year(at_year)}"


def clock(hour: int, minute: int) -> str:
    """`2:05` is "two oh five"."""
    if hour == 0 and minute == 0:
        return "midnight"
    if minute == 0:
        return f"{cardinal(hour)} o'clock" if hour < 13 else f"{cardinal(hour)} hundred"
    return f"{cardinal(hour)} " + (f"oh {ONES[minute]}" if minute < 10 else cardinal(minute))


def dollars(whole: int, cents: int = 0) -> str:
    """`3.50` is "three dollars and fifty cents"."""
    small = f"{cardinal(cents)} cent{'s' if cents != 1 else ''}"
    if whole == 0 and cents:
        return small
    large = f"{cardinal(whole)} dollar{'s' if whole != 1 else ''}"
    return f"{large} and {small}" if cents else large


def telephone(*groups: str) -> str:
    """`555-1234` is "five five five, one two three four"."""
    return ", ".join(digits(it) for it in groups)


def letters(word: str) -> str:
    """`FBI` is "F B I"."""
    return " ".join(word.upper())
