//! The regular expressions of label matchers: anchored, bounded, and taken apart so that storage can look values up.

use std::fmt;
use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_syntax::hir::{Hir, HirKind};
use thiserror::Error;

/// Longest pattern text. Source: reliability contract, "pattern <= 4 KiB".
const PATTERN_BYTES_MAX: usize = 4 << 10;
/// Largest compiled automaton; nested repetitions reach it long before memory hurts.
const NFA_BYTES_MAX: usize = 1 << 20;
/// More alternatives than this are matched by the automaton, not looked up one by one.
const LITERALS_MAX: usize = 256;

/// Why a pattern was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// The text is too long.
    #[error("regular expression is {len} bytes, limit {PATTERN_BYTES_MAX}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The text does not parse, or the automaton would be too large.
    #[error("error parsing regexp: {0}")]
    Invalid(String),
}

/// A compiled pattern that must match a whole value; cheap to clone, and clones share the automaton's memory.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    language: Language,
    prefix: String,
}

/// What a pattern matches. An automaton takes as long to build as a query of a thousand series takes in all, so the usual
/// patterns do without.
enum Language {
    /// Everything: `.*`.
    All,
    /// These values, sorted: `a|b|c`.
    Literals(Vec<String>),
    /// What starts with one of these: `a.*`, and `a.+` if it is longer.
    Heads {
        heads: Vec<String>,
        longer: bool,
    },
    Automaton(Regex),
}

impl Pattern {
    /// Compiles `text`. `.` matches every character, newlines included, as in Prometheus 3.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong { len: text.len() });
        }
        let invalid = |e: &dyn fmt::Display| PatternError::Invalid(e.to_string().replace('\n', " "));
        let hir =
            regex_syntax::ParserBuilder::new().dot_matches_new_line(true).nest_limit(64).build().parse(text).map_err(
                |e| match e {
                    regex_syntax::Error::Parse(e) => invalid(&format_args!("{} in {text:?}", e.kind())),
                    e => invalid(&e),
                },
            )?;
        let language = match Language::plain(&hir) {
            Some(language) => language,
            None => Language::Automaton(automaton(&hir).map_err(|e| invalid(&e))?),
        };
        Ok(Pattern(Arc::new(Compiled { language, prefix: prefix(&hir) })))
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        let Compiled { language, prefix } = &*self.0;
        match language {
            Language::All => true,
            Language::Literals(literals) => literals.binary_search_by(|literal| literal.as_str().cmp(value)).is_ok(),
            Language::Heads { heads, longer } => {
                let starts =
                    |head: &String| value.strip_prefix(head.as_str()).is_some_and(|rest| !longer || !rest.is_empty());
                heads.iter().any(starts)
            }
            Language::Automaton(regex) => value.starts_with(prefix.as_str()) && regex.is_match(value),
        }
    }

    /// The values that match, if they are few and known: `a|b|c`.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.0.language {
            Language::Literals(literals) => Some(literals),
            Language::All | Language::Heads { .. } | Language::Automaton(_) => None,
        }
    }

    /// What every match starts with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Bytes of the automaton, nearly; without those that matching takes for a while.
    pub fn heap_bytes(&self) -> usize {
        match &self.0.language {
            Language::All => 0,
            Language::Literals(texts) | Language::Heads { heads: texts, .. } => {
                texts.iter().map(|text| size_of::<String>() + text.len()).sum()
            }
            Language::Automaton(regex) => regex.memory_usage(),
        }
    }

    /// Whether every value matches, the empty one included: `.*`.
    pub fn matches_all(&self) -> bool {
        matches!(self.0.language, Language::All)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern")
            .field("literals", &self.literals())
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

impl Language {
    /// What `hir` matches, if that needs no automaton.
    fn plain(hir: &Hir) -> Option<Language> {
        if any_text(hir) == Some(0) {
            return Some(Language::All);
        }
        if let Some(mut literals) = literals(hir) {
            literals.sort();
            literals.dedup();
            return Some(Language::Literals(literals));
        }
        let (last, before) = match hir.kind() {
            HirKind::Concat(subs) => subs.split_last()?,
            _ => (hir, &[][..]),
        };
        let longer = any_text(last)? == 1;
        Some(Language::Heads { heads: literals(&Hir::concat(before.to_vec()))?, longer })
    }
}

/// The automaton of all else. It is built for few values, so what makes building slow and matching fast is left out.
fn automaton(hir: &Hir) -> Result<Regex, Box<regex_automata::meta::BuildError>> {
    let (start, end) = (regex_syntax::hir::Look::Start, regex_syntax::hir::Look::End);
    let anchored = Hir::concat(vec![Hir::look(start), hir.clone(), Hir::look(end)]);
    let config = Regex::config().nfa_size_limit(Some(NFA_BYTES_MAX)).onepass(false).dfa(false);
    Regex::builder().configure(config).build_from_hir(&anchored).map_err(Box::new)
}

/// All strings that `hir` matches, when they are literals, alternations and concatenations of such.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(l) => Some(vec![std::str::from_utf8(&l.0).ok()?.to_owned()]),
        HirKind::Capture(c) => literals(&c.sub),
        HirKind::Alternation(subs) => {
            let mut all = Vec::new();
            for sub in subs {
                all.extend(literals(sub)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            all.sort();
            all.dedup();
            Some(all)
        }
        HirKind::Concat(subs) => {
            let mut all = vec![String::new()];
            for sub in subs {
                let tails = literals(sub)?;
                if all.len() * tails.len() > LITERALS_MAX {
                    return None;
                }
                all = all.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
            }
            Some(all)
        }
        HirKind::Class(class) => {
            let regex_syntax::hir::Class::Unicode(class) = class else { return None };
            let mut all = Vec::new();
            for range in class.ranges() {
                if u32::from(range.end()) - u32::from(range.start()) > 16 || all.len() > 16 {
                    return None;
                }
                all.extend((range.start()..=range.end()).map(String::from));
            }
            Some(all)
        }
        HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The longest text that every match of `hir` is known to start with.
fn prefix(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(l) => String::from_utf8(l.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(c) => prefix(&c.sub),
        HirKind::Concat(subs) => {
            let mut all = String::new();
            for sub in subs {
                if let HirKind::Literal(l) = sub.kind() {
                    all.push_str(std::str::from_utf8(&l.0).unwrap_or_default());
                } else {
                    all.push_str(&prefix(sub));
                    break;
                }
            }
            all
        }
        HirKind::Alternation(subs) => {
            let mut common = subs.first().map(prefix).unwrap_or_default();
            for sub in subs.iter().skip(1) {
                let other = prefix(sub);
                let shared = common.char_indices().zip(other.chars()).take_while(|((_, a), b)| a == b).last();
                common.truncate(shared.map_or(0, |((at, c), _)| at + c.len_utf8()));
            }
            common
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => String::new(),
    }
}

/// How many characters there have to be, if `hir` matches all texts of so many: 0 for `.*`, 1 for `.+`.
fn any_text(hir: &Hir) -> Option<u32> {
    match hir.kind() {
        HirKind::Repetition(r) => {
            let is_any = r.max.is_none() && r.sub == Hir::dot(regex_syntax::hir::Dot::AnyChar).into();
            (is_any && r.min <= 1).then_some(r.min)
        }
        HirKind::Capture(c) => any_text(&c.sub),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_values() {
        for (pattern, yes, no) in [
            ("a|b", &["a", "b"][..], &["ab", "", "ba"][..]),
            ("5..", &["500", "5\n\u{e4}"], &["50", "4500"]),
            ("DCGM_FI_DEV_.*", &["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_"], &["xDCGM_FI_DEV_", "DCGM"]),
            (".*", &["", "x\ny"], &[]),
            (".+", &["x"], &[""]),
            ("(?i)abc", &["ABC", "aBc"], &["abcd"]),
            ("gpu-node-0000[1-4].*", &["gpu-node-00001", "gpu-node-00004x"], &["gpu-node-00005"]),
            ("", &[""], &["a"]),
            ("foo(bar|baz)?", &["foo", "foobar"], &["foob"]),
            ("(a|b)c(.*)", &["ac", "bc\n", "bc\u{e4}"], &["a", "cc", "xac"]),
            ("ab.+", &["abc", "ab\n"], &["ab", "a", "xabc"]),
            ("(ab|abc).+", &["abc", "abcd"], &["ab"]),
            ("(?i)ab.*", &["AB", "aBc"], &["a", "xab"]),
            ("a.*b", &["ab", "a\nb"], &["a", "abc"]),
            ("c|a|b|aa", &["a", "aa", "b", "c"], &["ac", ""]),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            for value in yes {
                assert!(compiled.matches(value), "{pattern:?} should match {value:?}");
            }
            for value in no {
                assert!(!compiled.matches(value), "{pattern:?} should not match {value:?}");
            }
        }
    }

    #[test]
    fn alternatives_become_a_list_and_prefixes_are_found() {
        assert_eq!(Pattern::new("a|b(c|d)").unwrap().literals().unwrap(), ["a", "bc", "bd"]);
        assert_eq!(Pattern::new("abc.*").unwrap().prefix(), "abc");
        assert_eq!(Pattern::new("(abc|abd)x+").unwrap().prefix(), "ab");
        assert!(Pattern::new(".*").unwrap().matches_all());
    }

    #[test]
    fn a_pattern_that_explodes_is_refused() {
        assert!(matches!(Pattern::new("((a{100}){100}){100}"), Err(PatternError::Invalid(_))));
        assert!(matches!(Pattern::new(&"a".repeat(5000)), Err(PatternError::TooLong { len: 5000 })));
        assert!(matches!(Pattern::new("a("), Err(PatternError::Invalid(_))));
    }
}
