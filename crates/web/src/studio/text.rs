//! How times, sizes and states are written.

use meshkeep_core::{SecretText, Timestamp, wire, workload::SessionState};

/// A moment, in UTC: to the minute for people, exact for machines and on hovering. HTML; a time has nothing to escape.
pub(super) fn moment(at: &Timestamp) -> String {
    let exact = at.to_string();
    let shown = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{shown}</time>")
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
    for c in typed.expose().chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
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
