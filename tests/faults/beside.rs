//! Commands and other processes while the program serves.

use std::process::Output;

use orientation::features::registration::{self, Form, Registration};
use orientation::kernel::{Actor, Clock, Ids, RandomIds, SystemClock};
use orientation::platform::audit::{self, AuditEntry, SETTLED_AFTER};
use orientation::platform::store::StoreError;
use serde_json::{Value, json};

use crate::answers;
use crate::audit::all;
use crate::program::{Program, client, new_folder, run};

const PASSWORD: &str = "nine slow barges upstream";

#[tokio::test]
async fn a_second_serving_process_is_refused_with_a_reason() {
    let mut program = Program::new();
    program.start("").await;
    let refused = run(program.command(&[]).env("ORIENTATION_LISTEN", "127.0.0.1:0"), "").await;
    let said = refusal(&refused);
    assert!(said.contains("already serves from") && said.contains("Stop it first"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let health =
        client().get(format!("{}/health/ready", program.url())).send().await.expect("the first still serves");
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn separate_serve_and_work_are_refused_and_the_plain_command_is_named() {
    for command in ["serve", "work"] {
        let program = Program::new();
        let said = refusal(&run(&mut program.command(&[command]), "").await);
        assert!(said.contains("run `orientation` without a command"), "{said}");
    }
}

#[tokio::test]
async fn check_and_admin_create_run_while_the_program_serves() {
    let mut program = Program::new();
    program.start("").await;

    let checked = run(&mut program.command(&["check"]), "").await;
    assert!(success(&checked).contains("No errors."), "{checked:?}");

    let email = address();
    let made =
        run(&mut program.command(&["admin", "create", "--email", &email]), &format!("{PASSWORD}\n")).await;
    assert!(success(&made).contains("is an administrator"), "{made:?}");
    assert!(!format!("{made:?}").contains(PASSWORD), "the password is never shown");
    assert_administrator(&program, &email).await;

    let email = address();
    let made =
        success(&run(&mut program.command(&["admin", "create", "--email", &email, "--link"]), "").await);
    let token = made.trim().split("token=").nth(1).unwrap_or_else(|| panic!("a link in: {made}"));
    assert!(made.contains(&format!("{}/reset-password?token=", program.url())), "{made}");
    let body = json!({ "token": token, "password": PASSWORD });
    let (status, said) = post(&program, "/v1/password-resets/complete", &body).await;
    assert!((200..300).contains(&status), "{status} {said}");
    assert_administrator(&program, &email).await;
    program.stop().await;
}

#[tokio::test]
async fn check_changes_nothing_in_the_store_of_a_stopped_service() {
    let mut program = Program::new();
    program.start("").await;
    program.stop().await;
    let before = program.stored();
    let checked = run(&mut program.command(&["check"]), "").await;
    assert!(success(&checked).contains("its schema is known"), "{checked:?}");
    assert!(program.stored() == before, "the file has changed");
}

#[tokio::test]
async fn check_does_not_create_a_store() {
    let program = Program::new();
    drop(program.store());
    let before = program.stored();
    let checked = run(&mut program.command(&["check"]), "").await;
    assert!(success(&checked).contains("No errors."), "{checked:?}");
    assert!(program.stored() == before, "the file has changed");
}

#[tokio::test]
async fn check_refuses_an_event_under_which_answers_would_be_lost() {
    let program = Program::new();
    let store = program.store();
    store.prepare(&registration::schemas()).await.expect("the store is new");
    let row = &answers::students()[0];
    let form: Form = serde_json::from_value(row["form"].clone()).expect("a form");
    let stored = Registration::submit("ana", form, "Alpha".into(), "order", SystemClock.now());
    let inserted: Result<(), StoreError> = store.transact(async |tx| tx.insert(&stored).await).await;
    inserted.expect("inserted");
    drop(store);
    let folder = new_folder();
    let file = folder.path().join("event.toml");
    let check = async |from: &str, to: &str| {
        let text = answers::EVENT.replacen(from, to, 1);
        assert!(from == to || text != answers::EVENT, "{from}");
        std::fs::write(&file, text).expect("writable");
        run(program.command(&["check"]).env("ORIENTATION_EVENT", &file), "").await
    };
    let good = success(&check("", "").await);
    assert!(good.contains("arrival (date, depends on bus): On which day do you arrive?"), "{good}");
    assert!(good.contains("5 questions") && good.contains("No errors."), "{good}");
    let renamed = check("id = \"firstAid\"", "id = \"help\"").await;
    let told = String::from_utf8_lossy(&renamed.stdout);
    assert!(!renamed.status.success(), "{renamed:?}");
    assert!(told.contains("the question \"firstAid\" is missing, and the answers to it (1)"), "{told}");
    let retired = success(&check("class = \"health\"", "class = \"health\"\nretired = true").await);
    assert!(retired.contains("firstAid (long-text, retired)"), "{retired}");
    let left_out = check("[form]", "[form]\nwithout = [\"summerCity\"]").await;
    let told = String::from_utf8_lossy(&left_out.stdout);
    assert!(told.contains("`without` has \"summerCity\"") && !left_out.status.success(), "{told}");
}

#[tokio::test]
async fn a_weak_password_or_an_invalid_address_creates_no_administrator() {
    let program = Program::new();
    let weak = run(&mut program.command(&["admin", "create", "--email", &address()]), "12345678\n").await;
    let said = refusal(&weak);
    let reason = said.trim().split_once("the password is too weak: ").map(|(_, reason)| reason.len());
    assert!(reason.is_some_and(|length| length > 20), "{said}");
    let bad = run(&mut program.command(&["admin", "create", "--email", "nobody"]), "").await;
    assert!(refusal(&bad).contains("--email"), "{bad:?}");
}

#[tokio::test]
async fn the_audit_log_is_verified_while_the_program_serves() {
    let mut program = Program::new();
    program.start("").await;
    let made = run(&mut program.command(&["admin", "create", "--email", &address(), "--link"]), "").await;
    success(&made);
    let store = program.store();
    let entry = all::<AuditEntry>(&store).await.remove(0);
    assert_eq!((entry.actor.kind(), entry.action.as_str()), ("operator", "administrator.made"));
    let verify =
        async |head: &[&str]| run(&mut program.command(&[&["audit", "verify"], head].concat()), "").await;
    let said = success(&verify(&[]).await);
    assert!(
        said.starts_with("The chain has no entries yet.") && said.contains("not sealed yet: 1"),
        "{said}"
    );

    // As the cron job does within three minutes.
    audit::seal(&store, SystemClock.now().plus(SETTLED_AFTER * 2)).await.expect("sealed");
    let head = success(&run(&mut program.command(&["audit", "head"]), "").await).trim().to_owned();
    assert!(head.starts_with("1:") && head.len() == 66, "{head}");
    let said = success(&verify(&["--head", &head]).await);
    assert!(said.starts_with("Entries 1 to 1 are intact.\nThe kept head, number 1,"), "{said}");
    let said = refusal(&verify(&["--head", &head.replacen('1', "2", 1)]).await);
    assert!(said.contains("beyond the end of the chain"), "{said}");

    let changed = AuditEntry { actor: Actor::System("nobody".into()), ..entry.clone() };
    store.transact(async |tx| tx.put(&changed).await).await.expect("nobody guards the file");
    let said = refusal(&verify(&[]).await);
    assert_eq!(said.trim(), format!("orientation: entry 1 ({}) was changed after it was sealed", entry.id));
    program.stop().await;
}

async fn assert_administrator(program: &Program, email: &str) {
    let (status, account) =
        post(program, "/v1/session", &json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!((status, &account["scopes"]), (200, &json!(["admin:all"])), "{account}");
}

async fn post(program: &Program, path: &str, body: &Value) -> (u16, Value) {
    let request = client().post(format!("{}{path}", program.url())).json(body);
    let answer = request.send().await.expect("it serves");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

fn address() -> String {
    format!("{}@example.org", RandomIds.next())
}

/// The output of a failed command, which must not be a panic.
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.starts_with("orientation: ") && !said.contains("panicked"), "{said}");
    said
}

fn success(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
