//! Sends webhooks: to endpoints that an operator named, which must not become a way into our own
//! network.
//!
//! A host is looked up here, and every address it has is judged before one is connected to: a name
//! that is changed after it was checked gains nothing. Where there is a proxy, it looks them up and
//! decides. No redirects, no idle connections.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use async_trait::async_trait;
use lucid_egress::{
    Egress,
    http::{self, plain},
};
use lucid_ports::{WebhookError, WebhookSender};
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Webhooks over HTTP.
pub struct WebhookClient {
    timeout: Duration,
    /// Whether plain HTTP and addresses of our own network are allowed.
    inside: bool,
    egress: Egress,
    /// Set up at the first use: a machine without certificates can still serve.
    secure: OnceLock<Result<Client, String>>,
    plain: OnceLock<Result<Client, String>>,
}

impl WebhookClient {
    /// `inside` allows what is otherwise refused: plain HTTP, and loopback, link-local, private and
    /// other addresses that are not of the internet.
    pub fn new(timeout: Duration, inside: bool, egress: Egress) -> Self {
        Self { timeout, inside, egress, secure: OnceLock::new(), plain: OnceLock::new() }
    }

    fn client(&self, url: &Url) -> Result<&Client, WebhookError> {
        let secure = url.scheme() == "https";
        let kept = if secure { &self.secure } else { &self.plain };
        kept.get_or_init(|| self.build(secure))
            .as_ref()
            .map_err(|detail| WebhookError { detail: detail.clone() })
    }

    fn build(&self, secure: bool) -> Result<Client, String> {
        let builder = if secure { Client::builder() } else { Client::builder().tls_certs_only([]) };
        let builder = self.egress.for_webhooks(builder).map_err(|error| plain(&error))?;
        // The proxy's own name is not an endpoint's.
        let by_proxy = secure && self.egress.is_through_a_proxy();
        let builder =
            if by_proxy { builder } else { builder.dns_resolver(Resolver { inside: self.inside }) };
        let client = builder
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .http1_only()
            .connect_timeout(self.timeout)
            .timeout(self.timeout)
            .user_agent(concat!("lucid/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map_err(|error| plain(&error))
    }

    fn checked(&self, text: &str) -> Result<Url, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.inside => {}
            "http" => return Err("must begin with https://".into()),
            _ => {
                return Err(if self.inside {
                    "must begin with https:// or http://"
                } else {
                    "must begin with https://"
                }
                .into());
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user or a password".into());
        }
        let host = url.host_str().ok_or("has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let refused = match host.parse::<IpAddr>() {
            Ok(ip) => !is_of_the_internet(ip),
            Err(_) => is_local_name(host),
        };
        if refused && !self.inside {
            return Err(format!(
                "{host} is not of the internet: loopback, link-local, private and metadata addresses are refused"
            ));
        }
        Ok(url)
    }
}

#[async_trait]
impl WebhookSender for WebhookClient {
    fn check(&self, url: &str) -> Result<(), String> {
        self.checked(url).map(drop)
    }

    async fn send(
        &self,
        url: &str,
        headers: [(&'static str, String); 3],
        body: String,
    ) -> Result<u16, WebhookError> {
        let url = self
            .checked(url)
            .map_err(|problem| WebhookError { detail: format!("the URL {problem}") })?;
        let client = self.client(&url)?;
        let request = client.post(url).header("content-type", "application/json").body(body);
        let request =
            headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let response =
            request.send().await.map_err(|error| WebhookError { detail: plain(&error) })?;
        let status = response.status().as_u16();
        // What it says is of no interest; that it says it at all, and briefly, is part of an
        // answer.
        http::body(response).await.map_err(|detail| WebhookError { detail })?;
        Ok(status)
    }
}

/// Looks hosts up, and leaves out the addresses that are refused.
struct Resolver {
    inside: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inside = self.inside;
        Box::pin(async move {
            let failed =
                |error: std::io::Error| -> Box<dyn Error + Send + Sync> { Box::new(error) };
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(failed)?.collect();
            // One bad address spoils them all: nobody has a good reason to mix them.
            if let Some(refused) =
                found.iter().find(|address| !inside && !is_of_the_internet(address.ip()))
            {
                return Err(format!(
                    "{} is at {}, which is not of the internet",
                    name.as_str(),
                    refused.ip()
                )
                .into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost"
        || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end))
}

/// Whether an address can be anybody's on the internet.
fn is_of_the_internet(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_of_the_internet_v4(ip),
        IpAddr::V6(ip) => is_of_the_internet_v6(ip),
    }
}

fn is_of_the_internet_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // 100.64/10 is shared by carriers and has a metadata service in one cloud; 0/8, 192.0.0/24,
    // 198.18/15 and 240/4 are nobody's.
    let special = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !(special
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation())
}

fn is_of_the_internet_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let low = |[.., a, b]: [u16; 8]| Ipv4Addr::from(u32::from(a) << 16 | u32::from(b));
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_of_the_internet_v4(v4);
    }
    // Addresses that carry another: 64:ff9b::/96 and 2002::/16.
    if (first, second) == (0x64, 0xff9b) {
        return is_of_the_internet_v4(low(ip.segments()));
    }
    // Only 2000::/3 is given out; 2001::/23 (Teredo and others), 2001:db8::/32 and 2002::/16 of it
    // are not endpoints.
    first & 0xe000 == 0x2000
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_internet_is_refused_in_every_spelling() {
        let client = WebhookClient::new(Duration::from_secs(1), false, Egress::default());
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "https://user:pass@example.org/",
            "https://",
            "example.org",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://metadata.google.internal/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.100.100.200/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[fe80::1]/",
            "https://[fd00:ec2::254]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
        ] {
            assert!(client.check(url).is_err(), "{url}");
        }
        for url in [
            "https://example.org/hook?a=b",
            "https://8.8.8.8:8443/",
            "https://[2606:4700:4700::1111]/",
        ] {
            assert_eq!(client.check(url), Ok(()), "{url}");
        }
        assert!(
            client.check(&format!("https://example.org/{}", "x".repeat(URL_BYTES_MAX))).is_err()
        );
        let inside = WebhookClient::new(Duration::from_secs(1), true, Egress::default());
        for url in ["http://127.0.0.1:8080/", "https://10.0.0.1/", "http://localhost/"] {
            assert_eq!(inside.check(url), Ok(()), "{url}");
        }
        assert!(inside.check("file:///etc/passwd").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_where_it_is_looked_up() {
        let resolve = async |inside| {
            Resolver { inside }
                .resolve("localhost".parse().unwrap())
                .await
                .map(|found| found.count())
        };
        let refused = resolve(false).await.unwrap_err().to_string();
        assert!(refused.contains("not of the internet"), "{refused}");
        assert!(resolve(true).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn a_webhook_has_no_way_past_the_proxy() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        let egress = Egress::through(&url, &["invalid".to_owned()]).unwrap();
        let asked = std::thread::spawn(move || {
            let mut line = String::new();
            let mut connection = std::io::BufReader::new(proxy.accept().unwrap().0);
            std::io::BufRead::read_line(&mut connection, &mut line).unwrap();
            line
        });
        let client = WebhookClient::new(Duration::from_secs(2), true, egress);
        let headers = [("a", String::new()), ("b", String::new()), ("c", String::new())];
        client.send("https://hook.invalid/", headers, String::new()).await.unwrap_err();
        assert!(asked.join().unwrap().starts_with("CONNECT hook.invalid:443 "));
    }
}
