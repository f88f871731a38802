//! From what an operator wrote to a program that may be started: no shell, no surprise in its
//! environment, and always the same file.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ostler_types::Secret;

use super::Limits;

/// A command as it is configured.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    pub lookup: Lookup,
    pub shells: Shells,
    /// Variables it gets, with their values.
    pub env: BTreeMap<String, Secret>,
    /// Variables it gets as the bridge has them, besides [`Spec::ENV_PASSED`].
    pub env_pass: Vec<String>,
    /// Where it runs: the bridge's own folder if not said.
    pub folder: Option<PathBuf>,
    pub limits: Limits,
    /// How long it may take to end once it is told to: half of it after its input ended, half
    /// after SIGTERM.
    pub grace: Duration,
}

/// Which programs may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lookup {
    /// By an absolute path only, so that nobody's folder decides what runs.
    #[default]
    Absolute,
    /// Also by a name on the bridge's `PATH`, or a path from its folder.
    Path,
}

/// Whether a program may be a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shells {
    /// A shell makes commands of text, which may come from anywhere.
    #[default]
    Refused,
    Allowed,
}

/// What can be started, checked.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) env: BTreeMap<String, Secret>,
    pub(super) folder: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) grace: Duration,
}

/// Why a command is refused. The operator is at fault; trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("no command")]
    Empty,
    #[error("{0:?} is no absolute path, and others are not allowed here")]
    Relative(String),
    #[error("{0:?} is not found, or no program")]
    NotFound(String),
    #[error("{0:?} is a shell, and shells are not allowed here")]
    Shell(String),
    #[error("an argument has a zero byte in it")]
    ZeroByte,
    #[error("command and environment together exceed {} bytes", Spec::BYTES_MAX)]
    TooLarge,
    #[error("{0:?} is no name of a variable")]
    BadName(String),
    #[error("{0:?} changes what a program loads: it gets a value in `env` or none")]
    NotPassed(String),
    #[error("{0:?} is the bridge's own")]
    Reserved(String),
    #[error("{0:?} is no folder")]
    NoFolder(PathBuf),
    #[error("at least {} open files are needed", Limits::OPEN_FILES_MIN)]
    FewFiles,
    #[error("more than {} s to end", Spec::GRACE_MAX.as_secs())]
    LongGrace,
}

impl Spec {
    /// What a program gets of the bridge's environment without being told, and all `LC_*`.
    pub const ENV_PASSED: [&str; 7] = ["PATH", "HOME", "LANG", "TMPDIR", "TERM", "USER", "TZ"];

    /// Linux takes 128 KiB for one argument; all of them stay below that.
    pub const BYTES_MAX: usize = 128 * 1024;

    pub const GRACE: Duration = Duration::from_secs(4);

    /// A bridge that ends waits for the slowest server.
    pub const GRACE_MAX: Duration = Duration::from_secs(300);

    /// A command with nothing else said.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Spec {
        Spec {
            command: command.into_iter().map(Into::into).collect(),
            lookup: Lookup::default(),
            shells: Shells::default(),
            env: BTreeMap::new(),
            env_pass: Vec::new(),
            folder: None,
            limits: Limits::default(),
            grace: Self::GRACE,
        }
    }
}

impl Program {
    /// Checks a command against the machine it will run on; `ambient` is the bridge's environment.
    pub fn resolve(spec: Spec, ambient: &BTreeMap<String, String>) -> Result<Program, SpecError> {
        let (name, arguments) = spec.command.split_first().ok_or(SpecError::Empty)?;
        let path = locate(name, spec.lookup, ambient)?;
        if spec.shells == Shells::Refused && is_shell(&path) {
            return Err(SpecError::Shell(name.clone()));
        }
        if let Some(folder) = spec.folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(SpecError::NoFolder(folder.clone()));
        }
        if spec
            .limits
            .open_files
            .is_some_and(|files| files < Limits::OPEN_FILES_MIN)
        {
            return Err(SpecError::FewFiles);
        }
        if spec.grace > Spec::GRACE_MAX {
            return Err(SpecError::LongGrace);
        }
        let program = Program {
            path,
            arguments: arguments.to_vec(),
            env: environment(&spec, ambient)?,
            folder: spec.folder,
            limits: spec.limits,
            grace: spec.grace,
        };
        program.check_bytes()?;
        Ok(program)
    }

    /// The file that runs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_bytes(&self) -> Result<(), SpecError> {
        let values = self.env.values().map(Secret::expose);
        let texts = self.arguments.iter().map(String::as_str).chain(values);
        if texts.clone().any(|text| text.contains('\0')) {
            return Err(SpecError::ZeroByte);
        }
        let names = self.env.keys().map(String::as_str);
        let bytes: usize = texts.chain(names).map(|text| text.len() + 1).sum();
        if bytes > Spec::BYTES_MAX {
            return Err(SpecError::TooLarge);
        }
        Ok(())
    }
}

/// The one file that a name means, found once: `PATH` may change later, the program does not.
fn locate(
    name: &str,
    lookup: Lookup,
    ambient: &BTreeMap<String, String>,
) -> Result<PathBuf, SpecError> {
    let not_found = || SpecError::NotFound(name.into());
    let path = Path::new(name);
    if path.is_absolute() {
        return is_program(path).then(|| path.into()).ok_or_else(not_found);
    }
    if lookup == Lookup::Absolute {
        return Err(SpecError::Relative(name.into()));
    }
    if name.contains('/') {
        let path = std::path::absolute(path).map_err(|_: io::Error| not_found())?;
        return is_program(&path).then_some(path).ok_or_else(not_found);
    }
    let folders = ambient.get("PATH").map(std::env::split_paths);
    let mut paths = folders
        .into_iter()
        .flatten()
        .map(|folder| folder.join(name));
    // An empty or relative entry of PATH means the folder one happens to be in.
    paths
        .find(|path| path.is_absolute() && is_program(path))
        .ok_or_else(not_found)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

const SHELLS: [&str; 16] = [
    "sh",
    "bash",
    "rbash",
    "dash",
    "ash",
    "busybox",
    "zsh",
    "rzsh",
    "fish",
    "ksh",
    "mksh",
    "csh",
    "tcsh",
    "cmd.exe",
    "powershell",
    "pwsh",
];

/// By its own name, and by that of the file it leads to.
fn is_shell(path: &Path) -> bool {
    let is = |path: &Path| {
        path.file_name()
            .is_some_and(|name| SHELLS.iter().any(|shell| name == *shell))
    };
    is(path) || fs::canonicalize(path).is_ok_and(|path| is(&path))
}

fn environment(
    spec: &Spec,
    ambient: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Secret>, SpecError> {
    spec.env_pass
        .iter()
        .try_for_each(|name| check_passed(name))?;
    spec.env.keys().try_for_each(|name| check_name(name))?;
    let passed = |name: &str| {
        Spec::ENV_PASSED.contains(&name)
            || name.starts_with("LC_")
            || spec.env_pass.iter().any(|passed| passed == name)
    };
    let ambient = ambient.iter().filter(|(name, _)| passed(name));
    let ambient = ambient.map(|(name, value)| (name.clone(), Secret::new(value.clone())));
    let given = spec
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    Ok(ambient.chain(given).collect())
}

/// A variable that makes a program load or run something else.
const LOADS: [&str; 15] = [
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "BASH_ENV",
    "ENV",
    "IFS",
    "GCONV_PATH",
];

fn check_passed(name: &str) -> Result<(), SpecError> {
    check_name(name)?;
    if name.starts_with("LD_") || LOADS.contains(&name) {
        return Err(SpecError::NotPassed(name.into()));
    }
    Ok(())
}

/// What the bridge itself is told, its token first, is no server's business.
const OWN: &str = "OSTLER_";

fn check_name(name: &str) -> Result<(), SpecError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(SpecError::BadName(name.into()));
    }
    if name.starts_with(OWN) {
        return Err(SpecError::Reserved(name.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambient() -> BTreeMap<String, String> {
        let ambient = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/home/x"),
            ("LC_ALL", "C"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("NODE_OPTIONS", "--require /tmp/evil.js"),
            ("OSTLER_WORKER_TOKEN", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("GIT_DIR", "/srv/git"),
        ];
        ambient
            .map(|(name, value)| (name.into(), value.into()))
            .into()
    }

    fn check(change: impl FnOnce(&mut Spec)) -> Result<Program, SpecError> {
        let mut spec = Spec::new(["/bin/cat"]);
        change(&mut spec);
        Program::resolve(spec, &ambient())
    }

    fn command(command: &[&str]) -> Vec<String> {
        command.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_is_listed_is_passed_on() {
        let program = check(|spec| spec.env_pass = vec!["GIT_DIR".into()]);
        let env = program.expect("cat is a program").env;
        let names: Vec<_> = env.keys().map(String::as_str).collect();
        assert_eq!(names, ["GIT_DIR", "HOME", "LC_ALL", "PATH"]);
    }

    #[test]
    fn what_changes_the_loader_is_not_passed_but_may_be_given() {
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "NODE_OPTIONS", "BASH_ENV"] {
            let passed = check(|spec| spec.env_pass = vec![name.into()]);
            assert_eq!(passed.err(), Some(SpecError::NotPassed(name.into())));
        }
        let given = check(|spec| {
            spec.env.insert(
                "NODE_OPTIONS".into(),
                Secret::new("--max-old-space-size=64"),
            );
        });
        let env = given.expect("the operator gave the value").env;
        assert_eq!(env["NODE_OPTIONS"].expose(), "--max-old-space-size=64");
    }

    #[test]
    fn the_bridges_own_variables_go_to_no_server() {
        let reserved = SpecError::Reserved("OSTLER_WORKER_TOKEN".into());
        let passed = check(|spec| spec.env_pass = vec!["OSTLER_WORKER_TOKEN".into()]);
        assert_eq!(passed.err(), Some(reserved));
    }

    #[test]
    fn names_and_values_that_no_environment_has_are_refused() {
        for name in ["", "A=B", "A\0"] {
            let bad = check(|spec| drop(spec.env.insert(name.into(), Secret::new("x"))));
            assert_eq!(bad.err(), Some(SpecError::BadName(name.into())));
        }
        let bad = check(|spec| drop(spec.env.insert("A".into(), Secret::new("x\0y"))));
        assert_eq!(bad.err(), Some(SpecError::ZeroByte));
        let long = check(|spec| spec.command.push("x".repeat(Spec::BYTES_MAX)));
        assert_eq!(long.err(), Some(SpecError::TooLarge));
    }

    #[test]
    fn shells_are_refused_by_every_name_unless_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let innocent = folder.path().join("innocent");
        std::os::unix::fs::symlink("/bin/sh", &innocent).expect("a link");
        let innocent = innocent.to_str().expect("UTF-8").to_string();
        for name in ["/bin/sh", "/bin/bash", "/usr/bin/bash", &innocent] {
            let shell = check(|spec| spec.command = command(&[name, "-c", "true"]));
            assert_eq!(shell.err(), Some(SpecError::Shell(name.into())));
        }
        let allowed = check(|spec| {
            spec.command = command(&["/bin/sh", "-c", "true"]);
            spec.shells = Shells::Allowed;
        });
        assert!(allowed.is_ok());
    }

    #[test]
    fn relative_names_are_refused_unless_allowed_and_then_found_once() {
        let relative = check(|spec| spec.command = command(&["cat"]));
        assert_eq!(relative.err(), Some(SpecError::Relative("cat".into())));
        let found = check(|spec| {
            spec.command = command(&["cat"]);
            spec.lookup = Lookup::Path;
        });
        assert_eq!(
            found.expect("it is there").path(),
            Path::new("/usr/bin/cat")
        );
        let nowhere = check(|spec| {
            spec.command = command(&["no-such-program"]);
            spec.lookup = Lookup::Path;
        });
        assert_eq!(
            nowhere.err(),
            Some(SpecError::NotFound("no-such-program".into()))
        );
    }

    #[test]
    fn the_folder_one_is_in_is_never_searched() {
        let ambient = [("PATH".to_string(), ".::relative".to_string())].into();
        let spec = Spec {
            lookup: Lookup::Path,
            ..Spec::new(["Cargo.toml"])
        };
        assert!(matches!(
            Program::resolve(spec, &ambient),
            Err(SpecError::NotFound(_))
        ));
    }

    #[test]
    fn what_cannot_run_is_refused_before_it_is_tried() {
        for name in ["/etc/passwd", "/etc", "/no/such/file"] {
            let program = check(|spec| spec.command = command(&[name]));
            assert_eq!(program.err(), Some(SpecError::NotFound(name.into())));
        }
        assert_eq!(
            check(|spec| spec.command.clear()).err(),
            Some(SpecError::Empty)
        );
        let nowhere = check(|spec| spec.folder = Some("/etc/passwd".into()));
        assert!(matches!(nowhere, Err(SpecError::NoFolder(_))));
        let few = check(|spec| spec.limits.open_files = Some(3));
        assert_eq!(few.err(), Some(SpecError::FewFiles));
        let long = check(|spec| spec.grace = Spec::GRACE_MAX + Duration::from_millis(1));
        assert_eq!(long.err(), Some(SpecError::LongGrace));
    }
}
