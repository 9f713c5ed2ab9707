/*
 * index_repair.h
 *		INVALID indexes, and the effects of interrupted steps.
 */
#ifndef TAPMIG_INDEX_REPAIR_H
#define TAPMIG_INDEX_REPAIR_H

#include "nodes/parsenodes.h"

#include "script.h"

/* What is to be done about a non-transactional statement before it runs. */
typedef enum IndexRepairVerdict
{
	INDEX_REPAIR_RUN,			/* run it, after the statements in `first` */
	INDEX_REPAIR_DONE,			/* its effect is there: it counts as done */
	INDEX_REPAIR_FINALIZE		/* run `first` in its place */
} IndexRepairVerdict;

/*
 * At most one index is dropped a time, so that its caller can lock and look
 * again for each: after a `first` under INDEX_REPAIR_RUN, run or not, judge
 * again, until there is none.
 */
typedef struct IndexRepair
{
	IndexRepairVerdict verdict;
	List	   *first;			/* SQL, C strings, each to be run at top level */
	Oid			table;			/* session lock to take before `first`, or InvalidOid */
	Oid			index;			/* the INVALID index that `first` drops, or InvalidOid */
	char	   *notice;			/* what to tell the caller as `first` runs, or NULL */
} IndexRepair;

extern void index_repair_judge(RawStmt *raw, const char *sql, bool interrupted,
							   IndexRepair *repair);
extern bool index_repair_still_invalid(Oid index);
extern void index_repair_check(RawStmt *raw);
extern void index_repair_check_statement(Script *script, int index);

#endif							/* TAPMIG_INDEX_REPAIR_H */
