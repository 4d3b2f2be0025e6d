//! Remote write held to the letter: what each case must be answered, in which headers, and what is there afterwards.

#![expect(clippy::cast_possible_truncation, reason = "counts and bytes of tests are small")]

pub(crate) mod case;
pub(crate) mod compliance;
mod protobuf;
pub(crate) mod sent;
mod strict;
mod transport;

use sent::Version;

use crate::stand::Stand;

/// The table must not shrink unseen.
const CASES_MIN: usize = 180;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_answered_and_read_back() {
    let stand = Stand::start().await;
    let now = server::now_ms() / 1000 * 1000;
    let cases: Vec<_> = compliance::cases(now).into_iter().chain(strict::cases(now)).collect();
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    for (at, case) in cases.iter().enumerate() {
        for version in Version::BOTH {
            let project = format!("case-{at}-{}", version.name());
            case.check(&stand, &project, version).await;
        }
    }
}
