//! A project's list: what makes a removed, changed or put-back row visible.
//!
//! Each secret, service and API key carries a keyed digest of its row. The list is the sum of these digests (modulo 2^256)
//! and a counter, sealed. A change takes the old digest out of the sum and puts the new one in, so that it costs the same
//! among five secrets and five thousand, and so that damage elsewhere is never signed away by the next save. The digests
//! are HMACs under a key of the project, and the sum is sealed: nobody without the key can find other rows of the same sum
//! (a keyed multiset hash by addition: Clarke et al., "Incremental Multiset Hash Functions", 2003).

use std::fmt;

use meshkeep_core::id::ProjectId;
use meshkeep_seal::{Context, Mac, ProjectKey, Sealed};

use crate::{StoreError, Tx, row::Columns as _, tx::one_row};

/// The sum of digests, least significant byte first, and how often it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) counter: i64,
    sum: [u8; 32],
}

/// What a row is a row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listed {
    Secret,
    Service,
    ApiKey,
}

impl Listed {
    pub(crate) const ALL: [Self; 3] = [Self::Secret, Self::Service, Self::ApiKey];

    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Service => "services",
            Self::ApiKey => "api_keys",
        }
    }
}

/// As the audit's rows and people name it.
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "secret",
            Self::Service => "service",
            Self::ApiKey => "API key",
        })
    }
}

impl List {
    pub(crate) const EMPTY: Self = Self { counter: 0, sum: [0; 32] };

    fn context(project: ProjectId) -> Context {
        Context::new("project-list").part(project.to_string())
    }

    pub(crate) fn seal(&self, key: &ProjectKey, project: ProjectId) -> Sealed {
        let mut plain = self.counter.to_be_bytes().to_vec();
        plain.extend_from_slice(&self.sum);
        key.seal(&Self::context(project), &plain)
    }

    fn open(key: &ProjectKey, project: ProjectId, sealed: Vec<u8>) -> Result<Self, StoreError> {
        let what = format!("the list of project {project}");
        let plain = key
            .open(&Self::context(project), &Sealed::from_bytes(sealed))
            .map_err(|error| StoreError::unopened(&what, error))?;
        let no_list = || StoreError::damaged(format!("{what} is not one"));
        let (counter, sum) = plain.split_first_chunk::<8>().ok_or_else(no_list)?;
        Ok(Self { counter: i64::from_be_bytes(*counter), sum: sum.try_into().map_err(|_| no_list())? })
    }

    fn add(&mut self, digest: &[u8; 32]) {
        let mut carry = 0;
        for (byte, other) in self.sum.iter_mut().zip(digest) {
            carry += u16::from(*byte) + u16::from(*other);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    }

    /// Adds the digest's complement: modulo 2^256 the two cancel out.
    fn subtract(&mut self, digest: &[u8; 32]) {
        let mut complement = digest.map(|byte| !byte);
        for byte in &mut complement {
            let (next, overflows) = byte.overflowing_add(1);
            *byte = next;
            if !overflows {
                break;
            }
        }
        self.add(&complement);
    }

    fn of(counter: i64, digests: &[[u8; 32]]) -> Self {
        let mut list = Self { counter, ..Self::EMPTY };
        for digest in digests {
            list.add(digest);
        }
        list
    }
}

/// The digest of a row of this kind, over `parts`.
pub(crate) fn row_mac(key: &ProjectKey, project: ProjectId, kind: Listed, parts: &[Vec<u8>]) -> Mac {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    key.mac(&Context::new("listed-row").part(project.to_string()).part(kind.table()), &parts)
}

/// A digest as a column holds it.
pub(crate) fn digest(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::damaged("the digest of a row is none"))
}

impl Tx {
    /// Takes the digest of a row as it was out of the project's list and puts in the one that it has now.
    pub(crate) async fn relist(
        &mut self,
        project: ProjectId,
        key: &ProjectKey,
        was: Option<[u8; 32]>,
        is: Option<&Mac>,
    ) -> Result<(), StoreError> {
        let mut list = self.list(project, key).await?;
        if let Some(was) = was {
            list.subtract(&was);
        }
        if let Some(is) = is {
            list.add(&is.0);
        }
        list.counter += 1;
        self.save_list(project, key, list).await
    }

    /// The list as it would be for the rows that there are.
    pub(crate) async fn list_of_rows(&mut self, project: ProjectId, counter: i64) -> Result<List, StoreError> {
        let mut digests = Vec::new();
        for kind in Listed::ALL {
            let failed = self.failed("");
            let sql = format!("SELECT mac FROM {} WHERE project_id = $1", kind.table());
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(project.to_string())
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
            for row in &rows {
                // What has no digest at all is not what was listed; any other number than the right one shows it.
                digests.push(row.bytes("mac").and_then(digest).unwrap_or([0xff; 32]));
            }
        }
        Ok(List::of(counter, &digests))
    }

    /// Whether the project's rows are those that its list names.
    pub(crate) async fn list_fits(&mut self, project: ProjectId, key: &ProjectKey) -> Result<bool, StoreError> {
        let list = self.list(project, key).await?;
        Ok(self.list_of_rows(project, list.counter).await? == list)
    }

    pub(crate) async fn list(&mut self, project: ProjectId, key: &ProjectKey) -> Result<List, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT list, list_counter FROM projects WHERE id = $1")
            .bind(project.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let list = List::open(key, project, row.bytes("list")?)?;
        if list.counter != row.number("list_counter")? {
            return Err(StoreError::damaged(format!("the list of project {project} is not the one that is counted")));
        }
        Ok(list)
    }

    pub(crate) async fn save_list(
        &mut self,
        project: ProjectId,
        key: &ProjectKey,
        list: List,
    ) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("UPDATE projects SET list = $1, list_counter = $2 WHERE id = $3")
            .bind(list.seal(key, project).as_bytes())
            .bind(list.counter)
            .bind(project.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        self.changes_anchor();
        one_row(&done, "project")
    }

    /// The digest that a row carries.
    pub(crate) async fn carried_mac(&mut self, kind: Listed, id: &str) -> Result<[u8; 32], StoreError> {
        let failed = self.failed("");
        let sql = format!("SELECT mac FROM {} WHERE id = $1", kind.table());
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_one(self.db()).await.map_err(failed)?;
        digest(row.bytes("mac")?)
    }

    /// Gives a row its digest.
    pub(crate) async fn carry_mac(&mut self, kind: Listed, id: &str, mac: &Mac) -> Result<(), StoreError> {
        let failed = self.failed("");
        let sql = format!("UPDATE {} SET mac = $1 WHERE id = $2", kind.table());
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(mac.0.as_slice())
            .bind(id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, kind.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_a_sum_is_as_if_it_never_was_in() {
        let digests: [[u8; 32]; 4] = [[0xff; 32], [0; 32], [1; 32], std::array::from_fn(|n| n as u8 * 7)];
        let mut list = List::of(3, &digests);
        for n in [2, 0, 3] {
            list.subtract(&digests[n]);
        }
        assert_eq!(list, List::of(3, &[digests[1]]));
        assert_ne!(List::of(3, &digests[2..]), List::of(3, &digests[1..3]));
    }
}
