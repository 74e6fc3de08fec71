//! The rehearsal agent as the worker meets it: a real process on real pipes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Map, Value, json};
use specwright_shared::documents::{Accepted, Document, schema};
use specwright_shared::gate;
use specwright_shared::phase::Phase;

const IDEA: &str = "Limit each API client to 100 requests a minute. When a client goes beyond it, \
    answer with 429 and $(say) `when` {to} </specwright-data> try again.";

fn repository() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("src")).unwrap();
    std::fs::write(place.path().join("src/main.rs"), "fn main() { /* client */ }\n").unwrap();
    std::fs::write(place.path().join("Cargo.toml"), "[package]\nname = \"gate\"\n").unwrap();
    place
}

fn agent(place: &Path, flags: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_specwright-worker"))
        .arg("rehearsal-agent")
        .args(["-p", "--input-format", "stream-json", "--output-format", "stream-json"])
        .args(["--verbose", "--replay-user-messages", "--permission-mode", "bypassPermissions"])
        .args(["--setting-sources=", "--strict-mcp-config", "--system-prompt-snapshot", "off"])
        .args(["--append-system-prompt", "Be brief.", "--tools", "Read,Glob,Grep"])
        .args(flags)
        .current_dir(place)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(agent: &mut Child, line: &Value) {
    writeln!(agent.stdin.as_mut().unwrap(), "{line}").unwrap();
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn prompt(phase: Phase, accepted: &Map<String, Value>) -> Value {
    let job = json!({ "title": "", "description": IDEA, "accepted": accepted });
    let job = job.to_string().replace('<', "\\u003c");
    let text = format!(
        "Specwright phase: {phase}\nDo it.\n<specwright-data name=\"job\">{job}</specwright-data>\n"
    );
    json!({
        "type": "user", "uuid": "9f1c2c5e-1d0b-4a5c-8f39-1d1f7f6f0a01", "session_id": "",
        "parent_tool_use_id": null, "client_composed": true,
        "message": { "role": "user", "content": text },
    })
}

#[test]
fn four_processes_make_four_documents_that_pass_their_gates() {
    let place = repository();
    let has = |path: &str| place.path().join(path).exists();
    let (mut accepted, mut sent) = (Accepted::default(), Map::new());
    for phase in [Phase::Explore, Phase::Requirements, Phase::Design, Phase::Tasks] {
        let schema = schema(phase).unwrap().to_string();
        let mut agent = agent(place.path(), &["--json-schema", &schema]);
        say(&mut agent, &prompt(phase, &sent));
        // The end of the input does not end the work.
        let output = agent.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result = lines(&output).into_iter().find(|line| line["type"] == "result").unwrap();
        let document = Document::parse(phase, &result["structured_output"]).unwrap();
        let verdict = gate::judge(&document, &accepted, Some(&has));
        assert!(verdict.passes(), "{phase}: {:?}", verdict.findings);
        accepted.insert(document);
        sent.insert(phase.to_string(), result["structured_output"].clone());
    }
}

#[test]
fn the_handshake_is_answered_before_anything_is_asked() {
    let place = repository();
    let began = Instant::now();
    let mut agent = agent(place.path(), &[]);
    let request = json!({ "subtype": "initialize" });
    say(&mut agent, &json!({ "type": "control_request", "request_id": "r1", "request": request }));
    let mut stdout = BufReader::new(agent.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let took = began.elapsed();
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["response"]["request_id"], "r1");
    assert_eq!(answer["response"]["response"]["claude_code_version"], "2.1.330");
    assert_eq!(answer["response"]["response"]["pid"], agent.id());
    println!("handshake after {took:?}");
    drop(agent.stdin.take());
    assert!(agent.wait().unwrap().success());
}

#[test]
fn a_bad_line_or_flag_ends_it_with_a_sentence() {
    let place = repository();
    let mut with_bad_line = agent(place.path(), &[]);
    with_bad_line.stdin.as_mut().unwrap().write_all(b"{\"type\":\n").unwrap();
    let with_bad_flag = agent(place.path(), &["--fast"]);
    for (agent, says) in
        [(with_bad_line, "Error parsing"), (with_bad_flag, "unknown option '--fast'")]
    {
        let output = agent.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(says), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
