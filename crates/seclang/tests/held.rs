//! Rules that are loaded from memory are those that the disk had when their files were read.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use seclang::load::{self, Held};
use seclang::ruleset::RuleSet;

/// A folder of its own with these files.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, content) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn placed(rules: Result<RuleSet, Vec<seclang::place::Problem>>) -> Vec<String> {
    let rules = rules.unwrap_or_else(|problems| panic!("{problems:?}"));
    rules.rules.iter().map(|rule| format!("{} {}", rule.id, rule.place)).collect()
}

#[test]
fn memory_has_all_that_the_disk_had() {
    let folder = folder(
        "whole",
        &[
            ("main.conf", b"Include part*/*.conf\nIncludeOptional none/*.conf\nIncludeOptional none.conf\n"),
            ("part-b/2.conf", b"SecRule ARGS \"!@pmFromFile words.data\" \"id:2\"\n"),
            ("part-b/words.data", b"caf\xe9\n"),
            ("part-b/1.conf", b"SecRule REMOTE_ADDR \"@ipMatchF ../addresses.data\" \"id:1\"\nInclude ../last.conf"),
            ("part/3.conf", b"SecAction \"id:3,pass\"\n"),
            ("part/deep/4.conf", b"SecAction \"id:4,pass\"\n"),
            ("addresses.data", b"192.0.2.0/24\n"),
            ("last.conf", b"\nSecAction \"id:5,pass\"\n"),
            ("never.conf", b"SecAction \"id:6,pass\"\n"),
        ],
    );
    let main = format!("Include \"{}/main.conf\"\n", folder.display());
    let (files, problems) = load::files(main.as_bytes(), "main", Path::new("/"));
    assert_eq!(problems, []);
    let on_disk = placed(load::text(main.as_bytes(), "main", Path::new("/")));
    let names: Vec<_> = files.keys().map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "main.conf",
            "part/3.conf",
            "part-b/../addresses.data",
            "part-b/../last.conf",
            "part-b/1.conf",
            "part-b/2.conf",
            "part-b/words.data"
        ]
    );
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(placed(load::held(main.as_bytes(), "main", Path::new(""), &files)), on_disk);
    let ids: Vec<_> = on_disk.iter().filter_map(|rule| rule.split(' ').next()).collect();
    assert_eq!(ids, ["3", "1", "5", "2"]);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_is_missing_in_memory() {
    let folder = folder(
        "gaps",
        &[
            ("a.conf", b"\nInclude gone.conf\nInclude a.conf\nSecRule ARGS \"@pmFromFile gone.data\" \"id:1\"\n"),
            ("b.conf", b"SecRule ARGS \"@pmFromFile https://example.com/x\" \"id:2\"\nSecRule\n"),
        ],
    );
    let main = format!("Include {0}/a.conf\nInclude {0}/b.conf\n", folder.display());
    let (files, problems) = load::files(main.as_bytes(), "main", Path::new("/"));
    let own = |text: String| text.replace(&format!("{}/", folder.display()), "");
    let told: Vec<_> = problems.iter().map(|problem| own(problem.to_string())).collect();
    assert_eq!(
        told,
        [
            "a.conf:2: gone.conf: No such file or directory (os error 2)",
            "a.conf:3: a.conf includes itself",
            "a.conf:4: SecRule: gone.data: No such file or directory (os error 2)",
        ]
    );
    let refused = load::held(main.as_bytes(), "main", Path::new(""), &files).unwrap_err();
    let places: Vec<_> = refused.iter().map(|problem| own(problem.place.to_string())).collect();
    assert_eq!(places, ["a.conf:2", "a.conf:3", "a.conf:4", "b.conf:1", "b.conf:2"]);
    assert!(refused[0].message.ends_with("gone.conf: the file did not come with the rules"), "{}", refused[0]);
    let (nothing, _) = load::files(b"SecMarker END\n", "main", &folder);
    assert_eq!(nothing, Held::new());
}
