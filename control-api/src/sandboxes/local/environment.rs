//! The whole environment of a local worker: what is handed on, and the settings of this sandbox.

use std::ffi::OsString;

use super::leftovers::MARK;
use super::{Directories, Local};
use crate::config::HANDED_ON;
use crate::sandboxes::Start;

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
    let mut settings: Vec<(&str, OsString)> = vec![
        ("SPEC_ID", start.spec.to_string().into()),
        // The answer to `hello` says where to start; the worker needs no word of ours for it.
        ("SPEC_PHASE", "all".into()),
        ("SANDBOX_ID", start.sandbox.to_string().into()),
        (MARK, start.sandbox.to_string().into()),
        ("SANDBOX_TOKEN", start.token.secret().into()),
        ("CONTROL_API_URL", local.url.clone().into()),
        ("WORKSPACE_DIR", directories.workspace.clone().into()),
        ("STATE_DIR", directories.state.clone().into()),
        ("OUTPUT_DIR", directories.output.clone().into()),
        ("AGENT", agent.into()),
    ];
    if let Some(model) = &options.model {
        settings.push(("MODEL", model.to_string().into()));
    }
    if local.die_with_parent {
        settings.push(("DIE_WITH_PARENT", "1".into()));
    }
    // Later ones win: a run's own model over the one that is handed on.
    handed_on.chain(settings.into_iter().map(|(name, value)| (name.into(), value))).collect()
}
