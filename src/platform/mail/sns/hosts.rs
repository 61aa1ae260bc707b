//! SNS's own hosts, and asking them.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use url::Url;

/// A connection stands within this time …
const CONNECT: Duration = Duration::from_secs(3);
/// … and the answer is here within this: SNS waits 15 seconds for us.
const ANSWER: Duration = Duration::from_secs(8);
/// More than any certificate or confirmation has.
const LONGEST: usize = 64 * 1024;

/// A host did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SNS can't be asked: {0}")]
pub struct Unreachable(pub String);

/// Port of what SNS's hosts answer.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// What is at this address, which is one of SNS's own.
    async fn get(&self, address: &Url) -> Result<Vec<u8>, Unreachable>;
}

/// The hosts themselves.
pub struct AwsHosts(Option<reqwest::Client>);

impl AwsHosts {
    /// Asks over TLS only, follows nobody elsewhere, and waits and reads within limits.
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER);
        Self(client.build().ok())
    }
}

impl Default for AwsHosts {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Hosts for AwsHosts {
    async fn get(&self, address: &Url) -> Result<Vec<u8>, Unreachable> {
        let client = self.0.as_ref().ok_or_else(|| Unreachable("TLS is not to be had".into()))?;
        // An address of a confirmation holds a token: errors go without it.
        let failed = |error: reqwest::Error| Unreachable(error.without_url().to_string());
        let mut answer = client.get(address.clone()).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(Unreachable(format!("it answers {}", answer.status())));
        }
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                return Err(Unreachable("its answer does not end".into()));
            }
        }
        Ok(body)
    }
}

/// The address of a certificate, if it is one of SNS's own.
pub(super) fn certificate(address: &str) -> Option<Url> {
    own(address).filter(|url| url.path().ends_with(".pem") && url.query().is_none())
}

/// The address that confirms a subscription, if it is one of SNS's own.
pub(super) fn confirmation(address: &str) -> Option<Url> {
    let confirms =
        |url: &Url| url.query_pairs().any(|(key, value)| key == "Action" && value == "ConfirmSubscription");
    own(address).filter(confirms)
}

/// Whether the address names this topic, and no other.
pub(super) fn is_about(address: &Url, topic: &str) -> bool {
    let mut topics = address.query_pairs().filter(|(key, _)| key == "TopicArn").map(|(_, value)| value);
    topics.next().is_some_and(|named| named == topic) && topics.next().is_none()
}

/// `https://sns.<region>.amazonaws.com/…`, or `.com.cn`, and nothing else that could lead elsewhere.
fn own(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    let plain = url.scheme() == "https" && url.port().is_none() && url.fragment().is_none();
    let ours = url.host_str().is_some_and(is_host);
    (plain && anonymous && ours).then_some(url)
}

/// Whether this is the name of a host of SNS's in a region.
pub(super) fn is_host(name: &str) -> bool {
    let region = || {
        let rest = name.strip_prefix("sns.")?;
        rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
    };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    region().is_some_and(|region| region.len() >= 3 && region.bytes().all(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_the_hosts_of_sns_are_asked_for() {
        for good in [
            "https://sns.ca-central-1.amazonaws.com/SimpleNotificationService-0123.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
            "https://sns.us-gov-west-1.amazonaws.com:443/x.pem",
        ] {
            assert!(certificate(good).is_some(), "{good}");
        }
        for bad in [
            "http://sns.ca-central-1.amazonaws.com/x.pem",
            "https://sns.ca-central-1.amazonaws.com.evil.example/x.pem",
            "https://evil.example/sns.ca-central-1.amazonaws.com/x.pem",
            "https://sns.ca-central-1.amazonaws.com@evil.example/x.pem",
            "https://evil@sns.ca-central-1.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
            "https://sns.amazonaws.com/x.pem",
            "https://sqs.ca-central-1.amazonaws.com/x.pem",
            "https://evilsns.ca-central-1.amazonaws.com/x.pem",
            "https://sns.ca-central-1.amazonaws.com:8443/x.pem",
            "https://sns.ca-central-1.amazonaws.com/x.pem?y=z",
            "https://sns.ca-central-1.amazonaws.com/x.txt",
            "https://sns.ca-central-1.amazonaws.com/x.pem#.pem/../x",
            "x.pem",
        ] {
            assert!(certificate(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_subscription_is_confirmed_for_the_topic_that_asks() {
        let base = "https://sns.ca-central-1.amazonaws.com/";
        let url = |query: &str| confirmation(&format!("{base}?{query}"));
        let good = url("Action=ConfirmSubscription&TopicArn=arn:a&Token=t").unwrap();
        assert!(is_about(&good, "arn:a") && !is_about(&good, "arn:b"));
        let twice = url("Action=ConfirmSubscription&TopicArn=arn:a&TopicArn=arn:b").unwrap();
        assert!(!is_about(&twice, "arn:a"));
        assert!(url("Action=Unsubscribe&TopicArn=arn:a").is_none());
        assert!(confirmation("https://evil.example/?Action=ConfirmSubscription").is_none());
    }

    #[tokio::test]
    async fn the_real_hosts_are_asked_over_tls_only() {
        let plain = Url::parse("http://127.0.0.1:9/x.pem").unwrap();
        assert!(AwsHosts::new().get(&plain).await.is_err());
    }
}
