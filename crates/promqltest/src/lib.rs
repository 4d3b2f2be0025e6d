//! Prometheus' test language for PromQL: parses `.test` scripts and runs them against the engine over a memory store.
//!
//! A script loads series, evaluates expressions and states the results:
//!
//! ```text
//! load 30s
//!   vllm:num_requests_running{model_name="llama"}  0+1x10  _x2  stale
//!
//! eval instant at 2m sum(vllm:num_requests_running)
//!   {} 4
//! ```
//!
//! Not here: the evaluator itself (`promql`) and the scripts (`tests/promql` at the root of the repository).

mod classic;
mod compare;
mod cursor;
mod engine;
mod error;
mod expectation;
mod histogram;
mod run;
mod script;
mod series;
mod shown;
mod stage;
mod store;

pub use engine::{Engine, Names, Over, Told};
pub use error::ScriptError;
pub use expectation::{Annotations, Expectation, Outcome, TextMatch};
pub use run::{Failure, Report, run};
pub use script::{Command, Eval, Load, Script, StepGrid, When};
pub use series::{SeriesLine, Slot, StartLine};
pub use shown::{Shown, ShownHistogram, ShownPoint, ShownSeries};
pub use stage::{LoadedSeries, Stage};
pub use store::{MemoryStore, SampleConflict};
