//! The SpiderIQ service on loopback: for tests, the demo, and people who write manifests and do not want to pay.
//!
//! Written from the service's contract alone; shares no type with the operator's client, so that one misreading cannot
//! hide in both. "Contract section N" below means that document.
//!
//! ```no_run
//! # async fn run() -> anyhow::Result<()> {
//! let service = emulator::Emulator::start(emulator::Config::default()).await?;
//! println!("{} accepts {}", service.base_url(), emulator::DEMO_TOKEN);
//! service.set_rules(emulator::rules::Rules::parse("jobs: [{end: failed}]")?)?;
//! # Ok(())
//! # }
//! ```

mod admin;
mod api;
mod clock;
mod jobs;
pub mod rules;
mod server;
mod service;

pub use jobs::JobView;
pub use server::{Config, DEMO_TOKEN, Emulator, InProcess, Running, Tls};
pub use service::journal;
pub use service::tokens::Token;
pub use service::{Control, JobSpec};
