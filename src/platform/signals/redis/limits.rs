//! Rate limits shared by all processes: one script, so that reading and writing is one step.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use sha2::Sha256;

use crate::kernel::Secret;
use crate::platform::signals::{Limit, Remaining, TooMany};

/// Length of a hashed key in bytes.
const HASH_BYTES: usize = 16;

/// The limit used to try out a connection. All processes share it, so its quota is large enough never to be exhausted.
const TRIAL: Limit = Limit { name: "trial", quota: 1_000_000, window: Duration::from_secs(1) };

/// Limits on the server.
pub(super) struct Takes {
    script: Script,
    prefix: String,
    pepper: Secret<String>,
}

impl Takes {
    pub fn new(prefix: &str, pepper: Secret<String>) -> Self {
        Self { script: Script::new(include_str!("take.lua")), prefix: format!("{prefix}limit:"), pepper }
    }

    /// Takes one from the quota of `in_force` under `key`, by the server's clock.
    pub async fn take(
        &self,
        wire: &mut MultiplexedConnection,
        in_force: Limit,
        key: &str,
    ) -> RedisResult<Result<Remaining, TooMany>> {
        let one = (in_force.window / in_force.quota.max(1)).as_micros().max(1);
        let one = u64::try_from(one).unwrap_or(u64::MAX);
        let mut call = self.script.key(self.name(in_force, key));
        let (granted, number): (bool, u64) = call.arg(one).arg(in_force.quota).invoke_async(wire).await?;
        Ok(match granted {
            true => Ok(Remaining(u32::try_from(number).unwrap_or(u32::MAX))),
            false => Err(TooMany { retry_after: Duration::from_micros(number) }),
        })
    }

    /// Tries on the server what requests will need: a server that refuses writes is useless.
    pub async fn try_out(&self, wire: &mut MultiplexedConnection) -> RedisResult<()> {
        self.take(wire, TRIAL, "").await.map(|_| ())
    }

    /// The key's name on the server: hashed with a pepper, because all possible addresses could be tried.
    fn name(&self, limit: Limit, key: &str) -> String {
        let pepper = self.pepper.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(pepper).expect("HMAC takes keys of any length");
        mac.update(key.as_bytes());
        let hash = &mac.finalize().into_bytes()[..HASH_BYTES];
        format!("{}{}:{}", self.prefix, limit.name, BASE64_URL_SAFE_NO_PAD.encode(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_holds_no_addresses_and_none_can_be_guessed_without_the_pepper() {
        let takes = |pepper: &str| Takes::new("orientation:test:", Secret::new(pepper.to_owned()));
        let name = takes("one").name(TRIAL, "192.0.2.7");
        assert!(name.starts_with("orientation:test:limit:trial:") && !name.contains("192.0.2.7"), "{name}");
        assert_eq!(name, takes("one").name(TRIAL, "192.0.2.7"));
        assert_ne!(name, takes("other").name(TRIAL, "192.0.2.7"));
    }
}
