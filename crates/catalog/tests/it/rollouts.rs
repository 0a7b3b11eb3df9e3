//! Releases of the agent and rollouts of them: what is offered to which host and how often, what hosts say of it, and who sees it.

use guardian_catalog::{
    CatalogError, Host, NewRelease, Rollout, RolloutChange, RolloutHostState, RolloutPlan, RolloutStage, RolloutState,
    UpgradeHeard,
};
use guardian_model::Scope;
use uuid::Uuid;

use crate::fleet::{enrolled, token};
use crate::support::{Db, HOME, START, home};

fn release(n: u128, version: &str) -> NewRelease {
    NewRelease {
        id: Uuid::from_u128(n),
        version: version.into(),
        platform: "linux".into(),
        architecture: "x86_64".into(),
        size: 9,
        sha256: format!("{n:064x}"),
        signed: "{}".into(),
        key: "key".into(),
        notes: "news".into(),
    }
}

fn plan(at_once: u32) -> RolloutPlan {
    RolloutPlan {
        stages: vec![RolloutStage { percent: 50, ..RolloutStage::default() }; 2],
        success_percent: 100,
        within_s: 60,
        prove_within_s: 10,
        bytes_per_s: 0,
        at_once,
        roll_back: true,
        again: false,
    }
}

async fn hosts(db: &Db) -> Vec<Host> {
    let mut tx = db.begin(HOME).await;
    let many = tx.create_enrolment_token(&token("rollout", None)).await.unwrap();
    tx.commit().await.unwrap();
    let mut hosts = Vec::new();
    for n in 101..=104 {
        hosts.push(enrolled(db, many.id, n).await.unwrap());
    }
    hosts
}

async fn change(db: &Db, rollout: &Rollout, state: RolloutState, stage: u32, roll_back: bool) -> Rollout {
    let change =
        RolloutChange { state, stage, stage_since: START, stage_passed: None, reason: "because".into(), roll_back };
    let mut tx = db.begin(HOME).await;
    let now = tx.change_rollout(rollout.id, rollout.version, "rollout.test", &change).await.unwrap();
    tx.commit().await.unwrap();
    now
}

pub(crate) async fn releases_are_there_once_until_they_are_withdrawn(db: &Db) {
    let mut tx = db.begin(HOME).await;
    tx.add_release(&release(1, "1.0.0")).await.unwrap();
    assert!(matches!(tx.add_release(&release(2, "1.0.0")).await, Err(CatalogError::Conflict(_))));
    tx.add_release(&release(3, "1.1.0")).await.unwrap();
    tx.commit().await.unwrap();
    let other = db.tenant("other").await;
    let elsewhere = Scope::of(other.id);
    assert!(db.catalog.scoped(&elsewhere).agent_releases(other.id).await.unwrap().is_empty());
    assert!(db.catalog.scoped(&elsewhere).agent_release(Uuid::from_u128(1)).await.is_err());
    let system = db.catalog.system();
    assert_eq!(system.release_with(&format!("{:064x}", 3)).await.unwrap().unwrap().version, "1.1.0");
    let mut tx = db.begin(HOME).await;
    assert!(tx.withdraw_release(Uuid::from_u128(3)).await.unwrap().withdrawn.is_some());
    assert_eq!(tx.releases_of("1.1.0").await.unwrap(), []);
    tx.add_release(&release(4, "1.1.0")).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.release_with(&format!("{:064x}", 3)).await.unwrap().is_none());
    assert_eq!(db.catalog.scoped(&home()).agent_releases(HOME).await.unwrap().len(), 3, "what was is kept");
}

pub(crate) async fn rollouts_offer_in_turn_and_send_back(db: &Db) {
    let hosts = hosts(db).await;
    let system = db.catalog.system();
    let mut tx = db.begin(HOME).await;
    tx.add_release(&release(1, "1.0.0")).await.unwrap();
    let turns: Vec<_> = hosts.iter().cloned().zip([0, 0, 1, 1]).map(|(h, s)| (h, s, Uuid::from_u128(1))).collect();
    let rollout = tx.create_rollout("1.0.0", &plan(1), &turns).await.unwrap();
    let second = tx.create_rollout("1.0.0", &plan(1), &turns).await;
    assert!(matches!(second, Err(CatalogError::Conflict(_))), "one at a time");
    assert!(matches!(tx.withdraw_release(Uuid::from_u128(1)).await, Err(CatalogError::Conflict(_))));
    tx.commit().await.unwrap();
    let claim = async |n: usize| system.claim_upgrade(HOME, hosts[n].id).await.unwrap();
    assert_eq!(system.hosts_to_offer(&rollout).await.unwrap().len(), 2, "the first ring");
    assert_eq!(claim(2).await, None, "its turn has not come");
    let first = claim(0).await.unwrap();
    assert_eq!((first.host.state, first.signed.as_str()), (RolloutHostState::Offered, "{}"));
    assert_eq!(claim(0).await.unwrap().host.id, first.host.id, "asked again it is the same");
    assert_eq!(claim(1).await, None, "one at once");
    let hear = async |id: Uuid, state: RolloutHostState, host: usize| {
        let heard = UpgradeHeard { id, state, fetched: 5, text: "so".into() };
        system.observe_upgrade(HOME, hosts[host].id, &heard).await.unwrap();
    };
    hear(first.host.id, RolloutHostState::Done, 1).await;
    assert_eq!(claim(0).await.unwrap().host.state, RolloutHostState::Offered, "another's word counts for nothing");
    hear(first.host.id, RolloutHostState::Done, 0).await;
    assert_eq!(claim(0).await, None);
    let second = claim(1).await.unwrap();
    // Paused: who had not begun to try it waits again, and late words about fetching change nothing.
    let paused = change(db, &rollout, RolloutState::Paused, 0, false).await;
    hear(second.host.id, RolloutHostState::Fetching, 1).await;
    assert_eq!(claim(1).await, None);
    assert_eq!(paused.states[0].get(&RolloutHostState::Waiting), Some(&1));
    let running = change(db, &paused, RolloutState::Running, 1, false).await;
    assert_eq!(system.hosts_to_offer(&running).await.unwrap().len(), 3);
    let stale = RolloutChange {
        state: RolloutState::Done,
        stage: 1,
        stage_since: START,
        stage_passed: None,
        reason: String::new(),
        roll_back: false,
    };
    assert!(!system.step_rollout(&paused, &stale).await.unwrap(), "somebody else was quicker");
    let failed = change(db, &running, RolloutState::Failed, 1, true).await;
    assert_eq!(system.open_rollouts().await.unwrap().len(), 1, "a host goes back");
    assert_eq!(system.hosts_to_offer(&failed).await.unwrap(), [hosts[0].id]);
    let back = claim(0).await.unwrap();
    assert_eq!(back.host.state, RolloutHostState::GoingBack);
    hear(back.host.id, RolloutHostState::Reverted, 0).await;
    assert!(system.open_rollouts().await.unwrap().is_empty());
    let scope = home();
    let shown = db.catalog.scoped(&scope).rollout(rollout.id).await.unwrap();
    assert_eq!((shown.state, shown.reason.as_str(), shown.hosts), (RolloutState::Failed, "because", 4));
    let listed = db.catalog.scoped(&scope).rollout_hosts(rollout.id, None, None, 10).await.unwrap();
    assert_eq!(listed.len(), 4);
    let newest = db.catalog.scoped(&scope).rollout_of_host(hosts[0].id).await.unwrap().unwrap();
    assert_eq!((newest.state, newest.fetched), (RolloutHostState::Reverted, 5));
    let other = db.tenant("elsewhere").await;
    assert!(db.catalog.scoped(&Scope::of(other.id)).rollout(rollout.id).await.is_err());
    assert!(db.catalog.scoped(&Scope::of(other.id)).rollouts(None, 10).await.unwrap().is_empty());
}
