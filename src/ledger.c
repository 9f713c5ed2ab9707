/*
 * ledger.c
 *		The ledger: the frame of every access, and the reads.
 *
 * Every access runs in a frame: as the extension's owner, in a
 * security-restricted operation, with a search_path and planner settings of our
 * own, and with a snapshot taken at its beginning.  That snapshot, not the
 * transaction's, decides what a read sees: what is committed now, and what the
 * own transaction wrote before, under every isolation level.  UPDATE and DELETE
 * use the transaction's, and fail with 40001 where it doesn't see the row.
 *
 * A frame ends in the transaction that it began in.  An error leaves it through
 * the (sub)transaction's abort, which puts back user, settings and SPI.
 *
 * Writes need the track's migration lock, held until the transaction ends.
 * Statements are planned once in a session and kept; all reads are index
 * lookups, so that their cost doesn't grow with the ledger.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"

#ifndef TAPMIG_VERSION
#error "the Makefile defines TAPMIG_VERSION"
#endif

#define LEDGER_OF_TRACK \
	"FROM tapmig.schema_migrations m WHERE m.track OPERATOR(pg_catalog.=) $1 "

static LedgerStatement ledger_select_version = {
	"SELECT " LEDGER_COLUMNS " FROM tapmig.schema_migrations m " LEDGER_OF_VERSION,
	2, {TEXTOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_select_exists = {
	"SELECT 1 FROM tapmig.schema_migrations m " LEDGER_OF_VERSION,
	2, {TEXTOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_select_highest = {
	"SELECT m.version " LEDGER_OF_TRACK
	"ORDER BY tapmig.version_key(m.version) DESC LIMIT 1",
	1, {TEXTOID},
	NULL
};

static LedgerStatement ledger_select_squashes = {
	"SELECT m.version, m.directives OPERATOR(pg_catalog.->) 'replaces' "
	LEDGER_OF_TRACK "AND m.directives OPERATOR(pg_catalog.?) 'replaces' "
	"ORDER BY tapmig.version_key(m.version)",
	1, {TEXTOID},
	NULL
};

static LedgerStatement ledger_select_range = {
	"SELECT pg_catalog.count(*), "
	"  pg_catalog.bool_or(tapmig.version_key(m.version) OPERATOR(pg_catalog.=) $2), "
	"  pg_catalog.bool_or(tapmig.version_key(m.version) OPERATOR(pg_catalog.=) $3) "
	LEDGER_OF_TRACK
	"AND tapmig.version_key(m.version) OPERATOR(pg_catalog.>=) $2 "
	"AND tapmig.version_key(m.version) OPERATOR(pg_catalog.<=) $3",
	3, {TEXTOID, TEXTOID, TEXTOID},
	NULL
};

static LedgerStatement ledger_select_newest_event = {
	"SELECT h.seq FROM tapmig.history h "
	"WHERE h.track OPERATOR(pg_catalog.=) $1 ORDER BY h.seq DESC LIMIT 1",
	1, {TEXTOID},
	NULL
};

static LedgerStatement ledger_select_script = {
	"SELECT s.sql FROM tapmig.scripts s WHERE s.checksum OPERATOR(pg_catalog.=) $1",
	1, {BYTEAOID},
	NULL
};

/* Set around our own writes only; the triggers let these pass. */
static bool ledger_writing = false;

/*
 * Find out who the extension is and who owns it; to be called at each entry.
 *
 * Errors: 42704 where the database has no extension tapmig, 55000 where its SQL
 * objects are of another version than this library.
 */
void
ledger_identify(LedgerIdentity *identity)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Form_pg_extension form;
	char	   *version;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("tapmig"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"tapmig\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION tapmig.")));

	form = (Form_pg_extension) GETSTRUCT(tuple);
	identity->extension = form->oid;
	identity->owner = form->extowner;
	version = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion,
											   RelationGetDescr(rel), &isnull));
	if (strcmp(version, TAPMIG_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"tapmig\" is at version %s, its library at version %s",
						version, TAPMIG_VERSION),
				 errdetail("SQL objects and library must be of one version."),
				 errhint("Run ALTER EXTENSION tapmig UPDATE, in a new session if the library was just replaced.")));

	pfree(version);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * Begin an access.  Until ledger_frame_leave() everything runs as the owner,
 * and the current memory context is SPI's; what is to survive is allocated in
 * frame->caller.
 */
void
ledger_frame_enter(const LedgerIdentity *id, LedgerFrame *frame)
{
	/* The first two for what our statements mean, the others for index scans. */
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"row_security", "off"},
		{"enable_indexscan", "on"},
		{"enable_seqscan", "off"},
		{"enable_bitmapscan", "off"},
		{"jit", "off"}
	};

	frame->caller = CurrentMemoryContext;
	GetUserIdAndSecContext(&frame->user, &frame->security);
	SetUserIdAndSecContext(id->owner,
						   frame->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	frame->guc_nest = NewGUCNestLevel();
	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1],
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushCopiedSnapshot(GetLatestSnapshot());
}

/* End an access; back to the caller's user, settings and memory context. */
void
ledger_frame_leave(LedgerFrame *frame)
{
	PopActiveSnapshot();
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, frame->guc_nest);
	SetUserIdAndSecContext(frame->user, frame->security);
	MemoryContextSwitchTo(frame->caller);
}

/*
 * The plan of a statement.  Generic, because the table is small when the
 * session's first migrations plan it, and a plan by the index is right always.
 */
SPIPlanPtr
ledger_prepare(LedgerStatement *statement)
{
	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(statement->sql, statement->n_params,
											  statement->types,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "could not keep a plan");
		statement->plan = plan;
	}
	return statement->plan;
}

static void
ledger_check_result(int result, const LedgerStatement *statement)
{
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
}

/*
 * Run a SELECT in a frame, with the frame's snapshot and what was written since.
 * Returns the number of rows, which are in SPI_tuptable until the frame ends.
 */
uint64
ledger_read(LedgerStatement *statement, Datum *values, const char *nulls)
{
	SPIPlanPtr	plan = ledger_prepare(statement);

	UpdateActiveSnapshotCommandId();
	ledger_check_result(SPI_execute_plan(plan, values, nulls, true, 0), statement);
	return SPI_processed;
}

/* Run a statement that writes, past the triggers. */
static uint64
ledger_execute(LedgerStatement *statement, Datum *values, const char *nulls,
			   Snapshot snapshot)
{
	SPIPlanPtr	plan = ledger_prepare(statement);

	Assert(!ledger_writing);
	PG_TRY();
	{
		ledger_writing = true;
		ledger_check_result(SPI_execute_snapshot(plan, values, nulls, snapshot,
												 InvalidSnapshot, false, true, 0),
							statement);
	}
	PG_FINALLY();
	{
		ledger_writing = false;
	}
	PG_END_TRY();
	return SPI_processed;
}

/*
 * Run an UPDATE or DELETE in a frame, with the transaction's snapshot.  Returns
 * the number of rows.  Errors: 40001 as in every statement of the caller's.
 */
uint64
ledger_write(LedgerStatement *statement, Datum *values, const char *nulls)
{
	return ledger_execute(statement, values, nulls, InvalidSnapshot);
}

/*
 * Run an INSERT in a frame, with the frame's snapshot: under repeatable read
 * ON CONFLICT DO NOTHING would fail on a row that the transaction's doesn't see.
 */
uint64
ledger_insert(LedgerStatement *statement, Datum *values, const char *nulls)
{
	return ledger_execute(statement, values, nulls, GetActiveSnapshot());
}

/* Whether the statement that fired a trigger is the ledger's own. */
bool
ledger_is_writing(void)
{
	return ledger_writing;
}

/* A copy of a column of a row, 1-based; NULL for SQL NULL. */
char *
ledger_get_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static bytea *
ledger_get_bytea(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : DatumGetByteaPCopy(value);
}

/* "036_add_index", or "036" where there is no name.  Palloc'd. */
char *
ledger_label(const char *version, const char *name)
{
	return name == NULL ? pstrdup(version) : psprintf("%s_%s", version, name);
}

/*
 * The version's row, or NULL where it is not in force.
 */
LedgerRow *
ledger_find(const LedgerIdentity *id, const char *track, const Version *version)
{
	LedgerFrame frame;
	LedgerRow  *row = NULL;
	Datum		values[2];

	ledger_frame_enter(id, &frame);
	values[0] = CStringGetTextDatum(track);
	values[1] = CStringGetTextDatum(version->key);
	if (ledger_read(&ledger_select_version, values, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		value;
		bool		isnull;

		MemoryContextSwitchTo(frame.caller);
		row = palloc0(sizeof(LedgerRow));
		row->version = ledger_get_text(tuple, desc, LEDGER_VERSION + 1);
		row->name = ledger_get_text(tuple, desc, LEDGER_NAME + 1);
		row->kind = ledger_get_text(tuple, desc, LEDGER_KIND + 1);
		row->source = ledger_get_text(tuple, desc, LEDGER_SOURCE + 1);
		value = SPI_getbinval(tuple, desc, LEDGER_APPLIED_BY + 1, &isnull);
		row->applied_by = pstrdup(NameStr(*DatumGetName(value)));
		value = SPI_getbinval(tuple, desc, LEDGER_APPLIED_AT + 1, &isnull);
		row->applied_at = DatumGetTimestampTz(value);
		row->checksum = ledger_get_bytea(tuple, desc, LEDGER_CHECKSUM + 1);
		row->fingerprint = ledger_get_bytea(tuple, desc, LEDGER_FINGERPRINT + 1);
		value = SPI_getbinval(tuple, desc, LEDGER_ALSO + 1, &isnull);
		if (!isnull)
		{
			Datum	   *elements;
			bool	   *element_nulls;
			int			n;

			deconstruct_array(DatumGetArrayTypePCopy(value), BYTEAOID, -1, false,
							  TYPALIGN_INT, &elements, &element_nulls, &n);
			row->also = palloc(sizeof(bytea *) * Max(n, 1));
			for (int i = 0; i < n; i++)
			{
				if (!element_nulls[i])
					row->also[row->n_also++] = DatumGetByteaPCopy(elements[i]);
			}
		}
	}
	ledger_frame_leave(&frame);
	return row;
}

/*
 * Inside a frame: the key of the highest version in force, NULL where there is
 * none; its text in *version where version isn't NULL.  In the current context.
 */
char *
ledger_highest_key(const char *track, char **version)
{
	Datum		param = CStringGetTextDatum(track);
	Version		parsed;

	if (ledger_read(&ledger_select_highest, &param, NULL) == 0)
		return NULL;

	version_parse(ledger_get_text(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
				  &parsed);
	if (version != NULL)
		*version = parsed.text;
	return parsed.key;
}

/* Inside a frame: whether a version of this key is in force. */
bool
ledger_key_exists(const char *track, const char *key)
{
	Datum		values[2];

	values[0] = CStringGetTextDatum(track);
	values[1] = CStringGetTextDatum(key);
	return ledger_read(&ledger_select_exists, values, NULL) > 0;
}

/*
 * The key of the track's highest version in force, its text in *version; NULL
 * for both where there is none.
 */
char *
ledger_highest(const LedgerIdentity *id, const char *track, char **version)
{
	LedgerFrame frame;
	char	   *key;
	char	   *text = NULL;

	ledger_frame_enter(id, &frame);
	key = ledger_highest_key(track, &text);
	if (key != NULL)
	{
		key = MemoryContextStrdup(frame.caller, key);
		text = MemoryContextStrdup(frame.caller, text);
	}
	ledger_frame_leave(&frame);
	*version = text;
	return key;
}

/* Append the LedgerRange that an item such as "001..120" or "007" stands for. */
static List *
ledger_parse_range(const char *item, List *ranges)
{
	LedgerRange *range = palloc(sizeof(LedgerRange));
	const char *dots = strstr(item, "..");
	Version		version;

	if (dots == NULL)
	{
		version_parse(item, &version);
		range->first_key = range->last_key = version.key;
	}
	else
	{
		version_parse(pnstrdup(item, dots - item), &version);
		range->first_key = version.key;
		version_parse(dots + 2, &version);
		range->last_key = version.key;
	}
	return lappend(ranges, range);
}

/*
 * Append the ranges of a squash, the directive's value as the ledger keeps it:
 * an array of strings.  In the current context.
 */
List *
ledger_parse_replaces(Jsonb *replaces, List *ranges)
{
	JsonbIterator *it = JsonbIteratorInit(&replaces->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM && value.type == jbvString)
			ranges = ledger_parse_range(pnstrdup(value.val.string.val,
												 value.val.string.len),
										ranges);
	}
	return ranges;
}

/* Whether one of the ranges holds this key. */
bool
ledger_in_ranges(List *ranges, const char *key)
{
	ListCell   *lc;

	foreach(lc, ranges)
	{
		LedgerRange *range = lfirst(lc);

		if (version_compare_keys(range->first_key, key) <= 0 &&
			version_compare_keys(key, range->last_key) <= 0)
			return true;
	}
	return false;
}

/*
 * The version of a squash in force that replaces this version, or NULL.
 */
char *
ledger_replaced_by(const LedgerIdentity *id, const char *track,
				   const Version *version)
{
	LedgerFrame frame;
	Datum		param;
	uint64		n;
	char	   *result = NULL;

	ledger_frame_enter(id, &frame);
	param = CStringGetTextDatum(track);
	n = ledger_read(&ledger_select_squashes, &param, NULL);
	for (uint64 i = 0; i < n && result == NULL; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *squash = ledger_get_text(tuple, desc, 1);
		bool		isnull;
		Datum		value = SPI_getbinval(tuple, desc, 2, &isnull);
		Version		parsed;

		version_parse(squash, &parsed);
		if (!isnull && strcmp(parsed.key, version->key) != 0 &&
			ledger_in_ranges(ledger_parse_replaces(DatumGetJsonbP(value), NIL),
							 version->key))
			result = MemoryContextStrdup(frame.caller, squash);
	}
	ledger_frame_leave(&frame);
	return result;
}

/*
 * How much of a range of versions is in force: whether its first and its last
 * one are, and how many in all, both included.
 */
void
ledger_count_range(const LedgerIdentity *id, const char *track,
				   const char *first_key, const char *last_key,
				   bool *first, bool *last, int *n)
{
	LedgerFrame frame;
	Datum		values[3];
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;

	ledger_frame_enter(id, &frame);
	values[0] = CStringGetTextDatum(track);
	values[1] = CStringGetTextDatum(first_key);
	values[2] = CStringGetTextDatum(last_key);
	if (ledger_read(&ledger_select_range, values, NULL) != 1)
		elog(ERROR, "could not count versions");
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	*n = (int) DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	values[1] = SPI_getbinval(tuple, desc, 2, &isnull);
	*first = !isnull && DatumGetBool(values[1]);
	values[2] = SPI_getbinval(tuple, desc, 3, &isnull);
	*last = !isnull && DatumGetBool(values[2]);
	ledger_frame_leave(&frame);
}

/* The number of the track's newest event that the snapshot sees, or 0. */
static int64
ledger_newest_event(const char *track, Snapshot snapshot)
{
	SPIPlanPtr	plan = ledger_prepare(&ledger_select_newest_event);
	Datum		param = CStringGetTextDatum(track);
	bool		isnull;

	ledger_check_result(SPI_execute_snapshot(plan, &param, NULL, snapshot,
											 InvalidSnapshot, true, false, 1),
						&ledger_select_newest_event);
	if (SPI_processed == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Whether the transaction works on data that may be older than the ledger: it
 * is repeatable read or serializable, and an event of the track is committed
 * that its snapshot doesn't see.  With the track's lock held this stays so.
 */
bool
ledger_is_stale(const LedgerIdentity *id, const char *track)
{
	LedgerFrame frame;
	bool		stale;

	if (!IsolationUsesXactSnapshot())
		return false;

	ledger_frame_enter(id, &frame);
	stale = ledger_newest_event(track, GetActiveSnapshot()) >
		ledger_newest_event(track, GetTransactionSnapshot());
	ledger_frame_leave(&frame);
	return stale;
}

/*
 * The text that is kept for a checksum, or NULL.
 */
char *
ledger_script(const LedgerIdentity *id, bytea *checksum)
{
	LedgerFrame frame;
	Datum		param = PointerGetDatum(checksum);
	char	   *script = NULL;

	ledger_frame_enter(id, &frame);
	if (ledger_read(&ledger_select_script, &param, NULL) > 0)
	{
		MemoryContextSwitchTo(frame.caller);
		script = ledger_get_text(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	}
	ledger_frame_leave(&frame);
	return script;
}
