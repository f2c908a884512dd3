//! Names that resolve as a test says.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

type Answers = HashMap<String, Vec<Vec<IpAddr>>>;

/// A table of names. One with several answers gives them one after the other and then stays with the last, as a
/// rebinding name server does.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<Answers>>);

impl PartialEq for Names {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Names {}

impl Names {
    /// `name` has `addresses`; said again, those are the next answer.
    pub fn add(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("a test's address")).collect();
        self.0.lock().expect("no test panics within").entry(name.to_owned()).or_default().push(addresses);
    }

    /// The next answer for `name`; `None` when the table does not know it.
    pub(crate) fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut table = self.0.lock().expect("no test panics within");
        let answers = table.get_mut(name)?;
        Some(if answers.len() > 1 { answers.remove(0) } else { answers.first()?.clone() })
    }
}
