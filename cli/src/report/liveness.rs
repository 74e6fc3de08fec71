//! What a living sandbox is at: the verdict, what it rests on, and the signals behind it.

use specwright_shared::liveness::{Evidence, Signals};
use specwright_shared::wire::sandbox::SandboxView;

use crate::output::{clean, fit};
use crate::wording::duration;

/// How many open tool calls are named.
const TOOLS_SHOWN: usize = 3;

/// How many steps that were taken are shown, the newest first.
const STEPS_SHOWN: usize = 4;

/// The lines below the sandbox's id; none if nothing is known.
pub(super) fn lines(sandbox: &SandboxView, width: usize) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(verdict) = &sandbox.verdict {
        let evidence: Vec<String> = verdict.evidence.iter().map(evidence).collect();
        said.push(format!("{}: {} ({})", verdict.kind, verdict.reason, evidence.join("; ")));
    }
    said.extend(
        sandbox
            .hold
            .as_ref()
            .map(|hold| format!("held by {} until {}: {}", hold.by, hold.until, hold.reason)),
    );
    let steps = sandbox.verdicts.iter().filter_map(|judged| Some((judged, judged.action?)));
    said.extend(steps.take(STEPS_SHOWN).map(|(judged, action)| {
        format!("{} at {}: {}", action.as_str(), judged.at, judged.verdict.reason)
    }));
    let signals = sandbox.heartbeat.as_ref().and_then(|heartbeat| heartbeat.signals.as_ref());
    said.extend(signals.and_then(agent));
    said.extend(signals.into_iter().flat_map(tools));
    said.iter().map(|line| format!("{:12}{}", "", fit(&clean(line), width - 12))).collect()
}

fn evidence(one: &Evidence) -> String {
    let limit = one.limit_ms.map(|limit| format!(" of {}", duration(limit))).unwrap_or_default();
    format!("{} {}{limit}", one.signal.replace('_', " "), duration(one.age_ms))
}

fn agent(signals: &Signals) -> Option<String> {
    let agent = signals.agent.as_ref()?;
    Some(format!(
        "agent {}: {} of processor time, {} MB, {} below it",
        agent.pid,
        duration(agent.cpu_ms),
        agent.memory_bytes / 1_000_000,
        agent.children,
    ))
}

fn tools(signals: &Signals) -> impl Iterator<Item = String> {
    signals.open_tools.iter().take(TOOLS_SHOWN).map(|tool| {
        format!("tool {} since {} of {}", tool.tool, duration(tool.age_ms), duration(tool.limit_ms))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_shown_with_what_it_rests_on() {
        let sandbox = serde_json::json!({
            "id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "spec_id": "01890a5d-ac96-774b-bcce-b302099a8058",
            "state": "active", "provider": "local", "generation": 1, "agent": "claude",
            "acked": 3, "created_at": "2026-11-18T11:06:40.000001Z",
            "heartbeat": {
                "generation": 1, "agent_alive": true, "spool_depth": 0,
                "signals": {
                    "state": "tool_call",
                    "agent": { "pid": 7, "cpu_ms": 61_000, "memory_bytes": 250_000_000, "children": 1 },
                    "open_tools": [
                        { "tool": "Bash\u{1b}[2J", "tool_use_id": "t", "age_ms": 60_000, "limit_ms": 1_800_000 }
                    ],
                },
            },
            "verdict": {
                "kind": "waiting_tool", "reason": "the tool Bash is at work",
                "evidence": [{ "signal": "tool", "age_ms": 60_000, "limit_ms": 1_800_000 }],
            },
            "hold": { "until": "2026-11-18T12:06:40Z", "reason": "I look", "by": "ada" },
            "verdicts": [{
                "at": "2026-11-18T11:06:40Z", "action": "nudge",
                "verdict": { "kind": "stuck", "reason": "nothing has moved", "evidence": [] },
            }],
        });
        let lines = lines(&serde_json::from_value(sandbox).unwrap(), 80);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("waiting_tool: the tool Bash is at work (tool"), "{lines:?}");
        assert!(lines[1].contains("held by ada until 2026-11-18T12:06"), "{lines:?}");
        assert!(lines[2].contains("nudge at 2026-11-18T11:06"), "{lines:?}");
        assert!(lines[3].contains("250 MB, 1 below it"), "{lines:?}");
        assert!(lines[4].contains("tool Bash") && !lines[4].contains('\u{1b}'), "{lines:?}");
    }
}
