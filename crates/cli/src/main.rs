//! The `promenade` binary: reads the command line, makes one call, and turns its outcome into an exit code.

mod args;
mod compare;
mod demo;
mod duration;
mod endpoints;
mod limits;
mod own_limits;
mod print;
mod projects;
mod query;
mod serve;
mod size;
mod tokens;
mod tsdb;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, MonitoringCommand, ProjectsCommand, TokensCommand};

/// What grows little by little for hours, like the chunks of the head, leaves less of it unused behind than others do.
/// `.cargo/config.toml` has its settings.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if print::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    serve::start_log(cli.log_filter())?;
    match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Projects { command: ProjectsCommand::Create(args) } => projects::create(&args),
        Command::Projects { command: ProjectsCommand::List(args) } => projects::list(&args),
        Command::Endpoints { command } => endpoints::run(command),
        Command::Projects { command: ProjectsCommand::Limits { command } } => own_limits::run(&command),
        Command::Monitoring { command: MonitoringCommand::Tokens { command } } => match command {
            TokensCommand::Create(args) => tokens::create(args),
            TokensCommand::List(args) => tokens::list(&args),
            TokensCommand::Revoke(args) => tokens::revoke(&args),
        },
        Command::Demo(args) => serve::block_on(async { demo::run(args, serve::shutdown_signal()?).await }),
        Command::Bench(args) => serve::block_on(compare::run(args)),
        Command::Query(args) => query::run(&args),
        Command::Tsdb { command } => tsdb::run(command),
        Command::Version => print::line(concat!("promenade ", env!("CARGO_PKG_VERSION"))),
    }
}
