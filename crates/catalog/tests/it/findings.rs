//! Findings of hosts are numbers and packed rows; exceptions are asked for, decided by somebody else, and end.

use guardian_catalog::{
    Actor, ActorKind, CatalogError, FindingExceptionDraft, FindingExceptionState as State, FindingReach, FindingsOf,
    HostFindings, ImageDraft, ImageLayer, NewHostList, TermKind,
};
use guardian_model::Micros;
use uuid::Uuid;

use crate::fleet::{enrolled, token};
use crate::support::{Db, HOME, home};

async fn host(db: &Db) -> Uuid {
    let mut tx = db.begin(HOME).await;
    let one = tx.create_enrolment_token(&token("one", None)).await.unwrap();
    tx.commit().await.unwrap();
    enrolled(db, one.id, 1).await.unwrap().id
}

fn row(host: Uuid, entries: &[u8]) -> HostFindings {
    HostFindings {
        of: FindingsOf::Host,
        host,
        lists: 7,
        ecosystem: "debian:12".into(),
        exposure: "network".into(),
        ground: "it listens on tcp/22".into(),
        reasons: "[]".into(),
        kernel: "6.1.0-30-amd64 6.1.124-1".into(),
        criticality: String::new(),
        advisories: 5,
        judged: Micros(9),
        components: vec![1, 2],
        entries: entries.to_vec(),
    }
}

pub(crate) async fn findings_are_kept_by_number(db: &Db) {
    let system = db.catalog.system();
    let words = |from: usize| (from..from + 1_200).map(|n| format!("[\"debian:12\",\"lib{n}\"]")).collect::<Vec<_>>();
    let first = system.number_finding_terms(HOME, TermKind::Component, &words(0)).await.unwrap();
    let again = system.number_finding_terms(HOME, TermKind::Component, &words(600)).await.unwrap();
    assert_eq!(first[600..], again[..600], "a word has one number");
    let twice = vec!["same".to_owned(), "same".to_owned()];
    let same = system.number_finding_terms(HOME, TermKind::Subject, &twice).await.unwrap();
    assert_eq!(same[0], same[1]);
    let known = system.finding_terms(HOME, TermKind::Component).await.unwrap();
    assert_eq!(known.len(), 1_800);
    assert!(known.contains(&(first[3], "[\"debian:12\",\"lib3\"]".to_owned())));
    assert_eq!(system.finding_terms(HOME, TermKind::Subject).await.unwrap().len(), 1);

    let host = host(db).await;
    let gone = Uuid::from_u128(99);
    system.keep_host_findings(HOME, &[row(host, &[1]), row(gone, &[1])]).await.unwrap();
    system.keep_host_findings(HOME, &[row(host, &[1, 2, 3])]).await.unwrap();
    assert_eq!(system.host_findings(HOME).await.unwrap(), [row(host, &[1, 2, 3])], "who is gone is left out");
    let labels = system.host_labels(HOME).await.unwrap();
    assert_eq!((labels.len(), labels[0].host), (1, host));

    let list = NewHostList {
        host,
        list: "packages".into(),
        hash: vec![1; 32],
        base: None,
        entries: 0,
        read: Micros(5),
        document: vec![1],
        pending: None,
        software: None,
    };
    let kept = system.keep_host_list(HOME, list).await.unwrap();
    let marks = system.list_marks(&["packages"], kept.received).await.unwrap();
    assert_eq!((marks.len(), marks[0].host, marks[0].revision), (1, host, 1));
    assert!(system.list_marks(&["packages"], kept.received + 1).await.unwrap().is_empty());
    assert!(system.list_marks(&["ports"], Micros(0)).await.unwrap().is_empty());
    let mut tx = db.begin(HOME).await;
    tx.delete_host(host).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.host_findings(HOME).await.unwrap().is_empty(), "they go with their host");
}

fn image(name: &str, digest: &str) -> ImageDraft {
    ImageDraft {
        name: name.into(),
        digest: digest.into(),
        distribution: "debian:12".into(),
        criticality: "high".into(),
        layers: vec![ImageLayer { digest: "sha256:aa".into(), made_by: "ADD / # buildkit".into() }],
        packages: 3,
        scanned: Micros(i64::MAX),
        bill: vec![0, 1, 255],
        ..ImageDraft::default()
    }
}

pub(crate) async fn images_are_replaced_under_their_name(db: &Db) {
    let (system, scope) = (db.catalog.system(), home());
    let scoped = db.catalog.scoped(&scope);
    let mut tx = db.begin(HOME).await;
    let (first, new) = tx.put_image(image("registry.example/app:1", "sha256:1")).await.unwrap();
    assert!(tx.put_image(image(" ", "")).await.is_err());
    tx.commit().await.unwrap();
    assert!(new && first.revision == 1 && first.scanned == first.sent, "nobody looks at it in the future");
    for digest in ["sha256:1", "sha256:2", "sha256:1"] {
        let mut tx = db.begin(HOME).await;
        let (again, new) = tx.put_image(image("registry.example/app:1", digest)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!new && again.id == first.id && again.first_sent == first.first_sent);
    }
    let inside = scoped.image_content(first.id).await.unwrap();
    let digests: Vec<&str> = inside.history.iter().map(|one| one.digest.as_str()).collect();
    assert_eq!(digests, ["sha256:1", "sha256:2", "sha256:1"], "one that came back is the newest again");
    assert_eq!((inside.bill.as_slice(), inside.layers[0].digest.as_str()), (&[0, 1, 255][..], "sha256:aa"));
    assert_eq!(scoped.images(HOME).await.unwrap().len(), 1);
    assert_eq!(scoped.image_named(HOME, "registry.example/app:1").await.unwrap().revision, 4);
    assert_eq!(system.image_labels(HOME).await.unwrap()[0].name, "registry.example/app:1");
    let marks = system.image_marks(first.sent).await.unwrap();
    assert_eq!((marks.len(), marks[0].image), (1, first.id));

    let kept = HostFindings {
        of: FindingsOf::Image,
        criticality: "high".into(),
        ground: String::new(),
        kernel: String::new(),
        ..row(first.id, &[4, 5])
    };
    let gone = HostFindings { host: Uuid::from_u128(98), ..kept.clone() };
    system.keep_host_findings(HOME, &[kept.clone(), gone]).await.unwrap();
    assert_eq!(system.image_findings(HOME).await.unwrap(), [kept]);
    assert!(system.host_findings(HOME).await.unwrap().is_empty(), "an image is no host");
    let mut tx = db.begin(HOME).await;
    tx.delete_image(first.id).await.unwrap();
    assert!(matches!(tx.delete_image(first.id).await, Err(CatalogError::NotFound(_))));
    tx.commit().await.unwrap();
    assert!(system.image_findings(HOME).await.unwrap().is_empty() && system.image(first.id).await.unwrap().is_none());
}

fn draft(expires: Micros) -> FindingExceptionDraft {
    FindingExceptionDraft {
        vulnerability: "CVE-2030-0001".into(),
        package: "openssl".into(),
        reach: FindingReach::Group,
        reach_name: "web".into(),
        reason: "The part is switched off.".into(),
        expires,
    }
}

pub(crate) async fn exceptions_need_a_second_person(db: &Db) {
    let scope = home();
    let who = |id: &str| Actor { kind: ActorKind::User, id: Some(id.to_owned()), ..Actor::local_operator("same name") };
    let begin = |id: &str| {
        let scoped = db.catalog.scoped(&scope);
        let actor = who(id);
        async move { scoped.begin(HOME, actor).await.unwrap() }
    };
    let mut tx = begin("a").await;
    let now = tx.now();
    let soon = now + 10 * Micros::DAY;
    for wrong in [
        FindingExceptionDraft { reason: " ".into(), ..draft(soon) },
        FindingExceptionDraft { vulnerability: String::new(), ..draft(soon) },
        FindingExceptionDraft { reach_name: String::new(), ..draft(soon) },
        FindingExceptionDraft { reach: FindingReach::All, ..draft(soon) },
        draft(now),
        draft(now + 400 * Micros::DAY),
    ] {
        assert!(matches!(tx.request_finding_exception(&wrong).await, Err(CatalogError::Invalid(_))), "{wrong:?}");
    }
    let asked = tx.request_finding_exception(&draft(soon)).await.unwrap();
    assert!(!asked.holds(now));
    tx.commit().await.unwrap();
    let mut tx = begin("a").await;
    let own = tx.decide_finding_exception(asked.id, State::Approved, false).await;
    assert!(matches!(own, Err(CatalogError::Conflict(_))), "nobody approves their own");
    drop(tx);
    let mut tx = begin("b").await;
    let approved = tx.decide_finding_exception(asked.id, State::Approved, false).await.unwrap();
    assert!(approved.holds(now) && !approved.holds(soon), "it ends by itself");
    let again = tx.decide_finding_exception(asked.id, State::Refused, false).await;
    assert!(matches!(again, Err(CatalogError::Conflict(_))));
    tx.commit().await.unwrap();
    let all = db.catalog.scoped(&scope).finding_exceptions(HOME).await.unwrap();
    assert_eq!((all.len(), all[0].decided_by.as_deref(), all[0].version), (1, Some("same name"), 2));
    let mut tx = begin("a").await;
    let ended = tx.decide_finding_exception(asked.id, State::Ended, false).await.unwrap();
    assert!(!ended.holds(now));
    tx.commit().await.unwrap();
    let other = db.tenant("other").await.id;
    assert!(db.catalog.scoped(&scope).finding_exceptions(other).await.is_err(), "another tenant is not there");
    assert!(db.catalog.system().finding_terms(other, TermKind::Component).await.unwrap().is_empty());
}
