//! Tokens from creation to revocation, through the file that several processes share.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use control::{Access, Action, Authority, Control, ControlError, Denied, NewToken, Scopes, WriteAs};
use model::{ProjectId, Scope};

const NOW: i64 = 1_795_310_698_929;

struct Fixture {
    dir: tempfile::TempDir,
    control: Control,
    project: ProjectId,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::open(&dir.path().join("control.db")).unwrap();
        let project = control.create_project("Team A", None, NOW).unwrap().id;
        Fixture { dir, control, project }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.db")
    }

    fn new_token(&self, name: &str) -> NewToken {
        let access = Access::Project(self.project.clone());
        NewToken { access, name: name.to_owned(), scopes: Scopes::WRITE_READ, expires_ms: None }
    }

    fn token(&self, name: &str) -> String {
        self.control.create_token(&self.new_token(name), NOW).unwrap().reveal()
    }

    fn operator_token(&self) -> String {
        let new = NewToken { access: Access::Operator, scopes: Scopes::ALL, ..self.new_token("operator") };
        self.control.create_token(&new, NOW).unwrap().reveal()
    }
}

#[test]
fn a_token_grants_its_project_and_an_operators_every_project() {
    let fixture = Fixture::new();
    let (token, operator) = (fixture.token("a"), fixture.operator_token());
    let authority = Authority::open(&fixture.path()).unwrap();

    let grant = authority.check(&token, NOW).unwrap();
    assert_eq!(grant.read_scope(), Ok(Scope::Project(fixture.project.clone())));
    assert_eq!(grant.write_as(), Ok(WriteAs::Project(fixture.project.clone())));
    assert_eq!(grant.require(Action::Admin), Err(Denied::Scope(Action::Admin)));
    assert_eq!(grant.key_id().unwrap().as_str(), &token[4..14]);

    let grant = authority.authorize(Some(&format!("Bearer {operator}")), NOW).unwrap();
    assert_eq!(grant.access(), &Access::Operator);
    assert_eq!(grant.read_scope(), Ok(Scope::All));
    assert_eq!(grant.require(Action::Admin), Ok(()));
}

#[test]
fn wrong_credentials_are_refused_alike() {
    let fixture = Fixture::new();
    let token = fixture.token("a");
    let stranger = Fixture::new().token("a");
    let authority = Authority::open(&fixture.path()).unwrap();
    let mut typo = token.clone();
    typo.replace_range(20..21, if &token[20..21] == "x" { "y" } else { "x" });
    for header in
        ["Bearer ", &format!("Bearer {typo}"), &format!("Bearer {stranger}"), &format!("Bearer {token}x"), &token]
    {
        assert_eq!(authority.authorize(Some(header), NOW).unwrap_err(), Denied::Invalid, "{header}");
    }
    assert_eq!(authority.authorize(None, NOW).unwrap_err(), Denied::Missing);
    assert_eq!(authority.authorize(Some(""), NOW).unwrap_err(), Denied::Missing);
}

#[test]
fn a_known_key_id_does_not_help_without_its_secret() {
    let fixture = Fixture::new();
    let token = fixture.token("a");
    // The same key id in another registry, where its secret is another one.
    let other = Fixture::new();
    other.token("b");
    let database = rusqlite::Connection::open(other.path()).unwrap();
    database.execute("UPDATE tokens SET key_id = ?1", [&token[4..14]]).unwrap();
    let authority = Authority::open(&other.path()).unwrap();
    assert_eq!(authority.check(&token, NOW).unwrap_err(), Denied::Invalid);
}

#[test]
fn a_token_ends_at_its_expiry() {
    let fixture = Fixture::new();
    let new = NewToken { expires_ms: Some(NOW + 1000), ..fixture.new_token("short") };
    let token = fixture.control.create_token(&new, NOW).unwrap().reveal();
    let authority = Authority::open(&fixture.path()).unwrap();
    assert!(authority.check(&token, NOW + 999).is_ok());
    assert_eq!(authority.check(&token, NOW + 1000).unwrap_err(), Denied::Invalid);
}

#[test]
fn a_refresh_sees_what_another_connection_did() {
    let fixture = Fixture::new();
    let authority = Authority::open(&fixture.path()).unwrap();
    let token = fixture.token("a");
    assert_eq!(authority.check(&token, NOW).unwrap_err(), Denied::Invalid, "not read yet");
    assert!(authority.refresh().unwrap());
    assert!(authority.check(&token, NOW).is_ok());
    assert!(!authority.refresh().unwrap(), "nothing changed");

    let elsewhere = Control::open(&fixture.path()).unwrap();
    let revoked = elsewhere.revoke_token("a", NOW + 5).unwrap();
    assert_eq!((revoked.revoked_ms, revoked.key_id.as_str()), (Some(NOW + 5), &token[4..14]));
    assert!(authority.refresh().unwrap());
    assert_eq!(authority.check(&token, NOW).unwrap_err(), Denied::Invalid);
    assert_eq!(Authority::open(&fixture.path()).unwrap().check(&token, NOW).unwrap_err(), Denied::Invalid);
}

#[test]
fn tokens_are_revoked_by_key_id_by_name_or_by_themselves() {
    let fixture = Fixture::new();
    let (one, two, three) = (fixture.token("twin"), fixture.token("twin"), fixture.token(""));
    let revoke = |which: &str| fixture.control.revoke_token(which, NOW + 1);
    assert!(matches!(revoke("twin"), Err(ControlError::AmbiguousToken { n: 2, .. })));
    assert_eq!(revoke(&one[4..14]).unwrap().key_id.as_str(), &one[4..14]);
    assert_eq!(revoke("twin").unwrap().key_id.as_str(), &two[4..14]);
    assert!(matches!(revoke("twin"), Err(ControlError::NoToken(_))), "both are revoked");
    assert_eq!(
        fixture.control.revoke_token(&one[4..14], NOW + 9).unwrap().revoked_ms,
        Some(NOW + 1),
        "the first time stays"
    );
    assert_eq!(revoke(&three).unwrap().key_id.as_str(), &three[4..14]);
    let mut unknown = three.clone();
    unknown.replace_range(4..14, "0000000000");
    let refused = revoke(&unknown).unwrap_err().to_string();
    assert_eq!(refused, r#"no live token with key id or name "0000000000""#);
}

#[test]
fn what_no_token_may_be_is_refused() {
    let fixture = Fixture::new();
    let create = |new: NewToken| fixture.control.create_token(&new, NOW).map(drop).unwrap_err().to_string();
    let new = fixture.new_token("x");
    assert_eq!(create(NewToken { scopes: Scopes::ALL, ..new.clone() }), "scope admin needs an operator token");
    let nowhere = Access::Project(ProjectId::parse("nowhere").unwrap());
    assert_eq!(create(NewToken { access: nowhere, ..new.clone() }), "no project nowhere; create it first");
    for name in ["a\nb".to_owned(), "x".repeat(201)] {
        assert!(create(NewToken { name, ..new.clone() }).contains("at most 200 bytes without control characters"));
    }
    assert!(fixture.control.tokens().unwrap().is_empty());
}

#[test]
fn projects_are_listed_and_their_ids_are_never_given_twice() {
    let fixture = Fixture::new();
    let id = ProjectId::parse("team-b").unwrap();
    fixture.control.create_project("Team B", Some(id.clone()), NOW + 1).unwrap();
    let again = fixture.control.create_project("Other", Some(id), NOW + 2).unwrap_err();
    assert_eq!(again.to_string(), "project team-b exists already");
    let projects = fixture.control.projects().unwrap();
    let generated = projects[0].id.as_str();
    assert!(generated.len() == 16 && generated.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    let listed: Vec<_> = projects.iter().map(|p| (p.name.as_str(), p.created_ms)).collect();
    assert_eq!(listed, [("Team A", NOW), ("Team B", NOW + 1)]);
}

#[test]
fn no_secret_is_in_the_files_or_in_debug_output() {
    let fixture = Fixture::new();
    let new = fixture.new_token("canary");
    let text = fixture.control.create_token(&new, NOW).unwrap();
    let mut shown = format!("{text} {text:?}");
    let token = text.reveal();
    let authority = Authority::open(&fixture.path()).unwrap();
    let grant = authority.check(&token, NOW).unwrap();
    shown += &format!("{:?} {authority:?} {grant:?} {:?}", fixture.control, fixture.control.tokens().unwrap());
    let secret = &token[15..58];
    assert!(shown.contains(&token[4..14]) && !shown.contains(secret), "{shown}");

    let (mut n_files, mut n_with_key_id) = (0, 0);
    for file in std::fs::read_dir(fixture.dir.path()).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(secret), "{:?} holds the secret", file.path());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
        n_files += 1;
        n_with_key_id += usize::from(holds(&token[4..14]));
    }
    assert!(n_files >= 2 && n_with_key_id >= 1, "the database and its log were looked through");
}

#[test]
fn files_that_are_no_registry_of_this_version_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    std::fs::write(&path, "this is no database, but long enough to look like one to a careless reader").unwrap();
    assert!(matches!(Control::open(&path), Err(ControlError::Sqlite { .. })));
    assert!(matches!(Control::open(&dir.path().join("no/such/dir.db")), Err(ControlError::Io { .. })));

    let fixture = Fixture::new();
    rusqlite::Connection::open(fixture.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Authority::open(&fixture.path()).unwrap_err();
    assert!(matches!(refused, ControlError::Version { found: 99, .. }), "{refused}");
}

#[test]
fn a_row_that_no_version_wrote_lets_nobody_in_and_keeps_nobody_out() {
    let fixture = Fixture::new();
    let (good, bad) = (fixture.token("good"), fixture.token("bad"));
    let database = rusqlite::Connection::open(fixture.path()).unwrap();
    database.execute("UPDATE tokens SET scopes = 'everything' WHERE name = 'bad'", []).unwrap();
    let authority = Authority::open(&fixture.path()).unwrap();
    assert!(authority.check(&good, NOW).is_ok());
    assert_eq!(authority.check(&bad, NOW).unwrap_err(), Denied::Invalid);
    let refused = fixture.control.tokens().unwrap_err().to_string();
    assert!(refused.contains("unknown scope \"everything\""), "{refused}");
}

#[test]
fn without_authentication_everyone_is_an_operator() {
    let authority = Authority::open_to_all();
    for header in [None, Some("Bearer anything")] {
        let grant = authority.authorize(header, NOW).unwrap();
        assert_eq!((grant.access(), grant.key_id()), (&Access::Operator, None));
        assert_eq!(grant.require(Action::Admin), Ok(()));
    }
    assert!(!authority.refresh().unwrap());
}
