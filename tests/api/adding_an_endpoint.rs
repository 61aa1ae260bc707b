//! The code that `docs/adding-an-endpoint.md` shows is compiled and tested.
//!
//! Every block but shell commands names a file and is an excerpt of it; a line `…` leaves lines out. The example is the
//! feature `src/features/lost_items`, which tests compile and the product doesn't contain.

const PAGE: &str = include_str!("../../docs/adding-an-endpoint.md");

#[test]
fn every_block_of_code_on_the_page_is_in_the_file_that_it_names() {
    let mut blocks = 0;
    for (language, path, code) in code_blocks() {
        if language == "sh" {
            continue;
        }
        let file = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let file =
            std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("'{path}' is not a file:\n{code}"));
        let (mut rest, file) = (unindented(&file), path);
        for excerpt in code.split("…\n").map(unindented).filter(|excerpt| !excerpt.is_empty()) {
            let at = rest
                .find(&excerpt)
                .unwrap_or_else(|| panic!("{file} doesn't contain, in this order:\n{excerpt}"));
            rest = rest.split_off(at + excerpt.len());
        }
        blocks += 1;
    }
    assert!(blocks > 10, "the blocks were found");
}

/// Language, file and code of each fenced block.
fn code_blocks() -> Vec<(&'static str, &'static str, &'static str)> {
    let fenced = PAGE.split("\n```").skip(1).step_by(2);
    let block = |block: &'static str| {
        let (head, code) = block.split_once('\n').expect("code");
        let (language, path) = head.split_once(' ').unwrap_or((head, ""));
        (language, path, code)
    };
    fenced.map(block).collect()
}

/// The text without white space at the beginnings of its lines, and without empty lines.
fn unindented(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_example_is_not_part_of_the_product() {
    let document = include_str!("../../openapi/orientation.json");
    for name in ["lost-items", "LostItem"] {
        assert!(PAGE.contains(name) && !document.contains(name), "{name}");
    }
}
