//! A head in the making: what each record of the log does to it.

use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use model::{
    Budget, Labels, METRIC_NAME, Metadata, MetricKind, PROJECT_LABEL, ProjectId, StartRun, TimeRange, Timestamp,
};

use super::super::HeadIndex;
use super::super::exemplars::Exemplars;
use super::super::families::Families;
use super::super::image::{Image, Loaded, LoadedSeries};
use super::super::samples::HeadSamples;
use super::super::series::Series;
use super::WalCovers;
use super::queue::Change;
use super::refs::{Described, Refs, Runs};
use super::worker::Workers;
use crate::select;
use crate::wal::{
    At, DeletionRecord, Describe, FamilyMetadata, LogPlace, RawLabels, Record, Records, SampleRecord, SeriesRef,
    StartRecord,
};

/// A head in the making.
pub(super) struct Restored {
    pub(super) index: HeadIndex,
    pub(super) families: Families,
    pub(super) exemplars: Exemplars,
    /// By slot.
    series: Vec<Arc<Series>>,
    /// So many of them have postings.
    listed: usize,
    /// The highest number that the log gave each series, by slot.
    newest_ids: Vec<SeriesRef>,
    refs: Refs,
    /// The segment that is being read, and how many files came before it, with it.
    segment: Option<u64>,
    file: NonZeroU32,
    pub(super) newest_id: u64,
    pub(super) maxt: Timestamp,
    /// The oldest sample of an image.
    pub(super) mint: Timestamp,
    /// A segment has samples of a series that only one before it describes. Ours do not, those of Prometheus do.
    pub(super) leaning: bool,
    adopted: Adopted,
}

/// What is known of the series, by slot, from segments that a Prometheus wrote.
#[derive(Default)]
struct Adopted {
    newest: Vec<Timestamp>,
    deleted: HashMap<u32, Vec<TimeRange>>,
}

impl Adopted {
    /// Whether a sample at `t` is newer than all before it. A Prometheus has the others in its second log or in blocks,
    /// with what was deleted there, and passes over them itself.
    fn ascends(&mut self, slot: u32, t: Timestamp) -> bool {
        let slot = slot as usize;
        if self.newest.len() <= slot {
            self.newest.resize(slot + 1, Timestamp::MIN);
        }
        let ascends = self.newest[slot] < t;
        self.newest[slot] = self.newest[slot].max(t);
        ascends
    }
}

impl Restored {
    pub(super) fn new(maxt: Timestamp, exemplars: Exemplars) -> Restored {
        Restored {
            index: HeadIndex::default(),
            families: Families::default(),
            exemplars,
            series: Vec::new(),
            listed: 0,
            newest_ids: Vec::new(),
            refs: Refs::default(),
            segment: None,
            file: NonZeroU32::MIN,
            newest_id: 0,
            maxt,
            mint: Timestamp::MAX,
            leaning: false,
            adopted: Adopted::default(),
        }
    }

    /// Takes over what an image has. Returns nothing if it is damaged: then this is worthless too.
    pub(super) fn image(&mut self, image: &Image, workers: &mut Workers<'_>) -> Option<()> {
        let (at, no_covers) = (At { segment: None, bytes: image.map(), offset: 0 }, WalCovers::default());
        self.index.reserve(image.series_max());
        image.load(|Loaded { series, records, mint }| {
            for LoadedSeries { id, labels, samples } in series {
                if self.index.get(&labels).is_some() {
                    return None;
                }
                let slot = self.insert(id, labels, samples, workers);
                self.refs.insert(id, Described { slot, file: self.file });
            }
            for record in records {
                self.apply(at, record, &no_covers, workers);
            }
            self.mint = self.mint.min(mint);
            Some(())
        })?;
        self.newest_id = self.newest_id.max(image.newest_id());
        self.maxt = self.maxt.max(image.maxt());
        let LogPlace { segment, offset, .. } = image.place();
        if 0 < *offset {
            // It describes every series that the rest of it mentions, in one part or the other.
            self.segment = Some(*segment);
        }
        Some(())
    }

    /// Does what a record says, or has a worker do it. Returns the newest timestamp in it.
    pub(super) fn apply(
        &mut self,
        at: At<'_>,
        record: Record,
        covers: &WalCovers,
        workers: &mut Workers<'_>,
    ) -> Timestamp {
        let mut newest = Timestamp::MIN;
        self.begin(at.segment);
        let (before, adopted) = (covers.before(at.segment), covers.is_adopted(at.segment));
        match record {
            Record::Series(series) => {
                series.iter().for_each(|(id, labels)| self.series(id, labels, workers));
            }
            Record::Metadata(families) => families.iter().for_each(|family| _ = self.families.set(family)),
            Record::Samples(floats) => {
                newest = floats.newest;
                if adopted {
                    for SampleRecord { series, sample } in workers.read(at) {
                        let slot = self.slot(series).filter(|_| before <= sample.t);
                        if let Some(slot) = slot.filter(|slot| self.adopted.ascends(*slot, sample.t)) {
                            workers.float(slot, sample);
                        }
                    }
                } else {
                    let Runs { slots, leaning, unknown } = self.refs.runs(&floats.series, self.file);
                    self.leaning |= self.segment.is_some() && *leaning;
                    self.newest_id = self.newest_id.max(unknown.map_or(0, |id| id.0));
                    workers.floats(at, before, &floats, slots);
                }
            }
            Record::Histograms(histograms) => {
                for record in histograms {
                    newest = newest.max(record.t);
                    let slot = self.slot(record.series).filter(|_| before <= record.t);
                    if let Some(slot) = slot.filter(|slot| !adopted || self.adopted.ascends(*slot, record.t)) {
                        workers.change(slot, Change::Sample(record.t, record.value));
                    }
                }
            }
            Record::Exemplars(exemplars) => {
                for record in exemplars {
                    if let Some(slot) = self.slot(record.series) {
                        self.exemplars.add(&self.series[slot as usize], &record.exemplar);
                    }
                }
            }
            Record::Starts(starts) => {
                for StartRecord { series, from, start } in starts {
                    if let Some(slot) = self.slot(series) {
                        workers.change(slot, Change::Start(StartRun { from, start }));
                    }
                }
            }
            Record::Tombstones(tombstones) => {
                for tombstone in tombstones {
                    if let Some(slot) = self.slot(tombstone.series) {
                        workers.change(slot, Change::Delete(tombstone.range));
                        self.exemplars.delete(&self.series[slot as usize].labels, tombstone.range);
                        if adopted {
                            self.adopted.deleted.entry(slot).or_default().push(tombstone.range);
                        }
                    }
                }
            }
            Record::Deletion(deletion) => self.delete(&deletion, workers),
            Record::SeriesMetadata(all) => {
                for (id, metadata) in all {
                    self.series_metadata(id, metadata);
                }
            }
            Record::Commit(_) | Record::End { .. } => {}
            Record::Skipped(kind) => tracing::debug!(kind, "record of a kind that this version does not read"),
        }
        self.maxt = self.maxt.max(newest);
        newest
    }

    /// Takes note that records of `segment` follow, or of a checkpoint.
    fn begin(&mut self, segment: Option<u64>) {
        if self.segment != segment {
            self.segment = segment;
            self.file = self.file.saturating_add(1);
        }
    }

    /// Whether nothing that a Prometheus' first log deletes is at `t` of series `id`.
    pub(super) fn is_there(&self, id: SeriesRef, t: Timestamp) -> bool {
        let slot = self.refs.get(id).map(|described| described.slot);
        let deleted = slot.and_then(|slot| self.adopted.deleted.get(&slot));
        deleted.is_none_or(|ranges| !ranges.iter().any(|range| range.contains(t)))
    }

    /// Adds float samples that no segment of the log has.
    pub(super) fn floats(&mut self, floats: &[SampleRecord], workers: &mut Workers<'_>) {
        self.begin(None);
        for SampleRecord { series, sample } in floats {
            self.maxt = self.maxt.max(sample.t);
            if let Some(slot) = self.slot(*series) {
                workers.float(slot, *sample);
            }
        }
    }

    fn series(&mut self, id: SeriesRef, labels: RawLabels<'_>, workers: &mut Workers<'_>) {
        self.newest_id = self.newest_id.max(id.0);
        let known = self.refs.get(id).map(|described| described.slot);
        let known = known.filter(|slot| labels.are(&self.series[*slot as usize].labels));
        let slot = known.unwrap_or_else(|| self.slot_of(id, &labels.labels(), workers));
        let newest = &mut self.newest_ids[slot as usize];
        if *newest < id {
            // It had left the head, in which it then knew nothing of what was told before.
            *newest = id;
            workers.change(slot, Change::ForgetStarts);
        }
        if let Some(number) = self.segment {
            self.series[slot as usize].mark_logged(number);
        }
        self.refs.insert(id, Described { slot, file: self.file });
    }

    /// The slot of the series with these labels, which is made if it is not there.
    fn slot_of(&mut self, id: SeriesRef, labels: &Labels, workers: &mut Workers<'_>) -> u32 {
        match self.index.get(labels) {
            Some(series) => series.slot,
            None => self.insert(id, labels.clone(), HeadSamples::default(), workers),
        }
    }

    /// Adds a series that is not there yet. Returns its slot.
    fn insert(&mut self, id: SeriesRef, labels: Labels, samples: HeadSamples, workers: &mut Workers<'_>) -> u32 {
        let series = self.index.insert_unlisted(id, labels, samples);
        debug_assert_eq!(series.slot as usize, self.series.len(), "nothing is removed while a head is restored");
        let slot = series.slot;
        workers.series(&series);
        self.series.push(series);
        self.newest_ids.push(id);
        slot
    }

    /// Gives all series their postings. They wait for this, since nothing else can be done until the first series is there.
    pub(super) fn list(&mut self) {
        self.index.list(&self.series[self.listed..]);
        self.listed = self.series.len();
    }

    /// Has the series that are there so far forget what was deleted.
    fn delete(&mut self, DeletionRecord { sets, range }: &DeletionRecord, workers: &mut Workers<'_>) {
        self.list();
        for matchers in sets {
            let slots = select::select(&self.index, matchers, &Budget::unlimited());
            for slot in slots.expect("a budget without limits interrupts nothing") {
                workers.change(slot, Change::Delete(*range));
                self.exemplars.delete(&self.series[slot as usize].labels, *range);
            }
        }
    }

    /// The slot of a series. A reference without one belongs to a series whose description was damaged: already told.
    #[inline]
    fn slot(&mut self, id: SeriesRef) -> Option<u32> {
        let Some(described) = self.refs.get(id) else {
            self.newest_id = self.newest_id.max(id.0);
            return None;
        };
        self.leaning |= self.segment.is_some() && described.file != self.file;
        Some(described.slot)
    }

    /// Prometheus keeps metadata by series: we keep it by family.
    fn series_metadata(&mut self, id: SeriesRef, metadata: Metadata) {
        let Some(described) = self.refs.get(id) else { return };
        let labels = &self.series[described.slot as usize].labels;
        let project = labels.get(PROJECT_LABEL).and_then(|project| ProjectId::parse(project).ok());
        let project = project.unwrap_or_else(ProjectId::default_project);
        let family = family(labels.get(METRIC_NAME).unwrap_or_default(), metadata.kind).to_owned();
        self.families.set(&FamilyMetadata { project, family, metadata });
    }
}

/// The family of the series called `name`.
fn family(name: &str, kind: MetricKind) -> &str {
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => &["_bucket", "_count", "_sum"],
        MetricKind::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

impl Describe for Restored {
    fn pause(&self, then: &mut dyn FnMut()) {
        // Nobody commits to a head in the making.
        then();
    }

    fn describe(&self, series: &HashSet<SeriesRef>, into: &mut Records) {
        let described = series.iter().filter_map(|id| Some((*id, self.refs.get(*id)?)));
        into.series(described.map(|(id, described)| (id, &self.series[described.slot as usize].labels)));
    }
}
