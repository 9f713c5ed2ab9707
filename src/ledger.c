/*
 * ledger.c
 *		The ledger: the frame of its SQL, and the reads.
 *
 * What every migration asks and writes goes by ledger_table.c, without SQL. All
 * else runs in a frame: as the extension's owner, in a security-restricted
 * operation, with a search_path and planner settings of our own, and with a
 * snapshot taken at its beginning.  So a direct read and a frame see the same,
 * whatever the transaction's snapshot is: what is committed now, and what the own
 * transaction wrote before.  UPDATE and DELETE use the transaction's, and fail
 * with 40001 where it doesn't see the row.
 *
 * A frame ends in the transaction that it began in.  An error leaves it through
 * the (sub)transaction's abort, which puts back user, settings and SPI.
 *
 * Writes need the track's migration lock, held until the transaction ends.
 * Statements are planned once in a session and kept; reads are index lookups, so
 * that their cost doesn't grow with the ledger.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger_internal.h"

#ifndef TAPMIG_VERSION
#error "the Makefile defines TAPMIG_VERSION"
#endif

#define LEDGER_OF_TRACK \
	"FROM tapmig.schema_migrations m WHERE m.track OPERATOR(pg_catalog.=) $1 "

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

/* Set around our own writes only; the triggers let these pass. */
static bool ledger_writing = false;

/* Where the extension's row was last seen, if in the catalog's first block. */
static ItemPointerData ledger_extension_place;

/*
 * A copy of the extension's row in pg_extension, or NULL. No invalidation tells of
 * this catalog's rows, so that it is read each time: first where it was last seen,
 * where only a row counts that is visible and has the name, else by the index.
 */
static HeapTuple
ledger_extension_tuple(Relation rel)
{
	HeapTuple	copy = NULL;
	HeapTuple	tuple;
	ScanKeyData key;
	SysScanDesc scan;

	if (ItemPointerIsValid(&ledger_extension_place))
	{
		Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(ExtensionRelationId));
		HeapTupleData seen = {.t_self = ledger_extension_place};
		Buffer		buffer;

		if (heap_fetch(rel, snapshot, &seen, &buffer, false))
		{
			if (namestrcmp(&((Form_pg_extension) GETSTRUCT(&seen))->extname, "tapmig") == 0)
				copy = heap_copytuple(&seen);
			ReleaseBuffer(buffer);
		}
		UnregisterSnapshot(snapshot);
		if (copy != NULL)
			return copy;
	}

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("tapmig"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		copy = heap_copytuple(tuple);
		if (ItemPointerGetBlockNumber(&copy->t_self) == 0)
			ledger_extension_place = copy->t_self;
	}
	systable_endscan(scan);
	return copy;
}

/*
 * Find out who the extension is, who owns it and who calls; to be called at each
 * entry, in the context that the request lives in.
 *
 * Errors: 42704 where the database has no extension tapmig, 55000 where its SQL
 * objects are of another version than this library.
 */
void
ledger_identify(LedgerIdentity *identity)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	HeapTuple	tuple = ledger_extension_tuple(rel);
	Form_pg_extension form;
	char	   *version;
	bool		isnull;

	if (tuple == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"tapmig\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION tapmig.")));

	form = (Form_pg_extension) GETSTRUCT(tuple);
	identity->extension = form->oid;
	identity->owner = form->extowner;
	identity->session_user = GetSessionUserId();
	identity->user = GetUserId();
	identity->application = application_name != NULL && application_name[0] != '\0' ?
		pstrdup(application_name) : NULL;
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
	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
}

/*
 * 55000 where the extension is another one than a call has identified: its migration
 * lock is, too. To be called when the ledger was read in this transaction, so that
 * the extension stays.
 */
void
ledger_check_identity(const LedgerIdentity *identity)
{
	LedgerIdentity now;

	ledger_identify(&now);
	if (now.extension != identity->extension)
		ledger_raise_dropped();
}

static void
ledger_frame_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Begin an access that may need no SQL: see ledger_frame_sql().  Until
 * ledger_frame_leave() everything runs in a memory context of its own; what is to
 * survive is allocated in frame->caller.
 */
void
ledger_frame_begin(const LedgerIdentity *id, LedgerFrame *frame)
{
	frame->caller = CurrentMemoryContext;
	frame->own = AllocSetContextCreate(CurTransactionContext, "tapmig ledger",
									   ALLOCSET_DEFAULT_SIZES);
	frame->owner = id->owner;
	frame->sql = false;
	PushCopiedSnapshot(GetLatestSnapshot());
	MemoryContextSwitchTo(frame->own);
}

/*
 * Make a frame ready for SQL: as the owner until it is left. The current memory
 * context stays what it is.
 */
void
ledger_frame_sql(LedgerFrame *frame)
{
	MemoryContext context = CurrentMemoryContext;

	if (frame->sql)
		return;
	GetUserIdAndSecContext(&frame->user, &frame->security);
	SetUserIdAndSecContext(frame->owner,
						   frame->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);

	/* The first two for what our statements mean, the others for index scans. */
	frame->guc_nest = NewGUCNestLevel();
	ledger_frame_set("search_path", "pg_catalog, pg_temp");
	ledger_frame_set("row_security", "off");
	ledger_frame_set("enable_indexscan", "on");
	ledger_frame_set("enable_seqscan", "off");
	ledger_frame_set("enable_bitmapscan", "off");
	ledger_frame_set("jit", "off");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	frame->sql = true;
	MemoryContextSwitchTo(context);
}

/* Begin an access by SQL. */
void
ledger_frame_enter(const LedgerIdentity *id, LedgerFrame *frame)
{
	ledger_frame_begin(id, frame);
	ledger_frame_sql(frame);
}

/* End an access; back to the caller's user, settings and memory context. */
void
ledger_frame_leave(LedgerFrame *frame)
{
	PopActiveSnapshot();
	if (frame->sql)
	{
		if (SPI_finish() != SPI_OK_FINISH)
			elog(ERROR, "SPI_finish failed");
		AtEOXact_GUC(false, frame->guc_nest);
		SetUserIdAndSecContext(frame->user, frame->security);
	}
	MemoryContextSwitchTo(frame->caller);
	MemoryContextDelete(frame->own);
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
 * Insert a row in a frame. table: the statement's, where its parameters are all
 * its columns in the table's order; NULL where they aren't.
 */
uint64
ledger_insert(LedgerFrame *frame, LedgerStatement *statement, const LedgerTable *table,
			  Datum *values, const char *nulls)
{
	if (table != NULL && ledger_table_insert(table, values, nulls))
		return 1;
	ledger_frame_sql(frame);
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

/* "036_add_index", or "036" where there is no name.  Palloc'd. */
char *
ledger_label(const char *version, const char *name)
{
	return name == NULL ? pstrdup(version) : psprintf("%s_%s", version, name);
}

/* Begin to read the row in force of a version's key. */
static void
ledger_scan_version(LedgerScan *scan, const char *track, const char *key)
{
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_text(key)};

	ledger_scan_begin(scan, AccessShareLock, "schema_migrations", "schema_migrations_key", 2, keys, NULL);
}

/* A copy of what callers need of a row. */
static LedgerRow *
ledger_row(TupleTableSlot *slot)
{
	LedgerRow  *row = palloc0(sizeof(LedgerRow));
	Datum	   *values = slot->tts_values;

	row->version = ledger_slot_text(slot, LEDGER_VERSION);
	row->name = ledger_slot_text(slot, LEDGER_NAME);
	row->kind = ledger_slot_text(slot, LEDGER_KIND);
	row->source = ledger_slot_text(slot, LEDGER_SOURCE);
	row->applied_by = pstrdup(NameStr(*DatumGetName(values[LEDGER_APPLIED_BY])));
	row->applied_at = DatumGetTimestampTz(values[LEDGER_APPLIED_AT]);
	row->checksum = ledger_slot_bytea(slot, LEDGER_CHECKSUM);
	row->fingerprint = ledger_slot_bytea(slot, LEDGER_FINGERPRINT);
	if (!slot->tts_isnull[LEDGER_ALSO])
	{
		Datum	   *elements;
		bool	   *element_nulls;
		int			n;

		deconstruct_array(DatumGetArrayTypePCopy(values[LEDGER_ALSO]), BYTEAOID, -1,
						  false, TYPALIGN_INT, &elements, &element_nulls, &n);
		row->also = palloc(sizeof(bytea *) * Max(n, 1));
		for (int i = 0; i < n; i++)
		{
			if (!element_nulls[i])
				row->also[row->n_also++] = DatumGetByteaPCopy(elements[i]);
		}
	}
	return row;
}

/*
 * The version's row, or NULL where it is not in force.
 */
LedgerRow *
ledger_find(const char *track, const Version *version)
{
	LedgerScan	scan;
	TupleTableSlot *slot;
	LedgerRow  *row;

	ledger_scan_version(&scan, track, version->key);
	slot = ledger_scan_next(&scan, ForwardScanDirection);
	row = slot == NULL ? NULL : ledger_row(slot);
	ledger_scan_end(&scan);
	return row;
}

/* Whether a version of this key is in force. */
bool
ledger_key_exists(const char *track, const char *key)
{
	LedgerScan	scan;
	bool		exists;

	ledger_scan_version(&scan, track, key);
	exists = ledger_scan_next(&scan, ForwardScanDirection) != NULL;
	ledger_scan_end(&scan);
	return exists;
}

/* The last version that a scan by schema_migrations_key still has, or NULL. */
static char *
ledger_last_version(LedgerScan *scan)
{
	TupleTableSlot *slot = ledger_scan_next(scan, BackwardScanDirection);

	return slot == NULL ? NULL : ledger_slot_text(slot, LEDGER_VERSION);
}

/*
 * The track's highest version in force above a key: its text, or NULL where there
 * is none.
 */
char *
ledger_highest_above(const char *track, const char *key)
{
	LedgerScan	scan;
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_above(key)};
	char	   *version;

	ledger_scan_begin(&scan, AccessShareLock, "schema_migrations", "schema_migrations_key", 2, keys, NULL);
	version = ledger_last_version(&scan);
	ledger_scan_end(&scan);
	return version;
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

/* A row's directive of this name; false where it has none. */
bool
ledger_directive(Datum directives, const char *name, JsonbValue *value)
{
	Jsonb	   *all = DatumGetJsonbP(directives);

	return JB_ROOT_IS_OBJECT(all) &&
		getKeyJsonValueFromContainer(&all->root, name, strlen(name), value) != NULL;
}

/* Whether a squash, by its directives, replaces the version of this key. */
static bool
ledger_replaces(Datum directives, const char *key)
{
	JsonbValue	replaces;

	return ledger_directive(directives, "replaces", &replaces) &&
		ledger_in_ranges(ledger_parse_replaces(JsonbValueToJsonb(&replaces), NIL), key);
}

/* Of squashes, those that a scan has: the one that replaces this version, or NULL. */
static char *
ledger_replacing(LedgerScan *scan, const Version *version)
{
	TupleTableSlot *slot;

	while ((slot = ledger_scan_next(scan, ForwardScanDirection)) != NULL)
	{
		Version		squash;

		version_parse(ledger_slot_text(slot, LEDGER_VERSION), &squash);
		if (strcmp(squash.key, version->key) != 0 &&
			!slot->tts_isnull[LEDGER_DIRECTIVES] &&
			ledger_replaces(slot->tts_values[LEDGER_DIRECTIVES], version->key))
			return squash.text;
	}
	return NULL;
}

/*
 * The version of a squash in force that replaces this version, or NULL.
 */
char *
ledger_replaced_by(const char *track, const Version *version)
{
	LedgerScan	scan;
	LedgerKey	key = ledger_key_text(track);
	char	   *result;

	/* An index of squashes only. */
	ledger_scan_begin(&scan, AccessShareLock, "schema_migrations", "schema_migrations_replaces",
					  1, &key, NULL);
	result = ledger_replacing(&scan, version);
	ledger_scan_end(&scan);
	return result;
}

/*
 * All that the ledger has to say of a version before it is run: what ledger_find(),
 * ledger_replaced_by() and ledger_highest_above() say, at one moment.
 */
void
ledger_look(const char *track, const Version *version, LedgerSight *sight)
{
	LedgerScan	scan;
	TupleTableSlot *slot;
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_text(version->key)};

	memset(sight, 0, sizeof(*sight));

	/* Before the wait for the table, after which the scan takes its own snapshot. */
	sight->completed = GetLatestSnapshot()->snapXactCompletionCount;
	ledger_scan_begin(&scan, AccessShareLock, "schema_migrations", "schema_migrations_key", 2, keys, NULL);
	slot = ledger_scan_next(&scan, ForwardScanDirection);
	if (slot != NULL)
		sight->row = ledger_row(slot);
	else
	{
		keys[1] = ledger_key_above(version->key);
		ledger_scan_keys(&scan, 2, keys);
		sight->highest = ledger_last_version(&scan);
		ledger_scan_again(&scan, "schema_migrations_replaces", 1, keys);
		sight->replaced_by = ledger_replacing(&scan, version);
	}
	ledger_scan_end(&scan);
}

/*
 * Whether no transaction has ended since the look, so that another one would see
 * the same; the caller has written nothing since.
 */
bool
ledger_is_unchanged(const LedgerSight *sight)
{
	return sight->completed != 0 &&
		GetLatestSnapshot()->snapXactCompletionCount == sight->completed;
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

/*
 * The number of the track's newest event that the snapshot sees, and a copy of
 * its chain in *chain; 0 and NULL where none has a number of at least `from`.
 * snapshot NULL: what is committed now.
 */
int64
ledger_newest_event(const char *track, int64 from, Snapshot snapshot, bytea **chain)
{
	LedgerScan	scan;
	TupleTableSlot *slot;
	LedgerKey	keys[2] = {ledger_key_text(track), ledger_key_from(from)};
	int64		seq = 0;

	*chain = NULL;
	ledger_scan_begin(&scan, AccessShareLock, "history", "history_pkey", 2, keys, snapshot);
	slot = ledger_scan_next(&scan, BackwardScanDirection);
	if (slot != NULL)
	{
		seq = DatumGetInt64(slot->tts_values[LEDGER_HISTORY_SEQ]);
		*chain = ledger_slot_bytea(slot, LEDGER_HISTORY_CHAIN);
	}
	ledger_scan_end(&scan);
	return seq;
}

/*
 * Whether the transaction works on data that may be older than the ledger: it
 * is repeatable read or serializable, and an event of the track is committed
 * that its snapshot doesn't see.  With the track's lock held this stays so.
 */
bool
ledger_is_stale(const char *track)
{
	bytea	   *chain;

	return IsolationUsesXactSnapshot() &&
		ledger_newest_event(track, PG_INT64_MIN, NULL, &chain) >
		ledger_newest_event(track, PG_INT64_MIN, GetTransactionSnapshot(), &chain);
}

/* Begin to read the script of a checksum; its row, or NULL. */
static TupleTableSlot *
ledger_scan_script(LedgerScan *scan, LOCKMODE mode, bytea *checksum)
{
	LedgerKey	key = ledger_key_bytea(checksum);

	ledger_scan_begin(scan, mode, "scripts", "scripts_pkey", 1, &key, NULL);
	return ledger_scan_next(scan, ForwardScanDirection);
}

/* Whether the text of this checksum is kept, asked by who is to keep it else. */
bool
ledger_script_exists(bytea *checksum)
{
	LedgerScan	scan;
	bool		exists = ledger_scan_script(&scan, RowExclusiveLock, checksum) != NULL;

	ledger_scan_end(&scan);
	return exists;
}

/* Whether the caller may read the scripts' texts, which may hold secrets. */
bool
ledger_shows_scripts(const LedgerIdentity *id)
{
	Oid			scripts = ledger_relation_oid("scripts");

	return pg_class_aclcheck(scripts, id->user, ACL_SELECT) == ACLCHECK_OK;
}

/*
 * The text that is kept for a checksum, or NULL.
 */
char *
ledger_script(bytea *checksum)
{
	LedgerScan	scan;
	TupleTableSlot *slot;
	char	   *script = NULL;

	if (checksum == NULL)
		return NULL;
	slot = ledger_scan_script(&scan, AccessShareLock, checksum);
	if (slot != NULL)
		script = ledger_slot_text(slot, LEDGER_SCRIPTS_SQL);
	ledger_scan_end(&scan);
	return script;
}
