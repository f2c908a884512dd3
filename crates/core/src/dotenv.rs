//! `.env` text, read by a stated grammar. Values are never interpolated: `$` is a dollar sign.
//!
//! ```text
//! file     = [BOM] *( line EOL )            ; EOL is LF or CRLF
//! line     = blank / comment / entry
//! comment  = *WS "#" *any
//! entry    = *WS ["export" 1*WS] NAME *WS "=" *WS value *WS [1*WS comment]
//! NAME     = [A-Za-z_][A-Za-z0-9_]*
//! value    = single / double / plain
//! single   = "'" *(any but "'") "'"         ; literal, may span lines
//! double   = '"' *(any but '"' and "\" / escape) '"'   ; may span lines
//! escape   = "\" ( "n" / "r" / "t" / "\" / '"' / "$" / "'" )
//! plain    = *any                           ; to the line's end or to WS "#"; blanks at its end are not part of it
//! ```
//! Line ends inside quotes are kept as they are. A name may stand once.

use std::collections::BTreeMap;

use crate::{SecretText, name::EntryName};

/// One entry and where it began.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: EntryName,
    /// Its value, byte for byte.
    pub value: SecretText,
    /// The line of its name, from 1.
    pub line: usize,
}

/// Why a text does not fit the grammar. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DotenvError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No `=`.
    #[error("there is no `=`; an entry is NAME=value")]
    NoEquals,
    /// The part before `=` is no name.
    #[error("the name before `=` may hold only letters, digits and `_`, and does not begin with a digit")]
    BadName,
    /// A quote without its end.
    #[error("the quote ({0}) is not closed")]
    Unclosed(char),
    /// A backslash before something else than the grammar has.
    #[error("a backslash in double quotes is followed by one of n r t \\ \" ' $; write \\\\ for a backslash")]
    BadEscape,
    /// Something after the closing quote.
    #[error("there is text after the closing quote; a comment needs a blank before `#`")]
    AfterQuote,
    /// The same name twice.
    #[error("{name} is there already, in line {first}")]
    Twice {
        /// The name.
        name: EntryName,
        /// Where it stood first.
        first: usize,
    },
    /// A NUL byte.
    #[error("there is a NUL byte, which no environment variable can hold")]
    Nul,
}

/// Reads a whole text.
///
/// # Errors
/// The first line that does not fit.
pub fn parse(text: &str) -> Result<Vec<Entry>, DotenvError> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut entries = Vec::<Entry>::new();
    let mut seen = BTreeMap::new();
    while !reader.rest.is_empty() {
        let line = reader.line;
        let fail = |problem| DotenvError { line, problem };
        if let Some((name, value)) = reader.line().map_err(fail)? {
            if value.expose().contains('\0') {
                return Err(fail(Problem::Nul));
            }
            if let Some(first) = seen.insert(name.clone(), line) {
                return Err(fail(Problem::Twice { name, first }));
            }
            entries.push(Entry { name, value, line });
        }
    }
    Ok(entries)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Result<Option<(EntryName, SecretText)>, Problem> {
        self.blanks();
        if self.at_line_end() || self.rest.starts_with('#') {
            self.take_line();
            return Ok(None);
        }
        let name = self.name()?;
        self.blanks();
        let value = match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let value = self.quoted(quote)?;
                self.after_quote()?;
                value
            }
            _ => self.plain(),
        };
        Ok(Some((name, value)))
    }

    fn name(&mut self) -> Result<EntryName, Problem> {
        let line = self.rest.lines().next().unwrap_or_default();
        let (before, _) = line.split_once('=').ok_or(Problem::NoEquals)?;
        let mut name = before.trim_matches([' ', '\t']);
        if let Some(exported) = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            name = exported.trim_start_matches([' ', '\t']);
        }
        let name = name.parse().map_err(|_| Problem::BadName)?;
        self.rest = &self.rest[before.len() + 1..];
        Ok(name)
    }

    fn quoted(&mut self, quote: char) -> Result<SecretText, Problem> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    let consumed = &self.rest[..at];
                    self.line += consumed.matches('\n').count();
                    self.rest = &self.rest[at + 1..];
                    return Ok(SecretText::new(value));
                }
                '\\' if quote == '"' => value.push(match chars.next().map(|(_, escaped)| escaped) {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(same @ ('\\' | '"' | '\'' | '$')) => same,
                    Some(_) => return Err(Problem::BadEscape),
                    None => return Err(Problem::Unclosed(quote)),
                }),
                _ => value.push(c),
            }
        }
        Err(Problem::Unclosed(quote))
    }

    fn after_quote(&mut self) -> Result<(), Problem> {
        let blank = self.rest.starts_with([' ', '\t']);
        self.blanks();
        if self.at_line_end() || (blank && self.rest.starts_with('#')) {
            self.take_line();
            return Ok(());
        }
        Err(Problem::AfterQuote)
    }

    fn plain(&mut self) -> SecretText {
        let line = self.take_line();
        let comment = line
            .char_indices()
            .find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])))
            .map_or(line.len(), |(at, _)| at);
        line[..comment].trim_end_matches([' ', '\t']).into()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn at_line_end(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with('\n') || self.rest.starts_with("\r\n")
    }

    /// The rest of the line without its end, which is consumed.
    fn take_line(&mut self) -> &'a str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        line.strip_suffix('\r').unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|e| (e.name.to_string(), e.value.expose().to_owned())).collect()
    }

    fn one(text: &str) -> String {
        let entries = read(text);
        assert_eq!(entries.len(), 1, "{text:?}");
        entries[0].1.clone()
    }

    #[test]
    fn reads_every_form() {
        let text = "\u{feff}# head\r\n\r\nA=1\r\n export B = two words # note\nC='lit $HOME \\n'\nD=\"a\\n\\$\\\"\"  # end\nE=\nF=a#b\n\
                    PEM=\"-----BEGIN\nline\n-----END\n\"\nG=x";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "lit $HOME \\n"),
            ("D", "a\n$\""),
            ("E", ""),
            ("F", "a#b"),
            ("PEM", "-----BEGIN\nline\n-----END\n"),
            ("G", "x"),
        ];
        assert_eq!(read(text), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(parse(text).unwrap().last().unwrap().line, 13);
    }

    #[test]
    fn values_are_never_interpolated() {
        assert_eq!(one("A=$HOME ${B} `id` $(id)"), "$HOME ${B} `id` $(id)");
        assert_eq!(one("A=\"${B}\""), "${B}");
        assert_eq!(one("A= # only a comment"), "");
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("A=1\nhunter2").starts_with("line 2: there is no `=`"));
        assert!(error("1A=hunter2").starts_with("line 1: the name"));
        assert!(error("\n\nA='hunter2\n\n").starts_with("line 3: the quote (') is not closed"));
        assert!(error("A=\"hunter2\\q\"").contains("backslash"));
        assert!(error("A='x'hunter2").contains("after the closing quote"));
        assert_eq!(error("A=1\n#\nA=2"), "line 3: A is there already, in line 1");
        assert!(error("A=a\0b").contains("NUL"));
        for text in ["A=1\nhunter2", "1A=hunter2", "A='hunter2", "A=\"hunter2\\q\"", "A='x'hunter2"] {
            assert!(!error(text).contains("hunter2"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_double_quotes(value in "[^\0]{0,60}") {
            let quoted: String = value.chars().map(|c| match c {
                '"' | '\\' => format!("\\{c}"),
                c => c.to_string(),
            }).collect();
            prop_assert_eq!(one(&format!("A=\"{quoted}\"\n")), value);
        }

        #[test]
        fn never_panics(text in "([A-C=#'\"\\\\ \r\n$]|export |é){0,40}") {
            let _ = parse(&text);
        }
    }
}
