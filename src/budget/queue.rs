//! Who waits, by lane and group: fair between groups, first come first served within one.
//!
//! Those whom the same things stop stand in one line, so that whose turn it is, and when the next one comes, is read off the
//! first of each line: it costs as much as there are lines, whatever the number of those who wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::request::{Lane, Subject, Ticket};

/// One who waits, or is under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    /// The account, which may have limits of its own.
    pub(super) account: String,
    pub(super) subject: Subject,
}

/// What may stop one who waits, besides what stops its whole lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bound {
    /// The account, where it has limits of its own.
    pub(super) account: Option<String>,
    /// The type of a submit, where the service takes none of it.
    pub(super) kind: Option<String>,
    /// The object, where its own requests fail.
    pub(super) failing: Option<String>,
}

/// Everybody who waits.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Queue {
    lanes: BTreeMap<Lane, Waiting>,
    places: BTreeMap<Ticket, Place>,
}

#[derive(Debug, PartialEq)]
struct Place {
    lane: Lane,
    group: Arc<str>,
    bound: Arc<Bound>,
}

/// Who waits in one lane.
#[derive(Debug, Default, PartialEq)]
struct Waiting {
    groups: BTreeMap<Arc<str>, Group>,
    /// The groups that have somebody in a line, in the order in which they are served.
    lines: BTreeMap<Arc<Bound>, BTreeSet<(u64, Arc<str>)>>,
    /// The last place in that order.
    last: u64,
    length: usize,
}

#[derive(Debug, Default, PartialEq)]
struct Group {
    /// Its place in the order of groups.
    order: u64,
    lines: BTreeMap<Arc<Bound>, BTreeMap<Ticket, Waiter>>,
}

impl Queue {
    pub(super) fn push(&mut self, lane: Lane, group: &str, waiter: Waiter, bound: Bound) {
        self.put((lane, group.into(), None), waiter, bound);
    }

    /// The place of the group in the order is the last one, if it has none.
    fn put(&mut self, (lane, group, order): (Lane, Arc<str>, Option<u64>), waiter: Waiter, bound: Bound) {
        let bound = Arc::new(bound);
        let place = Place { lane, group: Arc::clone(&group), bound: Arc::clone(&bound) };
        self.places.insert(waiter.ticket, place);
        self.lanes.entry(lane).or_default().push((group, order), waiter, bound);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let Place { lane, group, bound } = self.places.remove(&ticket)?;
        self.lanes.get_mut(&lane)?.remove(&group, &bound, ticket)
    }

    /// Takes one out whose turn it is: its group goes to the back.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Waiter> {
        let place = self.places.get(&ticket)?;
        let (lane, group) = (place.lane, Arc::clone(&place.group));
        let taken = self.remove(ticket)?;
        self.lanes.get_mut(&lane)?.go_to_the_back(&group);
        Some(taken)
    }

    /// The next in this lane among those whose line is free to go.
    pub(super) fn next(&self, lane: Lane, free: impl Fn(&Bound) -> bool) -> Option<&Waiter> {
        let waiting = self.lanes.get(&lane)?;
        let open = waiting.lines.iter().filter(|(bound, _)| free(bound));
        let (_, group) = open.filter_map(|(_, groups)| groups.first()).min()?;
        let lines = waiting.groups.get(group)?.lines.iter().filter(|(bound, _)| free(bound));
        lines
            .filter_map(|(_, line)| line.first_key_value())
            .min_by_key(|(ticket, _)| **ticket)
            .map(|(_, next)| next)
    }

    /// Moves those who wait into the lines in which they belong by now; their groups keep their places.
    pub(super) fn sort(&mut self, tickets: &[Ticket], bound: impl Fn(Lane, &Waiter) -> Bound) {
        for ticket in tickets {
            let Some(Place { lane, group, .. }) = self.places.get(ticket) else { continue };
            let (lane, group) = (*lane, Arc::clone(group));
            let order =
                self.lanes.get(&lane).and_then(|waiting| waiting.groups.get(&group)).map(|group| group.order);
            let Some(waiter) = self.remove(*ticket) else { continue };
            let bound = bound(lane, &waiter);
            self.put((lane, group, order), waiter, bound);
        }
    }

    /// Those who wait with an account.
    pub(super) fn of_account(&self, account: &str) -> Vec<Ticket> {
        let lines = self
            .lanes
            .values()
            .flat_map(|waiting| waiting.groups.values())
            .flat_map(|group| group.lines.values());
        lines
            .flat_map(BTreeMap::values)
            .filter(|waiter| waiter.account == account)
            .map(|waiter| waiter.ticket)
            .collect()
    }

    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, |waiting| waiting.length)
    }

    /// What may stop those who wait in a lane.
    pub(super) fn bounds(&self, lane: Lane) -> impl Iterator<Item = &Bound> {
        self.lanes.get(&lane).into_iter().flat_map(|waiting| waiting.lines.keys().map(|bound| &**bound))
    }
}

impl Waiting {
    fn push(&mut self, (group, order): (Arc<str>, Option<u64>), waiter: Waiter, bound: Arc<Bound>) {
        let order = order.unwrap_or(self.last + 1);
        let found =
            self.groups.entry(Arc::clone(&group)).or_insert_with(|| Group { order, ..Group::default() });
        self.last = self.last.max(found.order);
        self.lines.entry(Arc::clone(&bound)).or_default().insert((found.order, group));
        found.lines.entry(bound).or_default().insert(waiter.ticket, waiter);
        self.length += 1;
    }

    fn remove(&mut self, name: &Arc<str>, bound: &Arc<Bound>, ticket: Ticket) -> Option<Waiter> {
        let group = self.groups.get_mut(name)?;
        let line = group.lines.get_mut(bound)?;
        let taken = line.remove(&ticket)?;
        self.length -= 1;
        if line.is_empty() {
            group.lines.remove(bound);
            if let Some(groups) = self.lines.get_mut(bound) {
                groups.remove(&(group.order, Arc::clone(name)));
                if groups.is_empty() {
                    self.lines.remove(bound);
                }
            }
        }
        if group.lines.is_empty() {
            self.groups.remove(name);
        }
        Some(taken)
    }

    fn go_to_the_back(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        self.last += 1;
        let before = std::mem::replace(&mut group.order, self.last);
        for bound in group.lines.keys() {
            if let Some(groups) = self.lines.get_mut(bound) {
                groups.remove(&(before, Arc::clone(name)));
                groups.insert((self.last, Arc::clone(name)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use proptest::prelude::*;

    use super::{Bound, Lane, Queue, Ticket, Waiter};

    fn waiter(ticket: u64, account: &str) -> Waiter {
        Waiter { ticket: Ticket(ticket), account: account.to_owned(), subject: "job".into() }
    }

    fn bound(account: &str) -> Bound {
        Bound { account: Some(account.to_owned()), ..Bound::default() }
    }

    /// The same rule as it is said: the groups in their order, and of each the first who is free.
    #[derive(Default)]
    struct Told {
        order: VecDeque<u8>,
        groups: BTreeMap<u8, Vec<(u64, u8)>>,
    }

    impl Told {
        fn push(&mut self, group: u8, ticket: u64, account: u8) {
            if !self.order.contains(&group) {
                self.order.push_back(group);
            }
            self.groups.entry(group).or_default().push((ticket, account));
        }

        fn remove(&mut self, ticket: u64) {
            self.groups.values_mut().for_each(|group| group.retain(|(other, _)| *other != ticket));
            self.forget_empty();
        }

        fn forget_empty(&mut self) {
            self.groups.retain(|_, group| !group.is_empty());
            self.order.retain(|group| self.groups.contains_key(group));
        }

        fn take(&mut self, free: impl Fn(u8) -> bool) -> Option<u64> {
            let found = |group: &u8| self.groups[group].iter().position(|(_, account)| free(*account));
            let (group, place) = self.order.iter().find_map(|group| Some((*group, found(group)?)))?;
            let (ticket, _) = self.groups.get_mut(&group)?.remove(place);
            self.order.retain(|other| *other != group);
            self.order.push_back(group);
            self.forget_empty();
            Some(ticket)
        }
    }

    proptest! {
        /// Whoever comes, goes, or is bound otherwise meanwhile.
        #[test]
        fn the_next_is_the_first_who_is_free_of_the_group_whose_turn_it_is(
            steps in prop::collection::vec((0..5_u8, 0..4_u8, 0..3_u8), 1..200),
        ) {
            let (mut queue, mut told, mut ticket) = (Queue::default(), Told::default(), 0);
            for (step, group, account) in steps {
                match step {
                    0 | 1 => {
                        ticket += 1;
                        let name = account.to_string();
                        queue.push(Lane::Poll, &group.to_string(), waiter(ticket, &name), bound(&name));
                        told.push(group, ticket, account);
                    }
                    2 => {
                        let gone = ticket.saturating_sub(u64::from(group));
                        queue.remove(Ticket(gone));
                        told.remove(gone);
                    }
                    3 => {
                        let moved = queue.of_account(&account.to_string());
                        queue.sort(&moved, |_, waiter| Bound {
                            failing: Some(group.to_string()),
                            ..bound(&waiter.account)
                        });
                    }
                    _ => {
                        let blocked = account.to_string();
                        let free = |bound: &Bound| bound.account.as_ref() != Some(&blocked);
                        let next = queue.next(Lane::Poll, free).map(|next| next.ticket);
                        let taken = next.and_then(|next| queue.take(next)).map(|taken| taken.ticket.0);
                        prop_assert_eq!(taken, told.take(|other| other != account));
                    }
                }
                let waiting: usize = told.groups.values().map(Vec::len).sum();
                prop_assert_eq!(queue.waiting(Lane::Poll), waiting);
            }
        }
    }

    #[test]
    fn ten_thousand_who_wait_for_the_same_are_one_line() {
        let mut queue = Queue::default();
        for ticket in 0..10_000 {
            let group = format!("namespace-{}", ticket % 500);
            queue.push(Lane::Poll, &group, waiter(ticket, "default"), Bound::default());
        }
        assert_eq!(queue.bounds(Lane::Poll).count(), 1);
        let taken = (0..10_000).filter_map(|_| {
            let next = queue.next(Lane::Poll, |_| true)?.ticket;
            queue.take(next).map(|taken| taken.ticket.0)
        });
        // One of each namespace in turn is the order in which they came.
        assert!(taken.eq(0..10_000));
        assert!(queue.places.is_empty());
        assert_eq!((queue.waiting(Lane::Poll), queue.bounds(Lane::Poll).count()), (0, 0));
    }
}
