//! `promenade projects`: whose series there are.

use model::ProjectId;

use crate::args::{CreateProjectArgs, DataDir};
use crate::print;

/// Creates a project and prints its id alone, for scripts.
pub(crate) fn create(args: &CreateProjectArgs) -> anyhow::Result<()> {
    let id = args.id.as_deref().map(ProjectId::parse).transpose()?;
    let control = server::open_control(&args.data.data_dir)?;
    let project = control.create_project(&args.name, id, server::now_ms())?;
    print::line(project.id.as_str())
}

/// Lists the projects.
pub(crate) fn list(data: &DataDir) -> anyhow::Result<()> {
    let projects = server::open_control(&data.data_dir)?.projects()?;
    let rows: Vec<_> = projects.into_iter().map(|p| [p.id.to_string(), print::time(p.created_ms), p.name]).collect();
    print::table(["ID", "CREATED", "NAME"], &rows)
}
