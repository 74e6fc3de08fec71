//! `doctor`: everything that a run needs, each line with its remedy. With `--server` a run needs that
//! server only: what its own machine has is told by a `doctor` there.

use console::style;
use serde::Serialize;
use specwright_control_api::client::SpecFilter;

use super::Context;
use super::launch::here;
use crate::args::DoctorArgs;
use crate::check::agent::{self, Agent};
use crate::check::{Check, place, repository};
use crate::config::Config;
use crate::connect::{Connection, Sandboxes, token_file};
use crate::exit::{Exit, Failure};
use crate::output::{cell, clean, width, wrapped};

/// Where the second column begins: behind the mark and the longest name.
const NAME_WIDTH: usize = 15;

#[derive(Serialize)]
struct Report<'a> {
    /// Whether a run can start.
    ready: bool,
    checks: &'a [Check],
}

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: DoctorArgs) -> Result<Exit, Failure> {
    let here = here()?;
    let agent = Agent::named(&args.agent.agent, &here);
    let (config, interrupts) = (&context.config, &mut context.interrupts);
    let server = context.global.server.as_deref();
    let look = async {
        let mut checks = vec![place::git(&config.path).await];
        checks.extend(agent::checks(&agent, config).await);
        let data_dir = place::data_dir(&config.data_dir);
        let has_place = !data_dir.blocks();
        checks.push(data_dir);
        let token = token_file(&config.config_dir);
        checks.push(place::owner_token(&token, config.owner_token.is_some()));
        checks.push(place::loopback());
        if server.is_some() {
            checks = checks.into_iter().map(Check::optional).collect();
        }
        // Without its directory there is no database to look at; the remedy stands above.
        if server.is_some() || has_place {
            checks.push(control_api(server, config).await);
        }
        checks.push(repository::check(&here, &config.path).await);
        Ok(checks)
    };
    let checks = interrupts.unless(look).await?;
    let ready = !checks.iter().any(Check::blocks);
    if context.global.json {
        context.out.json(&Report { ready, checks: &checks });
    } else {
        let columns = width();
        checks.iter().flat_map(|check| lines(check, columns)).for_each(|l| context.out.line(l));
        context.out.line(verdict(&checks, &agent));
    }
    Ok(if ready { Exit::Done } else { Exit::NotReady })
}

/// Whether a control API answers: the one at `--server`, or one of our own over the database.
async fn control_api(server: Option<&str>, config: &Config) -> Check {
    let (name, remedy) = match server {
        Some(_) => ("control API", "check the address, and whether `specwright serve` runs there"),
        None => ("database", "move the file away or choose another place with --data-dir"),
    };
    let (found, works) = match ask_for_specs(server, config).await {
        Ok(specs) => {
            let specs = crate::wording::count(specs, "spec");
            (server.map_or(specs.clone(), |server| format!("{server}, {specs}")), true)
        }
        Err(failure) => {
            let report = failure.report().replace('\n', " ");
            (report.trim_start_matches("specwright: ").to_owned(), false)
        }
    };
    if works { Check::good(name, found) } else { Check::bad(name, found, remedy) }
}

async fn ask_for_specs(server: Option<&str>, config: &Config) -> Result<usize, Failure> {
    let connection = Connection::open(server, config, Sandboxes::LeaveAlone).await?;
    let specs = connection.client.specs(SpecFilter::default()).await;
    connection.close().await?;
    Ok(specs?.len())
}

fn lines(check: &Check, columns: usize) -> Vec<String> {
    let mark = match (check.ok, check.needed) {
        (true, _) => style("✓").green(),
        (false, true) => style("✗").red(),
        (false, false) => style("✗").dim(),
    };
    let not_needed = if !check.ok && !check.needed { " (not needed)" } else { "" };
    let room = columns - NAME_WIDTH - 2;
    let found = format!("{}{not_needed}", clean(&check.found));
    let mut texts = wrapped(&found, room).into_iter();
    let first = texts.next().unwrap_or_default();
    let mut lines = vec![format!("{mark} {}{first}", cell(check.name, NAME_WIDTH))];
    let indent = NAME_WIDTH + 2;
    lines.extend(texts.map(|text| format!("{:indent$}{text}", "")));
    if let Some(remedy) = check.remedy.as_deref().filter(|_| check.blocks()) {
        let remedies = wrapped(&format!("→ {remedy}"), room);
        lines.extend(remedies.into_iter().map(|text| format!("{:indent$}{text}", "")));
    }
    lines
}

fn verdict(checks: &[Check], agent: &Agent) -> String {
    let missing: Vec<&str> =
        checks.iter().filter(|check| check.blocks()).map(|check| check.name).collect();
    let agent = agent.wire_name();
    if missing.is_empty() {
        format!("Ready: `specwright launch --agent {agent}` can run.")
    } else {
        format!("Not ready for `--agent {agent}`: {}.", missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(check: &Check) -> String {
        console::strip_ansi_codes(&lines(check, 60).join("\n")).into_owned()
    }

    #[test]
    fn a_line_says_what_was_found_and_a_needed_one_its_remedy() {
        let good = Check::good("git", "2.40");
        let bad = Check::bad("claude", "not on PATH", "install it");
        assert_eq!(shown(&good), "✓ git            2.40");
        assert_eq!(shown(&bad), "✗ claude         not on PATH\n                 → install it");
        let optional = bad.clone().optional();
        assert_eq!(shown(&optional), "✗ claude         not on PATH (not needed)");
        assert_eq!(
            verdict(&[good, bad], &Agent::Claude),
            "Not ready for `--agent claude`: claude."
        );
        assert!(verdict(&[optional], &Agent::Rehearsal).starts_with("Ready"));
    }
}
