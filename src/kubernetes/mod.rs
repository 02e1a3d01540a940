//! How the API server is reached, what it said last, and which of its words may be shown.
//!
//! It knows addresses, bytes and errors. It must never know what an object means.

mod address;
mod answer;
mod asked;
mod client;
mod direct;
mod news;
mod words;

pub use answer::{Trouble, answer, page};
pub use client::connect;
pub use news::{Heard, News};
pub use words::{clean, said_in_decoding, said_of, said_of_status, said_of_watch};
