//! The image and the chart on a real node, with the service as a pod beside it. `make e2e` runs this within a node's network.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test"
)]

mod cluster;
mod life;
mod operator;
mod service;
