//! Counts the requests of each client against its limits (contract section 4).
//!
//! Counts in wall time; knows nothing of routes or bodies.

use std::collections::{HashMap, VecDeque};

use crate::clock::Micros;
use crate::rules::{Limit, Limits, Window};

const MINUTE: Micros = 60_000_000;

/// What a limit says of one request, and what its headers tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) admitted: bool,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Wall time at which the limit is whole again.
    pub(crate) reset: Micros,
    /// Span until one request would be admitted.
    pub(crate) wait: Micros,
}

/// The use that each client has made of its limits.
#[derive(Debug, Default)]
pub(crate) struct Meters(HashMap<(String, bool), Meter>);

#[derive(Debug, Default)]
struct Meter {
    /// Bucket: what has been taken and not yet refilled, in parts of which one request is [`MINUTE`].
    taken: Micros,
    seen: Micros,
    stamps: VecDeque<Micros>,
}

impl Meters {
    /// Counts a request. The verdict is that of the limit on requests, unless the one on submits refused.
    pub(crate) fn admit(&mut self, limits: &Limits, client: &str, submit: bool, wall: Micros) -> Verdict {
        let meter = self.0.entry((client.to_owned(), false)).or_default();
        let requests = meter.ask(limits, limits.requests, wall);
        if !submit || !requests.admitted {
            return requests;
        }
        let meter = self.0.entry((client.to_owned(), true)).or_default();
        let submits = meter.ask(limits, limits.submits, wall);
        if submits.admitted { requests } else { submits }
    }
}

impl Meter {
    fn ask(&mut self, limits: &Limits, limit: Limit, wall: Micros) -> Verdict {
        if limits.window == Window::Bucket {
            self.ask_bucket(limits, limit, wall)
        } else {
            self.ask_window(limits, limit, wall)
        }
    }

    fn ask_bucket(&mut self, limits: &Limits, limit: Limit, wall: Micros) -> Verdict {
        let rate = Micros::from(limit.per_minute.max(1));
        let size = Micros::from(limit.burst.max(1)) * MINUTE;
        let refilled = (wall - self.seen).clamp(0, size / rate + 1) * rate;
        self.taken = (self.taken - refilled).max(0);
        self.seen = wall;
        let admitted = self.taken + MINUTE <= size;
        if admitted || limits.count_refused {
            self.taken = (self.taken + MINUTE).min(size);
        }
        let left = size - self.taken;
        Verdict {
            admitted,
            limit: limit.per_minute,
            remaining: u32::try_from(left / MINUTE).unwrap_or(0),
            reset: wall + (self.taken + rate - 1) / rate,
            wait: ((MINUTE - left).max(0) + rate - 1) / rate,
        }
    }

    fn ask_window(&mut self, limits: &Limits, limit: Limit, wall: Micros) -> Verdict {
        let fixed = limits.window == Window::Fixed;
        let start = if fixed { wall - wall.rem_euclid(MINUTE) } else { wall - MINUTE + 1 };
        while self.stamps.front().is_some_and(|at| *at < start) {
            self.stamps.pop_front();
        }
        let size = usize::try_from(limit.per_minute.max(1)).unwrap_or(usize::MAX);
        let admitted = self.stamps.len() < size;
        if admitted || limits.count_refused {
            self.stamps.push_back(wall);
        }
        let free = size.saturating_sub(self.stamps.len());
        // The oldest stamp that must leave the window before the next request fits in.
        let gate = self.stamps.len().checked_sub(size).and_then(|n| self.stamps.get(n));
        let ends = |at: Micros| if fixed { start + MINUTE } else { at + MINUTE };
        Verdict {
            admitted,
            limit: limit.per_minute,
            remaining: u32::try_from(free).unwrap_or(u32::MAX),
            reset: self.stamps.back().map_or(wall, |at| ends(*at)),
            wait: gate.map_or(0, |at| ends(*at) - wall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    /// Asks at each time and compares with (admitted, remaining, wait).
    fn check(window: Window, count_refused: bool, asks: &[(Micros, bool, u32, Micros)]) {
        let limit = Limit { per_minute: 3, burst: 2 };
        let limits = Limits { window, count_refused, requests: limit, ..Limits::default() };
        let mut meters = Meters::default();
        for (n, (at, admitted, remaining, wait)) in asks.iter().enumerate() {
            let got = meters.admit(&limits, "cli_a", false, 600 * SECOND + at);
            let got = (got.admitted, got.remaining, got.wait);
            assert_eq!(got, (*admitted, *remaining, *wait), "{window:?}, ask {n}");
        }
    }

    #[test]
    fn windows_admit_what_they_promise() {
        let s = SECOND;
        check(
            Window::Bucket,
            false,
            &[
                (0, true, 1, 0),
                (0, true, 0, 20 * s),
                (0, false, 0, 20 * s),
                (19 * s, false, 0, s),
                (20 * s, true, 0, 20 * s),
                (90 * s, true, 1, 0),
            ],
        );
        let full = [(0, true, 2, 0), (10 * s, true, 1, 0), (20 * s, true, 0, 40 * s)];
        let sliding = [(59 * s, false, 0, s), (60 * s, true, 0, 10 * s), (61 * s, false, 0, 9 * s)];
        check(Window::Sliding, false, &[full, sliding].concat());
        let counted = [(50 * s, false, 0, 20 * s), (65 * s, false, 0, 15 * s)];
        check(Window::Sliding, true, &[&full[..], &counted[..]].concat());
        check(
            Window::Fixed,
            false,
            &[full, [(59 * s, false, 0, s), (60 * s, true, 2, 0), (61 * s, true, 1, 0)]].concat(),
        );
    }

    #[test]
    fn a_submit_must_pass_both_limits_and_clients_do_not_share_them() {
        let limits = Limits { submits: Limit { per_minute: 1, burst: 1 }, ..Limits::default() };
        let mut meters = Meters::default();
        let first = meters.admit(&limits, "cli_a", true, 0);
        assert_eq!((first.admitted, first.limit, first.remaining), (true, 100, 19));
        let second = meters.admit(&limits, "cli_a", true, 0);
        assert_eq!((second.admitted, second.limit, second.wait), (false, 1, MINUTE));
        assert!(meters.admit(&limits, "cli_a", false, 0).admitted, "reads go on");
        assert!(meters.admit(&limits, "cli_b", true, 0).admitted, "another client");
    }
}
