/*
 * lint_drop.c
 *		What a DROP of the script takes out of its state.
 *
 * Relations go with their indexes, partitions and foreign keys; what is no relation
 * is noted as gone, see lint_gone.c; what went by CASCADE, the rule drop-cascade
 * has found.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"

#include "lint_internal.h"

/*
 * A relation is dropped, with its indexes, partitions and foreign keys, for which
 * the tables that these refer to are locked.
 */
static void
drop_relation(Lint *lint, LintRelation *rel)
{
	ListCell   *lc;

	lint_hold(lint, rel, AccessExclusiveLock);
	lint_index_drop_all(lint, rel);
	foreach(lc, rel->is_partition ? lint_parents(lint, rel) : NIL)
	{
		lint_hold(lint, lfirst(lc), AccessExclusiveLock);
		lint_hold(lint, lint_default_partition(lint, lfirst(lc)), AccessExclusiveLock);
	}
	foreach(lc, lint->foreign_keys)
	{
		LintForeignKey *key = lfirst(lc);

		if ((key->other != rel && key->rel != rel) || key->constraint->gone)
			continue;
		key->constraint->gone = true;
		lint_hold(lint, key->other == rel ? key->rel : key->other, AccessExclusiveLock);
	}
	if (rel->is_new || (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE))
		return;
	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *con = lfirst(lc);

		if (con->type == CONSTRAINT_FOREIGN && !con->gone && OidIsValid(con->other_table) &&
			con->other_table != rel->oid)
			lint_hold(lint, lint_relation_by_oid(lint, con->other_table), AccessExclusiveLock);
	}
	foreach(lc, rel->relkind == RELKIND_PARTITIONED_TABLE ? lint_children(lint, rel) : NIL)
	{
		LintRelation *part = lint_relation_by_oid(lint, lfirst_oid(lc));

		if (part == NULL || part->gone)
			continue;
		lint_hold(lint, part, AccessExclusiveLock);
		lint_index_drop_all(lint, part);
		lint_relation_drop(lint, part);
	}
}

/* DROP, of whatever it is. */
void
lint_follow_drop(Lint *lint, DropStmt *stmt)
{
	ListCell   *lc;

	switch (stmt->removeType)
	{
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_COLLATION:
		case OBJECT_FOREIGN_SERVER:
		case OBJECT_FDW:
		case OBJECT_LANGUAGE:
		case OBJECT_PUBLICATION:
		case OBJECT_EXTENSION:
			lint_note_drop(lint, stmt);
			return;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			lint_note_drop(lint, stmt);
			lint_function_follow(lint, (Node *) stmt);
			return;
		default:
			break;
	}
	foreach(lc, stmt->objects)
	{
		LintRelation *rel;

		switch (stmt->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_SEQUENCE:
			case OBJECT_FOREIGN_TABLE:
			case OBJECT_INDEX:
				rel = lint_relation_named(lint, lfirst(lc));
				if (rel == NULL)
					break;
				if (stmt->removeType == OBJECT_INDEX)
					lint_index_drop(lint, rel);
				else
					drop_relation(lint, rel);
				if (!rel->gone)
					lint_relation_drop(lint, rel);
				lint_size_changes(lint, rel);
				break;
			case OBJECT_POLICY:
			case OBJECT_RULE:
			case OBJECT_TRIGGER:
				lint_drop_part(lint, stmt->removeType, lfirst(lc));
				break;
			case OBJECT_SCHEMA:
				lint_schema_drop(lint, strVal(lfirst(lc)));
				break;
			default:
				break;
		}
	}
}

/* What went by CASCADE; drop-cascade has noted it. */
void
lint_follow_cascade(Lint *lint)
{
	for (int i = list_length(lint->cascades) - 1; i >= 0; i--)
	{
		LintCascade *cascade = list_nth(lint->cascades, i);

		if (cascade->statement != lint->statement)
			break;
		if (cascade->key != NULL)
		{
			cascade->key->gone = true;
			lint_hold(lint, cascade->key_of, AccessExclusiveLock);
		}
		else if (cascade->use != NULL)
			lint_use_drop(lint, cascade->use);
		else
			lint_object_cascade(lint, &cascade->object);
	}
}

/* DISCARD TEMP */
void
lint_follow_discard(Lint *lint)
{
	ListCell   *lc;

	foreach(lc, lint_relations(lint))
	{
		LintRelation *rel = lfirst(lc);

		if (rel->persistence == RELPERSISTENCE_TEMP && !rel->gone)
			lint_relation_drop(lint, rel);
	}
}
