//! Log lines for programs: one JSON object a line.
//!
//! What holds: a line has `time`, `level`, `target` and `message`, then the fields of the event, of the
//! spans around it (the inner ones win) and what is said of the whole process, all on one level, so
//! that `trace_id`, `request_id`, `sandbox` and `spec` have one place wherever they come from. It is
//! handed to its writer whole. What cannot be written is left out: a full disk must not end the task
//! that logs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use specwright_shared::time::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// What each line begins with; a field of such a name gets a `_` behind it.
const FIRST: [&str; 4] = ["time", "level", "target", "message"];

/// Fields by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fields(BTreeMap<String, Value>);

/// A layer that writes events as such lines.
#[derive(Debug)]
pub struct JsonLines<W> {
    /// What is said of the whole process.
    own: Fields,
    writer: W,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    level: &'static str,
    target: &'a str,
    message: Value,
    #[serde(flatten)]
    fields: Fields,
}

impl Fields {
    /// Of text.
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    fn put(&mut self, field: &Field, value: Value) {
        // Words for a collector; what they say stands under other names, too.
        if !field.name().starts_with("otel.") {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

impl<W> JsonLines<W> {
    /// Lines for a writer; `own` stands in each of them.
    pub const fn new(own: Fields, writer: W) -> Self {
        Self { own, writer }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = self.own.clone();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(own) = span.extensions().get::<Fields>() {
                fields.0.extend(own.0.clone());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.0.remove("message").unwrap_or_default();
        fields.0.extend(own.0);
        for name in FIRST {
            if let Some(value) = fields.0.remove(name) {
                fields.0.insert(format!("{name}_"), value);
            }
        }
        let metadata = event.metadata();
        let line = Line {
            time: SystemTime::now().into(),
            level: metadata.level().as_str(),
            target: metadata.target(),
            message,
            fields,
        };
        let Ok(mut line) = serde_json::to_vec(&line) else { return };
        line.push(b'\n');
        self.writer.make_writer_for(metadata).write_all(&line).ok();
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log::tests::Kept;

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let own =
            Fields::of([("sandbox", "s-1".to_owned()), ("trace_id", "of-the-run".to_owned())]);
        let layer = JsonLines::new(own, kept.maker());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        kept.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_its_own_fields_and_those_of_its_spans_and_process_on_one_level() {
        let lines = lines(|| {
            let outer = tracing::info_span!("request", request_id = "r-1", status = 1, route = "x");
            let _in = outer.enter();
            let inner =
                tracing::info_span!("step", late = tracing::field::Empty, otel.kind = "server");
            inner.record("late", true);
            let _in = inner.enter();
            tracing::warn!(status = 200, took = ?std::time::Duration::from_secs(1), "done\n{}", 7);
            tracing::info!(trace_id = "of-a-message", level = "mine");
        });
        let [first, second] = &lines[..] else { panic!("{lines:?}") };
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("message", "done\n7".into()),
            ("target", "specwright_worker::log::json::tests".into()),
            ("status", 200.into()),
            ("took", "1s".into()),
            ("late", true.into()),
            ("request_id", "r-1".into()),
            ("sandbox", "s-1".into()),
            ("trace_id", "of-the-run".into()),
        ] {
            assert_eq!(first[name], value, "{name} in {first}");
        }
        assert!(first["time"].as_str().unwrap().ends_with('Z'), "{first}");
        assert!(first.get("otel.kind").is_none(), "{first}");
        assert_eq!(second["trace_id"], "of-a-message");
        assert_eq!((&second["level"], &second["level_"]), (&"INFO".into(), &"mine".into()));
    }
}
