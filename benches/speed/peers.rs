//! The peers that the program is compared with.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Route, Server, get, handler};

use crate::program::Program;

const ASKED: &str = "BENCH_PEER_BODY";

/// The peer that this process is, if another process started it as one.
pub struct Peer(std::path::PathBuf);

/// Whether this process was started to be a peer.
#[expect(clippy::disallowed_methods, reason = "how the bench tells its own child what to be")]
pub fn asked_for() -> Option<Peer> {
    std::env::var(ASKED).ok().map(|file| Peer(file.into()))
}

/// Starts a bare poem handler that returns these bytes, in its own process.
pub fn bare(bytes: &[u8]) -> Program {
    let folder = crate::seed::folder();
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("body");
    std::fs::write(&file, bytes).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(ASKED, file);
    Program::listening(command)
}

impl Peer {
    pub fn run(self) {
        let bytes: &'static [u8] = std::fs::read(self.0).expect("the body").leak();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
            println!("{}", acceptor.local_addr()[0].as_socket_addr().expect("TCP"));
            let route = Route::new().at("/v1/event", get(answer)).data(bytes);
            Server::new_with_acceptor(acceptor).run(route).await.expect("it serves");
        });
    }
}

use poem::EndpointExt;
use poem::web::Data;

#[handler]
fn answer(Data(bytes): Data<&&'static [u8]>) -> poem::Response {
    poem::Response::builder().content_type("application/json").body(*bytes)
}

/// The hash of a sign-in in a loop on every core. Each loop reuses its memory, as the service does; otherwise the
/// system's allocation would be measured, too.
pub fn hashes_a_second(span: Duration) -> f64 {
    let params = Params::new(19_456, 2, 1, None).expect("OWASP's parameters");
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let (mut memory, mut hash) = (vec![Block::new(); blocks], [0; 32]);
                while began.elapsed() < span {
                    let password = b"seven quiet herons at dawn";
                    argon2
                        .hash_password_into_with_memory(password, b"sixteen of bytes", &mut hash, &mut memory)
                        .expect("it hashes");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}
