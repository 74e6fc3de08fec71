//! The whole environment of a local worker: what is handed on, and the settings of this sandbox.

use std::ffi::OsString;

use specwright_shared::id::{SandboxId, SpecId};

use super::leftovers::{LABEL, MARK};
use super::{Directories, Local};
use crate::auth::SandboxToken;
use crate::config::HANDED_ON;
use crate::sandboxes::{Rest, Start};

/// What a worker needs to reach this control API, and to say what it does.
const TO_DELIVER: [&str; 16] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "RUST_LOG",
    "LOG_FORMAT",
];
/// The agent that needs neither a program nor a key: none is started.
const NO_AGENT: &str = "rehearsal";

/// The agent of a run that asks for none.
pub(crate) const DEFAULT_AGENT: &str = "claude";

/// The environment of one sandbox's worker; nothing else is in it.
pub(super) fn of(
    local: &Local,
    start: &Start,
    directories: &Directories,
) -> Vec<(OsString, OsString)> {
    let handed_on = local
        .environment
        .iter()
        .filter(|(name, _)| HANDED_ON.iter().any(|allowed| name == *allowed))
        .cloned();
    let options = &start.options;
    let agent = options.agent.as_deref().unwrap_or(DEFAULT_AGENT);
    let mut settings = place(local, (start.sandbox, start.spec), &start.token, directories);
    settings.push(("AGENT", agent.into()));
    if let Some(model) = &options.model {
        settings.push(("MODEL", model.to_string().into()));
    }
    if let Some(context) = &start.traceparent {
        settings.push(("TRACEPARENT", context.to_string().into()));
    }
    if local.die_with_parent {
        settings.push(("DIE_WITH_PARENT", "1".into()));
        settings.push(("PARENT_PID", std::process::id().to_string().into()));
    }
    // Later ones win: a run's own model over the one that is handed on.
    handed_on.chain(settings.into_iter().map(|(name, value)| (name.into(), value))).collect()
}

/// The environment of a worker that is there to deliver what another one left.
pub(super) fn to_deliver(
    local: &Local,
    rest: &Rest,
    directories: &Directories,
) -> Vec<(OsString, OsString)> {
    let handed_on = local
        .environment
        .iter()
        .filter(|(name, _)| TO_DELIVER.iter().any(|allowed| name == *allowed))
        .cloned();
    let mut settings = place(local, (rest.sandbox, rest.spec), &rest.token, directories);
    settings.push(("AGENT", NO_AGENT.into()));
    // Nobody would watch it without this process; the next one starts another.
    settings.push(("DIE_WITH_PARENT", "1".into()));
    handed_on.chain(settings.into_iter().map(|(name, value)| (name.into(), value))).collect()
}

/// Who a worker is, where it is, and whom it reports to.
fn place(
    local: &Local,
    (sandbox, spec): (SandboxId, SpecId),
    token: &SandboxToken,
    directories: &Directories,
) -> Vec<(&'static str, OsString)> {
    vec![
        ("SPEC_ID", spec.to_string().into()),
        // The answer to `hello` says where to start; the worker needs no word of ours for it.
        ("SPEC_PHASE", "all".into()),
        ("SANDBOX_ID", sandbox.to_string().into()),
        (MARK, sandbox.to_string().into()),
        (LABEL, local.deployment.to_string().into()),
        ("SANDBOX_TOKEN", token.secret().into()),
        ("CONTROL_API_URL", local.url.clone().into()),
        ("WORKSPACE_DIR", directories.workspace.clone().into()),
        ("STATE_DIR", directories.state.clone().into()),
        ("OUTPUT_DIR", directories.output.clone().into()),
    ]
}
