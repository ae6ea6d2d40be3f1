use super::cardinal;
use crate::text::language::Language;

/// Each line is `language number words`.
const CARDINALS: &str = "
        de 0 null
        de 1 eins
        de 16 sechzehn
        de 21 einundzwanzig
        de 101 einhunderteins
        de 1984 eintausendneunhundertvierundachtzig
        de 21000 einundzwanzigtausend
        de 1000001 eine Million eins
        de 2345678 zwei Millionen dreihundertfünfundvierzigtausendsechshundertachtundsiebzig
        de 7000000000 sieben Milliarden
        nl 1 een
        nl 22 tweeëntwintig
        nl 25 vijfentwintig
        nl 108 honderdacht
        nl 1000 duizend
        nl 2345 tweeduizend driehonderdvijfenveertig
        nl 1000000 een miljoen
        da 21 enogtyve
        da 50 halvtreds
        da 99 nioghalvfems
        da 105 et hundrede og fem
        da 1005 et tusind og fem
        da 2345 to tusind tre hundrede og femogfyrre
        da 2000000 to millioner
        sv 21 tjugoett
        sv 118 ett hundra arton
        sv 1000 ett tusen
        sv 3456 tre tusen fyra hundra femtiosex
        sv 1000000 en miljon
        no 21 tjueen
        no 105 ett hundre og fem
        no 2012 to tusen og tolv
        no 3000000 tre millioner
        fr 17 dix-sept
        fr 21 vingt et un
        fr 71 soixante et onze
        fr 77 soixante-dix-sept
        fr 80 quatre-vingts
        fr 81 quatre-vingt-un
        fr 91 quatre-vingt-onze
        fr 99 quatre-vingt-dix-neuf
        fr 200 deux cents
        fr 201 deux cent un
        fr 1000 mille
        fr 1984 mille neuf cent quatre-vingt-quatre
        fr 80000 quatre-vingt mille
        fr 200000000 deux cents millions
        fr 1000000 un million
        es 16 dieciséis
        es 21 veintiuno
        es 31 treinta y uno
        es 100 cien
        es 101 ciento uno
        es 500 quinientos
        es 1000 mil
        es 21000 veintiún mil
        es 1000000 un millón
        es 2000000000 dos mil millones
        es 1000000000000 un billón
        es 1234567 un millón doscientos treinta y cuatro mil quinientos sesenta y siete
        pt 16 dezesseis
        pt 21 vinte e um
        pt 100 cem
        pt 101 cento e um
        pt 1001 mil e um
        pt 1200 mil e duzentos
        pt 1234 mil duzentos e trinta e quatro
        pt 2000000 dois milhões
        it 21 ventuno
        it 28 ventotto
        it 33 trentatré
        it 100 cento
        it 1000 mille
        it 2000 duemila
        it 1984 millenovecentoottantaquattro
        it 23000 ventitremila
        it 1000000 un milione
        ru 0 ноль
        ru 11 одиннадцать
        ru 21 двадцать один
        ru 1000 тысяча
        ru 2000 две тысячи
        ru 5000 пять тысяч
        ru 21000 двадцать одна тысяча
        ru 12000 двенадцать тысяч
        ru 1984 тысяча девятьсот восемьдесят четыре
        ru 2000000 два миллиона
        ru 1000000000 миллиард
        pl 11 jedenaście
        pl 22 dwadzieścia dwa
        pl 1000 tysiąc
        pl 2000 dwa tysiące
        pl 5000 pięć tysięcy
        pl 12000 dwanaście tysięcy
        pl 21000 dwadzieścia jeden tysięcy
        pl 22000 dwadzieścia dwa tysiące
        pl 1000000 milion
        el 1 ένα
        el 13 δεκατρία
        el 100 εκατό
        el 121 εκατόν είκοσι ένα
        el 1000 χίλια
        el 2000 δύο χιλιάδες
        el 3000 τρεις χιλιάδες
        el 200000 διακόσιες χιλιάδες
        el 1984 χίλια εννιακόσια ογδόντα τέσσερα
        el 2000000 δύο εκατομμύρια
        fi 11 yksitoista
        fi 21 kaksikymmentäyksi
        fi 100 sata
        fi 1000 tuhat
        fi 2345 kaksituhatta kolmesataaneljäkymmentäviisi
        fi 1000000 miljoona
        fi 2000000 kaksi miljoonaa
        tr 0 sıfır
        tr 21 yirmi bir
        tr 100 yüz
        tr 1000 bin
        tr 1984 bin dokuz yüz seksen dört
        tr 1000000 bir milyon
        ms 11 sebelas
        ms 15 lima belas
        ms 108 seratus lapan
        ms 1000 seribu
        ms 2345 dua ribu tiga ratus empat puluh lima
        sw 11 kumi na moja
        sw 25 ishirini na tano
        sw 105 mia moja na tano
        sw 125 mia moja ishirini na tano
        sw 1000 elfu moja
        sw 2345 elfu mbili mia tatu arobaini na tano
        zh 0 零
        zh 10 十
        zh 12 十二
        zh 20 二十
        zh 101 一百零一
        zh 110 一百一十
        zh 1001 一千零一
        zh 2000 两千
        zh 10000 一万
        zh 20000 两万
        zh 12345 一万二千三百四十五
        zh 100010 十万零一十
        zh 10001000 一千万一千
        zh 100000001 一亿零一
        zh 1000000000000 一万亿
        ja 0 ぜろ
        ja 14 じゅうよん
        ja 300 さんびゃく
        ja 600 ろっぴゃく
        ja 3800 さんぜんはっぴゃく
        ja 10000 いちまん
        ja 2024 にせんにじゅうよん
        ja 100000000 いちおく
        ja 1000000000000 いっちょう
        ko 0 영
        ko 11 십일
        ko 100 백
        ko 2024 이천이십사
        ko 10000 만
        ko 12345 만 이천삼백사십오
        ko 100000000 일억
        hi 21 इक्कीस
        hi 100 एक सौ
        hi 2024 दो हज़ार चौबीस
        hi 100000 एक लाख
        hi 12345678 एक करोड़ तेईस लाख पैंतालीस हज़ार छह सौ अठहत्तर
        ar 0 صفر
        ar 11 أحد عشر
        ar 21 واحد وعشرون
        ar 105 مئة وخمسة
        ar 2000 ألفان
        ar 3000 ثلاثة آلاف
        ar 11000 أحد عشر ألف
        ar 1984 ألف وتسعمئة وأربعة وثمانون
        he 11 אחת עשרה
        he 21 עשרים ואחת
        he 105 מאה וחמש
        he 2000 אלפיים
        he 3000 שלושת אלפים
        he 12000 שנים עשר אלף
        he 1984 אלף תשע מאות שמונים וארבע
        en 1984 one thousand nine hundred eighty-four";

#[test]
fn cardinals() {
    let mut wrong = Vec::new();
    for line in CARDINALS.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let mut parts = line.splitn(3, ' ');
        let (language, n, words) = (
            parts.next().unwrap(),
            parts.next().unwrap().parse().unwrap(),
            parts.next().unwrap(),
        );
        let given = cardinal(Language::of(language), n).unwrap();
        if given != words {
            wrong.push(format!("{language} {n}: expected {words}, given {given}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Every number has words of its own, and words only.
#[test]
fn no_two_numbers_sound_alike() {
    for code in [
        "ar", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "it", "ja", "ko", "ms", "nl",
        "no", "pl", "pt", "ru", "sv", "tr", "zh",
    ] {
        let language = Language::of(code);
        let samples = (0..3000)
            .chain((3000..1_000_000).step_by(997))
            .chain((0..17).map(|it| 10_u64.pow(it) * 3))
            .chain((0..17).map(|it| 10_u64.pow(it) + 1_000_000));
        let mut seen = std::collections::HashMap::new();
        for n in samples {
            let Some(words) = cardinal(language, n) else {
                continue;
            };
            assert!(
                !words.is_empty()
                    && words.trim() == words
                    && !words.contains("  ")
                    && !words.contains(|it: char| it.is_ascii_digit()),
                "{code} {n}: {words:?}"
            );
            if let Some(other) = seen.insert(words.clone(), n) {
                assert_eq!(other, n, "{code}: {words}");
            }
        }
    }
}

/// Each line is `language | input → spoken`.
#[test]
fn other_languages_in_sentences() {
    let table = "
        de | Es sind 21 Grad. → Es sind einundzwanzig Grad.
        de | 1.234,5 km → eintausendzweihundertvierunddreißig Komma fünf km
        de | -5 und 50% → minus fünf und fünfzig Prozent
        de | um 14:30 Uhr → um vierzehn dreißig Uhr
        de | Haus & Hof → Haus und Hof
        de | A4-Papier → A vier Papier
        fr | Il y a 1\u{202f}000 pages ! → Il y a mille pages!
        fr | 3,14 → trois virgule un quatre
        es | ¿Son 21? → ¿Son veintiuno?
        it | 007 → zero zero sette
        pt | 10% → dez por cento
        ru | 1000000000000000000 → один ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль ноль
        ru | 284 дня → двести восемьдесят четыре дня
        tr | 5% → yüzde beş
        sw | 2000000 → mbili sifuri sifuri sifuri sifuri sifuri sifuri
        zh | 我有3个苹果。 → 我有三个苹果。
        zh | 2024年3月5日 → 二零二四年三月五日
        zh | 50% → 百分之五十
        ja | 3じです。 → さんじです。
        ja | 100% → ひゃくパーセント
        ko | 2024년 3월 → 이천이십사 년 삼 월
        hi | मेरे पास २१ आम हैं। → मेरे पास इक्कीस आम हैं।
        ar | عندي ٣ كتب؟ → عندي ثلاثة كتب؟
        he | יש לי 21 → יש לי עשרים ואחת
        xx | there are 21 → there are 21
        pl | ok. 12 tys → ok. dwanaście tys
        de | 10.10.2010 → zehn zehn zweitausendzehn
        de | Ich sah Dr. Müller, z.B. gestern. Heute nicht. → Ich sah Dr. Müller, z.B. gestern. | Heute nicht.
        de | am 3. Oktober und am 24. Dezember → am dritten Oktober und am vierundzwanzigsten Dezember
        de | Es waren 3. Heute 4. → Es waren drei. | Heute vier.
        da | den 3. marts → den tre marts
        fr | M. Dupont est là. Bien. → M. Dupont est là. | Bien.
        es | El Sr. García vino. Sí. → El Sr. García vino. | Sí.
        ru | Это т.е. вот. Да. → Это т.е. вот. | Да.
        pl | np. tak. Nie. → np. tak. | Nie.
        nl | 1.000.000 → een miljoen";
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (language, rest) = line.split_once(" | ").unwrap();
        let (input, expected) = rest.split_once(" → ").unwrap();
        let given = crate::text::english::tests::spoken(input, language);
        if given != expected {
            wrong.push(format!(
                "{language} {input}\n  expected {expected}\n  given    {given}"
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
