//! Lists in pages: how many items, behind which, and where the next page begins. Whoever lists reads one
//! item more than the page has ([`Limit::and_one`]) and cuts it off ([`page`]); the store reads behind an
//! id by an index and never counts what it passes over.

use std::borrow::Cow;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use specwright_shared::wire::Page;
use uuid::Uuid;

/// How many items a page has when nobody says.
const LIMIT_DEFAULT: u32 = 50;
/// The most items that a page has: keeps an answer small enough to be made and read at once.
const LIMIT_MAX: u32 = 200;

/// How many items a page may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit<const MAX: u32 = LIMIT_MAX>(u32);

impl<const MAX: u32> Default for Limit<MAX> {
    fn default() -> Self {
        Self(LIMIT_DEFAULT)
    }
}

impl<const MAX: u32> TryFrom<u32> for Limit<MAX> {
    type Error = String;
    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("`limit` is {limit}; 1 to {MAX} are allowed"))
        }
    }
}

impl<const MAX: u32> Limit<MAX> {
    /// The items of a page.
    pub(crate) const fn items(self) -> usize {
        self.0 as usize
    }

    /// One more than a page has, to see whether there is another behind it.
    pub(crate) fn and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl<const MAX: u32> JsonSchema for Limit<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 1, "maximum": MAX,
            "description": "How many items a page may have.",
        })
    }
}

impl<const MAX: u32> Serialize for Limit<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

/// A place in a list that is ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cursor(pub(crate) Uuid);

impl TryFrom<String> for Cursor {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Uuid::try_parse(&text)
            .map(Self)
            .map_err(|_| "`after` is not a cursor; give the `next` of the page before")
    }
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "uuid",
            "description": "The `next` of the page before.",
        })
    }
}

/// The query of a list that narrows nothing: the page behind a place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behind {
    #[serde(default)]
    pub(crate) limit: Limit,
    after: Option<Cursor>,
}

impl Behind {
    /// The item that the page stands behind.
    pub(crate) fn after(&self) -> Option<Uuid> {
        self.after.map(|cursor| cursor.0)
    }
}

/// A page of what was read with [`Limit::and_one`].
pub(crate) fn page<T>(mut items: Vec<T>, limit: Limit, id: impl Fn(&T) -> Uuid) -> Page<T> {
    let more = items.len() > limit.items();
    items.truncate(limit.items());
    let next = items.last().filter(|_| more).map(|last| id(last).simple().to_string());
    Page { items, next }
}

/// The query of a list that is short by its nature and is given whole. `limit` and `after` are taken,
/// so that one loop reads every list; there is never a page behind the first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WholeList {
    #[serde(default, rename = "limit")]
    pub(crate) _limit: Limit,
    #[serde(default, rename = "after")]
    pub(crate) _after: Option<String>,
}
