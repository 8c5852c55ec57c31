//! What names and addresses are searched by: words without regard to case, accents and order.
//!
//! A key is made of a text once, when it is stored, and of what is searched when it is searched. Both go through the same
//! folding, so that no database has to know letters.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// Greatest length of a key in characters: in UTF-8 it fits into an entry of any index. What comes after is not searched.
const MAX_KEY: usize = 600;
/// Greatest length of a word in characters. As searches are by beginnings, both sides may be cut alike.
const MAX_WORD: usize = 255;
/// Greatest length of a word in bytes: PostgreSQL stores longer ones than 2,046, mark included, and refuses to search for them.
const MAX_WORD_BYTES: usize = 1_000;
/// Greatest length of a part of a word that is kept besides the whole word, in characters.
const MAX_PART: usize = 64;

/// Makes the key of texts: their words in order, then the parts of words that a search may begin with.
///
/// The words are separated by single blanks, so that keys sort as the texts do, without regard to case and accents.
#[must_use]
pub fn search_key(texts: &[&str]) -> String {
    let words: Vec<Vec<char>> = texts.iter().flat_map(|text| folded_words(text)).collect();
    let parts = words.iter().flat_map(|word| parts(word));
    let mut key = String::new();
    let mut length = 0;
    let mut seen = std::collections::HashSet::new();
    for word in words.iter().map(|word| plain(word)).chain(parts) {
        let added = word.chars().count() + 1;
        if word.is_empty() || !seen.insert(word.clone()) {
            continue;
        }
        if length + added > MAX_KEY {
            break;
        }
        if length > 0 {
            key.push(' ');
        }
        key.push_str(&word);
        length += added;
    }
    key
}

/// Makes the words that are searched of a text, each once. All of them have to begin a word of a key.
#[must_use]
pub fn searched_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in folded_words(text).iter().map(|word| plain(word)) {
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Words of a text, folded. Apostrophes are still in them.
fn folded_words(text: &str) -> Vec<Vec<char>> {
    let folded: String = text
        .chars()
        .map(unified)
        .nfkd()
        .filter(|c| !is_left_out(*c))
        .default_case_fold()
        .flat_map(|c| base(c).chars().chain(base(c).is_empty().then_some(c)))
        .nfc()
        .take(MAX_KEY)
        .collect();
    folded
        .split(|c: char| c.is_whitespace() || c.is_control() || SEPARATORS.contains(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().collect())
        .collect()
}

/// Punctuation between words, as in `Wright, Peter`.
const SEPARATORS: &str = ",;\"“”„«»";
/// What apostrophes are turned into. Whoever writes `O'Brien` and whoever writes `OBrien` mean the same.
const APOSTROPHE: char = '\'';

/// Makes one character of those that people take for the same.
fn unified(c: char) -> char {
    match c {
        '`' | '´' | '‘' | '’' | '‛' | 'ʹ' | 'ʻ' | 'ʼ' | 'ʽ' | 'ʾ' | 'ʿ' | '′' => {
            APOSTROPHE
        }
        '‐'..='―' | '−' => '-',
        _ => c,
    }
}

/// The letters that a letter stands for which Unicode does not take apart; empty when it stands for itself.
const fn base(c: char) -> &'static str {
    match c {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ŋ' => "n",
        'ŧ' => "t",
        'ĸ' => "k",
        'ƒ' => "f",
        'ɨ' => "i",
        'ʉ' => "u",
        'ɓ' => "b",
        'ɗ' => "d",
        'ƙ' => "k",
        'ƴ' => "y",
        'ɛ' => "e",
        'ɔ' => "o",
        _ => "",
    }
}

/// Accents of letters, and marks without a width. The signs of scripts whose vowels are marks stay.
const fn is_left_out(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0487}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20F0}' | '\u{FE20}'..='\u{FE2F}'
        // Points of Hebrew, and signs and the stretching line of Arabic.
        | '\u{0591}'..='\u{05BD}' | '\u{05BF}' | '\u{05C1}' | '\u{05C2}' | '\u{05C4}' | '\u{05C5}' | '\u{05C7}'
        | '\u{0610}'..='\u{061A}' | '\u{0640}' | '\u{064B}'..='\u{065F}' | '\u{0670}'
        // Without a width.
        | '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// Whether a character is of a script that is written without blanks, so that a search may begin at each.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

/// A word as it is stored and searched: without apostrophes, and not too long.
fn plain(word: &[char]) -> String {
    let mut plain = String::new();
    for c in word.iter().filter(|c| **c != APOSTROPHE).take(MAX_WORD) {
        if plain.len() + c.len_utf8() > MAX_WORD_BYTES {
            break;
        }
        plain.push(*c);
    }
    plain
}

/// Rests of a word that a search may begin with: `wright@contoso.com`, `@contoso.com`, `contoso.com` of an address,
/// `brien` of `o'brien`, `marie` of `anne-marie`.
fn parts(word: &[char]) -> Vec<String> {
    let host = word.iter().position(|c| *c == '@').unwrap_or(word.len());
    let begins = |at: usize| {
        let (before, c) = (word[at - 1], word[at]);
        // Of a host only the whole: its last part, as `com`, is in everybody's address.
        let is_in_host = at > host + 1;
        let is_after_mark = c.is_alphanumeric() && !before.is_alphanumeric() && !is_mark(before);
        c == '@' || is_unspaced(c) || is_after_mark && !is_in_host
    };
    let starts = (1..word.len()).filter(|at| begins(*at));
    starts
        .map(|at| plain(&word[at..]).chars().take(MAX_PART).collect())
        .collect()
}

fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(searched: &str, texts: &[&str]) -> bool {
        let key = search_key(texts);
        let begins = |word: &String| {
            key.split(' ')
                .any(|stored| stored.starts_with(word.as_str()))
        };
        let words = searched_words(searched);
        assert!(!words.is_empty(), "{searched}");
        words.iter().all(begins)
    }

    #[test]
    fn a_key_has_the_words_in_order_and_then_the_parts_of_words() {
        assert_eq!(
            search_key(&["Peter Wright", "P.Wright@Contoso.com"]),
            "peter wright p.wright@contoso.com wright@contoso.com @contoso.com contoso.com"
        );
        assert_eq!(
            search_key(&["Anne-Marie  O'Brien"]),
            "anne-marie obrien marie brien"
        );
        assert_eq!(search_key(&["", " \u{200b}"]), "");
    }

    #[test]
    fn names_are_found_in_any_order_case_and_spelling_of_accents() {
        for (searched, name) in [
            ("Peter Wright", "Peter Wright"),
            ("wright peter", "Peter Wright"),
            ("Wright, Peter", "Peter Wright"),
            ("pet WRI", "Peter Wright"),
            ("Özgür", "Özgür Ünal"),
            ("ozgur unal", "Özgür Ünal"),
            ("O\u{308}zgu\u{308}r", "Özgür Ünal"),
            ("Νίκος", "Νίκος Παπάς"),
            ("νικοσ παπας", "ΝΊΚΟΣ Παπάς"),
            ("фёдор", "ФЕДОР Йод"),
            ("soren aero", "Søren Ærø"),
            ("Lukasz", "Łukasz"),
            ("strasse", "Straße"),
            ("STRAẞE", "strasse"),
            ("dorde", "Đorđe"),
            ("isil", "Işıl"),
            ("ISTANBUL", "İstanbul"),
            ("ｐｅｔｅｒ", "Peter"),
            ("obrien", "O’Brien"),
            ("o'brien", "OBrien"),
            ("brien", "O'Brien"),
            ("marie", "Anne\u{2010}Marie"),
            ("太郎", "山田太郎"),
            ("محمد", "مُحَمَّد"),
            ("שלום", "שָׁלוֹם"),
            ("हिंदी", "हिंदी"),
            ("(sal", "Team (Sales)"),
            ("sales", "Team (Sales)"),
            ("100%", "Old 100% team"),
        ] {
            assert!(
                finds(searched, &[name]),
                "{searched} in {name}: {}",
                search_key(&[name])
            );
        }
    }

    #[test]
    fn what_does_not_begin_a_word_is_not_found() {
        for (searched, name) in [
            ("ann", "Johanna"),
            ("peter white", "Peter Wright"),
            ("100%", "1000 things"),
            ("a_b", "axb"),
            ("कि", "की"),
        ] {
            assert!(!finds(searched, &[name]), "{searched} in {name}");
        }
    }

    #[test]
    fn addresses_are_found_by_their_parts() {
        let address = "peter.wright@north.contoso.com";
        for searched in [
            "peter.w",
            "wright@north",
            "@north.con",
            "north.contoso",
            "Peter.Wright@North.Contoso.com",
        ] {
            assert!(finds(searched, &[address]), "{searched}");
        }
        assert!(!finds("com", &[address]), "the last part is everybody's");
    }

    #[test]
    fn keys_and_searches_of_long_texts_are_short() {
        let long = "山".repeat(100_000);
        assert!(search_key(&[&long]).chars().count() <= MAX_KEY);
        let words = "ﷺ ".repeat(10_000);
        assert!(search_key(&[&words]).chars().count() <= MAX_KEY);
        assert!(searched_words(&words).len() <= MAX_KEY);
    }

    #[test]
    fn long_words_are_cut_alike_in_keys_and_in_searches() {
        // Of one, two, three and four bytes, and of a script in which a search may begin anywhere.
        for letter in ["a", "\u{436}", "\u{16A0}", "\u{10348}", "\u{20000}"] {
            let long = letter.repeat(700);
            let key = search_key(&[&long]);
            let words = searched_words(&long);
            for word in key.split(' ').chain(words.iter().map(String::as_str)) {
                assert!(word.chars().count() <= 255, "{letter}");
                assert!(word.len() <= 1_000, "{letter}");
            }
            assert!(finds(&long, &[&long]), "{letter}");
            assert!(finds(&letter.repeat(300), &[&long]), "{letter}");
            assert!(finds(&long, &["Ann", &long]), "{letter}");
        }
        let long = "a".repeat(300);
        assert!(finds(&format!("o{long}"), &[&format!("o'{long}")]));
        assert!(finds(&format!("o'{long}"), &[&format!("o{long}")]));
    }

    #[test]
    fn keys_sort_by_name() {
        let mut names = ["Özil A", "Oz B", "Ann Lee", "Anna", "ann lee b"];
        names.sort_by_key(|name| search_key(&[name]));
        assert_eq!(names, ["Ann Lee", "ann lee b", "Anna", "Oz B", "Özil A"]);
    }

    #[test]
    fn no_text_can_break_out_of_its_word() {
        let odd = "a\u{0}b\n%_\\' ''\"'";
        assert_eq!(searched_words(odd), ["a", "b", "%_\\"]);
        assert!(search_key(&[odd]).chars().all(|c| !c.is_control()));
    }
}
