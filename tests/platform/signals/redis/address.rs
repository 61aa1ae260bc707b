//! Which addresses are accepted, and the messages for the others.

use orientation::platform::signals::{Redis, RedisError, Signals, SignalsState};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::server::Server;
use super::{prefix, process, secret};

#[tokio::test]
async fn an_invalid_address_is_refused_without_quoting_the_password() {
    for bad in [
        "redis://:hunter2@",
        "redis://:hunter2@host:notaport",
        "redis://:hunter2@0.0.0.0:6379",
        "redis://:hunter2@host:6379/seven",
        "redis://:hunter2@host:6379/?protocol=hunter2",
        "redis://:hunt#hunter2@host:6379",
        "http://:hunter2@host",
        "hunter2",
        "",
    ] {
        let Err(refused) = Redis::connect(&secret(bad), "p:", 1.0, secret("pepper")).await.map(drop) else {
            panic!("{bad} should be refused");
        };
        assert_eq!(refused, RedisError::BadUrl, "{bad}");
        assert!(!refused.to_string().contains("hunter2"));
    }
    let insecure = Redis::check(&secret("rediss://:hunter2@host/#insecure"), "p:").await;
    assert_eq!(insecure, Err(RedisError::Insecure));
}

#[tokio::test]
async fn a_check_reports_the_reason_without_the_password() {
    let server = Server::started(&["--requirepass", "right horse"]).await;
    let with = |password: &str| secret(&server.url().replace("//", &format!("//:{password}@")));
    assert_eq!(Redis::check(&with("right%20horse"), "p:").await, Ok(()));
    for bad in [with("hunter2"), secret(&server.url())] {
        let why = Redis::check(&bad, "p:").await.unwrap_err().to_string();
        assert!((why.contains("WRONGPASS") || why.contains("NOAUTH")) && !why.contains("hunter2"), "{why}");
    }
    let nobody = Server::new(&[]);
    let why = Redis::check(&secret(&nobody.url()), "p:").await.unwrap_err().to_string();
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn a_check_reports_that_publishing_is_forbidden_or_memory_is_full() {
    let server = Server::started(&[]).await;
    let mut client = server.client().await;
    let run = async |client: &mut redis::aio::MultiplexedConnection, command: &[&str]| {
        let _: () = redis::cmd(command[0]).arg(&command[1..]).query_async(client).await.unwrap();
    };
    let limited = ["ACL", "SETUSER", "limited", "on", ">right", "~*", "&*", "+@all", "-publish"];
    run(&mut client, &limited).await;
    let address = secret(&server.url().replace("//", "//limited:right@"));
    let why = Redis::check(&address, "p:").await.unwrap_err().to_string();
    assert!(why.contains("it refuses to publish wake-ups (PUBLISH): "), "{why}");
    assert!(why.contains("no permissions to run the 'publish' command"), "{why}");
    run(&mut client, &["ACL", "SETUSER", "limited", "+publish"]).await;
    assert_eq!(Redis::check(&address, "p:").await, Ok(()));
    run(&mut client, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let why = Redis::check(&address, "p:").await.unwrap_err().to_string();
    assert!(why.contains("its memory is full, so it refuses writes (OOM)"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_not_redis_is_reported_in_one_sentence() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nhidden",
        "SSH-2.0-hidden\r\n",
        "<html>\nhidden\n</html>",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("redis://{}", listener.local_addr().unwrap());
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let address = secret(&address);
        let why = tokio::select! {
            checked = Redis::check(&address, "p:") => checked.unwrap_err().to_string(),
            () = answering => unreachable!(),
        };
        assert!(why.contains("does not speak RESP3") && !why.contains(['\n', '`']), "{answer}: {why}");
    }
}

#[tokio::test]
async fn a_tls_address_of_a_server_without_tls_is_unreachable() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url().replace("redis://", "rediss://"), &prefix(), 1.0).await;
    assert!(matches!(signals.state(), SignalsState::Unreachable { .. }));
}
