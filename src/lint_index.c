/*
 * lint_index.c
 *		What a script does to indexes: those that it makes, by whatever name, and
 *		those that go with a table, a constraint, a column or by themselves.
 *
 * An index of the script is a relation as any other, which can be dropped and
 * renamed, and an entry of its table's list.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "parser/parse_target.h"

#include "lint_internal.h"

/* Adds an index of the script to its table's list. */
LintIndex *
lint_index_add(Lint *lint, LintRelation *rel, const char *name, bool unique,
			   bool partial, List *keys)
{
	LintIndex  *index;

	/* What the catalogs have comes first. */
	(void) lint_indexes(lint, rel);
	index = lint_alloc(lint, sizeof(LintIndex));
	index->name = name == NULL ? NULL : lint_strdup(lint, name);
	index->valid = true;
	index->unique = unique;
	index->partial = partial;
	index->keys = keys;
	rel->indexes = lint_append(lint, rel->indexes, index);
	return index;
}

static bool
index_has_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* The columns of an index as its name has them, joined; see ChooseIndexColumnNames(). */
static char *
index_columns(IndexStmt *stmt)
{
	List	   *names = NIL;
	StringInfoData joined;
	ListCell   *lc;

	initStringInfo(&joined);
	foreach(lc, list_concat_copy(stmt->indexParams, stmt->indexIncludingParams))
	{
		IndexElem  *element = lfirst_node(IndexElem, lc);
		char	   *first = element->name != NULL ? element->name : FigureIndexColname(element->expr);
		char	   *name = first == NULL ? "expr" : first;

		for (int i = 1; index_has_name(names, name); i++)
			name = psprintf("%s%d", first == NULL ? "expr" : first, i);
		names = lappend(names, name);
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? "_" : "", name);
	}
	return joined.data;
}

/* A name that the server chooses for an index, as ChooseRelationName() makes it. */
static const char *
index_name(Lint *lint, LintRelation *rel, const char *columns)
{
	const char *name = lint_object_name(lint, rel->name, columns, "idx");

	for (int i = 1; lint_relation_at(lint, rel->schema, name) != NULL; i++)
		name = lint_object_name(lint, rel->name, columns, psprintf("idx%d", i));
	return name;
}

/*
 * A new index gets a relation of its own, so that it can be dropped and renamed.
 * That of a new table's constraint does without.
 */
void
lint_index_make(Lint *lint, LintRelation *rel, LintIndex *index)
{
	index->made = lint_relation_make_at(lint, rel->schema, index->name, rel->persistence,
										rel->relkind == RELKIND_PARTITIONED_TABLE ?
										RELKIND_PARTITIONED_INDEX : RELKIND_INDEX);
	index->made->table = rel;
}

/* An index is dropped, by itself or with what it belongs to: its name is free. */
void
lint_index_lose(Lint *lint, LintIndex *index)
{
	LintRelation *lost = OidIsValid(index->oid) ? lint_relation_by_oid(lint, index->oid) : index->made;

	index->gone = true;
	if (lost != NULL && !lost->gone)
		lint_relation_drop(lint, lost);
}

/* The index of that name in its table's list, or NULL. */
LintIndex *
lint_index_named(Lint *lint, LintRelation *rel, const char *name)
{
	ListCell   *lc;

	foreach(lc, lint_indexes(lint, rel))
	{
		LintIndex  *index = lfirst(lc);

		if (!index->gone && index->name != NULL && strcmp(index->name, name) == 0)
			return index;
	}
	return NULL;
}

/* The table that an index belongs to, or NULL. */
LintRelation *
lint_table_of_index(Lint *lint, LintRelation *index)
{
	Oid			table;

	if (index->table != NULL || !OidIsValid(index->oid))
		return index->table;
	table = IndexGetRelation(index->oid, true);
	return OidIsValid(table) ? lint_relation_by_oid(lint, table) : NULL;
}

/* A relation's entry in the list of its table; NULL: it is no index. */
LintIndex *
lint_index_of(Lint *lint, LintRelation *index)
{
	LintRelation *rel = index->relkind == RELKIND_INDEX || index->relkind == RELKIND_PARTITIONED_INDEX ?
		lint_table_of_index(lint, index) : NULL;
	ListCell   *lc;

	foreach(lc, rel == NULL ? NIL : lint_indexes(lint, rel))
	{
		LintIndex  *known = lfirst(lc);

		if (index->is_new ? known->made == index : known->oid == index->oid)
			return known;
	}
	return NULL;
}

/* An index gets another name, and its relation with it. */
void
lint_index_rename(Lint *lint, LintIndex *index, const char *name)
{
	LintRelation *rel = OidIsValid(index->oid) ? lint_relation_by_oid(lint, index->oid) : index->made;

	index->name = lint_strdup(lint, name);
	if (rel != NULL && strcmp(rel->name, name) != 0)
		lint_relation_move(lint, rel, NULL, name);
}

/* The index of a constraint that is dropped; oid: of an old one. */
void
lint_index_lose_constraint(Lint *lint, LintRelation *rel, Oid oid, const char *name)
{
	ListCell   *lc;

	foreach(lc, lint_indexes(lint, rel))
	{
		LintIndex  *index = lfirst(lc);

		if (OidIsValid(oid) ? index->oid == oid :
			index->of_constraint && index->name != NULL && strcmp(index->name, name) == 0)
			lint_index_lose(lint, index);
	}
}

/* CREATE INDEX */
void
lint_index_create(Lint *lint, IndexStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);
	List	   *keys = NIL;
	LintIndex  *index;
	ListCell   *lc;

	if (rel == NULL)
		return;
	if (stmt->concurrent)
		lint_hold(lint, rel, ShareUpdateExclusiveLock);
	else if (stmt->relation->inh && rel->relkind == RELKIND_PARTITIONED_TABLE)
		lint_hold_all(lint, rel, ShareLock);
	else
		lint_hold(lint, rel, ShareLock);
	if (stmt->if_not_exists && stmt->idxname != NULL &&
		lint_relation_at(lint, rel->schema, stmt->idxname) != NULL)
		return;
	foreach(lc, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, lc);
		LintColumn *column = element->name == NULL ? NULL :
			lint_column(lint, rel, element->name);

		keys = lint_append_number(lint, keys, column == NULL ? 0 : column->attnum);
	}
	index = lint_index_add(lint, rel, stmt->idxname != NULL ? stmt->idxname :
						   index_name(lint, rel, index_columns(stmt)),
						   stmt->unique, stmt->whereClause != NULL, keys);
	lint_index_make(lint, rel, index);
	foreach(lc, stmt->indexParams)
		lint_use_expression(lint, OBJECT_INDEX, index->made, NULL, lfirst_node(IndexElem, lc)->expr);
	lint_use_expression(lint, OBJECT_INDEX, index->made, NULL, stmt->whereClause);
}

/* DROP INDEX: its table is locked, and forgets it. */
void
lint_index_drop(Lint *lint, LintRelation *index)
{
	LintRelation *rel = lint_table_of_index(lint, index);
	LintIndex  *known = rel == NULL ? NULL : lint_index_of(lint, index);

	if (rel == NULL)
		return;
	if (known != NULL)
		lint_index_lose(lint, known);
	if (lint->shape->concurrently)
		lint_hold(lint, rel, ShareUpdateExclusiveLock);
	else if (rel->relkind == RELKIND_PARTITIONED_TABLE)
		lint_hold_all(lint, rel, AccessExclusiveLock);
	else
		lint_hold(lint, rel, AccessExclusiveLock);
}

/* A table's indexes go with it. */
void
lint_index_drop_all(Lint *lint, LintRelation *rel)
{
	ListCell   *lc;

	if (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE &&
		rel->relkind != RELKIND_MATVIEW)
		return;
	foreach(lc, lint_indexes(lint, rel))
		lint_index_lose(lint, lfirst(lc));
}
