//! Finds records by the hash of something that they have; whoever asks compares the thing itself.

use hashbrown::HashTable;

use super::shared::Number;

/// The numbers of records by hash; several may have the same.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashTable<(u64, Number)>,
}

impl Index {
    pub(super) fn put(&mut self, hash: u64, number: Number) {
        self.entries.insert_unique(hash, (hash, number), |(hash, _)| *hash);
    }

    pub(super) fn remove(&mut self, hash: u64, number: Number) {
        if let Ok(entry) = self.entries.find_entry(hash, |entry| *entry == (hash, number)) {
            entry.remove();
        }
    }

    /// The records that were put there with this hash.
    pub(super) fn with(&self, hash: u64) -> impl Iterator<Item = Number> {
        self.entries.iter_hash(hash).filter(move |entry| entry.0 == hash).map(|entry| entry.1)
    }
}
