//! What the process knows of jobs.

mod collecting;
mod exclusive;
mod memory;
mod paces;
mod places;
mod readings;
mod unrecorded;

pub(in crate::controller) use collecting::{Collecting, Of, Taken};
pub(in crate::controller) use exclusive::Exclusive;
pub(in crate::controller) use memory::{Decided, Ending, Line, Memories, Remembered};
pub(in crate::controller) use paces::Paces;
pub(in crate::controller) use places::Places;
pub(in crate::controller) use readings::{Asked, Readings, Sharers, compare};
pub(in crate::controller) use unrecorded::{Accepted, Unrecorded};
