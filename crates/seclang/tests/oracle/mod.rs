//! libmodsecurity as an oracle: a small program in C is built for the test where the library is, and never shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, in a folder of its own that goes with it.
pub struct Oracle {
    folder: tempfile::TempDir,
}

impl Oracle {
    /// Builds it; where it cannot be built says why and is none.
    pub fn find() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/modsecurity.c");
        let built = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-o"])
            .arg(folder.path().join("modsecurity"))
            .arg(source)
            .arg("-lmodsecurity")
            .output();
        match built {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => {
                eprintln!("skipped: cc with libmodsecurity-dev fails: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped: no C compiler: {error}");
                None
            }
        }
    }

    /// The audit log of libmodsecurity with those rules, after those requests with their responses.
    pub fn entries(&self, rules: &str, cases: &[(String, Option<String>)]) -> String {
        let log = self.folder.path().join("audit.log");
        let rules =
            self.write("rules.conf", &format!("{rules}SecAuditLogType Serial\nSecAuditLog {}\n", log.display()));
        // The file is named in entries as it is named here.
        let mut command = Command::new(self.folder.path().join("modsecurity"));
        command.current_dir(self.folder.path()).env("TZ", "UTC").arg(rules.file_name().unwrap());
        for (at, (request, response)) in cases.iter().enumerate() {
            command.arg(self.write(&format!("request{at}"), request));
            match response {
                Some(response) => command.arg(self.write(&format!("response{at}"), response)),
                None => command.arg("-"),
            };
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::read_to_string(log).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}
