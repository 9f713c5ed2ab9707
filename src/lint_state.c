/*
 * lint_state.c
 *		What each statement does to the state of the script.
 *
 * Called when the rules have had their look: lint_follow_command() after each
 * part of an ALTER TABLE, lint_follow() after the statement. Only what rules ask
 * for is kept. A statement that would fail leaves the state as it is, or as the
 * statement means it.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* ---- constraints, indexes */

static List *
state_numbers(Lint *lint, LintRelation *rel, List *names)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		LintColumn *column = lint_column(lint, rel, strVal(lfirst(lc)));

		result = lint_append_number(lint, result, column == NULL ? 0 : column->attnum);
	}
	return result;
}

static void
state_set_not_null(Lint *lint, LintRelation *rel, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		LintColumn *column = lint_column(lint, rel, strVal(lfirst(lc)));

		if (column != NULL)
			column->not_null = true;
	}
}

static char
state_constraint_type(ConstrType type)
{
	return type == CONSTR_CHECK ? CONSTRAINT_CHECK :
		type == CONSTR_FOREIGN ? CONSTRAINT_FOREIGN :
		type == CONSTR_PRIMARY ? CONSTRAINT_PRIMARY :
		type == CONSTR_UNIQUE ? CONSTRAINT_UNIQUE :
		type == CONSTR_EXCLUSION ? CONSTRAINT_EXCLUSION :
		type == CONSTR_NOTNULL && COMPAT_NOT_NULL_IS_CONSTRAINT ? COMPAT_CONSTRAINT_NOTNULL : '\0';
}

/* The name of a primary key's or unique constraint's index, which is the constraint's. */
static const char *
state_constraint_name(Lint *lint, LintRelation *rel, Constraint *con, List *keys)
{
	if (con->conname != NULL)
		return con->conname;
	if (con->indexname != NULL)
		return con->indexname;
	if (con->contype == CONSTR_PRIMARY)
		return lint_object_name(lint, rel->name, NULL, "pkey");
	return lint_object_name(lint, rel->name, lint_join(list_concat_copy(keys, con->including), "_"),
							"key");
}

/* ADD CONSTRAINT ... USING INDEX: the index is the constraint's, and takes its name. */
static void
state_use_index(Lint *lint, LintRelation *rel, Constraint *con)
{
	LintIndex  *index = lint_index_named(lint, rel, con->indexname);
	ListCell   *lc;

	if (index == NULL)
		return;
	index->of_constraint = true;
	if (con->conname != NULL)
		lint_index_rename(lint, index, con->conname);
	foreach(lc, con->contype == CONSTR_PRIMARY ? index->keys : NIL)
	{
		LintColumn *column = lint_column_numbered(lint, rel, lfirst_int(lc));

		if (column != NULL)
			column->not_null = true;
	}
}

/* An exclusion constraint's index serves foreign keys as any other. */
static void
state_add_exclusion(Lint *lint, LintRelation *rel, Constraint *con)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, con->exclusions)
	{
		IndexElem  *element = linitial_node(IndexElem, lfirst_node(List, lc));
		LintColumn *column = element->name == NULL ? NULL : lint_column(lint, rel, element->name);

		keys = lint_append_number(lint, keys, column == NULL ? 0 : column->attnum);
	}
	lint_index_add(lint, rel, con->conname, false, con->where_clause != NULL, keys)->of_constraint = true;
}

/* A constraint of a relation; keys are the columns of a column's own one. */
static void
state_add_constraint(Lint *lint, LintRelation *rel, Constraint *con, List *keys)
{
	char		type = state_constraint_type(con->contype);
	LintConstraint *made;

	if (type == '\0')
	{
		if (con->contype == CONSTR_NOTNULL && !con->skip_validation)
			state_set_not_null(lint, rel, keys != NIL ? keys : con->keys);
		return;
	}
	if (keys == NIL)
		keys = con->contype == CONSTR_FOREIGN ? con->fk_attrs : con->keys;

	/* A new relation's are checked by nobody; its indexes serve its foreign keys. */
	if (rel->is_new && con->contype != CONSTR_FOREIGN)
	{
		if (con->contype == CONSTR_EXCLUSION)
			state_add_exclusion(lint, rel, con);
		if (con->contype != CONSTR_PRIMARY && con->contype != CONSTR_UNIQUE)
			return;
		if (con->indexname != NULL)
			state_use_index(lint, rel, con);
		else
			lint_index_add(lint, rel, state_constraint_name(lint, rel, con, keys), true, false,
						   state_numbers(lint, rel, keys))->of_constraint = true;
		return;
	}

	(void) lint_constraints(lint, rel);
	made = lint_alloc(lint, sizeof(LintConstraint));
	made->name = con->conname == NULL ? NULL : lint_strdup(lint, con->conname);
	made->type = type;
	made->enforced = COMPAT_IS_ENFORCED(con);
	made->validated = !con->skip_validation && made->enforced;
	made->is_new = true;
	made->made_step = lint->step;
	made->inherited = con->contype == CONSTR_CHECK && lint->inherit && !con->is_no_inherit;
	made->keys = state_numbers(lint, rel, keys);
	rel->constraints = lint_append(lint, rel->constraints, made);

	switch (con->contype)
	{
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			if (made->name == NULL)
				made->name = lint_strdup(lint, state_constraint_name(lint, rel, con, keys));
			if (con->indexname == NULL)
			{
				LintIndex  *index = lint_index_add(lint, rel, made->name, true, false, made->keys);

				index->of_constraint = true;
				lint_index_make(lint, rel, index);
			}
			else
				state_use_index(lint, rel, con);
			if (con->contype == CONSTR_PRIMARY)
				state_set_not_null(lint, rel, keys);
			break;
		case CONSTR_FOREIGN:
			{
				LintForeignKey *key = lint_alloc(lint, sizeof(LintForeignKey));

				key->rel = rel;
				key->constraint = made;
				key->other = lint_relation(lint, con->pktable);
				made->other_table = key->other == NULL ? InvalidOid : key->other->oid;
				key->keys = made->keys;
				key->columns = lint_strdup(lint, lint_join(keys, ", "));
				key->statement = lint->statement;
				key->step = lint->step;
				lint->foreign_keys = lint_append(lint, lint->foreign_keys, key);
				lint_hold(lint, key->other, ShareRowExclusiveLock);
				break;
			}
		case CONSTR_EXCLUSION:
			state_add_exclusion(lint, rel, con);
			break;
		case CONSTR_CHECK:
			if (con->raw_expr != NULL)
				lint_note_check(lint, rel, made, con->raw_expr);
			break;
		case CONSTR_NOTNULL:
			state_set_not_null(lint, rel, keys);
			break;
		default:
			break;
	}
	if (made->name == NULL)
		made->name = lint_constraint_name(lint, rel, con, keys, made->expression);
}

/* ---- columns */

/* A list of one name: for nobody to keep, as it is the same one each time. */
static List *
state_name_alone(Lint *lint, char *name)
{
	if (lint->name_alone == NIL)
	{
		MemoryContext old = MemoryContextSwitchTo(lint->context);

		lint->name_alone = list_make1(makeString(name));
		MemoryContextSwitchTo(old);
	}
	strVal(linitial(lint->name_alone)) = name;
	return lint->name_alone;
}

static void
state_add_column(Lint *lint, LintRelation *rel, ColumnDef *def)
{
	LintColumn *column;
	List	   *keys;				/* of its own constraints */
	ListCell   *lc;

	/* Of a new relation only keys are asked for, and their columns. */
	if (rel->is_new && lint_constraint_of(def, CONSTR_FOREIGN) == NULL &&
		lint_constraint_of(def, CONSTR_PRIMARY) == NULL &&
		lint_constraint_of(def, CONSTR_UNIQUE) == NULL)
		return;
	keys = def->constraints == NIL ? NIL : state_name_alone(lint, def->colname);
	column = lint_column_add(lint, rel, def->colname);
	column->not_null = def->is_not_null || lint_constraint_of(def, CONSTR_NOTNULL) != NULL ||
		lint_constraint_of(def, CONSTR_IDENTITY) != NULL || lint_is_serial(def->typeName);
	column->has_default = lint_constraint_of(def, CONSTR_DEFAULT) != NULL;
	if (lint_constraint_of(def, CONSTR_GENERATED) != NULL)
		column->generated = COMPAT_GENERATED_KIND(lint_constraint_of(def, CONSTR_GENERATED));
	if (!rel->is_new && def->typeName != NULL)
	{
		Oid			type;
		int32		typmod;

		if (lint_is_serial(def->typeName))
			column->type = lint_serial_type(def->typeName);
		else if (lint_type(lint, def->typeName, &type, &typmod))
		{
			column->type = type;
			column->typmod = typmod;
			column->collation = lint_type_collation(lint, def->typeName, type);
		}
	}
	foreach(lc, def->constraints)
	{
		if (IsA(lfirst(lc), Constraint))
			state_add_constraint(lint, rel, lfirst(lc), keys);
	}
}

/* A column is dropped, and with it its constraints and indexes. */
void
lint_column_drop(Lint *lint, LintRelation *rel, LintColumn *column)
{
	ListCell   *lc;

	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *constraint = lfirst(lc);

		if (constraint->gone || !list_member_int(constraint->keys, column->attnum))
			continue;
		constraint->gone = true;
		if (constraint->type == CONSTRAINT_FOREIGN && OidIsValid(constraint->other_table))
			lint_hold(lint, lint_relation_by_oid(lint, constraint->other_table), AccessExclusiveLock);
	}
	foreach(lc, lint_indexes(lint, rel))
	{
		LintIndex  *index = lfirst(lc);

		if (list_member_int(index->keys, column->attnum))
			lint_index_lose(lint, index);
	}
	column->name = NULL;
	lint->lost_columns = true;
}

/* ATTACH PARTITION, INHERIT */
static void
state_attach(Lint *lint, LintRelation *parent, LintRelation *child)
{
	if (parent == NULL || child == NULL)
		return;
	child->detached = false;
	parent->attached = lint_append(lint, parent->attached, child);
	if (parent->relkind != RELKIND_PARTITIONED_TABLE)
		lint_use_parent(lint, child, parent);
}

/* DETACH PARTITION, NO INHERIT */
static void
state_detach(Lint *lint, LintRelation *parent, LintRelation *child)
{
	if (parent == NULL || child == NULL)
		return;
	child->detached = true;
	parent->attached = list_delete_ptr(parent->attached, child);
	lint_use_end_parent(child, parent);
	lint_size_changes(lint, child);
}

static void
state_use_default(Lint *lint, LintRelation *rel, ColumnDef *def)
{
	Constraint *con = lint_constraint_of(def, CONSTR_DEFAULT);

	if (con != NULL)
		lint_use_expression(lint, OBJECT_DEFAULT, rel, def->colname, con->raw_expr);
}

/* ALTER COLUMN TYPE: its foreign keys are dropped and made anew. */
static void
state_alter_type(Lint *lint, LintRelation *rel, AlterTableCmd *cmd)
{
	TypeName   *name = ((ColumnDef *) cmd->def)->typeName;
	LintColumn *column = lint_column(lint, rel, cmd->name);
	Oid			type;
	int32		typmod;
	ListCell   *lc;

	if (column == NULL)
		return;

	/* Unknown until proven otherwise. */
	column->type = InvalidOid;
	foreach(lc, lint_type_is_there(lint, name) ? lint_tables_by_keys(lint, rel, cmd->name, NULL) : NIL)
		lint_hold(lint, lfirst(lc), AccessExclusiveLock);
	if (rel->is_new || !lint_type(lint, name, &type, &typmod))
		return;
	column->type = type;
	column->typmod = typmod;
	column->collation = lint_type_collation(lint, name, type);
}

/* What one part of an ALTER TABLE does. */
void
lint_follow_command(Lint *lint, LintRelation *rel, AlterTableCmd *cmd)
{
	LintColumn *column;
	LintConstraint *constraint;

	lint_hold_children(lint, rel, cmd);
	switch (cmd->subtype)
	{
		case AT_AddColumn:
			/* Otherwise it isn't there, or the statement fails. */
			column = rel->is_new || !cmd->missing_ok ? NULL :
				lint_column(lint, rel, ((ColumnDef *) cmd->def)->colname);
			if (column != NULL && !column->is_new)
				break;
			state_add_column(lint, rel, castNode(ColumnDef, cmd->def));
			state_use_default(lint, rel, castNode(ColumnDef, cmd->def));
			break;
		case AT_DropColumn:
			column = lint_column(lint, rel, cmd->name);
			if (column != NULL)
				lint_column_drop(lint, rel, column);
			lint_use_end(OBJECT_DEFAULT, rel, cmd->name);
			break;
		case AT_AddConstraint:
			state_add_constraint(lint, rel, castNode(Constraint, cmd->def), NIL);
			break;
		case AT_ValidateConstraint:
			constraint = lint_constraint(lint, rel, cmd->name);
			if (constraint != NULL)
				constraint->validated = true;
			break;
		case AT_AlterConstraint:
			constraint = COMPAT_ALTERS_ENFORCED(cmd->def) ?
				lint_constraint(lint, rel, COMPAT_ALTERED_NAME(cmd->def)) : NULL;
			if (constraint == NULL || constraint->enforced == COMPAT_ALTERED_ENFORCED(cmd->def))
				break;
			constraint->enforced = constraint->validated = COMPAT_ALTERED_ENFORCED(cmd->def);
			lint_hold(lint, lint_relation_by_oid(lint, constraint->other_table),
					  constraint->enforced ? ShareRowExclusiveLock : AccessExclusiveLock);
			break;
		case AT_DropConstraint:
			constraint = lint_constraint(lint, rel, cmd->name);
			/* A foreign key or a CHECK has no index, and may have the name of one. */
			if (constraint == NULL || constraint->type == CONSTRAINT_EXCLUSION ||
				constraint->type == CONSTRAINT_PRIMARY || constraint->type == CONSTRAINT_UNIQUE)
				lint_index_lose_constraint(lint, rel, constraint == NULL ? InvalidOid : constraint->index,
										   cmd->name);
			if (constraint == NULL)
				break;
			constraint->gone = true;
			if (constraint->type == CONSTRAINT_FOREIGN && OidIsValid(constraint->other_table))
				lint_hold(lint, lint_relation_by_oid(lint, constraint->other_table),
						  AccessExclusiveLock);
			break;
		case AT_DropExpression:
			column = lint_column(lint, rel, cmd->name);
			if (column != NULL)
				column->generated = '\0';
			break;
		case AT_SetNotNull:
			column = lint_column(lint, rel, cmd->name);
			if (column != NULL)
			{
				column->not_null = true;
				column->not_null_below = lint->inherit;
			}
			break;
		case AT_DropNotNull:
			column = lint_column(lint, rel, cmd->name);
			if (column != NULL)
				column->not_null = column->not_null_below = false;
			break;
		case AT_ColumnDefault:
			column = lint_column(lint, rel, cmd->name);
			if (column != NULL)
			{
				column->has_default = cmd->def != NULL;
				column->new_default = true;
			}
			lint_use_end(OBJECT_DEFAULT, rel, cmd->name);
			lint_use_expression(lint, OBJECT_DEFAULT, rel, cmd->name, cmd->def);
			break;
		case AT_AlterColumnType:
			state_alter_type(lint, rel, cmd);
			break;
		case AT_EnableRowSecurity:
			rel->rls_since = lint->statement + 1;
			lint->secures = true;
			break;
		case AT_DisableRowSecurity:
			rel->rls_since = 0;
			break;
		case AT_DropOf:
			rel->untyped = true;
			break;
		case AT_SetLogged:
			rel->persistence = RELPERSISTENCE_PERMANENT;
			break;
		case AT_SetUnLogged:
			rel->persistence = RELPERSISTENCE_UNLOGGED;
			break;
		case AT_AttachPartition:
		case AT_DetachPartition:
			{
				LintRelation *part = lint_relation(lint, ((PartitionCmd *) cmd->def)->name);

				if (rel->relkind == RELKIND_PARTITIONED_INDEX)
				{
					lint_hold(lint, part == NULL ? NULL : lint_table_of_index(lint, part), AccessExclusiveLock);
					break;
				}
				lint_hold_all(lint, part, AccessExclusiveLock);
				if (!((PartitionCmd *) cmd->def)->concurrent)
					lint_hold(lint, lint_default_partition(lint, rel), AccessExclusiveLock);
				if (cmd->subtype == AT_AttachPartition)
					state_attach(lint, rel, part);
				else
					state_detach(lint, rel, part);
				break;
			}
		case AT_AddInherit:
			state_attach(lint, lint_relation(lint, (RangeVar *) cmd->def), rel);
			break;
		case AT_DropInherit:
			state_detach(lint, lint_relation(lint, (RangeVar *) cmd->def), rel);
			break;
		default:
			break;
	}
}

/* ---- statements */

/* A new table's column may be of an enum that the script has added a value to. */
static void
state_note_labels(Lint *lint, LintRelation *rel, const TypeName *name)
{
	if (lint->labels != NIL && name != NULL && name->names != NIL &&
		lint_type_has_labels(lint, strVal(llast(name->names))))
		rel->has_labels = true;
}

static void
state_create_table(Lint *lint, CreateStmt *stmt, char relkind)
{
	LintRelation *rel;
	ListCell   *lc;

	if (stmt->if_not_exists && lint_relation_to_make(lint, stmt->relation) != NULL)
		return;
	rel = lint_relation_make(lint, stmt->relation, stmt->partspec != NULL ?
							 RELKIND_PARTITIONED_TABLE : relkind);
	if (rel == NULL)
		return;
	if (stmt->oncommit == ONCOMMIT_DROP)
		lint->until_commit = lint_append(lint, lint->until_commit, rel);
	rel->open_columns = stmt->inhRelations != NIL || stmt->ofTypename != NULL;
	if (stmt->partspec != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(lint->context);

		rel->partition_by = copyObject(stmt->partspec);
		MemoryContextSwitchTo(old);
	}
	foreach(lc, stmt->tableElts)
	{
		Node	   *element = lfirst(lc);

		if (IsA(element, ColumnDef))
		{
			state_add_column(lint, rel, (ColumnDef *) element);
			state_note_labels(lint, rel, ((ColumnDef *) element)->typeName);
			state_use_default(lint, rel, (ColumnDef *) element);
		}
		else if (IsA(element, TableLikeClause))
			rel->open_columns = true;
	}
	foreach(lc, stmt->tableElts)
	{
		if (IsA(lfirst(lc), Constraint))
			state_add_constraint(lint, rel, lfirst(lc), NIL);
	}
	if (stmt->partbound != NULL)
	{
		LintRelation *parent = lint_relation(lint, linitial(stmt->inhRelations));

		lint_hold(lint, parent, AccessExclusiveLock);
		lint_hold(lint, lint_default_partition(lint, parent), AccessExclusiveLock);
	}
	foreach(lc, stmt->partbound == NULL ? stmt->inhRelations : NIL)
		lint_use_parent(lint, rel, lint_relation(lint, lfirst(lc)));
}

/* SELECT ... INTO; of the others the settings only. */
static void
state_select(Lint *lint, SelectStmt *stmt)
{
	LintRelation *made;

	if (stmt->intoClause == NULL)
	{
		lint_follow_set_config(lint, stmt);
		return;
	}
	made = lint_relation_make(lint, stmt->intoClause->rel, RELKIND_RELATION);
	if (made != NULL)
		made->open_columns = made->filled = true;
}

static void
state_create_schema(Lint *lint, CreateSchemaStmt *stmt)
{
	const char *outer = lint->create_schema;
	ListCell   *lc;

	if (stmt->schemaname == NULL || lint_schema_exists(lint, stmt->schemaname))
		return;
	lint_schema_make(lint, stmt->schemaname);
	if (stmt->schemaElts == NIL)
		return;
	lint->create_schema = stmt->schemaname;
	foreach(lc, stmt->schemaElts)
		lint_follow(lint, lfirst(lc));
	lint->create_schema = outer;
	lint_path_reset(lint);
}

/* Whether ADD VALUE IF NOT EXISTS finds its value there. */
static bool
state_has_label(Lint *lint, AlterEnumStmt *stmt)
{
	Oid			type;
	int32		typmod;

	return lint_type(lint, makeTypeNameFromNameList(stmt->typeName), &type, &typmod) &&
		SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type),
							  CStringGetDatum(stmt->newVal));
}

/* REINDEX: its locks on the indexes keep everybody from the table who makes a plan. */
static void
state_reindex(Lint *lint, ReindexStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);

	if (rel != NULL && stmt->kind == REINDEX_OBJECT_INDEX)
		rel = lint_table_of_index(lint, rel);
	if (rel != NULL && (stmt->kind == REINDEX_OBJECT_INDEX || stmt->kind == REINDEX_OBJECT_TABLE) &&
		!shape_option_is_true(stmt->params, "concurrently"))
		lint_hold(lint, rel, stmt->kind == REINDEX_OBJECT_TABLE && lint_indexes(lint, rel) == NIL ?
				  ShareLock : AccessExclusiveLock);
}

/* What a statement does; of ALTER TABLE: its lock, the rest was done before. */
void
lint_follow(Lint *lint, Node *node)
{
	LintRelation *rel;
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_CreateStmt:
			state_create_table(lint, (CreateStmt *) node, RELKIND_RELATION);
			break;
		case T_CreateForeignTableStmt:
			state_create_table(lint, &((CreateForeignTableStmt *) node)->base,
							   RELKIND_FOREIGN_TABLE);
			break;
		case T_CreateTableAsStmt:
			{
				CreateTableAsStmt *stmt = (CreateTableAsStmt *) node;

				if (stmt->if_not_exists && lint_relation_to_make(lint, stmt->into->rel) != NULL)
					break;
				rel = lint_relation_make(lint, stmt->into->rel, stmt->objtype == OBJECT_MATVIEW ?
										 RELKIND_MATVIEW : RELKIND_RELATION);
				if (rel != NULL)
				{
					rel->open_columns = true;
					rel->filled = !stmt->into->skipData;
				}
				if (rel != NULL && rel->relkind == RELKIND_MATVIEW)
					lint_use_query(lint, rel, stmt->query);
				break;
			}
		case T_ViewStmt:
			/* Without OR REPLACE it is not there, or the statement fails. */
			rel = !((ViewStmt *) node)->replace ? NULL :
				lint_relation_to_make(lint, ((ViewStmt *) node)->view);
			if (rel == NULL || rel->relkind != RELKIND_VIEW)
				rel = lint_relation_make(lint, ((ViewStmt *) node)->view, RELKIND_VIEW);
			else
				rel->replaced = true;
			if (rel != NULL)
				lint_use_query(lint, rel, ((ViewStmt *) node)->query);
			break;
		case T_CreateSeqStmt:
			if (!((CreateSeqStmt *) node)->if_not_exists ||
				lint_relation_to_make(lint, ((CreateSeqStmt *) node)->sequence) == NULL)
				lint_relation_make(lint, ((CreateSeqStmt *) node)->sequence, RELKIND_SEQUENCE);
			break;
		case T_IndexStmt:
			lint_index_create(lint, (IndexStmt *) node);
			break;
		case T_AlterTableStmt:
			{
				AlterTableStmt *stmt = (AlterTableStmt *) node;

				rel = lint_relation(lint, stmt->relation);
				if (rel != NULL && !rel->is_new)
					lint_hold(lint, rel, AlterTableGetLockLevel(stmt->cmds));
				lint_follow_cascade(lint);
				break;
			}
		case T_DropStmt:
			/* What is in a schema has to be found before that is gone. */
			if (((DropStmt *) node)->removeType == OBJECT_SCHEMA)
				lint_follow_cascade(lint);
			lint_follow_drop(lint, (DropStmt *) node);
			if (((DropStmt *) node)->removeType != OBJECT_SCHEMA)
				lint_follow_cascade(lint);
			break;
		case T_RenameStmt:
			lint_follow_rename(lint, (RenameStmt *) node);
			break;
		case T_AlterObjectSchemaStmt:
			lint_follow_schema(lint, (AlterObjectSchemaStmt *) node);
			break;
		case T_CreateSchemaStmt:
			state_create_schema(lint, (CreateSchemaStmt *) node);
			break;
		case T_VariableSetStmt:
			lint_follow_set(lint, (VariableSetStmt *) node);
			break;
		case T_SelectStmt:
			state_select(lint, (SelectStmt *) node);
			break;
		case T_DiscardStmt:
			if (((DiscardStmt *) node)->target == DISCARD_ALL)
				lint_follow_reset(lint, true);
			if (((DiscardStmt *) node)->target == DISCARD_ALL ||
				((DiscardStmt *) node)->target == DISCARD_TEMP)
				lint_follow_discard(lint);
			break;
		case T_CreateEnumStmt:
			lint_type_add(lint, ((CreateEnumStmt *) node)->typeName, NULL)->is_new = true;
			break;
		case T_CreateDomainStmt:
			lint_domain_create(lint, (CreateDomainStmt *) node);
			break;
		case T_AlterDomainStmt:
			lint_domain_alter(lint, (AlterDomainStmt *) node);
			break;
		case T_AlterEnumStmt:
			{
				AlterEnumStmt *stmt = (AlterEnumStmt *) node;

				if (stmt->oldVal != NULL || lint_type_of_script(lint, stmt->typeName) != NULL)
					break;
				if (stmt->skipIfNewValExists && state_has_label(lint, stmt))
					break;
				lint_type_add(lint, stmt->typeName, stmt->newVal);
				break;
			}
		case T_CreatePolicyStmt:
			rel = lint_relation(lint, ((CreatePolicyStmt *) node)->table);
			if (rel != NULL)
				rel->policies = lint_append(lint, rel->policies,
											lint_strdup(lint, ((CreatePolicyStmt *) node)->policy_name));
			lint_hold(lint, rel, AccessExclusiveLock);
			lint_use_part(lint, node);
			break;
		case T_CreateTrigStmt:
			if (((CreateTrigStmt *) node)->row)
				lint_hold_all(lint, lint_relation(lint, ((CreateTrigStmt *) node)->relation),
							  ShareRowExclusiveLock);
			else
				lint_hold(lint, lint_relation(lint, ((CreateTrigStmt *) node)->relation),
						  ShareRowExclusiveLock);
			lint_follow_replace(lint, node);
			lint_use_part(lint, node);
			break;
		case T_RuleStmt:
			lint_hold(lint, lint_relation(lint, ((RuleStmt *) node)->relation),
					  AccessExclusiveLock);
			lint_follow_replace(lint, node);
			lint_use_part(lint, node);
			break;
		case T_AlterPolicyStmt:
			lint_hold(lint, lint_relation(lint, ((AlterPolicyStmt *) node)->table),
					  AccessExclusiveLock);
			lint_follow_replace(lint, node);
			break;
		case T_CreateFunctionStmt:
		case T_AlterPublicationStmt:
			lint_follow_replace(lint, node);
			break;
		case T_AlterFunctionStmt:
			lint_function_follow(lint, node);
			break;
		case T_RefreshMatViewStmt:
			rel = lint_relation(lint, ((RefreshMatViewStmt *) node)->relation);
			lint_hold(lint, rel, ((RefreshMatViewStmt *) node)->concurrent ?
					  ExclusiveLock : AccessExclusiveLock);
			if (rel != NULL)
			{
				rel->emptied = ((RefreshMatViewStmt *) node)->skipData;
				rel->unfilled_since = rel->emptied ? lint->statement + 1 : 0;
			}
			break;
		case T_ClusterStmt:
			lint_hold(lint, lint_relation(lint, ((ClusterStmt *) node)->relation),
					  AccessExclusiveLock);
			break;
		case T_LockStmt:
			foreach(lc, ((LockStmt *) node)->relations)
			{
				if (lfirst_node(RangeVar, lc)->inh)
					lint_hold_all(lint, lint_relation(lint, lfirst(lc)), ((LockStmt *) node)->mode);
				else
					lint_hold(lint, lint_relation(lint, lfirst(lc)), ((LockStmt *) node)->mode);
			}
			break;
		case T_ReindexStmt:
			state_reindex(lint, (ReindexStmt *) node);
			break;
		case T_TruncateStmt:
			lint_follow_truncate(lint, (TruncateStmt *) node);
			break;
		case T_InsertStmt:
			rel = lint_relation(lint, ((InsertStmt *) node)->relation);
			if (rel != NULL)
				rel->filled = true;
			break;
		case T_DeleteStmt:
			rel = lint_relation(lint, ((DeleteStmt *) node)->relation);
			if (rel != NULL && ((DeleteStmt *) node)->relation->inh &&
				((DeleteStmt *) node)->usingClause == NIL && lint_is_always_true(((DeleteStmt *) node)->whereClause))
			{
				rel->deleted = true;
				rel->filled = false;
			}
			break;
		case T_CopyStmt:
			rel = ((CopyStmt *) node)->is_from ? lint_relation(lint, ((CopyStmt *) node)->relation) : NULL;
			if (rel != NULL)
				rel->filled = true;
			break;
		default:
			break;
	}
}
