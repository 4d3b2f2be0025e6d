//! Whose series it is: the `project_id` label that ingest sets.

pub(super) use model::stamp_project as stamp;
