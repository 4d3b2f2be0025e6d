//! `promenade tsdb import`: OpenMetrics text, or the data directory of a stopped Prometheus, into a store.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use model::{Labels, LabelsBuilder, ProjectId, SampleValue, Timestamp, stamp_project};
use tsdb::SeriesKey;
use tsdb::import::{Foreign, ForeignPart, Import, Imported};
use wire::exposition::{Entry, ExpositionFormat, ExpositionReader, SampleLine};
use wire::remote_write::LabelLimits;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::progress::Progress;
use super::{ImportArgs, in_use, open_dir};
use crate::print;

/// How far ahead of the clock a sample may lie. A store takes the newest sample for now: one from the far future would
/// make all others too old.
const FUTURE_MS: i64 = 10 * 60 * 1000;
/// Samples between two looks at the clock.
const SAMPLES_PER_LOOK: u64 = 20_000;

/// Imports.
pub(super) fn run(args: ImportArgs) -> anyhow::Result<()> {
    // A data directory may be new: then this makes it.
    std::fs::create_dir_all(&args.dir).with_context(|| format!("create {}", args.dir.display()))?;
    let import = Import::start(open_dir(&args.dir)?).map_err(|e| in_use(&args.dir, e))?;
    let (imported, elapsed) = match (&args.prometheus, &args.file) {
        (Some(dir), _) => from_prometheus(import, dir, args.project.as_ref())?,
        (None, Some(file)) => from_text(import, file, args.project.as_ref())?,
        (None, None) => bail!("a file or --prometheus is needed"),
    };
    summary(&imported, elapsed)
}

fn summary(imported: &Imported, elapsed: Duration) -> anyhow::Result<()> {
    let Some(range) = imported.range else { return print::line("no samples") };
    let Imported { samples, written, blocks, .. } = imported;
    print::line(&format!(
        "{written} samples from {} to {} in {blocks} blocks, {:.1} s",
        print::time(range.mint),
        print::time(range.maxt),
        elapsed.as_secs_f64(),
    ))?;
    if written < samples {
        print::note(&format!("{} samples left out: their series had one at the same time already", samples - written));
    }
    Ok(())
}

/// Reads OpenMetrics text. Errors name the line and the column, and nothing is imported then.
fn from_text(import: Import, path: &Path, project: Option<&ProjectId>) -> anyhow::Result<(Imported, Duration)> {
    let name = path.display().to_string();
    let (input, len): (Box<dyn Read>, u64) = if name == "-" {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(path).with_context(|| format!("open {name}"))?;
        let len = file.metadata()?.len();
        (Box::new(file), len)
    };
    let read = Rc::new(Cell::new(0));
    let input = BufReader::with_capacity(1 << 20, Counted { input, read: read.clone() });
    let mut reader = ExpositionReader::new(input, ExpositionFormat::OpenMetrics);
    let mut progress = Progress::start("import", len)?;
    let mut text = TextImport {
        import,
        project,
        latest: server::now_ms().saturating_add(FUTURE_MS),
        seeds: RandomState::new().hash_one(0),
        labels: LabelsBuilder::default(),
        samples: 0,
        exemplars: 0,
    };
    while let Some(entry) = reader.next_entry().with_context(|| name.clone())? {
        let Entry::Sample(sample) = entry else { continue };
        if let Err(Refused { column, what }) = text.sample(&sample)? {
            bail!("{name}: line {}, column {column}: {what}", reader.line_number());
        }
        if text.samples.is_multiple_of(SAMPLES_PER_LOOK) {
            progress.set(read.get(), &|| format!("{} samples", text.samples));
        }
    }
    if 0 < text.exemplars {
        print::note(&format!("{} exemplars left out", text.exemplars));
    }
    let imported = text.import.finish()?;
    Ok((imported, progress.finish()))
}

/// Text on its way into a store.
struct TextImport<'a> {
    import: Import,
    project: Option<&'a ProjectId>,
    /// No sample may be newer.
    latest: Timestamp,
    /// Drawn anew each time, so that no file can aim at a collision of two series.
    seeds: u64,
    labels: LabelsBuilder,
    samples: u64,
    exemplars: u64,
}

/// Why a line is not imported, and at which character of it.
struct Refused {
    column: usize,
    what: String,
}

impl TextImport<'_> {
    fn sample(&mut self, sample: &SampleLine<'_>) -> anyhow::Result<Result<(), Refused>> {
        let after_series = sample.series.chars().count() + 1;
        let Some(t) = sample.t else {
            return Ok(Err(Refused { column: after_series, what: "the sample has no time".to_owned() }));
        };
        if self.latest < t {
            let what = format!("the sample is of {}, more than ten minutes from now", print::time(t));
            return Ok(Err(Refused { column: after_series, what }));
        }
        self.import.relieve()?;
        let key = SeriesKey(xxh3_128_with_seed(sample.series.as_bytes(), self.seeds));
        let series = match self.import.known(key) {
            Some(series) => series,
            None => match self.series_labels(sample) {
                Ok(labels) => self.import.series(key, labels),
                Err(what) => return Ok(Err(Refused { column: 1, what })),
            },
        };
        self.import.sample(series, t, &SampleValue::Float(sample.v));
        self.samples += 1;
        self.exemplars += u64::from(sample.exemplar.is_some());
        Ok(Ok(()))
    }

    fn series_labels(&mut self, sample: &SampleLine<'_>) -> Result<Labels, String> {
        sample.labels(&LabelLimits::default(), &mut self.labels).map_err(|e| e.to_string())?;
        stamp_project(&mut self.labels, self.project).map_err(|e| e.to_string())?;
        Ok(self.labels.build())
    }
}

/// Counts the bytes read.
struct Counted {
    input: Box<dyn Read>,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

/// Copies blocks and log.
fn from_prometheus(
    mut import: Import,
    path: &Path,
    project: Option<&ProjectId>,
) -> anyhow::Result<(Imported, Duration)> {
    let foreign = Foreign::open(open_dir(path)?).map_err(|e| in_use(path, e))?;
    if foreign.parts().is_empty() {
        bail!("{} has neither blocks nor a log", path.display());
    }
    let mut progress = Progress::start("import", foreign.parts().len() as u64)?;
    let mut builder = LabelsBuilder::default();
    for (done, part) in foreign.parts().iter().enumerate() {
        let name = match part {
            ForeignPart::Block(ulid) => format!("block {ulid}"),
            ForeignPart::Log => "log".to_owned(),
        };
        progress.set(done as u64, &|| name.clone());
        let mut relabel = |labels: &Labels| -> anyhow::Result<Labels> {
            builder.clear();
            labels.iter().for_each(|(name, value)| _ = builder.set(name, value));
            stamp_project(&mut builder, project).with_context(|| format!("series {labels}"))?;
            Ok(builder.build())
        };
        import.copy(&foreign, part, &mut relabel).with_context(|| format!("{} of {}", name, path.display()))?;
    }
    let imported = import.finish()?;
    Ok((imported, progress.finish()))
}
