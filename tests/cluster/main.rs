//! The operator as it ships, on a real API server, under its chart's rights, against the emulated service.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test"
)]

mod answers;
mod asked;
mod canary;
mod chart;
mod cluster_account;
mod conditions;
mod costs;
mod crashes;
mod deletion;
mod docs;
mod doctor;
mod drain;
mod events;
mod first_minutes;
mod gitops;
mod going;
mod health;
mod kstatus;
mod leader;
mod life;
mod lists;
mod manifest;
mod mass_deletion;
mod memory;
mod namespaces;
mod numbers;
#[cfg(feature = "otlp")]
mod otlp;
mod outage;
mod poison;
mod port;
mod proxy;
mod reach;
mod refused;
mod renders;
mod replica;
mod sharing;
mod simulated;
mod soak;
mod starting;
mod storm;
mod strange_accounts;
mod support;
mod tampering;
mod telemetry;
mod tenants;
mod trimmed_crd;
mod trust;
mod two_releases;
mod verbs;
mod waiting;
