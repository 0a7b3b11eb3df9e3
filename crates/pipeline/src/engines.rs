//! One detection engine a tenant, each with its tenant's rules, saved and restored together.

use std::sync::Arc;

use arc_swap::ArcSwap;
use guardian_detect::{DetectConfig, Engine, Output, RuleStats};
use guardian_model::{Batch, Micros, TenantId};
use guardian_rules::RuleSet;
use hashbrown::HashMap;

/// The rules of every tenant that has its own, and those of the rest.
#[derive(Clone)]
pub struct TenantRules {
    /// By tenant.
    pub by_tenant: HashMap<TenantId, Arc<RuleSet>>,
    /// For tenants without an entry.
    pub shipped: Arc<RuleSet>,
}

impl TenantRules {
    /// The rules of one tenant.
    pub fn of(&self, tenant: TenantId) -> &Arc<RuleSet> {
        self.by_tenant.get(&tenant).unwrap_or(&self.shipped)
    }
}

struct TenantEngine {
    rules: Arc<RuleSet>,
    engine: Engine,
}

/// The engines of all tenants that have sent something.
pub(crate) struct Engines {
    config: DetectConfig,
    rules: Arc<ArcSwap<TenantRules>>,
    of_tenants: HashMap<TenantId, TenantEngine>,
}

/// Rows that exceptions kept from rules, by tenant and exception.
pub type ExceptionHits = HashMap<(TenantId, u128), u64>;

impl Engines {
    pub(crate) fn new(config: DetectConfig, rules: Arc<ArcSwap<TenantRules>>) -> Self {
        Self { config, rules, of_tenants: HashMap::new() }
    }

    /// Detects on a batch, with the rules that hold now.
    pub(crate) fn process(&mut self, id: u64, batch: &Batch) -> Output {
        let all = self.rules.load();
        let rules = all.of(batch.tenant);
        let own = self.of_tenants.entry(batch.tenant).or_insert_with(|| TenantEngine {
            rules: Arc::clone(rules),
            engine: Engine::new(self.config.clone(), Arc::clone(rules)),
        });
        let mut output = Output::default();
        if !Arc::ptr_eq(&own.rules, rules) {
            own.rules = Arc::clone(rules);
            output = own.engine.swap_rules(Arc::clone(rules));
        }
        let Output { findings, updates } = own.engine.process(id, batch);
        output.findings.extend(findings);
        output.updates.extend(updates);
        output
    }

    /// Tells every engine that time has passed.
    pub(crate) fn tick(&mut self, now: Micros) -> Output {
        self.all(|engine| engine.tick(now))
    }

    /// Forgets open alerts and detector state of a replay that was removed.
    pub(crate) fn forget_replay(&mut self, tenant: TenantId, replay: &str) {
        if let Some(own) = self.of_tenants.get_mut(&tenant) {
            own.engine.forget_replay(tenant, replay);
        }
    }

    /// Every alert that changed since it was last told, without waiting for its turn.
    pub(crate) fn flush(&mut self) -> Output {
        self.all(Engine::flush)
    }

    fn all(&mut self, mut step: impl FnMut(&mut Engine) -> Output) -> Output {
        let mut all = Output::default();
        for own in self.of_tenants.values_mut() {
            let Output { findings, updates } = step(&mut own.engine);
            all.findings.extend(findings);
            all.updates.extend(updates);
        }
        all
    }

    /// What each rule of each tenant did.
    pub(crate) fn stats(&self) -> Vec<(TenantId, Vec<RuleStats>)> {
        self.of_tenants.iter().map(|(tenant, own)| (*tenant, own.engine.stats().rules)).collect()
    }

    /// Adds what exceptions did since the last time.
    pub(crate) fn take_excepted(&mut self, hits: &mut ExceptionHits) {
        for (tenant, own) in &mut self.of_tenants {
            for (id, rows) in own.engine.take_excepted() {
                *hits.entry((*tenant, id)).or_default() += rows;
            }
        }
    }

    /// All engines' states: tenant (16 bytes), length (u64, little-endian), state; repeated.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for (tenant, own) in &self.of_tenants {
            let state = own.engine.snapshot().map_err(|e| e.to_string())?;
            bytes.extend_from_slice(tenant.0.as_bytes());
            bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&state);
        }
        Ok(bytes)
    }

    /// Takes the states back; an error names the first that cannot be used, and then none is.
    pub(crate) fn restore(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let rules = self.rules.load();
        let mut of_tenants = HashMap::new();
        while !bytes.is_empty() {
            let torn = || "the saved state is torn".to_owned();
            let (tenant, rest) = bytes.split_at_checked(16).ok_or_else(torn)?;
            let (len, rest) = rest.split_at_checked(8).ok_or_else(torn)?;
            let len = u64::from_le_bytes(len.try_into().map_err(|_| torn())?);
            let (state, rest) = usize::try_from(len).ok().and_then(|n| rest.split_at_checked(n)).ok_or_else(torn)?;
            let tenant = TenantId(uuid::Uuid::from_slice(tenant).map_err(|_| torn())?);
            let own = Arc::clone(rules.of(tenant));
            let mut engine = Engine::new(self.config.clone(), Arc::clone(&own));
            engine.restore(state).map_err(|e| e.to_string())?;
            of_tenants.insert(tenant, TenantEngine { rules: own, engine });
            bytes = rest;
        }
        self.of_tenants = of_tenants;
        Ok(())
    }
}
