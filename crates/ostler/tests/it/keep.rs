//! The hidden command that keeps a bridge's server, as a bridge uses it.

use std::collections::BTreeMap;

use ostler_bridge::{
    Metrics,
    process::{Keeper, Process, Program, Spec},
};
use ostler_env::Env;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_server_gets_its_arguments_as_they_are() {
    let env = Env::system();
    let metrics = Metrics::register(env.metrics());
    let spec = Spec::new(["/usr/bin/printf", "%s;", "--", "-x", "--help", ""]);
    let program = Program::resolve(spec, &BTreeMap::new()).expect("it is a program");
    let keeper = Keeper::new(env!("CARGO_BIN_EXE_ostler"), ["keep"]);
    let started = Process::start(&env, &metrics, "test", &keeper, &program);
    let (process, mut pipes) = started.expect("it starts");
    let mut said = String::new();
    let read = pipes.stdout.read_to_string(&mut said);
    read.await.expect("it writes text");
    assert_eq!(said, "--;-x;--help;;");
    assert_eq!(process.ended().await.code, Some(0));
}
