/*
 * ledger_table.c
 *		The ledger's tables without the executor: lookups by an index, inserts.
 *
 * What every migration asks and writes goes this way, as the server goes at its
 * catalogs; everything else is SQL. Nothing here looks at rights, calls a function
 * of a trigger or an index or depends on a setting, so that it needs no frame.
 *
 * A scan sees what is committed when it begins and what its transaction wrote
 * before, under every isolation level, as a frame does. An insert is for rows
 * that are right by construction; where the table has more to say than the
 * extension made it say, the caller sends SQL instead. Locks are kept until the
 * transaction ends, as a query's.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "ledger_internal.h"

/* Bytes from which on a value's copy counts. */
#define LEDGER_TABLE_LARGE (1024 * 1024)

/* In the place of a column of an index: tapmig.version_key(version). */
#define LEDGER_KEY_COLUMN (-1)

/* The conditions of partial indexes. */
static bool
ledger_row_replaces(const Datum *values, const char *nulls)
{
	JsonbValue	replaces;

	return nulls[LEDGER_DIRECTIVES] != 'n' &&
		ledger_directive(values[LEDGER_DIRECTIVES], "replaces", &replaces);
}

static bool
ledger_event_is_other(const Datum *values, const char *nulls)
{
	text	   *event = DatumGetTextPP(values[LEDGER_HISTORY_EVENT]);

	return VARSIZE_ANY_EXHDR(event) != strlen("applied") ||
		memcmp(VARDATA_ANY(event), "applied", strlen("applied")) != 0;
}

/* As the extension's script makes them. */
static const Oid ledger_migrations_types[LEDGER_N_COLUMNS] = {
	TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
	BYTEAOID, BYTEAARRAYOID, BYTEAOID, INT4OID, INTERVALOID,
	NAMEOID, NAMEOID, TEXTOID, BOOLOID, JSONBOID
};

static const Oid ledger_history_types[LEDGER_HISTORY_N_COLUMNS] = {
	INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NAMEOID, TEXTOID,
	TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID
};

static const Oid ledger_scripts_types[LEDGER_SCRIPTS_N_COLUMNS] = {BYTEAOID, TEXTOID};

const LedgerTable ledger_migrations = {
	.name = "schema_migrations",
	.n_columns = LEDGER_N_COLUMNS,
	.types = ledger_migrations_types,
	.n_checks = 3,
	.version_column = LEDGER_VERSION,
	.n_indexes = 3,
	.indexes = {
		{"schema_migrations_pkey", 2, {LEDGER_TRACK, LEDGER_VERSION}, NULL},
		{"schema_migrations_key", 2, {LEDGER_TRACK, LEDGER_KEY_COLUMN}, NULL},
		{"schema_migrations_replaces", 2, {LEDGER_TRACK, LEDGER_KEY_COLUMN}, ledger_row_replaces}
	}
};
const LedgerTable ledger_history = {
	.name = "history",
	.n_columns = LEDGER_HISTORY_N_COLUMNS,
	.types = ledger_history_types,
	.n_checks = 1,
	.version_column = LEDGER_HISTORY_VERSION,
	.n_indexes = 2,
	.indexes = {
		{"history_pkey", 2, {LEDGER_HISTORY_TRACK, LEDGER_HISTORY_SEQ}, NULL},
		{"history_track_version", 3, {LEDGER_HISTORY_TRACK, LEDGER_KEY_COLUMN, LEDGER_HISTORY_SEQ},
		ledger_event_is_other}
	}
};
const LedgerTable ledger_scripts = {
	.name = "scripts",
	.n_columns = LEDGER_SCRIPTS_N_COLUMNS,
	.types = ledger_scripts_types,
	.n_checks = 1,
	.n_indexes = 1,
	.indexes = {{"scripts_pkey", 1, {LEDGER_SCRIPTS_CHECKSUM}, NULL}}
};

/* Only read; it is written by SQL. */
static const Oid ledger_attempts_types[] = {
	INT8OID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
	INT4OID, INT4OID, BYTEAARRAYOID, JSONBOID, NAMEOID, INT4OID, TEXTOID, TEXTOID,
	TEXTOID, INT4OID, INT4OID, BYTEAARRAYOID, INT4ARRAYOID, INT4ARRAYOID
};
static const LedgerTable ledger_attempts = {
	.name = "attempts",
	.n_columns = lengthof(ledger_attempts_types),
	.types = ledger_attempts_types
};

static const LedgerTable *const ledger_tables[] = {
	&ledger_migrations, &ledger_history, &ledger_scripts, &ledger_attempts
};

/* More than tapmig has tables, indexes and sequences that are asked for by name. */
#define LEDGER_OIDS 24

/*
 * Those of the last names asked for; the server's invalidations of these names
 * forget them.  Others are many: each CREATE TABLE brings its own.
 */
static struct
{
	const char *name;
	Oid			oid;
	uint32		hash;
}			ledger_oids[LEDGER_OIDS];
static int	ledger_n_oids = 0;
static uint64 ledger_forgotten = 0; /* how often */
static uint32 ledger_schema_hash;

static void
ledger_forget_oids(Datum arg, int cache, uint32 hash)
{
	bool		forget = hash == 0 || (cache == NAMESPACENAME && hash == ledger_schema_hash);

	for (int i = 0; i < ledger_n_oids && cache == RELNAMENSP && !forget; i++)
		forget = hash == ledger_oids[i].hash;
	if (forget)
	{
		ledger_n_oids = 0;
		ledger_forgotten++;
	}
}

/* Called once, by _PG_init. */
void
ledger_watch_names(void)
{
	CacheRegisterSyscacheCallback(RELNAMENSP, ledger_forget_oids, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACENAME, ledger_forget_oids, (Datum) 0);
}

/* The relation of a name, a literal, in the schema tapmig; InvalidOid: there is none. */
Oid
ledger_relation_oid(const char *name)
{
	Oid			schema;
	Oid			oid;

	for (int i = 0; i < ledger_n_oids; i++)
	{
		if (strcmp(ledger_oids[i].name, name) == 0)
			return ledger_oids[i].oid;
	}
	schema = get_namespace_oid("tapmig", false);
	oid = get_relname_relid(name, schema);
	if (OidIsValid(oid) && ledger_n_oids < LEDGER_OIDS)
	{
		ledger_schema_hash = GetSysCacheHashValue1(NAMESPACENAME, CStringGetDatum("tapmig"));
		ledger_oids[ledger_n_oids].name = name;
		ledger_oids[ledger_n_oids].oid = oid;
		ledger_oids[ledger_n_oids].hash =
			GetSysCacheHashValue2(RELNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(schema));
		ledger_n_oids++;
	}
	return oid;
}

/* The same for one that there must be: 42P01. */
Oid
ledger_required_oid(const char *name)
{
	Oid			oid = ledger_relation_oid(name);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"tapmig.%s\" does not exist", name),
				 errhint("It is a part of the extension tapmig; restore it from a backup.")));
	return oid;
}

/* 55000: what a call knows of the extension is that of an old one. */
void
ledger_raise_dropped(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"tapmig\" was dropped meanwhile"),
			 errhint("Run it again where the extension was made anew.")));
}

/* 55000 where the table is another one, or none, when the lock is had. */
static Relation
ledger_table_open(const char *name, LOCKMODE mode)
{
	Oid			table = ledger_required_oid(name);
	uint64		forgotten = ledger_forgotten;

	LockRelationOid(table, mode);
	if (ledger_forgotten != forgotten &&
		(!OidIsValid(get_namespace_oid("tapmig", true)) || ledger_relation_oid(name) != table))
		ledger_raise_dropped();
	return table_open(table, NoLock);
}

/*
 * The valid index of a table that has the name now, by the catalogs themselves;
 * InvalidOid: there is none.
 */
static Oid
ledger_index_now(Relation table, const char *name)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Relation	classes = table_open(RelationRelationId, AccessShareLock);
	Relation	indexes = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			oid = InvalidOid;

	ScanKeyInit(&keys[0], Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetNamespace(table)));
	scan = systable_beginscan(classes, ClassNameNspIndexId, true, snapshot, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		oid = ((Form_pg_class) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);

	ScanKeyInit(&keys[0], Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(indexes, IndexRelidIndexId, true, snapshot, 1, keys);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple) || !((Form_pg_index) GETSTRUCT(tuple))->indisvalid ||
		((Form_pg_index) GETSTRUCT(tuple))->indrelid != RelationGetRelid(table))
		oid = InvalidOid;
	systable_endscan(scan);

	table_close(indexes, AccessShareLock);
	table_close(classes, AccessShareLock);
	UnregisterSnapshot(snapshot);
	return oid;
}

static bool
ledger_index_has_condition(Relation rel)
{
	return !heap_attisnull(rel->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/* Whether it has the columns that its name stands for here. */
static bool
ledger_index_has_columns(Relation rel, const LedgerIndex *index)
{
	Form_pg_index form = rel->rd_index;

	if (rel->rd_rel->relam != BTREE_AM_OID ||
		form->indnatts != index->n || form->indnkeyatts != index->n)
		return false;
	for (int i = 0; i < index->n; i++)
	{
		/* 0: an expression */
		if (form->indkey.values[i] != index->columns[i] + 1)
			return false;
	}
	return true;
}

/*
 * 55000 where what is read by an index of this name would not be there, since
 * somebody made it again and otherwise. It may have more rows than tapmig's.
 */
static Relation
ledger_index_check(Relation rel, const LedgerTable *made, const char *name)
{
	for (int i = 0; i < made->n_indexes; i++)
	{
		const LedgerIndex *index = &made->indexes[i];

		if (strcmp(index->name, name) == 0 &&
			(!ledger_index_has_columns(rel, index) ||
			 (index->wanted == NULL && ledger_index_has_condition(rel))))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"tapmig.%s\" is not as tapmig made it", name),
					 errdetail("The ledger is read by it."),
					 errhint("Make it again as it is in a database with a new extension.")));
	}
	return rel;
}

static Relation
ledger_index_open(Relation table, const LedgerTable *made, const char *name, LOCKMODE mode)
{
	Oid			oid = ledger_relation_oid(name);
	Relation	index = OidIsValid(oid) ? index_open(oid, mode) : NULL;

	if (index != NULL && index->rd_index->indisvalid &&
		index->rd_index->indrelid == RelationGetRelid(table))
		return ledger_index_check(index, made, name);

	/*
	 * REINDEX CONCURRENTLY has given the name to another index meanwhile, and the
	 * caches know one half of it.
	 */
	if (index != NULL)
		index_close(index, NoLock);
	oid = ledger_index_now(table, name);
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"tapmig.%s\" is missing or not valid", name),
				 errdetail("The ledger is read by it."),
				 errhint("Make it again, or REINDEX INDEX tapmig.%s.",
						 name)));
	return ledger_index_check(index_open(oid, mode), made, name);
}

/* Go on with other keys of the same index, as many of them. */
void
ledger_scan_keys(LedgerScan *scan, int n_keys, const LedgerKey *keys)
{
	ScanKeyData scan_keys[LEDGER_SCAN_KEYS];

	Assert(n_keys <= LEDGER_SCAN_KEYS);
	for (int i = 0; i < n_keys; i++)
		ScanKeyEntryInitialize(&scan_keys[i], 0, i + 1, keys[i].strategy, InvalidOid,
							   scan->index->rd_indcollation[i], keys[i].operator,
							   keys[i].value);
	index_rescan(scan->scan, scan_keys, n_keys, NULL, 0);
}

static void
ledger_scan_index(LedgerScan *scan, const char *index, int n_keys, const LedgerKey *keys)
{
	scan->index = ledger_index_open(scan->table, scan->made, index, scan->mode);
	scan->scan = compat_index_beginscan(scan->table, scan->index, scan->snapshot, n_keys);
	ledger_scan_keys(scan, n_keys, keys);
}

/*
 * 55000 where a column is not of the type that its values are read as. A domain of
 * that type is, and a shorter text.
 */
static void
ledger_check_types(Relation rel, const LedgerTable *table)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < table->n_columns; i++)
	{
		Form_pg_attribute column = i < desc->natts ? TupleDescAttr(desc, i) : NULL;
		Oid			type = column == NULL ? InvalidOid : column->atttypid;

		if (type == table->types[i])
			continue;
		type = OidIsValid(type) ? getBaseType(type) : type;
		if (type == table->types[i] || (type == VARCHAROID && table->types[i] == TEXTOID))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column %d of tapmig.%s is not as tapmig made it", i + 1, table->name),
				 OidIsValid(type) ?
				 errdetail("Column \"%s\" is of type %s, and was of type %s.", NameStr(column->attname),
						   format_type_be(column->atttypid), format_type_be(table->types[i])) :
				 errdetail("It was dropped."),
				 OidIsValid(type) ?
				 errhint("ALTER TABLE tapmig.%s ALTER COLUMN %s TYPE %s.", table->name,
						 quote_identifier(NameStr(column->attname)),
						 format_type_be(table->types[i])) :
				 errhint("Restore the table from a backup.")));
	}
}

/* The same for whoever reads the table by SQL, and not row by row as text. */
void
ledger_check_columns(const LedgerTable *table)
{
	Relation	rel = ledger_table_open(table->name, AccessShareLock);

	ledger_check_types(rel, table);
	table_close(rel, NoLock);
}

/*
 * Begin to read the rows of a table whose columns in the index, from the first
 * on, satisfy keys. mode: of the locks, RowExclusiveLock where a row is inserted
 * next, so that there is one lock, not two. snapshot NULL: what is committed now.
 *
 * A scan reads all of a page that the keys let it before it returns the first
 * row, so a key that holds only few rows makes a look at the last one cheap.
 */
void
ledger_scan_begin(LedgerScan *scan, LOCKMODE mode, const char *table, const char *index,
				  int n_keys, const LedgerKey *keys, Snapshot snapshot)
{
	scan->mode = mode;
	scan->table = ledger_table_open(table, mode);
	scan->made = NULL;
	for (int i = 0; i < (int) lengthof(ledger_tables) && scan->made == NULL; i++)
	{
		if (strcmp(ledger_tables[i]->name, table) == 0)
			scan->made = ledger_tables[i];
	}
	Assert(scan->made != NULL);
	ledger_check_types(scan->table, scan->made);
	scan->snapshot = RegisterSnapshot(snapshot ? snapshot : GetLatestSnapshot());
	scan->slot = table_slot_create(scan->table, NULL);
	ledger_scan_index(scan, index, n_keys, keys);
}

/* Go on with another index of the table, and the same snapshot. */
void
ledger_scan_again(LedgerScan *scan, const char *index, int n_keys, const LedgerKey *keys)
{
	index_endscan(scan->scan);
	ExecClearTuple(scan->slot);
	index_close(scan->index, NoLock);
	ledger_scan_index(scan, index, n_keys, keys);
}

/*
 * The next row, forward or backward in the index's order: its slot with all
 * columns, valid until the next call. NULL: there is no other.
 */
TupleTableSlot *
ledger_scan_next(LedgerScan *scan, ScanDirection direction)
{
	if (!index_getnext_slot(scan->scan, direction, scan->slot))
		return NULL;
	slot_getallattrs(scan->slot);
	return scan->slot;
}

void
ledger_scan_end(LedgerScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	UnregisterSnapshot(scan->snapshot);
	index_close(scan->index, NoLock);
	table_close(scan->table, NoLock);
}

/* "= text", "= bytea", and "> text", ">= bigint". */
LedgerKey
ledger_key_text(const char *text)
{
	return (LedgerKey) {BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(text)};
}

LedgerKey
ledger_key_bytea(bytea *bytes)
{
	return (LedgerKey) {BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(bytes)};
}

LedgerKey
ledger_key_above(const char *text)
{
	return (LedgerKey) {BTGreaterStrategyNumber, F_TEXT_GT, CStringGetTextDatum(text)};
}

LedgerKey
ledger_key_from(int64 number)
{
	return (LedgerKey) {BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(number)};
}

/* A copy of a column of a row, 0-based; NULL for SQL NULL. */
char *
ledger_slot_text(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NULL : TextDatumGetCString(slot->tts_values[column]);
}

bytea *
ledger_slot_bytea(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NULL : DatumGetByteaPCopy(slot->tts_values[column]);
}

/* Whether the values of a row are those that its columns would have. */
static bool
ledger_row_is_plain(TupleDesc desc, const LedgerTable *table, const char *nulls)
{
	for (int i = 0; i < table->n_columns; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->atttypid != table->types[i] || column->atttypmod >= 0 ||
			(column->attnotnull && nulls != NULL && nulls[i] == 'n'))
			return false;
	}
	return true;
}

/* Whether an INSERT means no more to the table than the extension made it mean. */
static bool
ledger_table_is_plain(Relation rel, const LedgerTable *table, const char *nulls)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TriggerDesc *triggers = rel->trigdesc;

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relispartition ||
		rel->rd_rules != NULL || desc->natts != table->n_columns ||
		desc->constr == NULL || desc->constr->num_check != table->n_checks ||
		desc->constr->has_generated_stored || !ledger_row_is_plain(desc, table, nulls))
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) && strcmp(trigger->tgname, "insert_row") != 0)
			return false;
	}
	return true;
}

/*
 * A large value as the table would store it, so that it isn't copied whole into
 * the tuple first; as it is where that doesn't make it smaller.
 */
static Datum
ledger_table_compress(Form_pg_attribute column, Datum value)
{
	Datum		compressed = (Datum) 0;

	if (column->attlen == -1 && column->attstorage == TYPSTORAGE_EXTENDED &&
		!VARATT_IS_EXTENDED(DatumGetPointer(value)) &&
		VARSIZE(DatumGetPointer(value)) > LEDGER_TABLE_LARGE)
		compressed = toast_compress_datum(value, column->attcompression);
	return DatumGetPointer(compressed) != NULL ? compressed : value;
}

/* Whether an index has entries of some rows only. */
static bool
ledger_index_is_partial(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		partial = HeapTupleIsValid(tuple) &&
		!heap_attisnull(tuple, Anum_pg_index_indpred, NULL);

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return partial;
}

/* Whether the entries that it is to have can be made here. */
static bool
ledger_index_is_plain(Relation rel, const LedgerIndex *index)
{
	return rel->rd_index->indisready && rel->rd_index->indimmediate &&
		ledger_index_has_condition(rel) == (index->wanted != NULL) &&
		ledger_index_has_columns(rel, index);
}

/*
 * Open the indexes that a row has an entry in, NULL in the place of others. False
 * where the table has not the extension's indexes; then none is open.
 */
static bool
ledger_indexes_open(Relation rel, const LedgerTable *table, const Datum *values,
					const char *nulls, Relation *indexes)
{
	List	   *all = RelationGetIndexList(rel);
	bool		plain = list_length(all) == table->n_indexes;
	int			n = 0;

	for (; n < table->n_indexes && plain; n++)
	{
		const LedgerIndex *index = &table->indexes[n];
		Oid			oid = ledger_relation_oid(index->name);

		indexes[n] = NULL;
		if (!list_member_oid(all, oid))
			plain = false;
		else if (index->wanted == NULL || index->wanted(values, nulls))
		{
			indexes[n] = index_open(oid, RowExclusiveLock);
			plain = ledger_index_is_plain(indexes[n], index);
		}
		else
			plain = ledger_index_is_partial(oid);
	}
	while (!plain && --n >= 0)
	{
		if (indexes[n] != NULL)
			index_close(indexes[n], NoLock);
	}
	return plain;
}

/* A row's entry in an index. */
static void
ledger_index_insert(Relation rel, Relation opened, const LedgerTable *table,
					const LedgerIndex *index, TupleTableSlot *row)
{
	Datum		values[LEDGER_INDEX_COLUMNS];
	bool		nulls[LEDGER_INDEX_COLUMNS] = {0};

	for (int i = 0; i < index->n; i++)
	{
		if (index->columns[i] == LEDGER_KEY_COLUMN)
		{
			Version		version;

			version_parse(TextDatumGetCString(row->tts_values[table->version_column]), &version);
			values[i] = CStringGetTextDatum(version.key);
		}
		else
			values[i] = row->tts_values[index->columns[i]];
	}
	/* As for a TOAST table: a btree has no use for what the executor knows of it. */
	(void) index_insert(opened, values, nulls, &row->tts_tid, rel,
						opened->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
						false, NULL);
}

/*
 * Insert a row, given by all columns; nulls as SPI has them. The extension's own
 * trigger is passed over. False where the table wants an INSERT; nothing was done
 * then. Errors: 23505.
 */
bool
ledger_table_insert(const LedgerTable *table, const Datum *values, const char *nulls)
{
	Relation	rel = ledger_table_open(table->name, RowExclusiveLock);
	Relation	indexes[LEDGER_INDEXES];
	TupleTableSlot *slot;

	if (!ledger_table_is_plain(rel, table, nulls) ||
		!ledger_indexes_open(rel, table, values, nulls, indexes))
	{
		table_close(rel, NoLock);
		return false;
	}

	slot = table_slot_create(rel, NULL);
	for (int i = 0; i < table->n_columns; i++)
	{
		slot->tts_isnull[i] = nulls != NULL && nulls[i] == 'n';
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 :
			ledger_table_compress(TupleDescAttr(RelationGetDescr(rel), i), values[i]);
	}
	ExecStoreVirtualTuple(slot);
	simple_table_tuple_insert(rel, slot);
	for (int i = 0; i < table->n_indexes; i++)
	{
		if (indexes[i] == NULL)
			continue;
		ledger_index_insert(rel, indexes[i], table, &table->indexes[i], slot);
		index_close(indexes[i], NoLock);
	}

	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return true;
}
