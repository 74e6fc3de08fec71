//! Where the gates put what they find, the checks that several of them make, and the score.

use std::collections::{BTreeMap, BTreeSet};

use super::{HasFile, MAX_FINDINGS, Verdict};
use crate::finding::Finding;
use crate::graph;
use crate::id::Slug;
use crate::phase::Phase;

/// What a warning about content costs: something that a later phase will miss.
const CONTENT_WEIGHT: f64 = 0.05;

/// What a warning about form costs: something that a reader stumbles over.
const FORM_WEIGHT: f64 = 0.02;

/// The most that one rule can cost, however often it is broken: a large document is not worse than
/// a small one because it repeats one habit.
const RULE_CAP: f64 = 0.15;

/// The rules about form.
const FORM_RULES: [&str; 3] = ["title_repeated", "weak_word", "criterion_repeated"];

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding::error(code, at, message, fix));
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        at: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding::warning(code, at, message, fix));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(Finding::is_error)
    }

    pub(super) fn extend(&mut self, findings: Vec<Finding>) {
        self.0.extend(findings);
    }

    pub(super) fn into_errors(self) -> impl Iterator<Item = Finding> {
        self.0.into_iter().filter(Finding::is_error)
    }

    pub(super) fn into_verdict(self) -> Verdict {
        let mut findings = self.0;
        let score = score(&findings);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let left_out = findings.split_off(findings.len().min(MAX_FINDINGS));
        if let Some(first) = left_out.first() {
            let message = format!("{} more findings are not shown.", left_out.len());
            let fix = "Mend those above; the rest is shown then.";
            // As severe as what it stands for: an error that is not shown fails all the same.
            let severity = first.severity;
            let more = Finding::warning("more_findings", ".", message, fix);
            findings.push(Finding { severity, ..more });
        }
        Verdict { score, findings }
    }
}

fn score(findings: &[Finding]) -> f64 {
    let mut cost_by_rule: BTreeMap<&str, f64> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        let form = FORM_RULES.contains(&finding.code.as_str());
        let weight = if form { FORM_WEIGHT } else { CONTENT_WEIGHT };
        *cost_by_rule.entry(&finding.code).or_default() += weight;
    }
    let cost: f64 = cost_by_rule.values().map(|cost| cost.min(RULE_CAP)).sum();
    // Whole hundredths, so that a score reads and compares the same after a trip through JSON.
    ((1.0 - cost).max(0.0) * 100.0).round() / 100.0
}

/// An earlier document that this gate needs.
pub(super) fn needed<'a, T>(
    document: Option<&'a T>,
    phase: Phase,
    findings: &mut Findings,
) -> Option<&'a T> {
    if document.is_none() {
        findings.error(
            "missing_context",
            ".",
            format!("The accepted output of `{phase}` is missing, so this cannot be judged."),
            format!("Run the phase `{phase}` first."),
        );
    }
    document
}

/// Each id once. Gives the set of them.
pub(super) fn unique_ids<'a>(
    list: &str,
    ids: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) -> BTreeSet<&'a str> {
    unique(list, "id", "id_repeated", ids, findings)
}

/// Each key once, with the code that says so. Gives the set of them.
pub(super) fn unique<'a>(
    list: &str,
    field: &str,
    code: &'static str,
    keys: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeMap::new();
    for (index, key) in keys.enumerate() {
        if let Some(first) = seen.get(key) {
            findings.error(
                code,
                format!("{list}[{index}].{field}"),
                format!("`{key}` is used already by {list}[{first}]."),
                format!("Give each of `{list}` its own `{field}`, or join the two."),
            );
        } else {
            seen.insert(key, index);
        }
    }
    seen.into_keys().collect()
}

/// Titles differ, whatever their case.
pub(super) fn distinct_titles<'a>(
    list: &str,
    titles: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let mut seen = BTreeMap::new();
    for (index, title) in titles.enumerate() {
        if let Some(first) = seen.insert(title.trim().to_lowercase(), index) {
            findings.warning(
                "title_repeated",
                format!("{list}[{index}].title"),
                format!("The title `{title}` is that of {list}[{first}] too."),
                "Say in the title what is different.",
            );
        }
    }
}

/// Criteria of one thing differ.
pub(super) fn distinct_criteria<'a>(
    at: &str,
    criteria: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let mut seen = BTreeMap::new();
    for (index, criterion) in criteria.enumerate() {
        if let Some(first) = seen.insert(criterion.trim().to_lowercase(), index) {
            findings.warning(
                "criterion_repeated",
                format!("{at}.acceptance_criteria[{index}]"),
                format!("This says the same as acceptance_criteria[{first}]."),
                "Replace it by something else that can be checked, or drop it.",
            );
        }
    }
}

/// A reference resolves, and not to what it stands in.
pub(super) fn reference(
    at: String,
    target: &str,
    own: Option<&str>,
    known: &BTreeSet<&str>,
    what: &str,
    findings: &mut Findings,
) {
    if own == Some(target) {
        findings.error(
            "self_dependency",
            at,
            format!("`{target}` depends on itself."),
            "Drop this entry.",
        );
    } else if !known.contains(target) {
        findings.error(
            "unknown_reference",
            at,
            format!("There is no {what} `{target}`."),
            format!("Name one of these, or drop the entry: {}.", some_of(known)),
        );
    }
}

/// Nothing waits for itself by way of others. Edges that [`reference`] complains about are left to
/// it.
pub(super) fn acyclic(list: &str, nodes: &[&str], edges: &[(&str, &str)], findings: &mut Findings) {
    let others: Vec<_> = edges.iter().copied().filter(|(from, to)| from != to).collect();
    if let Err(graph::Cycle(cycle)) = graph::order(nodes, &others) {
        findings.error(
            "cycle",
            list,
            format!("These wait for one another: {}.", circle(&cycle)),
            "Drop the dependency that is the least needed, so that one of them can come first.",
        );
    }
}

/// A cycle as `a → b → a`, shortened in the middle.
pub(super) fn circle(cycle: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<&str> = cycle.iter().copied().take(SHOWN).collect();
    if cycle.len() > SHOWN {
        names.push("…");
    }
    names.extend(cycle.first());
    names.join(" → ")
}

/// The feature is called the same as before.
pub(super) fn same_feature(own: &Slug, earlier: &Slug, phase: Phase, findings: &mut Findings) {
    if own != earlier {
        findings.error(
            "feature_name_differs",
            "feature_name",
            format!("The feature is `{own}` here and `{earlier}` in `{phase}`."),
            format!("Write `{earlier}`."),
        );
    }
}

/// Whether a path is missing from the repository; `false` where that cannot be known.
pub(super) fn is_missing(path: &str, has_file: HasFile<'_>) -> bool {
    has_file.is_some_and(|has| !has(path))
}

/// A handful of names, for a sentence.
fn some_of(known: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 12;
    if known.is_empty() {
        return "(there are none)".to_owned();
    }
    let mut names: Vec<&str> = known.iter().copied().take(SHOWN).collect();
    if known.len() > SHOWN {
        names.push("…");
    }
    names.join(", ")
}
