/*
 * ledger_internal.h
 *		What the files of the ledger share; no other room includes it.
 */
#ifndef TAPMIG_LEDGER_INTERNAL_H
#define TAPMIG_LEDGER_INTERNAL_H

#include "access/genam.h"
#include "executor/spi.h"

#include "compat.h"
#include "ledger.h"

/* The columns of tapmig.schema_migrations, in the table's order. */
typedef enum LedgerColumn
{
	LEDGER_TRACK,
	LEDGER_VERSION,
	LEDGER_NAME,
	LEDGER_APPLIED_AT,
	LEDGER_SOURCE,
	LEDGER_KIND,
	LEDGER_WHY,
	LEDGER_CHECKSUM,
	LEDGER_ALSO,
	LEDGER_FINGERPRINT,
	LEDGER_STATEMENTS,
	LEDGER_ELAPSED,
	LEDGER_APPLIED_BY,
	LEDGER_APPLIED_AS,
	LEDGER_APPLICATION,
	LEDGER_OUT_OF_ORDER,
	LEDGER_DIRECTIVES,
	LEDGER_N_COLUMNS
} LedgerColumn;

#define LEDGER_COLUMNS \
	"m.track, m.version, m.name, m.applied_at, m.source, m.kind, m.why, " \
	"m.checksum, m.also, m.fingerprint, m.statements, m.elapsed, " \
	"m.applied_by, m.applied_as, m.application, m.out_of_order, m.directives"

/* The row of track $1 and key $2. */
#define LEDGER_OF_VERSION \
	"WHERE m.track OPERATOR(pg_catalog.=) $1 " \
	"AND tapmig.version_key(m.version) OPERATOR(pg_catalog.=) $2 "

/*
 * An attempt a that the next run resumes, of track $1 and a version with this
 * key: a stepwise one that has not ended well, and that no event of the version
 * has overtaken; "step_done" only helps it on, and that it was "applied" is
 * looked up where it stays. A later try that never came to a step, since the
 * script could not be read, has no fingerprints.
 */
#define LEDGER_RESUMABLE(key) \
	"a.track OPERATOR(pg_catalog.=) $1 " \
	"AND tapmig.version_key(a.version) OPERATOR(pg_catalog.=) " key " " \
	"AND a.step_fingerprints IS NOT NULL " \
	"AND a.outcome OPERATOR(pg_catalog.=) ANY " \
	"  ('{running,failed,interrupted}'::pg_catalog.text[]) " \
	"AND NOT EXISTS (SELECT 1 FROM tapmig.history h " \
	"  WHERE h.track OPERATOR(pg_catalog.=) $1 " \
	"  AND tapmig.version_key(h.version) OPERATOR(pg_catalog.=) " key " " \
	"  AND h.event OPERATOR(pg_catalog.<>) 'applied' " \
	"  AND h.event OPERATOR(pg_catalog.<>) 'step_done' " \
	"  AND h.at OPERATOR(pg_catalog.>=) a.started_at) " \
	"AND NOT EXISTS (SELECT 1 FROM tapmig.schema_migrations m " \
	"  WHERE m.track OPERATOR(pg_catalog.=) $1 " \
	"  AND tapmig.version_key(m.version) OPERATOR(pg_catalog.=) " key " " \
	"  AND m.kind OPERATOR(pg_catalog.=) 'applied' " \
	"  AND m.applied_at OPERATOR(pg_catalog.>=) a.started_at) "

/* Those of tapmig.history. */
typedef enum LedgerHistoryColumn
{
	LEDGER_HISTORY_SEQ,
	LEDGER_HISTORY_TRACK,
	LEDGER_HISTORY_VERSION,
	LEDGER_HISTORY_EVENT,
	LEDGER_HISTORY_AT,
	LEDGER_HISTORY_BY_USER,
	LEDGER_HISTORY_SOURCE,
	LEDGER_HISTORY_REASON,
	LEDGER_HISTORY_CHECKSUM,
	LEDGER_HISTORY_FINGERPRINT,
	LEDGER_HISTORY_CHAIN,
	LEDGER_HISTORY_STATE,
	LEDGER_HISTORY_N_COLUMNS
} LedgerHistoryColumn;

#define LEDGER_HISTORY_COLUMNS \
	"h.seq, h.track, h.version, h.event, h.at, h.by_user, h.source, " \
	"h.reason, h.checksum, h.fingerprint, h.chain, h.state"

/* Those of tapmig.scripts. */
enum
{
	LEDGER_SCRIPTS_CHECKSUM,
	LEDGER_SCRIPTS_SQL,
	LEDGER_SCRIPTS_N_COLUMNS
};

/* MAXVALUE of tapmig's sequences. */
#define LEDGER_SEQUENCE_END (INT64CONST(1) << 62)

/* One of the ledger's statements; its plan is made at first use and kept. */
typedef struct LedgerStatement
{
	const char *sql;
	int			n_params;
	Oid			types[LEDGER_N_COLUMNS];
	SPIPlanPtr	plan;
} LedgerStatement;

/* An access to the tables; by SQL as their owner, with settings of our own. */
typedef struct LedgerFrame
{
	MemoryContext caller;		/* results go there */
	MemoryContext own;			/* all else */
	Oid			owner;			/* of the extension */
	bool		sql;			/* ready for SQL; then: */
	Oid			user;			/* who called */
	int			security;
	int			guc_nest;
} LedgerFrame;

#define LEDGER_INDEXES 3
#define LEDGER_INDEX_COLUMNS 3

/* An index of such a table, and whether a row has an entry; NULL: each has. */
typedef struct LedgerIndex
{
	const char *name;
	int			n;
	int			columns[LEDGER_INDEX_COLUMNS];	/* of the row, or LEDGER_KEY_COLUMN */
	bool		(*wanted) (const Datum *values, const char *nulls);
} LedgerIndex;

/* A table that rows are inserted into directly. */
typedef struct LedgerTable
{
	const char *name;
	int			n_columns;
	const Oid  *types;			/* of the columns */
	int			n_checks;		/* CHECK constraints */
	int			version_column;
	int			n_indexes;
	LedgerIndex indexes[LEDGER_INDEXES];
} LedgerTable;

#define LEDGER_SCAN_KEYS 2

/* What a column of an index is to be: equal to a value, above it, ... */
typedef struct LedgerKey
{
	StrategyNumber strategy;
	Oid			operator;		/* its function */
	Datum		value;
} LedgerKey;

/* Rows of a table, read by an index. */
typedef struct LedgerScan
{
	LOCKMODE	mode;
	const LedgerTable *made;	/* as tapmig made the table */
	Relation	table;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} LedgerScan;

/* A squash's "001..120"; first and last are the same for a single version. */
typedef struct LedgerRange
{
	char	   *first_key;
	char	   *last_key;
} LedgerRange;

/* ledger.c */
extern void ledger_frame_enter(const LedgerIdentity *id, LedgerFrame *frame);
extern void ledger_frame_begin(const LedgerIdentity *id, LedgerFrame *frame);
extern void ledger_frame_sql(LedgerFrame *frame);
extern void ledger_frame_leave(LedgerFrame *frame);
extern SPIPlanPtr ledger_prepare(LedgerStatement *statement);
extern uint64 ledger_read(LedgerStatement *statement, Datum *values,
						  const char *nulls);
extern uint64 ledger_write(LedgerStatement *statement, Datum *values,
						   const char *nulls);
extern uint64 ledger_insert(LedgerFrame *frame, LedgerStatement *statement,
							const LedgerTable *table, Datum *values, const char *nulls);
extern bool ledger_is_writing(void);
extern Datum ledger_text_or_null(const char *text, char *null);
extern char *ledger_get_text(HeapTuple tuple, TupleDesc desc, int column);
extern int64 ledger_newest_event(const char *track, int64 from, Snapshot snapshot,
								 bytea **chain);
extern bool ledger_key_exists(const char *track, const char *key);
extern bool ledger_script_exists(bytea *checksum);
extern char *ledger_label(const char *version, const char *name);
extern bool ledger_directive(Datum directives, const char *name, JsonbValue *value);
extern List *ledger_parse_replaces(Jsonb *replaces, List *ranges);
extern bool ledger_in_ranges(List *ranges, const char *key);

/* ledger_table.c */
extern const LedgerTable ledger_migrations;
extern const LedgerTable ledger_history;
extern const LedgerTable ledger_scripts;
extern void ledger_watch_names(void);
extern Oid	ledger_relation_oid(const char *name);
extern Oid	ledger_required_oid(const char *name);
extern COMPAT_NORETURN void ledger_raise_dropped(void);
extern void ledger_check_columns(const LedgerTable *table);
extern void ledger_scan_begin(LedgerScan *scan, LOCKMODE mode, const char *table,
							  const char *index, int n_keys, const LedgerKey *keys,
							  Snapshot snapshot);
extern void ledger_scan_keys(LedgerScan *scan, int n_keys, const LedgerKey *keys);
extern void ledger_scan_again(LedgerScan *scan, const char *index, int n_keys,
							  const LedgerKey *keys);
extern TupleTableSlot *ledger_scan_next(LedgerScan *scan, ScanDirection direction);
extern void ledger_scan_end(LedgerScan *scan);
extern LedgerKey ledger_key_text(const char *text);
extern LedgerKey ledger_key_bytea(bytea *bytes);
extern LedgerKey ledger_key_above(const char *text);
extern LedgerKey ledger_key_from(int64 number);
extern char *ledger_slot_text(TupleTableSlot *slot, int column);
extern bytea *ledger_slot_bytea(TupleTableSlot *slot, int column);
extern bool ledger_table_insert(const LedgerTable *table, const Datum *values,
								const char *nulls);

/* ledger_attempt.c */
extern int64 ledger_next_attempt(void);

/* ledger_trigger.c */
extern bool ledger_is_append_only(const char *table);
extern COMPAT_NORETURN void ledger_raise_append_only(const char *command, const char *table);

/* ledger_guard.c */
extern void ledger_refuse_script(void);

/* ledger_chain.c */
extern bytea *ledger_state(const Datum *values, const bool *nulls);
extern bytea *ledger_chain(const Datum *values, const bool *nulls,
						   const bytea *previous);
extern void ledger_append_event(const LedgerIdentity *id, LedgerFrame *frame,
								const char *track, const char *version,
								const char *event, const char *source,
								const char *reason, bytea *checksum,
								bytea *fingerprint, bytea *state);

#endif							/* TAPMIG_LEDGER_INTERNAL_H */
