//! The batch: all expressions of one answer over shared selections, each family by the first alternate that has data.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, TimeRange};
use promql::{Context, EvalError, Query, TextLimits};

use crate::catalog::Alternate;
use crate::found::{Source, rows_of};
use crate::shared::SharedReads;
use crate::{Catalog, Family, Found, Need, Row, Subject};

/// Evaluates the expressions of one answer; what one run reads, the next one of the same batch finds read.
pub struct Batch<'a> {
    catalog: &'a Catalog,
    ctx: &'a Context<'a>,
    reads: SharedReads<'a>,
}

/// One expression, ready to be evaluated.
struct Planned<'n> {
    need: &'n Need,
    alternate: &'n Alternate,
    query: Query,
}

/// A family whose members are not all answered.
struct Open {
    family: Family,
    subject: Subject,
    answered: BTreeSet<String>,
}

impl<'a> Batch<'a> {
    /// A batch over what `ctx` may read.
    pub fn new(catalog: &'a Catalog, ctx: &'a Context<'a>) -> Batch<'a> {
        Batch { catalog, ctx, reads: SharedReads::new(ctx.store) }
    }

    /// Evaluates `needs` about `subject`. For each family and each member the first alternate of the catalog that gives
    /// any need of the family a number answers all of them.
    ///
    /// Errors: interrupts and unreadable storage. An alternate that PromQL refuses over the data at hand has no data.
    pub fn run(&self, subject: &Subject, needs: &[Need]) -> Result<Found, EvalError> {
        let families: BTreeSet<Family> = needs.iter().map(|need| need.family).collect();
        let open = |family| Open { family, subject: subject.clone(), answered: BTreeSet::new() };
        let mut open: Vec<Open> = families.into_iter().map(open).collect();
        let mut found = Found::default();
        for turn in 0.. {
            open.retain(|open| turn < self.catalog.alternates(open.family).len() && !open.is_answered());
            if open.is_empty() {
                break;
            }
            let planned = self.plan(&open, needs, turn)?;
            for (open, planned) in open.iter_mut().zip(planned) {
                self.answer(open, &planned, &mut found)?;
            }
        }
        Ok(found)
    }

    /// The labels of every series about `subject` that has samples in `range`, or may have; reads no sample.
    pub fn labels(&self, subject: &Subject, range: TimeRange) -> Result<Vec<Labels>, EvalError> {
        let matchers = subject.matchers().map_err(|error| EvalError::Invalid(error.to_string()))?;
        let series = self.ctx.store.select(&matchers, range, self.ctx.budget)?.series;
        Ok((0..series.len()).map(|series_idx| series.labels(series_idx).clone()).collect())
    }

    /// The expressions of one turn, by family; announces what they will read.
    fn plan<'n>(&'n self, open: &[Open], needs: &'n [Need], turn: usize) -> Result<Vec<Vec<Planned<'n>>>, EvalError> {
        let mut all = Vec::with_capacity(open.len());
        for open in open {
            let alternate = &self.catalog.alternates(open.family)[turn];
            let mut planned = Vec::new();
            for need in needs.iter().filter(|need| need.family == open.family) {
                let text = alternate.expression(&open.subject, need);
                let query = Query::parse(&text, &TextLimits::default())
                    .map_err(|error| EvalError::Invalid(format!("{text}: {error}")))?;
                for (matchers, range) in query.reads(need.when.steps(), self.ctx.lookback_ms)? {
                    self.reads.plan(matchers, range);
                }
                planned.push(Planned { need, alternate, query });
            }
            all.push(planned);
        }
        Ok(all)
    }

    /// Evaluates one family's expressions and keeps the rows of members that were not answered before.
    fn answer(&self, open: &mut Open, planned: &[Planned<'_>], found: &mut Found) -> Result<(), EvalError> {
        let mut answered = BTreeMap::new();
        for planned in planned {
            let Some(rows) = self.evaluate(planned, found)? else { continue };
            let into = found.rows.entry(planned.need.name).or_default();
            for row in rows {
                let member = open.subject.group().map_or("", |group| row.label(group)).to_owned();
                if !open.answered.contains(&member) {
                    answered.entry(member.clone()).or_insert(planned.alternate);
                    into.entry(member).or_default().push(row);
                }
            }
        }
        for (member, alternate) in answered {
            let source = Source { name: alternate.source.clone(), unit: alternate.unit.clone() };
            found.sources.entry(member.clone()).or_default().insert(open.family, source);
            open.answered.insert(member);
        }
        open.narrow();
        Ok(())
    }

    /// The rows of one expression; `None` if PromQL refuses it over these series.
    fn evaluate(&self, planned: &Planned<'_>, found: &mut Found) -> Result<Option<Vec<Row>>, EvalError> {
        let ctx = Context { store: &self.reads, ..*self.ctx };
        let answer = match planned.need.when {
            crate::When::At(t) => planned.query.instant(t, &ctx),
            crate::When::Steps(steps) => planned.query.range(steps, &ctx),
        };
        match answer {
            Ok(answer) => {
                for warning in answer.warnings {
                    if !found.warnings.contains(&warning) {
                        found.warnings.push(warning);
                    }
                }
                Ok(Some(rows_of(answer.value, planned.need.when, planned.alternate)))
            }
            Err(EvalError::Invalid(why)) => {
                found.warnings.push(format!("{}: {why}", planned.alternate.source));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

impl Open {
    /// Whether no further alternate can tell anything.
    fn is_answered(&self) -> bool {
        match self.subject.group() {
            None => !self.answered.is_empty(),
            Some(_) => {
                !self.subject.listed().is_empty() && self.subject.listed().iter().all(|m| self.answered.contains(m))
            }
        }
    }

    /// Lets the next alternate look only for members that are not answered yet, where they are listed.
    fn narrow(&mut self) {
        let missing: Vec<String> =
            self.subject.listed().iter().filter(|member| !self.answered.contains(*member)).cloned().collect();
        if !missing.is_empty() {
            self.subject = self.subject.with_members(missing);
        }
    }
}
