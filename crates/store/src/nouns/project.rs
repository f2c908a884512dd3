//! Projects and their keys.

use meshkeep_core::{Timestamp, id::ProjectId};
use meshkeep_seal::{Context, ProjectKey, Sealed};

use crate::{
    StoreError, Tx,
    nouns::{list::List, new_id},
    row::Columns,
    tx::one_row,
};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

fn key_context(id: ProjectId) -> Context {
    Context::new("project-key").part(id.to_string())
}

impl Tx {
    /// Makes a project with its own key.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_project(&mut self, name: &str) -> Result<Project, StoreError> {
        let project = Project { id: ProjectId::from_uuid(new_id()), name: name.to_owned(), created_at: self.now() };
        let (key, wrapped) = self.shared.keyring.new_project_key(&key_context(project.id));
        let list = List::EMPTY.seal(&key, project.id);
        let failed = self.failed("project");
        sqlx::query(
            "INSERT INTO projects (id, name, wrapped_key, list, list_counter, created_at) \
             VALUES ($1, $2, $3, $4, 0, $5)",
        )
        .bind(project.id.to_string())
        .bind(name)
        .bind(wrapped.as_bytes())
        .bind(list.as_bytes())
        .bind(project.created_at.as_millis())
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.changes_anchor();
        Ok(project)
    }

    /// Wraps every project's key under the root key that seals now.
    pub(crate) async fn rewrap_project_keys(&mut self) -> Result<u32, StoreError> {
        let mut rewrapped = 0;
        for Project { id, .. } in self.projects().await? {
            let wrapped = self.wrapped_key(id).await?;
            let wrapped = self
                .shared
                .keyring
                .rewrap(&key_context(id), &wrapped)
                .map_err(|error| StoreError::unopened(&format!("the key of project {id}"), error))?;
            let failed = self.failed("");
            let done = sqlx::query("UPDATE projects SET wrapped_key = $1 WHERE id = $2")
                .bind(wrapped.as_bytes())
                .bind(id.to_string())
                .execute(self.db())
                .await
                .map_err(failed)?;
            one_row(&done, "project")?;
            rewrapped += 1;
        }
        Ok(rewrapped)
    }

    /// One project.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn project(&mut self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        Ok(self.projects().await?.into_iter().find(|project| project.id == id))
    }

    /// All projects, by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn projects(&mut self) -> Result<Vec<Project>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT id, name, created_at FROM projects ORDER BY name, id")
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(Project { id: row.parsed("id")?, name: row.text("name")?, created_at: row.time("created_at")? })
            })
            .collect()
    }

    /// Unwraps the project's key.
    pub(crate) async fn project_key(&mut self, id: ProjectId) -> Result<ProjectKey, StoreError> {
        let wrapped = self.wrapped_key(id).await?;
        self.shared
            .keyring
            .project_key(&key_context(id), &wrapped)
            .map_err(|error| StoreError::unopened(&format!("the key of project {id}"), error))
    }

    async fn wrapped_key(&mut self, id: ProjectId) -> Result<Sealed, StoreError> {
        let failed = self.failed("");
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar("SELECT wrapped_key FROM projects WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        wrapped.map(Sealed::from_bytes).ok_or_else(|| StoreError::damaged(format!("project {id} is not there")))
    }
}
