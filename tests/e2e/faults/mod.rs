//! What may befall a server while it is written to: the end of its process, failing syncs, a full disk.

mod full_disk;
mod kill;
mod sync_error;

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
        Stand::start_with(dir, LOAD)
    }

    fn start_with(dir: &Path, load: Load) -> Stand {
        let promenade = Promenade::start(dir);
        let token = promenade.project("inference");
        let http = Http::new(&promenade.url, Some(&token));
        let acks = AckLog::start(&promenade.url, &token, load);
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
