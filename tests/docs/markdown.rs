//! Pages of Markdown, as far as the tests of the docs look at them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the repository.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One file.
pub(crate) struct Page {
    /// Its path below the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    /// What stands behind the language: how the block is tried.
    pub(crate) mark: String,
    pub(crate) text: String,
    /// The number of its first line.
    pub(crate) line: usize,
}

/// Where a link leads, and the number of its line.
pub(crate) struct Link {
    pub(crate) target: String,
    pub(crate) line: usize,
}

/// Every page: those of the root, of `docs`, and of the crates.
pub(crate) fn pages() -> Vec<Page> {
    let mut files = Vec::new();
    collect(Path::new(ROOT), false, &mut files);
    collect(&Path::new(ROOT).join("docs"), true, &mut files);
    collect(&Path::new(ROOT).join("crates/emulator"), false, &mut files);
    files.sort();
    let page = |file: PathBuf| {
        let path = file.strip_prefix(ROOT).unwrap().to_string_lossy().into_owned();
        Page { path, text: fs::read_to_string(file).unwrap() }
    };
    files.into_iter().map(page).collect()
}

fn collect(folder: &Path, deep: bool, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if deep && path.is_dir() {
            collect(&path, deep, files);
        } else if path.extension().is_some_and(|end| end == "md") {
            files.push(path);
        }
    }
}

impl Page {
    /// Whether a person wrote it for users: neither a record of the past nor made by a test.
    pub(crate) fn is_for_users(&self) -> bool {
        !self.path.starts_with("docs/adr/") && !self.text.contains("\nMade by `make generate`")
    }

    /// Its fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (at, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), open) {
                (Some(info), false) => {
                    let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                    let (language, mark) = (language.to_owned(), mark.to_owned());
                    blocks.push(Block { language, mark, text: String::new(), line: at + 2 });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let block = blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, false) => {}
            }
        }
        assert!(!open, "{}: the last block is not closed", self.path);
        blocks
    }

    /// Its lines outside of blocks, with their numbers.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut open = false;
        let mut lines = Vec::new();
        for (at, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                open = !open;
            } else if !open {
                lines.push((at + 1, line));
            }
        }
        lines
    }

    /// Its links and pictures.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (line, text) in self.prose() {
            // What stands between backquotes is no link.
            let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
            for part in plain.split("](").skip(1) {
                let target = part.split(')').next().unwrap_or_default().to_owned();
                links.push(Link { target, line });
            }
        }
        links
    }

    /// What its headings are linked by, on GitHub and on the site.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().into_iter().filter_map(|(_, line)| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
        });
        let anchor = |text: &str| {
            let text = text.trim().to_lowercase().replace(' ', "-");
            text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>()
        };
        headings.map(anchor).collect()
    }
}

/// The commands of a block of `sh`, one after the other, each as its words. What stands in quotes is not looked at.
pub(crate) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    for c in text.replace("\\\n", " ").chars() {
        let ends = quote.is_none() && (c.is_whitespace() || c == '|');
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && ['"', '\''].contains(&c) {
            quote = Some(c);
        } else if !ends {
            word.push(c);
        }
        let whole = ends && !word.is_empty();
        if whole && word == "&&" {
            commands.push(Vec::new());
            word.clear();
        } else if whole {
            commands.last_mut().unwrap().push(std::mem::take(&mut word));
        }
        if ends && ['\n', '|'].contains(&c) {
            commands.push(Vec::new());
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}
