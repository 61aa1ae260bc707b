//! Which addresses are taken, and what is said of the others.

use orientation::platform::signals::{Redis, RedisError, Signals, SignalsState};

use super::server::Server;
use super::{prefix, process, secret};

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_without_saying_the_password() {
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
async fn a_check_says_what_is_wrong_and_not_with_which_password() {
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
async fn an_encrypted_address_at_a_server_without_a_certificate_is_away_and_no_panic() {
    let server = Server::started(&[]).await;
    let signals = process(&server.url().replace("redis://", "rediss://"), &prefix(), 1.0).await;
    assert!(matches!(signals.state(), SignalsState::Away { .. }));
}
