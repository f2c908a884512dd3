//! Sessions: the list, launching one, watching one, a service's log.

mod list;
mod live;
mod log;
mod show;

use meshkeep_core::access::Action;

use crate::studio::pages::{PageNeeds, PageRoute};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/projects/{project}/sessions")
            .page(PageNeeds::May(Action::Look), list::show)
            .form(list::launch),
        PageRoute::at("/studio/projects/{project}/sessions/{session}").page(PageNeeds::May(Action::Look), show::show),
        PageRoute::at("/studio/projects/{project}/sessions/{session}/live")
            .page(PageNeeds::May(Action::Look), live::follow),
        PageRoute::at("/studio/projects/{project}/sessions/{session}/stop").form(show::stop),
        PageRoute::at("/studio/projects/{project}/sessions/{session}/services/{service}/restart").form(show::restart),
        PageRoute::at("/studio/projects/{project}/sessions/{session}/services/{service}/log")
            .page(PageNeeds::May(Action::ReadLogs), log::show),
        PageRoute::at("/studio/projects/{project}/sessions/{session}/services/{service}/log.txt")
            .page(PageNeeds::May(Action::ReadLogs), log::text),
    ]
}
