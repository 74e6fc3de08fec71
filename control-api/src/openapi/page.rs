//! The document as a page to read: one file, no script, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Map, Value};

const STYLE: &str = include_str!("page.css");

/// The page's own security policy: its style is in it, and nothing else is loaded.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// Renders a document.
pub(crate) fn render(document: &Value) -> String {
    let mut page = String::new();
    // A string takes everything.
    if write(&mut page, document).is_err() {
        page.clear();
    }
    page
}

fn write(page: &mut String, document: &Value) -> fmt::Result {
    let info = &document["info"];
    let title = escaped(&info["title"]);
    write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style><body><header><h1>{title}</h1><p>Version {}. \
         <a href=\"/openapi.json\">The document itself</a></p>",
        escaped(&info["version"]),
    )?;
    for paragraph in info["description"].as_str().unwrap_or_default().split("\n\n") {
        write!(page, "<p>{}</p>", marked(paragraph))?;
    }
    let by_tag = by_tag(document);
    page.push_str("</header><nav>");
    for tag in by_tag.keys() {
        write!(page, "<a href=\"#{tag}\">{tag}</a> ", tag = text(tag))?;
    }
    page.push_str(
        "<a href=\"#problems\">problems</a> <a href=\"#schemas\">schemas</a></nav><main>",
    );
    for (tag, operations) in &by_tag {
        write!(page, "<h2 id=\"{tag}\">{tag}</h2>", tag = text(tag))?;
        for (method, path, operation) in operations {
            write_operation(page, method, path, operation)?;
        }
    }
    page.push_str("<h2 id=problems>problems</h2><table><tr><th>type<th>status<th>cause<th>remedy");
    for one in document["x-problem-types"].as_array().into_iter().flatten() {
        write!(
            page,
            "<tr id=\"problem-{kind}\"><td><code>{kind}</code><td>{}<td>{}<td>{}",
            one["status"],
            marked(one["cause"].as_str().unwrap_or_default()),
            marked(one["remedy"].as_str().unwrap_or_default()),
            kind = escaped(&one["type"]),
        )?;
    }
    page.push_str("</table><h2 id=schemas>schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = text(name);
        write!(page, "<details id=\"{name}\"><summary><code>{name}</code></summary>")?;
        write_schema(page, schema)?;
        page.push_str("</details>");
    }
    page.push_str("</main></body></html>");
    Ok(())
}

type Operations<'d> = BTreeMap<&'d str, Vec<(&'d str, &'d str, &'d Map<String, Value>)>>;

fn by_tag(document: &Value) -> Operations<'_> {
    let mut by_tag = Operations::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("other");
            if let Some(operation) = operation.as_object() {
                by_tag.entry(tag).or_default().push((method, path, operation));
            }
        }
    }
    by_tag
}

fn write_operation(
    page: &mut String,
    method: &str,
    path: &str,
    operation: &Map<String, Value>,
) -> fmt::Result {
    let get = |name: &str| operation.get(name).unwrap_or(&Value::Null);
    write!(
        page,
        "<details id=\"{}\"><summary><b class={method}>{}</b> <code>{}</code> <span>{}</span></summary>",
        escaped(get("operationId")),
        method.to_uppercase(),
        text(path),
        marked(get("summary").as_str().unwrap_or_default()),
    )?;
    let who = get("security")[0].as_object().and_then(|all| all.keys().next());
    let who = match who.map(String::as_str) {
        Some("sandbox") => "The worker of this sandbox, with the sandbox's token.",
        Some(_) => "People and programs, with a token.",
        None => "Everyone.",
    };
    write!(page, "<p class=who>{who}</p>")?;
    if let Some(parameters) = get("parameters").as_array() {
        page.push_str("<h4>Parameters</h4><table>");
        for one in parameters {
            let required = if one["required"] == true { "required" } else { "" };
            write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}<td>{required} {}",
                escaped(&one["name"]),
                escaped(&one["in"]),
                kind(&one["schema"]),
                marked(one["description"].as_str().unwrap_or_default()),
            )?;
        }
        page.push_str("</table>");
    }
    for (media, content) in get("requestBody")["content"].as_object().into_iter().flatten() {
        write!(
            page,
            "<h4>Body</h4><p><code>{}</code> {}</p>",
            text(media),
            kind(&content["schema"])
        )?;
        if let Some(example) = content.get("example") {
            write!(page, "<pre>{}</pre>", text(&example.to_string()))?;
        }
    }
    page.push_str("<h4>Answers</h4><table>");
    for (status, answer) in get("responses").as_object().into_iter().flatten() {
        write!(
            page,
            "<tr><td>{}<td>{}<td>",
            text(status),
            marked(answer["description"].as_str().unwrap_or_default())
        )?;
        for (media, content) in answer["content"].as_object().into_iter().flatten() {
            write!(page, "<code>{}</code> {} ", text(media), kind(&content["schema"]))?;
        }
    }
    page.push_str("</table></details>");
    Ok(())
}

fn write_schema(page: &mut String, schema: &Value) -> fmt::Result {
    if let Some(description) = schema["description"].as_str() {
        write!(page, "<p>{}</p>", marked(description))?;
    }
    let Some(properties) = schema["properties"].as_object() else {
        let pretty = serde_json::to_string_pretty(schema).map_err(|_| fmt::Error)?;
        return write!(page, "<pre>{}</pre>", text(&pretty));
    };
    page.push_str("<table>");
    for (name, property) in properties {
        let is_required =
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        write!(
            page,
            "<tr><td><code>{}</code><td>{}<td>{} {}",
            text(name),
            kind(property),
            if is_required { "required" } else { "" },
            marked(property["description"].as_str().unwrap_or_default()),
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

/// A schema in a few words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = text(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema[several].as_array() {
            return all.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().map(escaped).collect::<Vec<_>>().join(", ");
    }
    let own = match &schema["type"] {
        Value::String(own) => text(own),
        Value::Array(all) => all.iter().map(escaped).collect::<Vec<_>>().join(" or "),
        _ => schema.get("const").map(escaped).unwrap_or_default(),
    };
    match (own.as_str(), schema["format"].as_str()) {
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        (_, Some(format)) => format!("{own} ({})", text(format)),
        _ => own,
    }
}

fn escaped(value: &Value) -> String {
    value.as_str().map_or_else(|| text(&value.to_string()), text)
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` in it.
fn marked(marked: &str) -> String {
    let parts = marked.split('`').enumerate();
    parts
        .map(
            |(at, part)| {
                if at % 2 == 1 { format!("<code>{}</code>", text(part)) } else { text(part) }
            },
        )
        .collect()
}
