//! An expression with placeholders: what is filled in is either ours or quoted.

use crate::{Need, Subject};

/// What can stand after a dollar sign, and what it becomes:
const PLACEHOLDERS: [(&str, Placeholder); 7] = [
    ("sel", Placeholder::Selector),
    ("group", Placeholder::Group),
    ("window", Placeholder::Window),
    ("windows", Placeholder::WindowSeconds),
    ("res", Placeholder::Resolution),
    ("ress", Placeholder::ResolutionSeconds),
    ("over", Placeholder::Over),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    /// The subject's matchers; a comma after it goes when there are none.
    Selector,
    /// The label that tells answers apart, if there is one.
    Group,
    /// The window, as a duration.
    Window,
    /// The same in seconds, as a number.
    WindowSeconds,
    /// The step of a subquery over the window, as a duration.
    Resolution,
    /// The same in seconds, as a number.
    ResolutionSeconds,
    /// The call of the function that joins a window's samples, with its bracket.
    Over,
}

/// An expression in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Takes `text` apart; the error is the name of an unknown placeholder.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            // `$1` and `${1}` are for PromQL's own replacements.
            if !after.starts_with(|c: char| c.is_ascii_lowercase()) {
                pieces.push(Piece::Text(rest[..=at].to_owned()));
                rest = after;
                continue;
            }
            pieces.push(Piece::Text(before.to_owned()));
            let len = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
            let (name, after) = after.split_at(len);
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            let (_, placeholder) = known.ok_or_else(|| name.to_owned())?;
            pieces.push(Piece::Placeholder(*placeholder));
            rest = match placeholder {
                Placeholder::Over => after.strip_prefix('(').ok_or_else(|| name.to_owned())?,
                Placeholder::Selector
                | Placeholder::Group
                | Placeholder::Window
                | Placeholder::WindowSeconds
                | Placeholder::Resolution
                | Placeholder::ResolutionSeconds => after,
            };
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template { pieces })
    }

    /// The expression about `subject` for `need`.
    pub(crate) fn fill(&self, subject: &Subject, need: &Need) -> String {
        let mut text = String::new();
        let selector = subject.selector();
        let mut drops_comma = false;
        for piece in &self.pieces {
            let placeholder = match piece {
                Piece::Text(piece) => {
                    text.push_str(if drops_comma { piece.trim_start_matches(',') } else { piece });
                    drops_comma = false;
                    continue;
                }
                Piece::Placeholder(placeholder) => placeholder,
            };
            match placeholder {
                Placeholder::Selector => {
                    text.push_str(&selector);
                    drops_comma = selector.is_empty();
                }
                Placeholder::Group => text.push_str(subject.group().unwrap_or_default()),
                Placeholder::Window => text.push_str(&format!("{}ms", need.window_ms.max(1))),
                Placeholder::WindowSeconds => text.push_str(&seconds(need.window_ms.max(1))),
                Placeholder::Resolution => text.push_str(&format!("{}ms", need.resolution_ms())),
                Placeholder::ResolutionSeconds => text.push_str(&seconds(need.resolution_ms())),
                Placeholder::Over => text.push_str(need.over.call()),
            }
        }
        text
    }
}

/// Milliseconds as a number of seconds.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Over};

    #[test]
    fn placeholders_are_filled_and_lonely_commas_go() {
        let template =
            Template::parse("sum by (a, $group) ($over(m{$sel,x=\"1\"}[$window])) * n{$sel}[1h:$res]").unwrap();
        let need = Need::at("n", Family::Requests, 0, 2 * 86_400_000).joined(Over::P95);
        assert_eq!(
            template.fill(&Subject::members("e", vec!["1\"".to_owned()]), &need),
            "sum by (a, e) (quantile_over_time(0.95, m{e=\"1\\\"\",x=\"1\"}[172800000ms])) * n{e=\"1\\\"\"}[1h:120000ms]"
        );
        assert_eq!(
            template.fill(&Subject::everything(), &need),
            "sum by (a, ) (quantile_over_time(0.95, m{x=\"1\"}[172800000ms])) * n{}[1h:120000ms]"
        );
        assert_eq!(Template::parse("m{$x}").unwrap_err(), "x");
    }
}
