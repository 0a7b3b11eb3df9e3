//! Guardian's system of record: tenants, accounts, alerts, rules, exporters, settings, the change log and the audit
//! trail, on SQLite or PostgreSQL from one code base.
//!
//! There are three ways in, and the connections behind them stay in this crate:
//!
//! - [`Catalog::scoped`] gives [`Scoped`], which reads what the tenants of a [`Scope`](guardian_model::Scope) own and
//!   nothing else;
//! - [`Scoped::begin`] gives [`Tx`], a transaction on one tenant on behalf of an [`Actor`]. Every change made through it
//!   writes its change-log entry and, if a person decided it, its audit entry, or is not made at all;
//! - [`Catalog::system`] gives [`System`], for authentication, start-up and what detection and reception store.
//!
//! This crate must never decide who may do something: that is `identity`. It never hands out a connection, and never
//! deletes an audit entry.

mod accounts;
mod actor;
mod alerts;
mod audit;
mod audit_follow;
mod change_log;
mod config;
mod credentials;
mod dump;
mod entity;
mod error;
mod exceptions;
mod exporters;
mod findings;
mod fleet;
mod incidents;
mod links;
mod migration;
mod notify;
mod page;
mod preferences;
mod roles;
mod rules;
mod saved;
mod scoped;
mod sealed;
mod settings;
mod store;
mod system;
mod tenants;
mod text;
mod tx;

pub use accounts::{
    Credentials, ExternalIdentity, IDENTITIES_PER_USER_MAX, Membership, NewUser, USER_PAGE_MAX, User, UserChange,
    UserCursor, UserFilter, UserPage, UserRow, UserSort, UserStatus, user_name,
};
pub use actor::{Actor, ActorKind};
pub use alerts::{
    ALERT_PAGE_MAX, Alert, AlertBucket, AlertChange, AlertCounts, AlertCursor, AlertDetail, AlertFacets, AlertFilter,
    AlertGroup, AlertGrouping, AlertOrder, AlertPage, AlertSort, AlertStatus, BUCKETS_MAX, BULK_MAX, BulkDone,
    EVIDENCE_MAX, FACET_VALUES_MAX, FacetValue, GROUPS_MAX, Presence, ReplayFilter, SUPPRESSIONS_MAX, SplitAlerts,
    Suppression, SuppressionDraft, UNDO_FOR, Undone, UpsertOutcome, Upserted, Verdict,
};
pub use audit::{AUDIT_PAGE_MAX, AuditEntry, AuditFilter, Checkpoint, Verification};
pub use audit_follow::AuditFollower;
pub use change_log::{Action, CHANGES_MAX, ChangeEntry, Changes, Follower, Subject};
pub use config::CatalogConfig;
pub use credentials::{
    API_KEYS_PER_TENANT_MAX, ApiKey, ApiKeyChange, CERTIFICATES_PER_USER_MAX, ClientCertificate, FACTORS_PER_USER_MAX,
    FAMILIES_PER_USER_MAX, FactorKind, NewApiKey, NewCertificate, Opening, Refresh, SESSIONS_PER_USER_MAX,
    SecondFactor, Session, SignInMethod, TokenFamily,
};
pub use error::CatalogError;
pub use exceptions::{EXCEPTION_FILTER_BYTES_MAX, EXCEPTIONS_MAX, ExceptionDraft, RuleException};
pub use exporters::{Exporter, ExporterSeen, ExporterState};
pub use findings::{
    FINDING_EXCEPTIONS_MAX, FindingException, FindingExceptionDraft, FindingExceptionState, FindingReach, FindingsOf,
    HostFindings, HostLabels, IMAGE_DIGESTS_MAX, IMAGES_MAX, Image, ImageContent, ImageDigest, ImageDraft, ImageLayer,
    ImageMark, ListMark, TermKind,
};
pub use fleet::{
    ASSIGNMENTS_MAX, AgentAuthority, AgentRelease, Assignment, BASELINE_PAGE_MAX, COMMAND_HOSTS_MAX, COMMAND_PAGE_MAX,
    Command, CommandFilter, CommandRun, EnrolledHost, EnrolmentToken, EvidenceKey, EvidencePack, FleetSoftware,
    GROUP_FILTER_BYTES_MAX, GROUPS_PER_TENANT_MAX, GroupDraft, HOST_PAGE_MAX, HOSTS_AT_ONCE_MAX, HOSTS_MAX, Host,
    HostAgent, HostBaseline, HostChange, HostCursor, HostFacts, HostFigures, HostFilter, HostGroup, HostHealth,
    HostList, HostListDocument, HostLoss, HostOrder, HostPage, HostSeen, HostSelection, HostSort, HostStanding,
    HostStatus, HostTrouble, LABELS_MAX, LIVE_QUERY_BYTES_MAX, LIVE_QUERY_HOSTS_MAX, LabelChange, LiveAnswer,
    LiveQuery, LiveQueryHost, LiveQueryPart, NewCommand, NewEnrolmentToken, NewHost, NewHostList, NewLiveQuery,
    NewRelease, POLICIES_PER_TENANT_MAX, POLICY_BYTES_MAX, PackState, PendingLiveQuery, PendingRun, PendingUpgrade,
    Policy, PolicyDraft, PolicyOrder, PolicyVersion, RELEASES_PER_TENANT_MAX, ROLLOUT_PAGE_MAX, ROLLOUT_STAGES_MAX,
    RUN_OUTPUT_MAX, Rollout, RolloutChange, RolloutHost, RolloutHostState, RolloutPlan, RolloutStage, RolloutState,
    RunNews, RunState, SOFTWARE_PAGE_MAX, SoftwareFilter, SoftwareItem, SoftwareVersion, TOKENS_PER_TENANT_MAX,
    TokenRefusal, TokenStatus, UpgradeHeard,
};
pub use incidents::{
    Custody, CustodyAction, EntityPatch, EntryKind, EntryPatch, EntryWhat, Evidence, EvidenceDetail,
    INCIDENT_ALERTS_MAX, INCIDENT_ENTITIES_MAX, INCIDENT_EVIDENCE_MAX, INCIDENT_PAGE_MAX, INCIDENT_TASKS_MAX, Incident,
    IncidentAlert, IncidentChange, IncidentCounts, IncidentCursor, IncidentEntity, IncidentEntry, IncidentFacets,
    IncidentFilter, IncidentKind, IncidentMerge, IncidentOrder, IncidentOrigin, IncidentPage, IncidentPatch,
    IncidentSort, IncidentStatus, IncidentTask, IncidentTemplate, Joining, MARKDOWN_MAX, Moved, NewEntry, NewEvidence,
    NewIncident, NewObservable, NewTask, ObservableKind, SlaClock, SlaDue, SlaFilter, SlaMark, TAGS_MAX, TaskPatch,
    TaskStatus, TemplateDraft, TemplateTask, WATCHERS_MAX, Why, alert_entities,
};
pub use links::{AccessLink, LINKS_PER_TENANT_MAX, LinkKind, NewLink};
pub use notify::{
    Announcement, Assigned, CHANNELS_MAX, Channel, ChannelDraft, ChannelFilter, ChannelKind, DELIVERY_PAGE_MAX,
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryState, Language, NOTIFICATION_PAGE_MAX, NewDelivery,
    NewNotification, Notification, NotifyEvent, Recent,
};
pub use page::PageKey;
pub use preferences::{PREFERENCES_BYTES_MAX, Preferences};
pub use roles::{CustomRole, ROLES_PER_TENANT_MAX, RoleDraft};
pub use rules::{RULE_SOURCE_BYTES_MAX, Rule, RuleDraft, RuleOrigin, RuleSource, RuleVersion};
pub use saved::{SAVED_BYTES_MAX, Saved, SavedDraft, SavedKind};
pub use scoped::Scoped;
pub use sealed::{SealedPlace, SealedSecret, authority_secret, evidence_secret, webhook_secret};
pub use settings::Setting;
pub use store::Catalog;
pub use system::System;
pub use tenants::{TENANTS_MAX, Tenant, TenantChange};
pub use tx::Tx;
