//! The fleet: tokens let hosts in as often as they say, and hosts are found, heard, renewed and shut out.

use guardian_catalog::{
    AgentAuthority, CatalogError, Changes, Host, HostChange, HostFacts, HostFilter, HostHealth, HostLoss, HostOrder,
    HostSeen, HostStatus, LabelChange, NewEnrolmentToken, NewHost, SealedPlace, Subject, TokenRefusal, TokenStatus,
    authority_secret,
};
use guardian_model::{Micros, Scope};
use uuid::Uuid;

use crate::support::{Db, HOME, START, home};

pub(crate) fn token(name: &str, uses_max: Option<u32>) -> NewEnrolmentToken {
    NewEnrolmentToken {
        public_id: format!("public-{name}"),
        secret_hash: vec![7; 32],
        name: name.into(),
        tags: vec!["web".into(), " web ".into(), "a%b".into()],
        groups: vec!["shop".into()],
        uses_max,
        expires: START + Micros::DAY,
    }
}

fn new_host(n: u128) -> NewHost {
    NewHost {
        id: Uuid::from_u128(n),
        name: format!("host-{n:02}"),
        platform: "linux".into(),
        architecture: "x86_64".into(),
        program: "0.1.0".into(),
        address: Some("192.0.2.7".into()),
        serial: format!("{n:x}"),
        not_after: START + 90 * Micros::DAY,
        node_key: None,
    }
}

pub(crate) async fn enrolled(db: &Db, token: Uuid, n: u128) -> Result<Host, TokenRefusal> {
    let mut tx = db.begin(HOME).await;
    let host = tx.enrol_host(token, &new_host(n)).await.unwrap();
    tx.commit().await.unwrap();
    host
}

pub(crate) async fn tokens_let_in_as_many_as_they_say(db: &Db) {
    let mut tx = db.begin(HOME).await;
    let once = tx.create_enrolment_token(&token("once", Some(1))).await.unwrap();
    let many = tx.create_enrolment_token(&token("many", None)).await.unwrap();
    assert_eq!(once.tags, ["a%b", "web"], "each once, in order");
    for wrong in [token(" ", None), token("x", Some(0)), NewEnrolmentToken { expires: START, ..token("x", None) }] {
        assert!(matches!(tx.create_enrolment_token(&wrong).await, Err(CatalogError::Invalid(_))));
    }
    tx.commit().await.unwrap();
    let system = db.catalog.system();
    let (found, hash) = system.enrolment_token("public-once").await.unwrap().unwrap();
    assert_eq!((found.id, hash), (once.id, vec![7; 32]));
    assert!(system.enrolment_token("public-none").await.unwrap().is_none());
    let host = enrolled(db, once.id, 1).await.unwrap();
    assert_eq!((host.tags.as_slice(), host.groups[0].as_str()), (once.tags.as_slice(), "shop"));
    assert_eq!(host.status(START), HostStatus::Never);
    assert_eq!(enrolled(db, once.id, 2).await, Err(TokenRefusal::UsedUp));
    assert_eq!(enrolled(db, Uuid::nil(), 2).await, Err(TokenRefusal::Unknown));
    enrolled(db, many.id, 3).await.unwrap();
    let mut tx = db.begin(HOME).await;
    tx.revoke_enrolment_token(many.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(enrolled(db, many.id, 4).await, Err(TokenRefusal::Revoked));
    let mut tx = db.begin(HOME).await;
    let late = tx.create_enrolment_token(&token("late", None)).await.unwrap();
    tx.commit().await.unwrap();
    db.clock.advance(2 * Micros::DAY);
    assert_eq!(enrolled(db, late.id, 5).await, Err(TokenRefusal::Expired));
    let all = db.catalog.scoped(&home()).enrolment_tokens().await.unwrap();
    let states: Vec<_> = all.iter().map(|t| (t.name.as_str(), t.uses, t.status(START + 2 * Micros::DAY))).collect();
    assert_eq!(
        states,
        [("late", 0, TokenStatus::Expired), ("many", 1, TokenStatus::Revoked), ("once", 1, TokenStatus::UsedUp),]
    );
}

pub(crate) async fn hosts_are_counted_and_labelled(db: &Db) {
    let mut tx = db.begin(HOME).await;
    let token = tx.create_enrolment_token(&token("many", None)).await.unwrap();
    tx.commit().await.unwrap();
    for n in 1..=4 {
        enrolled(db, token.id, n).await.unwrap();
    }
    let ill = |n: u128, health: HostHealth| HostSeen {
        id: Uuid::from_u128(n),
        last_seen: START,
        online_until: START + Micros::MINUTE,
        came: None,
        went: false,
        health: Some(health),
    };
    // A complaint cannot pass for a loss, whatever it says.
    let complaint = vec![r#"no "lost":[{"class":"x"}] here"#.to_owned()];
    let loss = vec![HostLoss { class: "logs".into(), rows: 7, place: "spool".into() }];
    let seen = [
        ill(1, HostHealth { complaints: complaint, ..HostHealth::default() }),
        ill(2, HostHealth { lost: loss, ..HostHealth::default() }),
        ill(3, HostHealth::default()),
    ];
    db.catalog.system().observe_hosts(HOME, &seen).await.unwrap();
    let scope = home();
    let scoped = db.catalog.scoped(&scope);
    let given: Vec<Uuid> = [1, 2, 99].map(Uuid::from_u128).into();
    let labels = LabelChange { add_tags: vec![" night ".into()], ..LabelChange::default() };
    let mut tx = db.begin(HOME).await;
    let changed: Vec<Uuid> = tx.label_hosts(&given, &labels).await.unwrap().iter().map(|host| host.id).collect();
    assert_eq!(changed, given[..2], "whoever is gone is left out");
    assert!(tx.label_hosts(&given, &labels).await.unwrap().is_empty(), "once is enough");
    let back = LabelChange { remove_tags: vec!["night".into()], ..LabelChange::default() };
    assert_eq!(tx.label_hosts(&given[..1], &back).await.unwrap()[0].id, given[0]);
    let all = [given[0], given[0], Uuid::from_u128(99)];
    assert_eq!(tx.revoke_hosts(&all).await.unwrap(), given[..1], "for good, once");
    assert_eq!(tx.delete_hosts(&all).await.unwrap(), given[..1]);
    tx.commit().await.unwrap();
    let figures = scoped.host_figures().await.unwrap();
    assert_eq!((figures.total, figures.tags["night"]), (3, 1));
    assert_eq!(figures.statuses.into_values().collect::<Vec<_>>(), [2, 0, 1, 0]);
    assert_eq!(figures.troubles.into_values().collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(figures.programs.into_values().sum::<u64>(), 3);
}

pub(crate) async fn hosts_are_found_and_heard(db: &Db) {
    let other = db.tenant("other").await;
    let mut tx = db.begin(HOME).await;
    let token = tx.create_enrolment_token(&token("many", None)).await.unwrap();
    tx.commit().await.unwrap();
    for n in 1..=5 {
        enrolled(db, token.id, n).await.unwrap();
    }
    let seen = |n: u128, came: bool, until: Micros| HostSeen {
        id: Uuid::from_u128(n),
        last_seen: START + Micros::SECOND,
        online_until: until,
        came: came.then(|| HostFacts {
            system: format!("Debian {n}"),
            platform: "linux".into(),
            ..HostFacts::default()
        }),
        went: false,
        health: Some(HostHealth { clock_skew_us: -5, spool_bytes: 9, ..HostHealth::default() }),
    };
    let system = db.catalog.system();
    let scoped_scope = home();
    let scoped = db.catalog.scoped(&scoped_scope);
    let before = scoped.latest_seq(HOME).await.unwrap();
    let soon = START + Micros::MINUTE;
    let gone = system.observe_hosts(HOME, &[seen(1, true, soon), seen(2, false, START), seen(99, true, soon)]).await;
    assert_eq!(gone.unwrap(), [Uuid::from_u128(99)], "who is not on the list is not let in any more");
    assert_eq!(system.observe_hosts(other.id, &[seen(1, true, soon)]).await.unwrap(), [Uuid::from_u128(1)]);
    let Changes::Entries { entries, .. } = scoped.changes_since(HOME, before, 99).await.unwrap() else { panic!() };
    assert_eq!(entries.len(), 1, "a beat is told nowhere, a host that comes is");
    assert_eq!(entries[0].subject, Subject::Host);

    let ids = async |filter: HostFilter| {
        let order: HostOrder = "name".parse().unwrap();
        let page = scoped.hosts(&filter, order, None, 50).await.unwrap();
        assert_eq!(page.total as usize, page.items.len());
        page.items.iter().map(|h| h.id.as_u128()).collect::<Vec<_>>()
    };
    let status = |status| HostFilter { status: Some(status), ..HostFilter::default() };
    assert_eq!(ids(status(HostStatus::Online)).await, [1]);
    assert_eq!(ids(status(HostStatus::Offline)).await, [2]);
    assert_eq!(ids(status(HostStatus::Never)).await, [3, 4, 5]);
    assert_eq!(ids(HostFilter { search: Some("debian 1".into()), ..HostFilter::default() }).await, [1]);
    assert_eq!(ids(HostFilter { tag: Some("a%b".into()), ..HostFilter::default() }).await.len(), 5);
    for none in ["a", "we", "ab", "a_b", "%"] {
        assert!(ids(HostFilter { tag: Some(none.into()), ..HostFilter::default() }).await.is_empty(), "{none}");
    }
    assert!(db.catalog.scoped(&Scope::of(other.id)).host(Uuid::from_u128(1)).await.is_err());
    for sort in ["name", "-name", "last_seen", "-last_seen", "enrolled", "version", "os", "-os"] {
        let order: HostOrder = sort.parse().unwrap();
        let (mut cursor, mut all) = (None, Vec::new());
        loop {
            let page = scoped.hosts(&HostFilter::default(), order, cursor.as_ref(), 2).await.unwrap();
            all.extend(page.items.into_iter().map(|h| h.id));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5, "{sort}");
    }
}

pub(crate) async fn hosts_are_changed_renewed_and_shut_out(db: &Db) {
    let mut tx = db.begin(HOME).await;
    let token = tx.create_enrolment_token(&token("many", None)).await.unwrap();
    tx.commit().await.unwrap();
    for n in 1..=3 {
        enrolled(db, token.id, n).await.unwrap();
    }
    let (system, one) = (db.catalog.system(), Uuid::from_u128(1));
    let mut tx = db.begin(HOME).await;
    let renamed = HostChange { name: Some("web".into()), tags: Some(vec!["x".into()]), groups: None };
    let changed = tx.update_host(one, 1, &renamed).await.unwrap();
    assert_eq!((changed.version, changed.name.as_str(), changed.groups.len()), (2, "web", 1));
    assert!(matches!(tx.update_host(one, 1, &renamed).await, Err(CatalogError::VersionConflict { version: 2, .. })));
    let fresh = tx.renew_host(one, "beef", START + 91 * Micros::DAY).await.unwrap();
    assert_eq!((fresh.serial.as_str(), fresh.previous_serial.as_deref()), ("beef", Some("1")));
    tx.settle_host_certificate(one).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.host(one).await.unwrap().unwrap().previous_serial, None);
    let mut tx = db.begin(HOME).await;
    let revoked = tx.revoke_host(one).await.unwrap();
    assert_eq!(revoked.status(START), HostStatus::Revoked);
    assert!(tx.renew_host(one, "cafe", START).await.is_err());
    tx.delete_host(Uuid::from_u128(2)).await.unwrap();
    tx.commit().await.unwrap();
    let beat = HostSeen { id: one, last_seen: START, online_until: START, came: None, went: false, health: None };
    assert_eq!(system.observe_hosts(HOME, &[beat]).await.unwrap(), [one], "it is not heard any more");
    let order: HostOrder = "name".parse().unwrap();
    let page = db.catalog.scoped(&home()).hosts(&HostFilter::default(), order, None, 50).await.unwrap();
    assert_eq!(page.items.iter().map(|h| h.id.as_u128()).collect::<Vec<_>>(), [3, 1]);
}

pub(crate) async fn the_agents_authority_is_kept_sealed(db: &Db) {
    let system = db.catalog.system();
    assert!(system.agent_authority().await.unwrap().is_none());
    let id = Uuid::from_u128(5);
    let authority = AgentAuthority { id, certificate: "PEM".into(), secret: "v2:k:sealed".into(), created: START };
    system.add_agent_authority(&authority).await.unwrap();
    let later = AgentAuthority { id: Uuid::from_u128(6), created: START + 1, ..authority.clone() };
    system.add_agent_authority(&later).await.unwrap();
    assert_eq!(system.agent_authority().await.unwrap().unwrap().id, id, "all nodes take the oldest");
    let sealed = system.sealed_secrets().await.unwrap();
    let mine = sealed.iter().find(|s| s.place == SealedPlace::AgentAuthority(id)).unwrap();
    assert_eq!((mine.about.as_str(), mine.text.as_str()), (authority_secret(id).as_str(), "v2:k:sealed"));
    assert!(system.replace_sealed(mine, "v2:k:anew").await.unwrap());
    assert!(!system.replace_sealed(mine, "v2:k:again").await.unwrap());
    assert_eq!(system.agent_authority().await.unwrap().unwrap().secret, "v2:k:anew");
}
