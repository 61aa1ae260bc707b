//! What only the embedded adapters have. All other tests run on the real adapters, too (`scripts/test`, step
//! `api-real`). These don't, because:
//!
//! - `sandbox`: Stripe shows its own checkout page;
//! - `demo` and `rehearse`: they read the outbox;
//! - `mailings`: it reads whole messages, which the test server of SES does not show;
//! - `outbox`: emails that are really sent are not shown in the browser, and SES takes no address that isn't ASCII before
//!   the `@`;
//! - `traces`: it runs the shipped program, which without servers has the embedded adapters only.

mod demo;
mod mailings;
mod outbox;
mod rehearse;
mod sandbox;
mod traces;

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs the program with these arguments, without environment, and with `password` on standard input.
async fn run_program(arguments: &[&str], password: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_orientation"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let mut input = child.stdin.take().expect("piped");
    // A program that refuses its options does not read the password.
    let _ = input.write_all(format!("{password}\n").as_bytes()).await;
    drop(input);
    child.wait_with_output().await.expect("it ends")
}
