//! `explore`: what the survey found, in words.

use specwright_shared::documents::Explore;
use specwright_shared::documents::explore::{
    Conventions, DiscoveryArea, DiscoveryQuestions, ExistingModel, FeatureSummary, KeyFile,
    Pattern, Place, Related,
};
use specwright_shared::list::List;
use specwright_shared::path::RepoPath;

use super::{Idea, LABEL, Survey, WriteError, line, lines, text};
use crate::rehearsal::idea::cut;
use crate::rehearsal::survey::language::{Language, is_test};

/// Files named as important.
const KEY_FILES_MAX: usize = 12;
/// Directories named.
const PLACES_MAX: usize = 30;
/// The part of the README that is quoted, in characters.
const README_MAX: usize = 1500;

pub(super) fn write(idea: &Idea, survey: &Survey) -> Result<Explore, WriteError> {
    let entry_points = survey.entry_points(10);
    let project_type = project_type(survey, &entry_points);
    Ok(Explore {
        codebase_summary: text(summary(survey, &project_type))?,
        project_type: line(&project_type)?,
        tech_stack: List::fitted(lines(tech_stack(survey))?),
        structure: List::fitted(structure(survey)?),
        key_files: List::fitted(key_files(survey, &entry_points)?),
        relevant_patterns: List::fitted(patterns(survey)?),
        existing_models: List::fitted(models(survey)?),
        conventions: conventions(survey)?,
        entry_points: List::fitted(entry_points),
        test_structure: text(test_structure(survey))?,
        discovery_questions: List::fitted(questions(idea)?),
        feature_summary: feature_summary(idea, survey)?,
        related_to_feature: List::fitted(related(survey)?),
        notes: Some(text(format!(
            "{LABEL}. Everything above was computed from {} file names and a few files' contents{}.",
            survey.files.len(),
            if survey.cut { "; the repository has more files than were looked at" } else { "" },
        ))?),
    })
}

fn project_type(survey: &Survey, entry_points: &[RepoPath]) -> String {
    if survey.files.is_empty() {
        return "empty repository".to_owned();
    }
    let Some(language) = survey.main_language() else {
        return "repository without program code".to_owned();
    };
    let library = entry_points.iter().any(|path| path.ends_with("lib.rs"));
    let program = entry_points.iter().any(|path| !path.ends_with("lib.rs"));
    let kind = match (program, library) {
        (true, _) => "program",
        (false, true) => "library",
        (false, false) => "project",
    };
    format!("{kind} in {}", language.name)
}

fn summary(survey: &Survey, project_type: &str) -> String {
    let name = survey.manifests.iter().find_map(|manifest| manifest.name.as_deref());
    let mut summary = match name {
        Some(name) => format!("`{}` is a {project_type}.", cut(name, 100)),
        None => format!("This is: {project_type}."),
    };
    summary.push_str(&format!(" {} files were listed.", survey.files.len()));
    let languages: Vec<_> = survey
        .languages()
        .iter()
        .take(6)
        .map(|(language, count)| format!("{} ({count})", language.name))
        .collect();
    if !languages.is_empty() {
        summary.push_str(&format!(" Files by language: {}.", languages.join(", ")));
    }
    if let Some(readme) = &survey.readme {
        summary.push_str(&format!("\n\nThe README says: {}", cut(readme, README_MAX)));
    }
    summary.push_str(&format!("\n\n({LABEL})"));
    summary
}

fn tech_stack(survey: &Survey) -> Vec<String> {
    let languages = survey.languages();
    let languages = languages.iter().filter(|(language, _)| language.is_code);
    let mut stack: Vec<String> = languages
        .take(10)
        .map(|(language, count)| format!("{}: {count} files", language.name))
        .collect();
    for manifest in &survey.manifests {
        let mut tool = format!("{}: {}", manifest.tool, manifest.path);
        if !manifest.scripts.is_empty() {
            tool.push_str(&format!(" (scripts: {})", manifest.scripts.join(", ")));
        }
        stack.push(tool);
    }
    stack
}

fn structure(survey: &Survey) -> Result<Vec<Place>, WriteError> {
    let mut places: Vec<_> = survey.top_directories().into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    places
        .into_iter()
        .take(PLACES_MAX)
        .map(|(directory, count)| {
            let kind = match directory.as_str() {
                "src" | "lib" | "app" | "pkg" | "internal" | "crates" => "source code",
                "test" | "tests" | "spec" | "e2e" => "tests",
                "docs" | "doc" => "documentation",
                "migrations" => "database migrations",
                ".github" | ".ci" | ".circleci" => "continuous integration",
                "examples" => "examples",
                "scripts" | "bin" | "tools" => "programs for development",
                _ => "part of the project",
            };
            let plural = if count == 1 { "file" } else { "files" };
            Ok(Place {
                path: RepoPath::new(&*directory)?,
                purpose: line(format!("{kind}, {count} {plural}"))?,
            })
        })
        .collect()
}

fn key_files(survey: &Survey, entry_points: &[RepoPath]) -> Result<Vec<KeyFile>, WriteError> {
    let mut files: Vec<KeyFile> = Vec::new();
    let mut add = |path: &RepoPath, purpose: String| -> Result<(), WriteError> {
        if files.len() < KEY_FILES_MAX && files.iter().all(|file| file.path != *path) {
            files.push(KeyFile { path: path.clone(), purpose: line(purpose)? });
        }
        Ok(())
    };
    let code = |path: &RepoPath| {
        Language::of(path).is_some_and(|language| language.is_code) && !is_test(path)
    };
    for mention in survey.mentions.iter().filter(|mention| code(&mention.path)).take(8) {
        add(&mention.path, mentioned(&mention.in_path, &mention.in_text))?;
    }
    for path in entry_points.iter().take(3) {
        add(path, "execution or the library's interface starts here".to_owned())?;
    }
    for manifest in &survey.manifests {
        add(&manifest.path, format!("manifest, read by {}", manifest.tool))?;
    }
    Ok(files)
}

fn mentioned(in_path: &[String], in_text: &[String]) -> String {
    let mut parts = Vec::new();
    if !in_path.is_empty() {
        parts.push(format!("its path names {}", in_path.join(", ")));
    }
    if !in_text.is_empty() {
        parts.push(format!("its text mentions {}", in_text.join(", ")));
    }
    parts.join("; ")
}

fn patterns(survey: &Survey) -> Result<Vec<Pattern>, WriteError> {
    let tests: Vec<RepoPath> = survey.tests().take(5).cloned().collect();
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Pattern {
        pattern: line("Tests have files of their own")?,
        description: text("Tests stand in the files named here; new tests belong beside them.")?,
        files: List::fitted(tests),
    }])
}

fn models(survey: &Survey) -> Result<Vec<ExistingModel>, WriteError> {
    survey
        .models
        .iter()
        .take(10)
        .map(|model| {
            Ok(ExistingModel {
                name: line(&model.name)?,
                file: model.file.clone(),
                fields: List::fitted(lines(&model.fields)?),
            })
        })
        .collect()
}

fn conventions(survey: &Survey) -> Result<Conventions, WriteError> {
    let stems = || {
        let code = survey.files.iter().filter(|path| Language::of(path).is_some_and(|l| l.is_code));
        code.filter_map(|path| path.rsplit('/').next()?.rsplit_once('.')).map(|(stem, _)| stem)
    };
    let count = |wanted: fn(&&str) -> bool| stems().filter(wanted).count();
    let snake = count(|stem| stem.contains('_'));
    let kebab = count(|stem| stem.contains('-'));
    let camel = count(|stem| stem.chars().skip(1).any(char::is_uppercase));
    let naming = if snake + kebab + camel == 0 {
        "File names are single words in lower case, or there are none yet.".to_owned()
    } else {
        format!(
            "File names: {snake} with underscores, {kebab} with hyphens, {camel} in camel case."
        )
    };
    Ok(Conventions {
        naming: text(naming)?,
        testing: text(test_structure(survey))?,
        patterns: List::default(),
    })
}

fn test_structure(survey: &Survey) -> String {
    let tests: Vec<&RepoPath> = survey.tests().collect();
    let command = survey.manifests.first().map(|manifest| manifest.test_command);
    let run = command.map_or_else(String::new, |command| {
        format!(" The usual command for this kind of project is `{command}`.")
    });
    match tests.first() {
        None => format!("No test files were found by their names.{run}"),
        Some(first) => format!("{} test files were found, such as {first}.{run}", tests.len()),
    }
}

fn questions(idea: &Idea) -> Result<Vec<DiscoveryQuestions>, WriteError> {
    let name = &idea.name;
    DiscoveryArea::ALL
        .into_iter()
        .map(|category| {
            let questions = match category {
                DiscoveryArea::ProblemAndValue => [
                    format!("What goes wrong today without {name}, and how often?"),
                    "How would one see that it was worth doing?".to_owned(),
                ],
                DiscoveryArea::UsersAndJourneys => [
                    format!("Who meets {name} first, and what do they do then?"),
                    "Who has to operate it?".to_owned(),
                ],
                DiscoveryArea::ScopeAndBoundaries => [
                    "Which part of the idea could be left for later?".to_owned(),
                    "What must not change?".to_owned(),
                ],
                DiscoveryArea::TechnicalContext => [
                    "Which of the files named here own the behaviour that changes?".to_owned(),
                    "Does any state have to survive a restart?".to_owned(),
                ],
                DiscoveryArea::TradeOffsAndRisks => [
                    "What is the worst that a mistake here could do?".to_owned(),
                    "How would it be switched off in a hurry?".to_owned(),
                ],
            };
            Ok(DiscoveryQuestions { category, questions: List::new(lines(questions)?)? })
        })
        .collect()
}

fn feature_summary(idea: &Idea, survey: &Survey) -> Result<FeatureSummary, WriteError> {
    let constraint = survey.main_language().map(|language| {
        format!("The code is written in {}; new code follows its layout.", language.name)
    });
    Ok(FeatureSummary {
        name: idea.name.clone(),
        one_liner: line(&idea.one_line)?,
        problem_statement: text(format!(
            "The idea, as it was given: {}. ({LABEL}: the problem behind it was not analysed.)",
            cut(&idea.sentences.join(". "), 1500)
        ))?,
        scope_in: List::new(lines(idea.sentences.iter().take(30))?)?,
        scope_out: List::fitted(lines(["Changes to behaviour that the idea does not mention"])?),
        technical_constraints: List::fitted(lines(constraint)?),
        risks_identified: List::fitted(lines([
            "The words of the idea may mean something else in this repository than was assumed",
        ])?),
        success_metrics: List::fitted(lines(["Every acceptance criterion has a passing test"])?),
    })
}

fn related(survey: &Survey) -> Result<Vec<Related>, WriteError> {
    survey
        .mentions
        .iter()
        .take(10)
        .map(|mention| {
            Ok(Related {
                name: line(mention.path.rsplit('/').next().unwrap_or(&mention.path))?,
                file: mention.path.clone(),
                relevance: line(mentioned(&mention.in_path, &mention.in_text))?,
            })
        })
        .collect()
}
