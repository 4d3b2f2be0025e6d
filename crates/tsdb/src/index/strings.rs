//! Distinct strings in one allocation, numbered in the order they came.

use ahash::RandomState;
use hashbrown::HashTable;

/// A set of strings, each with a number from 0.
#[derive(Default)]
pub(super) struct Strings {
    arena: String,
    /// Where each string ends; it starts where the one before ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Strings {
    /// The number of `text`, which is added if it is new. Nothing when there are 2^32 strings already.
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self.numbers.find(hash, |number| self.get(*number) == text) {
            return Some(*number);
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        self.arena.push_str(text);
        self.ends.push(self.arena.len());
        let Strings { arena, ends, numbers, hasher } = self;
        numbers.insert_unique(hash, number, |number| hasher.hash_one(get(arena, ends, *number)));
        Some(number)
    }

    /// The string with this number.
    pub(super) fn get(&self, number: u32) -> &str {
        get(&self.arena, &self.ends, number)
    }

    /// How many strings there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All numbers, sorted by their strings.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..).take(self.len()).collect();
        numbers.sort_unstable_by_key(|number| self.get(*number));
        numbers
    }
}

fn get<'a>(arena: &'a str, ends: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &arena[start..ends[number]]
}
