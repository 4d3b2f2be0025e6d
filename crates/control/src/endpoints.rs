//! The registered endpoints: changed in the file, and looked up in memory within what a grant may see.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use model::ProjectId;
use parking_lot::{Mutex, RwLock};
use rusqlite::{OptionalExtension as _, Row, params};
use thiserror::Error;

use crate::follow::Followed;
use crate::schema::File;
use crate::{Access, Control, ControlError, Endpoint, Grant, Place};

/// Registered endpoints of all projects together: what a server keeps in memory.
const ENDPOINTS_MAX: i64 = 100_000;

const COLUMNS: &str = "project_id, id, namespace, name, model, tier, region, cluster, gpu_model, gpu_count, \
                       budget_usd_month, warm_replicas, places";

impl Control {
    /// All endpoints, or those of one project, by project and id.
    pub fn endpoints(&self, project: Option<&ProjectId>) -> Result<Vec<Endpoint>, ControlError> {
        let endpoints = read_endpoints(self.file())?.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(endpoints.into_iter().filter(|endpoint| project.is_none_or(|id| *id == endpoint.project)).collect())
    }

    /// The endpoint `id` of `project`.
    pub fn endpoint(&self, project: &ProjectId, id: &str) -> Result<Option<Endpoint>, ControlError> {
        let file = self.file();
        let sql = format!("SELECT {COLUMNS} FROM endpoints WHERE project_id = ?1 AND id = ?2");
        let row = file.connection.query_row(&sql, [project.as_str(), id], EndpointRow::read).optional();
        row.map_err(file.sqlite())?.map(|row| row.check().map_err(|what| file.corrupt(what))).transpose()
    }

    /// Registers an endpoint, or replaces what is registered under its project and id.
    ///
    /// Errors: an unknown project, a value that does not fit, and a slug or a place that another endpoint of the project
    /// has.
    pub fn set_endpoint(&self, endpoint: &Endpoint) -> Result<(), ControlError> {
        endpoint.check()?;
        let Endpoint { id, namespace, name, project, model, tier, region, cluster, gpu_model, .. } = endpoint;
        self.require_project(project)?;
        let file = self.file();
        let transaction = file.connection.unchecked_transaction().map_err(file.sqlite())?;
        let sql = "SELECT id FROM endpoints WHERE project_id = ?1 AND namespace = ?2 AND name = ?3 AND id != ?4";
        let names = params![project.as_str(), namespace, name, id];
        let other = transaction.query_row(sql, names, |row| row.get(0)).optional().map_err(file.sqlite())?;
        if let Some(other) = other {
            return Err(ControlError::SlugTaken { slug: format!("{namespace}/{name}"), other });
        }
        if !endpoint.places.is_empty() {
            check_places(file, endpoint)?;
        }
        let sql = format!(
            "INSERT OR REPLACE INTO endpoints ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        );
        let Endpoint { gpu_count, budget_usd_month, warm_replicas, places, .. } = endpoint;
        let places: Vec<&str> = places.iter().map(Place::as_str).collect();
        let places = (!places.is_empty()).then(|| places.join(" "));
        let row = params![
            project.as_str(),
            id,
            namespace,
            name,
            model,
            tier,
            region,
            cluster,
            gpu_model,
            gpu_count,
            budget_usd_month,
            warm_replicas,
            places
        ];
        transaction.execute(&sql, row).map_err(file.sqlite())?;
        let n = transaction.query_row("SELECT count(*) FROM endpoints", [], |row| row.get::<_, i64>(0));
        if ENDPOINTS_MAX < n.map_err(file.sqlite())? {
            return Err(ControlError::TooManyEndpoints(ENDPOINTS_MAX));
        }
        transaction.commit().map_err(file.sqlite())
    }

    /// Forgets the endpoint `id` of `project`; its series stay, and are found by their labels.
    pub fn remove_endpoint(&self, project: &ProjectId, id: &str) -> Result<(), ControlError> {
        let file = self.file();
        let sql = "DELETE FROM endpoints WHERE project_id = ?1 AND id = ?2";
        match file.connection.execute(sql, [project.as_str(), id]).map_err(file.sqlite())? {
            0 => Err(ControlError::NoEndpoint { project: project.clone(), id: id.chars().take(200).collect() }),
            _ => Ok(()),
        }
    }
}

/// An operator's look-up that several projects answer; a project's own token, or its path, says which is meant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("endpoints of {0} projects are called this; ask with a project's token, or below the project's path")]
pub struct SeveralProjects(pub usize);

/// The registered endpoints at one moment, for those that have a project and no token.
#[derive(Clone, Debug)]
pub struct EndpointView(Arc<Known>);

impl EndpointView {
    /// A number that changes whenever the registered endpoints do.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Whether `project` has an endpoint.
    pub fn has_any(&self, project: &ProjectId) -> bool {
        self.0.by_name.contains_key(project)
    }

    /// The endpoint `id` of `project`.
    pub fn by_id(&self, project: &ProjectId, id: &str) -> Option<Arc<Endpoint>> {
        self.0.by_id.get(id)?.iter().find(|endpoint| endpoint.project == *project).cloned()
    }

    /// The endpoint `name` of `project`, whatever its namespace, unless several are called so.
    pub fn by_name(&self, project: &ProjectId, name: &str) -> Option<Arc<Endpoint>> {
        match self.0.by_name.get(project)?.get(name)?.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The endpoint of `project` that runs at the first of `places` that any runs at; they are made only for a project
    /// that has told where its endpoints run.
    pub fn by_place<const N: usize>(
        &self,
        project: &ProjectId,
        places: impl FnOnce() -> [Option<Place>; N],
    ) -> Option<Arc<Endpoint>> {
        let known = self.0.by_place.get(project)?;
        places().into_iter().flatten().find_map(|place| known.get(&place)).cloned()
    }
}

/// The registered endpoints in memory; follows the file's changes as [`Authority`](crate::Authority) does.
#[derive(Debug)]
pub struct Endpoints {
    /// Held for a refresh only, never for a look-up.
    source: Mutex<Followed>,
    /// Replaced as a whole by a refresh.
    known: RwLock<Arc<Known>>,
}

/// By each name that a vendor's API has for an endpoint; the lists are of several projects.
#[derive(Debug, Default)]
struct Known {
    generation: u64,
    all: Vec<Arc<Endpoint>>,
    by_id: HashMap<String, Vec<Arc<Endpoint>>>,
    by_slug: HashMap<(String, String), Vec<Arc<Endpoint>>>,
    by_name: HashMap<ProjectId, HashMap<String, Vec<Arc<Endpoint>>>>,
    by_place: HashMap<ProjectId, HashMap<Place, Arc<Endpoint>>>,
}

impl Known {
    fn read(file: &File) -> Result<Known, ControlError> {
        let mut known = Known::default();
        // A row that no version wrote keeps nobody else's endpoint out; a list of them shows it.
        for endpoint in read_endpoints(file)?.into_iter().filter_map(Result::ok).map(Arc::new) {
            known.by_id.entry(endpoint.id.clone()).or_default().push(endpoint.clone());
            let slug = (endpoint.namespace.clone(), endpoint.name.clone());
            known.by_slug.entry(slug).or_default().push(endpoint.clone());
            let of_project = known.by_name.entry(endpoint.project.clone()).or_default();
            of_project.entry(endpoint.name.clone()).or_default().push(endpoint.clone());
            for place in &endpoint.places {
                let of_project = known.by_place.entry(endpoint.project.clone()).or_default();
                of_project.insert(place.clone(), endpoint.clone());
            }
            known.all.push(endpoint);
        }
        Ok(known)
    }
}

impl Endpoints {
    /// Opens the registry at `path`, or makes it, and reads its endpoints.
    pub fn open(path: &Path) -> Result<Endpoints, ControlError> {
        let (source, known) = Followed::open(File::open(path)?, Known::read)?;
        Ok(Endpoints { source: Mutex::new(source), known: RwLock::new(Arc::new(known)) })
    }

    /// Reads the endpoints again if the file has changed, and tells whether it had.
    ///
    /// Errors: the endpoints known before stay.
    pub fn refresh(&self) -> Result<bool, ControlError> {
        let Some(known) = self.source.lock().read_changes(Known::read)? else { return Ok(false) };
        let mut current = self.known.write();
        // The file has other tables too: what is as before keeps its number.
        if current.all == known.all {
            return Ok(false);
        }
        *current = Arc::new(Known { generation: current.generation + 1, ..known });
        Ok(true)
    }

    /// The endpoint that TensorOne's paths call `id`, if `grant` may see it.
    pub fn by_id(&self, grant: &Grant, id: &str) -> Result<Option<Arc<Endpoint>>, SeveralProjects> {
        let known = Arc::clone(&self.known.read());
        visible(grant, known.by_id.get(id))
    }

    /// The endpoint that Hugging Face's paths call `namespace/name`, if `grant` may see it.
    pub fn by_slug(
        &self,
        grant: &Grant,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Endpoint>>, SeveralProjects> {
        let known = Arc::clone(&self.known.read());
        visible(grant, known.by_slug.get(&(namespace.to_owned(), name.to_owned())))
    }

    /// The endpoints as they are now.
    pub fn view(&self) -> EndpointView {
        EndpointView(Arc::clone(&self.known.read()))
    }

    /// All endpoints that `grant` may see, by project and id.
    pub fn all(&self, grant: &Grant) -> Vec<Arc<Endpoint>> {
        let known = Arc::clone(&self.known.read());
        known.all.iter().filter(|endpoint| sees(grant, endpoint)).cloned().collect()
    }
}

/// What does not belong to the grant's projects does not exist for it.
fn sees(grant: &Grant, endpoint: &Endpoint) -> bool {
    match grant.access() {
        Access::Operator => true,
        Access::Project(project) => *project == endpoint.project,
    }
}

fn visible(grant: &Grant, found: Option<&Vec<Arc<Endpoint>>>) -> Result<Option<Arc<Endpoint>>, SeveralProjects> {
    let mut visible = found.into_iter().flatten().filter(|endpoint| sees(grant, endpoint));
    match (visible.next(), visible.count()) {
        (Some(_), others) if 0 < others => Err(SeveralProjects(others + 1)),
        (only, _) => Ok(only.cloned()),
    }
}

/// Every endpoint by project and id, each row with what is wrong with it by itself.
fn read_endpoints(file: &File) -> Result<Vec<Result<Endpoint, ControlError>>, ControlError> {
    let rows = file.select(&format!("SELECT {COLUMNS} FROM endpoints ORDER BY project_id, id"), EndpointRow::read)?;
    Ok(rows.into_iter().map(|row| row.check().map_err(|what| file.corrupt(what))).collect())
}

/// Refuses a place that another endpoint of the project has.
fn check_places(file: &File, endpoint: &Endpoint) -> Result<(), ControlError> {
    let others = read_endpoints(file)?.into_iter().filter_map(Result::ok);
    let others = others.filter(|other| other.project == endpoint.project && other.id != endpoint.id);
    for other in others {
        if let Some(place) = other.places.iter().find(|place| endpoint.places.contains(place)) {
            return Err(ControlError::PlaceTaken { place: place.as_str().to_owned(), other: other.id });
        }
    }
    Ok(())
}

/// A row as SQLite gives it.
struct EndpointRow {
    project_id: String,
    places: Option<String>,
    rest: Endpoint,
}

impl EndpointRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<EndpointRow> {
        Ok(EndpointRow {
            project_id: row.get(0)?,
            places: row.get(12)?,
            rest: Endpoint {
                id: row.get(1)?,
                namespace: row.get(2)?,
                name: row.get(3)?,
                project: ProjectId::default_project(),
                model: row.get(4)?,
                tier: row.get(5)?,
                region: row.get(6)?,
                cluster: row.get(7)?,
                gpu_model: row.get(8)?,
                gpu_count: row.get(9)?,
                budget_usd_month: row.get(10)?,
                warm_replicas: row.get(11)?,
                places: Vec::new(),
            },
        })
    }

    fn check(self) -> Result<Endpoint, String> {
        let EndpointRow { project_id, places, rest } = self;
        let project = ProjectId::parse(&project_id).map_err(|e| format!("endpoint {}: {e}", rest.id))?;
        let places = places.as_deref().unwrap_or_default().split_whitespace().map(Place::parse);
        let places = places.collect::<Result<_, _>>().map_err(|e| format!("endpoint {}: {e}", rest.id))?;
        let endpoint = Endpoint { project, places, ..rest };
        endpoint.check().map_err(|e| format!("endpoint {}: {e}", endpoint.id))?;
        Ok(endpoint)
    }
}
