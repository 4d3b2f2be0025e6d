//! PromQL: parse a text, check it, and evaluate it over columns of samples that a [`model::Queryable`] hands over.
//!
//! A query goes through modules in this order: `scan` (tokens), `limits`, `skeleton` and `lower` (promql-parser's tree
//! becomes ours), `check` (types), `prepare` (invariant parts), `settle` (computed lengths of time), `eval` and
//! `functions`.

mod annotation;
mod ast;
mod check;
mod duration;
mod error;
mod eval;
mod expr;
mod functions;
mod interpolate;
mod limits;
mod lower;
mod prepare;
mod pretty;
mod print;
mod query;
mod scan;
mod selectors;
mod settle;
mod skeleton;
mod span;
mod span_reader;
mod stack;
mod syntax;

pub use duration::parse_duration;
pub use error::{EvalError, ParseError};
pub use eval::SampleCounts;
pub use expr::ValueType;
pub use functions::functions;
pub use limits::TextLimits;
pub use print::Quoted;
pub use query::{Answer, Context, Query, Steps, parse_selector};
