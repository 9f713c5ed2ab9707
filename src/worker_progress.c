/*
 * worker_progress.c
 *		What a worker is doing, in words.
 *
 * Read from the status entries of the backends, as pg_stat_activity and
 * pg_stat_progress_* are, and from the lock manager; no snapshot, no lock.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "self_wait.h"
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

/* The phases of VACUUM, as pg_stat_progress_vacuum names them. */
static const char *
progress_vacuum_phase(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_VACUUM_PHASE_SCAN_HEAP:
			return "scanning heap";
		case PROGRESS_VACUUM_PHASE_VACUUM_INDEX:
			return "vacuuming indexes";
		case PROGRESS_VACUUM_PHASE_VACUUM_HEAP:
			return "vacuuming heap";
		case PROGRESS_VACUUM_PHASE_INDEX_CLEANUP:
			return "cleaning up indexes";
		case PROGRESS_VACUUM_PHASE_TRUNCATE:
			return "truncating heap";
		case PROGRESS_VACUUM_PHASE_FINAL_CLEANUP:
			return "performing final cleanup";
		default:
			return "initializing";
	}
}

/* The phases of CLUSTER and VACUUM FULL, as pg_stat_progress_cluster names them. */
static const char *
progress_cluster_phase(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CLUSTER_PHASE_SEQ_SCAN_HEAP:
			return "seq scanning heap";
		case PROGRESS_CLUSTER_PHASE_INDEX_SCAN_HEAP:
			return "index scanning heap";
		case PROGRESS_CLUSTER_PHASE_SORT_TUPLES:
			return "sorting tuples";
		case PROGRESS_CLUSTER_PHASE_WRITE_NEW_HEAP:
			return "writing new heap";
		case PROGRESS_CLUSTER_PHASE_SWAP_REL_FILES:
			return "swapping relation files";
		case PROGRESS_CLUSTER_PHASE_REBUILD_INDEX:
			return "rebuilding index";
		case PROGRESS_CLUSTER_PHASE_FINAL_CLEANUP:
			return "performing final cleanup";
		default:
			return "initializing";
	}
}

static void
progress_add(StringInfo text, const char *phase,
			 int64 blocks_done, int64 blocks_total, int64 rows_done, int64 rows_total)
{
	appendStringInfo(text, ": %s", phase);
	if (blocks_total > 0)
		appendStringInfo(text, ", " INT64_FORMAT " of " INT64_FORMAT " blocks",
						 blocks_done, blocks_total);
	if (rows_total > 0)
		appendStringInfo(text, ", " INT64_FORMAT " of " INT64_FORMAT " rows",
						 rows_done, rows_total);
}

/* For progress_find_blocker(): nobody is waited for. */
#define PROGRESS_NOBODY (-1)

/*
 * Who keeps a process from a lock: of several the one with the oldest
 * transaction. 0 for a prepared transaction. Not what a build reports in
 * PROGRESS_WAITFOR_CURRENT_PID: of a prepared transaction that is whoever uses the
 * backend slot now that it was prepared in.
 */
static int
progress_find_blocker(int pid)
{
	ArrayType  *array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
															   Int32GetDatum(pid)));
	TimestampTz oldest = 0;
	int			result = PROGRESS_NOBODY;
	Datum	   *pids;
	int			n;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &pids, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		const PgBackendStatus *entry = progress_entry(DatumGetInt32(pids[i]));
		TimestampTz since = entry != NULL ? entry->st_xact_start_timestamp : 0;

		if (result == PROGRESS_NOBODY || (since != 0 && (oldest == 0 || since < oldest)))
		{
			result = DatumGetInt32(pids[i]);
			oldest = since;
		}
	}
	return result;
}

/*
 * Whether a backend is the other end of a process's own connection to this server:
 * see self_wait.c.
 */
static bool
progress_is_peer(const PgBackendStatus *entry, const PgBackendStatus *waiting)
{
	char		name[NAMEDATALEN];

	if (entry->st_proc_start_timestamp < waiting->st_proc_start_timestamp)
		return false;
	snprintf(name, sizeof(name), SELF_WAIT_NAME, waiting->st_procpid);
	return (entry->st_appname != NULL && strncmp(entry->st_appname, name, strlen(name)) == 0) ||
		(entry->st_backendType == B_WAL_SENDER &&
		 entry->st_proc_start_timestamp >= waiting->st_xact_start_timestamp &&
		 entry->st_activity_raw != NULL &&
		 strncmp(entry->st_activity_raw, "CREATE_REPLICATION_SLOT", 23) == 0);
}

/*
 * Who keeps a process waiting on one of its own connections: the one that keeps
 * the other end from a lock, and that end itself where it waits for the process.
 */
static int
progress_find_behind_peer(int pid)
{
	const PgBackendStatus *waiting = progress_entry(pid);
	PGPROC	   *proc = BackendPidGetProc(pid);
	uint32		event = proc != NULL ? proc->wait_event_info : 0;

	if (waiting == NULL || (event != WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE &&
							(event & 0xFF000000) != PG_WAIT_EXTENSION))
		return PROGRESS_NOBODY;
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const LocalPgBackendStatus *local = COMPAT_BEENTRY_BY_INDEX(i);
		int			blocker;

		if (local == NULL || !progress_is_peer(&local->backendStatus, waiting))
			continue;
		blocker = progress_find_blocker(local->backendStatus.st_procpid);
		if (blocker != PROGRESS_NOBODY)
			return blocker == pid ? local->backendStatus.st_procpid : blocker;
	}
	return PROGRESS_NOBODY;
}

/* Who is waited for, at the end of the chain. */
static int
progress_find_last(int pid)
{
	int			blocker = progress_find_blocker(pid);

	return blocker != PROGRESS_NOBODY ? blocker : progress_find_behind_peer(pid);
}

static void
progress_add_blocker(StringInfo text, int pid)
{
	const PgBackendStatus *entry;

	if (pid == PROGRESS_NOBODY)
		return;
	if (pid == 0)
	{
		appendStringInfoString(text, "; it waits for a prepared transaction (pg_prepared_xacts shows it)");
		return;
	}
	entry = progress_entry(pid);
	appendStringInfo(text, "; it waits for process %d", pid);
	if (entry == NULL)
		return;
	if (entry->st_appname != NULL && entry->st_appname[0] != '\0')
		appendStringInfo(text, " (application \"%s\")", entry->st_appname);

	/* To others pg_stat_activity does not tell this either. */
	if (entry->st_xact_start_timestamp != 0 &&
		(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		 has_privs_of_role(GetUserId(), entry->st_userid)))
		appendStringInfo(text, ", in a transaction since %s",
						 timestamptz_to_str(entry->st_xact_start_timestamp));
}

/* Whether a process waits for a lock that this one has. */
bool
worker_progress_waits_for_me(int pid)
{
	ArrayType  *array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
															   Int32GetDatum(pid)));
	Datum	   *pids;
	int			n;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &pids, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		if (DatumGetInt32(pids[i]) == MyProcPid)
			return true;
	}
	return false;
}

/*
 * One sentence without its full stop, palloc'd; NULL when the process is not
 * there any more.
 */
char *
worker_progress_describe(int pid)
{
	const PgBackendStatus *entry;
	const int64 *param;
	StringInfoData text;

	pgstat_clear_backend_activity_snapshot();
	entry = progress_entry(pid);
	if (entry == NULL)
		return NULL;

	param = entry->st_progress_param;
	initStringInfo(&text);
	appendStringInfoString(&text, entry->st_activity_raw != NULL && entry->st_activity_raw[0] != '\0' ?
						   pgstat_clip_activity(entry->st_activity_raw) : "the worker is starting");
	switch (entry->st_progress_command)
	{
		case PROGRESS_COMMAND_CREATE_INDEX:
			progress_add(&text, progress_phase(param[PROGRESS_CREATEIDX_PHASE]),
						 param[PROGRESS_SCAN_BLOCKS_DONE], param[PROGRESS_SCAN_BLOCKS_TOTAL],
						 param[PROGRESS_CREATEIDX_TUPLES_DONE],
						 param[PROGRESS_CREATEIDX_TUPLES_TOTAL]);
			break;
		case PROGRESS_COMMAND_VACUUM:
			progress_add(&text, progress_vacuum_phase(param[PROGRESS_VACUUM_PHASE]),
						 param[PROGRESS_VACUUM_HEAP_BLKS_SCANNED],
						 param[PROGRESS_VACUUM_TOTAL_HEAP_BLKS], 0, 0);
			break;
		case PROGRESS_COMMAND_CLUSTER:
			progress_add(&text, progress_cluster_phase(param[PROGRESS_CLUSTER_PHASE]),
						 param[PROGRESS_CLUSTER_HEAP_BLKS_SCANNED],
						 param[PROGRESS_CLUSTER_TOTAL_HEAP_BLKS], 0, 0);
			break;
		default:
			break;
	}
	progress_add_blocker(&text, progress_find_last(pid));
	pgstat_clear_backend_activity_snapshot();
	return text.data;
}
