//! Runs a decoder over good, dense and damaged bytes, counting what it allocates.

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::damage::damage;

const CASES: usize = 10_000;
/// Source: reliability contract, 1.12 and 4.3.
const TIMES_MAX: usize = 64;

/// A decoder under test.
pub(crate) struct Decoder {
    /// Its name, and that of its `cargo fuzz` target.
    pub(crate) name: &'static str,
    /// Whether the bytes are what they should be.
    pub(crate) decode: fn(&[u8]) -> bool,
    /// Bytes that it may take beside 64 times its input: tables and buffers that are there for any input.
    pub(crate) slack: usize,
}

impl Decoder {
    /// Decodes `bytes`, within the bound.
    #[track_caller]
    pub(crate) fn run(&self, what: &str, bytes: &[u8]) -> bool {
        let mut outcome = None;
        let taken = allocation_counter::measure(|| {
            outcome = Some(catch_unwind(AssertUnwindSafe(|| (self.decode)(bytes))));
        });
        let Ok(is_good) = outcome.unwrap() else { panic!("{}: {what} panics, see above: {}", self.name, hex(bytes)) };
        let peak = usize::try_from(taken.bytes_max).unwrap();
        let bound = TIMES_MAX * bytes.len() + self.slack;
        assert!(
            peak <= bound,
            "{}: {what} of {} bytes takes {peak} bytes of memory, {} times as many, bound {bound}: {}",
            self.name,
            bytes.len(),
            peak / bytes.len().max(1),
            hex(bytes),
        );
        is_good
    }

    /// Decodes `good` bytes, `dense` ones, each of which stands for much memory, and thousands of damaged ones.
    #[track_caller]
    pub(crate) fn fuzz(&self, good: &[Vec<u8>], dense: &[Vec<u8>]) {
        self.write_corpus(good);
        good.iter().for_each(|bytes| assert!(self.run("good bytes", bytes), "{}: {}", self.name, hex(bytes)));
        for (n, bytes) in dense.iter().enumerate() {
            self.run(&format!("dense bytes {n}"), bytes);
        }
        let cases = std::env::var("FUZZ_CASES").map_or(CASES, |cases| cases.parse().unwrap());
        let mut rng = StdRng::seed_from_u64(20_260_901);
        let mut refused = 0;
        for case in 0..cases {
            let mut bytes = good[case % good.len()].clone();
            if case % 50 == 0 {
                bytes = (0..rng.random_range(0..300)).map(|_| rng.random()).collect();
            } else {
                let other = &good[rng.random_range(0..good.len())];
                damage(&mut bytes, other, &mut rng);
            }
            refused += usize::from(!self.run(&format!("case {case}"), &bytes));
        }
        let bites = cases / 10 < refused && refused < cases;
        assert!(bites, "{}: {refused} of {cases} refused: the damage does not reach the decoder", self.name);
    }

    /// Writes what `cargo fuzz` begins with.
    fn write_corpus(&self, good: &[Vec<u8>]) {
        let Ok(dir) = std::env::var("FUZZ_CORPUS") else { return };
        let dir = PathBuf::from(dir).join(self.name);
        fs::create_dir_all(&dir).unwrap();
        for (n, bytes) in good.iter().enumerate() {
            fs::write(dir.join(format!("good-{n}")), bytes).unwrap();
        }
    }
}

/// The first of `bytes`, to be pasted into a test.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    bytes.iter().take(2000).for_each(|byte| write!(text, "{byte:02x}").unwrap());
    text
}
