//! When it is asked to stop, the program finishes requests and jobs.

use std::net::Ipv4Addr;
use std::time::Duration;

use orientation::features::accounts::SignUp;
use orientation::platform::store::Filter;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::audit::all;
use crate::program::{PATIENCE, Program, client, jobs};
use crate::way::outbox;

#[tokio::test]
async fn a_stopping_program_answers_open_requests_and_accepts_no_connections() {
    let mut program = Program::new();
    program.start("").await;
    let body = json!({
        "email": "ana@example.org", "password": "nine slow barges upstream", "firstName": "Ana", "lastName": "García",
    });
    let body = body.to_string();
    let mut asking = TcpStream::connect((Ipv4Addr::LOCALHOST, program.port())).await.expect("it listens");
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n",
        program.port(),
        body.len()
    );
    asking.write_all(head.as_bytes()).await.expect("it reads");
    let mut go_on = [0; 25];
    timeout(PATIENCE, asking.read_exact(&mut go_on)).await.expect("it asks for the body").expect("it lives");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    program.ask_to_stop();
    timeout(PATIENCE, takes_nobody(program.port())).await.expect("it takes nobody new");
    asking.write_all(body.as_bytes()).await.expect("it still reads");
    let mut answer = String::new();
    timeout(PATIENCE, asking.read_to_string(&mut answer)).await.expect("it answers").expect("text");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(program.died().await.success(), "{}", program.log());

    let store = program.store();
    assert_eq!(all::<SignUp>(&store).await.len(), 1);
    assert!(
        jobs(&store, Filter::eq("state", "running")).await.is_empty(),
        "what ran was finished or handed back"
    );
    drop(store);
    program.start("").await;
    let email = email_to(&program, "ana@example.org").await;
    assert!(email["text"].as_str().expect("a text").contains("token="), "{email}");
    program.stop().await;
}

#[tokio::test]
async fn a_program_that_is_stopped_right_after_its_start_ends_in_order() {
    let mut program = Program::new();
    for _ in 0..10 {
        program.start("").await;
        program.stop().await;
    }
}

/// Waits until nothing listens on this port.
async fn takes_nobody(port: u16) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// The first email in the outbox to this address, once there is one.
pub async fn email_to(program: &Program, email: &str) -> Value {
    let http = client();
    let look = async {
        loop {
            let emails = http.get(outbox(&program.url(), email));
            let mut emails: Value =
                emails.send().await.expect("it serves").json().await.expect("the outbox is JSON");
            if let Some(email) = emails["items"].as_array_mut().and_then(Vec::pop) {
                return email;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no email came to {email}: {}", program.log()))
}
