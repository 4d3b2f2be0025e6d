//! Endpoints from registration to removal, and who sees them.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::path::PathBuf;

use control::{Access, Authority, Control, ControlError, Endpoint, Endpoints, Grant, NewToken, Place, Scopes};
use model::ProjectId;

const NOW: i64 = 1_795_310_698_929;

struct Fixture {
    dir: tempfile::TempDir,
    control: Control,
}

impl Fixture {
    /// Two projects, `a` and `b`.
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::open(&dir.path().join("control.db")).unwrap();
        for id in ["a", "b"] {
            control.create_project(id, Some(project(id)), NOW).unwrap();
        }
        Fixture { dir, control }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.db")
    }

    fn grant(&self, access: Access) -> Grant {
        let new = NewToken { access, name: String::new(), scopes: Scopes::WRITE_READ, expires_ms: None };
        let token = self.control.create_token(&new, NOW).unwrap().reveal();
        Authority::open(&self.path()).unwrap().check(&token, NOW).unwrap()
    }
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

fn full(owner: &str, id: &str) -> Endpoint {
    Endpoint {
        id: id.to_owned(),
        namespace: "acme".to_owned(),
        name: id.replace("ep_", "chat-"),
        project: project(owner),
        model: Some("meta-llama/Llama-3.3-70B-Instruct".to_owned()),
        tier: Some("pt".to_owned()),
        region: Some("us-east-1".to_owned()),
        cluster: Some("c1".to_owned()),
        gpu_model: Some("H100".to_owned()),
        gpu_count: Some(8),
        budget_usd_month: Some(1500.25),
        warm_replicas: Some(2),
        places: vec![Place::vm(id), Place::gpu("n1", id)],
    }
}

#[test]
fn an_endpoint_is_read_as_it_was_set_and_replaced_as_a_whole() {
    let Fixture { control, .. } = &Fixture::new();
    control.set_endpoint(&full("a", "ep_1")).unwrap();
    assert_eq!(control.endpoint(&project("a"), "ep_1").unwrap(), Some(full("a", "ep_1")));
    assert_eq!(control.endpoint(&project("b"), "ep_1").unwrap(), None);
    let bare = Endpoint::new(project("a"), "ep_1", "acme", "renamed");
    control.set_endpoint(&bare).unwrap();
    assert_eq!(control.endpoints(None).unwrap(), std::slice::from_ref(&bare));
    control.set_endpoint(&full("b", "ep_1")).unwrap();
    assert_eq!(control.endpoints(None).unwrap(), [bare.clone(), full("b", "ep_1")], "each project has its own");
    assert_eq!(control.endpoints(Some(&project("a"))).unwrap(), [bare]);
    control.remove_endpoint(&project("a"), "ep_1").unwrap();
    let gone = control.remove_endpoint(&project("a"), "ep_1").unwrap_err();
    assert_eq!(gone.to_string(), "no endpoint \"ep_1\" is registered in project a");
    assert_eq!(control.endpoints(None).unwrap().len(), 1, "the other project's stays");
}

#[test]
fn what_cannot_be_an_endpoint_is_refused_and_changes_nothing() {
    let Fixture { control, .. } = &Fixture::new();
    control.set_endpoint(&full("a", "ep_1")).unwrap();
    let refuse = |endpoint: Endpoint| control.set_endpoint(&endpoint).unwrap_err().to_string();
    assert_eq!(refuse(full("nowhere", "ep_2")), "no project nowhere; create it first");
    let thief = Endpoint { name: "chat-1".to_owned(), ..full("a", "ep_2") };
    assert_eq!(refuse(thief), "endpoint ep_1 of the same project is acme/chat-1 already");
    assert!(refuse(full("a", "ep 2")).contains("endpoint id \"ep 2\" must be 1 to 128"));
    assert_eq!(control.endpoints(None).unwrap(), [full("a", "ep_1")]);
}

#[test]
fn a_grant_sees_its_projects_endpoints_alone() {
    let fixture = Fixture::new();
    let (a, b, operator) = (
        fixture.grant(Access::Project(project("a"))),
        fixture.grant(Access::Project(project("b"))),
        fixture.grant(Access::Operator),
    );
    for (owner, id) in [("a", "ep_1"), ("b", "ep_1"), ("b", "ep_2")] {
        fixture.control.set_endpoint(&full(owner, id)).unwrap();
    }
    let endpoints = Endpoints::open(&fixture.path()).unwrap();
    let by_id = |grant: &Grant, id: &str| endpoints.by_id(grant, id).map(|found| found.map(|e| e.project.clone()));
    assert_eq!(by_id(&a, "ep_1"), Ok(Some(project("a"))));
    assert_eq!(by_id(&b, "ep_1"), Ok(Some(project("b"))));
    assert_eq!(by_id(&a, "ep_2"), Ok(None), "another project's is as unknown as none");
    assert_eq!(by_id(&a, "ep_3"), Ok(None));
    assert_eq!(by_id(&operator, "ep_2"), Ok(Some(project("b"))));
    let several = by_id(&operator, "ep_1").unwrap_err().to_string();
    assert!(several.starts_with("endpoints of 2 projects are called this"), "{several}");
    let narrowed = operator.for_project(&project("b")).unwrap();
    assert_eq!(by_id(&narrowed, "ep_1"), Ok(Some(project("b"))));
    assert_eq!(endpoints.by_slug(&a, "acme", "chat-1").unwrap().as_deref(), Some(&full("a", "ep_1")));
    assert_eq!(endpoints.by_slug(&a, "acme", "chat-2").unwrap(), None);
    assert_eq!([&a, &b, &operator].map(|grant| endpoints.all(grant).len()), [1, 2, 3]);
}

#[test]
fn a_refresh_sees_what_another_connection_registered() {
    let fixture = Fixture::new();
    let grant = fixture.grant(Access::Operator);
    let endpoints = Endpoints::open(&fixture.path()).unwrap();
    fixture.control.set_endpoint(&full("a", "ep_1")).unwrap();
    assert_eq!(endpoints.by_id(&grant, "ep_1"), Ok(None), "not read yet");
    assert!(endpoints.refresh().unwrap());
    assert!(endpoints.by_id(&grant, "ep_1").unwrap().is_some());
    assert!(!endpoints.refresh().unwrap(), "nothing changed");
    let before = endpoints.view();
    fixture.grant(Access::Operator);
    assert!(!endpoints.refresh().unwrap(), "a token is no endpoint");
    assert_eq!(endpoints.view().generation(), before.generation());
    fixture.control.remove_endpoint(&project("a"), "ep_1").unwrap();
    assert!(endpoints.refresh().unwrap());
    assert_ne!(endpoints.view().generation(), before.generation());
    assert_eq!(endpoints.view().by_id(&project("a"), "ep_1"), None);
    assert_eq!(before.by_name(&project("a"), "chat-1").as_deref(), Some(&full("a", "ep_1")), "a view stays as it is");
    assert!(before.has_any(&project("a")) && !before.has_any(&project("b")));
    assert_eq!(before.by_id(&project("b"), "ep_1"), None);
}

#[test]
fn a_place_is_of_one_endpoint_of_its_project() {
    let fixture = Fixture::new();
    for (owner, id) in [("a", "ep_1"), ("a", "ep_2"), ("b", "ep_1")] {
        fixture.control.set_endpoint(&full(owner, id)).unwrap();
    }
    let taken = Endpoint { places: vec![Place::node("n1"), Place::vm("ep_1")], ..full("a", "ep_2") };
    let refused = fixture.control.set_endpoint(&taken).unwrap_err().to_string();
    assert_eq!(refused, "endpoint ep_1 of the same project has vm/ep_1 already");
    let view = Endpoints::open(&fixture.path()).unwrap().view();
    let at = |owner: &str, place: Place| {
        let found = view.by_place(&project(owner), || [None, Some(place)]);
        found.map(|endpoint| (endpoint.project.to_string(), endpoint.id.clone()))
    };
    let endpoint = |owner: &str, id: &str| Some((owner.to_owned(), id.to_owned()));
    assert_eq!(at("a", Place::vm("ep_2")), endpoint("a", "ep_2"));
    assert_eq!(at("b", Place::gpu("n1", "ep_1")), endpoint("b", "ep_1"));
    assert_eq!(at("b", Place::vm("ep_2")), None);
    assert_eq!(at("a", Place::node("n1")), None);
}

#[test]
fn a_row_that_no_version_wrote_hides_no_other() {
    let fixture = Fixture::new();
    fixture.control.set_endpoint(&full("a", "ep_1")).unwrap();
    fixture.control.set_endpoint(&full("a", "ep_2")).unwrap();
    let database = rusqlite::Connection::open(fixture.path()).unwrap();
    database.execute("UPDATE endpoints SET gpu_count = 0 WHERE id = 'ep_1'", []).unwrap();
    let listed = fixture.control.endpoints(None).unwrap_err().to_string();
    assert!(listed.ends_with("endpoint ep_1: gpu count is 0, bounds 1 to 4096"), "{listed}");
    assert_eq!(Endpoints::open(&fixture.path()).unwrap().all(&fixture.grant(Access::Operator)).len(), 1);
}

/// A file of version 1 had tokens and no endpoints: it gets the table, and keeps what it has.
#[test]
fn a_file_of_the_first_version_is_brought_up_to_date() {
    let fixture = Fixture::new();
    let grant = fixture.grant(Access::Operator);
    let database = rusqlite::Connection::open(fixture.path()).unwrap();
    database.execute_batch("DROP TABLE endpoints; DROP TABLE project_limits; PRAGMA user_version = 1;").unwrap();
    let control = Control::open(&fixture.path()).unwrap();
    control.set_endpoint(&full("a", "ep_1")).unwrap();
    assert_eq!((control.projects().unwrap().len(), control.tokens().unwrap().len()), (2, 1));
    assert_eq!(Endpoints::open(&fixture.path()).unwrap().all(&grant).len(), 1);
    let again = Control::open(&fixture.path()).map(drop);
    assert!(!matches!(again, Err(ControlError::Version { .. })));
}
