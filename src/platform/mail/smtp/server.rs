//! Where the SMTP server is, and how to connect to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::connection::{Connection, SmtpError};
use crate::kernel::Secret;
use crate::platform::tls;

/// Maximum time to connect to one address of the server.
const CONNECT: Duration = Duration::from_secs(10);

/// Why `ORIENTATION_SMTP_URL` can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSmtpUrl {
    #[error("not the URL of a server, such as smtps://user:password@smtp.example.edu")]
    Unreadable,
    #[error("`tls` must be `required` or absent")]
    Tls,
    #[error("it has a user name without a password, or a password without a user name")]
    HalfOfAPassword,
    #[error("the password would cross the network unencrypted: use smtps://, or add ?tls=required")]
    PlainPassword,
}

/// When the conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encrypted {
    Never,
    /// By STARTTLS, before signing in. A server that doesn't offer it is not used.
    BeforeSignIn,
    FromTheStart,
}

/// The account at the server.
#[derive(Debug)]
pub(super) struct Credentials {
    pub name: String,
    pub password: Secret<String>,
}

/// An SMTP server.
pub(super) struct Server {
    host: String,
    port: u16,
    encrypted: Encrypted,
    /// The name in the server's certificate.
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    credentials: Option<Credentials>,
    /// Our name in EHLO.
    hello: String,
}

impl Server {
    /// The server at `smtp://` or `smtps://`; `?tls=required` requires STARTTLS.
    pub(super) fn at(url: &str) -> Result<Self, BadSmtpUrl> {
        let url = Url::parse(url).map_err(|_| BadSmtpUrl::Unreadable)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadSmtpUrl::Unreadable)?;
        let encrypted = encrypted(&url)?;
        let credentials = credentials(&url)?;
        if credentials.is_some() && encrypted == Encrypted::Never && !stays_here(host) {
            return Err(BadSmtpUrl::PlainPassword);
        }
        let usual = match encrypted {
            Encrypted::Never => 25,
            Encrypted::BeforeSignIn => 587,
            Encrypted::FromTheStart => 465,
        };
        let hello = match url.path().trim_matches('/') {
            "" => own_name(),
            name => name.to_owned(),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| BadSmtpUrl::Unreadable)?;
        let port = url.port().unwrap_or(usual);
        Ok(Self { host, port, encrypted, name, tls: tls::client(), credentials, hello })
    }

    /// A connection on which emails can be sent.
    pub(super) async fn connect(&self) -> Result<Connection, SmtpError> {
        let stream = self.reach().await?;
        let mut connection = match self.encrypted {
            Encrypted::FromTheStart => {
                let tls = TlsConnector::from(self.tls.clone());
                Connection::greeted(tls.connect(self.name.clone(), stream).await?).await?
            }
            Encrypted::Never | Encrypted::BeforeSignIn => Connection::greeted(stream).await?,
        };
        connection.hello(&self.hello).await?;
        if self.encrypted == Encrypted::BeforeSignIn {
            connection = connection.start_tls(&self.tls, self.name.clone()).await?;
            connection.hello(&self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.sign_in(credentials).await?;
        }
        Ok(connection)
    }

    /// Tries the addresses of the server one after the other.
    async fn reach(&self) -> io::Result<TcpStream> {
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(refused)) => error = refused,
                Err(_) => error = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(error)
    }
}

/// The name of this machine, or an address literal, as RFC 5321 asks for.
fn own_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "[127.0.0.1]".into())
}

fn encrypted(url: &Url) -> Result<Encrypted, BadSmtpUrl> {
    let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", None | Some("required")) => Ok(Encrypted::FromTheStart),
        ("smtp", Some("required")) => Ok(Encrypted::BeforeSignIn),
        ("smtp", None) => Ok(Encrypted::Never),
        ("smtp" | "smtps", _) => Err(BadSmtpUrl::Tls),
        _ => Err(BadSmtpUrl::Unreadable),
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, BadSmtpUrl> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(BadSmtpUrl::HalfOfAPassword),
        (name, Some(password)) => {
            let (name, password) = (decoded(name), decoded(password));
            let both = name.and_then(|name| Ok((name, password?)));
            let (name, password) = both.map_err(|_| BadSmtpUrl::Unreadable)?;
            Ok(Some(Credentials { name, password: Secret::new(password) }))
        }
    }
}

/// Whether connections to this host stay on this machine.
fn stays_here(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_crosses_the_network_unencrypted() {
        let refused = |url: &str| Server::at(url).err();
        for plain in
            ["smtp://me:secret@smtp.example.edu", "smtp://me:secret@10.0.0.1:587", "smtp://a:b@[fe80::1]"]
        {
            assert_eq!(refused(plain), Some(BadSmtpUrl::PlainPassword), "{plain}");
        }
        for other in ["smtp://me:secret@smtp.example.edu?tls=opportunistic", "smtp://host?tls=none"] {
            assert_eq!(refused(other), Some(BadSmtpUrl::Tls), "{other}");
        }
        for good in [
            "smtps://me:secret@smtp.example.edu",
            "smtp://me:secret@smtp.example.edu:587?tls=required",
            "smtp://me:secret@127.0.0.1",
            "smtp://me:secret@[::1]:2525",
            "smtp://relay.example.edu:25",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_quoting_the_password() {
        for (bad, why) in [
            ("smtp://me@localhost", BadSmtpUrl::HalfOfAPassword),
            ("smtp://:hidden@localhost", BadSmtpUrl::HalfOfAPassword),
            ("http://hidden@localhost", BadSmtpUrl::Unreadable),
            ("smtp:///hidden", BadSmtpUrl::Unreadable),
            ("smtp://me:%ff@localhost", BadSmtpUrl::Unreadable),
        ] {
            assert_eq!(Server::at(bad).err(), Some(why), "{bad}");
        }
    }

    #[test]
    fn ports_are_the_usual_ones_and_names_are_decoded() {
        let port = |url: &str| Server::at(url).unwrap().port;
        assert_eq!(port("smtp://host"), 25);
        assert_eq!(port("smtp://host?tls=required"), 587);
        assert_eq!(port("smtps://host"), 465);
        assert_eq!(port("smtps://host:1465/our-name"), 1465);
        assert_eq!(Server::at("smtps://host/our-name").unwrap().hello, "our-name");
        assert!(!Server::at("smtps://host").unwrap().hello.is_empty());
        let server = Server::at("smtps://me%40example.edu:p%2Fw@host").unwrap();
        let credentials = server.credentials.unwrap();
        assert_eq!(
            (credentials.name.as_str(), credentials.password.expose().as_str()),
            ("me@example.edu", "p/w")
        );
    }
}
