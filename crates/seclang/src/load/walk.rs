//! Directives in the order in which they take effect: files are gone through, and into what they include.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Disk, Files, Held, beside};
use super::question;
use crate::operator;
use crate::place::{Place, Problem};
use crate::source::{self, Directive};

const DEEPEST_INCLUDE: usize = 20;

/// Takes a directive, with the folder that it stands in. An include is followed after it, unless it is refused.
pub(super) type Take<'t> = dyn FnMut(&Directive, &Path) -> Result<(), String> + 't;

/// On the way through files.
pub(super) struct Walk<'f> {
    files: &'f dyn Files,
    within: Vec<PathBuf>,
    pub problems: Vec<Problem>,
}

impl<'f> Walk<'f> {
    pub fn new(files: &'f dyn Files) -> Self {
        Self { files, within: Vec::new(), problems: Vec::new() }
    }

    /// Goes through a text.
    pub fn text(&mut self, text: &[u8], file: &Arc<str>, folder: &Path, take: &mut Take<'_>) {
        let (directives, problems) = source::directives(text, file);
        self.problems.extend(problems);
        for directive in &directives {
            let Directive { name, place, .. } = directive;
            match take(directive, folder) {
                Err(message) => self.problem(place, format!("{name}: {message}")),
                Ok(()) => {
                    if let Some((pattern, optional)) = included(directive) {
                        self.include_all(&folder.join(&*String::from_utf8_lossy(pattern)), optional, place, take);
                    }
                }
            }
        }
    }

    /// Goes through a file.
    pub fn include(&mut self, path: &Path, place: &Place, take: &mut Take<'_>) {
        let real = match self.files.real(path) {
            Ok(real) => real,
            Err(error) => return self.problem(place, format!("{}: {error}", path.display())),
        };
        if self.within.contains(&real) {
            return self.problem(place, format!("{} includes itself", path.display()));
        }
        if self.within.len() >= DEEPEST_INCLUDE {
            return self.problem(place, format!("files are included more than {DEEPEST_INCLUDE} deep"));
        }
        match self.files.read(path) {
            Ok(text) => {
                let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
                self.within.push(real);
                self.text(&text, &Arc::from(path.to_string_lossy()), &folder, take);
                self.within.pop();
            }
            Err(error) => self.problem(place, format!("{}: {error}", path.display())),
        }
    }

    fn include_all(&mut self, pattern: &Path, optional: bool, place: &Place, take: &mut Take<'_>) {
        let text = pattern.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            if !optional || self.files.real(pattern).is_ok() {
                self.include(pattern, place, take);
            }
            return;
        }
        let found = match self.files.meant(&text) {
            Ok(found) => found,
            Err(error) => return self.problem(place, format!("{text}: {error}")),
        };
        if found.is_empty() && !optional {
            self.problem(place, format!("{text}: no file is named so"));
        }
        for path in found {
            match path {
                Ok(path) => self.include(&path, place, take),
                Err(error) => self.problem(place, error),
            }
        }
    }

    fn problem(&mut self, place: &Place, message: String) {
        self.problems.push(Problem { place: place.clone(), message });
    }
}

/// What an include names, and whether it may be missing.
fn included(directive: &Directive) -> Option<(&[u8], bool)> {
    let optional = directive.name.eq_ignore_ascii_case("includeoptional");
    match directive.arguments.as_slice() {
        [pattern] if optional || directive.name.eq_ignore_ascii_case("include") => Some((pattern, optional)),
        _ => None,
    }
}

/// The files that a text of rules reads, as they are on the disk now, and which of them cannot be read. The rules
/// themselves are not judged: [`super::held`] does that, with the files that were found.
pub fn files(text: &[u8], name: &str, folder: &Path) -> (Held, Vec<Problem>) {
    let kept = Keeping(RefCell::default());
    let mut walk = Walk::new(&kept);
    walk.text(text, &Arc::from(name), folder, &mut |directive, folder| {
        let [_, question, ..] = directive.arguments.as_slice() else { return Ok(()) };
        if !directive.name.eq_ignore_ascii_case("secrule") {
            return Ok(());
        }
        let asked = question::Asked::of(question);
        match operator::file_of(asked.operator, asked.argument) {
            Some(name) => {
                let path = beside(folder, name);
                kept.read(&path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
            }
            None => Ok(()),
        }
    });
    // What is wrong with the lines is told again, with all else, when they are loaded.
    let problems = walk.problems;
    (kept.0.into_inner(), problems)
}

/// The disk, of which all is kept that was read.
struct Keeping(RefCell<Held>);

impl Files for Keeping {
    fn real(&self, path: &Path) -> Result<PathBuf, String> {
        Disk.real(path)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let content = Disk.read(path)?;
        self.0.borrow_mut().insert(path.to_path_buf(), content.clone());
        Ok(content)
    }

    fn meant(&self, pattern: &str) -> Result<Vec<Result<PathBuf, String>>, String> {
        Disk.meant(pattern)
    }
}
