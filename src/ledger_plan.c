/*
 * ledger_plan.c
 *		What a runner must do: its files against the ledger.
 *
 * Three statements whatever the number of files: the highest version is the
 * last of the track's rows, and failed tries are looked up by index.  Files
 * and rows are merged in the order of their keys.
 *
 * An attempt that is recorded as running is alive where the process that it
 * names holds the track's migration lock. On a standby nobody does, and what
 * is recorded counts.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"
#include "migration_lock.h"

/* One of the caller's files. */
typedef struct PlanFile
{
	const char *given;			/* as the caller named it */
	char	   *version;
	char	   *name;			/* or NULL */
	char	   *key;
	bool		has_checksum;
	uint8		checksum[PG_SHA256_DIGEST_LENGTH];
} PlanFile;

/* One of the track's rows; points into SPI's memory but for the key. */
typedef struct PlanRow
{
	char	   *key;
	text	   *version;
	text	   *name;			/* or NULL */
	bytea	   *checksum;		/* or NULL */
	ArrayType  *also;			/* or NULL */
	const char *applied_by;
	TimestampTz applied_at;
	bool		registered;
} PlanRow;

/* The latest try of a version that is not in force. */
typedef struct PlanAttempt
{
	char	   *key;
	char	   *outcome;
	char	   *sqlstate;		/* or NULL */
	char	   *message;		/* or NULL */
	bool		resumable;		/* this or an earlier try, as the next run will see it */
	bool		orphaned;		/* recorded as running, by a process that is gone */
	TimestampTz at;
} PlanAttempt;

/* A squash in force. */
typedef struct PlanSquash
{
	char	   *key;
	char	   *version;
	List	   *ranges;			/* of LedgerRange */
} PlanSquash;

typedef struct LedgerPlan
{
	MemoryContext context;		/* of the result */
	const LedgerIdentity *id;
	const char *track;
	PlanFile   *files;
	int			n_files;
	PlanRow    *rows;
	int			n_rows;
	PlanAttempt *attempts;
	int			n_attempts;
	List	   *squashes;		/* of PlanSquash */
	bool		stop_out_of_order;
	bool		holder_asked;
	int			holder;			/* of the migration lock, then; -1: nobody */
	LedgerPlanRow *result;
	int			n_result;
} LedgerPlan;

static LedgerStatement plan_select_rows = {
	"SELECT m.version, m.name, m.checksum, m.also, m.applied_by, m.applied_at, "
	"  m.kind OPERATOR(pg_catalog.=) 'registered', "
	"  CASE WHEN m.directives OPERATOR(pg_catalog.?) 'replaces' "
	"       THEN m.directives OPERATOR(pg_catalog.->) 'replaces' END "
	"FROM tapmig.schema_migrations m WHERE m.track OPERATOR(pg_catalog.=) $1 "
	"ORDER BY tapmig.version_key(m.version)",
	1, {TEXTOID},
	NULL
};

/*
 * The latest try of each version, where it hasn't ended well and no event of
 * that version is newer; after "step_done" it can still be resumed.
 */
static LedgerStatement plan_select_attempts = {
	"SELECT l.version, l.outcome, l.sqlstate, l.message, "
	"  EXISTS (SELECT 1 FROM tapmig.attempts a "
	"          WHERE " LEDGER_RESUMABLE("tapmig.version_key(l.version)") "), "
	"  l.at, l.id, l.pid "
	"FROM (SELECT DISTINCT ON (tapmig.version_key(a.version)) "
	"        a.version, a.outcome, a.sqlstate, a.message, a.id, a.pid, "
	"        coalesce(a.finished_at, a.started_at) AS at "
	"      FROM tapmig.attempts a WHERE a.track OPERATOR(pg_catalog.=) $1 "
	"      ORDER BY tapmig.version_key(a.version), a.id DESC) l "
	"WHERE (l.outcome OPERATOR(pg_catalog.=) 'failed' "
	"    OR l.outcome OPERATOR(pg_catalog.=) 'interrupted' "
	"    OR l.outcome OPERATOR(pg_catalog.=) 'running') "
	"  AND coalesce((SELECT h.at OPERATOR(pg_catalog.<=) l.at FROM tapmig.history h "
	"        WHERE h.track OPERATOR(pg_catalog.=) $1 "
	"          AND h.event OPERATOR(pg_catalog.<>) 'applied' "
	"          AND h.event OPERATOR(pg_catalog.<>) 'step_done' "
	"          AND tapmig.version_key(h.version) OPERATOR(pg_catalog.=) "
	"              tapmig.version_key(l.version) "
	"        ORDER BY h.seq DESC LIMIT 1), true) "
	"  AND NOT EXISTS (SELECT 1 FROM tapmig.schema_migrations m "
	"    WHERE m.track OPERATOR(pg_catalog.=) $1 "
	"      AND tapmig.version_key(m.version) OPERATOR(pg_catalog.=) "
	"          tapmig.version_key(l.version) "
	"      AND m.kind OPERATOR(pg_catalog.=) 'applied' "
	"      AND m.applied_at OPERATOR(pg_catalog.>) l.at) "
	"ORDER BY tapmig.version_key(l.version)",
	1, {TEXTOID},
	NULL
};

static LedgerStatement plan_select_still_running = {
	"SELECT 1 FROM tapmig.attempts a WHERE a.id OPERATOR(pg_catalog.=) $1 "
	"AND a.outcome OPERATOR(pg_catalog.=) 'running'",
	1, {INT8OID},
	NULL
};

static int
plan_compare_files(const void *a, const void *b)
{
	const PlanFile *x = a;
	const PlanFile *y = b;
	int			order = version_compare_keys(x->key, y->key);

	/* Equal keys are an error; that it is always the same one is worth this. */
	return order != 0 ? order : strcmp(x->given, y->given);
}

static int
plan_compare_attempt(const void *key, const void *attempt)
{
	return version_compare_keys((const char *) key,
								((const PlanAttempt *) attempt)->key);
}

/* Ten thousand checksums have 640,000 digits: -1, the value of any other byte. */
static void
plan_init_hex(int8 *value)
{
	memset(value, -1, 256);
	for (int i = 0; i < 16; i++)
		value[(unsigned char) "0123456789abcdef"[i]] = (int8) i;
	for (int i = 10; i < 16; i++)
		value[(unsigned char) "0123456789ABCDEF"[i]] = (int8) i;
}

static void
plan_parse_checksum(const int8 *value, const char *hex, PlanFile *file)
{
	size_t		len = strlen(hex);
	int			signs = 0;

	if (len == PG_SHA256_DIGEST_LENGTH * 2)
	{
		for (size_t i = 0; i < len; i += 2)
		{
			int			high = value[(unsigned char) hex[i]];
			int			low = value[(unsigned char) hex[i + 1]];

			signs |= high | low;
			file->checksum[i / 2] = (uint8) ((unsigned int) high << 4 | (unsigned int) low);
		}
	}
	if (len != PG_SHA256_DIGEST_LENGTH * 2 || signs < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("malformed checksum of migration %s", file->given),
				 errdetail("A checksum is the SHA-256 of the file, %d hexadecimal digits.",
						   PG_SHA256_DIGEST_LENGTH * 2)));
	file->has_checksum = true;
}

/* Parse a version in a context that is emptied each time; copy what is kept. */
static void
plan_parse_version(MemoryContext scratch, MemoryContext keep, const char *input,
				   Version *version)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);

	version_parse(input, version);
	version->text = MemoryContextStrdup(keep, version->text);
	version->key = MemoryContextStrdup(keep, version->key);
	if (version->name != NULL)
		version->name = MemoryContextStrdup(keep, version->name);
	version->label = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scratch);
}

static void
plan_read_files(LedgerPlan *plan, MemoryContext scratch, const char **files,
				const char **checksums, int n_files)
{
	int8		hex[256];

	plan_init_hex(hex);
	plan->files = palloc0(sizeof(PlanFile) * Max(n_files, 1));
	plan->n_files = n_files;
	for (int i = 0; i < n_files; i++)
	{
		PlanFile   *file = &plan->files[i];
		Version		version;

		CHECK_FOR_INTERRUPTS();
		if (files[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of versions is null", i + 1)));
		plan_parse_version(scratch, CurrentMemoryContext, files[i], &version);
		file->given = files[i];
		file->version = version.text;
		file->name = version.name;
		file->key = version.key;
		if (checksums != NULL && checksums[i] != NULL)
			plan_parse_checksum(hex, checksums[i], file);
	}

	qsort(plan->files, n_files, sizeof(PlanFile), plan_compare_files);
	for (int i = 1; i < n_files; i++)
	{
		if (version_compare_keys(plan->files[i - 1].key, plan->files[i].key) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("two migrations have version %s", plan->files[i].version),
					 errdetail("They are %s and %s.",
							   plan->files[i - 1].given, plan->files[i].given),
					 errhint("Give one of them another version.")));
	}
}

static void
plan_read_rows(LedgerPlan *plan, MemoryContext scratch, const char *track)
{
	Datum		param = CStringGetTextDatum(track);
	uint64		n = ledger_read(&plan_select_rows, &param, NULL);
	SPITupleTable *table = SPI_tuptable;

	plan->rows = palloc0(sizeof(PlanRow) * Max(n, 1));
	plan->n_rows = (int) n;
	for (uint64 i = 0; i < n; i++)
	{
		PlanRow    *row = &plan->rows[i];
		Datum		values[8];
		bool		nulls[8];
		Version		version;

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(table->vals[i], table->tupdesc, values, nulls);
		row->version = DatumGetTextPP(values[0]);
		row->name = nulls[1] ? NULL : DatumGetTextPP(values[1]);
		row->checksum = nulls[2] ? NULL : DatumGetByteaPP(values[2]);
		row->also = nulls[3] ? NULL : DatumGetArrayTypeP(values[3]);
		row->applied_by = NameStr(*DatumGetName(values[4]));
		row->applied_at = DatumGetTimestampTz(values[5]);
		row->registered = DatumGetBool(values[6]);

		plan_parse_version(scratch, CurrentMemoryContext,
						   text_to_cstring(row->version), &version);
		row->key = version.key;
		if (!nulls[7])
		{
			PlanSquash *squash = palloc(sizeof(PlanSquash));

			squash->key = version.key;
			squash->version = version.text;
			squash->ranges = ledger_parse_replaces(DatumGetJsonbP(values[7]), NIL);
			plan->squashes = lappend(plan->squashes, squash);
		}
	}
}

/* Whether an attempt that is recorded as running has no process any more. */
static bool
plan_is_orphaned(LedgerPlan *plan, Datum attempt, int pid)
{
	bool		orphaned;

	if (!plan->holder_asked)
	{
		plan->holder = -1;
		(void) migration_lock_any_holder(plan->id->extension, plan->track, &plan->holder);
		plan->holder_asked = true;
	}
	if (plan->holder == pid)
		return false;

	/* It may have ended in good order since our snapshot was taken. */
	PushCopiedSnapshot(GetLatestSnapshot());
	orphaned = ledger_read(&plan_select_still_running, &attempt, NULL) > 0;
	PopActiveSnapshot();
	return orphaned;
}

static void
plan_read_attempts(LedgerPlan *plan, MemoryContext scratch)
{
	Datum		param = CStringGetTextDatum(plan->track);
	uint64		n = ledger_read(&plan_select_attempts, &param, NULL);
	SPITupleTable *table = SPI_tuptable;

	plan->attempts = palloc0(sizeof(PlanAttempt) * Max(n, 1));
	plan->n_attempts = (int) n;
	for (uint64 i = 0; i < n; i++)
	{
		PlanAttempt *attempt = &plan->attempts[i];
		Datum		values[8];
		bool		nulls[8];
		Version		version;

		heap_deform_tuple(table->vals[i], table->tupdesc, values, nulls);
		plan_parse_version(scratch, CurrentMemoryContext,
						   TextDatumGetCString(values[0]), &version);
		attempt->key = version.key;
		attempt->outcome = TextDatumGetCString(values[1]);
		attempt->sqlstate = nulls[2] ? NULL : TextDatumGetCString(values[2]);
		attempt->message = nulls[3] ? NULL : TextDatumGetCString(values[3]);
		attempt->resumable = DatumGetBool(values[4]);
		attempt->at = DatumGetTimestampTz(values[5]);
		attempt->orphaned = strcmp(attempt->outcome, "running") == 0 &&
			!RecoveryInProgress() &&
			(nulls[7] || plan_is_orphaned(plan, values[6], DatumGetInt32(values[7])));
	}
}

/* The version of a squash in force that replaces this key, or NULL. */
static const char *
plan_replaced_by(const LedgerPlan *plan, const char *key)
{
	ListCell   *lc;

	foreach(lc, plan->squashes)
	{
		PlanSquash *squash = lfirst(lc);

		if (version_compare_keys(squash->key, key) != 0 &&
			ledger_in_ranges(squash->ranges, key))
			return squash->version;
	}
	return NULL;
}

/* To the second; in a static buffer. */
static const char *
plan_time(TimestampTz at)
{
	if (!TIMESTAMP_NOT_FINITE(at))
		at -= at % USECS_PER_SEC;
	return timestamptz_to_str(at);
}

static char *
plan_when_and_whom(const PlanRow *row)
{
	return psprintf("%s %s by %s", row->registered ? "registered" : "applied",
					plan_time(row->applied_at), row->applied_by);
}

static bool
plan_is_digest(const bytea *bytes, const uint8 *digest)
{
	return VARSIZE_ANY_EXHDR(bytes) == PG_SHA256_DIGEST_LENGTH &&
		memcmp(VARDATA_ANY(bytes), digest, PG_SHA256_DIGEST_LENGTH) == 0;
}

/* Whether the file is, or counts as, what the row records. */
static bool
plan_is_same(const PlanFile *file, const PlanRow *row)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (!file->has_checksum || row->checksum == NULL ||
		plan_is_digest(row->checksum, file->checksum))
		return true;
	if (row->also == NULL)
		return false;

	deconstruct_array(row->also, BYTEAOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i] && plan_is_digest(DatumGetByteaPP(elements[i]), file->checksum))
			return true;
	}
	return false;
}

/* Strings that are not constants are copied to the result's context. */
static void
plan_emit(LedgerPlan *plan, const char *version, const char *name, const char *state,
		  const char *action, const char *detail)
{
	LedgerPlanRow *row = &plan->result[plan->n_result++];

	row->version = MemoryContextStrdup(plan->context, version);
	row->name = name == NULL ? NULL : MemoryContextStrdup(plan->context, name);
	row->state = state;
	row->action = action;
	row->detail = detail == NULL ? NULL : MemoryContextStrdup(plan->context, detail);
}

/* A file whose version is in force. */
static void
plan_both(LedgerPlan *plan, const PlanFile *file, const PlanRow *row)
{
	char	   *recorded_name = row->name == NULL ? NULL : text_to_cstring(row->name);
	const char *name = file->name != NULL ? file->name : recorded_name;

	if (plan_is_same(file, row))
		plan_emit(plan, file->version, name, "applied", "none",
				  plan_when_and_whom(row));
	else if (file->name != NULL && recorded_name != NULL &&
			 strcmp(file->name, recorded_name) != 0)
		plan_emit(plan, file->version, name, "differs", "run",
				  psprintf("%s as %s, the file is %s", plan_when_and_whom(row),
						   ledger_label(text_to_cstring(row->version), recorded_name),
						   ledger_label(file->version, file->name)));
	else
		plan_emit(plan, file->version, name, "differs", "run",
				  psprintf("%s, with another checksum", plan_when_and_whom(row)));
}

/* A file whose version has no row. */
static void
plan_file_only(LedgerPlan *plan, const PlanFile *file)
{
	const PlanRow *highest = plan->n_rows == 0 ? NULL : &plan->rows[plan->n_rows - 1];
	const char *squash = plan_replaced_by(plan, file->key);
	const PlanAttempt *attempt = NULL;
	bool		below = highest != NULL &&
		version_compare_keys(file->key, highest->key) < 0;
	const char *run = below && plan->stop_out_of_order ? "stop" : "run";

	if (squash != NULL)
	{
		plan_emit(plan, file->version, file->name, "applied", "none",
				  psprintf("replaced by %s", squash));
		return;
	}

	if (plan->n_attempts > 0)
		attempt = bsearch(file->key, plan->attempts, plan->n_attempts,
						  sizeof(PlanAttempt), plan_compare_attempt);
	if (attempt != NULL)
	{
		if (attempt->orphaned)
			plan_emit(plan, file->version, file->name, "interrupted", "resume",
					  psprintf("begun %s, its process is gone", plan_time(attempt->at)));
		else if (strcmp(attempt->outcome, "running") == 0)
			plan_emit(plan, file->version, file->name, "running", "wait",
					  psprintf("running since %s", plan_time(attempt->at)));
		else if (strcmp(attempt->outcome, "interrupted") == 0)
			plan_emit(plan, file->version, file->name, "interrupted", "resume",
					  psprintf("interrupted %s", plan_time(attempt->at)));
		else
			plan_emit(plan, file->version, file->name, "failed",
					  attempt->resumable ? "resume" : run,
					  psprintf("failed %s: %s%s%s", plan_time(attempt->at),
							   attempt->sqlstate != NULL ? attempt->sqlstate : "",
							   attempt->sqlstate != NULL ? " " : "",
							   attempt->message != NULL ? attempt->message : ""));
	}
	else if (below)
		plan_emit(plan, file->version, file->name, "out_of_order", run,
				  psprintf("below %s, the highest applied",
						   text_to_cstring(highest->version)));
	else
		plan_emit(plan, file->version, file->name, "pending", "run", NULL);
}

/* A row without a file. */
static void
plan_row_only(LedgerPlan *plan, const PlanRow *row)
{
	char	   *version = text_to_cstring(row->version);
	char	   *name = row->name == NULL ? NULL : text_to_cstring(row->name);
	const char *squash = plan_replaced_by(plan, row->key);
	char	   *when = plan_when_and_whom(row);

	if (squash != NULL)
		plan_emit(plan, version, name, "applied", "none",
				  psprintf("part of %s", squash));
	else if (plan->n_files == 0 ||
			 version_compare_keys(row->key, plan->files[plan->n_files - 1].key) > 0)
		plan_emit(plan, version, name, "ahead", "none",
				  psprintf("%s; above every file", when));
	else
		plan_emit(plan, version, name, "missing", "none",
				  psprintf("%s; there is no file", when));
}

/*
 * The plan: files and rows of the track, in the order of their versions.
 *
 * files: n_files versions, with or without a name; checksums: as many SHA-256
 * in hex, each or all of them may be NULL.  stop_out_of_order: what is below
 * the highest applied version may not run.  Returns *n_rows rows in the current
 * memory context.  Errors: 22004 for a NULL file, 22023 for what is no version
 * or checksum and for two files of one version.
 */
LedgerPlanRow *
ledger_plan(const LedgerIdentity *id, const char *track, const char **files,
			const char **checksums, int n_files, bool stop_out_of_order,
			int *n_rows)
{
	LedgerFrame frame;
	LedgerPlan	plan = {0};
	MemoryContext scratch;
	int			f = 0;
	int			r = 0;

	ledger_check_columns(&ledger_migrations);
	ledger_frame_enter(id, &frame);
	plan.context = frame.caller;
	plan.id = id;
	plan.track = track;
	plan.stop_out_of_order = stop_out_of_order;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "tapmig plan",
									ALLOCSET_DEFAULT_SIZES);
	plan_read_files(&plan, scratch, files, checksums, n_files);
	plan_read_rows(&plan, scratch, track);
	plan_read_attempts(&plan, scratch);

	plan.result = MemoryContextAllocHuge(plan.context, sizeof(LedgerPlanRow) *
										 Max(plan.n_files + plan.n_rows, 1));

	/* What is emitted is copied; all else goes with the scratch context. */
	MemoryContextSwitchTo(scratch);
	while (f < plan.n_files || r < plan.n_rows)
	{
		int			order;

		CHECK_FOR_INTERRUPTS();
		if (f == plan.n_files)
			order = 1;
		else if (r == plan.n_rows)
			order = -1;
		else
			order = version_compare_keys(plan.files[f].key, plan.rows[r].key);

		if (order == 0)
			plan_both(&plan, &plan.files[f++], &plan.rows[r++]);
		else if (order < 0)
			plan_file_only(&plan, &plan.files[f++]);
		else
			plan_row_only(&plan, &plan.rows[r++]);
		MemoryContextReset(scratch);
	}

	ledger_frame_leave(&frame);
	*n_rows = plan.n_result;
	return plan.result;
}
