//! Keeping a service at one image, or letting it follow the tag again.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, ServiceId},
    service::ServiceSpec,
};
use meshkeep_image::{ImageError, Reference};

use super::{Scope, found, in_store, rules, saved};
use crate::{
    Caller, Control, manifest_values,
    reconcile::{Recipe, chosen},
    refusals::refused,
};

impl Control {
    /// Writes the digest that the registry now has under the image's tag behind it, so that every later launch takes
    /// this very image. The registry is asked with the service's own pull secrets.
    ///
    /// # Errors
    /// `NotFound`; what the registry answers; `Stale` when the service was changed meanwhile.
    pub async fn pin_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<ServiceSpec, Refusal> {
        self.repointed(caller, project, scope, id, "service.pin", async |recipe, reference: &Reference| {
            let tagged = follow(reference)?;
            let pulls = self.context().pulls(recipe).await?;
            let (_, credential) = chosen(&tagged, &pulls);
            let asked = self.context().parts.images.check(&tagged, credential).await;
            Ok(tagged.pinned(&asked.map_err(|error| error.refusal())?))
        })
        .await
    }

    /// Takes the digest away, so that every later launch takes what the tag then names.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when there is no tag to follow; `Stale` when the service was changed meanwhile.
    pub async fn unpin_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<ServiceSpec, Refusal> {
        self.repointed(caller, project, scope, id, "service.unpin", async |_: &Recipe, reference: &Reference| {
            Ok(follow(reference)?.as_written().to_owned())
        })
        .await
    }

    /// Saves the service with the image that `image` says.
    async fn repointed(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
        action: &str,
        image: impl AsyncFnOnce(&Recipe, &Reference) -> Result<String, Refusal>,
    ) -> Result<ServiceSpec, Refusal> {
        caller.may(project, Action::ManageServices)?;
        let mut tx = self.store().read("read image").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let old = found(&mut tx, project, scope, id).await?;
        let (recipe, missing) = Recipe::newest(&mut tx, project, old.spec.clone()).await.map_err(refused)?;
        drop(tx);
        // Another image is given what this one has, as with any change of the manifest.
        if (rules::binds(&old.spec) || manifest_values::has_sealed(&old.spec))
            && let Err(refusal) = caller.may(project, Action::Bind)
        {
            return Err(self.recorded(refusal, caller.audited(action, id.to_string())).await);
        }
        if let Some(refusal) = missing {
            return Err(refusal);
        }
        let mut spec = old.spec.clone();
        let container = spec
            .container
            .as_mut()
            .ok_or_else(|| Refusal::invalid("container", "is missing: this service runs elsewhere"))?;
        let reference = container.image.parse().map_err(|why| ImageError::Reference(why).refusal())?;
        container.image = image(&recipe, &reference).await?;

        let mut tx = self.store().write("save image").await.map_err(refused)?;
        if found(&mut tx, project, scope, id).await?.revision != old.revision {
            return Err(Refusal::new(RefusalKind::Stale, "stale_version", "the service was changed meanwhile")
                .hint("look at it, then repeat this; nothing was saved"));
        }
        let ruled = rules::check(&mut tx, project, scope, &spec).await?;
        saved(tx, caller, action, project, &old, &spec, &ruled).await
    }
}

/// The same image by its tag alone.
fn follow(reference: &Reference) -> Result<Reference, Refusal> {
    reference.followed().ok_or_else(|| {
        Refusal::invalid("container.image", "has a digest and no tag that could be followed")
            .hint("write the image with a tag, such as registry.example.com/team/image:1.0")
    })
}
