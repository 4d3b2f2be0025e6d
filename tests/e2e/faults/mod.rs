//! What may befall a server while it is written to: the end of its process, failing syncs, a full disk.

mod full_disk;
mod kill;
mod sync_error;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::acks::{AckLog, Load};
use crate::http::Http;
use crate::promenade::Promenade;

/// As fast as a debug build goes, and still leaving a core to others.
const LOAD: Load = Load { senders: 4, pause: Duration::from_millis(2) };

/// A server under load.
struct Stand {
    promenade: Promenade,
    acks: AckLog,
    http: Http,
}

impl Stand {
    /// Starts a server with its data below `dir`, and the load on it.
    fn start(dir: &Path) -> Stand {
        let promenade = Promenade::start(dir);
        let token = promenade.project("inference");
        let http = Http::new(&promenade.url, Some(&token));
        // The token is new to the server: four senders that come with it at once would not all be let in.
        http.data("/api/v1/query", &[("query", "1")]);
        let acks = AckLog::start(&promenade.url, &token, LOAD);
        Stand { promenade, acks, http }
    }

    #[track_caller]
    fn assert_all_there(&self) {
        self.acks.assert_all_there(&self.http);
    }

    /// Waits until `more` requests have been acknowledged; fails after `limit`.
    #[track_caller]
    fn wait_acked(&self, more: u64, limit: Duration) {
        let before = self.acks.figures().samples;
        crate::peers::wait_for("writes are acknowledged", limit, || {
            (before + more <= self.acks.figures().samples).then_some(())
        });
    }
}

/// Blocks in a data directory.
fn blocks(data: &Path) -> usize {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 26 && name.bytes().all(|b| b.is_ascii_alphanumeric())).count()
}
