/*
 * rehearsal.c
 *		Runs a script for real, measures it, and rolls it back.
 *
 * Works in the caller's transaction: each try in a subtransaction that is always
 * rolled back, also when the script came to its end. There is one try, but that
 * a statement which the server turns out to refuse in a transaction block is
 * left out, and the rest begins anew.
 *
 * No migration lock is taken. It keeps the ledger's order, and a rehearsal writes
 * no ledger; real runs would wait for it, or fail with TM004, for nothing. What
 * a rehearsal and a real run do to the same relations their relation locks
 * order; a deadlock ends one of them, and a real run is tried again.
 *
 * All names are looked up after the rollback, in the catalogs and with the
 * search_path that the caller has.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "executor.h"
#include "rehearsal.h"
#include "rehearsal_internal.h"
#include "request.h"
#include "retry.h"
#include "script.h"
#include "settings.h"
#include "shape.h"

typedef struct Rehearsal
{
	Settings	settings;
	Script	   *script;
	Shape	   *shape;
	bool	   *left_out;		/* statements that cannot be rehearsed */
	int			n_left_out;
	RehearsalWatch *watch;		/* of the last try */
	Retry	   *retry;			/* knows who blocks it */
	RehearsalRow *rows;
	int			n_rows;
	int			max_rows;
} Rehearsal;

/* What a relation's oid stands for: a key of a hash table. */
typedef struct RehearsalRelation
{
	Oid			oid;
	Oid			root;			/* itself, or the table of an index or TOAST table */
	char		relkind;
	Oid			relfilenode;	/* the last one seen */
	float4		reltuples;
	LOCKMASK	modes;			/* of a root: held so far, its indexes' too */
	int			statement;		/* of a root: the last one that had a row of it */
	int			row;			/* of a root: that row, as long as that statement's are made */
	const char *name;			/* of a root */
} RehearsalRelation;

static const char *const rehearsal_mode_names[] = {
	NULL,
	"ACCESS SHARE",
	"ROW SHARE",
	"ROW EXCLUSIVE",
	"SHARE UPDATE EXCLUSIVE",
	"SHARE",
	"SHARE ROW EXCLUSIVE",
	"EXCLUSIVE",
	"ACCESS EXCLUSIVE"
};

/* Two look on: who blocks it is not to be measured. */
static void
rehearsal_before(int index, void *arg)
{
	const ExecutorObserver *other = retry_observer(((Rehearsal *) arg)->retry);

	other->before(index, other->arg);
	rehearsal_watch_before(index);
}

static void
rehearsal_after(int index, void *arg)
{
	const ExecutorObserver *other = retry_observer(((Rehearsal *) arg)->retry);

	rehearsal_watch_after(index);
	other->after(index, other->arg);
}

/* Leaves a statement out of the next try. */
static void
rehearsal_leave_out(Rehearsal *rehearsal, int index)
{
	Assert(!rehearsal->left_out[index]);
	rehearsal->left_out[index] = true;
	rehearsal->n_left_out++;
	rehearsal->shape->statements[index].role = SHAPE_WITHOUT_EFFECT;
}

static void
rehearsal_read(Rehearsal *rehearsal, const char *sql, size_t len)
{
	Script	   *script;
	Shape	   *shape;
	ListCell   *lc;

	rehearsal->script = script = script_new(sql, len, "rehearsal");
	script_read(script);
	rehearsal->shape = shape = shape_read(script);
	shape_check(script, shape);
	foreach(lc, script->notices)
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(lc))));
	if (shape->lone_commit >= 0)
		ereport(NOTICE,
				(errmsg("COMMIT on line %d has no BEGIN and is ignored",
						script->statements[shape->lone_commit].line)));
	if (shape->isolation >= 0 && shape->isolation != XactIsoLevel)
		ereport(NOTICE,
				(errmsg("the script is rehearsed with the isolation level of this transaction, not with its own")));

	rehearsal->left_out = palloc0(Max(script->n_statements, 1) * sizeof(bool));
	for (int i = 0; i < script->n_statements; i++)
	{
		if (shape->statements[i].kind == SHAPE_STEPWISE &&
			shape->statements[i].role == SHAPE_RUN)
			rehearsal_leave_out(rehearsal, i);
	}
}

/*
 * The statement left out before `index` that names what the error says is
 * missing, or there already; -1: none. The name is what the message quotes.
 */
static int
rehearsal_missing(const Rehearsal *rehearsal, int index, const ErrorData *edata)
{
	const char *start = edata->message ? strchr(edata->message, '"') : NULL;
	const char *end = start ? strchr(start + 1, '"') : NULL;
	char	   *name;

	if (end == NULL || end == start + 1)
		return -1;
	switch (edata->sqlerrcode)
	{
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_DUPLICATE_OBJECT:
		case ERRCODE_DUPLICATE_TABLE:
			break;
		default:
			return -1;
	}
	name = pnstrdup(start + 1, end - start - 1);
	for (int i = index - 1; i >= 0; i--)
	{
		char	   *text;

		if (!rehearsal->left_out[i])
			continue;
		text = script_statement_text(rehearsal->script, i);
		for (const char *p = text; *p != '\0'; p++)
		{
			if (pg_strncasecmp(p, name, strlen(name)) == 0)
				return i;
		}
		pfree(text);
	}
	return -1;
}

/* The last statement left out before `index`, -1: none. */
static int
rehearsal_left_out_before(const Rehearsal *rehearsal, int index)
{
	int			i = index - 1;

	while (i >= 0 && !rehearsal->left_out[i])
		i--;
	return i;
}

/*
 * What an error means, after the rollback. Returns when the rest is to be tried
 * without the statement that failed; else raises the error.
 */
static void
rehearsal_judge(Rehearsal *rehearsal, ErrorData *edata, const ExecutorRefusal *refusal)
{
	Script	   *script = rehearsal->script;
	int			index = rehearsal->watch->last;
	int			cause;

	if (refusal->index >= 0)
	{
		shape_cut(script, rehearsal->shape, refusal->index,
				  refusal->sqlstate != ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE);
		rehearsal_leave_out(rehearsal, refusal->index);
		return;
	}
	if (retry_is_blocked(edata))
		(void) retry_report(rehearsal->retry, edata,
							"A rehearsal is tried once. Begin it again when the table is less busy, or end who blocks it (SELECT pg_terminate_backend(pid)).");
	if (index < 0 || edata->sqlerrcode == TAPMIG_ERRCODE_BLOCKED)
		ReThrowError(edata);

	cause = rehearsal_missing(rehearsal, index, edata);
	if (cause >= 0)
	{
		ereport(WARNING,
				(errmsg("statement %d on line %d cannot be rehearsed without statement %d",
						index + 1, script->statements[index].line, cause + 1),
				 errdetail("Statement %d on line %d (%s) is not run in a rehearsal, and without it: %s.",
						   cause + 1, script->statements[cause].line,
						   rehearsal->shape->statements[cause].command, edata->message)));
		rehearsal_leave_out(rehearsal, index);
		return;
	}

	cause = rehearsal_left_out_before(rehearsal, index);
	if (cause >= 0 && edata->hint == NULL &&
		ERRCODE_TO_CATEGORY(edata->sqlerrcode) != ERRCODE_OPERATOR_INTERVENTION)
		edata->hint = psprintf("Statement %d on line %d (%s) is not run in a rehearsal; this error may come from that.",
							   cause + 1, script->statements[cause].line,
							   rehearsal->shape->statements[cause].command);
	ReThrowError(edata);
}

/*
 * One try; rolled back when it returns. False: another one is to follow, without
 * a statement. Errors of the script are raised after the rollback.
 */
static bool
rehearsal_try(Rehearsal *rehearsal)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			level = GetCurrentTransactionNestLevel();
	const ScriptDirectives *d = &rehearsal->script->directives;
	ErrorData  *volatile edata = NULL;
	RehearsalWatch *watch;
	HeldAdvisory *advisory;
	int			n_advisory;
	ExecutorRefusal refusal;
	ExecutorObserver observer;
	ExecutorOptions options;

	observer.before = rehearsal_before;
	observer.after = rehearsal_after;
	observer.arg = rehearsal;
	refusal.index = -1;
	refusal.sqlstate = 0;
	options.track = rehearsal->settings.track;
	options.register_hint = NULL;
	options.stepwise_hint = NULL;
	options.lock_timeout_ms = d->lock_timeout_ms >= 0 ?
		d->lock_timeout_ms : rehearsal->settings.lock_timeout_ms;
	options.check_deferred = true;
	options.in_worker = false;
	options.refusal = &refusal;
	options.observer = &observer;

	n_advisory = held_locks_read_advisory(&advisory);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	rehearsal->watch = watch = rehearsal_watch_begin(rehearsal->script->n_statements);
	PG_TRY();
	{
		/* Scans are seen in the counters; the rollback puts this back. */
		(void) set_config_option("track_counts", "on", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
		rehearsal_watch_arm(rehearsal->settings.rehearse_limit_ms);
		retry_begin(rehearsal->retry, options.lock_timeout_ms > 0);
		executor_run(rehearsal->script, rehearsal->shape, &options);
		retry_end(rehearsal->retry, false);
		rehearsal_watch_end(false, 0);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		executor_release_slot();
		retry_end(rehearsal->retry, true);
		rehearsal_watch_end(true, edata->sqlerrcode);
	}
	PG_END_TRY();

	while (GetCurrentTransactionNestLevel() > level)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	/* pg_advisory_lock() takes them for the session: no rollback frees them. */
	held_locks_free_advisory(advisory, n_advisory);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);

	if (edata == NULL)
		return true;
	if (!watch->cut)
	{
		rehearsal_judge(rehearsal, edata, &refusal);
		return false;
	}
	ereport(WARNING,
			(errmsg("the rehearsal was cut off in statement %d on line %d",
					watch->last + 1, rehearsal->script->statements[watch->last].line),
			 errdetail("It held a lock that blocks writers for longer than tapmig.rehearse_limit, %d ms.",
					   rehearsal->settings.rehearse_limit_ms),
			 errhint("A real run holds it for longer than that. To measure it, rehearse where nobody writes, with a higher tapmig.rehearse_limit.")));
	return true;
}

/* The table that owns a TOAST table; itself where there is none. */
static Oid
rehearsal_toast_owner(Oid toast)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	Oid			owner = toast;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(toast));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->refclassid == RelationRelationId && row->deptype == DEPENDENCY_INTERNAL)
			owner = row->refobjid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return owner;
}

/*
 * What an oid stands for, as it is after the rollback; its root is InvalidOid
 * where it is gone, and so the script's own or dropped by somebody else since.
 */
static RehearsalRelation *
rehearsal_relation(HTAB *relations, Oid oid)
{
	RehearsalRelation *relation;
	bool		found;
	HeapTuple	tuple;

	relation = hash_search(relations, &oid, HASH_ENTER, &found);
	if (found)
		return relation;
	relation->root = InvalidOid;
	relation->relkind = '\0';
	relation->modes = 0;
	relation->statement = relation->row = -1;
	relation->name = NULL;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return relation;
	relation->relkind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;
	relation->relfilenode = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	relation->reltuples = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);

	relation->root = oid;
	if (relation->relkind == RELKIND_INDEX || relation->relkind == RELKIND_PARTITIONED_INDEX)
		relation->root = IndexGetRelation(oid, true);
	if (relation->relkind == RELKIND_TOASTVALUE)
		relation->root = rehearsal_toast_owner(oid);
	else if (relation->root != oid && OidIsValid(relation->root))
		relation->root = rehearsal_relation(relations, relation->root)->root;
	return relation;
}

static RehearsalRelation *
rehearsal_root(HTAB *relations, const RehearsalRelation *relation)
{
	RehearsalRelation *root = rehearsal_relation(relations, relation->root);

	if (root->name == NULL)
		root->name = DatumGetCString(DirectFunctionCall1(regclassout,
														 ObjectIdGetDatum(root->oid)));
	return root;
}

/* Of two times, without the digits that the subtraction makes up. */
static double
rehearsal_difference(double from_ms, double to_ms)
{
	return rint((to_ms - from_ms) * 1000) / 1000;
}

static RehearsalRow *
rehearsal_add_row(Rehearsal *rehearsal, int index)
{
	const RehearsalCost *cost = &rehearsal->watch->costs[index];
	RehearsalRow *row;

	if (rehearsal->n_rows == rehearsal->max_rows)
	{
		rehearsal->max_rows *= 2;
		rehearsal->rows = repalloc_huge(rehearsal->rows,
										rehearsal->max_rows * sizeof(RehearsalRow));
	}
	row = &rehearsal->rows[rehearsal->n_rows++];
	memset(row, 0, sizeof(*row));
	row->statement = index + 1;
	row->line = rehearsal->script->statements[index].line;
	row->command = rehearsal->shape->statements[index].command;
	row->measured = !rehearsal->left_out[index];
	row->elapsed_ms = rehearsal_difference(cost->start_ms, cost->end_ms);
	row->wal_bytes = cost->wal_bytes;
	row->held_ms = -1;
	row->rewritten = row->scanned = -1;
	return row;
}

/* Every mode that conflicts with one of these. */
static LOCKMASK
rehearsal_conflicts(LOCKMASK modes)
{
	LOCKMASK	result = 0;

	for (LOCKMODE held = AccessShareLock; held <= AccessExclusiveLock; held++)
	{
		if (!(modes & LOCKBIT_ON(held)))
			continue;
		for (LOCKMODE other = AccessShareLock; other <= AccessExclusiveLock; other++)
		{
			if (DoLockModesConflict(held, other))
				result |= LOCKBIT_ON(other);
		}
	}
	return result;
}

/* When the transaction that each statement stands in would end. */
static double *
rehearsal_step_ends(const Rehearsal *rehearsal)
{
	const ShapeStatement *statements = rehearsal->shape->statements;
	const RehearsalWatch *watch = rehearsal->watch;
	int			n = rehearsal->script->n_statements;
	double	   *ends = MemoryContextAllocHuge(CurrentMemoryContext,
											  Max(n, 1) * sizeof(double));
	double		end = watch->end_ms;
	bool		before = false; /* the step's last statement is still to come */

	for (int i = n - 1; i >= 0; i--)
	{
		if (i + 1 < n && statements[i].step != statements[i + 1].step)
			before = true;
		if (before && watch->costs[i].ran)
		{
			end = watch->costs[i].end_ms;
			before = false;
		}
		ends[i] = end;
	}
	return ends;
}

static int
rehearsal_compare_rows(const void *a, const void *b)
{
	const RehearsalRow *x = a;
	const RehearsalRow *y = b;

	if (x->lock != y->lock)
		return y->lock - x->lock;
	return strcmp(x->relation, y->relation);
}

/*
 * Whether a statement has read all of a table. Its sequential scans count, but
 * for those by which TRUNCATE builds the indexes anew, on nothing. Of an index's
 * only such that read it from end to end, not those that look rows up.
 */
static bool
rehearsal_is_scan(const RehearsalRelation *relation, const RehearsalFact *fact)
{
	if (fact->scans == 0)
		return false;
	if (relation->relkind == RELKIND_TOASTVALUE)
		return false;
	if (relation->relkind == RELKIND_INDEX)
		return relation->reltuples > 0 &&
			fact->rows_read >= 0.9 * relation->reltuples * fact->scans;
	return !fact->truncated || fact->rows_read > 0;
}

/* The rows of one statement, from its facts; the strongest lock first. */
static void
rehearsal_rows_of(Rehearsal *rehearsal, HTAB *relations, int index,
				  const RehearsalFact *facts, int n_facts, double step_end)
{
	const RehearsalWatch *watch = rehearsal->watch;
	bool		last_of_cut = watch->cut && index == watch->last;
	int			first = rehearsal->n_rows;
	int			n = first;

	for (int i = 0; i < n_facts; i++)
	{
		const RehearsalFact *fact = &facts[i];
		RehearsalRelation *relation = rehearsal_relation(relations, fact->relation);
		RehearsalRelation *root;
		RehearsalRow *row;
		LOCKMASK	all;

		CHECK_FOR_INTERRUPTS();
		if (relation->root < FirstNormalObjectId)
			continue;
		root = rehearsal_root(relations, relation);
		if (root->statement != index)
		{
			row = rehearsal_add_row(rehearsal, index);
			row->relation = root->name;
			row->rewritten = row->scanned = 0;
			root->statement = index;
			root->row = rehearsal->n_rows - 1;
		}
		row = &rehearsal->rows[root->row];

		all = root->modes | fact->modes;
		if (held_locks_strongest(all) > held_locks_strongest(root->modes) ||
			rehearsal_conflicts(all) != rehearsal_conflicts(root->modes))
		{
			row->lock = Max(row->lock, held_locks_strongest(fact->modes));
			row->lock_mode = rehearsal_mode_names[row->lock];
			row->held_ms = rehearsal_difference(watch->costs[index].start_ms, step_end);
		}
		root->modes = all;

		if (rehearsal_is_scan(relation, fact))
			row->scanned = 1;
		/* An index's file is not its table's. */
		if (relation != root)
			continue;
		if (OidIsValid(fact->relfilenode) && fact->relfilenode != relation->relfilenode)
		{
			relation->relfilenode = fact->relfilenode;
			if (!fact->truncated)
			{
				row->rewritten = 1;
				/* What is written anew was read; not so a materialized view. */
				if (relation->relkind != RELKIND_MATVIEW)
					row->scanned = 1;
			}
		}
	}

	/* Only what is new in some way is a row. */
	for (int i = first; i < rehearsal->n_rows; i++)
	{
		RehearsalRow row = rehearsal->rows[i];

		if (row.lock_mode == NULL && row.rewritten == 0 && row.scanned == 0)
			continue;
		if (last_of_cut)
			row.held_ms = -1;
		if (last_of_cut && watch->unfinished)
		{
			row.rewritten = -1;
			if (row.scanned == 0)
				row.scanned = -1;
		}
		rehearsal->rows[n++] = row;
	}
	rehearsal->n_rows = n;
	if (n == first)
		(void) rehearsal_add_row(rehearsal, index);
	else
		qsort(&rehearsal->rows[first], n - first, sizeof(RehearsalRow),
			  rehearsal_compare_rows);
}

/* The rows of the last try. */
static void
rehearsal_make_rows(Rehearsal *rehearsal)
{
	const RehearsalWatch *watch = rehearsal->watch;
	HASHCTL		control = {0};
	HTAB	   *relations;
	double	   *ends = rehearsal_step_ends(rehearsal);
	int			fact = 0;
	int			n = rehearsal->script->n_statements;

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(RehearsalRelation);
	control.hcxt = CurrentMemoryContext;
	relations = hash_create("tapmig rehearsal relations", 256, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < watch->n_before; i++)
	{
		RehearsalRelation *relation;

		if (watch->before[i].relation < FirstNormalObjectId)
			continue;
		relation = rehearsal_relation(relations, watch->before[i].relation);
		if (OidIsValid(relation->root))
			rehearsal_relation(relations, relation->root)->modes |= watch->before[i].modes;
	}

	rehearsal->max_rows = Max(n, 16);
	rehearsal->rows = MemoryContextAllocHuge(CurrentMemoryContext,
											 rehearsal->max_rows * sizeof(RehearsalRow));
	if (watch->cut)
		n = watch->last + 1;
	for (int i = 0; i < n; i++)
	{
		int			from = fact;

		while (fact < watch->n_facts && watch->facts[fact].statement == i)
			fact++;
		rehearsal_rows_of(rehearsal, relations, i, &watch->facts[from], fact - from,
						  ends[i]);
	}
}

/*
 * tapmig.rehearse: rehearses the script in sql, of len bytes.
 *
 * *rows, in the current memory context, has at least one row a statement, up to
 * the one that the limit cut off; returns their number. Everything is rolled
 * back on return as well as on error. Errors: those of request_check_can_write()
 * and of reading the script; the script's own, with statement and line; TM005
 * where a lock's wait expired.
 */
int
rehearsal_run(const char *sql, size_t len, RehearsalRow **rows)
{
	Rehearsal  *rehearsal = palloc0(sizeof(Rehearsal));

	request_check_can_write("tapmig.rehearse");
	settings_read(&rehearsal->settings, NULL);
	rehearsal_read(rehearsal, sql, len);
	rehearsal->retry = retry_create(&rehearsal->settings, rehearsal->script->label, NULL, NULL);
	while (!rehearsal_try(rehearsal))
		CHECK_FOR_INTERRUPTS();
	rehearsal_make_rows(rehearsal);
	*rows = rehearsal->rows;
	return rehearsal->n_rows;
}
