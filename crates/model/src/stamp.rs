//! Whose series it is: the `project_id` label that ingest and import set.

use crate::{LabelsBuilder, PROJECT_LABEL, ProjectId, ProjectIdError};

/// Put before a label that the server must set itself. Source: Prometheus' convention for labels in conflict.
const EXPORTED: &str = "exported_";

/// Sets the owner of the series in `labels`.
///
/// A `project` is set whatever the sender wrote; what it wrote is kept as `exported_project_id`. Without one, for an
/// operator, the sender's own stays, and a series without one belongs to the default project.
pub fn stamp_project(labels: &mut LabelsBuilder, project: Option<&ProjectId>) -> Result<(), ProjectIdError> {
    let Some(project) = project else {
        match labels.get(PROJECT_LABEL) {
            Some(own) => drop(ProjectId::parse(own)?),
            None => drop(labels.set(PROJECT_LABEL, ProjectId::default_project().as_str())),
        }
        return Ok(());
    };
    let foreign = labels.get(PROJECT_LABEL).filter(|own| *own != project.as_str()).map(str::to_owned);
    if let Some(foreign) = foreign {
        let mut name = format!("{EXPORTED}{PROJECT_LABEL}");
        while labels.get(&name).is_some() {
            name.insert_str(0, EXPORTED);
        }
        labels.set(&name, &foreign);
    }
    labels.set(PROJECT_LABEL, project.as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;

    #[test]
    fn owner_is_the_token_s_project_or_the_operator_s_word() {
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let table: [(Pairs<'_>, Option<&str>, &str); 6] = [
            (&[], Some("acme"), r#"{project_id="acme"}"#),
            (&[("project_id", "acme")], Some("acme"), r#"{project_id="acme"}"#),
            (&[("project_id", "evil")], Some("acme"), r#"{exported_project_id="evil", project_id="acme"}"#),
            (
                &[("project_id", "evil"), ("exported_project_id", "x")],
                Some("acme"),
                r#"{exported_exported_project_id="evil", exported_project_id="x", project_id="acme"}"#,
            ),
            (&[("project_id", "acme")], None, r#"{project_id="acme"}"#),
            (&[], None, r#"{project_id="default"}"#),
        ];
        for (pairs, project, expect) in table {
            let mut labels = LabelsBuilder::new(&Labels::from_pairs(pairs.iter().copied()));
            stamp_project(&mut labels, project.map(|id| ProjectId::parse(id).unwrap()).as_ref()).unwrap();
            assert_eq!(labels.build().to_string(), expect, "{pairs:?} written for {project:?}");
        }
        let mut labels = LabelsBuilder::new(&Labels::from_pairs([("project_id", "../x")]));
        assert!(stamp_project(&mut labels, None).is_err());
    }
}
