/*
 * worker_progress.c
 *		What a worker is doing, in words.
 *
 * Read from the status entries of the backends, as pg_stat_activity and
 * pg_stat_progress_create_index are; no snapshot, no lock.
 */
#include "postgres.h"

#include "commands/progress.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "worker_progress.h"

static const PgBackendStatus *
progress_entry(int pid)
{
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const LocalPgBackendStatus *local = COMPAT_BEENTRY_BY_INDEX(i);

		if (local != NULL && local->backendStatus.st_procpid == pid)
			return &local->backendStatus;
	}
	return NULL;
}

/* The phases of a build, as pg_stat_progress_create_index names them. */
static const char *
progress_phase(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_PHASE_WAIT_1:
			return "waiting for writers before the build";
		case PROGRESS_CREATEIDX_PHASE_BUILD:
			return "building the index";
		case PROGRESS_CREATEIDX_PHASE_WAIT_2:
			return "waiting for writers before the validation";
		case PROGRESS_CREATEIDX_PHASE_VALIDATE_IDXSCAN:
			return "validating: scanning the index";
		case PROGRESS_CREATEIDX_PHASE_VALIDATE_SORT:
			return "validating: sorting";
		case PROGRESS_CREATEIDX_PHASE_VALIDATE_TABLESCAN:
			return "validating: scanning the table";
		case PROGRESS_CREATEIDX_PHASE_WAIT_3:
			return "waiting for old snapshots";
		case PROGRESS_CREATEIDX_PHASE_WAIT_4:
			return "waiting for readers before marking the old index dead";
		case PROGRESS_CREATEIDX_PHASE_WAIT_5:
			return "waiting for readers before dropping the old index";
		default:
			return "starting";
	}
}

static void
progress_add_blocker(StringInfo text, int pid)
{
	const PgBackendStatus *entry = progress_entry(pid);

	appendStringInfo(text, "; it waits for process %d", pid);
	if (entry == NULL)
		return;
	if (entry->st_appname != NULL && entry->st_appname[0] != '\0')
		appendStringInfo(text, " (application \"%s\")", entry->st_appname);
	if (entry->st_xact_start_timestamp != 0)
		appendStringInfo(text, ", in a transaction since %s",
						 timestamptz_to_str(entry->st_xact_start_timestamp));
}

/*
 * One sentence without its full stop, palloc'd; NULL when the process is not
 * there any more.
 */
char *
worker_progress_describe(int pid)
{
	const PgBackendStatus *entry;
	StringInfoData text;

	pgstat_clear_backend_activity_snapshot();
	entry = progress_entry(pid);
	if (entry == NULL)
		return NULL;

	initStringInfo(&text);
	appendStringInfoString(&text, entry->st_activity_raw != NULL && entry->st_activity_raw[0] != '\0' ?
						   pgstat_clip_activity(entry->st_activity_raw) : "the worker is starting");
	if (entry->st_progress_command == PROGRESS_COMMAND_CREATE_INDEX)
	{
		const int64 *param = entry->st_progress_param;

		appendStringInfo(&text, ": %s", progress_phase(param[PROGRESS_CREATEIDX_PHASE]));
		if (param[PROGRESS_SCAN_BLOCKS_TOTAL] > 0)
			appendStringInfo(&text, ", " INT64_FORMAT " of " INT64_FORMAT " blocks",
							 param[PROGRESS_SCAN_BLOCKS_DONE],
							 param[PROGRESS_SCAN_BLOCKS_TOTAL]);
		if (param[PROGRESS_CREATEIDX_TUPLES_TOTAL] > 0)
			appendStringInfo(&text, ", " INT64_FORMAT " of " INT64_FORMAT " rows",
							 param[PROGRESS_CREATEIDX_TUPLES_DONE],
							 param[PROGRESS_CREATEIDX_TUPLES_TOTAL]);
		if (param[PROGRESS_WAITFOR_CURRENT_PID] > 0)
			progress_add_blocker(&text, (int) param[PROGRESS_WAITFOR_CURRENT_PID]);
	}
	pgstat_clear_backend_activity_snapshot();
	return text.data;
}
