//! A person at a terminal answers what a server asks.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    process::Stdio,
};

use ostler_env::Env;
use ostler_testkit::soon;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use tokio::process::Command;

use crate::world::{World, command};

/// What a person waits for on the screen, and types then.
type Turn = (&'static str, &'static str);

/// A new terminal: the side of the person, and that of the program.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
    unlockpt(&person).expect("it is ours");
    let path = ptsname(&person, Vec::new()).expect("it has a name");
    let path = OsStr::from_bytes(path.as_bytes());
    let program = OpenOptions::new().read(true).write(true).open(path);
    (File::from(person), program.expect("it can be opened"))
}

fn at(mut command: Command, program: &File) -> Command {
    let side = || Stdio::from(program.try_clone().expect("there is room for one more"));
    command.stdin(side()).stdout(side()).stderr(side());
    command
}

/// The person's part, up to the end of the program; gives the whole screen.
fn converse(mut person: File, turns: Vec<Turn>) -> String {
    let mut screen = Vec::new();
    let mut seen = 0;
    for (awaited, typed) in turns {
        loop {
            let found = find(&screen[seen..], awaited.as_bytes());
            if let Some(at) = found {
                seen += at + awaited.len();
                break;
            }
            let read = read(&mut person, &mut screen);
            let shown = String::from_utf8_lossy(&screen);
            assert!(read > 0, "it ended before {awaited:?}: {shown}");
        }
        person.write_all(typed.as_bytes()).expect("it is read");
    }
    while read(&mut person, &mut screen) > 0 {}
    String::from_utf8(screen).expect("it writes UTF-8")
}

/// Bytes read; none once the program has closed its side, which is an error here.
fn read(person: &mut File, screen: &mut Vec<u8>) -> usize {
    let mut piece = [0; 4096];
    let read = person.read(&mut piece).unwrap_or(0);
    screen.extend_from_slice(&piece[..read]);
    read
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Runs a command with a person at its terminal: how it ended, and the screen.
async fn with_person(world: &World, arguments: &[&str], turns: Vec<Turn>) -> (i32, String) {
    let (person, program) = terminal();
    let mut command = at(command(&world.url(), arguments), &program);
    let mut process = command.spawn().expect("the binary runs");
    // The person is alone at the end: what they read ends with the program.
    drop((command, program));
    let env = Env::system();
    let person = env.spawn_blocking("test.person", move || converse(person, turns));
    let ended = soon("the end of a command", process.wait()).await;
    let exit = ended.expect("it can be waited for").code();
    let screen = soon("the end of the screen", person).await;
    (
        exit.expect("it exits by itself"),
        screen.expect("it goes as expected"),
    )
}

#[tokio::test]
async fn a_form_is_filled_field_by_field_until_it_is_right() {
    let world = World::open().await;
    for era in ["modern", "legacy"] {
        let call = ["call", "test_elicitation", "message=hi", "--era", era];
        let turns = vec![
            ("The server asks: hi", ""),
            ("email", "\n"),
            ("it must be filled in", ""),
            ("email", "a@b.example\n"),
            ("username", "ada\n"),
            ("Send it? [Y/n]", "\n"),
        ];
        let (exit, screen) = with_person(&world, &call, turns).await;
        assert_eq!(exit, 0, "{screen}");
        let result = screen.rsplit("[Y/n]").next().unwrap_or_default();
        assert!(result.contains(r#""username":"ada""#), "{screen}");
        assert!(result.contains(r#""email":"a@b.example""#), "{screen}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_form_is_declined_and_cancelled_at_the_terminal() {
    const END_OF_INPUT: &str = "\x04";
    let world = World::open().await;
    for (typed, action) in [("!\n", "decline"), (END_OF_INPUT, "cancel")] {
        let call = ["call", "test_elicitation", "message=hi"];
        let (_, screen) = with_person(&world, &call, vec![("email", typed)]).await;
        assert!(screen.contains(&format!("action={action}")), "{screen}");
    }
    world.stop().await;
}
