//! The contents of a file: as the processes see them, as the disk has them, and the changes in between.

use std::sync::Arc;

use super::random::{Keep, Random};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    live: Arc<Vec<u8>>,
    durable: Vec<u8>,
    /// What makes `live` out of `durable`, if no sync dropped anything.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    /// Does to `image`, whose first byte is at `start` of the file, what this did to the file.
    fn apply(&self, image: &mut [u8], start: usize) {
        let end = start + image.len();
        match self {
            Change::Write { at, bytes } => {
                let (from, to) = (start.max(*at), end.min(at + bytes.len()));
                if from < to {
                    image[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
                }
            }
            Change::SetLen(len) => image[(*len).clamp(start, end) - start..].fill(0),
        }
    }

    /// The length of a file of `len` bytes afterwards.
    fn len_after(&self, len: usize) -> usize {
        match self {
            Change::Write { at, bytes } => len.max(at + bytes.len()),
            Change::SetLen(len) => *len,
        }
    }
}

impl Contents {
    /// A file that was there when the power came back.
    fn of(bytes: Vec<u8>) -> Contents {
        Contents { live: Arc::new(bytes.clone()), durable: bytes, pending: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn live(&self) -> Arc<Vec<u8>> {
        self.live.clone()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pending.push(Change::Write { at: self.live.len(), bytes: bytes.to_vec() });
            Arc::make_mut(&mut self.live).extend_from_slice(bytes);
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len != self.live.len() {
            self.pending.push(Change::SetLen(len));
            Arc::make_mut(&mut self.live).resize(len, 0);
        }
    }

    /// Makes every change durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            // Only what it touches, so that a long log is not copied at every sync.
            let len = self.durable.len();
            self.durable.resize(change.len_after(len), 0);
            let from = match change {
                Change::Write { at, .. } => at,
                Change::SetLen(_) => len.min(self.durable.len()),
            };
            change.apply(&mut self.durable[from..], from);
        }
    }

    /// A sync that failed: some changes may have become durable, no later sync will bring the others.
    pub(super) fn drop_pending(&mut self, random: &mut Random) {
        self.durable = self.after_crash(random);
        self.pending.clear();
    }

    /// The file as a power cut leaves it.
    pub(super) fn crashed(&self, random: &mut Random) -> Contents {
        Contents::of(self.after_crash(random))
    }

    /// Any sector may be as it was after any of the changes; the length is one that the file had, or one on the way.
    fn after_crash(&self, random: &mut Random) -> Vec<u8> {
        let keep = Keep::pick(random);
        let len = self.len_after_crash(random, keep);
        let mut image = self.durable.clone();
        image.resize(len, 0);
        for (sector, bytes) in image.chunks_mut(SECTOR_BYTES).enumerate() {
            let kept = match keep {
                Keep::All => self.pending.len(),
                Keep::Nothing => 0,
                Keep::Some if random.coin() => self.pending.len(),
                Keep::Some => random.below(self.pending.len() + 1),
            };
            self.pending[..kept].iter().for_each(|change| change.apply(bytes, sector * SECTOR_BYTES));
        }
        image
    }

    fn len_after_crash(&self, random: &mut Random, keep: Keep) -> usize {
        let kept = match keep {
            Keep::All => self.pending.len(),
            Keep::Nothing => 0,
            Keep::Some => random.below(self.pending.len() + 1),
        };
        let len = self.pending[..kept].iter().fold(self.durable.len(), |len, change| change.len_after(len));
        match self.pending.get(kept).map(|change| change.len_after(len)) {
            // A write that grows the file can stop at the end of any sector.
            Some(next) if keep == Keep::Some && len < next && random.coin() => {
                let sectors = (next - 1) / SECTOR_BYTES - len / SECTOR_BYTES;
                let ended = len / SECTOR_BYTES + random.below(sectors + 1);
                len.max(ended * SECTOR_BYTES)
            }
            _ => len,
        }
    }
}
