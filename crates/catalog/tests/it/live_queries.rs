//! Live queries: whom they reach, which parts of answers are kept, and when they end and go.

use guardian_catalog::{CatalogError, Host, LIVE_QUERY_BYTES_MAX, LiveAnswer, LiveQuery, NewLiveQuery, RunState};
use guardian_model::{Micros, Scope};
use uuid::Uuid;

use crate::fleet::{enrolled, token};
use crate::support::{Db, HOME, START, home};

async fn two_hosts(db: &Db) -> Vec<Host> {
    let mut tx = db.begin(HOME).await;
    let many = tx.create_enrolment_token(&token("live", None)).await.unwrap();
    tx.commit().await.unwrap();
    let first = enrolled(db, many.id, 201).await.unwrap();
    vec![first, enrolled(db, many.id, 202).await.unwrap()]
}

fn new(sql: &str) -> NewLiveQuery {
    NewLiveQuery {
        sql: sql.into(),
        reason: "a look".into(),
        expires: START + 300 * Micros::SECOND,
        timeout_ms: 30_000,
        rows_max: 100,
    }
}

async fn asked(db: &Db, hosts: &[Host]) -> LiveQuery {
    let mut tx = db.begin(HOME).await;
    let query = tx.create_live_query(&new("SELECT 1"), hosts).await.unwrap();
    tx.commit().await.unwrap();
    query
}

fn part(run: Uuid, part: u32, rows: u32, last: bool) -> LiveAnswer {
    LiveAnswer {
        run,
        part,
        columns: if part == 0 { vec!["n".into()] } else { Vec::new() },
        rows,
        raw_bytes: rows * 4,
        packed: vec![part as u8; 3],
        last,
        more: last,
        took_ms: 12,
        error: None,
    }
}

/// Tells a host of all that waits for it, and answers the id of the one that does.
async fn told(db: &Db, host: &Host) -> Uuid {
    let system = db.catalog.system();
    let pending = system.pending_live_queries(host.id, 10).await.unwrap();
    let [one] = pending.as_slice() else { panic!("{pending:?}") };
    assert_eq!(system.mark_live_queries_sent(HOME, &[one.run.id]).await.unwrap(), [one.run.id]);
    assert!(system.mark_live_queries_sent(HOME, &[one.run.id]).await.unwrap().is_empty(), "it is told once");
    one.run.id
}

async fn state(db: &Db, query: &LiveQuery, host: &Host) -> (RunState, u64, String) {
    let all = db.catalog.scoped(&home()).live_query_hosts(query.id, None, None, 10).await.unwrap();
    let run = all.into_iter().find(|run| run.host == host.id).unwrap();
    (run.state, run.rows, run.text)
}

pub(crate) async fn answers_come_in_order_and_within_bounds(db: &Db) {
    let hosts = two_hosts(db).await;
    let query = asked(db, &hosts).await;
    let system = db.catalog.system();
    let (first, second) = (told(db, &hosts[0]).await, told(db, &hosts[1]).await);
    let keep =
        async |host: usize, answer: LiveAnswer| system.keep_live_answer(HOME, hosts[host].id, answer).await.unwrap();
    assert!(keep(0, part(first, 0, 2, false)).await);
    assert!(!keep(1, part(first, 1, 2, false)).await, "another host's answer counts for nothing");
    assert!(keep(1, part(second, 0, 1, false)).await);
    assert!(!keep(0, part(first, 1, 3, true)).await, "it was the last");
    assert!(!keep(0, part(first, 2, 3, true)).await, "and stays the last");
    assert!(!keep(1, part(second, 2, 1, false)).await, "a part is missing");
    assert_eq!(state(db, &query, &hosts[0]).await, (RunState::Done, 5, String::new()));
    let (failed, rows, text) = state(db, &query, &hosts[1]).await;
    assert_eq!((failed, rows), (RunState::Failed, 1));
    assert!(text.contains("lost on the way"), "{text}");
    let scope = home();
    let scoped = db.catalog.scoped(&scope);
    let parts = scoped.live_query_parts(query.id, None, 1, 10).await.unwrap();
    assert_eq!(
        parts.iter().map(|p| (p.number, p.run, p.rows)).collect::<Vec<_>>(),
        [(1, first, 2), (2, second, 1), (3, first, 3)]
    );
    let of_one = scoped.live_query_parts(query.id, Some(hosts[0].id), 2, 10).await.unwrap();
    assert_eq!(of_one.iter().map(|p| p.number).collect::<Vec<_>>(), [3]);
    let now = scoped.live_query(query.id).await.unwrap();
    assert_eq!((now.rows, now.bytes, now.ended()), (6, 24, true));

    // More rows than were wanted of a host, and more bytes than all may bring.
    let query = asked(db, &hosts).await;
    let (first, second) = (told(db, &hosts[0]).await, told(db, &hosts[1]).await);
    assert!(!keep(0, part(first, 0, 101, false)).await);
    let large = LiveAnswer { raw_bytes: u32::try_from(LIVE_QUERY_BYTES_MAX + 1).unwrap(), ..part(second, 0, 1, false) };
    assert!(!keep(1, large).await);
    for (host, expected) in hosts.iter().zip(["more than was wanted", "more than is kept"]) {
        let (state, rows, text) = state(db, &query, host).await;
        assert_eq!((state, rows), (RunState::Failed, 0));
        assert!(text.contains(expected), "{text}");
    }
}

pub(crate) async fn live_queries_end_and_are_forgotten(db: &Db) {
    let hosts = two_hosts(db).await;
    let system = db.catalog.system();
    // Called off: who had not heard of it never will, who had is told.
    let query = asked(db, &hosts).await;
    let first = told(db, &hosts[0]).await;
    let mut tx = db.begin(HOME).await;
    tx.cancel_live_query(query.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(state(db, &query, &hosts[1]).await.0, RunState::Cancelled);
    let to_stop = system.pending_live_queries(hosts[0].id, 10).await.unwrap();
    assert!(to_stop.len() == 1 && to_stop[0].query.cancelled.is_some() && to_stop[0].run.id == first);
    assert!(system.pending_live_queries(hosts[1].id, 10).await.unwrap().is_empty());
    let stopped = LiveAnswer { error: Some("called off".into()), ..part(first, 0, 0, true) };
    assert!(!system.keep_live_answer(HOME, hosts[0].id, stopped).await.unwrap());
    assert_eq!(state(db, &query, &hosts[0]).await.0, RunState::Cancelled);

    // Its time passes: who was not there, and who fell silent.
    let query = asked(db, &hosts).await;
    told(db, &hosts[0]).await;
    db.clock.advance(301 * Micros::SECOND);
    assert_eq!(system.expire_live_queries(30 * Micros::SECOND, 100).await.unwrap(), 1);
    assert_eq!(state(db, &query, &hosts[1]).await.0, RunState::Expired);
    assert_eq!(state(db, &query, &hosts[0]).await.0, RunState::Sent);
    db.clock.advance(61 * Micros::SECOND);
    assert_eq!(system.expire_live_queries(30 * Micros::SECOND, 100).await.unwrap(), 1);
    assert_eq!(state(db, &query, &hosts[0]).await.0, RunState::Expired);

    // Nobody else sees it, and it goes when it is old.
    let other = db.tenant("live-other").await;
    let elsewhere = Scope::of(other.id);
    assert!(matches!(db.catalog.scoped(&elsewhere).live_query(query.id).await, Err(CatalogError::NotFound(_))));
    assert!(db.catalog.scoped(&elsewhere).live_queries(None, 10).await.unwrap().is_empty());
    assert_eq!(system.sweep_live_queries(START, 100).await.unwrap(), 0);
    let swept = system.sweep_live_queries(START + Micros::DAY, 100).await.unwrap();
    assert!(swept >= 2, "{swept}");
    assert!(db.catalog.scoped(&home()).live_queries(None, 10).await.unwrap().is_empty());
    assert!(system.open_live_query_hosts(query.id).await.unwrap().is_empty());
    let mut tx = db.begin(HOME).await;
    for odd in ["", " ", "SELECT \0"] {
        assert!(matches!(tx.create_live_query(&new(odd), &hosts).await, Err(CatalogError::Invalid(_))), "{odd:?}");
    }
    assert!(tx.create_live_query(&new("SELECT 1"), &[]).await.is_err());
}
