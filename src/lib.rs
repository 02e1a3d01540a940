//! The map of rooms. `ARCHITECTURE.md` says what each is for and what it may use.

pub mod account;
pub mod api;
pub mod app;
pub mod budget;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod decide;
pub mod doctor;
pub mod drain;
pub mod health;
pub mod kubernetes;
pub mod leader;
pub mod logging;
pub mod offline;
pub mod poll;
pub mod serve;
pub mod spideriq;
pub mod status;
pub mod telemetry;
