//! How requests leave for other services: directly, or HTTPS through a proxy that the configuration
//! names.
//!
//! What the environment says of proxies is meant for people's tools and does not count: secrets go
//! where the configuration says. Plain HTTP is for networks of one's own and never goes through a
//! proxy, which would read it.

use std::fmt;

use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// Never reached through a proxy.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// Direct, or through a proxy.
#[derive(Clone, Default)]
pub struct Egress(Option<Through>);

#[derive(Clone)]
struct Through {
    url: Url,
    /// Hosts that are reached directly, with commas between them.
    direct: String,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Egress({self})")
    }
}

impl fmt::Display for Egress {
    /// Without what may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("directly"),
            Some(Through { url, direct }) => {
                let port = url.port_or_known_default().unwrap_or_default();
                write!(
                    f,
                    "over HTTPS through {}://{}:{port}",
                    url.scheme(),
                    url.host_str().unwrap_or_default()
                )?;
                if direct.is_empty() { Ok(()) } else { write!(f, ", but {direct} directly") }
            }
        }
    }
}

impl Egress {
    /// HTTPS through a proxy, `http://host:3128` or with `https`, a user and a password; but
    /// `direct` hosts (and names below them), addresses and networks.
    ///
    /// # Errors
    /// Which of the two is wrong and why, without the URL, which may hold a password.
    pub fn through(proxy_url: &str, direct: &[String]) -> Result<Self, String> {
        let url: Url =
            proxy_url.parse().map_err(|error| format!("proxy_url: is no URL: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
            return Err("proxy_url: must begin with http:// or https:// and name a host".into());
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("proxy_url: must end with the port".into());
        }
        if let Some(wrong) = direct
            .iter()
            .find(|host| host.is_empty() || host.contains([',', '/', ' ']) && !is_network(host))
        {
            return Err(format!("direct: {wrong:?} is no host, address or network"));
        }
        Ok(Self(Some(Through { url, direct: direct.join(",") })))
    }

    /// For services that the configuration names.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn for_services(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        self.apply(builder, |through| format!("{THIS_MACHINE},{}", through.direct))
    }

    /// For endpoints that somebody else names: there is no way past the proxy, which decides what
    /// may be reached.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn for_webhooks(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        self.apply(builder, |_| THIS_MACHINE.to_owned())
    }

    /// Whether names are looked up by a proxy.
    pub fn is_through_a_proxy(&self) -> bool {
        self.0.is_some()
    }

    fn apply(
        &self,
        builder: ClientBuilder,
        direct: impl Fn(&Through) -> String,
    ) -> reqwest::Result<ClientBuilder> {
        let builder = builder.no_proxy();
        let Some(through) = &self.0 else { return Ok(builder) };
        Ok(builder.proxy(
            Proxy::https(through.url.clone())?.no_proxy(NoProxy::from_string(&direct(through))),
        ))
    }
}

/// `10.0.0.0/8`
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::mpsc,
        time::Duration,
    };

    use super::*;
    use crate::http;

    /// A proxy that lets nobody through and tells what was asked of it.
    fn proxy() -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:word@{}", listener.local_addr().unwrap());
        let (asked, asks) = mpsc::channel();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let lines =
                    BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                asked.send(head.join("\n")).unwrap();
                let _ = connection.write_all(
                    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        (url, asks)
    }

    const TIMEOUT: Duration = Duration::from_secs(2);

    #[tokio::test]
    async fn https_goes_through_the_proxy_and_plain_http_and_what_is_direct_do_not() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (url, asks) = proxy();
        let egress = Egress::through(&url, &["direct.invalid".to_owned()]).unwrap();
        let fetch = async |url: &str| {
            http::client(&egress, url, TIMEOUT).unwrap().get(url).send().await.unwrap_err()
        };
        fetch("https://gateway.invalid/keys").await;
        let asked = asks.try_recv().unwrap();
        assert!(asked.starts_with("CONNECT gateway.invalid:443 "), "{asked}");
        assert!(
            asked.to_lowercase().contains("\nproxy-authorization: basic dxnlcjp3b3jk"),
            "{asked}"
        );
        for direct in [
            "https://direct.invalid/",
            "https://a.direct.invalid/",
            "http://gateway.invalid/",
            "https://127.0.0.1:9/",
            "https://localhost:9/",
        ] {
            fetch(direct).await;
            assert!(asks.try_recv().is_err(), "{direct}");
        }
    }

    #[test]
    fn what_cannot_be_a_proxy_is_refused_and_no_password_is_told() {
        for wrong in [
            "proxy:3128",
            "socks5://proxy:1080",
            "ftp://proxy",
            "http://",
            "http://proxy/path",
            "http://proxy?a=b",
        ] {
            assert!(Egress::through(wrong, &[]).is_err(), "{wrong}");
        }
        for wrong in ["", "a b", "a,b", "10.0.0.0/33", "host/8"] {
            assert!(
                Egress::through("http://proxy:3128", &[wrong.to_owned()]).is_err(),
                "{wrong:?}"
            );
        }
        let egress =
            Egress::through("http://user:word@proxy", &["10.0.0.0/8".to_owned(), "svc".to_owned()])
                .unwrap();
        assert_eq!(
            egress.to_string(),
            "over HTTPS through http://proxy:80, but 10.0.0.0/8,svc directly"
        );
        assert!(!format!("{egress:?}").contains("word"));
        assert_eq!(Egress::default().to_string(), "directly");
    }

    proptest::proptest! {
        /// Whatever is configured is used or refused by its name, and no password is shown.
        #[test]
        fn any_configuration_is_taken_or_refused_by_name(
            user in "[a-z]{1,8}", word in "[A-Z]{12}", host in "[a-z0-9.:/@?#\\[\\]-]{0,20}",
            direct in proptest::collection::vec("[ -~]{0,12}", 0..4),
        ) {
            match Egress::through(&format!("http://{user}:{word}@{host}"), &direct) {
                Ok(egress) => {
                    let shown = format!("{egress} {egress:?}");
                    proptest::prop_assert!(!shown.contains(&word), "{}", shown);
                }
                Err(problem) => proptest::prop_assert!(
                    problem.starts_with("proxy_url: ") || problem.starts_with("direct: "),
                    "{}", problem
                ),
            }
        }
    }
}
