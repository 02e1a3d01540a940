//! The emulated service: its state, what it writes down of it, and the hand on it. Replies are made elsewhere (`api`).

mod control;
pub mod journal;
pub(crate) mod meters;
pub(crate) mod tokens;
mod world;

pub use control::{Control, JobSpec};
pub(crate) use world::{Change, Order, World};
