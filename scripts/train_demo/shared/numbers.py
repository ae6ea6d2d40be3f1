"""Numbers in English words."""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth"
).split()


def cardinal(n: int) -> str:
    """25 → twenty five, up to 999,999. Without hyphens and without `and`, as most Americans say it."""
    if not 0 <= n < 1_000_000:
        raise ValueError(f"no words for {n}")
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")
    unit, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    return f"{cardinal(n // unit)} {name}" + (f" {cardinal(n % unit)}" if n % unit else "")


def ordinal(n: int) -> str:
    """25 → twenty fifth, up to 99."""
    if not 0 <= n < 100:
        raise ValueError(f"no words for the place {n}")
    if n < 20:
        return ORDINALS[n]
    if n % 10:
        return f"{TENS[n // 10]} {ORDINALS[n % 10]}"
    return TENS[n // 10].removesuffix("y") + "ieth"


def ordinal_suffix(n: int) -> str:
    """The letters behind the digits: 1st, 2nd, 3rd, 11th."""
    return "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def year(n: int) -> str:
    """1984 → nineteen eighty four, 2005 → two thousand five, 1906 → nineteen oh six."""
    if not 1000 <= n < 2100:
        raise ValueError(f"no words for the year {n}")
    century, rest = divmod(n, 100)
    if rest == 0:
        return cardinal(n) if century % 10 == 0 else f"{cardinal(century)} hundred"
    if century == 20 and rest < 10:
        return cardinal(n)
    return f"{cardinal(century)} " + (f"oh {ONES[rest]}" if rest < 10 else cardinal(rest))


def digits(text: str) -> str:
    """4072 → four zero seven two."""
    return " ".join(ONES[int(digit)] for digit in text)
