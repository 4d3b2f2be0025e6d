//! Generated expressions: trees of text with typed holes, which print themselves and know how to become smaller.

use std::fmt;

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Scalar,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

/// The place of a child in the text of its parent; in PromQL it begins a comment, so no expression has it.
const HOLE: char = '#';

/// An expression: texts, and children between them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr {
    kind: Kind,
    text: String,
    children: Vec<Expr>,
}

impl Expr {
    /// An expression whose `text` has a [`HOLE`] for each child.
    pub(crate) fn new(kind: Kind, text: impl Into<String>, children: impl Into<Vec<Expr>>) -> Expr {
        let (text, children) = (text.into(), children.into());
        debug_assert_eq!(text.matches(HOLE).count(), children.len(), "{text}");
        Expr { kind, text, children }
    }

    /// What it gives.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Smaller expressions: every part that can stand alone, and this one with a part of it replaced by a part of that
    /// of the same kind. The smallest come first.
    pub(crate) fn smaller(&self) -> Vec<Expr> {
        let mut all: Vec<Expr> = self.children.iter().filter(|child| child.kind != Kind::Matrix).cloned().collect();
        all.extend(self.with_less_inside());
        all.sort_by_key(Expr::size);
        all
    }

    /// This expression with one node replaced by a child of its own kind.
    fn with_less_inside(&self) -> Vec<Expr> {
        let mut all: Vec<Expr> = self.children.iter().filter(|child| child.kind == self.kind).cloned().collect();
        for (at, child) in self.children.iter().enumerate() {
            for smaller in child.with_less_inside() {
                let mut whole = self.clone();
                whole.children[at] = smaller;
                all.push(whole);
            }
        }
        all
    }

    fn size(&self) -> usize {
        1 + self.children.iter().map(Expr::size).sum::<usize>()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts = self.text.split(HOLE);
        f.write_str(texts.next().unwrap_or_default())?;
        for (child, text) in self.children.iter().zip(texts) {
            write!(f, "{child}{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(text: &str) -> Expr {
        Expr::new(Kind::Vector, text, [])
    }

    #[test]
    fn smaller_expressions_lose_one_level_somewhere() {
        let rate = Expr::new(Kind::Vector, "rate(#)", [Expr::new(Kind::Matrix, "#[5m:]", [leaf("b")])]);
        let whole = Expr::new(Kind::Vector, "(# + #)", [Expr::new(Kind::Vector, "abs(#)", [leaf("a")]), rate]);
        assert_eq!(whole.to_string(), "(abs(a) + rate(b[5m:]))");
        let texts: Vec<String> = whole.smaller().iter().map(Expr::to_string).collect();
        assert_eq!(texts, ["abs(a)", "abs(a)", "rate(b[5m:])", "rate(b[5m:])", "(a + rate(b[5m:]))"]);
    }
}
