//! How much a name resembles what somebody typed, from 0 to 1.

/// Scores names against search terms.
pub(super) struct Scorer {
    terms: Vec<String>,
    is_subsequence: bool,
    /// The least score of a name that is shown.
    threshold: f64,
    case_sensitive: bool,
}

impl Scorer {
    pub(super) fn new(terms: &[&str], is_subsequence: bool, threshold: f64, case_sensitive: bool) -> Scorer {
        let folded = |term: &&str| if case_sensitive { (*term).to_owned() } else { term.to_lowercase() };
        Scorer { terms: terms.iter().map(folded).collect(), is_subsequence, threshold, case_sensitive }
    }

    /// The best score among all terms; `None` if the name resembles none of them. Without terms every name fits.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let folded;
        let name = if self.case_sensitive {
            name
        } else {
            folded = name.to_lowercase();
            &folded
        };
        self.terms.iter().filter_map(|term| self.of_term(term, name)).reduce(f64::max)
    }

    fn of_term(&self, term: &str, name: &str) -> Option<f64> {
        if self.is_subsequence {
            return subsequence(term, name).filter(|score| self.threshold <= *score);
        }
        let similar = strsim::jaro_winkler(term, name);
        let fits = name.contains(term) || (self.threshold > 0.0 && self.threshold <= similar);
        fits.then_some(similar)
    }
}

/// 1 for the name itself, less the more is around and between the characters of `term`; `None` if they are not all in
/// `name`, in order.
///
/// Each character is taken where it comes first after the one before. The score is the sum of the squares of the runs,
/// over what it would be if the whole name were one run of the term's length.
fn subsequence(term: &str, name: &str) -> Option<f64> {
    if term.is_empty() {
        return Some(1.0);
    }
    // A plain substring is one run wherever it stands: taking the first character early would tear it apart.
    let (term_len, name_len) = (term.chars().count() as f64, name.chars().count() as f64);
    if name.contains(term) {
        return Some(term_len / name_len);
    }
    let (mut wanted, mut run, mut squares) = (term.chars().peekable(), 0.0, 0.0);
    for c in name.chars() {
        if wanted.next_if_eq(&c).is_some() {
            run += 1.0;
        } else {
            squares += run * run;
            run = 0.0;
        }
    }
    squares += run * run;
    wanted.peek().is_none().then_some(squares / (term_len * name_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_count_more_than_scattered_characters() {
        assert_eq!(subsequence("up", "up"), Some(1.0));
        assert_eq!(subsequence("", "up"), Some(1.0));
        assert_eq!(subsequence("pu", "up"), None);
        assert_eq!(subsequence("rate", "request_rate"), Some(4.0 / 12.0));
        let whole = subsequence("http", "http_requests_total").unwrap();
        let torn = subsequence("htrt", "http_requests_total").unwrap();
        assert!(torn < whole, "{torn} {whole}");
    }

    #[test]
    fn terms_are_alternatives_and_case_counts_if_asked() {
        let scorer = |terms: &[&str], subsequence, threshold, case| Scorer::new(terms, subsequence, threshold, case);
        assert_eq!(scorer(&[], true, 0.5, true).score("x"), Some(1.0));
        assert_eq!(scorer(&["UP"], true, 0.0, true).score("up"), None);
        assert_eq!(scorer(&["UP", "zz"], true, 0.0, false).score("up"), Some(1.0));
        assert_eq!(scorer(&["rt"], true, 0.9, true).score("request_total"), None, "below the threshold");
        let typo = scorer(&["requets"], false, 0.8, true).score("requests");
        assert!(typo.is_some_and(|score| score > 0.9), "{typo:?}");
        assert_eq!(scorer(&["requets"], false, 0.0, true).score("requests"), None, "no threshold, no fuzz");
    }
}
