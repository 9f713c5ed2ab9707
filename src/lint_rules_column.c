/*
 * lint_rules_column.c
 *		Rules of lint: columns that are added, renamed, or given another default.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "lint_internal.h"

/* Whether ADD COLUMN IF NOT EXISTS finds its column in an old table. */
static bool
column_is_there(LintCheck *c)
{
	static bool there = true;
	static bool missing = false;

	if (!c->cmd->missing_ok || c->rel->is_new)
		return false;

	/* All rules of ADD COLUMN ask the same. */
	if (c->known == NULL)
		c->known = lint_column(c->lint, c->rel, castNode(ColumnDef, c->cmd->def)->colname) != NULL ?
			&there : &missing;
	return *(bool *) c->known;
}

/* The column that ADD COLUMN adds; NULL where it does nothing. */
static ColumnDef *
added_column(LintCheck *c)
{
	return !lint_is_old(c->rel) || column_is_there(c) ? NULL : castNode(ColumnDef, c->cmd->def);
}

static char *
column_detail(ColumnDef *def)
{
	return lint_concat("column ", def->colname);
}

/* Whether a default is written there, other than NULL. */
static bool
has_default(ColumnDef *def)
{
	Constraint *con = lint_constraint_of(def, CONSTR_DEFAULT);

	return con != NULL && !(IsA(con->raw_expr, A_Const) && ((A_Const *) con->raw_expr)->isnull);
}

static bool
is_stored(ColumnDef *def)
{
	Constraint *con = lint_constraint_of(def, CONSTR_GENERATED);

	return con != NULL && COMPAT_GENERATED_KIND(con) == ATTRIBUTE_GENERATED_STORED;
}

static void
check_volatile(LintCheck *c)
{
	ColumnDef  *def = added_column(c);
	Constraint *con = def == NULL ? NULL : lint_constraint_of(def, CONSTR_DEFAULT);
	Oid			type = InvalidOid;
	int32		typmod = -1;

	if (def == NULL || lint_is_serial(def->typeName) ||
		lint_constraint_of(def, CONSTR_GENERATED) != NULL ||
		lint_constraint_of(def, CONSTR_IDENTITY) != NULL)
		return;

	/* The size of a table is dearer than all that can be said without it. */
	if (con != NULL && IsA(con->raw_expr, A_Const))
		return;
	if (!lint_type(c->lint, def->typeName, &type, &typmod))
	{
		LintType   *made = def->typeName->names == NIL || def->typeName->arrayBounds != NIL ? NULL :
			lint_type_of_script(c->lint, def->typeName->names);

		if (con == NULL)
		{
			if (made != NULL && made->volatile_default)
				lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
			return;
		}
		type = InvalidOid;
	}
	else if (con == NULL && lint_type_is_plain(c->lint, def->typeName, type))
		return;
	if (lint_has_rows(c->lint, c->rel) &&
		lint_default_is_volatile(c->lint, con == NULL ? NULL : con->raw_expr, type, typmod))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_serial(LintCheck *c)
{
	ColumnDef  *def = added_column(c);

	if (def != NULL && (lint_is_serial(def->typeName) ||
						lint_constraint_of(def, CONSTR_IDENTITY) != NULL))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_stored(LintCheck *c)
{
	ColumnDef  *def = added_column(c);

	if (def != NULL && is_stored(def))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_set_expression(LintCheck *c)
{
	LintColumn *column = lint_column(c->lint, c->rel, c->cmd->name);

	if (column != NULL && column->generated == ATTRIBUTE_GENERATED_STORED)
		lint_find(c, c->rel, AccessExclusiveLock, psprintf("column %s", column->name));
}

static void
check_domain(LintCheck *c)
{
	ColumnDef  *def = added_column(c);

	if (def != NULL && !lint_is_serial(def->typeName) &&
		lint_domain_is_constrained(c->lint, def->typeName) && lint_has_rows(c->lint, c->rel))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_inline(LintCheck *c)
{
	ColumnDef  *def = added_column(c);
	Constraint *con = def == NULL ? NULL : lint_constraint_of(def, CONSTR_CHECK);
	Constraint *generated = def == NULL ? NULL : lint_constraint_of(def, CONSTR_GENERATED);

	/* What is computed when it is read is computed of every row, to see that it is not null. */
	if ((con != NULL && COMPAT_IS_ENFORCED(con)) ||
		(generated != NULL && COMPAT_GENERATED_KIND(generated) == COMPAT_GENERATED_VIRTUAL &&
		 lint_constraint_of(def, CONSTR_NOTNULL) != NULL))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_unique(LintCheck *c)
{
	ColumnDef  *def = added_column(c);

	/* The index is the table's own; its children's columns get none. */
	c->lint->inherit = false;
	if (def != NULL && (lint_constraint_of(def, CONSTR_UNIQUE) != NULL ||
						lint_constraint_of(def, CONSTR_PRIMARY) != NULL))
		lint_find(c, c->rel, AccessExclusiveLock, column_detail(def));
}

static void
check_not_null(LintCheck *c)
{
	ColumnDef  *def = castNode(ColumnDef, c->cmd->def);
	Oid			type;
	int32		typmod;

	if (column_is_there(c))
		return;
	if ((lint_constraint_of(def, CONSTR_NOTNULL) == NULL &&
		 lint_constraint_of(def, CONSTR_PRIMARY) == NULL) ||
		has_default(def) || lint_is_serial(def->typeName) ||
		lint_constraint_of(def, CONSTR_IDENTITY) != NULL ||
		lint_constraint_of(def, CONSTR_GENERATED) != NULL)
		return;
	if (!c->rel->filled && (c->rel->deleted || !lint_has_rows(c->lint, c->rel)))
		return;
	if (lint_constraint_of(def, CONSTR_DEFAULT) == NULL &&
		lint_type(c->lint, def->typeName, &type, &typmod) && get_typdefault(type) != NULL)
		return;
	lint_find(c, c->rel, NoLock, psprintf("column %s is NOT NULL without a default, and %s has rows",
										  def->colname, lint_relation_label(c->lint, c->rel)));
}

static void
check_references(LintCheck *c)
{
	ColumnDef  *def = added_column(c);
	Constraint *con = def == NULL ? NULL : lint_constraint_of(def, CONSTR_FOREIGN);
	LintRelation *other;
	char	   *detail;

	c->lint->inherit = false;	/* as a key of the table's own */
	if (con == NULL || !COMPAT_IS_ENFORCED(con) || !lint_has_rows(c->lint, c->rel))
		return;
	other = lint_relation(c->lint, con->pktable);
	detail = psprintf("column %s%s", def->colname, other == NULL ? "" :
					  psprintf("; SHARE ROW EXCLUSIVE on %s", lint_relation_label(c->lint, other)));

	/* The server reads the rows for any default that is written there, NULL too. */
	if (lint_constraint_of(def, CONSTR_DEFAULT) != NULL)
		lint_find(c, c->rel, AccessExclusiveLock,
				  psprintf("%s; with its default every row is looked up", detail));
	else
		lint_find_at(c, c->lint->statement, LINT_NOTICE, c->rel, AccessExclusiveLock, detail);
}

static bool
is_json(const TypeName *name)
{
	return name != NULL && name->names != NIL && name->arrayBounds == NIL &&
		strcmp(strVal(llast(name->names)), "json") == 0;
}

static void
check_json(LintCheck *c)
{
	ListCell   *lc;

	if (c->cmd != NULL)
	{
		ColumnDef  *def = castNode(ColumnDef, c->cmd->def);

		if (is_json(def->typeName))
			lint_find(c, c->rel, NoLock, psprintf("column %s", c->cmd->subtype == AT_AddColumn ?
												  def->colname : c->cmd->name));
		return;
	}
	foreach(lc, castNode(CreateStmt, c->node)->tableElts)
	{
		if (IsA(lfirst(lc), ColumnDef) && is_json(((ColumnDef *) lfirst(lc))->typeName))
			lint_find(c, NULL, NoLock, psprintf("column %s", ((ColumnDef *) lfirst(lc))->colname));
	}
}

static void
check_default(LintCheck *c)
{
	LintColumn *column = lint_column(c->lint, c->rel, c->cmd->name);

	if (column == NULL || column->is_new || !lint_is_old(c->rel) ||
		(c->cmd->def == NULL && !column->has_default))
		return;
	lint_find(c, c->rel, NoLock,
			  c->cmd->def == NULL && column->not_null ?
			  psprintf("column %s loses its default and is NOT NULL, so that INSERTs which leave it out fail", column->name) :
			  psprintf("column %s gets another default", column->name));
}

static void
check_drop_not_null(LintCheck *c)
{
	LintColumn *column = lint_column(c->lint, c->rel, c->cmd->name);

	if (column != NULL && column->not_null && !column->is_new && lint_is_old(c->rel))
		lint_find(c, c->rel, NoLock, psprintf("column %s may be null from now on", column->name));
}

/* ---- renames */

static bool
is_word(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* Whether a text has that name as a word, in whatever case. */
static bool
names_word(const char *text, const char *word)
{
	size_t		len = strlen(word);
	unsigned char first = pg_tolower((unsigned char) word[0]);

	for (const char *p = text; *p != '\0'; p++)
	{
		if (pg_tolower((unsigned char) *p) == first && pg_strncasecmp(p, word, len) == 0 &&
			(p == text || !is_word(p[-1])) && !is_word(p[len]))
			return true;
	}
	return false;
}

/* Adds the words of a text that may be names to a set, in lower case. */
static void
note_words(Lint *lint, LintNames *words, const char *text)
{
	char		word[NAMEDATALEN];
	size_t		len = 0;

	for (const char *p = text;; p++)
	{
		if (is_word(*p))
		{
			if (len < NAMEDATALEN)
				word[len] = pg_tolower((unsigned char) *p);
			len++;
			continue;
		}
		if (len > 0 && len < NAMEDATALEN)
		{
			word[len] = '\0';
			lint_names_add(lint, words, word);
		}
		if (*p == '\0')
			return;
		len = 0;
	}
}

/* Whether a name may be among them; one that is not a single word always may. */
static bool
may_have_word(const LintNames *words, const char *name)
{
	char		word[NAMEDATALEN];
	size_t		len = 0;

	for (const char *p = name; *p != '\0'; p++)
	{
		if (!is_word(*p) || len == NAMEDATALEN - 1)
			return true;
		word[len++] = pg_tolower((unsigned char) *p);
	}
	word[len] = '\0';
	return lint_names_may_have(words, word);
}

/*
 * Functions of users whose text has the word, as "f, g"; NULL: none. When all of
 * them have been read once, most names need no second reading.
 */
static char *
functions_naming(Lint *lint, const char *word, const char *also)
{
	LintNames	words = {0};
	Relation	pg_proc;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	StringInfoData buf;
	int			n = 0;

	if (lint->have_function_words &&
		(!may_have_word(&lint->function_words, word) ||
		 (also != NULL && !may_have_word(&lint->function_words, also))))
		return NULL;
	lint_analysis(lint);
	initStringInfo(&buf);
	pg_proc = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum(FirstNormalObjectId));
	scan = systable_beginscan(pg_proc, ProcedureOidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		bool		isnull;
		Datum		value;
		char	   *body;

		CHECK_FOR_INTERRUPTS();
		if (form->prolang == ClanguageId || form->prolang == INTERNALlanguageId)
			continue;			/* a symbol's name, no text */
		value = heap_getattr(tuple, Anum_pg_proc_prosrc, RelationGetDescr(pg_proc), &isnull);
		body = isnull ? NULL : TextDatumGetCString(value);
		if (body != NULL && !lint->have_function_words)
			note_words(lint, &words, body);
		if (body == NULL || !names_word(body, word) || (also != NULL && !names_word(body, also)))
			continue;
		if (n++ < 5)
			appendStringInfo(&buf, "%s%s", n > 1 ? ", " : "",
							 NameStr(form->proname));
	}
	systable_endscan(scan);
	table_close(pg_proc, AccessShareLock);
	if (!lint->have_function_words)
	{
		lint->function_words = words;
		lint->have_function_words = true;
	}
	if (n > 5)
		appendStringInfo(&buf, " and %d more", n - 5);
	return n == 0 ? NULL : buf.data;
}

/* Whether a column has taken the name that another one gave up in this step. */
static bool
takes_over_column(LintCheck *c, const LintRename *rename, const LintNames *old_names)
{
	ListCell   *lc;

	if (!lint_names_may_have(old_names, rename->column->name))
		return false;
	foreach(lc, c->lint->column_renames)
	{
		const LintRename *other = lfirst(lc);

		if (other->rel == rename->rel && other->column != rename->column &&
			strcmp(other->name, rename->column->name) == 0)
			return true;
	}
	return false;
}

static void
check_rename_column(LintCheck *c)
{
	LintNames	old_names = {0};
	ListCell   *lc;

	foreach(lc, c->lint->column_renames)
		lint_names_add(c->lint, &old_names, ((LintRename *) lfirst(lc))->name);
	foreach(lc, c->lint->column_renames)
	{
		LintRename *rename = lfirst(lc);
		char	   *functions;

		/* Another column has the name by now: the successor, or itself. */
		if (rename->rel->gone || rename->column->name == NULL || takes_over_column(c, rename, &old_names) ||
			lint_column(c->lint, rename->rel, rename->name) != NULL)
			continue;
		functions = functions_naming(c->lint, rename->name, rename->rel->name);
		lint_find_at(c, rename->statement, LINT_ERROR, rename->rel, AccessExclusiveLock,
					 psprintf("column %s; views follow by themselves%s", rename->name, functions == NULL ? "" :
							  psprintf(", functions don't: %s", functions)));
	}
}

/* Whether it has taken the name that another relation gave up in this step. */
static bool
takes_over(LintCheck *c, LintRelation *rel, const LintNames *old_names)
{
	ListCell   *lc;

	if (!lint_names_may_have(old_names, rel->name))
		return false;
	foreach(lc, c->lint->renames)
	{
		LintRename *rename = lfirst(lc);

		if (rename->rel != rel && strcmp(rename->schema, rel->schema) == 0 &&
			strcmp(rename->name, rel->name) == 0)
			return true;
	}
	return false;
}

static void
check_rename_table(LintCheck *c)
{
	LintNames	old_names = {0};
	ListCell   *lc;

	foreach(lc, c->lint->renames)
		lint_names_add(c->lint, &old_names, ((LintRename *) lfirst(lc))->name);
	foreach(lc, c->lint->renames)
	{
		LintRename *rename = lfirst(lc);
		char	   *functions;

		/* Something else has the name by now: a view, or the table's successor. */
		if (!lint_is_old(rename->rel) || rename->rel->gone || takes_over(c, rename->rel, &old_names) ||
			lint_relation_at(c->lint, rename->schema, rename->name) != NULL)
			continue;
		functions = functions_naming(c->lint, rename->name, NULL);
		lint_find_at(c, rename->statement, LINT_ERROR, rename->rel, AccessExclusiveLock,
					 psprintf("was %s; views follow by themselves%s", quote_identifier(rename->name),
							  functions == NULL ? "" : psprintf(", functions don't: %s", functions)));
	}
}

#define ON_ADD	{T_AlterTableStmt, AT_AddColumn}

const LintRule lint_rules_column[] = {
	{"add-column-volatile-default", LINT_SCAN, {ON_ADD}, check_volatile,
		"while it is rewritten, since the default differs from row to row",
	"ADD COLUMN without default, SET DEFAULT, then fill the old rows in batches."},
	{"add-column-serial-or-identity", LINT_SCAN, {ON_ADD}, check_serial,
		"while it is rewritten, to number its rows",
	"Add a nullable bigint column, fill it in batches, then SET NOT NULL and ADD GENERATED AS IDENTITY."},
	{"add-column-generated-stored", LINT_SCAN, {ON_ADD}, check_stored,
		"while it is rewritten, to compute the column",
	"A plain column with a trigger, filled in batches; or VIRTUAL, from PostgreSQL 18 on."},
	{"set-expression-rewrite", LINT_SCAN, {{T_AlterTableStmt, COMPAT_AT_SET_EXPRESSION}},
		check_set_expression,
		"while it is rewritten, to compute the column anew",
	"A new column with the new expression."},
	{"add-column-constrained-domain", LINT_SCAN, {ON_ADD}, check_domain,
		"while it is rewritten, since the domain has constraints",
	"Use the base type, and a CHECK of the table, added NOT VALID."},
	{"add-column-inline-check", LINT_SCAN, {ON_ADD}, check_inline,
		"while every row is checked: reads and writes wait",
	"Add the column alone, then the CHECK as NOT VALID, and VALIDATE it in a later script."},
	{"add-column-unique-or-pk", LINT_SCAN, {ON_ADD}, check_unique,
		"while its index is built: reads and writes wait",
	"Add the column alone, CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX."},
	{"add-column-not-null-no-default", LINT_ALWAYS_ERROR, {ON_ADD}, check_not_null,
		"the server refuses it",
	"Give it a constant default, or make it NOT NULL when it is filled."},
	{"add-column-references", LINT_SCAN, {ON_ADD}, check_references,
		"and on the referenced table, until the transaction ends",
	"Without a default nothing is checked, and the locks are short; else add the column, then the key as NOT VALID."},
	{"add-column-json", LINT_ALWAYS_WARNING,
		{ON_ADD, {T_AlterTableStmt, AT_AlterColumnType}, {T_CreateStmt, LINT_ANY}}, check_json,
		"json has no equality: DISTINCT, GROUP BY and UNION over it fail",
	"Use jsonb."},
	{"column-default-change", LINT_ALWAYS_NOTICE, {{T_AlterTableStmt, AT_ColumnDefault}}, check_default,
		"old rows keep what they have, and code that runs still counts on the old default",
	"Deploy code that gives the value itself first."},
	{"drop-not-null", LINT_ALWAYS_NOTICE, {{T_AlterTableStmt, AT_DropNotNull}}, check_drop_not_null,
		"code that reads it may not expect that",
	"Deploy code that can do with nulls first."},
	{"rename-column", LINT_ALWAYS_ERROR, {{LINT_END_OF_STEP, LINT_ANY}}, check_rename_column,
		"while code that runs still uses the old name",
	"Add the new column, keep both filled, move the code over, drop the old one; or put a view in between."},
	{"rename-table", LINT_ALWAYS_ERROR, {{LINT_END_OF_STEP, LINT_ANY}}, check_rename_table,
		"while code that runs still uses the old name",
	"In the same script, CREATE VIEW under the old name: simple views can be written to."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
