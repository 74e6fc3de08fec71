//! `credential`: keys that runs are given. A key is read from stdin: an argument would stand in the
//! shell's history and in the table of processes.

use std::io::Read;

use specwright_shared::wire::credential::{
    CREDENTIAL_MAX_CHARS, CredentialKind, CredentialView, PutCredential, SecretText,
};

use super::{Context, closed};
use crate::args::access::CredentialCommand;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::output::cell;

/// The most bytes that are read: more than the longest key, so that a longer one is refused and not
/// cut.
const READ_MAX_BYTES: u64 = 4 * CREDENTIAL_MAX_CHARS as u64;

/// Runs the command.
pub(super) async fn run(
    context: &mut Context,
    command: CredentialCommand,
) -> Result<Exit, Failure> {
    // Before anything is started: what cannot be a key needs no control API.
    let value = match &command {
        CredentialCommand::Set { kind, .. } => Some(read(*kind, std::io::stdin().lock())?),
        _ => None,
    };
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = credential(context, &connection, command, value).await;
    closed(connection, done).await
}

fn read(kind: CredentialKind, stdin: impl Read) -> Result<SecretText, Failure> {
    let mut text = String::new();
    stdin.take(READ_MAX_BYTES).read_to_string(&mut text).map_err(|error| {
        Failure::new(Exit::Usage, format!("the key cannot be read from stdin ({error})"))
    })?;
    let value = text.trim();
    kind.check(value)
        .map_err(|error| Failure::new(Exit::Usage, format!("what stdin has {error}")))?;
    Ok(SecretText::new(value))
}

async fn credential(
    context: &mut Context,
    connection: &Connection,
    command: CredentialCommand,
    value: Option<SecretText>,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let of = match &command {
        CredentialCommand::List(of)
        | CredentialCommand::Set { of, .. }
        | CredentialCommand::Remove { of, .. } => of.project.as_deref(),
        CredentialCommand::Rotate => None,
    };
    let project = find::project_given(client, of).await?;
    let shown = match (command, value) {
        (CredentialCommand::Rotate, _) => {
            let rotated = client.rotate_credentials().await?;
            if context.global.json {
                context.out.json(&rotated);
            } else {
                context.out.line(format!(
                    "sealed anew with the key {}: {}; sealed with it already: {}",
                    rotated.key_id, rotated.resealed, rotated.unchanged
                ));
            }
            return Ok(Exit::Done);
        }
        (CredentialCommand::Set { kind, .. }, Some(value)) => {
            vec![client.put_credential(project, kind, &PutCredential { value }).await?]
        }
        (CredentialCommand::Remove { kind, .. }, _) => {
            client.remove_credential(project, kind).await?;
            client.credentials(project).await?
        }
        (CredentialCommand::List(_) | CredentialCommand::Set { .. }, _) => {
            client.credentials(project).await?
        }
    };
    if context.global.json {
        context.out.json(&shown);
    } else {
        shown.iter().for_each(|one| context.out.line(row(one)));
    }
    Ok(Exit::Done)
}

fn row(credential: &CredentialView) -> String {
    let CredentialView { kind, last_four, set_by, set_at, confirmed_at } = credential;
    let confirmed = if confirmed_at.is_some() { "" } else { ", not confirmed by its service" };
    format!("{}  …{last_four}  set by {set_by}, {set_at}{confirmed}", cell(kind.as_str(), 17))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_its_line_break_and_refused_without_being_shown() {
        let key = "sk-ant-api03-0123456789abcdef\n";
        let read = |text: &str| super::read(CredentialKind::ModelApiKey, text.as_bytes());
        assert_eq!(read(key).unwrap().reveal(), key.trim());
        let refused = read("not-a key-0123456789abcdef").unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(!format!("{refused:?}").contains("0123456789"), "{refused:?}");
    }
}
