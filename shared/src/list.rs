//! Bounded lists: a document's lists have a least and a greatest length, in its schema and here.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A list of `MIN` to `MAX` items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T, const MIN: usize, const MAX: usize>(Vec<T>);

/// A list with a wrong number of items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has {length} items; {min} to {max} are allowed")]
pub struct ListError {
    /// How many it has.
    pub length: usize,
    /// The fewest it may have.
    pub min: usize,
    /// The most it may have.
    pub max: usize,
}

impl<T, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    /// Checks and takes the items.
    ///
    /// # Errors
    /// [`ListError`] when there are too few or too many.
    pub fn new(items: Vec<T>) -> Result<Self, ListError> {
        let length = items.len();
        if (MIN..=MAX).contains(&length) {
            Ok(Self(items))
        } else {
            Err(ListError { length, min: MIN, max: MAX })
        }
    }

    /// The items.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> List<T, 0, MAX> {
    /// Takes as many items as fit, from the front.
    #[must_use]
    pub fn fitted(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }
}

impl<T, const MAX: usize> Default for List<T, 0, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MIN: usize, const MAX: usize> Deref for List<T, MIN, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MIN: usize, const MAX: usize> IntoIterator for &'a List<T, MIN, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Deserialize<'de>
    for List<T, MIN, MAX>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema, const MIN: usize, const MAX: usize> JsonSchema for List<T, MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("List_{}_{MIN}_{MAX}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items, "minItems": MIN, "maxItems": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked_when_read() {
        let read = serde_json::from_str::<List<u8, 1, 2>>;
        assert_eq!(*read("[1,2]").unwrap(), [1, 2]);
        assert_eq!(read("[]").unwrap_err().to_string(), "has 0 items; 1 to 2 are allowed");
        assert!(read("[1,2,3]").is_err());
    }
}
