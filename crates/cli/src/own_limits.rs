//! `promenade projects limits`: what single projects may have in place of what the server's flags say.

use std::time::Duration;

use clap::{Args, Subcommand};
use control::{Limit, OwnLimits};
use model::ProjectId;

use crate::args::DataDir;
use crate::duration::parse_duration;
use crate::print;
use crate::size::parse_size;

const EXAMPLES: &str = "Examples:
  promenade projects limits set acme --series-max 50000 --write-size-max 8MiB
  promenade projects limits show acme
  promenade projects limits unset acme series-max
  promenade projects limits unset acme --all";

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Give a project limits of its own; a running server holds it to them within a second
    #[command(after_help = EXAMPLES)]
    Set(SetArgs),
    /// Show which limits of its own a project has
    #[command(after_help = EXAMPLES)]
    Show(ShowArgs),
    /// Take limits of its own from a project: those of the server's flags hold again
    #[command(after_help = EXAMPLES)]
    Unset(UnsetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Id of the project
    project: String,
    #[command(flatten)]
    limits: OwnLimitArgs,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct OwnLimitArgs {
    /// Series with recent samples, 1 to 100000000; those of further series are refused with 429
    #[arg(long, value_name = "N")]
    series_max: Option<u64>,
    /// Exemplars kept, the newest, 1 to 10000000; of all projects together a million are kept
    #[arg(long, value_name = "N")]
    exemplars_max: Option<u64>,
    /// Size of one write, as sent and decompressed, 64KiB to 256MiB; larger ones are refused with 413
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    write_size_max: Option<u64>,
    /// Labels of a new series, 8 to 1024; a series with more is refused with 400, as are the next three
    #[arg(long, value_name = "N")]
    labels_max: Option<u64>,
    /// Bytes of a label's name, 64 to 64KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    label_name_max: Option<u64>,
    /// Bytes of a label's value, 64 to 64KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    label_value_max: Option<u64>,
    /// How late a sample may come and still be stored, up to 31d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    out_of_order_window: Option<Duration>,
    /// How far ahead of the server's clock a sample may be, up to 1d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    future_max: Option<Duration>,
}

impl OwnLimitArgs {
    fn given(&self) -> Vec<(Limit, u64)> {
        let ms = |duration: Option<Duration>| duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let given = |limit| match limit {
            Limit::Series => self.series_max,
            Limit::Exemplars => self.exemplars_max,
            Limit::WriteSize => self.write_size_max,
            Limit::Labels => self.labels_max,
            Limit::LabelName => self.label_name_max,
            Limit::LabelValue => self.label_value_max,
            Limit::OutOfOrderWindow => ms(self.out_of_order_window),
            Limit::Future => ms(self.future_max),
        };
        Limit::ALL.into_iter().filter_map(|limit| Some((limit, given(limit)?))).collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of the project
    project: String,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct UnsetArgs {
    /// Id of the project
    project: String,
    /// Names of limits, such as series-max
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<Limit>,
    /// All that it has
    #[arg(long, conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Sets, shows or unsets, and shows what holds then.
pub(crate) fn run(command: &LimitsCommand) -> anyhow::Result<()> {
    let (LimitsCommand::Set(SetArgs { project, data, .. })
    | LimitsCommand::Show(ShowArgs { project, data })
    | LimitsCommand::Unset(UnsetArgs { project, data, .. })) = command;
    let (id, control) = (ProjectId::parse(project)?, server::open_control(&data.data_dir)?);
    match command {
        LimitsCommand::Set(args) => control.set_limits(&id, &args.limits.given(), server::now_ms())?,
        LimitsCommand::Show(_) => {}
        LimitsCommand::Unset(UnsetArgs { names, all, .. }) => {
            control.unset_limits(&id, if *all { &Limit::ALL } else { names })?;
        }
    }
    print::table(["LIMIT", "VALUE", "BOUNDS"], &rows(&control.limits(&id)?))
}

/// Only the server knows what its flags say.
fn rows(own: &OwnLimits) -> Vec<[String; 3]> {
    let row = |limit: Limit| {
        let value = own.get(limit).map_or_else(|| "the server's".to_owned(), |value| limit.show(value));
        let bounds = format!("{} to {}", limit.show(*limit.bounds().start()), limit.show(*limit.bounds().end()));
        [limit.name().to_owned(), value, bounds]
    };
    Limit::ALL.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: LimitsCommand,
    }

    #[test]
    fn flags_are_limits_by_their_names() {
        for limit in Limit::ALL {
            let (flag, value) = (format!("--{}", limit.name()), limit.show(*limit.bounds().end()));
            let line = Line::try_parse_from(["limits", "set", "acme", &flag, &value]).unwrap();
            let LimitsCommand::Set(set) = line.command else { panic!("{line:?}") };
            assert_eq!(set.limits.given(), [(limit, *limit.bounds().end())]);
            let line = Line::try_parse_from(["limits", "unset", "acme", limit.name()]).unwrap();
            assert!(matches!(line.command, LimitsCommand::Unset(unset) if unset.names == [limit]));
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (line, told) in [
            ("limits set acme", "required"),
            ("limits set acme --series-max many", "invalid digit"),
            ("limits set acme --write-size-max 9XB", "such as 500GB"),
            ("limits unset acme", "required"),
            ("limits unset acme series", "no limit \"series\"; there are series-max"),
            ("limits unset acme series-max --all", "cannot be used with"),
        ] {
            let refused = Line::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(refused.contains(told), "{line}: {refused}");
        }
    }
}
