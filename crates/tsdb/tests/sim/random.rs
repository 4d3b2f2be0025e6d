//! Seeded random operations against the model.

use disk::Sim;
use disk::sim::Fault;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::model::{Doomed, WINDOW_MS};
use crate::run::Run;
use crate::step::Step;
use crate::value::{Key, Shape, Value, histogram};
use crate::{HOUR_MS, MINUTE_MS, attempt, long_seeds};

/// Seeds of the normal run.
const SEEDS: u64 = 2000;
const STEPS: usize = 40;
const SERIES: u32 = 6;
/// As far as two failures of one cause read the same.
const ALIKE_BYTES: usize = 25;

/// What a seed does: each step is chosen by what the model knows then.
struct Chooser {
    rng: StdRng,
}

impl Chooser {
    fn step(&mut self, run: &Run) -> Vec<Step> {
        let step = match self.rng.random_range(0..100) {
            0..14 => return vec![Step::Advance(self.pause())],
            14..17 => return vec![Step::Room(Some(self.rng.random_range(0..3000)))],
            17..20 => return vec![Step::Room(None)],
            20..74 => self.append(run),
            74..77 => self.delete(run),
            77 => Step::Snapshot,
            78..82 => Step::Flush,
            82 => Step::Clean,
            83..90 => Step::Maintain,
            90..94 => Step::Restart,
            _ => Step::Crash(self.rng.random()),
        };
        if self.rng.random_range(0..4) > 0 {
            return vec![step];
        }
        let calls = if matches!(step, Step::Append { .. }) { 4 } else { 100 };
        vec![Step::Fail(self.rng.random_range(0..calls), self.fault()), step]
    }

    fn fault(&mut self) -> Fault {
        use Fault::{Dropped, Io, NoSpace, PowerCut, Short};
        [Io, NoSpace, Short, Dropped, PowerCut, PowerCut][self.rng.random_range(0..6)]
    }

    fn pause(&mut self) -> i64 {
        match self.rng.random_range(0..10) {
            0 => self.rng.random_range(0..4 * HOUR_MS),
            _ => self.rng.random_range(0..20 * MINUTE_MS),
        }
    }

    fn append(&mut self, run: &Run) -> Step {
        let n = [1, 1, 3, 3, 10, 10, 60, 250][self.rng.random_range(0..8)];
        let samples = (0..n).map(|_| self.sample(run)).collect();
        let help = (self.rng.random_range(0..8) == 0).then(|| format!("version {}", self.rng.random_range(0..1000)));
        Step::Append { samples, help }
    }

    fn sample(&mut self, run: &Run) -> (Key, Value) {
        let series = self.rng.random_range(0..SERIES);
        let t = self.time(run);
        if self.rng.random_range(0..12) == 0 {
            let number = self.rng.random_range(1..4);
            return ((series, t, number), Value::Exemplar(f64::from(number)));
        }
        // Some series have one kind, and some change it.
        let is_histogram = match series {
            0 | 1 => false,
            2 => true,
            _ => self.rng.random_range(0..10) == 0,
        };
        ((series, t, 0), if is_histogram { self.histogram() } else { self.float() })
    }

    /// Inside the window whatever was deleted of the newest samples, or outside.
    fn time(&mut self, run: &Run) -> i64 {
        let ago = match self.rng.random_range(0..40) {
            0 => match run.model.newest() {
                Some(newest) => return newest - WINDOW_MS - self.rng.random_range(1..WINDOW_MS),
                None => 0,
            },
            1..5 => self.rng.random_range(0..WINDOW_MS),
            // Often the same times, so that many are repeated and contradicted.
            5..15 => self.rng.random_range(0..20) * MINUTE_MS,
            _ => self.rng.random_range(0..MINUTE_MS),
        };
        run.now - ago
    }

    fn float(&mut self) -> Value {
        Value::from(match self.rng.random_range(0..10) {
            0 => model::STALE_NAN,
            1 => f64::from_bits(0x7ff8_0000_0000_1234),
            2..7 => f64::from(self.rng.random_range(0..3)),
            _ => self.rng.random(),
        })
    }

    fn histogram(&mut self) -> Value {
        let shape = match self.rng.random_range(0..10) {
            0 => return histogram(0, &[], Shape::Stale, false),
            1 => Shape::Gauge,
            2 => Shape::Custom,
            _ => Shape::Counter,
        };
        let counts: Vec<u32> = (0..self.rng.random_range(0..4)).map(|_| self.rng.random_range(0..5)).collect();
        histogram(self.rng.random_range(0..3), &counts, shape, self.rng.random_range(0..4) == 0)
    }

    fn delete(&mut self, run: &Run) -> Step {
        let from = run.now - self.rng.random_range(0..WINDOW_MS);
        let width = [MINUTE_MS, HOUR_MS, WINDOW_MS][self.rng.random_range(0..3)];
        let series = (self.rng.random_range(0..3) > 0).then(|| self.rng.random_range(0..SERIES));
        Step::Delete(Doomed { series, from, to: from + self.rng.random_range(0..width) })
    }
}

/// Runs a seed. Returns what it did and what was wrong.
fn choose_and_run(seed: u64) -> (Vec<Step>, Result<(), String>) {
    let mut chooser = Chooser { rng: StdRng::seed_from_u64(seed) };
    let mut run = Run::new(Sim::new(seed));
    let mut done = Vec::new();
    let result = attempt(|| {
        while done.len() < STEPS {
            for step in chooser.step(&run) {
                done.push(step.clone());
                run.step(&step)?;
            }
        }
        for step in [Step::Room(None), Step::Crash(seed), Step::Flush, Step::Crash(seed)] {
            done.push(step.clone());
            run.step(&step)?;
        }
        Ok(())
    });
    (done, result)
}

fn run_steps(seed: u64, steps: &[Step]) -> Result<(), String> {
    let mut run = Run::new(Sim::new(seed));
    attempt(|| steps.iter().try_for_each(|step| run.step(step)))
}

/// Leaves out whatever is not needed for a failure that begins like `what`.
fn shrink(seed: u64, what: &str, mut steps: Vec<Step>) -> Vec<Step> {
    let alike = |other: String| what.bytes().zip(other.bytes()).take(ALIKE_BYTES).all(|(a, b)| a == b);
    let fails = |steps: &[Step]| run_steps(seed, steps).err().is_some_and(alike);
    let mut parts = 2;
    while parts <= steps.len() * 2 {
        let len = steps.len().div_ceil(parts);
        let smaller = (0..steps.len()).step_by(len).find_map(|from| {
            let mut some = steps.clone();
            some.drain(from..steps.len().min(from + len));
            fails(&some).then_some(some)
        });
        match smaller {
            Some(some) => steps = some,
            None => parts *= 2,
        }
    }
    for place in 0..steps.len() {
        let mut keep = true;
        while let (true, Step::Append { samples, .. }) = (keep, &steps[place]) {
            let half = samples.len() / 2;
            let halves = [samples[..half].to_vec(), samples[half..].to_vec()];
            keep = false;
            for half in halves.into_iter().filter(|half| !half.is_empty() && half.len() < samples.len()) {
                let mut some = steps.clone();
                some[place] = Step::Append { samples: half, help: None };
                if fails(&some) {
                    (steps, keep) = (some, true);
                    break;
                }
            }
        }
    }
    steps
}

/// Runs a seed and tells everything about it if it fails.
fn check(seed: u64) {
    let (done, Err(what)) = choose_and_run(seed) else { return };
    let fewer = shrink(seed, &what, done.clone());
    let told = |steps: &[Step]| steps.iter().map(|step| format!("  {step}\n")).collect::<String>();
    let again = run_steps(seed, &fewer).err();
    panic!(
        "seed {seed}: {what}\n{}what is needed of it: {again:?}\n{}SIM_SEED={seed} cargo test -p tsdb --test sim random",
        told(&done),
        told(&fewer),
    );
}

#[test]
fn random_operations_on_a_failing_disk_agree_with_the_model() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return check(seed.parse().unwrap());
    }
    let seeds = long_seeds().unwrap_or(SEEDS);
    let started = std::time::Instant::now();
    let threads = if long_seeds().is_some() { std::thread::available_parallelism().unwrap().get() } else { 1 };
    std::thread::scope(|scope| {
        for first in (0..seeds).take(threads) {
            scope.spawn(move || (first..seeds).step_by(threads).for_each(check));
        }
    });
    println!("{seeds} seeds, 0 differences, {:.0?}", started.elapsed());
}
