//! The token's file: read where it is, made where it is not.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use severance_console::Token;
use tempfile::NamedTempFile;

use crate::entropy;
use crate::error::{Doing, Failure, Outcome};

/// The token in `path`; a new one, in a file that its owner alone can read, where there is none.
pub(super) fn obtain(path: &Path) -> Outcome<Token> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            private(path)?;
            Token::new(text).ok_or_else(|| {
                Failure::new(format!(
                    "the token in {} is shorter than 32 characters: write a longer one, or remove \
                     the file and a new one is made",
                    path.display()
                ))
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error).doing(format!("cannot read the token file {}", path.display())),
    }
}

fn private(path: &Path) -> Outcome {
    let doing = || format!("cannot look at the token file {}", path.display());
    let mode = std::fs::metadata(path).doing(doing())?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the token file {} can be read by others (mode {:03o}): chmod 600 it",
        path.display(),
        mode & 0o777
    )))
}

fn make(path: &Path) -> Outcome<Token> {
    let doing = || format!("cannot make the token file {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let text = entropy::token();
    let file = beside(directory, &text).doing(doing())?;
    file.persist_noclobber(path).map_err(|refused| refused.error).doing(doing())?;
    File::open(directory).and_then(|directory| directory.sync_all()).doing(doing())?;
    Token::new(text).ok_or_else(|| Failure::new(doing()))
}

/// A whole file that has another name still: after a crash the token is there, or it is not, but never
/// empty.
fn beside(directory: &Path, text: &str) -> io::Result<NamedTempFile> {
    let private = Permissions::from_mode(0o600);
    let mut file =
        tempfile::Builder::new().prefix(".token-").permissions(private).tempfile_in(directory)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db.token");
        let made = obtain(&path).unwrap();
        let bits = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(bits & 0o777, 0o600);
        assert!(obtain(&path).unwrap().matches(made.expose()));
    }

    #[test]
    fn a_crash_while_a_token_is_made_leaves_none_and_the_next_start_makes_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db.token");
        let (file, left) = beside(directory.path(), "half").unwrap().keep().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(left != path && !path.exists());
        let made = obtain(&path).unwrap();
        assert!(obtain(&path).unwrap().matches(made.expose()));
        let names = std::fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().path());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, [left, path.clone()], "nothing else is left behind");
        // Whoever was quicker keeps the place.
        let kept = std::fs::read(&path).unwrap();
        assert!(make(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), kept);
    }

    #[test]
    fn a_token_that_others_can_read_or_that_is_short_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        obtain(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(obtain(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(obtain(&path).unwrap_err().to_string().contains("shorter than 32"));
    }
}
