//! A part of a long list, found by a word.

/// Which part is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What names hold, in any case; everything when empty.
    pub query: String,
    /// Items at most.
    pub limit: u32,
    /// Items before it.
    pub offset: u32,
}

impl Page {
    /// For SQL's `LIKE … ESCAPE '\\'`: names that hold the query, whose own `%` and `_` mean themselves.
    #[must_use]
    pub fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        for c in self.query.trim().chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        pattern
    }
}

/// A page's items, and how many there are on all pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// On all pages.
    pub total: u64,
}

impl<T> Paged<T> {
    /// The same with other items.
    pub fn map<U>(self, of: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(of).collect(), total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_means_itself() {
        let pattern = |query: &str| Page { query: query.to_owned(), limit: 1, offset: 0 }.pattern();
        assert_eq!(pattern(""), "%%");
        assert_eq!(pattern(" a_b% "), "%a\\_b\\%%");
    }
}
