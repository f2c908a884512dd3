//! The forms in which a value is looked for.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// Shorter values are left alone.
pub(super) const SHORTEST: usize = meshkeep_core::secret::SHORTEST_REDACTED;

/// A pattern, wiped when it is dropped.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// All forms of `value` that are long enough, in no order and with repetitions.
pub(super) fn of(value: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    if value.len() < SHORTEST {
        return forms;
    }
    forms.push(copy(value.as_bytes()));
    forms.extend(value.lines().filter(|line| line.len() < value.len()).map(|line| copy(line.as_bytes())));
    forms.extend(base64(value.as_bytes()));
    forms.extend(wrapped_base64(value.as_bytes()));
    forms.extend(url(value));
    forms.extend(json(value));
    forms.extend(shell(value));
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn copy(bytes: &[u8]) -> Form {
    Zeroizing::new(bytes.to_vec())
}

/// Base64 of the value alone, and what is certain of it within the base64 of a longer text: that depends on how many
/// bytes before it do not fill a group of three.
fn base64(value: &[u8]) -> Vec<Form> {
    let mut forms = vec![
        Zeroizing::new(STANDARD.encode(value).into_bytes()),
        Zeroizing::new(STANDARD_NO_PAD.encode(value).into_bytes()),
        Zeroizing::new(URL_SAFE.encode(value).into_bytes()),
        Zeroizing::new(URL_SAFE_NO_PAD.encode(value).into_bytes()),
    ];
    for before in 0..3 {
        let mut shifted = Zeroizing::new(Vec::with_capacity(before + value.len()));
        shifted.resize(before, 0);
        shifted.extend_from_slice(value);
        let certain = (8 * before).div_ceil(6)..8 * shifted.len() / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let whole = Zeroizing::new(engine.encode(&*shifted).into_bytes());
            forms.push(copy(&whole[certain.clone()]));
        }
    }
    forms
}

/// The lines of the value's base64 as `base64` (76 columns) and `openssl` (64) wrap it. Of a longer text in which the
/// value does not come first the lines are others.
fn wrapped_base64(value: &[u8]) -> Vec<Form> {
    let whole = Zeroizing::new(STANDARD_NO_PAD.encode(value).into_bytes());
    // The last digit depends on what follows, mostly a line end.
    let certain = &whole[..8 * value.len() / 6];
    let lines =
        [64, 76].into_iter().filter(|columns| whole.len() > *columns).flat_map(|columns| certain.chunks(columns));
    lines.map(copy).collect()
}

/// Percent-encodings: they differ in what they leave as it is, in the case of digits and in the blank.
fn url(value: &str) -> Vec<Form> {
    const UPPER: &[u8; 16] = b"0123456789ABCDEF";
    const LOWER: &[u8; 16] = b"0123456789abcdef";
    let encode = |kept: &[u8], blank_as_plus: bool, digits: &[u8; 16]| {
        let mut form = Zeroizing::new(Vec::with_capacity(3 * value.len()));
        for &byte in value.as_bytes() {
            match byte {
                b' ' if blank_as_plus => form.push(b'+'),
                _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => form.push(byte),
                _ => form.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
            }
        }
        form
    };
    let mut forms = Vec::new();
    for digits in [UPPER, LOWER] {
        forms.extend([
            encode(b"-._~", false, digits),
            encode(b"-._~/", false, digits),
            encode(b"-._~!*'()", false, digits),
            encode(b"-._*", true, digits),
            encode(b"-._~!$&'()*+,;=:@/?", false, digits),
        ]);
    }
    forms
}

/// JSON strings without their quotation marks: as short as can be, with `/` escaped, with all but ASCII escaped, and
/// with what HTML would read escaped.
fn json(value: &str) -> Vec<Form> {
    let encode = |escaped: &dyn Fn(char) -> bool, slash: bool| {
        let mut form = Zeroizing::new(Vec::with_capacity(6 * value.len()));
        for character in value.chars() {
            let short = match character {
                '"' => b'"',
                '\\' => b'\\',
                '\n' => b'n',
                '\r' => b'r',
                '\t' => b't',
                '\u{8}' => b'b',
                '\u{c}' => b'f',
                '/' if slash => b'/',
                _ if character.is_ascii_control() && character != '\u{7f}' || escaped(character) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        form.extend_from_slice(b"\\u");
                        form.extend([12, 8, 4, 0].map(|shift| b"0123456789abcdef"[usize::from(*unit >> shift & 15)]));
                    }
                    continue;
                }
                _ => {
                    form.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            form.extend([b'\\', short]);
        }
        form
    };
    vec![
        encode(&|_| false, false),
        encode(&|_| false, true),
        encode(&|character| !character.is_ascii(), false),
        encode(&|character| !character.is_ascii(), true),
        encode(&|character| matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'), false),
    ]
}

/// As shells print variables (`set`, `export -p`, `sh -x`): within single or double quotes.
fn shell(value: &str) -> Vec<Form> {
    let replaced = |instead: &dyn Fn(u8, &mut Form)| {
        let mut form = Zeroizing::new(Vec::with_capacity(5 * value.len()));
        value.bytes().for_each(|byte| instead(byte, &mut form));
        form
    };
    let single = |quote: &'static [u8]| {
        replaced(&move |byte, form| match byte {
            b'\'' => form.extend_from_slice(quote),
            _ => form.push(byte),
        })
    };
    let double = replaced(&|byte, form| {
        if matches!(byte, b'"' | b'$' | b'`' | b'\\') {
            form.push(b'\\');
        }
        form.push(byte);
    });
    vec![single(b"'\\''"), single(b"'\"'\"'"), double]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        of(value).iter().any(|found| found.as_slice() == form.as_bytes())
    }

    #[test]
    fn short_values_and_lines_have_none() {
        assert!(of("12345").is_empty());
        assert!(of("").is_empty());
        assert!(has("123456", "123456"));
        assert!(has("a first line\nb\r\nlonger again", "a first line"));
        assert!(has("a first line\nb\r\nlonger again", "longer again"));
        assert!(!has("a first line\nb\r\nlonger again", "b"));
    }

    #[test]
    fn encodings_that_programs_write_are_known() {
        for (value, form) in [
            ("hello?>~é", "aGVsbG8/Pn7DqQ=="),
            ("hello?>~é", "aGVsbG8_Pn7DqQ"),
            ("a b/c+d&e~", "a%20b%2Fc%2Bd%26e~"),
            ("a b/c+d&e~", "a+b%2Fc%2Bd%26e%7E"),
            ("a b/c+d&e~", "a%20b%2fc%2bd%26e~"),
            ("a b/c+d&e~", "a%20b/c%2Bd%26e~"),
            ("tab\tquote\"\n\u{1}", "tab\\tquote\\\"\\n\\u0001"),
            ("https://é😀", "https://\\u00e9\\ud83d\\ude00"),
            ("https://x", "https:\\/\\/x"),
            ("it's $5", r"it'\''s $5"),
            ("it's $5", r#"it'"'"'s $5"#),
            ("say \"$5\"", r#"say \"\$5\""#),
            ("<b>&co;</b>", "\\u003cb\\u003e\\u0026co;\\u003c/b\\u003e"),
        ] {
            assert!(has(value, form), "{form}");
        }
    }

    #[test]
    fn wrapped_base64_is_known_line_by_line() {
        let value: String = (0..200_u8).map(|n| char::from(b'!' + n % 90)).collect();
        let encoded = STANDARD.encode(format!("{value}\n"));
        for columns in [64, 76] {
            for line in encoded.as_bytes().chunks(columns) {
                let found = of(&value).iter().any(|form| line.starts_with(form) && form.len() + 4 >= line.len());
                assert!(found, "{columns}: {}", String::from_utf8_lossy(line));
            }
        }
    }

    #[test]
    fn base64_of_a_longer_text_shows_it_at_each_alignment() {
        let value = "p4ss/w0rd+~ÿ";
        for before in ["", "u", "us", "user:"] {
            for after in ["", "@", "@host"] {
                let text = format!("{before}{value}{after}");
                for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    let longest = of(value)
                        .iter()
                        .filter(|form| encoded.contains(std::str::from_utf8(form).unwrap()))
                        .map(|form| form.len())
                        .max();
                    // Of n bytes at least this many digits depend on nothing else.
                    assert!(longest.unwrap_or(0) >= (8 * value.len() - 4) / 6, "{before} {after}");
                }
            }
        }
    }
}
