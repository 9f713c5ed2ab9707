/*
 * lint_rename.c
 *		What a script gives another name or another schema: relations with their
 *		indexes, columns, constraints, types, schemas.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "nodes/makefuncs.h"

#include "lint_internal.h"

/* A constraint's index is renamed with it, by whichever of the two names. */
static void
rename_index(Lint *lint, LintRelation *rel, LintIndex *index, const char *name)
{
	LintConstraint *constraint = index->name == NULL ? NULL : lint_constraint(lint, rel, index->name);

	if (constraint != NULL && (index->of_constraint ||
							   (OidIsValid(index->oid) && constraint->index == index->oid &&
								constraint->type != CONSTRAINT_FOREIGN)))
		constraint->name = lint_strdup(lint, name);
	lint_index_rename(lint, index, name);
}

/* A type of the catalogs; schema, name: what changes of the two, else NULL. */
static void
rename_type(Lint *lint, List *names, const char *schema, const char *name)
{
	LintRelation *rel = lint_relation_named(lint, names);
	Oid			type;
	int32		typmod;

	/* A composite type is a relation, whose type is found by it. */
	if (rel != NULL && rel->relkind == RELKIND_COMPOSITE_TYPE)
		lint_relation_move(lint, rel, schema, name);
	if (lint_type(lint, makeTypeNameFromNameList(names), &type, &typmod))
		lint_type_rename(lint, names, type, schema, name);
}

/* Notes a column's old name, the first one of the step: what came between nobody knows. */
static void
rename_note_column(Lint *lint, LintRelation *rel, LintColumn *column)
{
	LintRename *rename;

	if (column->renamed_step == lint->step + 1)
		return;
	column->renamed_step = lint->step + 1;
	if (!lint_is_old(rel) || rel->relkind == RELKIND_COMPOSITE_TYPE || column->is_new)
		return;
	rename = lint_alloc(lint, sizeof(LintRename));
	rename->name = column->name;
	rename->rel = rel;
	rename->column = column;
	rename->statement = lint->statement;
	lint->column_renames = lint_append(lint, lint->column_renames, rename);
}

/* ALTER ... RENAME */
void
lint_follow_rename(Lint *lint, RenameStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);
	LintColumn *column;
	LintConstraint *constraint;
	LintIndex  *index;
	LintRename *rename;

	switch (stmt->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_INDEX:
			if (rel == NULL)
				break;
			rename = lint_alloc(lint, sizeof(LintRename));
			rename->schema = rel->schema;
			rename->name = rel->name;
			rename->rel = rel;
			rename->statement = lint->statement;
			/* What it was called in between nobody knows. */
			if (rel->renamed_step != lint->step + 1 && stmt->renameType != OBJECT_INDEX && stmt->renameType != OBJECT_SEQUENCE &&
				rel->relkind != RELKIND_INDEX && rel->relkind != RELKIND_PARTITIONED_INDEX)
			{
				lint->renames = lint_append(lint, lint->renames, rename);
				rel->renamed_step = lint->step + 1;
			}
			index = lint_index_of(lint, rel);
			if (index != NULL && lint_table_of_index(lint, rel) != NULL)
				rename_index(lint, lint_table_of_index(lint, rel), index, stmt->newname);
			if (strcmp(rel->name, stmt->newname) != 0)
				lint_relation_move(lint, rel, NULL, stmt->newname);
			lint_hold(lint, rel, stmt->renameType == OBJECT_INDEX ?
					  ShareUpdateExclusiveLock : AccessExclusiveLock);
			break;
		case OBJECT_COLUMN:
			column = rel == NULL ? NULL : lint_column(lint, rel, stmt->subname);
			if (column != NULL)
			{
				rename_note_column(lint, rel, column);
				lint_column_rename(lint, rel, column, stmt->newname);
			}
			lint_hold_all(lint, rel, AccessExclusiveLock);
			break;
		case OBJECT_TABCONSTRAINT:
			constraint = rel == NULL ? NULL : lint_constraint(lint, rel, stmt->subname);
			index = rel == NULL ? NULL : lint_index_named(lint, rel, stmt->subname);
			if (index != NULL && (index->of_constraint ||
								  (constraint != NULL && OidIsValid(index->oid) && constraint->index == index->oid)))
				rename_index(lint, rel, index, stmt->newname);
			if (constraint != NULL)
				constraint->name = lint_strdup(lint, stmt->newname);
			lint_hold(lint, rel, AccessExclusiveLock);
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			rename_type(lint, castNode(List, stmt->object), NULL, stmt->newname);
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			lint_names_add(lint, &lint->renamed_functions,
						   strVal(llast(castNode(ObjectWithArgs, stmt->object)->objname)));
			lint_function_follow(lint, (Node *) stmt);
			break;
		case OBJECT_SCHEMA:
			lint_schema_rename(lint, stmt->subname, stmt->newname);
			break;
		default:
			break;
	}
}

/* ALTER ... SET SCHEMA: a table's indexes go along. */
void
lint_follow_schema(Lint *lint, AlterObjectSchemaStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);
	ListCell   *lc;

	if (stmt->objectType == OBJECT_TYPE || stmt->objectType == OBJECT_DOMAIN)
		rename_type(lint, castNode(List, stmt->object), stmt->newschema, NULL);
	else if (stmt->object != NULL && IsA(stmt->object, ObjectWithArgs))
	{
		lint_names_add(lint, &lint->renamed_functions,
					   strVal(llast(((ObjectWithArgs *) stmt->object)->objname)));
		if (stmt->objectType != OBJECT_OPERATOR)
			lint_function_follow(lint, (Node *) stmt);
	}
	if (rel == NULL)
		return;
	lint_relation_move(lint, rel, stmt->newschema, NULL);
	lint_hold(lint, rel, AccessExclusiveLock);
	if (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE &&
		rel->relkind != RELKIND_MATVIEW)
		return;
	foreach(lc, lint_indexes(lint, rel))
	{
		LintIndex  *index = lfirst(lc);
		LintRelation *moved = OidIsValid(index->oid) ? lint_relation_by_oid(lint, index->oid) : index->made;

		if (!index->gone && moved != NULL)
			lint_relation_move(lint, moved, stmt->newschema, NULL);
	}
}
