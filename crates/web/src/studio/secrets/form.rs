//! What stands in the editor of a secret key: its rows, the pasted `.env`, and what a save makes of both.
//!
//! What must stay true: the value of an entry that is stored never comes here; a field that is left blank keeps it.

use std::collections::BTreeMap;

use meshkeep_core::{Refusal, SecretText, dotenv, name::EntryName, secret, wire::SecretPatch};

use crate::studio::fields::Fields;

/// Rows for new entries that an editor offers at least.
const BLANK_ROWS: usize = 1;
/// Rows that an editor holds at most; more come by `.env`.
const MOST_ROWS: usize = 500;

/// One entry.
#[derive(Default)]
pub(super) struct Row {
    pub(super) name: String,
    /// As typed now; nothing of what is stored.
    pub(super) value: SecretText,
    /// Whether a value is stored under this name.
    pub(super) is_stored: bool,
    pub(super) is_removed: bool,
    /// What is wrong with it.
    pub(super) wrong: String,
}

/// The editor.
pub(super) struct Form {
    pub(super) name: String,
    /// The version that the editor began from; 0 for a new secret.
    pub(super) version: u32,
    pub(super) rows: Vec<Row>,
    /// A pasted `.env`.
    pub(super) dotenv: SecretText,
    /// What is wrong with it.
    pub(super) dotenv_wrong: String,
}

/// One line of the preview.
pub(super) struct Change {
    pub(super) name: String,
    pub(super) what: &'static str,
    pub(super) remarks: Vec<String>,
}

impl Form {
    /// For a new secret, or for one with these entries.
    pub(super) fn of(name: &str, version: u32, entries: impl IntoIterator<Item = String>) -> Self {
        let rows = entries.into_iter().map(|name| Row { name, is_stored: true, ..Row::default() }).collect();
        let (dotenv, dotenv_wrong) = (SecretText::default(), String::new());
        let mut form = Self { name: name.to_owned(), version, rows, dotenv, dotenv_wrong };
        form.offer_rows();
        form
    }

    /// As a browser sends it. A text field sends its lines with CR LF; a value has LF.
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.one(name).unwrap_or_default().to_owned();
        let lines = |value: &str| SecretText::new(value.replace("\r\n", "\n"));
        let removed: Vec<&str> = fields.all("remove").collect();
        let rows = fields
            .all("entry")
            .zip(fields.all("value"))
            .zip(fields.all("stored"))
            .take(MOST_ROWS)
            .map(|((name, value), stored)| Row {
                name: name.trim().to_owned(),
                value: lines(value),
                is_stored: stored == "yes",
                is_removed: stored == "yes" && removed.contains(&name),
                wrong: String::new(),
            })
            .collect();
        let mut form = Self {
            name: text("name").trim().to_owned(),
            version: text("version").parse().unwrap_or_default(),
            rows,
            dotenv: lines(fields.one("dotenv").unwrap_or_default()),
            dotenv_wrong: String::new(),
        };
        form.rows.retain(|row| row.is_stored || !row.name.is_empty() || !row.value.is_empty());
        form.offer_rows();
        form
    }

    fn offer_rows(&mut self) {
        self.rows.extend((0..BLANK_ROWS).map(|_| Row::default()));
    }

    /// Names whose values are stored.
    pub(super) fn stored_names(&self) -> Vec<String> {
        self.rows.iter().filter(|row| row.is_stored).map(|row| row.name.clone()).collect()
    }

    /// What a save would set and remove; `None` when something does not fit, which then stands beside its field.
    pub(super) fn patch(&mut self) -> Option<SecretPatch> {
        let mut set = BTreeMap::new();
        let mut unset = Vec::new();
        let mut fits = true;
        let mut named = Vec::new();
        for row in &mut self.rows {
            if row.is_stored && row.is_removed {
                unset.push(row.name.clone());
                continue;
            }
            if row.is_stored && row.value.is_empty() || row.name.is_empty() && row.value.is_empty() {
                continue;
            }
            row.wrong = match row.name.parse::<EntryName>() {
                Ok(_) if named.contains(&row.name) => format!("{} stands here twice", row.name),
                Ok(_) => String::new(),
                Err(why) => format!("the name {why}"),
            };
            fits &= row.wrong.is_empty();
            named.push(row.name.clone());
            set.insert(row.name.clone(), row.value.clone());
        }
        match dotenv::parse(self.dotenv.expose()) {
            Ok(entries) => set.extend(entries.into_iter().map(|entry| (entry.name.to_string(), entry.value))),
            Err(error) => {
                self.dotenv_wrong = format!("line {}: {}", error.line, error.problem);
                fits = false;
            }
        }
        // What is set anew by the `.env` is not removed.
        unset.retain(|name| !set.contains_key(name));
        fits.then(|| SecretPatch { name: Some(self.name.clone()), set: Some(set), unset })
    }

    /// What a save would do, by name; `stored` are the names that are there.
    pub(super) fn preview(&mut self, stored: &[String]) -> Option<Vec<Change>> {
        let SecretPatch { set, unset, .. } = self.patch()?;
        let set = set.unwrap_or_default().into_iter().map(|(name, value)| {
            let what = if stored.contains(&name) { "changed" } else { "added" };
            let remarks = secret::remarks(&name, &value);
            Change { name, what, remarks }
        });
        let removed = unset.into_iter().map(|name| Change { name, what: "removed", remarks: Vec::new() });
        Some(set.chain(removed).collect())
    }

    /// Puts a refusal beside the row that it is about; whether there is one.
    pub(super) fn place(&mut self, refusal: &Refusal) -> bool {
        let about = refusal.field.rsplit('.').next().unwrap_or_default();
        match self.rows.iter_mut().find(|row| !about.is_empty() && row.name == about) {
            Some(row) => {
                row.wrong.clone_from(&refusal.message);
                true
            }
            None => false,
        }
    }

    /// Shows what is stored by now, with all that was typed: the names that somebody else added in between appear, and
    /// those that are gone become new ones.
    pub(super) fn rebase(&mut self, version: u32, stored: &[String]) {
        self.version = version;
        self.rows.retain(|row| !row.is_stored || stored.contains(&row.name) || !row.value.is_empty());
        for row in &mut self.rows {
            row.is_stored = stored.contains(&row.name);
        }
        let missing: Vec<_> =
            stored.iter().filter(|name| self.rows.iter().all(|row| row.name != **name)).cloned().collect();
        for (place, name) in missing.into_iter().enumerate() {
            self.rows.insert(place, Row { name, is_stored: true, ..Row::default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Form {
        Form::read(&Fields::of(pairs.iter().map(|(name, value)| (*name, (*value).to_owned()))))
    }

    fn row<'a>(name: &'a str, value: &'a str, stored: &'a str) -> [(&'a str, &'a str); 3] {
        [("entry", name), ("value", value), ("stored", stored)]
    }

    #[test]
    fn blank_keeps_typed_sets_and_ticked_removes() {
        let mut pairs =
            vec![("name", "weather"), ("version", "3"), ("remove", "GONE"), ("dotenv", "FROM_ENV=1\r\nB='2\r\n3'\r\n")];
        for fields in [
            row("KEPT", "", "yes"),
            row("A", "one\r\ntwo", "yes"),
            row("GONE", "x", "yes"),
            row("NEW", "", "no"),
            row("", "", "no"),
        ] {
            pairs.extend(fields);
        }
        let mut form = sent(&pairs);
        let patch = form.patch().unwrap();
        let set: Vec<_> = patch.set.unwrap().into_iter().map(|(n, v)| (n, v.expose().to_owned())).collect();
        let wanted = [("A", "one\ntwo"), ("B", "2\n3"), ("FROM_ENV", "1"), ("NEW", "")];
        assert_eq!(set, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!((patch.unset, form.version), (vec!["GONE".to_owned()], 3));
        let preview = form.preview(&["KEPT".into(), "A".into(), "GONE".into()]).unwrap();
        let shown: Vec<_> = preview.iter().map(|change| (change.name.as_str(), change.what)).collect();
        assert_eq!(
            shown,
            [("A", "changed"), ("B", "added"), ("FROM_ENV", "added"), ("NEW", "added"), ("GONE", "removed")]
        );
    }

    #[test]
    fn what_does_not_fit_stands_beside_its_field() {
        let mut pairs = vec![("name", "w"), ("dotenv", "OK=1\nno equals\n")];
        for fields in [row("1A", "v", "no"), row("", "v", "no"), row("B", "v", "no"), row("B", "w", "no")] {
            pairs.extend(fields);
        }
        let mut form = sent(&pairs);
        assert!(form.patch().is_none());
        let wrong: Vec<bool> = form.rows.iter().map(|row| !row.wrong.is_empty()).collect();
        assert_eq!(wrong, [true, true, false, true, false]);
        assert!(form.dotenv_wrong.starts_with("line 2: "), "{}", form.dotenv_wrong);
    }

    #[test]
    fn what_somebody_else_saved_appears_and_nothing_typed_is_lost() {
        let mut pairs = vec![("name", "w"), ("version", "1")];
        for fields in [row("A", "mine", "yes"), row("B", "", "yes"), row("C", "typed", "yes")] {
            pairs.extend(fields);
        }
        let mut form = sent(&pairs);
        // B and C are gone by now, D is new.
        form.rebase(2, &["A".into(), "D".into()]);
        let rows: Vec<_> = form.rows.iter().map(|row| (row.name.as_str(), row.value.expose(), row.is_stored)).collect();
        assert_eq!(rows, [("D", "", true), ("A", "mine", true), ("C", "typed", false), ("", "", false)]);
        assert_eq!(form.version, 2);
    }
}
