//! Why a catalog is refused.

use promql::ParseError;
use thiserror::Error;

/// What is wrong with a catalog, by the family and the alternate it stands at.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The text is not YAML of a catalog's shape; the message names the key and the line.
    #[error("{0}")]
    Shape(String),
    /// A family that some answer needs is not there.
    #[error("family {family:?} is missing; a family that nothing measures has an empty list")]
    Missing {
        /// Its name.
        family: &'static str,
    },
    /// An expression holds a placeholder that nobody fills.
    #[error("family {family:?}, source {source_name:?}: unknown placeholder ${placeholder}")]
    Placeholder {
        /// The family.
        family: &'static str,
        /// The alternate.
        source_name: String,
        /// The name after the dollar sign.
        placeholder: String,
    },
    /// An expression is not PromQL.
    #[error("family {family:?}, source {source_name:?}: {error}")]
    Expression {
        /// The family.
        family: &'static str,
        /// The alternate.
        source_name: String,
        /// What the parser says.
        error: ParseError,
    },
    /// A scale is no factor.
    #[error("family {family:?}, source {source_name:?}: scale is {scale}, it must be finite and not 0")]
    Scale {
        /// The family.
        family: &'static str,
        /// The alternate.
        source_name: String,
        /// The number.
        scale: f64,
    },
}
