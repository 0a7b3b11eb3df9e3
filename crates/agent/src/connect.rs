//! The way to the server: straight, or through a proxy by CONNECT (RFC 9110, section 9.3.6).

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for a connection, and for the answer of a proxy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer of a proxy.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// An address out of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What to say to a proxy that asks who is there: `name:password`.
    pub user: Option<String>,
}

impl Place {
    /// The place that a URL with this scheme names.
    pub fn of(url: &str, scheme: &str, usual_port: u16) -> Result<Self, String> {
        let rest = url.trim().strip_prefix(scheme).ok_or_else(|| format!("`{url}` does not begin with {scheme}"))?;
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let odd = host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control());
        let port = port.map_or(Ok(usual_port), str::parse);
        match port {
            Ok(port) if !odd => Ok(Self { host: host.to_owned(), port, user }),
            _ => Err(format!("`{url}` names no host and port")),
        }
    }

    /// Host and port as they stand in a request.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A connection to the server at `server` (`https://…`), through `proxy` (`http://…`) if there is one.
pub async fn connect(server: &str, proxy: Option<&str>) -> io::Result<TcpStream> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    let server = Place::of(server, "https://", 443).map_err(invalid)?;
    let connecting = async {
        let Some(proxy) = proxy else { return open(&server).await };
        let proxy = Place::of(proxy, "http://", 3128).map_err(invalid)?;
        let mut stream = open(&proxy).await?;
        tunnel(&mut stream, &server, proxy.user.as_deref()).await?;
        Ok(stream)
    };
    tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn open(place: &Place) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tunnel(stream: &mut TcpStream, server: &Place, user: Option<&str>) -> io::Result<()> {
    let authority = server.authority();
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(user) = user {
        request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user)));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what stands behind the answer is the server's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == ANSWER_BYTES_MAX {
            return Err(io::Error::other("the proxy answers without end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(io::Error::other(format!("the proxy says: {line}")))
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn places_are_read() {
        let place = |url: &str| Place::of(url, "https://", 443).map(|p| (p.authority(), p.user));
        assert_eq!(place("https://guardian.example:8443/"), Ok(("guardian.example:8443".into(), None)));
        assert_eq!(place("https://guardian.example"), Ok(("guardian.example:443".into(), None)));
        assert_eq!(place("https://[::1]:8443"), Ok(("[::1]:8443".into(), None)));
        assert_eq!(place("https://ann:se@cret@10.0.0.1:1"), Ok(("10.0.0.1:1".into(), Some("ann:se@cret".into()))));
        for wrong in ["http://a:1", "https://", "https://a:b", "https://a:99999", "https://a b:1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
