//! The real controllers against an API server and a service inside of this process, on paused time.
//!
//! One seed decides every fault; where a single object is at work, the same seed makes the same trace. `make sim SEEDS=n` runs many.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test"
)]

mod aliases;
mod api_server;
mod clocks;
mod cluster_account;
mod credentials;
mod crowd;
mod ends;
mod events;
mod fate;
mod faults;
mod lists;
mod loud;
mod mass_deletion;
mod mirrors;
mod oracle;
mod pauses;
mod resting;
mod run;
mod scenario;
mod service;
mod starts;
mod store;
mod strangers;
mod strays;
mod trimmed;
mod troubles;
mod two_releases;
mod watches;
