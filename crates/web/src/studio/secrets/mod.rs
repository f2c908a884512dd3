//! Secret keys and image pull secrets: lists, editors, history, deletion.

mod delete;
mod deleted;
mod edit;
mod form;
mod history;
mod list;
mod pull;
mod pull_form;
mod stored;

use meshkeep_core::access::Action;

use crate::studio::pages::{PageNeeds, PageRoute};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/projects/{project}/secrets").page(PageNeeds::May(Action::ReadSecrets), list::keys),
        PageRoute::at("/studio/projects/{project}/secrets/new")
            .page(PageNeeds::May(Action::ManageSecrets), edit::new)
            .form(edit::create),
        PageRoute::at("/studio/projects/{project}/secrets/deleted")
            .page(PageNeeds::May(Action::ReadSecrets), deleted::list)
            .form(deleted::restore),
        PageRoute::at("/studio/projects/{project}/secrets/{secret}")
            .page(PageNeeds::May(Action::ReadSecrets), edit::open)
            .form(edit::save),
        PageRoute::at("/studio/projects/{project}/secrets/{secret}/history")
            .page(PageNeeds::May(Action::ReadSecrets), history::show),
        PageRoute::at("/studio/projects/{project}/secrets/{secret}/roll-back").form(history::roll_back),
        PageRoute::at("/studio/projects/{project}/secrets/{secret}/delete")
            .page(PageNeeds::May(Action::ManageSecrets), delete::ask)
            .form(delete::delete),
        PageRoute::at("/studio/projects/{project}/pull-secrets").page(PageNeeds::May(Action::ReadSecrets), list::pull),
        PageRoute::at("/studio/projects/{project}/pull-secrets/new")
            .page(PageNeeds::May(Action::ManageSecrets), pull::new)
            .form(pull::create),
        PageRoute::at("/studio/projects/{project}/pull-secrets/{secret}")
            .page(PageNeeds::May(Action::ReadSecrets), pull::open)
            .form(pull::save),
    ]
}
