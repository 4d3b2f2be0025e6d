//! The flags of `promenade serve` that bound what one request or one project may ask for.

use std::time::Duration;

use clap::Args;
use server::Limits;

use crate::duration::parse_duration;
use crate::size::parse_memory_size;

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of a project that has none of its own")]
pub(crate) struct LimitArgs {
    /// Series with recent samples; those of further series are refused with 429
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    series_max: usize,
    /// Exemplars kept, the newest
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    exemplars_max: usize,
    /// Size of one write, as sent and decompressed
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_memory_size)]
    write_size_max: usize,
    /// Labels of one series
    #[arg(long, value_name = "N", default_value_t = 64)]
    labels_max: usize,
    /// Bytes of a label's name
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_memory_size)]
    label_name_max: usize,
    /// Bytes of a label's value
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = parse_memory_size)]
    label_value_max: usize,
    /// Queries worked on at once, of which one project has at most half; 0 for two for each CPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    queries_max: usize,
    /// Memory of all queries together, and of answers on their way; more is refused with 422
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_memory_size)]
    queries_memory_max: usize,
    /// Memory of one query
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory_size)]
    query_memory_max: usize,
    /// Time of one query, waiting for its turn included
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    query_timeout: Duration,
    /// Size of one answer, not compressed; more is refused with 422
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory_size)]
    answer_size_max: usize,
    /// From how long on a query is logged
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    slow_query: Duration,
    /// How far ahead of the server's clock a sample may be
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    future_max: Duration,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Limits {
        Limits {
            series_per_project_max: args.series_max,
            exemplars_per_project_max: args.exemplars_max,
            write_bytes_max: args.write_size_max,
            labels_max: args.labels_max,
            label_name_bytes_max: args.label_name_max,
            label_value_bytes_max: args.label_value_max,
            future_max: args.future_max,
            queries_max: args.queries_max,
            queries_bytes_max: args.queries_memory_max,
            query_bytes_max: args.query_memory_max,
            query_timeout: args.query_timeout,
            answer_bytes_max: args.answer_size_max,
            slow_query: args.slow_query,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn what_help_says_is_what_the_server_does() {
        let from_flags = Limits::from(Line::parse_from(["serve"]).limits);
        assert_eq!(format!("{from_flags:?}"), format!("{:?}", Limits::default()));
    }
}
