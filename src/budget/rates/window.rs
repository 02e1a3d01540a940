//! What was sent in the last 60 seconds, and how more is spread: so many at once as the burst allows, and from then on evenly,
//! so that all that the limit allows is sent, nothing arrives beyond it, and nobody waits for long.
//!
//! A request may arrive at any time until it is answered, and counts for 60 seconds from then on. So in any 60 seconds no
//! more arrive than the limit allows, however late each one does.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long a request counts.
const MINUTE: Duration = Duration::from_secs(60);
/// In how many pieces a time without requests is looked at.
const PIECES: usize = 32;
/// What is lost in sums of parts of a request.
const ROUNDING: f64 = 1e-6;

/// At most `limit` in any 60 seconds, and `burst` at once.
#[derive(Debug, PartialEq)]
pub(super) struct Window {
    limit: u32,
    burst: u32,
    /// Let out, and not answered.
    out: u32,
    /// What else counts, in the order in which it ceases to.
    counts: VecDeque<Count>,
    /// What could be sent at once at a time, and how many requests a second come in addition.
    level: f64,
    pace: f64,
    at: Timestamp,
}

#[derive(Debug, PartialEq)]
struct Count {
    until: Timestamp,
    /// Whether it is only feared that an earlier process sent it.
    guessed: bool,
}

impl Window {
    /// Nothing was sent.
    pub(super) fn unused(limit: u32, burst: u32, now: Timestamp) -> Self {
        let mut window =
            Self { limit: 0, burst: 0, out: 0, counts: VecDeque::new(), level: 0.0, pace: 0.0, at: now };
        window.resize(limit, burst, now);
        window.level = f64::from(window.burst);
        window
    }

    /// An earlier process may just have sent all that it could: evenly, and a burst at the end.
    pub(super) fn spent(limit: u32, burst: u32, now: Timestamp) -> Self {
        let mut window = Self::unused(limit, burst, now);
        let even = limit.saturating_sub(window.burst);
        for n in 1..=limit {
            let until = now + if n <= even { MINUTE.mul_f64(f64::from(n) / f64::from(even)) } else { MINUTE };
            window.counts.push_back(Count { until, guessed: true });
        }
        window.level = 0.0;
        window.pace = window.even_pace(now);
        window
    }

    /// Other limits from now on: none makes a request that could be sent, and what was sent counts as before.
    pub(super) fn resize(&mut self, limit: u32, burst: u32, now: Timestamp) {
        self.refresh(now);
        (self.limit, self.burst) = (limit, burst.clamp(1, limit.saturating_sub(1).max(1)));
        self.level = self.level.min(f64::from(self.burst));
        self.pace = self.even_pace(now);
    }

    /// Takes time up to now into account. While nothing is sent the pace only grows, so that it may be taken piece by piece.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        let ceased = self.counts.partition_point(|count| count.until <= now);
        let piece = ceased / PIECES + 1;
        for _ in 0..ceased.div_ceil(piece) {
            let gone = piece.min(self.counts.partition_point(|count| count.until <= now));
            let last = self.counts.drain(..gone).last();
            self.pass(last.map_or(now, |count| count.until));
        }
        self.pass(now);
    }

    /// Lets time pass in which the pace was kept.
    fn pass(&mut self, to: Timestamp) {
        self.level = self.level_at(to);
        self.at = self.at.max(to);
        self.pace = self.even_pace(to);
    }

    fn level_at(&self, now: Timestamp) -> f64 {
        (self.level + self.pace * seconds(self.at, now)).min(f64::from(self.burst))
    }

    fn even_pace(&self, now: Timestamp) -> f64 {
        self.pace_after(0, now)
    }

    /// The pace that can be kept for a minute although what was sent ceases to count only piece by piece, once so much of it
    /// has; so that the next request is ready when there is room for it.
    fn pace_after(&self, ceased: usize, now: Timestamp) -> f64 {
        let left = self.counts.iter().skip(ceased);
        let free = f64::from(self.limit) - f64::from(self.out) - left.len() as f64;
        let room = |ceased: usize| (free + ceased as f64 + 1.0).max(1.0);
        let whole = room(left.len()).min(f64::from(self.limit)) / MINUTE.as_secs_f64();
        let before =
            |(ceased, count): (usize, &Count)| room(ceased) / seconds(now, count.until).max(ROUNDING);
        left.enumerate().map(before).fold(whole, f64::min)
    }

    /// What counts at a time.
    fn counted(&self, now: Timestamp) -> u32 {
        let ceased = self.counts.partition_point(|count| count.until <= now);
        self.out.saturating_add(u32::try_from(self.counts.len() - ceased).unwrap_or(u32::MAX))
    }

    /// Whether a request may be sent.
    pub(super) fn has(&self, now: Timestamp) -> bool {
        self.level_at(now) >= 1.0 - ROUNDING && self.counted(now) < self.limit
    }

    /// When one may be; later than any time where only an answer can tell.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        if self.limit == 0 {
            return Timestamp::MAX;
        }
        let (mut level, mut at) = (self.level_at(now), now);
        let mut ceased = self.counts.partition_point(|count| count.until <= now);
        loop {
            let counted = self.counts.len() - ceased + self.out as usize;
            let free = counted < self.limit as usize;
            if level >= 1.0 - ROUNDING && free {
                return at;
            }
            let ceases = self.counts.get(ceased).map_or(Timestamp::MAX, |count| count.until);
            let pace = self.pace_after(ceased, at);
            let wait = Duration::try_from_secs_f64((1.0 - level).max(0.0) / pace).unwrap_or(MINUTE);
            let comes = at.checked_add(wait + Duration::from_nanos(1)).unwrap_or(Timestamp::MAX);
            if free && comes <= ceases {
                return comes;
            }
            if ceases == Timestamp::MAX {
                return ceases;
            }
            level = (level + pace * seconds(at, ceases)).min(f64::from(self.burst));
            (at, ceased) = (ceases, ceased + 1);
        }
    }

    /// Lets one out.
    pub(super) fn take(&mut self, now: Timestamp) {
        self.refresh(now);
        self.level = (self.level - 1.0).max(0.0);
        self.out = self.out.saturating_add(1);
        self.pace = self.even_pace(now);
    }

    /// One that was let out is answered, or nobody waits for its answer any more.
    pub(super) fn answered(&mut self, now: Timestamp) {
        self.refresh(now);
        if self.out > 0 {
            self.out -= 1;
            self.count(1, now);
        }
        self.pace = self.even_pace(now);
    }

    /// One that was let out was not sent.
    pub(super) fn give_back(&mut self) {
        if self.out > 0 {
            self.out -= 1;
            self.level = (self.level + 1.0).min(f64::from(self.burst));
        }
    }

    /// Counts what was sent without having been let out.
    pub(super) fn charge(&mut self, requests: u32, now: Timestamp) {
        self.refresh(now);
        self.count(requests, now);
        self.level = (self.level - f64::from(requests)).max(0.0);
        self.pace = self.even_pace(now);
    }

    fn count(&mut self, requests: u32, now: Timestamp) {
        let until = now + MINUTE;
        let place = self.counts.partition_point(|count| count.until <= until);
        for _ in 0..requests.min(self.limit) {
            self.counts.insert(place, Count { until, guessed: false });
        }
    }

    /// The service says how many it would take now. From the first time on nothing is feared of an earlier process.
    pub(super) fn at_most(&mut self, requests: u32, now: Timestamp) {
        self.refresh(now);
        if self.counts.iter().any(|count| count.guessed) {
            self.counts.retain(|count| !count.guessed);
            let left = self.burst.saturating_sub(self.counted(now));
            self.level = self.level.max(f64::from(left));
        }
        self.level = self.level.min(f64::from(requests));
        self.pace = self.even_pace(now);
    }

    /// Whether all that the limit allows was sent from here, as far as anybody knows.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.counted(now) >= self.limit
    }

    /// How many could be sent at once.
    pub(super) fn available(&self, now: Timestamp) -> u32 {
        let level = (self.level_at(now) + ROUNDING).floor();
        // Between nothing and the burst.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is small and not negative"
        )]
        let level = level.clamp(0.0, f64::from(self.burst)) as u32;
        level.min(self.limit.saturating_sub(self.counted(now)))
    }

    /// How long so many take in the long run.
    pub(super) fn time_for(&self, requests: u32) -> Option<Duration> {
        MINUTE.checked_mul(requests)?.checked_div(self.limit)
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).max(SignedDuration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Duration, MINUTE, Timestamp, Window};

    fn times(limit: u32, from: Timestamp, lasts: Duration, mut window: Window) -> Vec<Timestamp> {
        let (mut now, mut sent) = (from, Vec::new());
        while now < from + lasts && sent.len() < 100 * limit as usize {
            window.refresh(now);
            while window.has(now) {
                window.take(now);
                window.answered(now);
                sent.push(now);
            }
            let next = window.next(now);
            assert!(next > now, "it would be asked again and again");
            now = next;
        }
        sent
    }

    fn most(arrived: &mut [Timestamp]) -> usize {
        arrived.sort();
        let in_window =
            |from: usize| arrived[from..].iter().take_while(|at| **at < arrived[from] + MINUTE).count();
        (0..arrived.len()).map(in_window).max().unwrap_or(0)
    }

    /// While somebody always waits, all that the limit allows is sent, and there is no hole in it.
    #[test]
    fn the_whole_limit_is_sent_without_a_hole() {
        let now = Timestamp::UNIX_EPOCH;
        for (limit, burst) in [(100, 20), (60, 12), (10, 2), (600, 120), (2, 1)] {
            let minutes = 20;
            for window in [Window::unused(limit, burst, now), Window::spent(limit, burst, now)] {
                let mut sent = times(limit, now, MINUTE * minutes, window);
                let hole = sent.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap();
                let even = MINUTE / limit;
                assert!(hole <= (even * 2).try_into().unwrap(), "{limit}: nothing for {hole:?}");
                assert!(most(&mut sent) <= limit as usize, "{limit}");
                let lost = (limit * minutes) as usize - sent.len().min((limit * minutes) as usize);
                assert!(lost <= limit as usize / 2 + 1, "{limit}: {lost} fewer in {minutes} minutes");
            }
        }
    }

    #[test]
    fn what_rests_may_send_a_burst_at_once_and_a_new_process_begins_evenly() {
        let now = Timestamp::UNIX_EPOCH;
        let at_once = |window: &Window, at| window.available(at);
        assert_eq!(at_once(&Window::unused(100, 20, now), now), 20);
        let spent = Window::spent(100, 20, now);
        assert_eq!((at_once(&spent, now), spent.has(now)), (0, false));
        let first = spent.next(now).duration_since(now).as_millis();
        assert!((700..=800).contains(&first), "after {first} ms");
        let mut rested = Window::spent(100, 20, now);
        rested.refresh(now + MINUTE);
        assert_eq!(at_once(&rested, now + MINUTE), 20);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Take(u8),
        Answer,
        GiveBack,
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..9_000_u64).prop_map(Step::Wait),
            6 => (1..30_u8).prop_map(Step::Take),
            6 => Just(Step::Answer),
            1 => Just(Step::GiveBack),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 1..400)
    }

    proptest! {
        /// Each request arrives at some time until it is answered; a process that begins anew knows nothing of the last one.
        #[test]
        fn no_minute_sees_more_arrive_than_the_limit(
            limit in 2..120_u32, burst in 1..30_u32, steps in steps(), late in prop::collection::vec(0.0..1.0_f64, 400),
        ) {
            let mut now = Timestamp::UNIX_EPOCH;
            let mut window = Window::unused(limit, burst, now);
            let (mut out, mut arrived): (Vec<Timestamp>, Vec<Timestamp>) = (Vec::new(), Vec::new());
            let mut late = late.into_iter().cycle();
            for step in steps {
                // No request lasts longer than 15 s.
                let arrives = |sent: Timestamp, now: Timestamp, part: f64| {
                    sent + Duration::try_from(now.duration_since(sent)).unwrap().mul_f64(part)
                };
                match step {
                    Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                    Step::Take(most) => {
                        for _ in 0..most {
                            window.refresh(now);
                            if window.has(now) {
                                window.take(now);
                                out.push(now);
                            }
                        }
                    }
                    Step::Answer => {
                        if !out.is_empty() {
                            window.answered(now);
                            arrived.push(arrives(out.remove(0), now, late.next().unwrap()));
                        }
                    }
                    Step::GiveBack => {
                        if out.pop().is_some() {
                            window.give_back();
                        }
                    }
                    // What was under way has arrived by then.
                    Step::Restart => {
                        arrived.extend(out.drain(..).map(|sent| arrives(sent, now, late.next().unwrap())));
                        window = Window::spent(limit, burst, now);
                    }
                }
                while out.first().is_some_and(|sent| *sent + Duration::from_secs(15) <= now) {
                    let sent = out.remove(0);
                    window.answered(now);
                    arrived.push(arrives(sent, now.min(sent + Duration::from_secs(15)), late.next().unwrap()));
                }
            }
            arrived.append(&mut out);
            prop_assert!(most(&mut arrived) <= limit as usize, "{} in a minute", most(&mut arrived));
        }
    }
}
