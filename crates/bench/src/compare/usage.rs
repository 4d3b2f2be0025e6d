//! What a process has used, read from Linux' `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Length of one tick of `/proc/PID/stat`: the kernel's interface fixes 100 a second.
const TICK: Duration = Duration::from_millis(10);

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident memory that no file backs, now.
    pub(crate) anonymous: u64,
    /// The most that was resident so far, files included.
    pub(crate) peak: u64,
}

/// CPU time in user and system mode of all threads of `pid`, those that have ended too.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse_cpu(&text).with_context(|| format!("{path}: no CPU times in {text:?}"))
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

/// Memory of `pid`.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse_memory(&text).with_context(|| format!("{path}: no RssAnon and VmHWM"))
}

fn parse_memory(status: &str) -> Option<Memory> {
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory { anonymous: kib("RssAnon")? << 10, peak: kib("VmHWM")? << 10 })
}

/// Bytes of all files below `dir`; files that go away meanwhile do not count.
pub(crate) fn tree_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => tree_bytes(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_found_in_what_linux_writes() {
        let stat = "4242 (a (strange) name) S 1 4242 4242 0 -1 4194560 1021 0 7 0 150 25 0 0 20 0 8 0 12345 9 9";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(1750)));
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1000 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(parse_memory(status), Some(Memory { anonymous: 512 << 10, peak: 2048 << 10 }));
        assert_eq!(parse_cpu("1 (x) S 1"), None);
        assert_eq!(parse_memory("VmHWM:\t 1 kB\n"), None);
    }
}
