//! What was sent in the last minute, in few words: as one process leaves it to the next.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How many parts a minute has here.
const PARTS: usize = 12;
/// How long one is.
const PART: Duration = Duration::from_secs(5);
/// The most that is told of one.
const MOST: u32 = 9_999;

/// How many requests were answered in each five seconds of the last minute, the last five first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past([u32; PARTS]);

impl Past {
    /// Requests that were answered so long ago.
    pub(super) fn of(ages: impl Iterator<Item = Duration>) -> Self {
        let mut counts = [0; PARTS];
        for age in ages {
            let part = usize::try_from(age.as_secs() / PART.as_secs()).unwrap_or(usize::MAX);
            if let Some(count) = counts.get_mut(part) {
                *count = MOST.min(*count + 1);
            }
        }
        Self(counts)
    }

    /// How long ago each was, at the least.
    pub(super) fn ages(&self) -> impl Iterator<Item = Duration> {
        let parts = (0_u32..).zip(self.0);
        parts.flat_map(|(part, count)| std::iter::repeat_n(PART * part, count as usize))
    }
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.map(|count| count.to_string());
        f.write_str(&words.join(" "))
    }
}

impl FromStr for Past {
    type Err = ();

    /// What somebody else has written there says nothing.
    fn from_str(words: &str) -> Result<Self, ()> {
        let mut counts = [0; PARTS];
        let mut words = words.split(' ');
        for count in &mut counts {
            let word = words.next().and_then(|word| word.parse::<u32>().ok());
            *count = word.filter(|count| *count <= MOST).ok_or(())?;
        }
        words.next().is_none().then_some(Self(counts)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Past;

    #[test]
    fn it_is_read_as_it_was_written_and_what_is_none_is_not_read() {
        let ages = [0, 4, 5, 59, 60, 900].map(Duration::from_secs);
        let past = Past::of(ages.into_iter());
        assert_eq!(past.to_string(), "2 1 0 0 0 0 0 0 0 0 0 1");
        assert_eq!(past.to_string().parse(), Ok(past));
        assert_eq!(past.ages().map(|age| age.as_secs()).collect::<Vec<_>>(), [0, 0, 5, 55]);
        for odd in
            ["", "1", "1 2 3 4 5 6 7 8 9 10 11 x", "0 0 0 0 0 0 0 0 0 0 0 0 0", "99999 0 0 0 0 0 0 0 0 0 0 0"]
        {
            assert_eq!(odd.parse::<Past>(), Err(()), "{odd}");
        }
    }
}
