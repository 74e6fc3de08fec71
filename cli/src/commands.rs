//! The commands, one file each. Here: what they share, and which one is meant.

mod audit;
mod backup;
mod board;
mod credential;
mod doctor;
mod hold;
mod interrupt;
mod intervene;
mod launch;
mod list;
mod member;
mod pause;
mod receipt;
mod reset_breaker;
mod restore;
mod resume;
mod say;
mod serve;
mod show;
mod stop;
mod token;
mod trajectory;
mod user;
mod watch;

use specwright_shared::redact::Redactor;

use crate::args::{Cli, Command, Global};
use crate::config::Config;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::log::{self, export::Export};
use crate::output::Out;
use crate::signals::Interrupts;

/// What every command has.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) config: Config,
    pub(crate) out: Out,
    pub(crate) interrupts: Interrupts,
}

/// Does what the command line asks for.
pub(crate) async fn run(mut cli: Cli) -> Result<Exit, Failure> {
    let config = Config::read(cli.global.data_dir.clone())
        .map_err(|error| Failure::of(Exit::NotReady, error))?;
    cli.global.server = cli.global.server.or_else(|| config.server.clone());
    let export = start_log(&cli, &config)?;
    let interrupts = Interrupts::listen()?;
    let mut context = Context { global: cli.global, config, out: Out::default(), interrupts };
    let done = dispatch(&mut context, cli.command).await;
    if let Some(export) = export {
        export.end().await;
    }
    match context.out.into_fault() {
        Some(fault) => {
            let sentence = format!("the answer could not be written to stdout: {fault}");
            Err(Failure::new(Exit::Failed, sentence))
        }
        None => done,
    }
}

async fn dispatch(context: &mut Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Launch(args) => launch::run(context, args).await,
        Command::Resume(args) => resume::run(context, args).await,
        Command::List => list::run(context).await,
        Command::Show(args) => show::run(context, args).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Board => board::run(context).await,
        Command::Say(args) => say::run(context, args).await,
        Command::Interrupt(args) => interrupt::run(context, args).await,
        Command::Trajectory(args) => trajectory::run(context, args).await,
        Command::Intervene(args) => intervene::run(context, args).await,
        Command::Pause(args) => pause::run(context, args).await,
        Command::Stop(args) => stop::run(context, args).await,
        Command::Hold(args) => hold::run(context, args).await,
        Command::Release(args) => hold::release(context, args).await,
        Command::ResetBreaker(args) => reset_breaker::run(context, args).await,
        Command::User(command) => user::run(context, command).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Member(command) => member::run(context, command).await,
        Command::Credential(command) => credential::run(context, command).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Backup(args) => backup::run(context, &args).await,
        Command::Restore(args) => restore::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
    }
}

/// Says where spans go, if they go anywhere.
fn start_log(cli: &Cli, config: &Config) -> Result<Option<Export>, Failure> {
    let (filter, secrets) = (config.log_filter.as_deref(), Redactor::new(config.secrets()));
    match &cli.command {
        Command::Serve(args) => {
            let export = config.collector_timeout.map(Export::begin).transpose();
            let export = export.map_err(|error| Failure::of(Exit::NotReady, error))?;
            log::to_stderr(args.log, filter, secrets, export.as_ref());
            return Ok(export);
        }
        // It tells about a data directory that cannot be written better than a failure here could.
        Command::Doctor(_) => {}
        // They do one thing, and say how it went; `restore` must not stand in its own way.
        Command::Backup(_) | Command::Restore(_) => {}
        // Everything worth a log happens in a control API.
        _ if cli.global.server.is_some() => {}
        _ => log::to_file(&config.data_dir, filter, secrets)?,
    }
    Ok(None)
}

impl Context {
    /// Connects to the control API that is meant.
    pub(crate) async fn connect(&mut self, sandboxes: Sandboxes) -> Result<Connection, Failure> {
        let Self { global, config, interrupts, .. } = self;
        let open =
            async { Ok(Connection::open(global.server.as_deref(), config, sandboxes).await?) };
        interrupts.unless(open).await
    }
}

/// Closes the connection after the command's work, whatever came of it; the work's own failure is
/// the one that is told.
pub(crate) async fn closed(
    connection: Connection,
    done: Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let closed = connection.close().await;
    let exit = done?;
    closed?;
    Ok(exit)
}
