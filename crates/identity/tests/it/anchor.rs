//! Checkpoints that are carried outside: they arrive, late rather than never, and tell of a trail written anew.

use std::sync::Arc;

use guardian_catalog::{Actor, Checkpoint};
use guardian_identity::{Anchors, AnchorsConfig, Identity, IdentityConfig, Role};
use guardian_kit::config::Secret;
use guardian_kit::egress::{Client, EgressConfig};
use guardian_kit::metrics::Metrics;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UdpSocket};

use crate::{HOME, House};

fn anchors(house: &House, anchors: AnchorsConfig) -> Anchors {
    let config = IdentityConfig { anchors, ..IdentityConfig::default() };
    let catalog = house.identity.catalog().clone();
    let identity = Identity::new(catalog, house.clock.clone(), config, &house.path(""));
    let egress = EgressConfig { allow: vec!["127.0.0.1".into()], ..EgressConfig::default() };
    Anchors::new(identity, Client::new(&egress, &Metrics::new()).unwrap()).unwrap()
}

async fn signed(house: &House, name: &str) -> Checkpoint {
    house.add(name, Role::Viewer).await;
    house.identity.checkpoint(HOME, Actor::local_operator("root")).await.unwrap().unwrap()
}

fn parse(text: &str) -> Checkpoint {
    serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap()
}

/// Takes one request, answers with this status, and returns the head and the body.
async fn served(listener: &TcpListener, status: &str) -> (String, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((_, value)) = line.to_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_file_gets_each_checkpoint_once_over_restarts() {
    let house = House::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("missing").join("anchors.jsonl");
    let config = AnchorsConfig { file: file.clone(), ..AnchorsConfig::default() };
    let first = signed(&house, "ann").await;
    anchors(&house, config.clone()).carry().await.unwrap_err();
    // The disk is there again.
    std::fs::create_dir(elsewhere.path().join("missing")).unwrap();
    assert_eq!(anchors(&house, config.clone()).carry().await.unwrap(), 1);
    assert_eq!(anchors(&house, config.clone()).carry().await.unwrap(), 0);
    let second = signed(&house, "bob").await;
    assert_eq!(anchors(&house, config).carry().await.unwrap(), 1);
    let kept: Vec<Checkpoint> = std::fs::read_to_string(&file).unwrap().lines().map(parse).collect();
    assert_eq!(kept, [first, second]);
    let verdict = house.identity.verify_audit(HOME, &kept).await.unwrap();
    assert!(matches!(verdict, guardian_catalog::Verification::Intact { checkpoints: 4, .. }), "{verdict:?}");
}

#[tokio::test]
async fn syslog_servers_get_rfc_5424() {
    let house = House::new().await;
    let first = signed(&house, "ann").await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = format!("udp://{}", udp.local_addr().unwrap());
    anchors(&house, AnchorsConfig { syslog: to, ..AnchorsConfig::default() }).carry().await.unwrap();
    let mut datagram = vec![0; 4_096];
    let length = udp.recv(&mut datagram).await.unwrap();
    let text = std::str::from_utf8(&datagram[..length]).unwrap();
    let words: Vec<&str> = text.splitn(8, ' ').collect();
    assert_eq!((words[0], words[3], words[5], words[6]), ("<109>1", "guardian", "audit-checkpoint", "-"), "{text}");
    assert_eq!(words[1], first.time.to_string());
    assert_eq!(parse(text), first);

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("tcp://{}", tcp.local_addr().unwrap());
    let sending = anchors(&house, AnchorsConfig { syslog: to, ..AnchorsConfig::default() });
    let (heard, sent) = tokio::join!(
        async {
            let mut text = String::new();
            tcp.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
            text
        },
        sending.carry()
    );
    assert_eq!(sent.unwrap(), 1);
    let (length, message) = heard.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len(), "octet counting");
    assert_eq!(parse(message), first);
    for wrong in ["here:514", "tls://here:514", "tcp://here", "tcp://:514"] {
        let config = AnchorsConfig { syslog: wrong.into(), ..AnchorsConfig::default() };
        let identity = IdentityConfig { anchors: config, ..IdentityConfig::default() };
        let identity = Identity::new(house.identity.catalog().clone(), house.clock.clone(), identity, &house.path(""));
        let client = Client::new(&EgressConfig::default(), &Metrics::new()).unwrap();
        assert!(Anchors::new(identity, client).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_url_that_refuses_is_asked_again() {
    let house = House::new().await;
    let first = signed(&house, "ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = format!("http://{}/anchors", listener.local_addr().unwrap());
    let http_token = Secret::new("word");
    let carrier = anchors(&house, AnchorsConfig { http, http_token, ..AnchorsConfig::default() });
    let carrier = Arc::new(carrier);
    let (_, refused) = tokio::join!(served(&listener, "503 Service Unavailable"), carrier.carry());
    assert!(refused.unwrap_err().to_string().contains("503"));
    let ((head, body), sent) = tokio::join!(served(&listener, "204 No Content"), carrier.carry());
    assert_eq!(sent.unwrap(), 1);
    assert!(head.starts_with("POST /anchors ") && head.to_lowercase().contains("authorization: bearer word"), "{head}");
    assert_eq!(parse(&body), first);
    assert_eq!(carrier.carry().await.unwrap(), 0);
}
