//! What a command wrote, short enough that the end of a log that is cut still holds all of it.
//!
//! What holds: a line is cut, never dropped from the middle; of many lines the last ones stand, since a
//! run says at its end what went wrong. `SPECWRIGHT_TEST_OUTPUT=full` leaves everything as it was
//! written, for whoever looks into a failure at home.

use serde_json::Value;

/// The last lines of stdout that are shown, and of stderr.
const LINES: usize = 25;
/// How much of each is shown.
const LINE_BYTES: usize = 160;

/// The end of what was written to stdout and stderr.
pub(super) fn of(stdout: &str, stderr: &str) -> String {
    if std::env::var_os("SPECWRIGHT_TEST_OUTPUT").is_some_and(|wanted| wanted == "full") {
        return format!("--- stdout\n{stdout}\n--- stderr\n{stderr}");
    }
    format!("--- stdout\n{}--- stderr\n{}", last(stdout), last(stderr))
}

fn last(text: &str) -> String {
    let before = text.lines().count().saturating_sub(LINES);
    let head = if before > 0 { format!("({before} lines before)\n") } else { String::new() };
    text.lines().skip(before).map(shortened).fold(head, |shown, line| shown + &line)
}

fn shortened(line: &str) -> String {
    let line = told(line).unwrap_or_else(|| line.to_owned());
    let cut = line.floor_char_boundary(LINE_BYTES);
    match line.len() - cut {
        0 => format!("{line}\n"),
        rest => format!("{}… {rest} bytes more\n", &line[..cut]),
    }
}

/// An event with what says most of it in front, and without its ids.
fn told(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let [kind, phase] = ["type", "phase"].map(|name| event[name].as_str().unwrap_or("-"));
    Some(format!("{} {phase} {kind} {}", event["position"].as_u64()?, event["data"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_output_is_told_by_its_end_in_a_few_kilobytes() {
        let stdout: String =
            (0..500).map(|line| format!("line {line} {}\n", "é".repeat(1000))).collect();
        let told = of(&stdout, "the last words\n");
        assert!(told.len() < 6_000, "{} bytes", told.len());
        assert!(told.contains("(475 lines before)\nline 475 é"), "{told}");
        assert!(told.contains("line 499 é") && told.ends_with("the last words\n"), "{told}");
    }

    #[test]
    fn an_event_is_told_by_its_phase_its_type_and_its_data() {
        let event = r#"{"at":"t","data":{"pid":7},"id":"0","phase":"explore","position":3,
            "type":"agent.started"}"#;
        let told = of(&event.replace('\n', ""), "");
        assert!(told.contains("\n3 explore agent.started {\"pid\":7}\n"), "{told}");
    }
}
