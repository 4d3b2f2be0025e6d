//! A simulated disk: it keeps what is live apart from what is durable, loses power, and fails any call on demand.
//!
//! Bytes become durable when their file is synced, in sectors of 512 bytes; names when their directory is. Everything
//! is a function of the calls made and the seeds given, so a failing run can be repeated.

mod call;
mod file;
mod names;
mod random;
mod state;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Dir;
use random::Random;
use state::State;
use system::SimSystem;

pub use call::{Call, Fault, Op};

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct Sim(Arc<Mutex<State>>);

impl Sim {
    /// An empty disk. The seed decides what a failed sync loses.
    pub fn new(seed: u64) -> Sim {
        Sim(Arc::new(Mutex::new(State::new(Random::new(seed)))))
    }

    /// Another disk with the same contents, live and durable, where power was never cut and nothing is to fail.
    pub fn fork(&self) -> Sim {
        let mut state = self.state().clone();
        (state.faults, state.trace) = (BTreeMap::new(), Vec::new());
        (state.is_off, state.locks) = (false, BTreeSet::new());
        Sim(Arc::new(Mutex::new(state)))
    }

    /// The root directory as it is now. After a crash the old one and all below it are useless.
    pub fn root(&self) -> Dir {
        Dir::root_of(Arc::new(SimSystem::new(self.clone(), self.state().epoch)))
    }

    /// The calls made so far, in order.
    pub fn trace(&self) -> Vec<Call> {
        self.state().trace.clone()
    }

    /// How many calls were made so far: the number of the next one.
    pub fn calls(&self) -> u64 {
        self.state().trace.len() as u64
    }

    /// How many calls failed because they were told to or for want of room.
    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    /// Whether the power was cut and has not come back.
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Lets call number `call`, counted from 0, fail.
    pub fn fail(&self, call: u64, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    /// Takes back every fault that has not come true.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Limits the bytes of all files together, or no longer does; files may hold more than that already.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// The bytes of all files that have a name.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// Cuts the power and brings it back: what was synced is there, of the rest whatever `seed` spares. Every
    /// directory, file and lock handed out before is useless from now on.
    pub fn crash(&self, seed: u64) {
        self.state().crash(&mut Random::new(seed));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
