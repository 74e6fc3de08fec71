//! Filling a prompt: text between `<<name>>` markers, in one pass.
//!
//! Deliberately absent: escapes, loops, conditions. A template engine would choke on the braces
//! that code and JSON are full of.

/// Replaces each `<<name>>` by its value. Values are not looked into; a marker that nobody knows
/// stays as it is.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("<<") {
        filled.push_str(before);
        let known = after.split_once(">>").and_then(|(name, behind)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, behind))
        });
        match known {
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push_str("<<");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}
