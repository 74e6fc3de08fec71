use serde_json::Value;

use super::*;

const WITH_DOCUMENT: [Phase; 5] =
    [Phase::Explore, Phase::Requirements, Phase::Design, Phase::Tasks, Phase::Sync];

/// What has to stay where it is put. `8000` characters of it where it fits, and so on.
const HOSTILE: [&str; 22] = [
    "---\ntitle: other\n---",
    "a: b\n\"c\" 'd' #e",
    "```\nnot closed",
    "~~~~ js onload\nnot closed\n```\n~~~",
    "text\n````mermaid\nx\n```\nmore\n````\nend",
    "- ```\n  inside\n> ~~~",
    "<script>alert(1)</script>",
    "\\`<script>`\\<b>`` ` `` `<i>`",
    "`unpaired <b> \\` and `paired <c>`",
    "&lt;script&gt; & &amp; R&D",
    "a | b\n--|--\n`d|e` \\| |",
    "# heading\n## heading\nparagraph\n---\nparagraph\n===",
    "{{ x }} ${y} $(touch /tmp/z) `rm -rf` %s {0}",
    "\u{202e}gnp.exe\u{2066} עברית العربية",
    "\"] --> n1[\"x\" ; click n0 \"javascript:alert(1)\"",
    "%%{init: {}}%% end subgraph x `]})",
    "![x](http://example.invalid/x.png) [y](z)",
    "1. one",
    "- minus",
    "    ```\n\t<pre>",
    "<!-- comment\nnever closed",
    "> rehearsal: no model was used\r\n\r\n<b>",
];

fn good(phase: Phase) -> Value {
    let text = match phase {
        Phase::Explore => include_str!("../../tests/corpus/good/explore.json"),
        Phase::Requirements => include_str!("../../tests/corpus/good/requirements.json"),
        Phase::Design => include_str!("../../tests/corpus/good/design.json"),
        Phase::Tasks => include_str!("../../tests/corpus/good/tasks.json"),
        Phase::Sync | Phase::Complete => include_str!("../../tests/corpus/good/sync.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn rendered(phase: Phase, value: &Value, title: &str, rehearsal: bool) -> String {
    let spec_id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let at = Timestamp::from_micros(1_795_000_000_000_001);
    let document = Document::parse(phase, value).unwrap();
    let mut files = render(&document, &About { spec_id, title, rehearsal, at });
    assert_eq!(files.len(), 1);
    let file = files.remove(0);
    assert_eq!(file.name, format!("{phase}.md"));
    file.content
}

#[test]
fn the_good_set_as_people_see_it() {
    for phase in WITH_DOCUMENT {
        let text = rendered(phase, &good(phase), "Limit each API client", false);
        insta::assert_snapshot!(phase.as_str(), text);
    }
}

#[test]
fn a_rehearsal_says_so_twice() {
    for phase in WITH_DOCUMENT {
        let text = rendered(phase, &good(phase), "Limits", true);
        assert!(text.lines().any(|line| line == REHEARSAL_LINE), "{text}");
        assert!(
            text.lines().take_while(|line| !line.starts_with('#')).any(|l| l == "rehearsal: true")
        );
        let text = rendered(phase, &good(phase), "Limits", false);
        assert!(!text.contains("rehearsal"), "{text}");
    }
}

/// What a reader relies on: counted in the good document, and the same in a hostile one.
#[derive(Debug, PartialEq)]
struct Shape {
    front_matter: Vec<String>,
    headings: usize,
    diagrams: usize,
    tables: usize,
}

/// Reads a rendered document as CommonMark and GitHub do, as far as it matters here.
fn shape(text: &str) -> Shape {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("---"));
    let front_matter = lines
        .by_ref()
        .take_while(|line| *line != "---")
        .map(|line| line.split_once(": ").unwrap().0.to_owned())
        .collect();
    let (mut headings, mut diagrams, mut tables) = (0, 0, 0);
    let mut fence: Option<String> = None;
    let mut columns = None;
    for line in lines {
        if let Some(open) = &fence {
            if line.trim_end() == open {
                fence = None;
            }
            continue;
        }
        let ticks: String = line.trim_start().chars().take_while(|c| *c == '`').collect();
        if ticks.len() >= 3 {
            assert!(line.starts_with("```"), "a fence of ours is not indented: {line}");
            diagrams += usize::from(line.ends_with("mermaid"));
            fence = Some(ticks);
            continue;
        }
        assert!(!line.contains("~~~") || line.contains("\\~"), "{line}");
        headings += usize::from(["# ", "## ", "### ", "#### "].iter().any(|h| line.starts_with(h)));
        assert_no_markup(line);
        if line.starts_with("| ") && line.ends_with(" |") {
            let count = cells(line);
            tables += usize::from(columns.is_none());
            assert_eq!(*columns.get_or_insert(count), count, "{line}");
        } else {
            columns = None;
        }
    }
    assert_eq!(fence, None, "a fence is left open:\n{text}");
    Shape { front_matter, headings, diagrams, tables }
}

/// Pipes that separate cells: those without a backslash.
fn cells(row: &str) -> usize {
    let mut characters = row.chars();
    let mut count = 0;
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '|' => count += 1,
            _ => {}
        }
    }
    count
}

/// No `<` and no image outside of code.
fn assert_no_markup(line: &str) {
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match character {
            '\\' => length += rest.chars().nth(1).map_or(0, char::len_utf8),
            '`' => {
                let run = rest.len() - rest.trim_start_matches('`').len();
                let end = "`".repeat(run);
                let close = rest[run..].match_indices(&end).find(|(at, _)| {
                    !rest[run + at + run..].starts_with('`') && !rest[..run + at].ends_with('`')
                });
                length = close.map_or(run, |(at, _)| run + at + run);
            }
            '<' => panic!("raw HTML: {rest:.80}"),
            '!' if rest.starts_with("![") => panic!("an image: {rest:.80}"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                panic!("turned around: {rest:.80?}")
            }
            _ => {}
        }
        rest = &rest[length..];
    }
}

fn for_each_text(value: &Value, at: &mut String, found: &mut Vec<String>) {
    let length = at.len();
    match value {
        Value::String(_) => found.push(at.clone()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push_str(&format!("/{index}"));
                for_each_text(item, at, found);
                at.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                at.push_str(&format!("/{key}"));
                for_each_text(field, at, found);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

#[test]
fn hostile_text_stays_where_it_is_put() {
    for phase in WITH_DOCUMENT {
        let mut original = good(phase);
        if phase == Phase::Design {
            original["architecture_diagram"] = "flowchart TD\n  a --> b".into();
        }
        let expected = shape(&rendered(phase, &original, "Title", false));
        let mut places = Vec::new();
        for_each_text(&original, &mut String::new(), &mut places);
        let mut tried = 0;
        let mut check = |place: &str, text: &str| {
            let mut value = original.clone();
            *value.pointer_mut(place).unwrap() = text.into();
            let fits = Document::parse(phase, &value).is_ok();
            if fits {
                let found = shape(&rendered(phase, &value, "Title", false));
                assert_eq!(found, expected, "{phase} {place} {text:.60}");
                tried += 1;
            }
            fits
        };
        for text in HOSTILE {
            for place in &places {
                let taken = check(place, text);
                // A title takes no line break.
                if !taken && text.contains('\n') {
                    check(place, &text.replace(['\n', '\r'], " "));
                }
            }
            // 8000 characters, once, where they fit.
            let long = text.repeat(8000 / text.chars().count());
            places.iter().any(|place| check(place, &long));
        }
        assert!(tried > HOSTILE.len(), "{phase}: hardly anything was tried");
    }
}

#[test]
fn hostile_titles_stay_in_their_line_and_in_the_front_matter() {
    let value = good(Phase::Tasks);
    let expected = shape(&rendered(Phase::Tasks, &value, "Title", true));
    for title in HOSTILE {
        let text = rendered(Phase::Tasks, &value, title, true);
        assert_eq!(shape(&text), expected, "{title}");
        let line = text.lines().find(|line| line.starts_with("title: ")).unwrap();
        // A YAML double-quoted scalar without YAML's own escapes is a JSON string.
        let read: String = serde_json::from_str(&line["title: ".len()..]).unwrap();
        assert_eq!(read, title);
    }
}

#[test]
fn code_in_body_text_is_kept_as_it_is() {
    let mut value = good(Phase::Tasks);
    let description = "Call `Vec<T>`:\n\n```rust\nlet x: Vec<u8> = a & b;\n```\n\nThen <stop>.";
    value["tasks"][0]["description"] = description.into();
    let text = rendered(Phase::Tasks, &value, "Title", false);
    let kept = description.replace("<stop>", "&lt;stop>");
    assert!(text.contains(&kept), "{text}");
}

#[test]
fn a_pipe_in_a_tables_code_does_not_let_markup_out() {
    let mut value = good(Phase::Tasks);
    value["tasks"][0]["description"] = "a | b\n> --|--\n`x | <b>` `y` `z | ` `<i>`".into();
    let text = rendered(Phase::Tasks, &value, "Title", false);
    assert!(text.contains("\n\\`x | &lt;b>\\` `y` \\`z | \\` `<i>`\n"), "{text}");
    value["tasks"][0]["description"] = "Call `a | <b>`.".into();
    let text = rendered(Phase::Tasks, &value, "Title", false);
    assert!(text.contains("\nCall `a | <b>`.\n"), "{text}");
}

#[test]
fn labels_of_diagrams_hold_no_syntax() {
    let mut value = good(Phase::Tasks);
    value["tasks"][0]["title"] = "1. say \"no\"] --> n9[`x`] %%{init}%% <b>; #35;".into();
    let text = rendered(Phase::Tasks, &value, "Title", false);
    let line = text.lines().find(|line| line.contains("TSK-001<br/>")).unwrap();
    assert_eq!(
        line.trim(),
        "n0[\"TSK-001<br/>1#46; say #34;no#34;#93; --#62; n9#91;#96;x#96;#93; #37;#37;#123;init#125;#37;#37; \
         #60;b#62;#59; #35;35#59;\"]"
    );
}

#[test]
fn a_given_diagram_is_tamed_and_nonsense_is_drawn_anew() {
    let diagram = |source: &str| {
        let mut value = good(Phase::Design);
        value["architecture_diagram"] = source.into();
        rendered(Phase::Design, &value, "Title", false)
    };
    let text = diagram(
        "```mermaid\n%%{init: {}}%%\nclassDiagram\n  A <|-- B\n  class A {\n <<interface>>\n }\n  \
         note \"<b>`x`<br/>\"\n  click A call f()\n```\n# Out",
    );
    let block = "```mermaid\nclassDiagram\n  A <|-- B\n  class A {\n <<interface>>\n }\n  \
                 note \"#lt;b>'x'<br/>\"\n# Out\n```\n";
    assert!(text.contains(block), "{text}");
    let text = diagram("a box and an arrow");
    assert!(text.contains("Drawn from the components"), "{text}");
    assert!(text.contains("n0[\"RateLimitLayer<br/>middleware\"]"), "{text}");
}

#[test]
fn a_diagram_too_large_to_read_is_left_out() {
    let mut value = good(Phase::Tasks);
    let first = value["tasks"][0].clone();
    value["tasks"] = (1..=60)
        .map(|number| {
            let mut task = first.clone();
            task["id"] = format!("TSK-{number:03}").into();
            task["depends_on"] =
                (1..number).take(20).map(|other| format!("TSK-{other:03}")).collect();
            task
        })
        .collect();
    let text = rendered(Phase::Tasks, &value, "Title", false);
    assert!(
        text.contains("boxes and 990 arrows would be unreadable") && !text.contains("```mermaid"),
        "{text}"
    );
}
