//! What a handler's own signature says about it: its parameters, its body, its answer.
//!
//! What holds: nothing about types is written down a second time. A handler whose arguments or answer
//! have no description does not compile as a route.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{About, Brought, Person};
use crate::extract::{Body, PackedBody, Params, PathId, PathName, Raw};
use crate::trace::Trace;

/// What is known about an operation.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shape {
    pub(crate) parameters: Vec<Value>,
    /// The schema of the request's JSON body.
    pub(crate) body: Option<Value>,
    /// The body may be packed with gzip.
    pub(crate) may_be_packed: bool,
    /// The body is bytes, not JSON.
    pub(crate) takes_bytes: bool,
    /// The schema of the answer's JSON body.
    pub(crate) answer: Option<Value>,
}

/// A handler that can be described.
pub(crate) trait Described<T>: Copy {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape);
}

/// A handler's argument.
pub(crate) trait Taken {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape);
}

/// A handler's answer when it goes well.
pub(crate) trait Given {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape);
}

macro_rules! described {
    ($($argument:ident)*) => {
        impl<F, Answering, Answer, $($argument,)*> Described<($($argument,)*)> for F
        where
            F: Copy + Fn($($argument,)*) -> Answering,
            Answering: Future<Output = Answer>,
            Answer: Given,
            $($argument: Taken,)*
        {
            fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
                $(<$argument as Taken>::describe(generator, shape);)*
                <Answer as Given>::describe(generator, shape);
            }
        }
    };
}
described!();
described!(A);
described!(A B);
described!(A B C);
described!(A B C D);
described!(A B C D E);
described!(A B C D E G);

/// Arguments of which a client sees nothing.
macro_rules! unseen {
    ($($argument:ty),*) => {$(
        impl Taken for $argument {
            fn describe(_: &mut SchemaGenerator, _: &mut Shape) {}
        }
    )*};
}
unseen!(State<App>, Person, Brought, Trace, HeaderMap);

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn in_path<T: JsonSchema>(generator: &mut SchemaGenerator, name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema::<T>(generator) })
}

impl<T: JsonSchema> Taken for PathId<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        shape.parameters.push(in_path::<T>(generator, "id"));
    }
}

impl<T: JsonSchema> Taken for PathName<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        shape.parameters.push(in_path::<T>(generator, "name"));
    }
}

impl<T: JsonSchema> Taken for Params<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        let whole = T::json_schema(generator).to_value();
        let required = |name: &str| {
            whole["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        for (name, schema) in whole["properties"].as_object().into_iter().flatten() {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|all| all.remove("description"));
            let mut parameter = json!({
                "name": name, "in": "query", "required": required(name),
                "schema": never_null(schema),
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            shape.parameters.push(parameter);
        }
    }
}

/// A query parameter is there or not; it is never `null`.
fn never_null(mut schema: Value) -> Value {
    if schema["default"].is_null()
        && let Some(all) = schema.as_object_mut()
    {
        all.remove("default");
    }
    if let Some(types) = schema["type"].as_array() {
        let mut types: Vec<_> = types.iter().filter(|one| *one != "null").cloned().collect();
        if types.len() == 1 {
            schema["type"] = types.remove(0);
        }
    }
    if let Some(one_of) = schema["anyOf"].as_array() {
        let mut left: Vec<_> = one_of.iter().filter(|one| one["type"] != "null").cloned().collect();
        if left.len() == 1 {
            return left.remove(0);
        }
    }
    // An index reads `null` where nothing is; taken out again.
    if let Some(all) = schema.as_object_mut() {
        all.retain(|_, value| !value.is_null());
    }
    schema
}

impl<T: JsonSchema> Taken for Body<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        shape.body = Some(schema::<T>(generator));
    }
}

impl<T: JsonSchema> Taken for PackedBody<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        shape.body = Some(schema::<T>(generator));
        shape.may_be_packed = true;
    }
}

impl Taken for Raw {
    fn describe(_: &mut SchemaGenerator, shape: &mut Shape) {
        shape.takes_bytes = true;
    }
}

impl<T: Given, E> Given for Result<T, E> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        T::describe(generator, shape);
    }
}

impl<T: JsonSchema> Given for Json<T> {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        shape.answer = Some(schema::<T>(generator));
    }
}

impl<T: Given> Given for (StatusCode, T) {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        T::describe(generator, shape);
    }
}

impl<T: Given> Given for (StatusCode, Extension<About>, T) {
    fn describe(generator: &mut SchemaGenerator, shape: &mut Shape) {
        T::describe(generator, shape);
    }
}

/// What has no JSON body that a type describes; the words about the route say what it is.
macro_rules! without_json {
    ($($answer:ty),*) => {$(
        impl Given for $answer {
            fn describe(_: &mut SchemaGenerator, _: &mut Shape) {}
        }
    )*};
}
without_json!(StatusCode, Response);

/// Any JSON object.
#[derive(Debug)]
pub(crate) struct AnyObject;

impl JsonSchema for AnyObject {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AnyObject".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object" })
    }
}
