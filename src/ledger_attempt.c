/*
 * ledger_attempt.c
 *		The ledger's attempts: how far each try of a stepwise script is.
 *
 * An attempt is written by the worker that runs it, which holds the track's
 * migration lock: before and after each statement that runs outside of a
 * transaction block, and with each transactional step in that step's own
 * transaction. So what it says was done was done, and a row that says "running"
 * without a process that holds the lock was interrupted.
 *
 * The fingerprints of the steps are written once. A script that the server cuts
 * as it goes on gets steps with each cut: what changes stands in columns of its
 * own, at the end of which the main ones are written anew, so that thousands of
 * cuts do not write thousands of fingerprints each.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"

/* Fingerprints and cuts that the late columns take. */
#define ATTEMPT_LATE_MAX 32

static LedgerStatement attempt_select_last = {
	"SELECT a.id, a.outcome, a.steps, a.steps_done, a.step_running, "
	"  a.step_fingerprints, a.settings, a.cuts, a.late_fingerprints, a.late_cuts, "
	"  a.by_user::pg_catalog.text "
	"FROM tapmig.attempts a WHERE " LEDGER_RESUMABLE("$2")
	"ORDER BY a.id DESC LIMIT 1",
	2, {TEXTOID, TEXTOID}, NULL
};

static LedgerStatement attempt_select_nontransactional = {
	"SELECT a.pid FROM tapmig.attempts a "
	"WHERE a.track OPERATOR(pg_catalog.=) $1 "
	"AND a.outcome OPERATOR(pg_catalog.=) 'running' AND a.step_running IS NOT NULL "
	"ORDER BY a.id DESC LIMIT 1",
	1, {TEXTOID}, NULL
};

static LedgerStatement attempt_abandon = {
	"UPDATE tapmig.attempts a SET outcome = 'abandoned', "
	"  finished_at = coalesce(a.finished_at, pg_catalog.clock_timestamp()) "
	"WHERE a.track OPERATOR(pg_catalog.=) $1 "
	"AND tapmig.version_key(a.version) OPERATOR(pg_catalog.=) $2 "
	"AND a.outcome OPERATOR(pg_catalog.=) ANY "
	"  ('{running,failed,interrupted}'::pg_catalog.text[])",
	2, {TEXTOID, TEXTOID}, NULL
};

static LedgerStatement attempt_close_dead = {
	"UPDATE tapmig.attempts a SET outcome = 'interrupted', "
	"  finished_at = pg_catalog.clock_timestamp(), "
	"  message = coalesce(a.message, 'its process ended before it could say why') "
	"WHERE a.track OPERATOR(pg_catalog.=) $1 "
	"AND a.outcome OPERATOR(pg_catalog.=) 'running'",
	1, {TEXTOID}, NULL
};

static LedgerStatement attempt_forward_sequence = {
	"SELECT pg_catalog.setval('tapmig.attempts_id_seq', $1)", 1, {INT8OID}, NULL
};

static LedgerStatement attempt_insert = {
	"INSERT INTO tapmig.attempts (id, track, version, checksum, started_at, outcome, "
	"  pid, steps, steps_done, step_running, step_fingerprints, settings, cuts, "
	"  late_fingerprints, late_cuts) "
	"VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8, $9, $10, $11, $12, $13, $14)",
	14, {INT8OID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, INT4OID, INT4OID,
	INT4OID, INT4OID, BYTEAARRAYOID, JSONBOID, INT4ARRAYOID, BYTEAARRAYOID, INT4ARRAYOID}, NULL
};

/* Fingerprints that stay cost nothing: a script may have thousands of steps. */
static LedgerStatement attempt_update = {
	"UPDATE tapmig.attempts a SET steps = $2, steps_done = $3, step_running = $4, "
	"  step_fingerprints = coalesce($5, a.step_fingerprints), settings = $6, "
	"  cuts = coalesce($7, a.cuts), "
	"  late_fingerprints = coalesce($8, a.late_fingerprints), "
	"  late_cuts = coalesce($9, a.late_cuts) "
	"WHERE a.id OPERATOR(pg_catalog.=) $1",
	9, {INT8OID, INT4OID, INT4OID, INT4OID, BYTEAARRAYOID, JSONBOID, INT4ARRAYOID,
	BYTEAARRAYOID, INT4ARRAYOID}, NULL
};

static LedgerStatement attempt_end = {
	"UPDATE tapmig.attempts a SET outcome = $2, finished_at = $3, sqlstate = $4, "
	"  message = $5, detail = $6, line = $7 "
	"WHERE a.id OPERATOR(pg_catalog.=) $1",
	7, {INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, INT4OID}, NULL
};

static LedgerStatement attempt_interrupt = {
	"UPDATE tapmig.attempts a SET outcome = 'interrupted', finished_at = $4, "
	"  sqlstate = $5, message = $6 "
	"WHERE a.track OPERATOR(pg_catalog.=) $1 "
	"AND tapmig.version_key(a.version) OPERATOR(pg_catalog.=) $2 "
	"AND a.pid OPERATOR(pg_catalog.=) $3 "
	"AND a.outcome OPERATOR(pg_catalog.=) 'running'",
	6, {TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID}, NULL
};

/* The elements of an array column, 0 for null. */
static int
attempt_read_array(HeapTuple tuple, TupleDesc desc, int column, Datum **elements)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);
	int			n = 0;

	*elements = NULL;
	if (isnull)
		return 0;
	if (TupleDescAttr(desc, column - 1)->atttypid == BYTEAARRAYOID)
		deconstruct_array(DatumGetArrayTypePCopy(value), BYTEAOID, -1, false,
						  TYPALIGN_INT, elements, NULL, &n);
	else
		deconstruct_array(DatumGetArrayTypePCopy(value), INT4OID, sizeof(int32), true,
						  TYPALIGN_INT, elements, NULL, &n);
	return n;
}

static bytea *
attempt_no_fingerprint(void)
{
	bytea	   *result = palloc(VARHDRSZ);

	SET_VARSIZE(result, VARHDRSZ);
	return result;
}

/* The late ones are the last of all steps. */
static void
attempt_read_fingerprints(HeapTuple tuple, TupleDesc desc, LedgerProgress *progress)
{
	Datum	   *main;
	Datum	   *late;
	int			n_main = attempt_read_array(tuple, desc, 6, &main);
	int			n_late = attempt_read_array(tuple, desc, 9, &late);
	int			n = n_late > 0 ? progress->steps - n_late : n_main;

	if (n < 0 || n > n_main || n + n_late < progress->steps_done)
		elog(ERROR, "attempt " INT64_FORMAT " has %d finished steps and %d fingerprints",
			 progress->id, progress->steps_done, n_main + n_late);
	progress->fingerprints = palloc(sizeof(bytea *) * Max(Max(n + n_late, progress->steps), 1));
	for (int i = 0; i < n + n_late; i++)
		progress->fingerprints[i] = DatumGetByteaPCopy(i < n ? main[i] : late[i - n]);
	for (int i = n + n_late; i < progress->steps; i++)
		progress->fingerprints[i] = attempt_no_fingerprint();
}

static void
attempt_read_cuts(HeapTuple tuple, TupleDesc desc, LedgerProgress *progress)
{
	Datum	   *main;
	Datum	   *late;
	int			n_main = attempt_read_array(tuple, desc, 8, &main);
	int			n_late = attempt_read_array(tuple, desc, 10, &late);

	progress->n_cuts = n_main + n_late;
	progress->cuts = palloc(sizeof(int) * Max(progress->n_cuts, 1));
	for (int i = 0; i < progress->n_cuts; i++)
		progress->cuts[i] = DatumGetInt32(i < n_main ? main[i] : late[i - n_main]);
}

/*
 * The attempt that the next run of a version resumes, or NULL; the version is
 * not in force. It may have finished no step.
 */
LedgerProgress *
ledger_find_attempt(const LedgerIdentity *id, const char *track, const Version *version)
{
	LedgerFrame frame;
	LedgerScan	scan;
	LedgerProgress *progress = NULL;
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_text(version->key)};
	Datum		params[2];
	bool		exists;

	/* Most versions have none. */
	ledger_scan_begin(&scan, AccessShareLock, "attempts", "attempts_track_version", 2, keys, NULL);
	exists = ledger_scan_next(&scan, ForwardScanDirection) != NULL;
	ledger_scan_end(&scan);
	if (!exists)
		return NULL;

	params[0] = keys[0].value;
	params[1] = keys[1].value;
	ledger_frame_enter(id, &frame);
	if (ledger_read(&attempt_select_last, params, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		value;

		MemoryContextSwitchTo(frame.caller);
		progress = palloc0(sizeof(LedgerProgress));
		progress->id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		progress->outcome = ledger_get_text(tuple, desc, 2);
		progress->steps = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
		progress->steps_done = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
		value = SPI_getbinval(tuple, desc, 5, &isnull);
		progress->step_running = isnull ? 0 : DatumGetInt32(value);
		attempt_read_fingerprints(tuple, desc, progress);
		attempt_read_cuts(tuple, desc, progress);
		value = SPI_getbinval(tuple, desc, 7, &isnull);
		progress->settings = isnull ? NULL : DatumGetJsonbPCopy(value);
		progress->by_user = ledger_get_text(tuple, desc, 11);
	}
	ledger_frame_leave(&frame);
	return progress;
}

/* Whether what is to be written goes to the main columns, all of it. */
static bool
attempt_writes_main(const LedgerProgress *progress)
{
	return progress->kept_steps == 0 ||
		progress->steps - progress->kept_steps > ATTEMPT_LATE_MAX ||
		progress->n_cuts - progress->kept_cuts > ATTEMPT_LATE_MAX;
}

/* Fingerprints from .. steps - 1, and cuts from .. n_cuts - 1. */
static Datum
attempt_fingerprints(const LedgerProgress *progress, int from)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(progress->steps - from, 1));
	bytea	   *none = attempt_no_fingerprint();

	for (int i = from; i < progress->steps; i++)
		elements[i - from] = PointerGetDatum(progress->fingerprints[i] != NULL ?
											 progress->fingerprints[i] : none);
	return PointerGetDatum(construct_array(elements, progress->steps - from, BYTEAOID,
										   -1, false, TYPALIGN_INT));
}

static Datum
attempt_cuts(const LedgerProgress *progress, int from)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(progress->n_cuts - from, 1));

	for (int i = from; i < progress->n_cuts; i++)
		elements[i - from] = Int32GetDatum(progress->cuts[i]);
	return PointerGetDatum(construct_array(elements, progress->n_cuts - from, INT4OID,
										   sizeof(int32), true, TYPALIGN_INT));
}

/*
 * The columns that change as an attempt goes on, from steps to late_cuts; null for
 * what the row has.
 */
static void
attempt_progress(const LedgerProgress *progress, Datum *values, char *nulls)
{
	bool		to_main = attempt_writes_main(progress);

	values[0] = Int32GetDatum(progress->steps);
	values[1] = Int32GetDatum(progress->steps_done);
	values[2] = Int32GetDatum(progress->step_running);
	nulls[2] = progress->step_running == 0 ? 'n' : ' ';
	values[4] = PointerGetDatum(progress->settings);
	nulls[4] = progress->settings == NULL ? 'n' : ' ';
	nulls[3] = nulls[5] = nulls[6] = nulls[7] = 'n';
	if (progress->described)
		return;
	if (to_main)
	{
		nulls[3] = nulls[5] = ' ';
		values[3] = attempt_fingerprints(progress, 0);
		values[5] = attempt_cuts(progress, 0);
	}
	nulls[6] = nulls[7] = ' ';
	values[6] = attempt_fingerprints(progress, to_main ? progress->steps : progress->kept_steps);
	values[7] = attempt_cuts(progress, to_main ? progress->n_cuts : progress->kept_cuts);
}

/* To be called when the transaction that wrote a progress has committed. */
void
ledger_attempt_written(LedgerProgress *progress)
{
	if (!progress->described && attempt_writes_main(progress))
	{
		progress->kept_steps = progress->steps;
		progress->kept_cuts = progress->n_cuts;
	}
	progress->described = true;
}

/* The greatest number of an attempt that is committed, 0 for none. */
static int64
attempt_newest(void)
{
	LedgerScan	scan;
	LedgerKey	key = ledger_key_from(PG_INT64_MIN);
	TupleTableSlot *slot;
	int64		newest;

	ledger_scan_begin(&scan, AccessShareLock, "attempts", "attempts_pkey", 1, &key, NULL);
	slot = ledger_scan_next(&scan, BackwardScanDirection);
	newest = slot == NULL ? 0 : DatumGetInt64(slot->tts_values[0]);
	ledger_scan_end(&scan);
	return newest;
}

/*
 * The number of the next attempt, greater than those before it: the last one is
 * resumed. In a frame that is ready for SQL, in a transaction that ends soon.
 *
 * The sequence may have been set back, or to its end, as that of the history. Other
 * tracks take numbers at the same time: who sets it forward does so alone.
 */
int64
ledger_next_attempt(void)
{
	Oid			sequence = ledger_required_oid("attempts_id_seq");
	int64		id = nextval_internal(sequence, false);
	int64		newest = attempt_newest();

	if (id > newest)
		return id;
	LockRelationOid(sequence, ShareUpdateExclusiveLock);
	id = nextval_internal(sequence, false);
	newest = attempt_newest();
	if (id <= newest && newest < LEDGER_SEQUENCE_END)
	{
		Datum		param = Int64GetDatum(newest);

		ledger_read(&attempt_forward_sequence, &param, NULL);
		SPI_freetuptable(SPI_tuptable);
		id = nextval_internal(sequence, false);
	}
	return id > newest ? id : newest + 1;
}

/*
 * Records that this process begins an attempt with the progress given, which
 * may be inherited from an earlier one; sets progress->id. All of it is written:
 * progress->described is false, and nothing is kept.
 */
void
ledger_begin_attempt(const LedgerIdentity *id, const char *track,
					 const Version *version, bytea *checksum,
					 TimestampTz started_at, LedgerProgress *progress)
{
	LedgerFrame frame;
	Datum		values[14];
	char		nulls[14];

	ledger_frame_enter(id, &frame);
	memset(nulls, ' ', sizeof(nulls));

	/* With the lock held here, one that says "running" has no process. */
	values[0] = CStringGetTextDatum(track);
	ledger_write(&attempt_close_dead, values, NULL);
	progress->id = ledger_next_attempt();
	values[0] = Int64GetDatum(progress->id);
	values[1] = CStringGetTextDatum(track);
	values[2] = CStringGetTextDatum(version->text);
	values[3] = PointerGetDatum(checksum);
	values[4] = TimestampTzGetDatum(started_at);
	values[5] = Int32GetDatum(MyProcPid);
	attempt_progress(progress, &values[6], &nulls[6]);
	ledger_insert(&frame, &attempt_insert, NULL, values, nulls);
	ledger_frame_leave(&frame);
}

/* Records how far the attempt is. */
void
ledger_update_attempt(const LedgerIdentity *id, const LedgerProgress *progress)
{
	LedgerFrame frame;
	Datum		values[9];
	char		nulls[9];

	ledger_frame_enter(id, &frame);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(progress->id);
	attempt_progress(progress, &values[1], &nulls[1]);
	if (ledger_write(&attempt_update, values, nulls) != 1)
		elog(ERROR, "attempt " INT64_FORMAT " is gone", progress->id);
	ledger_frame_leave(&frame);
}

/* Ends an attempt; of `end` outcome, sqlstate, message, detail and line count. */
void
ledger_end_attempt(const LedgerIdentity *id, int64 attempt, const LedgerAttempt *end)
{
	LedgerFrame frame;
	Datum		values[7];
	char		nulls[7];

	ledger_frame_enter(id, &frame);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(attempt);
	values[1] = CStringGetTextDatum(end->outcome);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = ledger_text_or_null(end->sqlstate, &nulls[3]);
	values[4] = ledger_text_or_null(end->message, &nulls[4]);
	values[5] = ledger_text_or_null(end->detail, &nulls[5]);
	values[6] = Int32GetDatum(end->line);
	if (end->line <= 0)
		nulls[6] = 'n';
	ledger_write(&attempt_end, values, nulls);
	ledger_frame_leave(&frame);
}

/*
 * Ends an attempt that its worker, of this pid, could not end itself. Does
 * nothing where it did.
 */
void
ledger_interrupt_attempt(const LedgerIdentity *id, const char *track,
						 const Version *version, int pid, const LedgerAttempt *end)
{
	LedgerFrame frame;
	Datum		values[6];
	char		nulls[6];

	ledger_frame_enter(id, &frame);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(track);
	values[1] = CStringGetTextDatum(version->key);
	values[2] = Int32GetDatum(pid);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[4] = ledger_text_or_null(end->sqlstate, &nulls[4]);
	values[5] = ledger_text_or_null(end->message, &nulls[5]);
	ledger_write(&attempt_interrupt, values, nulls);
	ledger_frame_leave(&frame);
}

/*
 * The process of the track's attempt that is recorded as being in a statement
 * outside of a transaction block, 0 for none. It may be gone.
 */
int
ledger_nontransactional_pid(const LedgerIdentity *id, const char *track)
{
	LedgerFrame frame;
	Datum		param;
	int			pid = 0;
	bool		isnull;

	ledger_frame_enter(id, &frame);
	param = CStringGetTextDatum(track);
	if (ledger_read(&attempt_select_nontransactional, &param, NULL) > 0)
		pid = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
										  1, &isnull));
	ledger_frame_leave(&frame);
	return pid;
}

/* Gives up whatever attempts of the version are not finished. Writes no event. */
void
ledger_close_attempts(const LedgerIdentity *id, const char *track, const Version *version)
{
	LedgerFrame frame;
	Datum		params[2];

	ledger_frame_enter(id, &frame);
	params[0] = CStringGetTextDatum(track);
	params[1] = CStringGetTextDatum(version->key);
	ledger_write(&attempt_abandon, params, NULL);
	ledger_frame_leave(&frame);
}

/*
 * Writes an event that changes no row of the ledger: "abandoned" or
 * "step_done". The caller holds the track's migration lock.
 */
void
ledger_note_event(const LedgerIdentity *id, const char *track, const Version *version,
				  const char *event, const char *why)
{
	LedgerFrame frame;

	ledger_frame_enter(id, &frame);
	ledger_append_event(id, &frame, track, version->text, event, NULL, why, NULL, NULL, NULL);
	ledger_frame_leave(&frame);
}
