//! Rules, exporters, settings and state.

use guardian_catalog::{
    CatalogError, Changes, ExporterSeen, ExporterState, RULE_SOURCE_BYTES_MAX, RuleDraft, RuleOrigin, Subject,
};
use guardian_model::{Ip, Micros};
use serde_json::json;

use crate::support::{Db, HOME, START, home};

fn draft(origin: RuleOrigin, hash: &str) -> RuleDraft {
    RuleDraft {
        rule_id: "5af4-scan".into(),
        title: format!("Scan {hash}"),
        level: "high".into(),
        origin,
        source: format!("title: Scan\n# {hash}\n"),
        hash: hash.into(),
        comment: Some("because".into()),
        enabled: true,
    }
}

pub(crate) async fn rules_keep_their_versions(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.put_rule(&draft(RuleOrigin::Custom, "a")).await.unwrap().version, 1);
    assert_eq!(tx.put_rule(&draft(RuleOrigin::Custom, "a")).await.unwrap().version, 1, "the same again");
    assert!(!tx.enable_rule("5af4-scan", false).await.unwrap().enabled);
    db.clock.advance(1);
    assert!(!tx.put_rule(&draft(RuleOrigin::Custom, "b")).await.unwrap().enabled, "still off");
    let empty = RuleDraft { rule_id: " ".into(), ..draft(RuleOrigin::Custom, "c") };
    assert!(matches!(tx.put_rule(&empty).await, Err(CatalogError::Invalid(_))));
    let long = RuleDraft { source: "x".repeat(RULE_SOURCE_BYTES_MAX + 1), ..draft(RuleOrigin::Custom, "c") };
    assert!(matches!(tx.put_rule(&long).await, Err(CatalogError::Invalid(_))));
    assert_eq!(tx.commit().await.unwrap(), 3, "three changes");
    let rule = scoped.rule(HOME, "5af4-scan").await.unwrap();
    assert_eq!((rule.rule.version, rule.rule.title.as_str()), (2, "Scan b"));
    assert_eq!(rule.source, draft(RuleOrigin::Custom, "b").source);
    assert_eq!(scoped.rule_sources(HOME).await.unwrap(), [rule]);
    let versions = scoped.rule_versions(HOME, "5af4-scan").await.unwrap();
    let told: Vec<_> = versions.iter().map(|v| (v.version, v.hash.as_str(), v.author.as_str())).collect();
    assert_eq!(told, [(2, "b", "ann"), (1, "a", "ann")]);
    let mut tx = db.begin(HOME).await;
    tx.delete_rule("5af4-scan").await.unwrap();
    assert!(matches!(tx.enable_rule("5af4-scan", true).await, Err(CatalogError::NotFound("rule"))));
    tx.commit().await.unwrap();
    assert!(scoped.rules().await.unwrap().is_empty());
}

pub(crate) async fn shipped_rules_spare_what_people_changed(db: &Db) {
    let mut tx = db.begin(HOME).await;
    tx.put_rule(&draft(RuleOrigin::Shipped, "v1")).await.unwrap();
    assert_eq!(tx.put_rule(&draft(RuleOrigin::Shipped, "v2")).await.unwrap().hash, "v2", "an upgrade");
    assert!(matches!(tx.delete_rule("5af4-scan").await, Err(CatalogError::Conflict(_))));
    assert_eq!(tx.put_rule(&draft(RuleOrigin::Custom, "mine")).await.unwrap().origin, RuleOrigin::Custom);
    let kept = tx.put_rule(&draft(RuleOrigin::Shipped, "v3")).await.unwrap();
    assert_eq!((kept.hash.as_str(), kept.version), ("mine", 3), "an upgrade leaves it alone");
    tx.commit().await.unwrap();
}

pub(crate) async fn exporters_are_counted_and_bounded(db: &Db) {
    let small = db.reopen(|config| config.exporters_max = 3).await;
    let seen = |n: u8, state, packets: u64| ExporterSeen {
        address: Ip::v4([192, 0, 2, n]),
        domain: u32::MAX,
        protocol: "netflow_v9".into(),
        last_seen: START + packets as i64,
        state,
        counters: json!({ "packets": packets, "lost": 0 }),
    };
    let waiting = |held| ExporterState::WaitingForTemplate { held };
    let system = small.system();
    assert_eq!(system.observe_exporters(HOME, &[seen(1, waiting(4), 1), seen(2, waiting(1), 1)]).await.unwrap(), 0);
    let scoped = small.scoped(&home());
    let told = scoped.latest_seq(HOME).await.unwrap();
    assert_eq!(told, 2, "two new exporters");
    system.observe_exporters(HOME, &[seen(1, waiting(9), 5)]).await.unwrap();
    let listed = scoped.exporters().await.unwrap();
    assert_eq!(listed[0].state.to_string(), "waiting for its template, 9 records held");
    assert_eq!(listed[1].state.to_string(), "waiting for its template, 1 record held");
    assert_eq!((listed[0].first_seen, listed[0].last_seen), (START + 1, START + 5));
    assert_eq!((listed[0].domain, &listed[0].counters["packets"]), (u32::MAX, &json!(5)));
    assert_eq!(scoped.latest_seq(HOME).await.unwrap(), told, "counters are not news");
    let left_out = system
        .observe_exporters(
            HOME,
            &[
                seen(1, ExporterState::Receiving, 6),
                seen(3, waiting(0), 1),
                seen(4, waiting(0), 1),
                seen(5, waiting(0), 1),
            ],
        )
        .await
        .unwrap();
    assert_eq!((left_out, scoped.exporters().await.unwrap().len()), (2, 3));
    let Changes::Entries { entries, .. } = scoped.changes_since(HOME, told, 10).await.unwrap() else {
        panic!("nothing was pruned")
    };
    assert_eq!(entries.len(), 2, "one changed its state, one is new");
    assert!(entries.iter().all(|e| e.subject == Subject::Exporter));
    assert_eq!(entries[0].payload["state"], "receiving");
}

pub(crate) async fn settings_are_versioned(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    assert!(scoped.setting(HOME, "networks.home").await.unwrap().is_none());
    let mut tx = db.begin(HOME).await;
    let put = tx.put_setting("networks.home", &json!(["10.0.0.0/8"]), Some(0)).await.unwrap();
    assert_eq!(put.version, 1);
    let meanwhile = tx.put_setting("networks.home", &json!([]), Some(0)).await;
    assert!(matches!(meanwhile, Err(CatalogError::Conflict(text)) if text.contains("version 1")));
    assert_eq!(tx.put_setting("networks.home", &put.value, Some(1)).await.unwrap().version, 1, "the same again");
    assert_eq!(tx.put_setting("networks.home", &json!([]), Some(1)).await.unwrap().version, 2);
    tx.commit().await.unwrap();
    assert_eq!(scoped.setting(HOME, "networks.home").await.unwrap().unwrap().value, json!([]));
    assert_eq!(scoped.setting_versions(HOME, "networks.home", 10).await.unwrap()[1], put);
}

pub(crate) async fn state_is_handed_over(db: &Db) {
    let system = db.catalog.system();
    assert!(system.state("detector").await.unwrap().is_none());
    let large = vec![0xa5; 3 << 20];
    system.put_state("detector", vec![1]).await.unwrap();
    system.put_state("detector", large.clone()).await.unwrap();
    db.clock.advance(Micros::SECOND);
    let again = db.reopen(|_| {}).await;
    assert_eq!(again.system().state("detector").await.unwrap(), Some(large));
}
