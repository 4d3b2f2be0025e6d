//! The fleets of the demo's projects, each with its own connection and token.

use anyhow::Result;
use bench::demo_fleet::{self, DemoEndpoint, DemoFleet, DemoOptions};
use bench::push::Push;
use indicatif::ProgressBar;
use model::Timestamp;
use tokio::task::JoinSet;

use super::{DemoArgs, Project};

/// All fleets, the order of the projects.
pub(super) struct Fleets(Vec<Writer>);

/// One project's fleet and its connection to the server.
struct Writer {
    fleet: DemoFleet,
    nodes: u32,
    push: Push,
}

impl Fleets {
    /// Divides the nodes among the projects; every fleet lives from `t`.
    pub(super) fn new(args: &DemoArgs, projects: &[Project], url: &str, t: Timestamp) -> Result<Fleets> {
        let mut first_node = 1;
        let mut rest = args.nodes;
        let writer = |(index, project): (usize, &Project)| -> Result<Writer> {
            let nodes = rest.div_ceil(u32::try_from(projects.len() - index)?);
            let options = DemoOptions { project: u32::try_from(index)?, first_node, nodes, seed: args.seed };
            first_node += nodes;
            rest -= nodes;
            Ok(Writer { fleet: DemoFleet::new(options, t), nodes, push: Push::new(url, Some(&project.token))? })
        };
        Ok(Fleets(projects.iter().enumerate().map(writer).collect::<Result<_>>()?))
    }

    /// Every endpoint with its project and the nodes it runs on.
    pub(super) fn endpoints<'a>(
        &'a self,
        projects: &'a [Project],
    ) -> impl Iterator<Item = (&'a Project, u32, DemoEndpoint)> {
        let fleets = self.0.iter().zip(projects);
        fleets.flat_map(|(writer, project)| {
            writer.fleet.endpoints().map(move |endpoint| (project, writer.nodes, endpoint))
        })
    }

    /// Writes everything from `from` until before `to`, all projects side by side.
    pub(super) async fn backfill(&mut self, from: Timestamp, to: Timestamp, bar: &ProgressBar) -> Result<()> {
        let n_projects = self.0.len() as u64;
        let mut running = JoinSet::new();
        for (index, mut writer) in self.0.drain(..).enumerate() {
            let bar = bar.clone();
            running.spawn(async move {
                let mut before = from;
                let passed = |t: Timestamp| {
                    bar.inc((t - before).unsigned_abs() / n_projects);
                    before = t;
                };
                demo_fleet::backfill(&mut writer.fleet, &mut writer.push, from, to, passed).await?;
                anyhow::Ok((index, writer))
            });
        }
        let mut done = Vec::new();
        while let Some(writer) = running.join_next().await {
            done.push(writer??);
        }
        done.sort_by_key(|(index, _)| *index);
        self.0 = done.into_iter().map(|(_, writer)| writer).collect();
        Ok(())
    }

    /// Scrapes every fleet at `t` and writes the samples; a failure costs these samples and is logged.
    pub(super) async fn push(&mut self, t: Timestamp) {
        for Writer { fleet, push, .. } in &mut self.0 {
            fleet.tick(t);
            if let Err(error) = fleet.push(push).await {
                tracing::warn!("demo fleet: {error:#}");
                fleet.clear();
            }
        }
    }

    /// Samples acknowledged so far.
    pub(super) fn samples(&self) -> u64 {
        self.0.iter().map(|writer| writer.push.sent().samples).sum()
    }
}
