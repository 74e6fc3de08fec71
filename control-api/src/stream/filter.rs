//! Which types of events a reader wants: `agent.message,spec.*`.

use std::borrow::Cow;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

/// The most types that one filter names; there are not many more.
const NAMES_MAX: usize = 50;

/// Types and families; none: all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Filter(Vec<Wanted>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Type(String),
    /// All whose name begins with this, dot included.
    Family(String),
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if names.len() > NAMES_MAX {
            return Err(format!("`type` names {}; at most {NAMES_MAX} are taken", names.len()));
        }
        let wanted = |name: &&str| match name.strip_suffix('*') {
            _ if *name == "*" => Ok(Wanted::Family(String::new())),
            Some(family) if family.len() > 1 && family.ends_with('.') => {
                Ok(Wanted::Family(family.to_owned()))
            }
            None if !name.is_empty() => Ok(Wanted::Type((*name).to_owned())),
            _ => Err("`type` is a list of types and families, as in `agent.message,spec.*`".into()),
        };
        names.iter().map(wanted).collect::<Result<_, _>>().map(Self)
    }
}

impl JsonSchema for Filter {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([a-z_.]+|[a-z_]+\.\*|\*)(,([a-z_.]+|[a-z_]+\.\*|\*)){0,49}$",
            "description": "Types and families of events, as in `agent.message,spec.*`.",
        })
    }
}

impl Filter {
    /// Whether nothing is left out.
    pub(crate) const fn wants_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether events of this type are wanted.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|wanted| match wanted {
                Wanted::Type(name) => name == kind,
                Wanted::Family(start) => kind.starts_with(start.as_str()),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_families_are_told_apart() {
        let filter = Filter::try_from("agent.message, spec.*".to_owned()).unwrap();
        assert!(filter.wants("agent.message") && filter.wants("spec.progress"));
        assert!(!filter.wants("agent.messages") && !filter.wants("specs.x"));
        assert!(Filter::default().wants("anything"));
        for nonsense in ["", "a,,b", "spec*", ".*"] {
            assert!(Filter::try_from(nonsense.to_owned()).is_err(), "{nonsense}");
        }
    }
}
