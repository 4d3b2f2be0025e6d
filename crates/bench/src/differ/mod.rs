//! Asks a Prometheus and promenade the same random queries over the same series, and shows where they differ.

mod answer;
mod data;
mod expr;
mod grammar;

use std::fmt;
use std::io::Write;

use anyhow::{Context, Result};
use model::Timestamp;
use serde_json::Value;

use self::answer::{Answer, Strictness, difference};
use self::data::{LENGTH_S, requests};
use self::expr::{Expr, Kind};
use self::grammar::{Grammar, meets_known_fault};
use crate::Rng;
use crate::clock::now_ms;
use crate::push::Push;

/// Queries asked to make one difference smaller.
const SHRINK_MAX: usize = 300;
/// Characters shown of an answer.
const ANSWER_CHARS_MAX: usize = 1500;
/// How often a query is asked again on which the servers differ.
const ASKED_AGAIN: u32 = 5;
/// Differences shown in full; of the rest the query alone.
const SHOWN_MAX: usize = 40;

/// What to compare.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Where a Prometheus 3 answers that takes remote write.
    pub reference: String,
    /// Where the server under test answers.
    pub target: String,
    /// The bearer token of the target, if it wants one; it must be an operator's, or the series' project is another.
    pub token: Option<String>,
    /// Names the series and the queries.
    pub seed: u64,
    /// The number of the first query.
    pub first: u64,
    /// How many queries.
    pub queries: u64,
    /// When the series begin, in ms; an hour ago unless given.
    pub base: Option<Timestamp>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Queries asked.
    pub queries: u64,
    /// Of them, those that brought a value from the reference.
    pub with_samples: u64,
    /// Those that brought an error from it.
    pub errors: u64,
    /// Those that brought a warning or an info.
    pub annotated: u64,
    /// Those on which the servers differ.
    pub differences: u64,
    /// Those on which they differ until the reference is asked again. Prometheus 3.5 now and then gives a histogram the
    /// buckets of another one.
    pub wavered: u64,
}

impl fmt::Display for DiffReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DiffReport { queries, with_samples, errors, annotated, differences, wavered } = self;
        write!(
            f,
            "{queries} queries, {differences} differences ({with_samples} with samples, {errors} errors, {annotated} \
             annotated; on {wavered} the reference contradicted itself)"
        )
    }
}

/// When an expression is asked for, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Instant(Timestamp),
    Range { start: Timestamp, end: Timestamp, step_ms: i64 },
}

/// One query.
#[derive(Clone, Debug)]
struct Question {
    expr: Expr,
    when: When,
    lookback: Option<&'static str>,
}

/// A query and what both servers said.
struct Found {
    question: Question,
    reference: Answer,
    target: Answer,
}

/// Writes the series to both servers and asks both every query; each difference goes to standard error as it is found.
pub async fn diff(options: &DiffOptions) -> Result<DiffReport> {
    let mut servers = Servers::new(options)?;
    servers.minor = servers.reference_minor().await?;
    let minor = servers.minor;
    let base = options.base.unwrap_or_else(|| (now_ms() - 3_600_000).div_euclid(60_000) * 60_000);
    servers.write(&requests(options.seed, base)?).await?;
    let mut report = DiffReport::default();
    for n in options.first..options.first.saturating_add(options.queries) {
        let question = Question::draw(options.seed, n, minor, base);
        let found = servers.ask(question.clone()).await?;
        report.queries += 1;
        report.with_samples += u64::from(found.reference.has_samples());
        report.errors += u64::from(matches!(found.reference, Answer::Error(..)));
        report.annotated += u64::from(found.reference.is_annotated());
        if servers.difference(&found).is_some() {
            if servers.reference_wavers(&found).await? {
                report.wavered += 1;
                continue;
            }
            report.differences += 1;
            let shown = usize::try_from(report.differences).is_ok_and(|n| n <= SHOWN_MAX);
            let found = if shown { servers.shrink(found).await? } else { found };
            servers.show(options, n, base, &question, &found)?;
        }
    }
    Ok(report)
}

impl Question {
    /// The `n`-th query of `seed`.
    fn draw(seed: u64, n: u64, minor: u32, base: Timestamp) -> Question {
        let mut rng = Rng::part(seed ^ 0x5eed, n);
        let at = |rng: &mut Rng| base + 1000 * i64::from(60 + rng.below(LENGTH_S * 11 / 10));
        let when = match rng.unit() < 0.5 {
            true => When::Instant(at(&mut rng)),
            false => {
                let start = at(&mut rng);
                let step_ms = [15_000, 30_000, 60_000, 73_000, 300_000, 7_500][rng.below(6) as usize];
                When::Range { start, end: start + step_ms * i64::from(rng.below(25)) + 1000, step_ms }
            }
        };
        let lookback = (rng.unit() < 0.05).then_some("61s");
        let is_range = matches!(when, When::Range { .. });
        let expr = Grammar { rng: &mut rng, minor, is_range, base_s: base.div_euclid(1000) }.query();
        Question { expr, when, lookback }
    }

    /// Whether the answer's order is the expression's.
    fn is_ordered(&self) -> bool {
        let text = self.expr.to_string();
        matches!(self.when, When::Instant(_)) && ["sort(", "sort_desc("].iter().any(|name| text.starts_with(name))
    }

    /// The path and the parameters.
    fn url(&self) -> String {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let mut url = match self.when {
            When::Instant(t) => format!("/api/v1/query?time={}", seconds(t)),
            When::Range { start, end, step_ms } => {
                let [start, end, step] = [start, end, step_ms].map(seconds);
                format!("/api/v1/query_range?start={start}&end={end}&step={step}")
            }
        };
        if let Some(lookback) = self.lookback {
            url.push_str(&format!("&lookback_delta={lookback}"));
        }
        let text = self.expr.to_string();
        url.push_str("&query=");
        text.bytes().for_each(|byte| url.push_str(&format!("%{byte:02X}")));
        url
    }

    /// Simpler questions.
    fn simpler(&self) -> Vec<Question> {
        let is_range = matches!(self.when, When::Range { .. });
        let of = |expr| Question { expr, ..self.clone() };
        let fits = |expr: &Expr| {
            let can_be_asked = !is_range || expr.kind() != Kind::Matrix;
            can_be_asked && !meets_known_fault(&expr.to_string())
        };
        let mut all: Vec<Question> = self.expr.smaller().into_iter().filter(fits).map(of).collect();
        if let When::Range { start, end, step_ms } = self.when {
            let last = start + (end - start) / step_ms * step_ms;
            all.extend([start, last].map(|t| Question { when: When::Instant(t), ..self.clone() }));
            all.extend(
                [start, last].map(|t| Question { when: When::Range { start: t, end: t, step_ms }, ..self.clone() }),
            );
        }
        if self.lookback.is_some() {
            all.push(Question { lookback: None, ..self.clone() });
        }
        all.retain(|question| question.when != self.when || question.expr != self.expr || question.lookback.is_none());
        all
    }
}

/// Both servers.
struct Servers {
    client: reqwest::Client,
    reference: String,
    target: String,
    token: Option<String>,
    /// The minor version of the reference.
    minor: u32,
}

impl Servers {
    fn new(options: &DiffOptions) -> Result<Servers> {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (reference, target) = (base(&options.reference), base(&options.target));
        Ok(Servers { client, reference, target, token: options.token.clone(), minor: 0 })
    }

    /// The minor version of the reference, which must be a Prometheus 3.
    async fn reference_minor(&self) -> Result<u32> {
        let url = format!("{}/api/v1/status/buildinfo", self.reference);
        let body = self.client.get(&url).send().await?.error_for_status()?.bytes().await?;
        let answer: Value = serde_json::from_slice(&body).with_context(|| url.clone())?;
        let version = answer["data"]["version"].as_str().unwrap_or_default();
        let minor = version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        minor.with_context(|| format!("{url} tells version {version:?}, not one of Prometheus 3"))
    }

    async fn write(&self, requests: &[(Vec<u8>, usize)]) -> Result<()> {
        for (base, token) in [(&self.reference, None), (&self.target, self.token.as_deref())] {
            let mut push = Push::new(&format!("{base}/api/v1/write"), token)?;
            for (body, n_samples) in requests {
                push.send(body.clone(), *n_samples).await?;
            }
        }
        Ok(())
    }

    async fn ask(&self, question: Question) -> Result<Found> {
        let path = question.url();
        let reference = self.client.get(format!("{}{path}", self.reference)).send().await?;
        let reference = Answer::read(reference.status().as_u16(), &reference.bytes().await?);
        let request = self.client.get(format!("{}{path}", self.target));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let target = request.send().await?;
        let target = Answer::read(target.status().as_u16(), &target.bytes().await?);
        Ok(Found { question, reference, target })
    }

    fn difference(&self, found: &Found) -> Option<String> {
        let Found { question, reference, target } = found;
        let strictness = Strictness {
            is_ordered: question.is_ordered(),
            minor: self.minor,
            has_subquery: question.expr.to_string().contains(")["),
        };
        difference(reference, target, strictness)
    }

    /// Whether the reference, asked again, says what the target said, and the target still says it.
    async fn reference_wavers(&self, found: &Found) -> Result<bool> {
        for _ in 0..ASKED_AGAIN {
            let again = self.ask(found.question.clone()).await?;
            if self.difference(&again).is_none() && again.target == found.target {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The simplest question found on which the servers differ.
    async fn shrink(&self, mut found: Found) -> Result<Found> {
        let mut asked = 0;
        'smaller: loop {
            for simpler in found.question.simpler() {
                if asked == SHRINK_MAX {
                    return Ok(found);
                }
                asked += 1;
                let answered = self.ask(simpler).await?;
                if self.difference(&answered).is_some() {
                    found = answered;
                    continue 'smaller;
                }
            }
            return Ok(found);
        }
    }

    fn show(&self, options: &DiffOptions, n: u64, base: i64, asked: &Question, found: &Found) -> Result<()> {
        let what = self.difference(found).unwrap_or_default();
        let cut = |answer: &Answer| -> String { answer.to_string().chars().take(ANSWER_CHARS_MAX).collect() };
        let text = format!(
            "seed {} query {n} base {base}: {} {:?}{}\n  simplest: {} {:?}\n  difference: {what}\n  reference: {}\n  \
             target:    {}\n",
            options.seed,
            asked.expr,
            asked.when,
            asked.lookback.map_or(String::new(), |lookback| format!(" lookback {lookback}")),
            found.question.expr,
            found.question.when,
            cut(&found.reference),
            cut(&found.target),
        );
        Ok(std::io::stderr().write_all(text.as_bytes())?)
    }
}
