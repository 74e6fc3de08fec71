//! The problem types with cause and remedy: in the document, and as `docs/problems.md`.

use schemars::JsonSchema as _;
use schemars::generate::SchemaGenerator;
use serde_json::{Value, json};
use specwright_shared::wire::problem::ProblemType;

/// What a client does about it.
const fn remedy(kind: ProblemType) -> &'static str {
    use ProblemType as P;
    match kind {
        P::InvalidRequest => "Correct what `detail` names, and send it again.",
        P::Unauthorized => {
            "Send `Authorization: Bearer TOKEN` with a token that is neither expired nor revoked."
        }
        P::Forbidden => "Use a token of the kind, or a user with the role, that this takes.",
        P::NotFound => "Check the id; ask a member of the project whether you are one.",
        P::MethodNotAllowed => "Use a method that this document lists for the path.",
        P::TooLarge => "Send less at once.",
        P::AlreadyExecuting => "Watch the run that there is, or cancel it first.",
        P::IllegalTransition => "Read the thing again: its state says what can be done.",
        P::BreakerOpen => {
            "Look into why it failed so often; then `POST /api/v1/specs/{id}/breaker/reset`."
        }
        P::Fenced => "Stop: another worker has this sandbox.",
        P::SandboxEnded => {
            "Nothing can be sent to it any more; `POST /api/v1/specs/{id}/execute` starts another."
        }
        P::SequenceGap => "Send the events from `seq` on.",
        P::InvalidEvent => {
            "Correct the event with the number `seq`; what came before it was not taken either."
        }
        P::GateRefused => "Worker and control API judge differently: use the same release of both.",
        P::CursorExpired => "Read on from the cursor in `oldest`.",
        P::SandboxStartFailed => {
            "Read `detail`; the provider's log says more. Then execute the spec again."
        }
        P::ProtocolMismatch => "Use the same release of worker and control API.",
        P::RateLimited | P::InterventionTooSoon => {
            "Wait as long as `Retry-After` says, and send it again."
        }
        P::NoSealKey => {
            "Start the control API with the seal key that the credentials were sealed with, or with a first one where there is none (`SPECWRIGHT_SEAL_KEY_FILE` or `SPECWRIGHT_SEAL_KEY`; several, the newest first, while keys are rotated); or set the credential that `detail` names anew."
        }
        P::TimedOut => {
            "Read the thing again first: what was asked for may have been done by then. Send it again only if it was not."
        }
        P::Unavailable => "Wait as long as `Retry-After` says, and send it again.",
        P::Internal => {
            "Give the operator the `x-request-id` of the answer: the log has the details under it."
        }
    }
}

/// The comment on each type, which says its cause.
fn causes() -> Value {
    ProblemType::json_schema(&mut SchemaGenerator::default()).to_value()
}

/// All of them, as the document has them.
pub(super) fn list() -> Value {
    let causes = causes();
    let cause = |kind: ProblemType| {
        let all = causes["oneOf"].as_array().into_iter().flatten();
        let own = all.filter(|one| one["const"] == kind.as_str());
        own.filter_map(|one| one["description"].as_str()).next().unwrap_or_default().to_owned()
    };
    ProblemType::ALL
        .iter()
        .map(|&kind| {
            json!({
                "type": kind.as_str(), "status": kind.status(), "title": kind.title(),
                "cause": cause(kind), "remedy": remedy(kind),
            })
        })
        .collect()
}

/// `docs/problems.md`.
#[cfg(test)]
pub(super) fn page() -> String {
    use std::fmt::Write as _;

    let mut page = String::from(
        "# Problems\n\nErrors are `application/problem+json` (RFC 9457). `type` is stable and is what a \
         program looks at; `detail` says this case in words. Made from the code: \
         `UPDATE_OPENAPI=1` writes it anew.\n",
    );
    for one in list().as_array().into_iter().flatten() {
        let text = |name: &str| one[name].as_str().unwrap_or_default().replace('\n', " ");
        let (kind, title, cause, remedy) =
            (text("type"), text("title"), text("cause"), text("remedy"));
        let written = write!(
            page,
            "\n## `{kind}` ({})\n\n{title}.\n\n- Cause: {cause}\n- Remedy: {remedy}\n",
            one["status"]
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    page
}
