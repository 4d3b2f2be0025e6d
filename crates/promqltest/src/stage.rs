//! A script cut into stages: evaluations that follow each other, and the series that are loaded by then.

use model::{Labels, SampleValue, Timestamp};

use crate::classic;
use crate::error::ScriptError;
use crate::script::{Command, Eval, Load, Script};
use crate::series::{Slot, StartLine};
use crate::store::MemoryStore;

/// Evaluations over the same series.
#[derive(Clone, Debug, Default)]
pub struct Stage<'a> {
    /// What is loaded since the script's start or its last `clear`.
    pub loads: Vec<&'a Load>,
    /// What is evaluated over it.
    pub evals: Vec<&'a Eval>,
}

/// A series and its samples, ascending by time.
pub type LoadedSeries = (Labels, Vec<(Timestamp, SampleValue)>);

impl Script {
    /// The stages, in order; all but the last have an evaluation.
    pub fn stages(&self) -> Vec<Stage<'_>> {
        let (mut stages, mut current) = (Vec::new(), Stage::default());
        for command in &self.commands {
            let is_new = !matches!(command, Command::Eval(_));
            if is_new && !current.evals.is_empty() {
                stages.push(current.clone());
                current.evals.clear();
            }
            match command {
                Command::Clear => current = Stage::default(),
                Command::Load(load) => current.loads.push(load),
                Command::Eval(eval) => current.evals.push(eval),
            }
        }
        stages.push(current);
        stages
    }
}

impl Stage<'_> {
    /// The series in a memory store.
    ///
    /// Errors: a series that has two samples at one time.
    pub fn memory_store(&self) -> Result<MemoryStore, ScriptError> {
        let mut store = MemoryStore::default();
        for load in &self.loads {
            let failed = |what| ScriptError { line: load.line, what };
            for (labels, samples) in load.samples()? {
                let starts = load.starts_of(&labels);
                for (t, value) in samples {
                    let pushed = match value {
                        SampleValue::Float(v) => store.push_float(&labels, t, v),
                        SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => {
                            store.push_histogram(&labels, t, h)
                        }
                    };
                    pushed.map_err(|conflict| failed(conflict.to_string()))?;
                    if let Some(starts) = starts {
                        store.push_start(&labels, t, load.start_at(starts, t));
                    }
                }
            }
        }
        Ok(store)
    }
}

impl Load {
    /// What is said of since when the samples of a series count, if anything.
    pub fn starts_of(&self, labels: &Labels) -> Option<&StartLine> {
        self.starts.iter().find(|line| line.labels == *labels)
    }

    /// Since when the sample at `t` counts; 0 when nothing is said of it.
    pub fn start_at(&self, starts: &StartLine, t: Timestamp) -> Timestamp {
        let slot_idx = usize::try_from(t / self.interval_ms.max(1)).ok();
        let distance = slot_idx.and_then(|idx| starts.slots.get(idx).copied().flatten());
        distance.map_or(0, |distance| t.saturating_add(distance))
    }

    /// The series as samples, those of classic histograms that are loaded as native ones too included.
    pub fn samples(&self) -> Result<Vec<LoadedSeries>, ScriptError> {
        let sample = |(slot_idx, slot): (usize, &Slot)| {
            let value = match slot {
                Slot::Missing => return None,
                Slot::Float(v) => SampleValue::Float(*v),
                Slot::Histogram { histogram, .. } => SampleValue::FloatHistogram(histogram.clone()),
            };
            Some((self.slot_time(slot_idx), value))
        };
        let lines = self.series.iter();
        let mut all: Vec<LoadedSeries> = lines
            .map(|line| (line.labels.clone(), line.slots.iter().enumerate().filter_map(sample).collect()))
            .collect();
        if self.with_native {
            let converted = classic::convert(&self.series).map_err(|what| ScriptError { line: self.line, what })?;
            for (labels, slot_idx, histogram) in converted {
                let value = SampleValue::FloatHistogram(histogram.into());
                all.push((labels, vec![(self.slot_time(slot_idx), value)]));
            }
        }
        Ok(all)
    }
}
