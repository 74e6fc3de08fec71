//! The end of a turn, and what it means.
//!
//! What holds: a turn is judged by `subtype`, `is_error`, `terminal_reason`, the API's status and
//! `structured_output` together. `success` alone proves nothing (an API failure, an aborted turn and
//! a turn without output all say it), and the exit code is never looked at.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// The CLI's `result` line, with the cost of this turn alone.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnResult {
    /// The CLI's `subtype`.
    pub subtype: String,
    /// The CLI's `is_error`.
    pub is_error: bool,
    /// Why the turn ended; absent for lines that opened no turn.
    pub terminal_reason: Option<String>,
    /// Why the model stopped, e.g. `end_turn`, `tool_use`, `refusal`.
    pub stop_reason: Option<String>,
    /// The HTTP status of the API failure that ended the turn.
    pub api_error_status: Option<u16>,
    /// The final text, or the failure in words.
    pub text: String,
    /// The output that the schema asked for.
    pub structured_output: Option<Value>,
    /// The conversation's id.
    pub session_id: Option<Uuid>,
    /// Every message that this turn settled, ours by their uuid. Empty: the agent started it itself.
    pub user_message_uuids: Vec<Uuid>,
    /// Turns, as the CLI counts them (not calls of the model).
    pub num_turns: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What this turn cost in US dollars.
    pub cost_usd: f64,
    /// The CLI's running total in US dollars.
    pub total_cost_usd: f64,
    /// Tokens of this turn's main loop.
    pub usage: Usage,
    /// How many tool calls were denied.
    pub permission_denials: u64,
    /// The CLI's counter of results from 0; a gap is a lost line.
    pub result_index: Option<u64>,
}

/// Tokens of one turn's main loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
    /// Read from the cache.
    #[serde(rename = "cache_read_input_tokens")]
    pub cache_read_tokens: u64,
    /// Written to the cache.
    #[serde(rename = "cache_creation_input_tokens")]
    pub cache_write_tokens: u64,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It ended as asked, with an output of the schema's shape (as the CLI checked it).
    Output(Value),
    /// It ended well but without the output; holds what was said instead.
    NoOutput(String),
    /// The model refused to go on; holds its words.
    Refused(String),
    /// The API refused the key: 401 or 403.
    AuthenticationFailed {
        /// The HTTP status.
        status: u16,
    },
    /// The API failed; the CLI's own retries are used up.
    ApiError {
        /// The HTTP status; absent: no answer came.
        status: Option<u16>,
        /// The failure in the CLI's words.
        text: String,
    },
    /// The limit of turns was reached.
    TurnsExceeded,
    /// The limit of dollars was reached.
    BudgetExceeded,
    /// The model missed the schema more often than the CLI lets it.
    SchemaRetriesExhausted,
    /// It was interrupted, or a message with priority `now` cut it off.
    Aborted,
    /// The conversation is larger than the model (or the API's body limit) takes.
    PromptTooLong,
    /// Anything else; holds what the CLI said about it.
    Broke(String),
}

impl TurnResult {
    /// Judges the turn. Limits come first, since they are named by `subtype` alone; an output counts
    /// only in a turn that says in every field that it ended well.
    #[must_use]
    pub fn judge(&self) -> Turn {
        match self.subtype.as_str() {
            "error_max_turns" => return Turn::TurnsExceeded,
            "error_max_budget_usd" => return Turn::BudgetExceeded,
            "error_max_structured_output_retries" => return Turn::SchemaRetriesExhausted,
            _ => {}
        }
        let reason = self.terminal_reason.as_deref();
        match reason {
            Some("prompt_too_long" | "image_error" | "blocking_limit") => {
                return Turn::PromptTooLong;
            }
            Some(aborted) if aborted.starts_with("aborted") => return Turn::Aborted,
            _ => {}
        }
        match self.api_error_status {
            Some(status @ (401 | 403)) => return Turn::AuthenticationFailed { status },
            Some(413) => return Turn::PromptTooLong,
            status if status.is_some() || reason == Some("api_error") => {
                return Turn::ApiError { status, text: self.text.clone() };
            }
            _ => {}
        }
        if self.is_error || self.subtype != "success" {
            return Turn::Broke(self.in_words());
        }
        if !matches!(reason, None | Some("completed")) {
            return Turn::Broke(self.in_words());
        }
        match &self.structured_output {
            Some(output) => Turn::Output(output.clone()),
            None if self.stop_reason.as_deref() == Some("refusal") => {
                Turn::Refused(self.text.clone())
            }
            None => Turn::NoOutput(self.text.clone()),
        }
    }

    fn in_words(&self) -> String {
        let reason = self.terminal_reason.as_deref().unwrap_or("no reason given");
        format!("the turn ended as {} ({reason}): {}", self.subtype, self.text)
    }
}

/// The `result` line as it is written.
#[derive(Debug, Deserialize)]
pub(crate) struct ResultLine {
    subtype: String,
    is_error: bool,
    #[serde(default)]
    terminal_reason: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    api_error_status: Option<u16>,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    structured_output: Option<Value>,
    #[serde(default)]
    session_id: Option<Uuid>,
    #[serde(default)]
    user_message_uuid: Option<Uuid>,
    #[serde(default)]
    user_message_uuids: Vec<Uuid>,
    #[serde(default)]
    num_turns: u64,
    #[serde(default)]
    duration_ms: u64,
    #[serde(default)]
    total_cost_usd: f64,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    model_usage_since_last_result: Option<BTreeMap<String, ModelUsage>>,
    #[serde(default)]
    permission_denials: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    result_index: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ModelUsage {
    #[serde(rename = "costUSD", default)]
    cost_usd: f64,
}

impl ResultLine {
    /// The turn that this line ends. `total_before` is the running total after the turn before.
    ///
    /// The per-turn figures of the CLI come first: its running total carries the spend of an earlier
    /// process after a resume (and forgets it after a kill), so the difference alone would lie there.
    pub(crate) fn into_turn(self, total_before: f64) -> TurnResult {
        let cost_usd = match &self.model_usage_since_last_result {
            Some(models) => models.values().fold(0.0, |sum, model| sum + model.cost_usd),
            None if self.total_cost_usd >= total_before => self.total_cost_usd - total_before,
            None => self.total_cost_usd,
        };
        let mut user_message_uuids = self.user_message_uuids;
        if let Some(uuid) = self.user_message_uuid
            && !user_message_uuids.contains(&uuid)
        {
            user_message_uuids.insert(0, uuid);
        }
        let text = match self.result {
            Some(text) => text,
            None => self.errors.join("; "),
        };
        TurnResult {
            subtype: self.subtype,
            is_error: self.is_error,
            terminal_reason: self.terminal_reason,
            stop_reason: self.stop_reason,
            api_error_status: self.api_error_status,
            text,
            structured_output: self.structured_output,
            session_id: self.session_id,
            user_message_uuids,
            num_turns: self.num_turns,
            duration_ms: self.duration_ms,
            cost_usd,
            total_cost_usd: self.total_cost_usd,
            usage: self.usage,
            permission_denials: self.permission_denials.len() as u64,
            result_index: self.result_index,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(mut line: Value) -> Turn {
        let fields = line.as_object_mut().unwrap();
        fields.entry("subtype").or_insert(json!("success"));
        fields.entry("is_error").or_insert(json!(false));
        serde_json::from_value::<ResultLine>(line).unwrap().into_turn(0.0).judge()
    }

    #[test]
    fn an_output_counts_only_when_every_field_says_that_the_turn_ended_well() {
        let output = json!({"a": 1});
        assert_eq!(
            judged(json!({"terminal_reason": "completed", "structured_output": output})),
            Turn::Output(output.clone())
        );
        for spoilt in [
            json!({"is_error": true}),
            json!({"subtype": "error_during_execution", "is_error": true}),
            json!({"terminal_reason": "aborted_tools"}),
            json!({"terminal_reason": "hook_stopped"}),
            json!({"terminal_reason": "a_reason_of_tomorrow"}),
            json!({"api_error_status": 500}),
            json!({"subtype": "error_max_turns", "is_error": true}),
        ] {
            let mut line = spoilt.clone();
            line["structured_output"] = output.clone();
            assert!(!matches!(judged(line), Turn::Output(_)), "{spoilt} was believed");
        }
    }

    #[test]
    fn success_without_output_is_no_output() {
        assert_eq!(
            judged(json!({"terminal_reason": "completed", "result": "prose"})),
            Turn::NoOutput("prose".into())
        );
        assert_eq!(
            judged(json!({"structured_output": null, "stop_reason": "refusal", "result": "no"})),
            Turn::Refused("no".into())
        );
    }

    #[test]
    fn api_failures_that_call_themselves_success_are_told_apart() {
        let failed = |status: Value| {
            judged(json!({"is_error": true, "terminal_reason": "api_error",
                "api_error_status": status, "result": "words"}))
        };
        assert_eq!(failed(json!(401)), Turn::AuthenticationFailed { status: 401 });
        assert_eq!(failed(json!(403)), Turn::AuthenticationFailed { status: 403 });
        assert_eq!(failed(json!(413)), Turn::PromptTooLong);
        assert_eq!(failed(json!(529)), Turn::ApiError { status: Some(529), text: "words".into() });
        assert_eq!(failed(json!(null)), Turn::ApiError { status: None, text: "words".into() });
    }

    #[test]
    fn limits_and_aborts_have_their_own_names() {
        let error = |subtype: &str| judged(json!({"subtype": subtype, "is_error": true}));
        assert_eq!(error("error_max_turns"), Turn::TurnsExceeded);
        assert_eq!(error("error_max_budget_usd"), Turn::BudgetExceeded);
        assert_eq!(error("error_max_structured_output_retries"), Turn::SchemaRetriesExhausted);
        assert_eq!(judged(json!({"terminal_reason": "aborted_streaming"})), Turn::Aborted);
        assert_eq!(
            judged(json!({"is_error": true, "terminal_reason": "blocking_limit"})),
            Turn::PromptTooLong
        );
        assert!(matches!(error("error_of_tomorrow"), Turn::Broke(_)));
    }

    #[test]
    fn a_turn_costs_what_the_cli_says_of_it_else_the_difference() {
        let line = |more: Value| -> ResultLine {
            let mut line = json!({"subtype": "success", "is_error": false, "total_cost_usd": 0.75});
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(line).unwrap()
        };
        let cost = |more: Value, before: f64| line(more).into_turn(before).cost_usd;
        assert_eq!(cost(json!({}), 0.5), 0.25);
        assert_eq!(cost(json!({}), 2.0), 0.75, "the total started again");
        assert_eq!(
            cost(json!({"model_usage_since_last_result": {"m": {"costUSD": 0.125}}}), 0.0),
            0.125,
            "a resumed total carries earlier spend"
        );
        let nothing = cost(json!({"model_usage_since_last_result": {}}), 0.0);
        assert!(nothing == 0.0 && nothing.is_sign_positive(), "{nothing}");
    }
}
