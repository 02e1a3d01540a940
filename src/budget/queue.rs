//! Who waits, by lane and group: fair between groups, first come first served within one.

use std::collections::{BTreeMap, VecDeque};

use super::request::{Lane, Subject, Ticket};

/// One who waits, or is under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    /// The account, which may have limits of its own.
    pub(super) account: String,
    pub(super) subject: Subject,
}

/// Everybody who waits.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Queue {
    lanes: BTreeMap<Lane, Groups>,
    places: BTreeMap<Ticket, (Lane, String)>,
}

#[derive(Debug, Default, PartialEq)]
struct Groups {
    waiting: BTreeMap<String, VecDeque<Waiter>>,
    /// The groups in the order in which they are served next.
    order: VecDeque<String>,
    length: usize,
}

impl Queue {
    pub(super) fn push(&mut self, lane: Lane, group: &str, waiter: Waiter) {
        let ticket = waiter.ticket;
        let groups = self.lanes.entry(lane).or_default();
        if !groups.waiting.contains_key(group) {
            groups.order.push_back(group.to_owned());
        }
        groups.waiting.entry(group.to_owned()).or_default().push_back(waiter);
        groups.length += 1;
        self.places.insert(ticket, (lane, group.to_owned()));
    }

    pub(super) fn remove(&mut self, ticket: Ticket) {
        let Some((lane, group)) = self.places.remove(&ticket) else { return };
        if let Some(groups) = self.lanes.get_mut(&lane) {
            if let Some(waiting) = groups.waiting.get_mut(&group) {
                waiting.retain(|other| other.ticket != ticket);
            }
            groups.length = groups.length.saturating_sub(1);
            groups.forget_if_empty(&group);
        }
    }

    /// Whether anybody in this lane is free to go.
    pub(super) fn has(&self, lane: Lane, free: impl Fn(&Waiter) -> bool) -> bool {
        self.waiters(lane).any(free)
    }

    /// The next in this lane who is free to go; its group goes to the back.
    pub(super) fn pop(&mut self, lane: Lane, free: impl Fn(&Waiter) -> bool) -> Option<Waiter> {
        let groups = self.lanes.get_mut(&lane)?;
        let (turn, group, place) = groups.order.iter().enumerate().find_map(|(turn, group)| {
            let place = groups.waiting.get(group)?.iter().position(&free)?;
            Some((turn, group.clone(), place))
        })?;
        let taken = groups.waiting.get_mut(&group)?.remove(place)?;
        groups.length = groups.length.saturating_sub(1);
        groups.order.remove(turn);
        groups.order.push_back(group.clone());
        groups.forget_if_empty(&group);
        self.places.remove(&taken.ticket);
        Some(taken)
    }

    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, |groups| groups.length)
    }

    /// Those who wait in a lane.
    pub(super) fn waiters(&self, lane: Lane) -> impl Iterator<Item = &Waiter> {
        self.lanes.get(&lane).into_iter().flat_map(|groups| groups.waiting.values().flatten())
    }
}

impl Groups {
    fn forget_if_empty(&mut self, group: &str) {
        if self.waiting.get(group).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(group);
            self.order.retain(|other| other != group);
        }
    }
}
