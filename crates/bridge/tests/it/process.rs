//! Real children: what they get, what they say, and that nothing of them is left.

use std::{
    collections::BTreeMap,
    fs,
    io::BufRead,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ostler_bridge::{
    Metrics, ProcessEnd,
    process::{
        Ended, Keeper, Limits, Lookup, Pipes, Process, Program, Shells, Spec, end_abandoned,
    },
};
use ostler_env::Env;
use ostler_types::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An example of this crate, built with its tests.
pub fn example(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a test has a file");
    let built = me.ancestors().nth(2).expect("it lies two folders deep");
    built.join("examples").join(name)
}

fn spec(command: &[&str]) -> Spec {
    let spec = Spec::new(command.iter().copied());
    Spec {
        grace: Duration::from_millis(400),
        ..spec
    }
}

struct Bench {
    env: Env,
    metrics: Metrics,
    ambient: BTreeMap<String, String>,
}

impl Bench {
    fn new() -> Bench {
        let env = Env::system();
        let metrics = Metrics::register(env.metrics());
        let ambient = [
            ("PATH", "/usr/bin"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("KEY", "secret"),
        ];
        let ambient = ambient.map(|(name, value)| (name.into(), value.into()));
        Bench {
            env,
            metrics,
            ambient: ambient.into(),
        }
    }

    fn start(&self, spec: Spec) -> (Process, Pipes) {
        self.start_with(&Keeper::new(example("keep"), []), spec)
    }

    fn start_with(&self, keeper: &Keeper, spec: Spec) -> (Process, Pipes) {
        let program = Program::resolve(spec, &self.ambient).expect("it may run");
        Process::start(&self.env, &self.metrics, "test", keeper, &program).expect("it starts")
    }

    /// Runs it to its end without input: what it wrote, and how it ended.
    async fn run(&self, spec: Spec) -> (String, Arc<Ended>) {
        let (process, mut pipes) = self.start(spec);
        drop(pipes.stdin);
        let mut said = String::new();
        let read = pipes.stdout.read_to_string(&mut said);
        read.await.expect("it writes text");
        let ended = process.ended().await;
        assert_eq!(left_of(process.keeper()), Vec::<String>::new());
        (said, ended)
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = self.env.metrics().value(name, labels);
        value.expect("a metric of the bridge")
    }
}

/// What descends from a keeper, by the brand it gives to all of them; and itself.
pub fn left_of(keeper: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
    let left = processes.filter(|process| {
        let environ = fs::read(process.path().join("environ")).unwrap_or_default();
        let brand = format!("OSTLER_KEPT={keeper}-");
        let marked = environ
            .split(|byte| *byte == 0)
            .any(|one| one.starts_with(brand.as_bytes()));
        marked || process.file_name().to_str() == Some(&keeper.to_string())
    });
    left.map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Waits until it is so. The kernel tells nobody when somebody else's process starts or ends, so
/// here one has to look again; the runner's time limit ends a wait in vain.
async fn until(env: &Env, so: impl Fn() -> bool) {
    while !so() {
        env.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_reads_and_writes_and_ends_with_its_input() {
    let bench = Bench::new();
    let (process, mut pipes) = bench.start(spec(&["/bin/cat"]));
    pipes.stdin.write_all(b"one\n").await.expect("it reads");
    let mut line = [0; 4];
    pipes.stdout.read_exact(&mut line).await.expect("it writes");
    assert_eq!(&line, b"one\n");
    drop(pipes.stdin);
    let ended = process.ended().await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::Exited, Some(0)));
    assert_eq!(pipes.stdout.read(&mut line).await.expect("its end"), 0);
    assert_eq!(
        bench.count("ostler_bridge_processes_started_total", &[]),
        1.0
    );
    let ended = [("end", "exited")];
    assert_eq!(
        bench.count("ostler_bridge_processes_ended_total", &ended),
        1.0
    );
}

#[tokio::test]
async fn it_is_asked_to_end_before_it_is_killed() {
    let bench = Bench::new();
    let (process, pipes) = bench.start(spec(&["/bin/sleep", "1000"]));
    until(&bench.env, || left_of(process.keeper()).len() == 2).await;
    let keeper = process.keeper();
    let ended = process.stop().await;
    assert_eq!(
        (ended.end, ended.code),
        (ProcessEnd::Stopped, Some(128 + 15))
    );
    assert_eq!(left_of(keeper), Vec::<String>::new());
    drop(pipes);
}

#[tokio::test]
async fn who_does_not_end_when_told_is_killed() {
    let bench = Bench::new();
    let deaf = ["/usr/bin/env", "--ignore-signal=TERM", "/bin/sleep", "1000"];
    let (process, pipes) = bench.start(spec(&deaf));
    until(&bench.env, || left_of(process.keeper()).len() == 2).await;
    let ended = process.stop().await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::Killed, Some(128 + 9)));
    drop(pipes);
}

#[tokio::test]
async fn what_a_server_left_behind_ends_with_it() {
    let bench = Bench::new();
    // It starts one in a session of its own, that nobody waits for, and is done.
    let (_, ended) = bench
        .run(spec(&["/usr/bin/setsid", "-f", "/bin/sleep", "1000"]))
        .await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::Exited, Some(0)));
}

#[tokio::test]
async fn a_killed_server_takes_what_it_started_with_it() {
    let bench = Bench::new();
    let (process, pipes) = bench.start(spec(&["/usr/bin/timeout", "1000", "/bin/sleep", "1000"]));
    let keeper = process.keeper();
    until(&bench.env, || left_of(keeper).len() == 3).await;
    kill_process(child_of(keeper), Signal::KILL).expect("it is there");
    let ended = process.ended().await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::Failed, Some(128 + 9)));
    assert_eq!(left_of(keeper), Vec::<String>::new());
    drop(pipes);
}

fn child_of(parent: u32) -> Pid {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(path).expect("it lives");
    let first = children.split_whitespace().next().expect("it has a child");
    Pid::from_raw(first.parse().expect("a number")).expect("not zero")
}

#[tokio::test]
async fn a_killed_keeper_leaves_nothing_behind() {
    let bench = Bench::new();
    // Beside the server, one in another session.
    let command = ["/usr/bin/setsid", "--fork", "--wait", "/bin/sleep", "1000"];
    let (process, pipes) = bench.start(spec(&command));
    let keeper = process.keeper();
    until(&bench.env, || left_of(keeper).len() == 3).await;
    let number = Pid::from_raw(keeper.try_into().expect("a number")).expect("not zero");
    kill_process(number, Signal::KILL).expect("it is there");
    let ended = process.ended().await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::KeeperKilled, None));
    assert_eq!(left_of(keeper), Vec::<String>::new());
    assert_eq!(bench.count("ostler_bridge_processes_swept_total", &[]), 2.0);
    drop(pipes);
}

#[tokio::test]
async fn a_process_that_only_knows_the_number_of_a_keeper_is_let_be() {
    let bench = Bench::new();
    let (process, pipes) = bench.start(spec(&["/bin/sleep", "1000"]));
    let keeper = process.keeper();
    until(&bench.env, || left_of(keeper).len() == 2).await;
    let mut other = Command::new("/bin/sleep")
        .arg("1000")
        .env("OSTLER_KEPT", format!("{keeper}-0"))
        .spawn()
        .expect("it is there");
    let number = Pid::from_raw(keeper.try_into().expect("a number")).expect("not zero");
    kill_process(number, Signal::KILL).expect("it is there");
    process.ended().await;
    let ended = other.try_wait().expect("it is ours");
    other.kill().expect("it is there");
    other.wait().expect("it is ours");
    assert_eq!(ended, None);
    drop(pipes);
}

/// The bridge of the next test, in a process of its own; nothing in any other run.
#[tokio::test]
async fn a_bridge_that_adopts() {
    if std::env::var_os(WAITS).is_none() {
        return;
    }
    let bench = Bench::new();
    let sleep = || {
        let mut sleep = Command::new("/bin/sleep");
        // Whoever reads what this one says does not wait for theirs.
        sleep.arg("77").stdout(Stdio::null()).stderr(Stdio::null());
        sleep.spawn()
    };
    // As an entry point does that starts something beside the bridge.
    let mut sidecar = sleep().expect("it is there");
    // In another session, and without its brand.
    let daemon = ["/usr/bin/env", "-i", "/bin/sleep", "1000"];
    let setsid = ["/usr/bin/setsid", "--fork", "--wait"];
    let keeper = Keeper::new(example("keep"), []).adopting();
    let keeper = keeper.expect("this is Linux");
    // As what somebody runs in the container and leaves to the bridge.
    let mut guest = sleep().expect("it is there");
    let (ended, _pipes) = bench.start_with(&keeper, spec(&["/bin/cat"]));
    ended.stop().await;
    for child in [&mut sidecar, &mut guest] {
        assert_eq!(child.try_wait().expect("it is ours"), None, "it is let be");
    }
    assert_eq!(bench.count("ostler_bridge_processes_swept_total", &[]), 0.0);
    guest.kill().expect("it is there");
    guest.wait().expect("it is ours");
    let (process, _pipes) = bench.start_with(&keeper, spec(&[&setsid[..], &daemon].concat()));
    let (other, _pipes) = bench.start_with(&keeper, spec(&["/bin/sleep", "1000"]));
    let has_daemon = || {
        let all = fs::read_dir("/proc").expect("this is Linux").flatten();
        all.filter(|it| fs::read(it.path().join("environ")).is_ok_and(|it| it.is_empty()))
            .any(|it| {
                fs::read(it.path().join("cmdline")).is_ok_and(|it| it == b"/bin/sleep\x001000\0")
            })
    };
    until(&bench.env, has_daemon).await;
    until(&bench.env, || left_of(other.keeper()).len() == 2).await;
    let number = process.keeper().try_into().expect("a number");
    let number = Pid::from_raw(number).expect("not zero");
    kill_process(number, Signal::KILL).expect("it is there");
    process.ended().await;
    assert_eq!(bench.count("ostler_bridge_processes_swept_total", &[]), 2.0);
    assert_eq!(left_of(other.keeper()).len(), 2, "the other is let be");
    let ended = sidecar.try_wait().expect("it is ours");
    assert_eq!(ended, None, "what was there before is let be");
    sidecar.kill().expect("it is there");
    sidecar.wait().expect("it is ours");
    other.stop().await;
    println!("{ALONE}");
}

const ALONE: &str = "nothing left";

#[tokio::test]
async fn a_bridge_that_adopts_ends_what_hid_its_brand() {
    let mut bridge = Command::new("/proc/self/exe");
    bridge.args(["--exact", "process::a_bridge_that_adopts", "--nocapture"]);
    let said = bridge.env(WAITS, "").output().expect("it is this test");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains(ALONE), "{said:?}");
}

/// The bridge of the next test, in a process of its own; nothing in any other run.
#[tokio::test]
async fn a_bridge_that_waits_to_be_killed() {
    if std::env::var_os(WAITS).is_none() {
        return;
    }
    let bench = Bench::new();
    let command = ["/usr/bin/setsid", "--fork", "--wait", "/bin/sleep", "1000"];
    let (process, _pipes) = bench.start(spec(&command));
    until(&bench.env, || left_of(process.keeper()).len() == 3).await;
    println!("{KEEPER}{}", process.keeper());
    std::future::pending().await
}

const WAITS: &str = "TEST_BRIDGE_WAITS";
const KEEPER: &str = "its keeper: ";

#[tokio::test]
async fn a_killed_bridge_leaves_nothing_behind() {
    let (mut bridge, keeper) = waiting_bridge();
    bridge.kill().expect("it is there");
    bridge.wait().expect("it is ours");
    until(&Env::system(), || left_of(keeper).is_empty()).await;
}

#[tokio::test]
async fn the_next_bridge_ends_what_one_left_that_was_killed_with_its_keeper() {
    let (mut bridge, keeper) = waiting_bridge();
    end_abandoned();
    assert_eq!(left_of(keeper).len(), 3, "that bridge lives");
    let number = Pid::from_raw(keeper.try_into().expect("a number")).expect("not zero");
    // So that it does not notice.
    kill_process(number, Signal::STOP).expect("it is there");
    bridge.kill().expect("it is there");
    bridge.wait().expect("it is ours");
    kill_process(number, Signal::KILL).expect("it is there");
    until(&Env::system(), || left_of(keeper).len() == 2).await;
    end_abandoned();
    assert_eq!(left_of(keeper), Vec::<String>::new());
}

/// A bridge with a server that has started something in another session; and their keeper.
fn waiting_bridge() -> (Child, u32) {
    let mut bridge = Command::new("/proc/self/exe")
        .args([
            "--exact",
            "process::a_bridge_that_waits_to_be_killed",
            "--nocapture",
        ])
        .env(WAITS, "")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("it is this test");
    let said = std::io::BufReader::new(bridge.stdout.take().expect("it is piped"));
    let mut lines = said.lines().map_while(Result::ok);
    let keeper = lines.find_map(|line| line.split_once(KEEPER)?.1.parse().ok());
    (bridge, keeper.expect("it says so"))
}

#[tokio::test]
async fn a_process_that_nobody_holds_any_more_ends() {
    let bench = Bench::new();
    let (process, pipes) = bench.start(spec(&["/bin/sleep", "1000"]));
    let keeper = process.keeper();
    drop((process, pipes));
    until(&bench.env, || left_of(keeper).is_empty()).await;
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let trap = folder.path().join("trap");
    let trap = trap.to_str().expect("UTF-8");
    let arguments = [
        format!("; touch {trap}"),
        format!("$(touch {trap})"),
        format!("`touch {trap}`"),
        format!("| touch {trap} && x || y > {trap} & \n\"'*?~"),
    ];
    let mut command = vec!["/usr/bin/printf", "%s\\n"];
    command.extend(arguments.iter().map(String::as_str));
    let (said, _) = bench.run(spec(&command)).await;
    assert_eq!(said, arguments.join("\n") + "\n");
    assert!(!fs::exists(trap).expect("the folder is there"));
}

#[tokio::test]
async fn the_environment_is_what_was_listed_and_given() {
    let bench = Bench::new();
    let mut spec = spec(&["/usr/bin/env"]);
    spec.env.insert("GIVEN".into(), Secret::new("$PATH; `x`"));
    let (said, _) = bench.run(spec).await;
    let mut lines: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("OSTLER_KEPT="))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GIVEN=$PATH; `x`", "PATH=/usr/bin"]);
}

#[tokio::test]
async fn a_name_is_looked_up_only_where_that_is_allowed() {
    let bench = Bench::new();
    let spec = Spec {
        lookup: Lookup::Path,
        shells: Shells::Allowed,
        ..spec(&["sh", "-c", "echo $0"])
    };
    let (said, _) = bench.run(spec).await;
    assert_eq!(said, "/usr/bin/sh\n");
}

#[tokio::test]
async fn limits_hold_and_nothing_gets_new_privileges() {
    let bench = Bench::new();
    let mut spec = spec(&["/bin/cat", "/proc/self/limits", "/proc/self/status"]);
    spec.limits = Limits {
        memory_bytes: Some(1 << 30),
        open_files: Some(64),
        processes: Some(4_000),
        cpu: Some(Duration::from_secs(77)),
    };
    let (said, _) = bench.run(spec).await;
    let has = |words: &[&str]| {
        let words_of = |line: &str| {
            line.split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        said.lines().any(|line| {
            words_of(line).starts_with(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
        })
    };
    for words in [
        &["Max", "data", "size", "1073741824", "1073741824"][..],
        &["Max", "open", "files", "64", "64"],
        &["Max", "processes", "4000", "4000"],
        &["Max", "cpu", "time", "77", "77"],
        &["Max", "core", "file", "size", "0", "0"],
        &["NoNewPrivs:", "1"],
    ] {
        assert!(has(words), "{words:?} in {said}");
    }
}

#[tokio::test]
async fn it_runs_in_its_folder() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut spec = spec(&["/bin/pwd"]);
    spec.folder = Some(folder.path().into());
    let (said, _) = bench.run(spec).await;
    assert_eq!(said.trim_end(), folder.path().to_str().expect("UTF-8"));
}

#[tokio::test]
async fn what_it_said_last_is_in_the_message_of_its_end() {
    let bench = Bench::new();
    let (_, ended) = bench.run(spec(&["/bin/ls", "/no/such/file"])).await;
    assert_eq!((ended.end, ended.code), (ProcessEnd::Failed, Some(2)));
    let message = ended.to_string();
    assert!(
        message.starts_with("it ended with code 2 and said last: "),
        "{message}"
    );
    assert!(message.contains("/no/such/file"), "{message}");
}

#[tokio::test]
async fn what_does_not_start_ends_at_once_and_says_why() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken");
    fs::write(&broken, "#!/no/such/interpreter\n").expect("a file");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o700)).expect("a mode");
    let broken = broken.to_str().expect("UTF-8");
    let (_, ended) = bench.run(spec(&[broken])).await;
    assert_eq!(ended.code, Some(127));
    let said = ended.tail.last().expect("the keeper says it");
    assert!(said.contains(broken), "{said}");
}
