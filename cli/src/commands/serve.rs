//! `serve`: the control API for others to use.
//!
//! Holds: what it prints is true: the store is open and requests are answered. An address that others
//! can reach is listened on only with a token that someone chose. Local sandboxes outlive it; the next
//! control API on the same database finds them. No run has a key of this process unless `--own-keys`
//! says so ([`keys`]).

mod files;
mod keys;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use specwright_control_api::client::Client;
use specwright_control_api::{ListenRefused, check_listen, reachable, serve};
use specwright_shared::guardian;
use specwright_shared::liveness::Settings;
use specwright_shared::redact::Redactor;
use specwright_worker::log::{self, Format};
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::args::server::ServeArgs;
use crate::connect::{api_config, credential_services, token_file, token_of_owner};
use crate::exit::{Exit, Failure};
use crate::output::tell;

/// The fewest heartbeats in a lease: one that is lost, or two, must not end a run.
const HEARTBEATS_PER_LEASE: u32 = 4;

/// What `serve --json` says once.
#[derive(Serialize)]
struct Serving {
    url: String,
    /// Where the owner's token is; absent: it was given in the environment.
    token_file: Option<String>,
}

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: ServeArgs) -> Result<Exit, Failure> {
    let (config, interrupts) = (&context.config, &mut context.interrupts);
    let address = interrupts.unless(resolve(&args.listen)).await?;
    let given = config.owner_token.is_some();
    check_listen(address.ip(), given, args.plain_http).map_err(|refused| {
        let sentence = match refused {
            ListenRefused::NoToken { .. } => format!(
                "{address} can be reached by others, and only a token that you chose may open it; \
                 set SPECWRIGHT_OWNER_TOKEN to a long random text, or listen on 127.0.0.1"
            ),
            ListenRefused::Plain { .. } => format!(
                "{address} can be reached by others, and without TLS everyone on the way reads \
                 every token; listen on 127.0.0.1 behind a proxy with TLS, or say --plain-http"
            ),
        };
        Failure::new(Exit::Usage, sentence)
    })?;
    let token = token_of_owner(config)?;
    let mut settings = api_config(config, token.clone())?;
    if let Some(database) = args.database.or_else(|| config.database.clone()) {
        settings.database_url = database;
    }
    // A token that was made for this start is known only now.
    let known = config.secrets().into_iter().chain([token.secret().to_owned()]);
    log::redact(Redactor::new(known));
    if args.log == Format::Json {
        settings.environment.push(("LOG_FORMAT".into(), "json".into()));
    }
    if !args.own_keys {
        keys::keep(&mut settings.environment);
    }
    settings.credential_services = credential_services(config)?;
    settings.public_url = args.public_url;
    settings.local_repositories = args.local_repositories;
    if let Some(per_second) = args.requests {
        settings.rates.person = settings.rates.person.at(per_second);
        settings.rates.sandbox = settings.rates.sandbox.at_least(per_second);
    }
    if let Some(per_second) = args.events {
        settings.rates.events = settings.rates.events.at(per_second);
        // Each may come in a request of its own.
        settings.rates.sandbox = settings.rates.sandbox.at_least(per_second);
    }
    if let Some(seconds) = args.database_wait {
        settings.database_patience = Duration::from_secs(seconds);
    }
    settings.events_kept = args.keep_events.map(|days| Duration::from_secs(days * 86_400));
    if let Some(seconds) = args.lease {
        settings.lease = Duration::from_secs(seconds);
        settings.heartbeat = settings.heartbeat.min(settings.lease / HEARTBEATS_PER_LEASE);
    }
    if let Some(liveness) = &args.liveness {
        settings.liveness = liveness_settings(liveness)?;
    }
    if let Some(guardian) = &args.guardian {
        settings.guardian = guardian_settings(guardian)?;
    }
    files::raise();
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let sentence =
            format!("{address} cannot be listened on ({error}); choose another with --listen");
        Failure::new(Exit::NotReady, sentence)
    })?;
    let address = listener.local_addr().unwrap_or(address);
    let shutdown = CancellationToken::new();
    let server = serve(settings, listener, shutdown.clone());
    tokio::pin!(server);
    let client = Client::new(&format!("http://{}", reachable(address)), token.secret())?;
    let failed = |error| Failure::of(Exit::NotReady, error);
    tokio::select! {
        ended = &mut server => return ended.map(|()| Exit::Done).map_err(failed),
        healthy = client.health() => drop(healthy?),
        () = interrupts.next() => return Ok(Exit::Interrupted),
    }
    let serving = Serving {
        url: format!("http://{address}"),
        token_file: (!given).then(|| token_file(&config.config_dir).display().to_string()),
    };
    if context.global.json {
        context.out.json(&serving);
    } else {
        let token = serving.token_file.as_deref().unwrap_or("SPECWRIGHT_OWNER_TOKEN");
        context.out.line(format!("Serving at {}; the owner's token is in {token}", serving.url));
    }
    tokio::select! {
        ended = &mut server => return ended.map(|()| Exit::Done).map_err(failed),
        () = interrupts.next() => shutdown.cancel(),
    }
    tokio::select! {
        ended = &mut server => ended.map(|()| Exit::Done).map_err(failed),
        () = interrupts.next() => {
            tell("specwright: ended at once; requests under way were broken off");
            Ok(Exit::Interrupted)
        }
    }
}

/// The idle monitor's settings, with what the JSON names in the place of the defaults.
fn liveness_settings(json: &str) -> Result<Settings, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("--liveness: {why}"));
    let own =
        serde_json::from_str(json).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    Settings::default().with(&own).map_err(|error| wrong(error.to_string()))
}

/// The guardian's settings, with what the JSON names in the place of the defaults.
fn guardian_settings(json: &str) -> Result<guardian::Settings, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("--guardian: {why}"));
    let own =
        serde_json::from_str(json).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    guardian::Settings::default().with(&own).map_err(|error| wrong(error.to_string()))
}

/// An address with its port, or a name with one.
async fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let wrong = || {
        let sentence = format!("`{listen}` is not an address to listen on; 127.0.0.1:8137 is one");
        Failure::new(Exit::Usage, sentence)
    };
    lookup_host(listen).await.map_err(|_| wrong())?.next().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness_settings_are_the_defaults_but_for_what_is_named() {
        assert_eq!(liveness_settings(r#"{"idle_s": 7}"#).unwrap().idle_s, 7);
        for (wrong, word) in
            [("{", "no JSON"), (r#"{"idel_s": 7}"#, "idel_s"), ("[]", "JSON object")]
        {
            let failure = liveness_settings(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.to_string().contains(word), "{failure}");
        }
    }

    #[test]
    fn the_guardian_is_off_but_for_what_is_named() {
        assert!(
            !guardian_settings("{}").unwrap().on
                && guardian_settings(r#"{"on": true}"#).unwrap().on
        );
        let failure = guardian_settings(r#"{"off": true}"#).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains("--guardian"), "{failure}");
    }

    #[tokio::test]
    async fn an_address_has_a_port() {
        assert_eq!(resolve("127.0.0.1:0").await.unwrap().port(), 0);
        assert_eq!(resolve("[::1]:80").await.unwrap().port(), 80);
        for wrong in ["127.0.0.1", "", "127.0.0.1:99999"] {
            assert_eq!(resolve(wrong).await.unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
