//! What the process knows of accounts.

mod known;
mod lines;
mod tallies;
mod uses;
mod woken;

pub use known::{AccountWriters, Known, account_caches};
pub(in crate::controller) use known::{Admission, CachedNamespace, key_of, takes_default};
pub(in crate::controller) use lines::{Line, Lines};
pub(in crate::controller) use tallies::Tallies;
pub(in crate::controller) use uses::Uses;
pub(in crate::controller) use woken::Woken;
