//! What needs no cluster and no service: tables and properties of the pure places.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    unreachable_pub,
    reason = "a test"
)]

mod account;
mod budget;
mod chain;
mod claims;
mod client_identity;
mod conditions;
mod decisions;
mod deletion;
mod gate;
mod lanes;
mod lease;
mod limits;
mod messages;
mod numbers;
mod owed;
mod pauses;
mod resting;
mod restored;
mod shared_account;
mod sharing;
mod situation;
mod spend_cap;
mod table;
mod unknown;
mod unproven;
mod unreadable;
mod verbs;
mod waits;
mod written;
