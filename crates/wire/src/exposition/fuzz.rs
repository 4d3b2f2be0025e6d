//! Ten thousand malformed texts: none panics, every error has its place, and no line outgrows its bound.

use model::LabelsBuilder;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Entry, ExpositionFormat, ExpositionReader};
use crate::ExpositionError;
use crate::remote_write::LabelLimits;

const N_TEXTS: usize = 10_000;

const TEXT: &str = "# TYPE h histogram
# UNIT h seconds
# HELP h What \\\\ it \\n \\\"is\\\".
h_bucket{le=\"1\",a=\"x\\\"y\\n\"} 3 1.5 # {trace_id=\"abc\"} 0.5 1.25
{\"h.x\",\"b c\"=\"\u{e9}\"} NaN -1.001
up +Inf
# EOF
";

fn mutate(text: &mut Vec<u8>, rng: &mut StdRng) {
    const SYNTAX: &[u8] = b"{}\"\\,= #\n\t.-+eE0\xff";
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..text.len());
        let byte = SYNTAX[rng.random_range(0..SYNTAX.len())];
        match rng.random_range(0..4) {
            0 => text[at] = byte,
            1 => text.insert(at, byte),
            2 => text.truncate(at + 1),
            _ => drop(text.remove(at)),
        }
        if text.is_empty() {
            text.push(byte);
        }
    }
}

#[test]
fn malformed_texts_are_refused_with_their_place() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut builder = LabelsBuilder::default();
    for format in [ExpositionFormat::OpenMetrics, ExpositionFormat::Prometheus] {
        let mut n_refused = 0;
        for _ in 0..N_TEXTS {
            let mut text = TEXT.as_bytes().to_vec();
            mutate(&mut text, &mut rng);
            let lines: Vec<_> = text.split(|b| *b == b'\n').map(<[u8]>::len).collect();
            let mut reader = ExpositionReader::new(&*text, format);
            loop {
                match reader.next_entry() {
                    Ok(None) => break,
                    Ok(Some(Entry::Sample(sample))) => drop(sample.labels(&LabelLimits::default(), &mut builder)),
                    Ok(Some(_)) => {}
                    Err(ExpositionError::Syntax { line, column, what }) => {
                        n_refused += 1;
                        let line = usize::try_from(line).unwrap();
                        assert!((1..=lines.len()).contains(&line), "line {line}: {what}");
                        assert!((1..=lines[line - 1] + 1).contains(&column), "column {column}: {what}");
                        assert!(what.len() < 300, "{what}");
                        break;
                    }
                    Err(ExpositionError::Io(e)) => panic!("{e}"),
                }
            }
        }
        assert!(n_refused > N_TEXTS / 3, "only {n_refused} refused: the mutations do not bite");
    }
}
