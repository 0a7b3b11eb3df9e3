//! The one client for requests that leave the machine: feeds, webhooks, tickets.
//!
//! URLs come from people and from other systems, so every address is judged after the name was resolved and the
//! connection goes to exactly the addresses that were judged, on redirects too. Private, loopback, link-local and
//! metadata addresses are refused unless the operator lists them. Bodies are capped and everything has a timeout.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ByteSize, Duration};
use crate::metrics::{CounterFamily, Metrics};

/// Requests to other systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// Addresses and networks (CIDR) that may be reached although they are private, loopback or link-local.
    pub allow: Vec<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a whole request may take.
    pub timeout: Duration,
    /// Largest response body that is read.
    pub body_max: ByteSize,
    /// Redirects that are followed.
    pub redirects_max: u8,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            connect_timeout: Duration::secs(10),
            timeout: Duration::secs(60),
            body_max: ByteSize::mib(64),
            redirects_max: 5,
        }
    }
}

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// An entry of `allow` is neither an address nor a network.
    #[error("egress.allow: `{0}` is neither an address nor a network such as 10.1.0.0/16")]
    Allow(String),
    /// Not an `http` or `https` URL with a host.
    #[error("`{0}` is not an http or https URL")]
    Url(String),
    /// The address must not be reached.
    #[error("{host} is at {ip}, which is {what}; list it under egress.allow if this is intended")]
    Refused {
        /// The host of the URL.
        host: String,
        /// The address it has.
        ip: IpAddr,
        /// What kind of address that is.
        what: &'static str,
    },
    /// The response is larger than allowed.
    #[error("the response is larger than the limit of {0}")]
    TooLarge(ByteSize),
    /// Connecting, TLS or HTTP failed.
    #[error("{0}")]
    Http(String),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers or body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: HeaderMap::new(), body: Vec::new() }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }
}

/// A response, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status; an error status is not an [`EgressError`].
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// The client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
    body_max: ByteSize,
    requests: CounterFamily,
}

impl Client {
    /// A client with these limits.
    pub fn new(config: &EgressConfig, metrics: &Metrics) -> Result<Self, EgressError> {
        let policy = Arc::new(Policy { allow: config.allow.iter().map(|a| parse_net(a)).collect::<Result<_, _>>()? });
        // Only the first call of a process has an effect, and all of Guardian uses this provider.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (on_redirect, redirects_max) = (Arc::clone(&policy), usize::from(config.redirects_max));
        let redirects = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > redirects_max {
                return attempt.error("too many redirects");
            }
            // A literal address never reaches the resolver, so it is judged here.
            match on_redirect.check_url(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(e) => attempt.error(e),
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this is the client that everybody else takes")]
        let http = reqwest::Client::builder()
            .user_agent(concat!("guardian/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout.get())
            .timeout(config.timeout.get())
            .redirect(redirects)
            .referer(false)
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { policy: Arc::clone(&policy) }))
            .build()
            .map_err(|e| http_error(&e))?;
        let requests = metrics.counter_with("guardian_egress_requests_total", "Outbound requests", &["result"]);
        Ok(Self { http, policy, body_max: config.body_max, requests })
    }

    /// Sends a request and reads the response, within the limits.
    pub async fn send(&self, request: Request) -> Result<Response, EgressError> {
        let result = self.run(request).await;
        let label = match &result {
            Ok(_) => "ok",
            Err(EgressError::Refused { .. } | EgressError::Url(_) | EgressError::Allow(_)) => "refused",
            Err(EgressError::TooLarge(_)) => "too_large",
            Err(EgressError::Http(_)) => "failed",
        };
        self.requests.with(&[label]).inc(1);
        result
    }

    async fn run(&self, request: Request) -> Result<Response, EgressError> {
        let url = Url::parse(&request.url).map_err(|_| EgressError::Url(request.url.clone()))?;
        self.policy.check_url(&url)?;
        let builder = self.http.request(request.method, url).headers(request.headers).body(request.body);
        let mut response = builder.send().await.map_err(|e| http_error(&e))?;
        let limit = self.body_max;
        if response.content_length().is_some_and(|n| n > limit.get()) {
            return Err(EgressError::TooLarge(limit));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| http_error(&e))? {
            if body.len() + chunk.len() > limit.as_usize() {
                return Err(EgressError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status: response.status(), headers: response.headers().clone(), body })
    }
}

/// The causes of an HTTP error in one line; a refusal inside it comes out as itself.
fn http_error(error: &reqwest::Error) -> EgressError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(EgressError::Refused { host, ip, what }) = inner.downcast_ref() {
            return EgressError::Refused { host: host.clone(), ip: *ip, what };
        }
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    EgressError::Http(text)
}

#[derive(Debug)]
struct Policy {
    /// Networks as (address, prefix length), IPv4 as such.
    allow: Vec<(IpAddr, u8)>,
}

impl Policy {
    fn check_url(&self, url: &Url) -> Result<(), EgressError> {
        let bad = || EgressError::Url(url.to_string());
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(bad)?;
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => self.check(host, ip),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, host: &str, ip: IpAddr) -> Result<(), EgressError> {
        let canonical = ip.to_canonical();
        match forbidden(canonical) {
            Some(what) if !self.allow.iter().any(|(net, bits)| contains(*net, *bits, canonical)) => {
                Err(EgressError::Refused { host: host.to_owned(), ip, what })
            }
            _ => Ok(()),
        }
    }
}

/// Resolves with the system's resolver and refuses the whole name if any of its addresses is forbidden.
#[derive(Debug)]
struct Resolver {
    policy: Arc<Policy>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            for address in &addresses {
                policy.check(&host, address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// What makes an address off limits, if anything does. Follows the IANA special-purpose registries (RFC 6890).
pub fn forbidden(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => forbidden_v4(ip),
        IpAddr::V6(ip) => forbidden_v6(ip),
    }
}

fn forbidden_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    Some(match (a, b, c) {
        (0, ..) => "this host (0.0.0.0/8)",
        (127, ..) => "a loopback address",
        (169, 254, _) => "a link-local or metadata address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (100, 64..=127, _) => "a carrier-grade NAT address",
        // Alibaba's metadata service (100.100.100.200) lies in the range above, Oracle's below.
        (192, 0, 0) => "an address for protocol assignments",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "a documentation address",
        (198, 18 | 19, _) => "a benchmarking address",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved or broadcast address",
        _ => return None,
    })
}

fn forbidden_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    Some(match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        // Ways to write an IPv4 address that a gateway turns into one: compatible, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            return forbidden_v4(v4(high, low));
        }
        [0x64, 0xff9b, 1, ..] => "a local NAT64 address",
        [0x2001, 0, ..] => "a Teredo address",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "a documentation address",
        [0xfc00..=0xfdff, ..] => "a private address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a site-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        _ => return None,
    })
}

fn parse_net(text: &str) -> Result<(IpAddr, u8), EgressError> {
    let bad = || EgressError::Allow(text.to_owned());
    let (ip, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = ip.parse().map_err(|_| bad())?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |b| b.parse().map_err(|_| bad()))?;
    if bits > most { Err(bad()) } else { Ok((ip, bits)) }
}

fn contains(net: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let shifted = |value: u128, width: u32| value.checked_shr(width - u32::from(bits)).unwrap_or(0);
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => shifted(net.to_bits().into(), 32) == shifted(ip.to_bits().into(), 32),
        (IpAddr::V6(net), IpAddr::V6(ip)) => shifted(net.to_bits(), 128) == shifted(ip.to_bits(), 128),
        _ => false,
    }
}

impl fmt::Display for Request {
    /// Method and host only: paths and queries may hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Url::parse(&self.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        write!(f, "{} {host}", self.method)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn addresses() {
        for (ip, refused) in [
            ("8.8.8.8", false),
            ("172.15.0.1", false),
            ("172.32.0.1", false),
            ("192.0.3.1", false),
            ("100.128.0.1", false),
            ("2606:4700::1111", false),
            ("64:ff9b::808:808", false),
            ("2002:808:808::1", false),
            ("0.0.0.0", true),
            ("127.0.0.1", true),
            ("10.255.0.1", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("192.168.1.1", true),
            ("169.254.169.254", true),
            ("100.100.100.200", true),
            ("192.0.0.192", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("::", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::7f00:1", true),
            ("64:ff9b::a00:1", true),
            ("2002:7f00:1::", true),
            ("fd00:ec2::254", true),
            ("fe80::1", true),
            ("ff02::1", true),
        ] {
            assert_eq!(forbidden(ip.parse().unwrap()).is_some(), refused, "{ip}");
        }
    }

    #[test]
    fn allow_list() {
        for (net, ip, inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("::/0", "10.1.2.3", false),
            ("fd00::/8", "fdff::1", true),
            ("::1", "::2", false),
        ] {
            let (net, bits) = parse_net(net).unwrap();
            assert_eq!(contains(net, bits, ip.parse().unwrap()), inside, "{net}/{bits} {ip}");
        }
        for bad in ["", "10.0.0.0/33", "host", "10.0.0.0/-1", "::/129"] {
            assert!(parse_net(bad).is_err(), "{bad}");
        }
    }

    /// Answers each connection with one of the given responses, in turn.
    fn server(responses: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for response in responses {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut request = [0; 2048];
                let _read = stream.read(&mut request);
                stream.write_all(response.as_bytes()).ok();
            }
        });
        address
    }

    fn ask(url: &str, allow: &[&str], body_max: u64) -> Result<Response, EgressError> {
        let allow = allow.iter().map(|a| (*a).to_owned()).collect();
        let config = EgressConfig { allow, body_max: ByteSize(body_max), ..EgressConfig::default() };
        let client = Client::new(&config, &Metrics::new()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(client.send(Request::get(url)))
    }

    #[test]
    fn only_listed_private_addresses_are_reached() {
        let hello = || "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".to_owned();
        let at = server(vec![hello()]);
        let refused = |r: Result<Response, EgressError>| matches!(r, Err(EgressError::Refused { .. }));
        assert!(refused(ask(&format!("http://{at}/"), &[], 100)));
        assert!(refused(ask(&format!("http://localhost:{}/", at.port()), &[], 100)));
        assert!(refused(ask(&format!("http://2130706433:{}/", at.port()), &[], 100)));
        assert!(matches!(ask("file:///etc/passwd", &[], 100), Err(EgressError::Url(_))));
        let response = ask(&format!("http://{at}/"), &["127.0.0.0/8"], 100).unwrap();
        assert_eq!((response.status.as_u16(), &*response.body), (200, &b"hello"[..]));
    }

    #[test]
    fn redirects_are_judged_and_bodies_are_capped() {
        let moved = |to: &str| {
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        };
        let at = server(vec![moved("http://169.254.169.254/latest/meta-data/")]);
        let result = ask(&format!("http://{at}/"), &["127.0.0.1"], 100);
        assert!(matches!(result, Err(EgressError::Refused { ip, .. }) if ip.to_string() == "169.254.169.254"));

        for head in ["content-length: 6", "transfer-encoding: chunked"] {
            let body = if head.starts_with('c') { "123456" } else { "6\r\n123456\r\n0\r\n\r\n" };
            let at = server(vec![format!("HTTP/1.1 200 OK\r\n{head}\r\nconnection: close\r\n\r\n{body}")]);
            let result = ask(&format!("http://{at}/"), &["127.0.0.1"], 5);
            assert!(matches!(result, Err(EgressError::TooLarge(_))), "{head}: {result:?}");
        }
    }
}
