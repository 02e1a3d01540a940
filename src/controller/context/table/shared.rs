//! Values that many records have in common, each kept once, with what is counted of it.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// The number of a value.
pub(super) type Number = u32;

/// Values by number, for as long as somebody has taken them.
#[derive(Debug)]
pub(super) struct Shared<T, C> {
    numbers: BTreeMap<T, Number>,
    values: Vec<Option<Value<T, C>>>,
    free: Vec<Number>,
}

#[derive(Debug)]
struct Value<T, C> {
    is: T,
    counts: C,
    takers: usize,
}

impl<T, C> Default for Shared<T, C> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), values: Vec::new(), free: Vec::new() }
    }
}

impl<T: Clone + Ord, C: Default> Shared<T, C> {
    /// Takes a value once more; its number, which stays the same until all have given it back.
    pub(super) fn take(&mut self, value: T) -> Number {
        if let Some(number) = self.numbers.get(&value).copied() {
            if let Some(known) = self.at(number) {
                known.takers += 1;
            }
            return number;
        }
        let new = Some(Value { is: value.clone(), counts: C::default(), takers: 1 });
        let number = free_place(&mut self.free, &mut self.values);
        if let Some(place) = self.values.get_mut(index(number)) {
            *place = new;
        }
        self.numbers.insert(value, number);
        number
    }

    /// Gives a value back once.
    pub(super) fn give_back(&mut self, number: Number) {
        let Some(known) = self.at(number) else { return };
        known.takers -= 1;
        if known.takers == 0
            && let Some(place) = self.values.get_mut(index(number))
            && let Some(gone) = place.take()
        {
            self.numbers.remove(&gone.is);
            self.free.push(number);
        }
    }

    /// The number of a value that somebody has taken.
    pub(super) fn number<Q: Ord + ?Sized>(&self, value: &Q) -> Option<Number>
    where
        T: Borrow<Q>,
    {
        self.numbers.get(value).copied()
    }

    /// The value with this number.
    pub(super) fn value(&self, number: Number) -> Option<&T> {
        self.values.get(index(number))?.as_ref().map(|known| &known.is)
    }

    /// What is counted of a value that somebody has taken.
    pub(super) fn counted(&self, value: &T) -> Option<&C> {
        let number = self.numbers.get(value)?;
        self.values.get(index(*number))?.as_ref().map(|known| &known.counts)
    }

    /// The same, to be changed.
    pub(super) fn counts(&mut self, number: Number) -> Option<&mut C> {
        self.at(number).map(|known| &mut known.counts)
    }

    /// Every value and what is counted of it, in the order of the values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&T, &C)> {
        let known = |number: &Number| self.values.get(index(*number))?.as_ref();
        self.numbers.values().filter_map(known).map(|known| (&known.is, &known.counts))
    }

    fn at(&mut self, number: Number) -> Option<&mut Value<T, C>> {
        self.values.get_mut(index(number))?.as_mut()
    }
}

/// A place in a list that nobody has. No API server has four thousand million objects, and there are no more values.
pub(super) fn free_place<T>(free: &mut Vec<Number>, places: &mut Vec<Option<T>>) -> Number {
    free.pop().unwrap_or_else(|| {
        places.push(None);
        Number::try_from(places.len() - 1).unwrap_or(Number::MAX)
    })
}

/// A number as a place in a list.
pub(super) fn index(number: Number) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::Shared;

    #[test]
    fn a_value_has_one_number_until_the_last_gives_it_back_and_then_leaves_its_place() {
        let mut shared: Shared<&str, usize> = Shared::default();
        let first = shared.take("a");
        assert_eq!((shared.take("a"), shared.number("a")), (first, Some(first)));
        let second = shared.take("b");
        *shared.counts(second).unwrap() += 3;
        shared.give_back(first);
        assert_eq!(shared.value(first), Some(&"a"));
        shared.give_back(first);
        assert_eq!((shared.value(first), shared.number("a")), (None, None));
        assert_eq!(shared.take("c"), first, "a place that is free is used again");
        assert_eq!(shared.all().collect::<Vec<_>>(), [(&"b", &3), (&"c", &0)]);
    }
}
