//! Reading variables one by one and collecting a sentence for each that is wrong.

use std::ffi::OsString;

use super::secret::Secret;

/// The most characters of a wrong value that are shown.
const SHOWN_MAX: usize = 80;

/// A source of variables and the sentences about those that are wrong.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    /// One sentence per wrong setting.
    pub(super) wrong: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup, wrong: Vec::new() }
    }

    /// The raw value; an empty one counts as not set, as shells and container files cannot unset.
    pub(super) fn raw(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    pub(super) fn refuse_if_set(&mut self, name: &str, why: &str) {
        if self.is_set(name) {
            self.wrong.push(format!("{name} is set, but {why}."));
        }
    }

    /// A value that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        may_be: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let raw = self.raw(name)?;
        let parsed = raw.to_str().and_then(parse);
        if parsed.is_none() {
            let was: String = raw.to_string_lossy().chars().take(SHOWN_MAX).collect();
            self.wrong.push(format!("{name} must be {may_be}; it was {was:?}."));
        }
        parsed
    }

    /// A value with a default.
    pub(super) fn or<T>(
        &mut self,
        name: &str,
        may_be: &str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.optional(name, may_be, parse).unwrap_or(default)
    }

    /// A value that must be there.
    pub(super) fn needed<T>(
        &mut self,
        name: &str,
        may_be: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.is_set(name) {
            self.wrong.push(format!("{name} must be {may_be}; it was not set."));
            return None;
        }
        self.optional(name, may_be, parse)
    }

    /// A secret that may be left out; a wrong one is not shown.
    pub(super) fn optional_secret(&mut self, name: &str) -> Option<Secret> {
        let raw = self.raw(name)?;
        // What cannot stand in an HTTP header cannot be sent, and fails late and obscurely.
        let fits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let secret = raw.to_str().filter(fits).map(|text| Secret::new(text.to_owned()));
        if secret.is_none() {
            self.wrong.push(format!(
                "{name} must be printable ASCII without spaces; it was something else (not shown)."
            ));
        }
        secret
    }

    pub(super) fn needed_secret(&mut self, name: &str) -> Option<Secret> {
        if !self.is_set(name) {
            self.wrong.push(format!("{name} must be a token; it was not set."));
        }
        self.optional_secret(name)
    }
}

/// An http or https address without user, password, query or fragment.
pub(super) fn web_address(text: &str) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}
