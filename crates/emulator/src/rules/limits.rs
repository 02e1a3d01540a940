//! Rate limits as a rules file says them (contract section 4).

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// The limits in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the rules file")]
pub struct Limits {
    /// False admits everything and sends no header.
    pub enabled: bool,
    /// All authenticated requests of a client.
    pub requests: Limit,
    /// Its submits, which count as requests too.
    pub submits: Limit,
    /// What is counted; the contract does not say which the service does (section 9, row 7).
    pub window: Window,
    /// Whether a refused request uses up the limit too.
    pub count_refused: bool,
    /// Whether a 429 carries `Retry-After`, in whole seconds.
    pub retry_after: bool,
    /// Whether replies other than a 429 carry `X-RateLimit-*`.
    pub headers: bool,
}

/// One limit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests admitted in a minute, at least 1.
    pub per_minute: u32,
    /// Size of the bucket when the window is one, at least 1; otherwise unused.
    pub burst: u32,
}

/// How a minute is counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// A token bucket of `burst`, refilled at `per_minute`.
    Bucket,
    /// At most `per_minute` in any 60 s.
    Sliding,
    /// At most `per_minute` between two full minutes of the wall clock.
    Fixed,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            requests: Limit { per_minute: 100, burst: 20 },
            submits: Limit { per_minute: 10, burst: 10 },
            window: Window::Bucket,
            count_refused: false,
            retry_after: true,
            headers: true,
        }
    }
}

impl Limits {
    /// No limit at all.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let counts =
            [self.requests.per_minute, self.requests.burst, self.submits.per_minute, self.submits.burst];
        ensure!(counts.iter().all(|n| *n >= 1), "limits: per_minute and burst must be at least 1");
        Ok(())
    }
}
