//! Finding damage, naming it, and taking a damaged database as it is.
//!
//! A row that does not open or does not fit its own digest names itself. A row that was removed or put back as it once was
//! is visible in the project's list only; which one it is, the audit tells, for it has every save and every delete.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::PoisonError,
};

use meshkeep_core::id::ProjectId;
use meshkeep_seal::{Mac, ProjectKey};
use sqlx::sqlite::SqliteRow;

use crate::{AuditEntry, Store, StoreError, Tx, anchor::AnchorText, nouns::list::Listed, row::Columns as _};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which thing, such as `secret 018f… (weather)`.
    pub object: String,
    /// What is wrong with it; reads after the object.
    pub what: String,
}

/// What was looked at, and what of it is damaged.
#[derive(Debug, Default)]
pub struct Examined {
    /// Sealed things that open.
    pub opened: u64,
    /// Those that do not, and what else does not fit.
    pub damages: Vec<Damage>,
}

impl Examined {
    fn damage(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.damages.push(Damage { object: object.into(), what: what.into() });
    }

    /// Counts what opened, and names what did not.
    fn tried<T>(&mut self, object: &str, tried: Result<T, StoreError>) -> Result<(), StoreError> {
        match tried {
            Ok(_) => self.opened += 1,
            Err(StoreError::Damaged { what }) => self.damage(object, what),
            Err(StoreError::WrongKey { needed, .. }) => {
                self.damage(object, format!("is sealed under key {needed}, which is not there"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A row of a project's list.
struct Row {
    kind: Listed,
    id: String,
    name: String,
    /// A secret's version, a service's revision.
    version: Option<i64>,
    is_deleted: bool,
}

impl Row {
    fn object(&self) -> String {
        format!("{} {} ({})", self.kind, self.id, self.name)
    }
}

/// What the audit says last of a thing.
struct Last {
    gone: bool,
    version: Option<i64>,
    seq: i64,
}

impl Store {
    /// Finds rows that the audit contradicts and lets nothing use them; names them in the log.
    pub(crate) async fn find_suspects(&self) -> Result<(), StoreError> {
        let mut tx = self.read("find suspects").await?;
        let mut suspects = HashMap::new();
        for project in tx.projects().await? {
            let key = match tx.project_key(project.id).await {
                Ok(key) => key,
                Err(error) => {
                    tracing::error!(project = %project.id, %error, "nothing of this project opens");
                    continue;
                }
            };
            match tx.list_fits(project.id, &key).await {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Damaged { .. }) => {
                    tracing::error!(project = %project.id, "rows of this project are not those that its list names; `meshkeep doctor` says more");
                    for (row, damage) in tx.contradicted(project.id).await? {
                        tracing::error!(object = damage.object, "{}", damage.what);
                        if let Some(id) = row {
                            suspects.insert(id, format!("{} {}", damage.object, damage.what));
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // Put in whole, whoever panics.
        *self.0.suspects.write().unwrap_or_else(PoisonError::into_inner) = suspects;
        Ok(())
    }

    /// Opens everything that is sealed and checks everything that is keyed, within one consistent read.
    ///
    /// # Errors
    /// When the database cannot be read. What is damaged is no error here.
    pub async fn examine(&self, anchor: Option<&Path>) -> Result<Examined, StoreError> {
        let anchor = anchor.map(AnchorText::read);
        let mut tx = self.read("examine").await?;
        let mut found = Examined::default();
        tx.examine_structure(&mut found).await?;
        let token_key = tx.token_key().await;
        found.tried("the server's token key", token_key)?;
        for project in tx.projects().await? {
            tx.examine_project(project.id, &mut found).await?;
        }
        if let Some(seq) = tx.check_audit().await?.first_wrong {
            found.damage(format!("audit row {seq}"), "does not fit the row before it: rows were changed or removed");
        }
        if let Some(anchor) = anchor
            && tx.is_anchored().await?
        {
            match tx.check_anchor(anchor).await {
                Ok(()) => {}
                Err(error @ (StoreError::Older { .. } | StoreError::NoAnchor { .. })) => {
                    found.damage("database", error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Takes the database as it is: what opens stays and is listed anew, what does not is removed, and an anchor is made of
    /// where it stands. Each of these things is recorded in the audit.
    ///
    /// # Errors
    /// When the database cannot be written; then all is as it was.
    pub async fn accept(self, anchor: &Path) -> Result<Vec<Damage>, StoreError> {
        let mut tx = self.write("accept").await?;
        let mut removed = Vec::new();
        for project in tx.projects().await? {
            match tx.project_key(project.id).await {
                Ok(key) => removed.extend(tx.accept_project(project.id, &key).await?),
                Err(error) => {
                    tracing::error!(project = %project.id, %error, "nothing of this project opens, and it stays so")
                }
            }
        }
        for damage in &removed {
            tx.audit(&AuditEntry::of_operator("damage.remove", damage.object.clone())).await?;
        }
        tx.audit(&AuditEntry::of_operator("damage.accept", format!("{} things removed", removed.len()))).await?;
        tx.note_anchored().await?;
        tx.commit().await?;
        self.anchored_at(anchor).await?;
        self.close_without_anchor().await;
        Ok(removed)
    }
}

impl Tx {
    async fn examine_structure(&mut self, found: &mut Examined) -> Result<(), StoreError> {
        let failed = self.failed("");
        let said: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(self.db()).await.map_err(failed)?;
        for line in said.iter().filter(|line| *line != "ok") {
            found.damage("database", format!("is damaged in its structure: {line}"));
        }
        Ok(())
    }

    async fn examine_project(&mut self, project: ProjectId, found: &mut Examined) -> Result<(), StoreError> {
        let key = match self.project_key(project).await {
            Ok(key) => key,
            Err(error) => return found.tried::<()>(&format!("project {project}"), Err(error)),
        };
        found.opened += 1;
        match self.list_fits(project, &key).await {
            Ok(true) => {}
            Ok(false) => {
                let contradicted = self.contradicted(project).await?;
                if contradicted.is_empty() {
                    found.damage(
                        format!("project {project}"),
                        "has rows that are not those that its list names; the audit does not tell which",
                    );
                }
                found.damages.extend(contradicted.into_iter().map(|(_, damage)| damage));
            }
            Err(error) => found.tried::<()>(&format!("project {project}"), Err(error))?,
        }
        for row in self.rows(project).await? {
            let object = row.object();
            match row.kind {
                Listed::Secret => self.examine_secret(project, &key, &row, found).await?,
                Listed::Service => {
                    let fits = self.service_fits(&key, project, &row.id).await;
                    found.tried(&object, fits.and_then(as_saved))?;
                }
                Listed::ApiKey => {
                    let fits = self.api_key_fits(&key, &row.id).await;
                    found.tried(&object, fits.and_then(as_saved))?;
                }
            }
        }
        self.examine_room_secrets(project, found).await?;
        self.examine_workloads(project, found).await
    }

    async fn examine_secret(
        &mut self,
        project: ProjectId,
        key: &ProjectKey,
        row: &Row,
        found: &mut Examined,
    ) -> Result<(), StoreError> {
        let object = row.object();
        let fits = self.secret_row_mac(key, project, &row.id).await.map(|(mac, carried)| mac.fits(&carried));
        match fits.and_then(as_saved) {
            Ok(()) => {}
            damaged => found.tried(&object, damaged)?,
        }
        for version in self.versions_of(&row.id).await? {
            let opened = self.version_opens(key, project, &row.id, version).await;
            found.tried(&format!("version {version} of {object}"), opened)?;
        }
        Ok(())
    }

    async fn examine_room_secrets(&mut self, project: ProjectId, found: &mut Examined) -> Result<(), StoreError> {
        for (room, key) in self.room_secret_refs(project).await? {
            let opened = self.open_room_secret(project, room, &key).await;
            found.tried(&format!("secret {} of {} in room {room}", key.id, key.identity), opened)?;
        }
        Ok(())
    }

    async fn examine_workloads(&mut self, project: ProjectId, found: &mut Examined) -> Result<(), StoreError> {
        for session in self.active_sessions(Some(project)).await? {
            let workloads = self.workloads(project, session.id).await;
            found.tried(&format!("session {}", session.id), workloads)?;
        }
        Ok(())
    }

    /// Where the rows of a project are not as the audit says, with the id of the row where there is one.
    async fn contradicted(&mut self, project: ProjectId) -> Result<Vec<(Option<String>, Damage)>, StoreError> {
        let mut last = self.last_of_all(project).await?;
        let mut found = Vec::new();
        for row in self.rows(project).await? {
            let what = match last.remove(&(row.kind, row.id.clone())) {
                None => "is not in the audit: it was put here behind meshkeep's back".to_owned(),
                Some(Last { gone, seq, .. }) if gone && !row.is_deleted => {
                    format!("was put back after it was deleted (audit row {seq})")
                }
                Some(Last { gone, seq, .. }) if !gone && row.is_deleted => {
                    format!("is marked as deleted, and the audit has no such act (its last is row {seq})")
                }
                Some(Last { version: Some(version), seq, .. }) if row.version.is_some_and(|is| is != version) => {
                    format!(
                        "was put back as of version {}; version {version} was saved (audit row {seq})",
                        row.version.unwrap_or_default()
                    )
                }
                Some(_) => continue,
            };
            found.push((Some(row.id.clone()), Damage { object: row.object(), what }));
        }
        let mut removed: Vec<_> = last.into_iter().filter(|(_, last)| !last.gone).collect();
        removed.sort_by_key(|(_, last)| last.seq);
        for ((kind, id), Last { seq, version, .. }) in removed {
            let version = version.map(|version| format!(", as of version {version}")).unwrap_or_default();
            let what = format!("was removed behind meshkeep's back{version} (audit row {seq})");
            found.push((None, Damage { object: format!("{kind} {id}"), what }));
        }
        Ok(found)
    }

    /// What the audit says last of every thing that a list names.
    async fn last_of_all(&mut self, project: ProjectId) -> Result<BTreeMap<(Listed, String), Last>, StoreError> {
        let failed = self.failed("");
        let rows =
            sqlx::query("SELECT seq, action, object FROM audit WHERE project_id = $1 AND outcome = $2 ORDER BY seq")
                .bind(project.to_string())
                .bind(AuditEntry::DONE)
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
        let mut last = BTreeMap::new();
        for row in rows {
            let (action, object, seq) = (row.text("action")?, row.text("object")?, row.number("seq")?);
            let Some((noun, verb)) = action.split_once('.') else { continue };
            let kind = match noun {
                "secret" => Listed::Secret,
                "service" => Listed::Service,
                "api_key" => Listed::ApiKey,
                _ => continue,
            };
            let mut words = object.split(' ');
            let id = words.next().unwrap_or_default().to_owned();
            if id.parse::<uuid::Uuid>().is_err() {
                continue;
            }
            if (kind, verb) == (Listed::Secret, "purge") {
                last.remove(&(kind, id));
                continue;
            }
            let version = match (words.next(), words.next()) {
                (Some("version" | "revision"), Some(number)) => number.parse().ok(),
                _ => None,
            };
            // What only looks at a thing, or restarts it, says nothing of its row.
            let changes = matches!(
                verb,
                "create" | "save" | "patch" | "rollback" | "restore" | "update" | "pin" | "unpin" | "delete"
            );
            if changes && (kind != Listed::Secret || version.is_some()) {
                last.insert((kind, id), Last { gone: verb == "delete", version, seq });
            }
        }
        Ok(last)
    }

    async fn rows(&mut self, project: ProjectId) -> Result<Vec<Row>, StoreError> {
        let mut all = Vec::new();
        for kind in Listed::ALL {
            let columns = match kind {
                Listed::Secret => "version, deleted_at",
                Listed::Service => "revision AS version, NULL AS deleted_at",
                Listed::ApiKey => "NULL AS version, NULL AS deleted_at",
            };
            let failed = self.failed("");
            let sql = format!("SELECT id, name, {columns} FROM {} WHERE project_id = $1 ORDER BY id", kind.table());
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(project.to_string())
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
            for row in &rows {
                all.push(Row {
                    kind,
                    id: row.text("id")?,
                    name: row.text("name")?,
                    version: row.maybe_number("version")?,
                    is_deleted: row.maybe_number("deleted_at")?.is_some(),
                });
            }
        }
        Ok(all)
    }

    async fn accept_project(&mut self, project: ProjectId, key: &ProjectKey) -> Result<Vec<Damage>, StoreError> {
        let mut removed = Vec::new();
        for row in self.rows(project).await? {
            let object = row.object();
            let stays = match row.kind {
                Listed::Secret => self.accept_versions(project, key, &row, &mut removed).await?,
                // It may have been made of another one: its holder gets a new key.
                Listed::ApiKey => self.api_key_fits(key, &row.id).await.is_ok_and(|fits| fits),
                Listed::Service => self.service_opens(key, project, &row.id).await,
            };
            if !stays {
                let failed = self.failed("");
                let sql = format!("DELETE FROM {} WHERE id = $1", row.kind.table());
                sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&row.id).execute(self.db()).await.map_err(failed)?;
                removed.push(Damage { object, what: "did not open".to_owned() });
            }
        }
        let counter = self.list(project, key).await.map_or(0, |list| list.counter).max(self.counted(project).await?);
        self.list_anew(project, key, counter).await?;
        Ok(removed)
    }

    /// Removes the versions of a secret that do not open; whether any is left.
    async fn accept_versions(
        &mut self,
        project: ProjectId,
        key: &ProjectKey,
        row: &Row,
        removed: &mut Vec<Damage>,
    ) -> Result<bool, StoreError> {
        let mut newest = None;
        for version in self.versions_of(&row.id).await? {
            if self.version_opens(key, project, &row.id, version).await.is_ok() {
                newest = newest.max(Some(version));
                continue;
            }
            let failed = self.failed("");
            sqlx::query("DELETE FROM secret_versions WHERE secret_id = $1 AND version = $2")
                .bind(&row.id)
                .bind(version)
                .execute(self.db())
                .await
                .map_err(failed)?;
            let object = format!("version {version} of {}", row.object());
            removed.push(Damage { object, what: "did not open".to_owned() });
        }
        let Some(newest) = newest else { return Ok(false) };
        let failed = self.failed("");
        sqlx::query("UPDATE secrets SET version = $1 WHERE id = $2")
            .bind(newest)
            .bind(&row.id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(true)
    }

    async fn counted(&mut self, project: ProjectId) -> Result<i64, StoreError> {
        let failed = self.failed("");
        let row: SqliteRow = sqlx::query("SELECT list_counter FROM projects WHERE id = $1")
            .bind(project.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        row.number("list_counter")
    }

    /// The digest that a row should carry.
    pub(crate) async fn mac_of_row(
        &mut self,
        kind: Listed,
        key: &ProjectKey,
        project: ProjectId,
        id: &str,
    ) -> Result<Mac, StoreError> {
        match kind {
            Listed::Secret => self.secret_row_mac(key, project, id).await.map(|(mac, _)| mac),
            Listed::Service => self.service_row_mac(key, project, id).await,
            Listed::ApiKey => self.api_key_row_mac(key, id).await,
        }
    }
}

fn as_saved(fits: bool) -> Result<(), StoreError> {
    if fits { Ok(()) } else { Err(StoreError::damaged("is not as it was saved")) }
}
