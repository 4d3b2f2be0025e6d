//! The clockwork beside requests: the store's due work, and the changes of tokens and limits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::state::App;

/// A revoked token must not work for longer than a second, nor an old limit hold.
const REGISTRY_INTERVAL: Duration = Duration::from_millis(500);
/// Writes resume within five seconds after the disk does.
const HEAL_INTERVAL: Duration = Duration::from_secs(1);

/// Lets the store do what is due, one round at a time; ends when dropped.
pub(crate) async fn maintain(app: App) {
    let mut ticks = ticks(app.config().limits.maintenance_interval);
    loop {
        ticks.tick().await;
        let round = {
            let app = app.clone();
            tokio::task::spawn_blocking(move || app.store().maintain(crate::clock::now_ms())).await
        };
        let failure = match round {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        app.metrics().maintenance_failures.fetch_add(1, Relaxed);
        tracing::error!("maintenance: {failure}");
    }
}

/// Lets writes resume once the disk takes them again, also while blocks are merged; ends when dropped.
pub(crate) async fn heal(app: App) {
    let mut ticks = ticks(HEAL_INTERVAL);
    loop {
        ticks.tick().await;
        let healed = {
            let app = app.clone();
            tokio::task::spawn_blocking(move || app.store().heal()).await
        };
        match healed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the log is still read-only: {error}"),
            Err(panic) => tracing::error!("heal the log: {panic}"),
        }
    }
}

/// Reads tokens and limits again when another process has changed them; ends when dropped.
pub(crate) async fn follow_registry(app: App) {
    let mut ticks = ticks(REGISTRY_INTERVAL);
    loop {
        ticks.tick().await;
        let refreshed = {
            let app = app.clone();
            tokio::task::spawn_blocking(move || Ok(app.authority().refresh()? | app.limits().refresh()?)).await
        };
        match refreshed {
            Ok(Ok(true)) => tracing::debug!("tokens or limits have changed"),
            Ok(Ok(false)) => {}
            Ok(Err::<_, control::ControlError>(error)) => tracing::error!("read tokens and limits: {error}"),
            Err(panic) => tracing::error!("read tokens and limits: {panic}"),
        }
    }
}

fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
