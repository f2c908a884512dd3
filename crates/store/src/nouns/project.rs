//! Projects and their keys.

use meshkeep_core::{Timestamp, id::ProjectId};
use meshkeep_seal::{Context, ProjectKey, Sealed};

use crate::{StoreError, Tx, nouns::new_id, row::Columns};

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
        let empty = Self::secret_list_mac(&key, project.id, 0, &[]);
        let failed = self.failed("project");
        sqlx::query(
            "INSERT INTO projects (id, name, wrapped_key, list_mac, list_counter, created_at) \
             VALUES ($1, $2, $3, $4, 0, $5)",
        )
        .bind(project.id.to_string())
        .bind(name)
        .bind(wrapped.as_bytes())
        .bind(empty.0.as_slice())
        .bind(project.created_at.as_millis())
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(project)
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
        let failed = self.failed("");
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar("SELECT wrapped_key FROM projects WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        let wrapped = wrapped.ok_or_else(|| StoreError::damaged(format!("project {id} is not there")))?;
        self.shared
            .keyring
            .project_key(&key_context(id), &Sealed::from_bytes(wrapped))
            .map_err(|error| StoreError::unopened(&format!("the key of project {id}"), error))
    }
}
