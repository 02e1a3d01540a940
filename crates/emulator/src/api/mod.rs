//! The service's HTTP face (contract sections 1, 2, 4 and 7).

mod deliver;
mod events;
mod jobs;
mod list;
mod render;
mod reply;
mod route;
mod serve;
mod submit;
mod system;

pub(crate) use deliver::Severed;
pub(crate) use serve::serve;
