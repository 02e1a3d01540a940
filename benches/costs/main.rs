//! What the operator costs, measured: `make bench` writes `docs/benchmarks.md` from what this prints.
//!
//! Nothing here passes or fails: figures of one machine are not those of another. PARTS names the parts that are measured,
//! of decisions, idle, submits, flight and objects; without it all are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "figures are rounded anyway"
)]
#![expect(dead_code, unreachable_pub, reason = "parts of the tests are used")]

#[path = "../../tests/cluster/manifest.rs"]
mod manifest;
#[path = "../../tests/cluster/reach.rs"]
mod reach;
#[path = "../../tests/pure/situation.rs"]
mod situation;
#[path = "../../tests/cluster/support.rs"]
mod support;

mod decisions;
mod figures;
mod flight;
mod idle;
mod objects;
mod plot;
mod scene;
mod submits;

use std::path::PathBuf;
use std::time::Instant;

use figures::{row, table};

#[tokio::main]
async fn main() {
    let parts = std::env::var("PARTS").ok().filter(|parts| !parts.is_empty());
    let parts = parts.as_deref().unwrap_or("decisions idle submits flight objects");
    let program = std::env::var_os("OPERATOR")
        .unwrap_or_else(|| panic!("OPERATOR must name the release binary; run `make bench`"));
    let program = PathBuf::from(program);
    println!("# Benchmarks\n");
    println!(
        "Written by `make bench`: one run, on 2 cores, release build; timings on a busy machine vary by a factor of two.\n"
    );
    for part in parts.split_whitespace() {
        let begun = Instant::now();
        match part {
            "decisions" => decisions::measure(&program),
            "idle" => idle::measure(&program).await,
            "submits" => submits::measure(&program).await,
            "flight" => flight::measure(&program).await,
            "objects" => objects::measure(&program).await,
            other => panic!("there is no part {other}"),
        }
        eprintln!("== {part}: {} s", begun.elapsed().as_secs());
    }
}
