//! ATT&CK coverage: which techniques the rules and detectors look for, which of them run, and what they found.

use std::collections::BTreeMap;

use axum::extract::State;
use guardian_catalog::{AlertFilter, AlertGrouping, Presence, ReplayFilter};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, Severity};
use guardian_respond::attack;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(coverage))
}

/// Which alerts to count.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CoverageQuery {
    /// Alerts seen at or after this time, RFC 3339; 30 days ago by default.
    pub(crate) from: Option<String>,
    /// Alerts seen before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// Replays: `exclude` (default) or `include`.
    pub(crate) replay: Option<String>,
}

/// A rule or detector that looks for a technique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CoveringRule {
    /// Sigma id, or id of the detector.
    pub(crate) id: String,
    /// Title.
    pub(crate) title: String,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// rule or detector.
    pub(crate) kind: &'static str,
    /// Whether it runs.
    pub(crate) enabled: bool,
    /// Its alerts in the time.
    pub(crate) alerts: u64,
}

/// A technique and what looks for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TechniqueCoverage {
    /// Technique, such as `t1046`; empty for rules that name a tactic only.
    pub(crate) technique: String,
    /// Tactics that it serves, by the rules that look for it.
    pub(crate) tactics: Vec<&'static str>,
    /// What looks for it.
    pub(crate) rules: Vec<CoveringRule>,
    /// How many of these run.
    pub(crate) enabled: usize,
    /// Alerts of this technique in the time.
    pub(crate) alerts: u64,
}

/// A tactic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TacticCoverage {
    /// Name in tags, such as `discovery`.
    pub(crate) id: &'static str,
    /// Number, such as `TA0007`.
    pub(crate) number: &'static str,
    /// Name for people.
    pub(crate) name: &'static str,
    /// Techniques with at least one rule.
    pub(crate) techniques: usize,
    /// Techniques with at least one rule that runs.
    pub(crate) covered: usize,
}

/// Coverage of ATT&CK.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Coverage {
    /// Alerts from this time on, RFC 3339.
    pub(crate) from: String,
    /// Alerts before this time, RFC 3339.
    pub(crate) to: String,
    /// The tactics, in the order of an attack.
    pub(crate) tactics: Vec<TacticCoverage>,
    /// The techniques, by number.
    pub(crate) techniques: Vec<TechniqueCoverage>,
    /// Rules that name no technique and no tactic.
    pub(crate) without: Vec<CoveringRule>,
}

/// Show which ATT&CK techniques the rules and detectors look for
#[utoipa::path(get, path = "/rules/coverage", tag = "rules", extensions(("x-permission" = json!("rules:read"))), params(CoverageQuery),
    responses((status = 200, body = Coverage), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn coverage(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<CoverageQuery>,
) -> ApiResult<Json<Coverage>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let now = state.clock.now();
    let to = query.to.as_deref().map_or(Ok(now), |t| parse_time("to", t))?;
    let from = query.from.as_deref().map_or(Ok(to - 30 * Micros::DAY), |t| parse_time("from", t))?;
    let replay = match query.replay.as_deref() {
        None | Some("exclude") => ReplayFilter::Exclude,
        Some("include") => ReplayFilter::Include,
        Some(other) => return Err(ApiError::invalid(format!("`replay`: `{other}` is not exclude or include"))),
    };
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let within =
        AlertFilter { from: Some(from), to: Some(to), replay, suppressed: Presence::Include, ..AlertFilter::default() };
    // Who may see rules need not see alerts.
    let told = caller.principal().permissions(tenant).contains(Permission::AlertsRead);
    let mut counts = HashMap::new();
    if told {
        for group in scoped.alert_groups(&within, AlertGrouping::Rule).await? {
            counts.insert(group.value.unwrap_or_default(), u64::try_from(group.count).unwrap_or_default());
        }
    }
    let by_tag = if told { scoped.alert_attack_counts(&within).await? } else { BTreeMap::new() };
    let alerts = |id: &str| counts.get(id).copied().unwrap_or_default();
    let mut all: Vec<(Vec<String>, CoveringRule)> = Vec::new();
    for source in scoped.rule_sources(tenant).await? {
        let parsed = guardian_rules::parse(&source.source);
        let tags = parsed.documents.last().map(|d| d.attack()).unwrap_or_default();
        let rule = CoveringRule {
            alerts: alerts(&source.rule.rule_id),
            id: source.rule.rule_id,
            title: source.rule.title,
            severity: source.rule.level,
            kind: "rule",
            enabled: source.rule.enabled,
        };
        all.push((tags, rule));
    }
    for detector in guardian_detect::detectors::ALL {
        let tags = detector.tags.iter().map(|t| t.strip_prefix("attack.").unwrap_or(t).to_owned()).collect();
        let rule = CoveringRule {
            alerts: alerts(detector.id),
            id: detector.id.to_owned(),
            title: detector.title.to_owned(),
            severity: Severity::as_str(detector.level).to_owned(),
            kind: "detector",
            enabled: !state.settings.disabled_detectors.iter().any(|id| id == detector.id),
        };
        all.push((tags, rule));
    }
    let (tactics, techniques, without) = put_together(all, &by_tag);
    Ok(Json(Coverage { from: from.to_string(), to: to.to_string(), tactics, techniques, without }))
}

/// Sorts rules by the techniques that they name.
fn put_together(
    all: Vec<(Vec<String>, CoveringRule)>,
    alerts: &BTreeMap<String, u64>,
) -> (Vec<TacticCoverage>, Vec<TechniqueCoverage>, Vec<CoveringRule>) {
    let mut found: BTreeMap<String, (Vec<usize>, Vec<CoveringRule>)> = BTreeMap::new();
    let mut without = Vec::new();
    for (tags, rule) in all {
        let (techniques, named): (Vec<&String>, Vec<&String>) = tags.iter().partition(|t| attack::is_technique(t));
        let named: Vec<usize> = named.into_iter().filter_map(|t| attack::stage(t)).collect();
        if techniques.is_empty() && named.is_empty() {
            without.push(rule);
            continue;
        }
        // A rule that names tactics only stands in the place of each of them.
        let keys: Vec<(String, Vec<usize>)> = if techniques.is_empty() {
            named.iter().map(|stage| (format!("#{stage:02}"), vec![*stage])).collect()
        } else {
            let stages = |t: &String| attack::stage(t).map_or_else(|| named.clone(), |stage| vec![stage]);
            techniques.into_iter().map(|t| (t.to_lowercase(), stages(t))).collect()
        };
        for (key, stages) in keys {
            let entry = found.entry(key).or_default();
            entry.0.extend(stages);
            if !entry.1.contains(&rule) {
                entry.1.push(rule.clone());
            }
        }
    }
    let mut places = vec![(0, 0); attack::TACTICS.len()];
    let techniques: Vec<TechniqueCoverage> = found
        .into_iter()
        .map(|(key, (mut stages, mut rules))| {
            stages.sort_unstable();
            stages.dedup();
            rules.sort_by(|a, b| a.title.cmp(&b.title));
            let enabled = rules.iter().filter(|r| r.enabled).count();
            let technique = if key.starts_with('#') { String::new() } else { key };
            for stage in stages.iter().filter(|_| !technique.is_empty()) {
                places[*stage].0 += 1;
                places[*stage].1 += usize::from(enabled > 0);
            }
            let counted: u64 =
                alerts.iter().filter(|(tag, _)| tag.eq_ignore_ascii_case(&technique)).map(|(_, n)| n).sum();
            TechniqueCoverage {
                alerts: if technique.is_empty() { rules.iter().map(|r| r.alerts).sum() } else { counted },
                tactics: stages.iter().map(|s| attack::TACTICS[*s].id).collect(),
                technique,
                rules,
                enabled,
            }
        })
        .collect();
    let tactic = |(at, tactic): (usize, &attack::Tactic)| TacticCoverage {
        id: tactic.id,
        number: tactic.number,
        name: tactic.name,
        techniques: places[at].0,
        covered: places[at].1,
    };
    (attack::TACTICS.iter().enumerate().map(tactic).collect(), techniques, without)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CoveringRule, put_together};

    fn rule(id: &str, enabled: bool, tags: &[&str]) -> (Vec<String>, CoveringRule) {
        let rule =
            CoveringRule { id: id.into(), title: id.into(), severity: "high".into(), kind: "rule", enabled, alerts: 2 };
        (tags.iter().map(|t| (*t).to_owned()).collect(), rule)
    }

    #[test]
    fn rules_stand_where_their_tags_say() {
        let all = vec![
            rule("a", true, &["t1046", "discovery"]),
            rule("b", false, &["T1046"]),
            rule("c", false, &["t1021.004"]),
            rule("d", true, &["impact"]),
            rule("e", true, &["t9999", "execution"]),
            rule("f", true, &["detection.threat_hunting"]),
        ];
        let alerts = BTreeMap::from([("t1046".to_owned(), 7)]);
        let (tactics, techniques, without) = put_together(all, &alerts);
        let told: Vec<_> = techniques
            .iter()
            .map(|t| (t.technique.as_str(), t.tactics.join(" "), t.rules.len(), t.enabled, t.alerts))
            .collect();
        assert_eq!(
            told,
            [
                ("", "impact".into(), 1, 1, 2),
                ("t1021.004", "lateral_movement".into(), 1, 0, 0),
                ("t1046", "discovery".into(), 2, 1, 7),
                ("t9999", "execution".into(), 1, 1, 0),
            ]
        );
        let of = |id: &str| tactics.iter().find(|t| t.id == id).map(|t| (t.techniques, t.covered));
        assert_eq!([of("discovery"), of("lateral_movement"), of("impact")], [Some((1, 1)), Some((1, 0)), Some((0, 0))]);
        assert_eq!(without.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["f"]);
    }
}
