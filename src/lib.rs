//! The map of rooms. `ARCHITECTURE.md` says what each is for and what it may use.

pub mod api;
pub mod decide;
pub mod status;
