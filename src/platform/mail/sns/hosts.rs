//! SNS's own hosts: which URLs are theirs, and requests to them.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use url::Url;

/// Maximum time to connect …
const CONNECT: Duration = Duration::from_secs(3);
/// … and for the answer: SNS waits 15 seconds for ours.
const ANSWER: Duration = Duration::from_secs(8);
/// Maximum length of an answer in bytes: more than any certificate or confirmation has.
const LONGEST: usize = 64 * 1024;

/// A host did not answer as expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SNS is unreachable: {0}")]
pub struct Unreachable(pub String);

/// The port for SNS's hosts.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// Fetches this URL, which is one of SNS's own.
    async fn get(&self, address: &Url) -> Result<Vec<u8>, Unreachable>;
}

/// The real hosts.
pub struct AwsHosts(Option<reqwest::Client>);

impl AwsHosts {
    /// Connects over TLS only, follows no redirects, and limits time and length.
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
        let client = self.0.as_ref().ok_or_else(|| Unreachable("TLS is unavailable".into()))?;
        // The URL of a confirmation contains a token, so errors don't quote it.
        let failed = |error: reqwest::Error| Unreachable(error.without_url().to_string());
        let mut answer = client.get(address.clone()).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(Unreachable(format!("it answers {}", answer.status())));
        }
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                return Err(Unreachable("its answer is too long".into()));
            }
        }
        Ok(body)
    }
}

/// The URL of a certificate, if it is one of SNS's own in the region of this topic.
pub(super) fn certificate(address: &str, topic: &str) -> Option<Url> {
    own(address, topic).filter(|url| is_certificate(url.path()) && url.query().is_none())
}

/// `/<name>.pem` in characters with a single encoding, so that a sender can't name one certificate by many
/// URLs.
fn is_certificate(path: &str) -> bool {
    let name = path.strip_prefix('/').and_then(|path| path.strip_suffix(".pem"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// The URL that confirms a subscription, if it is one of SNS's own in the region of this topic, and for this topic.
pub(super) fn confirmation(address: &str, topic: &str) -> Option<Url> {
    let confirms =
        |url: &Url| url.query_pairs().any(|(key, value)| key == "Action" && value == "ConfirmSubscription");
    own(address, topic).filter(|url| confirms(url) && is_about(url, topic))
}

/// Whether the URL names this topic, and no other.
fn is_about(address: &Url, topic: &str) -> bool {
    let mut topics = address.query_pairs().filter(|(key, _)| key == "TopicArn").map(|(_, value)| value);
    topics.next().is_some_and(|named| named == topic) && topics.next().is_none()
}

/// Maximum length of a URL that is fetched or remembered. SNS's own have about 100 characters, and with the token of a
/// subscription 500.
const LONGEST_ADDRESS: usize = 1024;

/// `https://<host of the topic>/…`, without anything that could lead elsewhere.
fn own(address: &str, topic: &str) -> Option<Url> {
    if address.len() > LONGEST_ADDRESS {
        return None;
    }
    let url = Url::parse(address).ok()?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    let plain = url.scheme() == "https" && url.port().is_none() && url.fragment().is_none();
    let ours = url.host_str() == Some(&host(topic)?);
    (plain && anonymous && ours).then_some(url)
}

/// The SNS host of this topic. It is derived from a topic that the operator lists, not from the
/// message: `sns.s3-us-west-2.amazonaws.com` looks like a regional host, but is a bucket that anybody can own.
fn host(topic: &str) -> Option<String> {
    let region = topic.split(':').nth(3)?;
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Some(format!("sns.{region}.{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:ca-central-1:1:bounces";

    #[test]
    fn only_urls_on_the_sns_host_of_the_topics_region_are_fetched() {
        for (good, topic) in [
            ("https://sns.ca-central-1.amazonaws.com/SimpleNotificationService-0123.pem", TOPIC),
            ("https://sns.ca-central-1.amazonaws.com:443/x.pem", TOPIC),
            ("https://sns.cn-north-1.amazonaws.com.cn/x.pem", "arn:aws-cn:sns:cn-north-1:1:bounces"),
            ("https://sns.us-gov-west-1.amazonaws.com/x.pem", "arn:aws-us-gov:sns:us-gov-west-1:1:bounces"),
        ] {
            assert!(certificate(good, topic).is_some(), "{good}");
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
            "https://sns.ca-central-1.amazonaws.com//x.pem",
            "https://sns.ca-central-1.amazonaws.com/%78.pem",
            "https://sns.s3-us-west-2.amazonaws.com/x.pem",
            "https://sns.s3-ca-central-1.amazonaws.com/x.pem",
            "https://sns.s3.amazonaws.com/x.pem",
            "https://sns.s3-accelerate.amazonaws.com/x.pem",
            "https://sns.us-west-2.amazonaws.com/x.pem",
            "https://sns.ca-central-2.amazonaws.com/x.pem",
            "https://sns.ca-central-1.amazonaws.com.cn/x.pem",
            "https://sns.ca-central-1.amazonaws.com./x.pem",
            "https://sns..amazonaws.com/x.pem",
            "x.pem",
        ] {
            assert!(certificate(bad, TOPIC).is_none(), "{bad}");
        }
        let in_china = "https://sns.cn-north-1.amazonaws.com/x.pem";
        assert!(certificate(in_china, "arn:aws-cn:sns:cn-north-1:1:bounces").is_none());
        assert!(certificate("https://sns.ca-central-1.amazonaws.com/x.pem", "bounces").is_none());
        let named =
            |name: &str| certificate(&format!("https://sns.ca-central-1.amazonaws.com/{name}.pem"), TOPIC);
        assert!(named(&"x".repeat(100)).is_some() && named(&"x".repeat(2000)).is_none());
    }

    #[test]
    fn a_subscription_is_confirmed_for_its_own_topic_only() {
        let asks = |host: &str, query: &str| confirmation(&format!("https://{host}/?{query}"), TOPIC);
        let (own, confirm) = ("sns.ca-central-1.amazonaws.com", "Action=ConfirmSubscription&Token=t");
        let right = format!("{confirm}&TopicArn={TOPIC}");
        assert!(asks(own, &right).is_some());
        for query in [
            confirm.to_owned(),
            format!("{confirm}&TopicArn=arn:aws:sns:ca-central-1:2:bounces"),
            format!("{right}&TopicArn=arn:aws:sns:ca-central-1:2:bounces"),
            format!("Action=Unsubscribe&TopicArn={TOPIC}"),
        ] {
            assert!(asks(own, &query).is_none(), "{query}");
        }
        for host in ["evil.example", "sns.s3-us-west-2.amazonaws.com", "sns.us-west-2.amazonaws.com"] {
            assert!(asks(host, &right).is_none(), "{host}");
        }
    }

    #[tokio::test]
    async fn the_real_hosts_are_reached_over_tls_only() {
        let plain = Url::parse("http://127.0.0.1:9/x.pem").unwrap();
        assert!(AwsHosts::new().get(&plain).await.is_err());
    }
}
