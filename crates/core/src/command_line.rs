//! A manifest's `command`: one line, split into words as a POSIX shell splits them, without any expansion.

/// Why a line cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// Nothing to run.
    #[error("is empty")]
    Empty,
    /// A quote without its end, or a backslash at the end.
    #[error("has a quote that is not closed, or ends in a backslash")]
    Unclosed,
    /// A NUL byte.
    #[error("holds a NUL byte")]
    Nul,
}

/// Splits `line`: single quotes are literal; double quotes know `\\`, `\"`, `\$` and `` \` ``; a backslash outside
/// quotes takes the next character literally. Nothing is expanded.
///
/// # Errors
/// See [`CommandLineError`].
pub fn split(line: &str) -> Result<Vec<String>, CommandLineError> {
    if line.contains('\0') {
        return Err(CommandLineError::Nul);
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(CommandLineError::Unclosed)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(CommandLineError::Unclosed)?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(CommandLineError::Empty) } else { Ok(words) }
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandLineError> {
    loop {
        match chars.next().ok_or(CommandLineError::Unclosed)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(CommandLineError::Unclosed)? {
                c @ ('\\' | '"' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_like_a_shell_without_expansion() {
        let split = |line: &str| split(line).unwrap();
        assert_eq!(split("python -m  app"), ["python", "-m", "app"]);
        assert_eq!(split(r#"sh -c 'echo "$A" > /x'"#), ["sh", "-c", r#"echo "$A" > /x"#]);
        assert_eq!(split(r#"a "b \" \$ \n" c\ d '' e"f"g"#), ["a", r#"b " $ \n"#, "c d", "", "efg"]);
        assert_eq!(split("echo $HOME *"), ["echo", "$HOME", "*"]);
    }

    #[test]
    fn refuses_what_is_not_closed() {
        assert_eq!(split("  "), Err(CommandLineError::Empty));
        for line in ["a 'b", "a \"b", "a \\", "a \"b\\"] {
            assert_eq!(split(line), Err(CommandLineError::Unclosed), "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoting_round_trips(words in proptest::collection::vec("[^\0]{0,12}", 1..5)) {
            let line = words.iter().map(|w| format!("'{}'", w.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap(), words);
        }
    }
}
