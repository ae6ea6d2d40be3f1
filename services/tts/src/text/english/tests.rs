use crate::text::{Dictionary, FrontEnd, Limits};

pub(crate) fn spoken(text: &str, language: &str) -> String {
    let limits = Limits {
        min_chars: 1,
        target_chars: 1000,
        max_chars: 1000,
        max_text_chars: 100_000,
    };
    let sentences = FrontEnd::new(limits, Dictionary::default()).sentences(text, language);
    let spoken: Vec<_> = sentences
        .unwrap_or_else(|it| panic!("{text:?}: {it}"))
        .into_iter()
        .map(|it| it.spoken)
        .collect();
    spoken.join(" | ")
}

/// Each line is `input → spoken`; sentences are divided by ` | `. What is spoken is read again, and stays as it is.
fn check(table: &str) {
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (input, expected) = line.split_once('→').unwrap_or_else(|| panic!("{line}"));
        let (input, expected) = (input.trim(), expected.trim());
        let given = spoken(input, "en");
        if given != expected {
            wrong.push(format!(
                "{input}\n  expected {expected}\n  given    {given}"
            ));
            continue;
        }
        let again = spoken(&given.replace(" | ", "\n\n"), "en");
        if again != given {
            wrong.push(format!(
                "{input}, read twice\n  expected {given}\n  given    {again}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn numbers() {
    check(
        "0 → zero
        7 apples → seven apples
        13 → thirteen
        21 → twenty-one
        100 → one hundred
        342 → three hundred forty-two
        1000 → one thousand
        1,234 → one thousand two hundred thirty-four
        12,345,678 → twelve million three hundred forty-five thousand six hundred seventy-eight
        1000000 → one million
        999,999,999,999,999,999 → nine hundred ninety-nine quadrillion nine hundred ninety-nine trillion nine hundred ninety-nine billion nine hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine
        1000000000000000000 → one zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero
        007 → zero zero seven
        3.14 → three point one four
        .5 → zero point five
        0.05 → zero point zero five
        1,234.5 → one thousand two hundred thirty-four point five
        -5 → minus five
        −12.5 → minus twelve point five
        １２３ → one hundred twenty-three
        ٣ → three
        We are 42. → We are forty-two.
        It is 3. Then 4. → It is three. | Then four.
        (5) → (five)
        \"42\" → \"forty-two\"
        1\u{202f}000\u{a0}000 people → one million people
        ~50 people → about fifty people
        ±3 → plus or minus three
        +7 → plus seven
        18+ → eighteen plus
        2 million → two million
        2.5 million people → two point five million people
        3 hundred → three hundred
        1,23 → one twenty-three
        12,3456 → twelve three thousand four hundred fifty-six
        1,2 and 3 → one two and three",
    );
}

#[test]
fn ordinals_fractions_ranges() {
    check(
        "1st → first
        2nd → second
        3rd → third
        11th hour → eleventh hour
        21st → twenty-first
        100th → one hundredth
        the 1,000th → the one thousandth
        20th → twentieth
        32nd → thirty-second
        1/2 → one half
        3/4 cup → three quarters cup
        2/3 → two thirds
        5/8 → five eighths
        7/25 → seven over twenty-five
        ½ → one half
        2½ → two and one half
        2 1/2 → two and one half
        ¾ → three quarters
        1 ½ cups → one and one half cups
        3-5 → three to five
        10–20 → ten to twenty
        1990–1995 → nineteen ninety to nineteen ninety-five
        1990-95 → nineteen ninety to ninety-five
        10-20% → ten to twenty percent
        10%–20% → ten percent to twenty percent
        5-10 km → five to ten kilometers
        2-3 million → two to three million
        5–7kg → five to seven kilograms
        50% → fifty percent
        1% → one percent
        12.5 % of → twelve point five percent of
        -3% → minus three percent
        16:9 → sixteen to nine",
    );
}

#[test]
fn money() {
    check(
        "$5 → five dollars
        $1 → one dollar
        $1.00 → one dollar
        $3.50 → three dollars and fifty cents
        $0.99 → ninety-nine cents
        $0.01 → one cent
        $1,234.56 → one thousand two hundred thirty-four dollars and fifty-six cents
        -$5 → minus five dollars
        £3.50 → three pounds and fifty pence
        £1.01 → one pound and one penny
        €20 → twenty euros
        €1 → one euro
        ¥500 → five hundred yen
        ₹100 → one hundred rupees
        $1.5 million → one point five million dollars
        $1.5M → one point five million dollars
        $20k → twenty thousand dollars
        $3bn → three billion dollars
        £2 billion deal → two billion pounds deal
        $5-10 → five to ten dollars
        $5–$10 → five to ten dollars
        $1-2 million → one to two million dollars
        $20/month → twenty dollars per month
        US$5 → five U S dollars
        A$7 → seven Australian dollars
        5€ → five euros
        5 € → five euros
        99¢ → ninety-nine cents
        100 USD → one hundred U S dollars
        It cost $5. Then $6! → It cost five dollars. | Then six dollars!
        $1.234 → one point two three four dollars",
    );
}

#[test]
fn dates_and_times() {
    check(
        "2024-03-03 → March third, twenty twenty-four
        2024-03-03T10:30:00Z → March third, twenty twenty-four, ten thirty and zero seconds
        3/14/2024 → March fourteenth, twenty twenty-four
        12/25/99 → December twenty-fifth, ninety-nine
        25/12/2023 → December twenty-fifth, twenty twenty-three
        March 3rd, 2024 → March third, twenty twenty-four
        March 3, 2024 → March third, twenty twenty-four
        March 3 → March third
        on July 4th we → on July fourth we
        Mar. 3 was → March third was
        Jan. 15, 2020 → January fifteenth, twenty twenty
        Sept. 9 → September ninth
        In Dec. it snowed → In December it snowed
        3 March 2024 → the third of March, twenty twenty-four
        the 5th May → the fifth of May
        May I go → May I go
        May 5 → May fifth
        March 2024 → March twenty twenty-four
        in 1984 → in nineteen eighty-four
        1984 → nineteen eighty-four
        in 1066 → in ten sixty-six
        1066 men → one thousand sixty-six men
        since 1905 → since nineteen oh five
        in 1909 → in nineteen oh nine
        March 45 → March forty-five
        in 1900 → in nineteen hundred
        in 2000 → in two thousand
        2005 → two thousand five
        2019 → twenty nineteen
        the 1980s → the nineteen eighties
        the 80s → the eighties
        '90s → 'nineties
        the 1900s → the nineteen hundreds
        14:30 → fourteen thirty
        2:05 → two oh five
        2:00 → two o'clock
        14:00 → fourteen hundred
        00:00 → midnight
        0:15 → zero fifteen
        2:30pm → two thirty P M
        2:30 PM → two thirty P M
        2pm → two P M
        9 am → nine A M
        at 5 p.m. he left → at five P M he left
        at 5 p.m. He left → at five P M. | He left
        at 5 p.m. → at five P M.
        10:00 a.m. → ten A M.
        10:30:15 → ten thirty and fifteen seconds
        9/11 → nine eleven
        24/7 → twenty-four seven
        May 2, 2024 → May second, twenty twenty-four",
    );
}

#[test]
fn phones_versions_addresses() {
    check(
        "555-123-4567 → five five five, one two three, four five six seven
        (555) 123-4567 → five five five, one two three, four five six seven
        555-1234 → five five five, one two three four
        1-800-555-1234 → one, eight zero zero, five five five, one two three four
        +1-555-123-4567 → plus one, five five five, one two three, four five six seven
        +44 20 7946 0958 → plus four four, two zero, seven nine four six, zero nine five eight
        call +1 (555) 123-4567 now → call plus one, five five five, one two three, four five six seven now
        call 911 → call nine one one
        1.2.3 → one point two point three
        v2.0 → version two point zero
        v1.10.3 → version one point ten point three
        192.168.1.1 → one nine two dot one six eight dot one dot one
        https://example.com/foo-bar → example dot com slash foo dash bar
        https://example.com/ → example dot com
        www.example.org → W W W dot example dot org
        visit example.co.uk today → visit example dot C O dot U K today
        openai.com. Next → openai dot com. | Next
        me@example.com → me at example dot com
        john.doe_1@mail.example.io → john dot doe underscore one at mail dot example dot I O
        http://10.0.0.1:8080/a?b=c → ten dot zero dot zero dot one colon eight thousand eighty slash a question mark b equals c
        [the docs](https://docs.rs/x?y=1) say → the docs say
        node.js → node dot js
        mailto:a.b@c.com → a dot b at c dot com",
    );
}

#[test]
fn units_and_signs() {
    check(
        "5km → five kilometers
        1 km → one kilometer
        5 km. Then → five kilometers. | Then
        2.5 kg → two point five kilograms
        20°C → twenty degrees Celsius
        20 °C → twenty degrees Celsius
        98.6°F → ninety-eight point six degrees Fahrenheit
        90° → ninety degrees
        -5°C → minus five degrees Celsius
        60 mph → sixty miles per hour
        100 km/h → one hundred kilometers per hour
        16GB → sixteen gigabytes
        1 TB → one terabyte
        10 ms → ten milliseconds
        5s → five seconds
        3.2 GHz → three point two gigahertz
        100 m² → one hundred square meters
        6 ft. tall → six feet tall
        6ft → six feet
        10 lbs → ten pounds
        5 in the → five in the
        3x faster → three times faster
        500 kWh → five hundred kilowatt hours
        -70 dB → minus seventy decibels
        10k → ten thousand
        R&D → R and D
        AT&T → A T and T
        you & me → you and me
        3 + 4 = 7 → three plus four equals seven
        3+4=7 → three plus four equals seven
        5 < 6 → five less than six
        2*3 → two times three
        3 × 4 → three times four
        #5 → number five
        #hashtag → hashtag hashtag
        @home → at home
        and/or → and slash or
        C++ and C# → C plus plus and C sharp
        50 % → fifty percent
        snake_case → snake case
        ∞ war → infinity war
        x² → x squared",
    );
}

#[test]
fn abbreviations() {
    check(
        "Dr. Smith → Doctor Smith
        Dr Smith → Doctor Smith
        Mulholland Dr. is → Mulholland Drive is
        Mr. and Mrs. Jones → Mister and Missus Jones
        Prof. Xavier → Professor Xavier
        St. Paul → Saint Paul
        on Main St. today → on Main Street today
        on Main St. The car → on Main Street. | The car
        e.g. this → for example this
        i.e. that → that is that
        cats, dogs, etc. are → cats, dogs, et cetera are
        cats, etc. The end → cats, et cetera. | The end
        Batman vs. Superman → Batman versus Superman
        No. 5 → Number five
        No. I will not. → No. | I will not.
        I said no. → I said no.
        Fig. 3 → Figure three
        pp. 10-12 → pages ten to twelve
        Acme Inc. was → Acme Incorporated was
        J. R. R. Tolkien → J. R. R. Tolkien
        George W. Bush → George W. Bush
        the U.S. army → the U S army
        in the U.S. He → in the U S. | He
        44 B.C. was → forty-four B C was
        a Ph.D. in → a P H D in
        Martin Luther King Jr. spoke → Martin Luther King Junior spoke
        w/ sugar, w/o milk → with sugar, without milk
        approx. 5 → approximately five
        Mt. Everest → Mount Everest
        et al. found → et al found
        Mon. and Fri. are → Monday and Friday are
        vitamin C. The → vitamin C. | The",
    );
}

#[test]
fn capitals_and_numerals() {
    check(
        "NASA → Nasa
        the FBI and CIA → the F B I and C I A
        WARNING: HOT → Warning: Hot
        CPUs → C P U's
        the US economy → the U S economy
        LEAVE US ALONE → Leave Us Alone
        IT IS GOOD → It Is Good
        HTML and XML → H T M L and X M L
        OK → OK
        UNESCO → Unesco
        A I → A I
        Henry VIII → Henry the eighth
        Louis XIV's palace → Louis the fourteenth's palace
        Chapter IV → Chapter four
        World War II → World War two
        Part I → Part one
        Elizabeth I, queen → Elizabeth the first, queen
        James I think → James I think
        Rocky III → Rocky three
        I am → I am
        MIX → Mix
        iPhone → iPhone
        COVID-19 → Covid nineteen
        mp3 → M P three
        A4 paper → A four paper
        3D → three D
        5G → five G
        R2D2 → R two D two
        B2B → B two B
        F-16 → F sixteen
        GPT-4o → G P T four o
        state-of-the-art → state-of-the-art
        X-ray → X-ray
        non-EU → non E U",
    );
}
