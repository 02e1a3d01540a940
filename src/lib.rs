//! The map of rooms. `ARCHITECTURE.md` says what each is for and what it may use.

pub mod api;
pub mod clock;
pub mod decide;
pub mod poll;
pub mod spideriq;
pub mod status;
