//! What was sent in the last 60 seconds, and when more may be: so much at once as the burst allows, and from then on evenly.
//!
//! A request may arrive at any time until it is answered, and counts for 60 seconds from then on. So in any 60 seconds no
//! more arrive than the limit allows, however late each one does.
//!
//! Of any shorter time the end is bounded, too: by the burst, and by what is left of the limit spread over a minute. That is
//! what a process that begins anew has to take for sent, and what spreads a burst over the minute after it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::past::Past;

/// The largest limit: a thousand requests a second. Each that is sent is kept for a minute, whatever limits somebody writes.
const MOST: u32 = 60_000;
/// The longest that a request takes: one whose answer nobody saw may have arrived so late.
const LATEST: Duration = Duration::from_secs(15);
/// What is lost where a minute is divided, summed up.
const ROUNDING: Duration = Duration::from_micros(1);
/// How long a request counts.
const MINUTE: Duration = Duration::from_secs(60);

/// At most `limit` in any 60 seconds, and `burst` at once.
#[derive(Debug, PartialEq)]
pub(super) struct Window {
    limit: u32,
    burst: u32,
    /// Let out, and not answered.
    out: u32,
    /// What else counts, in the order in which it ceases to.
    counts: VecDeque<Count>,
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
        let mut window = Self { limit: 0, burst: 0, out: 0, counts: VecDeque::new() };
        window.resize(limit, burst, now);
        window
    }

    /// An earlier process may just have sent all that it could: evenly, and a burst at the end.
    pub(super) fn spent(limit: u32, burst: u32, now: Timestamp) -> Self {
        let mut window = Self::unused(limit, burst, now);
        let even = window.limit.saturating_sub(window.burst);
        let evenly = (1..even).map(|n| MINUTE * n / even);
        let at_the_end = std::iter::repeat_n(MINUTE, window.burst as usize);
        let until = evenly.chain(at_the_end).map(|after| now + after);
        window.counts = until.map(|until| Count { until, guessed: true }).collect();
        window
    }

    /// Other limits from now on; what was sent counts as before.
    pub(super) fn resize(&mut self, limit: u32, burst: u32, now: Timestamp) {
        self.refresh(now);
        let limit = limit.min(MOST);
        (self.limit, self.burst) = (limit, burst.clamp(1, limit.max(1)));
    }

    /// Forgets what counts no more.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        while self.counts.front().is_some_and(|count| count.until <= now) {
            self.counts.pop_front();
        }
    }

    /// What counts at a time, the last that was sent first: how many came with and after it, and when it was answered.
    fn counted(&self, now: Timestamp) -> impl Iterator<Item = (u32, Timestamp)> {
        let recent = self.counts.iter().rev().take_while(move |count| count.until > now);
        recent.zip(self.out + 1..).map(|(count, so_many)| (so_many, count.until - MINUTE))
    }

    fn length(&self, now: Timestamp) -> u32 {
        let ceased = self.counts.partition_point(|count| count.until <= now);
        self.out.saturating_add(u32::try_from(self.counts.len() - ceased).unwrap_or(u32::MAX))
    }

    /// How many may have been sent within so long.
    fn within(&self, length: SignedDuration) -> u32 {
        let length = Duration::try_from(length).unwrap_or_default() + ROUNDING;
        let even = u128::from(self.limit.saturating_sub(self.burst));
        let spread = even * length.as_nanos() / MINUTE.as_nanos();
        self.burst.saturating_add(u32::try_from(spread).unwrap_or(u32::MAX))
    }

    /// How long it takes until so many may have been sent.
    fn time_of(&self, requests: u32) -> Duration {
        let beyond = requests.saturating_sub(self.burst);
        let even = self.limit.saturating_sub(self.burst);
        if beyond == 0 {
            return Duration::ZERO;
        }
        (MINUTE * beyond).checked_div(even).unwrap_or(MINUTE)
    }

    /// Whether a request may be sent.
    pub(super) fn has(&self, now: Timestamp) -> bool {
        self.next(now) <= now
    }

    /// When one may be; later than any time where only an answer can tell.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        self.next_leaving(0, now)
    }

    /// The same, where so many more might be sent at once then. Where few go at once nothing is left of them.
    pub(super) fn next_leaving(&self, more: u32, now: Timestamp) -> Timestamp {
        let at_once = self.burst.min(self.limit);
        let more = if at_once > 2 * more { more } else { 0 };
        if self.out + more >= at_once {
            return Timestamp::MAX;
        }
        let spread = self.counted(now).map(|(so_many, at)| at + self.time_of(so_many + 1 + more).min(MINUTE));
        let whole = self
            .counts
            .iter()
            .rev()
            .nth((self.limit - self.out - 1 - more) as usize)
            .map(|count| count.until);
        spread.chain(whole).max().map_or(now, |at| at.max(now))
    }

    /// Lets one out.
    pub(super) fn take(&mut self, now: Timestamp) {
        self.refresh(now);
        self.out = self.out.saturating_add(1);
    }

    /// One that was let out is answered, or nobody waits for its answer any more.
    pub(super) fn answered(&mut self, now: Timestamp) {
        self.refresh(now);
        if self.out > 0 {
            self.out -= 1;
            self.count(1, now + MINUTE);
        }
    }

    /// One that was let out was not sent.
    pub(super) fn give_back(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// Counts what was sent without having been let out.
    pub(super) fn charge(&mut self, requests: u32, now: Timestamp) {
        self.refresh(now);
        self.count(requests.min(self.limit), now + MINUTE);
    }

    fn count(&mut self, requests: u32, until: Timestamp) {
        let place = self.counts.partition_point(|count| count.until <= until);
        for _ in 0..requests {
            self.counts.insert(place, Count { until, guessed: false });
        }
    }

    /// The service says how many it would take now: where that is fewer, others have sent the rest. From the first time on
    /// nothing is feared of an earlier process.
    pub(super) fn at_most(&mut self, requests: u32, now: Timestamp) {
        self.refresh(now);
        self.counts.retain(|count| !count.guessed);
        self.count(self.available(now).saturating_sub(requests), now + MINUTE);
    }

    /// Whether it is only feared what an earlier process sent.
    pub(super) fn guesses(&self) -> bool {
        self.counts.iter().any(|count| count.guessed)
    }

    /// An earlier process sent these, so long ago at the least: nothing else is feared of it.
    pub(super) fn sent_before(&mut self, ages: impl Iterator<Item = Duration>, now: Timestamp) {
        self.refresh(now);
        if !self.guesses() {
            // Somebody else has just told it.
            return;
        }
        self.counts.retain(|count| !count.guessed);
        for age in ages {
            self.count(1, now + (MINUTE + LATEST).saturating_sub(age).min(MINUTE));
        }
        self.refresh(now);
    }

    /// What was sent in the last minute, as far as it is known or feared; what is not answered counts as just sent.
    pub(super) fn past(&self, now: Timestamp) -> Past {
        let known = self.counts.iter().filter(|count| count.until > now);
        let age = |count: &Count| {
            Duration::try_from((now + MINUTE).duration_since(count.until)).unwrap_or_default()
        };
        Past::of(known.map(age).chain(std::iter::repeat_n(Duration::ZERO, self.out as usize)))
    }

    /// An earlier process sent this, and what it could in so long after: nothing else is feared of it.
    pub(super) fn restore(&mut self, past: Past, unknown: Duration, now: Timestamp) {
        self.refresh(now);
        if !self.guesses() {
            return;
        }
        self.counts.retain(|count| !count.guessed);
        for age in past.ages() {
            self.count(1, now + MINUTE.saturating_sub(age));
        }
        let since = (now + MINUTE).saturating_sub(unknown).unwrap_or(now);
        let feared = Self::spent(self.limit, self.burst, now).counts.into_iter();
        self.counts.extend(feared.filter(|count| !unknown.is_zero() && count.until > since));
        self.counts.make_contiguous().sort_by_key(|count| count.until);
        self.refresh(now);
    }

    /// Whether all that the limit allows was sent from here, as far as anybody knows.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.length(now) >= self.limit
    }

    /// How many could be sent at once.
    pub(super) fn available(&self, now: Timestamp) -> u32 {
        let spread = self
            .counted(now)
            .map(|(so_many, at)| self.within(now.duration_since(at)).saturating_sub(so_many));
        let least = spread.min().unwrap_or(u32::MAX).min(self.burst.saturating_sub(self.out));
        least.min(self.limit.saturating_sub(self.length(now)))
    }

    /// How long so many take in the long run.
    pub(super) fn time_for(&self, requests: u32) -> Option<Duration> {
        MINUTE.checked_mul(requests)?.checked_div(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Duration, MINUTE, Past, Timestamp, Window};

    const UNKNOWN: Duration = Duration::from_secs(10);

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

    /// While somebody always waits, all but one of what the limit allows is sent, and there is no hole in it.
    #[test]
    fn nearly_the_whole_limit_is_sent_without_a_hole() {
        let now = Timestamp::UNIX_EPOCH;
        for (limit, burst) in [(100, 20), (60, 12), (10, 2), (600, 120), (2, 1)] {
            let minutes = 20;
            for window in [Window::unused(limit, burst, now), Window::spent(limit, burst, now)] {
                let mut sent = times(limit, now, MINUTE * minutes, window);
                let hole = sent.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap();
                let even = MINUTE / limit;
                assert!(hole <= (even * 2).try_into().unwrap(), "{limit}: nothing for {hole:?}");
                assert!(most(&mut sent) <= limit as usize, "{limit}");
                // One fewer in a minute, and the first one.
                let lost = (limit * minutes) as usize - sent.len().min((limit * minutes) as usize);
                assert!(
                    lost <= (minutes + limit / 5 + 1) as usize,
                    "{limit}: {lost} fewer in {minutes} minutes"
                );
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

    #[test]
    fn a_limit_that_nobody_reaches_costs_no_memory() {
        let now = Timestamp::UNIX_EPOCH;
        for limit in [100_000, u32::MAX] {
            let window = Window::spent(limit, limit, now);
            assert_eq!(window.counts.len(), super::MOST as usize);
            assert!(Window::unused(limit, 20, now).has(now));
        }
        let mut none = Window::unused(0, 1, now);
        assert_eq!((none.has(now), none.next(now), none.available(now)), (false, Timestamp::MAX, 0));
        none.answered(now);
        none.give_back();
        none.at_most(3, now);
        assert!(!none.has(now));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Take(u8),
        Answer,
        GiveBack,
        Restart,
        /// The process tells what it has sent; without it nobody knows.
        Tell,
        /// The next one takes over what was told, which may be old.
        TakeOver,
        /// It tells so as it ends, when all is answered.
        HandOver,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..9_000_u64).prop_map(Step::Wait),
            6 => (1..30_u8).prop_map(Step::Take),
            6 => Just(Step::Answer),
            1 => Just(Step::GiveBack),
            1 => Just(Step::Restart),
            3 => Just(Step::Tell),
            1 => Just(Step::TakeOver),
            1 => Just(Step::HandOver),
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
            let mut told: Option<(Timestamp, Past)> = None;
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
                        told = None;
                    }
                    Step::Tell => told = Some((now, window.past(now))),
                    // Nobody may send for longer after it has told.
                    Step::TakeOver => {
                        arrived.extend(out.drain(..).map(|sent| arrives(sent, now, late.next().unwrap())));
                        window = Window::spent(limit, burst, now);
                        if let Some((_, past)) = told.take().filter(|(at, _)| *at + UNKNOWN >= now) {
                            window.restore(past, UNKNOWN, now);
                        }
                    }
                    Step::HandOver => {
                        let under_way = out.len();
                        arrived.extend(out.drain(..).map(|sent| arrives(sent, now, late.next().unwrap())));
                        (0..under_way).for_each(|_| window.answered(now));
                        let past = window.past(now);
                        window = Window::spent(limit, burst, now);
                        window.restore(past, Duration::ZERO, now);
                        told = None;
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
