//! `promenade monitoring tokens`: what lets agents and dashboards in.

use control::{Access, NewToken, Scopes, TokenEntry};
use model::{ProjectId, Timestamp};

use crate::args::{CreateTokenArgs, DataDir, RevokeTokenArgs};
use crate::print;

/// Creates a token and prints it alone on standard output: the only time it is shown.
pub(crate) fn create(args: CreateTokenArgs) -> anyhow::Result<()> {
    let access = match args.project {
        Some(id) => Access::Project(ProjectId::parse(&id)?),
        None => Access::Operator,
    };
    let now = server::now_ms();
    let expires_ms =
        args.expires.0.map(|valid| now.saturating_add(i64::try_from(valid.as_millis()).unwrap_or(i64::MAX)));
    let scopes = args.scope.into_iter().reduce(Scopes::union).unwrap_or(Scopes::WRITE_READ);
    let note = format!(
        "monitoring token for {}, scopes {scopes}, valid until {}; keep it now, it is not shown again",
        reach(&access),
        expires_ms.map_or_else(|| "revoked".to_owned(), print::time),
    );
    let control = server::open_control(&args.data.data_dir)?;
    let token = control.create_token(&NewToken { access, name: args.name, scopes, expires_ms }, now)?;
    print::note(&note);
    print::line(&token.reveal())
}

/// Lists tokens.
pub(crate) fn list(data: &DataDir) -> anyhow::Result<()> {
    let now = server::now_ms();
    let tokens = server::open_control(&data.data_dir)?.tokens()?;
    let rows: Vec<_> = tokens.iter().map(|token| row(token, now)).collect();
    print::table(["KEY ID", "STATE", "REACH", "SCOPES", "CREATED", "EXPIRES", "NAME"], &rows)
}

/// Revokes a token.
pub(crate) fn revoke(args: &RevokeTokenArgs) -> anyhow::Result<()> {
    let control = server::open_control(&args.data.data_dir)?;
    let token = control.revoke_token(&args.token, server::now_ms())?;
    print::note(&format!("token {} for {} is revoked", token.key_id, reach(&token.access)));
    Ok(())
}

fn row(token: &TokenEntry, now: Timestamp) -> [String; 7] {
    let state = match (token.revoked_ms, token.expires_ms) {
        (Some(_), _) => "revoked",
        (None, Some(expires)) if expires <= now => "expired",
        (None, _) => "live",
    };
    [
        token.key_id.to_string(),
        state.to_owned(),
        reach(&token.access),
        token.scopes.to_string(),
        print::time(token.created_ms),
        token.expires_ms.map_or_else(|| "never".to_owned(), print::time),
        token.name.clone(),
    ]
}

fn reach(access: &Access) -> String {
    match access {
        Access::Operator => "all projects".to_owned(),
        Access::Project(id) => format!("project {id}"),
    }
}
