//! How many requests one client may send, and whose turn it is. Pure but for the gate: time and jitter are arguments.
//!
//! The service allows so many requests, and so many submits, in any 60 seconds, counted over everything that uses
//! the client (contract section 4). So there is one budget for each client, whatever the number of objects; within it an
//! account that has limits of its own is bound by them.
//!
//! It must never know HTTP, or what a request says.

mod brakes;
mod gate;
mod outage;
mod queue;
mod rates;
mod request;
mod turns;

pub use brakes::{SUBMITS_PROBE, UNTRIED, capped};
pub use gate::{Gate, Permit, Reservation};
pub use outage::Stop;
pub use rates::{Limits, Past};
pub use request::{Counted, Lane, Subject, Ticket, Verdict};
pub use turns::Budget;
