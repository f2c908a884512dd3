//! How times, sizes and states are written.

use meshkeep_core::{SecretText, Timestamp, wire, workload::SessionState};

/// A moment, in UTC: to the minute for people, exact for machines and on hovering. HTML; a time has nothing to escape.
pub(super) fn moment(at: &Timestamp) -> String {
    let exact = at.to_string();
    let shown = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{shown}</time>")
}

/// A sentence of ours, with what stands between back quotes as code. HTML.
pub(super) fn marked(sentence: impl AsRef<str>) -> String {
    let mut html = String::new();
    for (place, part) in sentence.as_ref().split('`').enumerate() {
        let is_code = place % 2 == 1;
        html.push_str(if is_code { "<code>" } else { "" });
        escape(part, &mut html);
        html.push_str(if is_code { "</code>" } else { "" });
    }
    html
}

/// The name in an actor as the audit has it: `key first-admin (id)` is first-admin.
pub(super) fn actor(actor: &str) -> &str {
    let name = actor.strip_prefix("key ").or_else(|| actor.strip_prefix("participant ")).unwrap_or(actor);
    match name.rsplit_once(" (") {
        Some((name, id)) if id.ends_with(')') => name,
        _ => name,
    }
}

/// A text of the audit with its ids shortened to their ends.
pub(super) fn brief(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|b| *b == b'-').count() == 4;
    let short = |word: &str| if is_id(word) { format!("…{}", &word[28..]) } else { word.to_owned() };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// Where a row of the audit comes from, without the request.
pub(super) fn address(origin: &str) -> &str {
    origin.split(" request ").next().unwrap_or(origin)
}

/// Bytes in the unit that fits.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub(super) fn bytes(count: &u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (*count as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// What was typed into a text field and not saved, to stand in it again. HTML; a browser drops the first line end of a
/// text field, so one stands before. The page that it goes to is sent to who typed it, and kept by nobody.
pub(super) fn lines(typed: &SecretText) -> String {
    let mut escaped = String::with_capacity(typed.len() + 1);
    escaped.push('\n');
    escape(typed.expose(), &mut escaped);
    escaped
}

/// For text between tags.
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            c => into.push(c),
        }
    }
}

/// How a state looks: good, bad, on its way, or at rest.
pub(super) fn look(workload: &wire::Workload) -> &'static str {
    match workload.state.as_str() {
        "ready" => "good",
        "failed" => "bad",
        "exited" if workload.exit_code == Some(0) => "good",
        "exited" if workload.restart_at.is_some() => "busy",
        "exited" => "bad",
        "stopped" => "still",
        _ => "busy",
    }
}

/// The same of a whole session.
pub(super) fn class(state: &SessionState) -> &'static str {
    match state {
        SessionState::Starting => "busy",
        SessionState::Ready => "good",
        SessionState::Degraded => "bad",
        SessionState::Ended => "still",
    }
}

/// A count with its noun.
pub(super) fn count(number: &impl ToString, one: &str, many: &str) -> String {
    let number = number.to_string();
    let noun = if number == "1" { one } else { many };
    format!("{number} {noun}")
}

/// Which page of a list is asked for, and which ones are beside it.
pub(super) struct Paging {
    pub(super) query: String,
    pub(super) from: usize,
    pub(super) total: usize,
}

/// Rows of one page.
pub(super) const ROWS: usize = 50;

impl Paging {
    /// Where the page before begins.
    pub(super) fn before(&self) -> Option<usize> {
        (self.from > 0).then(|| self.from.saturating_sub(ROWS))
    }

    /// Where the next page begins.
    pub(super) fn after(&self) -> Option<usize> {
        Some(self.from + ROWS).filter(|next| *next < self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_for_people() {
        assert_eq!(
            [0, 1023, 1024, 1536, 5 << 30].map(|n| bytes(&n)),
            ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "5.0 GiB"]
        );
        assert_eq!(
            (count(&1, "entry", "entries"), count(&0, "entry", "entries")),
            ("1 entry".into(), "0 entries".into())
        );
    }

    #[test]
    fn sentences_have_code_and_nothing_of_their_own() {
        assert_eq!(marked("`a<b` may & `c"), "<code>a&lt;b</code> may &amp; <code>c</code>");
        let id = "01a2136c-a8b2-732c-ad60-98d136e53cf6";
        assert_eq!(actor(&format!("key first-admin ({id})")), "first-admin");
        assert_eq!((actor("operator"), address("127.0.0.1 request x")), ("operator", "127.0.0.1"));
        assert_eq!(brief(&format!("{id} version 2")), "…36e53cf6 version 2");
    }

    #[test]
    fn pages_are_beside_each_other() {
        let at = |from, total| {
            let paging = Paging { query: String::new(), from, total };
            (paging.before(), paging.after())
        };
        assert_eq!(at(0, 50), (None, None));
        assert_eq!(at(0, 51), (None, Some(50)));
        assert_eq!(at(50, 120), (Some(0), Some(100)));
        assert_eq!(at(100, 120), (Some(50), None));
    }
}
