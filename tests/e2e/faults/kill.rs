//! `kill -9` at random moments under load: while writing, while flushing, while starting; and an orderly end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{LOAD, Stand};
use crate::acks::Load;
use crate::http::Http;
use crate::peers::blocks;

/// How many times the server is killed; 200 is the long run.
fn kills() -> u64 {
    std::env::var("KILLS").map_or(10, |kills| kills.parse().expect("KILLS is a number"))
}

/// Moments that nobody chose.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Random(nanos as u64 | 1)
    }

    fn sleep(&mut self, ms: std::ops::Range<u64>) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let micros = ms.start * 1000 + self.0 % ((ms.end - ms.start) * 1000);
        std::thread::sleep(Duration::from_micros(micros));
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut random, started, kills) = (Random::new(), Instant::now(), kills());
    // Everything is read back after each start: the longer the run, the less is sent between two.
    let pause = LOAD.pause * u32::try_from(kills / 20).unwrap().max(1);
    let mut stand = Stand::start_with(tmp.path(), Load { pause, ..LOAD });
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        random.sleep(50..400);
        let flush = (kill % 2 == 1).then(|| flush(&stand));
        if flush.is_some() {
            random.sleep(0..60);
        }
        stand.promenade.end("KILL");
        if kill % 3 == 2 {
            stand.promenade.launch(&[]);
            random.sleep(0..120);
            stand.promenade.end("KILL");
        }
        flush.into_iter().for_each(|flush| flush.join().unwrap());
        let down = Instant::now();
        stand.promenade.run();
        slowest = slowest.max(down.elapsed());
        stand.acks.hold(true);
        stand.assert_all_there();
        stand.acks.hold(false);
    }
    stand.wait_acked(1, Duration::from_secs(5));
    stand.acks.stop();
    stand.assert_all_there();
    let figures = stand.acks.figures();
    assert!(kills * 100 <= figures.samples, "{figures:?}");
    eprintln!(
        "{kills} kills in {:.0?}: {} samples acknowledged, 0 lost; {} blocks; slowest start {slowest:.0?}",
        started.elapsed(),
        figures.samples,
        blocks(stand.promenade.data()).len(),
    );
}

/// Asks for a flush, which may or may not come to its end.
fn flush(stand: &Stand) -> std::thread::JoinHandle<()> {
    let (url, operator) = (stand.promenade.url.clone(), stand.promenade.operator.clone());
    std::thread::spawn(move || {
        let _ = Http::new(&url, Some(&operator)).post("/api/v1/admin/tsdb/flush", &[], Vec::new());
    })
}

#[test]
fn an_orderly_end_under_load_loses_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let mut stand = Stand::start(tmp.path());
    for _ in 0..2 {
        stand.wait_acked(2000, Duration::from_secs(20));
        assert!(stand.promenade.end("TERM"), "{}", stand.promenade.log());
        stand.promenade.run();
        stand.assert_all_there();
    }
    stand.acks.stop();
    stand.assert_all_there();
}
