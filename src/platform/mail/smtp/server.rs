//! Where the server is, and how it lets us in.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// A connection stands within this time.
const CONNECT: Duration = Duration::from_secs(10);

/// Why emails can't go to a server at an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSmtpUrl {
    #[error("it is no address of a server, such as smtps://user:password@smtp.example.edu")]
    Unreadable,
    #[error("`tls` is `required`, or not there")]
    Tls,
    #[error("a name stands there without a password, or a password without a name")]
    HalfOfAPassword,
    #[error("the password would cross the network as plain text: take smtps://, or add ?tls=required")]
    PlainPassword,
    #[error("SMTP takes no such sender's address")]
    Sender,
}

/// When the connection is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealed {
    Never,
    /// After a word in the clear (STARTTLS); a server that can't is left.
    BeforeSignIn,
    FromTheStart,
}

/// A server that speaks SMTP.
pub(super) struct Server {
    host: String,
    port: u16,
    sealed: Sealed,
    credentials: Option<Credentials>,
    /// What we call ourselves.
    hello: ClientId,
}

impl Server {
    /// The server at `smtp://` or `smtps://`, with `?tls=required` where STARTTLS must be had.
    pub(super) fn at(url: &str) -> Result<Self, BadSmtpUrl> {
        let url = Url::parse(url).map_err(|_| BadSmtpUrl::Unreadable)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadSmtpUrl::Unreadable)?;
        let sealed = sealed(&url)?;
        let credentials = credentials(&url)?;
        if credentials.is_some() && sealed == Sealed::Never && !stays_here(host) {
            return Err(BadSmtpUrl::PlainPassword);
        }
        let usual = match sealed {
            Sealed::Never => 25,
            Sealed::BeforeSignIn => 587,
            Sealed::FromTheStart => 465,
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: url.port().unwrap_or(usual), sealed, credentials, hello })
    }

    /// A connection on which emails are taken.
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let parameters = || TlsParameters::new(self.host.clone());
        let from_the_start = if self.sealed == Sealed::FromTheStart { Some(parameters()?) } else { None };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, from_the_start, None)
                .await?;
        if self.sealed == Sealed::BeforeSignIn {
            connection.starttls(parameters()?, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

fn sealed(url: &Url) -> Result<Sealed, BadSmtpUrl> {
    let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", None | Some("required")) => Ok(Sealed::FromTheStart),
        ("smtp", Some("required")) => Ok(Sealed::BeforeSignIn),
        ("smtp", None) => Ok(Sealed::Never),
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
            both.map(|(name, password)| Some(Credentials::new(name, password)))
                .map_err(|_| BadSmtpUrl::Unreadable)
        }
    }
}

/// Whether what goes to this host never leaves the machine.
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
    fn a_password_never_crosses_the_network_as_plain_text() {
        let refused = |url: &str| Server::at(url).err();
        for plain in
            ["smtp://me:secret@smtp.example.edu", "smtp://me:secret@10.0.0.1:587", "smtp://a:b@[fe80::1]"]
        {
            assert_eq!(refused(plain), Some(BadSmtpUrl::PlainPassword), "{plain}");
        }
        for opportune in ["smtp://me:secret@smtp.example.edu?tls=opportunistic", "smtp://host?tls=none"] {
            assert_eq!(refused(opportune), Some(BadSmtpUrl::Tls), "{opportune}");
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
    fn an_address_that_is_none_is_refused_without_its_password() {
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
        assert_eq!(port("smtps://host:1465/name-of-ours"), 1465);
        let server = Server::at("smtps://me%40example.edu:p%2Fw@host").unwrap();
        assert_eq!(server.credentials, Some(Credentials::new("me@example.edu".into(), "p/w".into())));
    }
}
