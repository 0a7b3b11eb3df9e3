//! The catalog on both databases. Every test runs on SQLite, and on PostgreSQL when `GUARDIAN_TEST_POSTGRES_URL` names
//! a database; with `GUARDIAN_TEST_REQUIRE_POSTGRES=1` its absence is a failure.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod accounts;
mod alerts;
mod dump;
mod findings;
mod fleet;
mod incidents;
mod inventory;
mod live_queries;
mod logs;
mod notify;
mod rollouts;
mod saved;
mod schema;
mod support;
mod tenancy;
mod things;
mod triage;
mod tuning;

/// Declares each test once for both databases.
macro_rules! on_both {
    ($($module:ident::$name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let db = crate::support::Db::sqlite().await;
                crate::$module::$name(&db).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(db) = crate::support::Db::postgres().await else { return };
                crate::$module::$name(&db).await;
                db.drop_schema().await;
            })+
        }
    };
}

on_both![
    schema::opening_again_changes_nothing,
    schema::nodes_may_start_at_once,
    schema::a_newer_database_is_refused,
    alerts::storing_twice_changes_nothing,
    alerts::late_and_early_states_end_in_the_same_row,
    alerts::what_people_decided_stays,
    alerts::a_batch_may_be_large_and_repeat_itself,
    alerts::live_alerts_survive_the_clearing_of_replays,
    alerts::odd_text_is_kept,
    alerts::filters_find_what_they_say,
    alerts::pages_stay_put_while_alerts_arrive,
    alerts::triage_is_audited,
    alerts::bulk_triage_spares_what_changed_since,
    triage::suppressed_alerts_are_closed_and_counted,
    triage::snoozed_alerts_come_back,
    triage::bulk_changes_are_taken_back_but_for_later_decisions,
    triage::every_order_pages_in_both_directions,
    triage::facets_volume_and_groups_add_up,
    incidents::the_workflow_is_kept_and_edits_never_overwrite,
    incidents::alerts_join_once_leave_and_split,
    incidents::timelines_are_written_corrected_and_paged,
    incidents::entities_tasks_templates_and_evidence_belong_to_it,
    incidents::a_merge_loses_nothing_and_can_be_undone,
    incidents::deadlines_are_marked_once,
    incidents::templates_are_versioned,
    incidents::incidents_are_found_and_ordered,
    incidents::incidents_change_in_bulk_and_back,
    incidents::followers_and_auditors_hear_of_it,
    live_queries::answers_come_in_order_and_within_bounds,
    live_queries::live_queries_end_and_are_forgotten,
    saved::what_is_kept_is_ones_own_until_it_is_shared,
    tuning::exceptions_are_versioned_and_counted,
    tuning::what_was_taken_out_of_an_alert_stays_out,
    logs::numbers_have_no_gaps_under_concurrent_writers,
    logs::what_is_not_committed_leaves_no_trace,
    logs::a_follower_misses_and_repeats_nothing,
    logs::old_followers_are_told_to_resync,
    logs::a_follower_hears_of_other_processes,
    logs::the_audit_chain_names_the_first_broken_entry,
    logs::checkpoints_tell_of_a_trail_written_anew,
    logs::anybody_can_compute_the_chain,
    logs::the_audit_trail_lists_what_is_asked_for,
    notify::what_is_planned_again_is_kept_once,
    notify::messages_are_taken_by_one_and_come_back,
    notify::channels_have_versions_and_keep_their_secret,
    notify::assignments_are_told_in_the_change_log,
    tenancy::nothing_of_another_tenant_is_read,
    tenancy::nothing_of_another_tenant_is_changed,
    access::roles_are_renamed_with_their_members,
    access::links_work_once,
    access::lists_of_people_page_and_search,
    access::tenants_come_and_go,
    access::passkeys_belong_to_one_account,
    access::another_system_knows_one_account,
    access::certificates_open_one_account,
    access::preferences_and_factors_have_versions,
    access::a_reused_refresh_token_ends_its_family,
    accounts::accounts_come_and_go,
    accounts::sessions_end,
    accounts::keys_are_revoked_for_good,
    accounts::the_setup_token_works_once,
    things::rules_keep_their_versions,
    things::shipped_rules_spare_what_people_changed,
    things::exporters_are_counted_and_bounded,
    things::settings_are_versioned,
    things::state_is_handed_over,
    fleet::tokens_let_in_as_many_as_they_say,
    fleet::hosts_are_counted_and_labelled,
    fleet::hosts_are_found_and_heard,
    fleet::hosts_are_changed_renewed_and_shut_out,
    fleet::the_agents_authority_is_kept_sealed,
    rollouts::releases_are_there_once_until_they_are_withdrawn,
    rollouts::rollouts_offer_in_turn_and_send_back,
    findings::findings_are_kept_by_number,
    findings::exceptions_need_a_second_person,
    findings::images_are_replaced_under_their_name,
    inventory::lists_change_from_what_they_were,
    inventory::software_is_counted_over_hosts,
    dump::everything_comes_back,
    dump::states_are_swapped_by_one_alone,
];
