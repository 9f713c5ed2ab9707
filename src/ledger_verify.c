/*
 * ledger_verify.c
 *		Is the ledger what its history says, and is the history unbroken?
 *
 * Reads the whole history in the order of its chains, the ledger beside it and
 * then the scripts, through cursors of one snapshot; memory grows with the
 * number of versions of one track only.  Replays the events: "applied" and
 * "registered" bring a version in force, "accepted" and "repeated" change its
 * row, "withdrawn" removes it; the others change nothing.
 *
 * After a broken link the check goes on from the chain that the event has, so
 * that one change is one problem.
 *
 * The triggers that guard the tables are looked at too: a restore of data only
 * leaves them weaker than tapmig made them, and nothing else would tell.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "ledger_internal.h"
#include "script.h"

/* Rows that a cursor fetches at once; scripts one by one, they can be large. */
#define VERIFY_FETCH_ROWS 200

/* What the history says of a version. */
typedef struct VerifyVersion
{
	const char *key;
	char		status;			/* for simplehash */
	char	   *version;
	int64		seq;			/* of its last event */
	bool		in_force;
	bool		found;			/* the ledger has a row */
	bytea	   *state;			/* of that row, or NULL */
} VerifyVersion;

#define SH_PREFIX verify_versions
#define SH_ELEMENT_TYPE VerifyVersion
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) string_hash(key, strlen(key) + 1)
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A cursor, read row by row. */
typedef struct VerifyCursor
{
	Portal		portal;
	SPITupleTable *table;
	uint64		n;
	uint64		next;
	long		fetch;
} VerifyCursor;

typedef struct Verify
{
	ReturnSetInfo *rsinfo;
	bytea	   *head;			/* NULL: none to look for */
	bool		head_found;
	MemoryContext row_context;	/* emptied for each row */
	MemoryContext track_context;	/* emptied for each track */
	VerifyCursor ledger;
	HeapTuple	ledger_row;		/* the next one that is to be checked */

	/* The track that is being read. */
	char	   *track;			/* NULL before the first */
	verify_versions_hash *versions;
	bytea	   *chain;			/* of its last event, as stored; or NULL */
	bytea	   *recomputed;		/* NULL where it is the same */
	bool		broken;			/* an event of it was changed or removed */
} Verify;

static LedgerStatement verify_select_history = {
	"SELECT " LEDGER_HISTORY_COLUMNS " FROM tapmig.history h ORDER BY h.track, h.seq",
	0, {0},
	NULL
};

static LedgerStatement verify_select_ledger = {
	"SELECT " LEDGER_COLUMNS " FROM tapmig.schema_migrations m "
	"ORDER BY m.track, tapmig.version_key(m.version)",
	0, {0},
	NULL
};

static LedgerStatement verify_select_scripts = {
	"SELECT s.checksum, s.sql FROM tapmig.scripts s ORDER BY s.checksum",
	0, {0},
	NULL
};

static LedgerStatement verify_select_script_user = {
	"SELECT m.track, m.version FROM tapmig.schema_migrations m "
	"WHERE m.checksum OPERATOR(pg_catalog.=) $1 "
	"ORDER BY m.track, tapmig.version_key(m.version) LIMIT 1",
	1, {BYTEAOID},
	NULL
};

/*
 * The triggers of sql/tapmig.sql that are not there, or don't fire always. One
 * with another definition, as with a WHEN, is not there.
 */
static LedgerStatement verify_select_guards = {
	"SELECT pg_catalog.format('trigger %s of %s %s: %sALTER TABLE %s ENABLE ALWAYS TRIGGER %s', "
	"    g.name, g.relation, CASE "
	"    WHEN t.oid IS NULL THEN 'is missing, or not as tapmig made it' "
	"    WHEN t.tgenabled OPERATOR(pg_catalog.=) 'D' THEN 'is disabled' "
	"    WHEN t.tgenabled OPERATOR(pg_catalog.=) 'R' THEN 'fires only under session_replication_role = replica' "
	"    ELSE 'does not fire under session_replication_role = replica' END, "
	"    CASE WHEN t.oid IS NULL THEN pg_catalog.format('CREATE OR REPLACE TRIGGER %s; ', g.definition) END, "
	"    g.relation, g.name) "
	"FROM (SELECT r.n, r.name, e.n, e.name, pg_catalog.format('%s BEFORE %s ON %s FOR EACH %s EXECUTE FUNCTION tapmig.%s()', "
	"      e.name, coalesce(e.events, r.events), r.name, e.level, e.function) "
	"  FROM (VALUES (1, 'tapmig.schema_migrations', 'DELETE OR UPDATE OR TRUNCATE'), "
	"    (2, 'tapmig.history', 'DELETE OR UPDATE OR TRUNCATE'), "
	"    (3, 'tapmig.scripts', 'TRUNCATE'), (4, 'tapmig.attempts', 'TRUNCATE')) AS r (n, name, events), "
	"  (VALUES (1, 'insert_row', 'INSERT', 'ROW', 'trigger_insert'), "
	"    (2, 'refuse_row', 'DELETE OR UPDATE', 'ROW', 'trigger_refuse'), "
	"    (3, 'refuse_statement', NULL, 'STATEMENT', 'trigger_refuse')) AS e (n, name, events, level, function)) "
	"  AS g (n_relation, relation, n, name, definition) "
	"LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid OPERATOR(pg_catalog.=) g.relation::pg_catalog.regclass "
	"  AND pg_catalog.pg_get_triggerdef(t.oid) OPERATOR(pg_catalog.=) pg_catalog.concat('CREATE TRIGGER ', g.definition) "
	"WHERE coalesce(t.tgenabled, '-') OPERATOR(pg_catalog.<>) 'A' "
	"ORDER BY g.n_relation, g.n",
	0, {0},
	NULL
};

static void
verify_open(VerifyCursor *cursor, LedgerStatement *statement, long fetch)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->fetch = fetch;
	cursor->portal = SPI_cursor_open(NULL, ledger_prepare(statement), NULL, NULL, true);
	if (cursor->portal == NULL)
		elog(ERROR, "could not open a cursor: %s",
			 SPI_result_code_string(SPI_result));
}

/* The next row, NULL after the last; valid until the next call. */
static HeapTuple
verify_next(VerifyCursor *cursor)
{
	CHECK_FOR_INTERRUPTS();
	if (cursor->next == cursor->n)
	{
		if (cursor->table != NULL)
			SPI_freetuptable(cursor->table);
		SPI_cursor_fetch(cursor->portal, true, cursor->fetch);
		cursor->table = SPI_tuptable;
		cursor->n = SPI_processed;
		cursor->next = 0;
		if (cursor->n == 0)
			return NULL;
	}
	return cursor->table->vals[cursor->next++];
}

static void
verify_close(VerifyCursor *cursor)
{
	if (cursor->table != NULL)
		SPI_freetuptable(cursor->table);
	SPI_cursor_close(cursor->portal);
}

/* A row of the result.  seq 0 is NULL. */
static void
verify_report(Verify *v, const char *track, int64 seq, const char *version,
			  const char *problem)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {track == NULL, seq == 0, version == NULL, false};

	if (track != NULL)
		values[0] = CStringGetTextDatum(track);
	values[1] = Int64GetDatum(seq);
	if (version != NULL)
		values[2] = CStringGetTextDatum(version);
	values[3] = CStringGetTextDatum(problem);
	tuplestore_putvalues(v->rsinfo->setResult, v->rsinfo->setDesc, values, nulls);
}

static bool
verify_same_bytes(const bytea *a, const bytea *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* A copy in a context of one's own, NULL for SQL NULL. */
static bytea *
verify_copy(MemoryContext context, Datum value, bool isnull)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bytea	   *copy = isnull ? NULL : DatumGetByteaPCopy(value);

	MemoryContextSwitchTo(old);
	return copy;
}

static int
verify_compare_seq(const void *a, const void *b)
{
	int64		x = (*(VerifyVersion *const *) a)->seq;
	int64		y = (*(VerifyVersion *const *) b)->seq;

	return (x > y) - (x < y);
}

/* A row of the ledger, of a track that the history is at, or doesn't have. */
static void
verify_ledger_row(Verify *v, const char *track, const Datum *values,
				  const bool *nulls, bool has_history)
{
	char	   *label = TextDatumGetCString(values[LEDGER_VERSION]);
	VerifyVersion *entry = NULL;
	Version		version;

	version_parse(label, &version);
	if (has_history)
		entry = verify_versions_lookup(v->versions, version.key);
	if (entry == NULL || !entry->in_force)
	{
		verify_report(v, track, entry == NULL ? 0 : entry->seq, label,
					  "the ledger has a row for this version, the history has no event that put it in force");
		if (entry != NULL)
			entry->found = true;
		return;
	}

	entry->found = true;
	if (entry->state == NULL ||
		!verify_same_bytes(entry->state, ledger_state(values, nulls)))
		verify_report(v, track, entry->seq, label,
					  "the ledger's row for this version was changed after its last event");
}

/*
 * Check the rows of the ledger up to the track that the history has just been
 * read of; up to the end where it is at its own end (track NULL).
 */
static void
verify_ledger_rows(Verify *v)
{
	while (v->ledger_row != NULL)
	{
		Datum		values[LEDGER_N_COLUMNS];
		bool		nulls[LEDGER_N_COLUMNS];
		char	   *track;
		int			order = -1;
		MemoryContext old = MemoryContextSwitchTo(v->row_context);

		heap_deform_tuple(v->ledger_row, v->ledger.table->tupdesc, values, nulls);
		track = TextDatumGetCString(values[LEDGER_TRACK]);
		if (v->track != NULL)
			order = strcmp(track, v->track);
		if (order <= 0)
			verify_ledger_row(v, track, values, nulls, order == 0);
		MemoryContextSwitchTo(old);
		MemoryContextReset(v->row_context);
		if (order > 0)
			break;
		v->ledger_row = verify_next(&v->ledger);
	}
}

/* All events of the track were read: does the ledger say the same? */
static void
verify_end_track(Verify *v)
{
	verify_versions_iterator it;
	VerifyVersion *entry;
	VerifyVersion **lost;
	int			n = 0;

	if (v->track == NULL)
		return;
	verify_ledger_rows(v);

	lost = MemoryContextAllocHuge(v->track_context, sizeof(VerifyVersion *) *
								  Max(v->versions->members, 1));
	verify_versions_start_iterate(v->versions, &it);
	while ((entry = verify_versions_iterate(v->versions, &it)) != NULL)
	{
		if (entry->in_force && !entry->found)
			lost[n++] = entry;
	}
	qsort(lost, n, sizeof(VerifyVersion *), verify_compare_seq);
	for (int i = 0; i < n; i++)
		verify_report(v, v->track, lost[i]->seq, lost[i]->version,
					  "the history says that this version is in force, the ledger has no row for it");

	v->track = NULL;
	MemoryContextReset(v->track_context);
}

static void
verify_begin_track(Verify *v, const char *track)
{
	v->track = MemoryContextStrdup(v->track_context, track);
	v->versions = verify_versions_create(v->track_context, 64, NULL);
	v->chain = NULL;
	v->recomputed = NULL;
	v->broken = false;
}

/* What the event does to its version. */
static void
verify_replay(Verify *v, const Datum *values, const bool *nulls)
{
	char	   *event = TextDatumGetCString(values[LEDGER_HISTORY_EVENT]);
	bool		adds = strcmp(event, "applied") == 0 || strcmp(event, "registered") == 0;
	bool		removes = strcmp(event, "withdrawn") == 0;
	VerifyVersion *entry;
	Version		version;
	bool		found;

	if (!adds && !removes && strcmp(event, "accepted") != 0 &&
		strcmp(event, "repeated") != 0)
		return;

	version_parse(TextDatumGetCString(values[LEDGER_HISTORY_VERSION]), &version);
	entry = verify_versions_lookup(v->versions, version.key);
	if (entry == NULL)
	{
		entry = verify_versions_insert(v->versions,
									   MemoryContextStrdup(v->track_context, version.key),
									   &found);
		entry->version = MemoryContextStrdup(v->track_context, version.text);
		entry->in_force = false;
		entry->found = false;
		entry->state = NULL;
	}
	entry->seq = DatumGetInt64(values[LEDGER_HISTORY_SEQ]);
	/* Where the chain is broken, the event that withdrew it may be the missing one. */
	if (adds && entry->in_force && !v->broken)
		verify_report(v, v->track, entry->seq, entry->version,
					  "this event puts a version in force that was in force already: its row was removed by hand");
	if (adds)
		entry->in_force = true;
	else if (removes)
		entry->in_force = false;
	if (entry->state != NULL)
		pfree(entry->state);
	entry->state = verify_copy(v->track_context, values[LEDGER_HISTORY_STATE],
							   nulls[LEDGER_HISTORY_STATE]);
}

/* Does the event follow from the one before it? */
static void
verify_link(Verify *v, const Datum *values, const bool *nulls)
{
	int64		seq = DatumGetInt64(values[LEDGER_HISTORY_SEQ]);
	char	   *version = TextDatumGetCString(values[LEDGER_HISTORY_VERSION]);
	bytea	   *stored = nulls[LEDGER_HISTORY_CHAIN] ? NULL :
		DatumGetByteaPP(values[LEDGER_HISTORY_CHAIN]);
	bytea	   *expected = ledger_chain(values, nulls, v->chain);
	bool		good = stored != NULL && verify_same_bytes(stored, expected);
	bytea	   *recomputed = NULL;

	/* Where only the chain of the event before was changed, that is reported. */
	if (!good && stored != NULL && v->recomputed != NULL)
		good = verify_same_bytes(stored, ledger_chain(values, nulls, v->recomputed));

	if (stored == NULL)
		verify_report(v, v->track, seq, version, "this event has no chain");
	else if (!good)
		verify_report(v, v->track, seq, version,
					  "the chain is broken: this event was changed or forged, or one before it removed");
	if (!good)
	{
		v->broken = true;
		recomputed = verify_copy(v->track_context, PointerGetDatum(expected), false);
	}

	if (v->head != NULL && stored != NULL && verify_same_bytes(stored, v->head))
		v->head_found = true;

	if (v->chain != NULL)
		pfree(v->chain);
	if (v->recomputed != NULL)
		pfree(v->recomputed);
	v->chain = verify_copy(v->track_context, PointerGetDatum(stored), stored == NULL);
	v->recomputed = recomputed;
}

static void
verify_history(Verify *v)
{
	VerifyCursor history;
	HeapTuple	tuple;

	verify_open(&history, &verify_select_history, VERIFY_FETCH_ROWS);
	verify_open(&v->ledger, &verify_select_ledger, VERIFY_FETCH_ROWS);
	v->ledger_row = verify_next(&v->ledger);

	while ((tuple = verify_next(&history)) != NULL)
	{
		Datum		values[LEDGER_HISTORY_N_COLUMNS];
		bool		nulls[LEDGER_HISTORY_N_COLUMNS];
		MemoryContext old = MemoryContextSwitchTo(v->row_context);
		char	   *track;

		heap_deform_tuple(tuple, history.table->tupdesc, values, nulls);
		track = TextDatumGetCString(values[LEDGER_HISTORY_TRACK]);
		if (v->track == NULL || strcmp(v->track, track) != 0)
		{
			/* It empties the row's context. */
			track = MemoryContextStrdup(old, track);
			verify_end_track(v);
			verify_begin_track(v, track);
		}
		verify_link(v, values, nulls);
		verify_replay(v, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(v->row_context);
	}
	verify_end_track(v);
	verify_ledger_rows(v);

	verify_close(&v->ledger);
	verify_close(&history);

	if (v->head != NULL && !v->head_found)
		verify_report(v, NULL, 0, NULL,
					  psprintf("the history does not contain the head %s",
							   TextDatumGetCString(DirectFunctionCall2(binary_encode,
																	   PointerGetDatum(v->head),
																	   CStringGetTextDatum("hex")))));
}

/* A script's text is not what its checksum says. */
static void
verify_report_script(Verify *v, Datum checksum)
{
	char	   *track = NULL;
	char	   *version = NULL;
	char	   *hex = TextDatumGetCString(DirectFunctionCall2(binary_encode, checksum,
															  CStringGetTextDatum("hex")));

	/* A snapshot that a cursor holds can't be brought up to date. */
	PushCopiedSnapshot(GetActiveSnapshot());
	if (ledger_read(&verify_select_script_user, &checksum, NULL) > 0)
	{
		track = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		version = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	}
	PopActiveSnapshot();
	verify_report(v, track, 0, version,
				  psprintf("the script that is kept under checksum %s has another one", hex));
}

static void
verify_scripts(Verify *v)
{
	VerifyCursor scripts;
	HeapTuple	tuple;

	verify_open(&scripts, &verify_select_scripts, 1);
	while ((tuple = verify_next(&scripts)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(v->row_context);
		Datum		values[2];
		bool		nulls[2];
		bytea	   *checksum;
		text	   *sql;
		uint8		digest[PG_SHA256_DIGEST_LENGTH];
		bool		good;

		heap_deform_tuple(tuple, scripts.table->tupdesc, values, nulls);
		checksum = DatumGetByteaPP(values[0]);
		sql = DatumGetTextPP(values[1]);
		script_checksum(VARDATA_ANY(sql), VARSIZE_ANY_EXHDR(sql), digest);
		good = VARSIZE_ANY_EXHDR(checksum) == PG_SHA256_DIGEST_LENGTH &&
			memcmp(VARDATA_ANY(checksum), digest, PG_SHA256_DIGEST_LENGTH) == 0;
		MemoryContextSwitchTo(old);
		if (!good)
			verify_report_script(v, values[0]);
		MemoryContextReset(v->row_context);
	}
	verify_close(&scripts);
}

/* A trigger that guards the tables has been switched off, or changed. */
static void
verify_guards(Verify *v)
{
	uint64		n;

	/* pg_get_triggerdef() obeys it; the frame's end puts it back. */
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	n = ledger_read(&verify_select_guards, NULL, NULL);
	for (uint64 i = 0; i < n; i++)
		verify_report(v, NULL, 0, NULL,
					  SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
}

/*
 * Check everything, all tracks; put one row for each problem into the
 * tuplestore of rsinfo: track, seq (NULL where no event is at fault), version,
 * problem.  head: a chain kept elsewhere that the history must contain, or NULL.
 */
void
ledger_verify(const LedgerIdentity *id, bytea *head, ReturnSetInfo *rsinfo)
{
	LedgerFrame frame;
	Verify		v = {0};

	ledger_check_columns(&ledger_migrations);
	ledger_check_columns(&ledger_history);
	ledger_frame_enter(id, &frame);
	v.rsinfo = rsinfo;
	v.head = head;
	v.row_context = AllocSetContextCreate(CurrentMemoryContext, "tapmig verify row",
										  ALLOCSET_DEFAULT_SIZES);
	v.track_context = AllocSetContextCreate(CurrentMemoryContext, "tapmig verify track",
											ALLOCSET_DEFAULT_SIZES);
	verify_history(&v);
	verify_scripts(&v);
	verify_guards(&v);
	ledger_frame_leave(&frame);
}
