//! The server's life: bind, open the store behind the bound address, answer until told to stop, close.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use clouds::Catalog;
use control::{Authority, Control, Endpoints};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::ServeError;
use crate::limits::ProjectLimits;
use crate::state::App;
use crate::{listener, maintenance, routes};

/// Where the projects and tokens of a data directory are.
pub fn control_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.db")
}

/// Opens the projects and tokens of a data directory, making both if need be; a server may be running on it.
pub fn open_control(data_dir: &Path) -> Result<Control, ServeError> {
    disk::Dir::open(data_dir)?;
    Ok(Control::open(&control_path(data_dir))?)
}

/// A server that has its address and is not answering yet.
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
}

/// Serves as `config` says until `shutdown` is ready.
///
/// Errors: settings, address or data directory that cannot be used. Whatever was acknowledged stays on disk.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    Server::bind(config).await?.run(shutdown).await
}

impl Server {
    /// Checks the settings, opens the tokens and listens; requests wait until [`Server::run`].
    pub async fn bind(config: Config) -> Result<Server, ServeError> {
        config.check()?;
        disk::Dir::open(&config.data_dir)?;
        let authority = if config.insecure_no_auth {
            Authority::open_to_all()
        } else {
            Authority::open(&control_path(&config.data_dir))?
        };
        let catalog = catalog(config.catalog.as_deref())?;
        let endpoints = Endpoints::open(&control_path(&config.data_dir))?;
        let limits = ProjectLimits::open(&control_path(&config.data_dir))?;
        let listen = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        tracing::info!("listening on http://{address}");
        Ok(Server { app: App::new(config, authority, endpoints, limits, catalog), listener, address })
    }

    /// The address listened on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The routes without connections: for tests that ask by the thousand.
    pub fn router(&self) -> Router {
        routes::router(&self.app)
    }

    /// Answers requests until `shutdown` is ready, then drains and closes.
    ///
    /// Until the store's log is replayed, queries and writes are answered 503.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Server { app, listener, .. } = self;
        let (stop, stopped) = watch::channel(false);
        let limits = app.config().limits.clone();
        let router = routes::router(&app);
        let connections = tokio::spawn(async move { listener::serve(listener, router, &limits, stopped).await });
        let tokens = tokio::spawn(maintenance::follow_registry(app.clone()));

        let outcome = until_shutdown(&app, shutdown).await;
        // The receivers are gone only if the connections' task has ended already.
        let _ = stop.send(true);
        if let Err(panic) = connections.await {
            tracing::error!("connections: {panic}");
        }
        tokens.abort();
        let patience = app.config().limits.drain_timeout;
        let closing = tokio::task::spawn_blocking(move || app.store().close(patience));
        if let Err(panic) = closing.await {
            tracing::error!("close the store: {panic}");
        }
        outcome
    }
}

/// The catalog of the vendor APIs: the one in `file`, or the embedded one.
fn catalog(file: Option<&Path>) -> Result<Catalog, ServeError> {
    let Some(path) = file else {
        return Catalog::embedded().map_err(|source| ServeError::Catalog { path: PathBuf::from("embedded"), source });
    };
    let yaml = std::fs::read_to_string(path)
        .map_err(|error| ServeError::Config(format!("read catalog {}: {error}", path.display())))?;
    Catalog::parse(&yaml).map_err(|source| ServeError::Catalog { path: path.to_owned(), source })
}

/// Opens the store and keeps it in shape until `shutdown`, which also ends the wait for a long replay.
async fn until_shutdown(app: &App, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let mut shutdown = std::pin::pin!(shutdown);
    tokio::select! {
        opened = open(app.clone()) => opened?,
        () = shutdown.as_mut() => return Ok(()),
    }
    let ticks = [
        tokio::spawn(maintenance::maintain(app.clone())),
        tokio::spawn(maintenance::heal(app.clone())),
        tokio::spawn(maintenance::image(app.clone())),
        tokio::spawn(maintenance::record(app.clone())),
    ];
    shutdown.await;
    ticks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Opens the store on a thread of its own.
async fn open(app: App) -> Result<(), ServeError> {
    let opened = tokio::task::spawn_blocking(move || app.store().open(app.config(), app.limits().quotas())).await;
    opened.map_err(|panic| ServeError::System(std::io::Error::other(panic)))??;
    tracing::info!("ready");
    Ok(())
}
