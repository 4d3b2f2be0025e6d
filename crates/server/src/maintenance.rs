//! The clockwork beside requests: the store's due work, the recorder, and the changes of tokens, limits and endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use control::Authority;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::pool::Ask;
use crate::recorder::Recorder;
use crate::state::App;

/// A revoked token must not work for longer than a second, nor an old limit hold.
const REGISTRY_INTERVAL: Duration = Duration::from_millis(500);
/// Writes resume within five seconds after the disk does.
const HEAL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether full chunks may leave the memory, and whether an image of the head is due.
const IMAGE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether a minute is due.
const RECORDER_INTERVAL: Duration = Duration::from_secs(5);

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

/// Keeps memory small and the next start quick, as much as comes in; ends when dropped.
pub(crate) async fn image(app: App) {
    let mut ticks = ticks(IMAGE_INTERVAL);
    loop {
        ticks.tick().await;
        let app = app.clone();
        if let Err(panic) = tokio::task::spawn_blocking(move || app.store().image()).await {
            tracing::error!("write an image of the head: {panic}");
        }
    }
}

/// Reads tokens, limits and endpoints again when another process has changed them; ends when dropped.
pub(crate) async fn follow_registry(app: App) {
    let mut ticks = ticks(REGISTRY_INTERVAL);
    loop {
        ticks.tick().await;
        let refreshed = {
            let app = app.clone();
            tokio::task::spawn_blocking(move || {
                app.rates().forget_idle();
                // Each is tried whatever becomes of the others.
                let (tokens, limits) = (app.authority().refresh(), app.limits().refresh());
                let endpoints = app.endpoints().refresh();
                Ok::<_, control::ControlError>(tokens? | limits? | endpoints?)
            })
            .await
        };
        match refreshed {
            Ok(Ok(true)) => tracing::debug!("tokens, limits or endpoints have changed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!("read tokens, limits and endpoints: {error}"),
            Err(panic) => tracing::error!("read tokens, limits and endpoints: {panic}"),
        }
    }
}

/// Records minute after minute, once the samples of the first one are there; ends when dropped.
pub(crate) async fn record(app: App) {
    let delay = app.config().limits.recorder_delay;
    tokio::time::sleep(delay).await;
    let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    let seed = app.writes().seed_of("recorder");
    let recorder = Arc::new(Mutex::new(Recorder::new(app.config().rate_card.clone(), delay_ms, seed)));
    let grant = Authority::server_grant();
    let mut ticks = ticks(RECORDER_INTERVAL);
    loop {
        ticks.tick().await;
        let (recording, recorder) = (app.clone(), recorder.clone());
        let recorded = app.queries().run(Ask::new(&grant, "recorder", ""), move |budget| {
            let mut recorder = recorder.lock();
            let (endpoints, now) = (recording.endpoints().view(), crate::clock::now_ms());
            let outcome = recorder.advance(recording.store(), &endpoints, now, budget);
            recording.metrics().recorded_until.store(recorder.until().unwrap_or(0), Relaxed);
            outcome
        });
        match recorded.await {
            Ok(0) => {}
            Ok(minutes) => tracing::debug!("{minutes} minutes are recorded"),
            Err(error) => {
                app.metrics().recorder_failures.fetch_add(1, Relaxed);
                tracing::error!("record: {}", error.message());
            }
        }
    }
}

fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
