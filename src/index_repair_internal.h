/*
 * index_repair_internal.h
 *		What the files of the room `index_repair` share.
 */
#ifndef TAPMIG_INDEX_REPAIR_INTERNAL_H
#define TAPMIG_INDEX_REPAIR_INTERNAL_H

#include "access/attnum.h"

#include "compat.h"
#include "index_repair.h"

/* What an index is, in the terms of pg_index. Where it is stored isn't part. */
typedef struct IndexRepairDefinition
{
	Oid			table;
	Oid			access_method;
	bool		unique;
	bool		nulls_not_distinct;
	int			n_columns;		/* with included ones */
	int			n_keys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* 0: the next expression */
	Oid			opclasses[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS];
	int16		order[INDEX_MAX_KEYS];
	List	   *opclass_options[INDEX_MAX_KEYS];	/* as `storage` */
	List	   *expressions;
	List	   *predicate;		/* implicitly ANDed */
	List	   *storage;		/* C strings "name=value", sorted */
} IndexRepairDefinition;

/* An index that is there. */
typedef struct IndexRepairIndex
{
	Oid			oid;
	Oid			schema;
	char	   *name;
	char	   *qualified;		/* quoted, with its schema */
	bool		valid;
	bool		immediate;		/* not of a deferrable constraint */
	const char *bound;			/* what it is a part of, NULL: nothing */
	IndexRepairDefinition definition;
} IndexRepairIndex;

/* index_repair.c */
extern void index_repair_drop(const IndexRepairIndex *index, IndexRepair *repair);
extern COMPAT_NORETURN void index_repair_raise_invalid(const IndexRepairIndex *index,
													   const char *hint);

/* index_repair_definition.c */
extern char *index_repair_qualified_name(Oid relation);
extern bool index_repair_read_index(Oid oid, IndexRepairIndex *index);
extern bool index_repair_read_statement(IndexStmt *stmt, Oid table, const char *sql,
										IndexRepairDefinition *d);
extern char *index_repair_differences(const IndexRepairDefinition *a,
									  const IndexRepairDefinition *b);
extern List *index_repair_indexes_of(Oid table);
extern char *index_repair_definition_text(const IndexRepairIndex *index);
extern const char *index_repair_label(const char *name, const char *label);
extern bool index_repair_is_made_of(const char *name, const char *name1,
									const char *name2, const char *label);

/* index_repair_reindex.c */
extern void index_repair_judge_reindex(ReindexStmt *stmt, IndexRepair *repair);
extern void index_repair_check_reindex(ReindexStmt *stmt);

#endif							/* TAPMIG_INDEX_REPAIR_INTERNAL_H */
