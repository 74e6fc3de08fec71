//! Usage read from answers that come in any pieces.

use super::*;

const STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":",
    "{\"input_tokens\":100,\"output_tokens\":1,\"cache_read_input_tokens\":7,",
    "\"cache_creation_input_tokens\":5,\"cache_creation\":{\"ephemeral_5m_input_tokens\":2,",
    "\"ephemeral_1h_input_tokens\":3}}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"delta\":{\"text\":\"event: message_stop\\n\"}}\n\n",
    "event: message_delta\ndata: {\"usage\":{\"output_tokens\":40}}\r\n\r\n",
    "event: message_stop\ndata: {}\n\n",
);

const TOKENS: Tokens =
    Tokens { input: 100, output: 40, cache_read: 7, cache_write_5m: 2, cache_write_1h: 3 };

#[test]
fn usage_is_read_whatever_the_pieces() {
    for size in 1..STREAM.len() {
        let mut meter = Meter::new(Form::Stream);
        for chunk in STREAM.as_bytes().chunks(size) {
            meter.pass(chunk);
        }
        let told = meter.told();
        assert_eq!(told.tokens, Some(TOKENS), "pieces of {size}");
        assert_eq!((told.model.as_deref(), told.complete), (Some("m"), true), "pieces of {size}");
    }
}

#[test]
fn a_ping_is_no_content_and_a_piece_of_text_is() {
    let mut meter = Meter::new(Form::Stream);
    assert!(meter.pass(b"event: message_start\ndata: {}\n\n").content);
    assert!(!meter.pass(b"event: ping\ndata: {\"type\":\"ping\"}\n\n").content);
    assert!(!meter.pass(b": a comment\n\n").content);
    assert!(meter.pass(b"event: content_block_delta\ndata: {\"te").content);
    assert!(meter.pass(b"xt\":\"...").content, "in the middle of a long line too");
}

#[test]
fn a_stream_that_is_cut_keeps_what_was_told_and_is_not_complete() {
    let cut = STREAM.find("event: message_delta").unwrap();
    let mut meter = Meter::new(Form::Stream);
    meter.pass(&STREAM.as_bytes()[..cut]);
    meter.end();
    assert_eq!(meter.told().tokens.unwrap().output, 1);
    assert!(!meter.told().complete);
}

#[test]
fn a_line_of_megabytes_is_not_kept() {
    let mut meter = Meter::new(Form::Stream);
    meter.pass(b"event: content_block_delta\ndata: ");
    for _ in 0..100 {
        meter.pass(&[b'x'; 65_536]);
        assert!(meter.kept.len() <= OTHER_LINE_MAX);
    }
    meter.pass(&STREAM.as_bytes()[STREAM.find("\n\nevent: message_delta").unwrap()..]);
    assert_eq!(meter.told().tokens.unwrap().output, 40);
}

#[test]
fn an_answer_in_one_piece_and_an_error_are_read_at_the_end() {
    let mut meter = Meter::new(Form::Whole);
    meter.pass(b"{\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4,");
    meter.pass(b"\"server_tool_use\":{\"web_search_requests\":1}}}");
    assert_eq!(meter.told().tokens, None);
    meter.end();
    let told = meter.told();
    assert_eq!(told.tokens, Some(Tokens { input: 3, output: 4, ..Tokens::default() }));
    assert!(told.complete && told.beside_tokens);

    let mut meter = Meter::new(Form::Whole);
    meter.pass(
        b"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}",
    );
    meter.end();
    assert_eq!(meter.told().error.as_deref(), Some("overloaded_error: Busy"));
}

#[test]
fn the_text_that_passed_is_measured_whatever_the_pieces() {
    let delta = |text: &str| {
        let data = serde_json::json!({
            "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": text },
        });
        format!("event: content_block_delta\ndata: {data}\n\n")
    };
    let stream = delta(&"x".repeat(300)) + "event: ping\ndata: {}\n\n" + &delta("y") + &delta("");
    for size in [1, 7, 64, 65, 1000] {
        let mut meter = Meter::new(Form::Stream);
        for chunk in stream.as_bytes().chunks(size) {
            meter.pass(chunk);
        }
        let bytes = meter.told().text_bytes;
        assert!((301..340).contains(&bytes), "{bytes} in pieces of {size}");
    }
}

#[test]
fn what_cannot_be_read_leaves_the_usage_unknown() {
    for form in [Form::Stream, Form::Whole] {
        let mut meter = Meter::new(form);
        meter.pass(b"\x1f\x8b\x08event: message_start\ndata: {\"message\":7}\n\n\xff");
        meter.end();
        assert_eq!(meter.told().tokens, None);
    }
}
