//! `promenade tsdb export`: float samples as OpenMetrics text.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::Context;
use model::{Sample, is_stale};
use wire::exposition::{encode_series, push_eof, push_sample};

use super::lines::for_each_series;
use super::{ExportArgs, Format};
use crate::print;

/// Writes.
pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let Format::Openmetrics = args.format;
    let (written, left_out) = match &args.output {
        None => export(args, &mut BufWriter::new(io::stdout().lock()))?,
        Some(path) => {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            export(args, &mut BufWriter::new(file)).with_context(|| format!("write {}", path.display()))?
        }
    };
    print::note(&format!("{written} samples written"));
    if 0 < left_out {
        print::note(&format!(
            "{left_out} native histograms and staleness markers left out: the format has no place for them"
        ));
    }
    Ok(())
}

/// Writes the selection to `out` and counts samples written and those that cannot be.
fn export(args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<(u64, u64)> {
    let (mut written, mut left_out) = (0, 0);
    let (mut series, mut line) = (Vec::new(), Vec::new());
    for_each_series(&args.selection, &mut |labels, columns| {
        series.clear();
        encode_series(labels, &mut series);
        left_out += columns.histograms.len() as u64;
        for (t, v) in columns.timestamps.iter().zip(&columns.values) {
            if is_stale(*v) {
                left_out += 1;
                continue;
            }
            line.clear();
            push_sample(&series, Sample { t: *t, v: *v }, None, &mut line);
            out.write_all(&line)?;
            written += 1;
        }
        Ok(())
    })?;
    line.clear();
    push_eof(&mut line);
    out.write_all(&line)?;
    out.flush()?;
    Ok((written, left_out))
}
