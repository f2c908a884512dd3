//! Services: the list, the editor with its two tabs, deletion, restarts.

mod edit;
mod editor;
mod form;
mod list;
mod manage;

use meshkeep_core::access::Action;

use crate::studio::pages::{PageNeeds, PageRoute};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/projects/{project}/services").page(PageNeeds::May(Action::ReadServices), list::show),
        PageRoute::at("/studio/projects/{project}/services/new")
            .page(PageNeeds::May(Action::ManageServices), edit::new)
            .form(edit::create),
        PageRoute::at("/studio/projects/{project}/services/{service}")
            .page(PageNeeds::May(Action::ReadServices), edit::open)
            .form(edit::save),
        PageRoute::at("/studio/projects/{project}/services/{service}/delete")
            .page(PageNeeds::May(Action::ManageServices), manage::ask)
            .form(manage::delete),
        PageRoute::at("/studio/projects/{project}/services/{service}/restart").form(manage::restart),
        PageRoute::at("/studio/projects/{project}/rooms/{room}/services/new")
            .page(PageNeeds::May(Action::ManageServices), edit::new)
            .form(edit::create),
        PageRoute::at("/studio/projects/{project}/rooms/{room}/services/{service}")
            .page(PageNeeds::May(Action::ReadServices), edit::open)
            .form(edit::save),
        PageRoute::at("/studio/projects/{project}/rooms/{room}/services/{service}/delete")
            .page(PageNeeds::May(Action::ManageServices), manage::ask)
            .form(manage::delete),
        PageRoute::at("/studio/projects/{project}/rooms/{room}/services/{service}/restart").form(manage::restart),
    ]
}
