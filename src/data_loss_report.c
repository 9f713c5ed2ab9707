/*
 * data_loss_report.c
 *		What a lost table or column is called, whether the script lists it, and
 *		how that is said.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "data_loss_internal.h"
#include "errors.h"

/* Objects and export lines that a message names. */
#define DATA_LOSS_NAMED_MAX 3
#define DATA_LOSS_LINES_MAX 20

/* The relation's parents, and theirs, nearest first. */
static List *
data_loss_ancestors(Oid relation)
{
	List	   *oids = list_make1_oid(relation);
	List	   *ancestors = NIL;
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);

	for (int i = 0; i < list_length(oids); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(oids, i)));
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
		while ((tuple = systable_getnext(scan)) != NULL)
		{
			Oid			parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
			DataLossName *name;
			char	   *table = get_rel_name(parent);

			if (table == NULL || list_member_oid(oids, parent))
				continue;
			oids = lappend_oid(oids, parent);
			name = palloc(sizeof(DataLossName));
			name->relation = parent;
			name->table = table;
			name->schema = get_namespace_name(get_rel_namespace(parent));
			ancestors = lappend(ancestors, name);
		}
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	list_free(oids);
	return ancestors;
}

/*
 * A file's name for an export: what a shell and psql's quotes leave alone. With the
 * schema where the table's name has it: tables of one name go to files of their own.
 */
static char *
data_loss_file(const DataLossObject *object, bool with_schema)
{
	char	   *file = psprintf("%s%s%s%s%s.csv",
								with_schema ? object->name.schema : "", with_schema ? "_" : "",
								object->name.table,
								object->column ? "_" : "", object->column ? object->column : "");

	for (char *p = file; *p != '\0'; p++)
	{
		if (strchr("'\\/\"`$* ?|&;<>\n\r\t", *p) != NULL)
			*p = '_';
	}
	return file;
}

/*
 * psql's line that saves what would be lost: a column with the primary key's, or
 * with all columns where there is none; a whole table.
 */
static char *
data_loss_export(Relation relation, AttrNumber column, const DataLossObject *object,
				 const char *table, bool with_schema)
{
	StringInfoData line;
	Oid			constraint;
	Bitmapset  *key = column > 0 ?
		get_primary_key_attnos(RelationGetRelid(relation), false, &constraint) : NULL;
	int			i = -1;

	initStringInfo(&line);
	appendStringInfoString(&line, "\\copy (SELECT ");
	if (key == NULL)
		appendStringInfoChar(&line, '*');
	else
	{
		int			own = column - FirstLowInvalidHeapAttributeNumber;

		while ((i = bms_next_member(key, i)) >= 0)
		{
			AttrNumber	number = i + FirstLowInvalidHeapAttributeNumber;

			appendStringInfo(&line, "%s, ",
							 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname)));
		}
		if (bms_is_member(own, key))
			line.data[line.len -= 2] = '\0';
		else
			appendStringInfoString(&line, quote_identifier(object->column));
	}
	appendStringInfo(&line, " FROM %s) TO '%s' CSV HEADER", table, data_loss_file(object, with_schema));

	/* Pasted, what stands behind a line end could be another command of psql's. */
	for (const char *p = line.data; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			return pstrdup("-- a name in it has a control character: to be written by hand");
	}
	return line.data;
}

/*
 * Fills in what the object is called, while the catalogs have it; column 0: the
 * table. In the current memory context.
 */
void
data_loss_name(Relation relation, AttrNumber column, DataLossObject *object)
{
	char	   *table;
	bool		with_schema;

	object->name.relation = RelationGetRelid(relation);
	object->name.schema = get_namespace_name(RelationGetNamespace(relation));
	object->name.table = pstrdup(RelationGetRelationName(relation));
	if (column > 0)
		object->column = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(relation),
													   column - 1)->attname));

	/* As it is called from a session with the default search_path. */
	with_schema = strcmp(object->name.schema, "public") != 0 ||
		!RelationIsVisible(object->name.relation);
	if (!with_schema)
		table = pstrdup(quote_identifier(object->name.table));
	else
		table = quote_qualified_identifier(object->name.schema, object->name.table);
	object->shown = column > 0 ?
		psprintf("%s.%s", table, quote_identifier(object->column)) : table;
	object->export = data_loss_export(relation, column, object, table, with_schema);
	object->ancestors = data_loss_ancestors(object->name.relation);
}

/* ---------------------------------------------------------------- listed */

/*
 * Whether a directive's name is this one's. A name without a schema stands for
 * the schema in which it was found first: an approval is for one table.
 */
static bool
data_loss_covers(DataLoss *loss, DataLossListed *listed, const DataLossName *name,
				 const char *column)
{
	const ScriptName *n = listed->name;
	const char *first = n->parts[0];

	if (n->n == 3)
		return strcmp(first, name->schema) == 0 && strcmp(n->parts[1], name->table) == 0 &&
			column != NULL && strcmp(n->parts[2], column) == 0;
	if (n->n == 2 && strcmp(first, name->schema) == 0 && strcmp(n->parts[1], name->table) == 0)
		return true;
	if (strcmp(first, name->table) != 0 ||
		(n->n == 2 && (column == NULL || strcmp(n->parts[1], column) != 0)))
		return false;
	if (listed->schema == NULL)
		listed->schema = MemoryContextStrdup(loss->context, name->schema);
	return strcmp(listed->schema, name->schema) == 0;
}

/* Whether the script lists it, by its own name or that of a table it belongs to. */
static bool
data_loss_is_listed(DataLoss *loss, const DataLossObject *object)
{
	bool		found = false;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, loss->listed)
	{
		DataLossListed *listed = lfirst(lc);
		bool		covers = data_loss_covers(loss, listed, &object->name, object->column);

		foreach(lc2, object->ancestors)
			covers = covers || data_loss_covers(loss, listed, lfirst(lc2), object->column);
		listed->lost = listed->lost || covers;
		found = found || covers;
	}
	return found;
}

/* ---------------------------------------------------------------- messages */

/* Objects that are named by one of them. */
typedef struct DataLossGroup
{
	const DataLossObject *top;
	const char *becomes;
	double		rows;
	bool		exact;
	int			parts;			/* tables with something to lose */
	const DataLossObject *gave_up;	/* one that was not looked through, or NULL */
} DataLossGroup;

/* The object of this statement that stands for it: the eldest ancestor's, or itself. */
static const DataLossObject *
data_loss_top(const DataLoss *loss, const DataLossObject *object)
{
	const DataLossObject *top = object;
	ListCell   *lc;
	ListCell   *lc2;

	if (object->ancestors == NIL)
		return object;
	foreach(lc, loss->pending)
	{
		const DataLossObject *other = lfirst(lc);

		if (list_length(other->ancestors) >= list_length(top->ancestors) ||
			(other->column == NULL) != (object->column == NULL) ||
			(other->column != NULL && strcmp(other->column, object->column) != 0))
			continue;
		foreach(lc2, object->ancestors)
		{
			if (((DataLossName *) lfirst(lc2))->relation == other->name.relation)
				top = other;
		}
	}
	return top;
}

static List *
data_loss_add_to_group(const DataLoss *loss, List *groups, const DataLossObject *object)
{
	const DataLossObject *top = data_loss_top(loss, object);
	DataLossGroup *group = NULL;
	ListCell   *lc;

	foreach(lc, groups)
	{
		DataLossGroup *other = lfirst(lc);

		if (other->top == top)
			group = other;
	}
	if (group == NULL)
	{
		group = palloc0(sizeof(DataLossGroup));
		group->top = top;
		group->exact = true;
		groups = lappend(groups, group);
	}
	group->parts++;
	group->becomes = object->becomes;
	group->rows += object->probe.rows;
	group->exact = group->exact && object->probe.exact;
	if (object->probe.gave_up)
		group->gave_up = object;
	return groups;
}

/* What happens to the group, and to how much of it: a sentence. */
static char *
data_loss_sentence(const DataLossGroup *group)
{
	const DataLossObject *top = group->top;
	const char *what = top->column ? "value" : "row";
	const char *rows = NULL;
	StringInfoData text;

	initStringInfo(&text);
	if (group->rows > 0)
		rows = psprintf("%s%.0f %s%s", group->exact ? "" : "about ", group->rows, what,
						group->rows == 1 ? "" : "s");
	switch (top->kind)
	{
		case DATA_LOSS_DROP:
			appendStringInfo(&text, "%s %s is dropped", top->column ? "Column" : "Table", top->shown);
			if (rows != NULL)
				appendStringInfo(&text, " with %s", rows);
			break;
		case DATA_LOSS_TRUNCATE:
		case DATA_LOSS_DELETE:
		case DATA_LOSS_MERGE:
			appendStringInfo(&text, "%s empties table %s",
							 top->kind == DATA_LOSS_TRUNCATE ? "TRUNCATE" :
							 top->kind == DATA_LOSS_MERGE ? "MERGE" : "DELETE without WHERE",
							 top->shown);
			if (rows != NULL)
				appendStringInfo(&text, " of %s", rows);
			break;
		case DATA_LOSS_TYPE:
			appendStringInfo(&text, "Column %s becomes %s", top->shown, group->becomes);
			if (rows != NULL)
				appendStringInfo(&text, ", which %s %s not survive", rows,
								 group->rows == 1 ? "does" : "do");
			break;
	}
	if (group->rows > 0 && group->parts > 1)
		appendStringInfo(&text, ", in %d tables", group->parts);
	if (group->gave_up != NULL)
		appendStringInfo(&text, "; it counts as lost, since no such %s was found in the first %u of %u pages of table %s, and no more is read in 1 s",
						 what, group->gave_up->probe.pages, group->gave_up->probe.of_pages,
						 group->gave_up->name.table);
	appendStringInfoChar(&text, '.');
	return text.data;
}

/* Whether an earlier try has warned of all of it; what is new is kept. */
static bool
data_loss_is_said(DataLoss *loss, const char *text)
{
	ListCell   *lc;
	MemoryContext old;

	foreach(lc, loss->said)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return true;
	}
	old = MemoryContextSwitchTo(loss->context);
	loss->said_now = lappend(loss->said_now, pstrdup(text));
	MemoryContextSwitchTo(old);
	return false;
}

static void
data_loss_say(DataLoss *loss, List *groups)
{
	StringInfoData names;
	StringInfoData detail;
	StringInfoData exports;
	StringInfoData loses;
	bool		refused = loss->policy == SETTINGS_ERROR || loss->listed != NIL;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&detail);
	initStringInfo(&exports);
	initStringInfo(&loses);
	foreach(lc, groups)
	{
		const DataLossGroup *group = lfirst(lc);

		if (n < DATA_LOSS_NAMED_MAX)
			appendStringInfo(&names, "%s%s", n > 0 ? ", " : "", group->top->shown);
		if (n < DATA_LOSS_LINES_MAX)
		{
			appendStringInfo(&detail, "%s%s", n > 0 ? "\n" : "", data_loss_sentence(group));
			appendStringInfo(&exports, "\n%s", group->top->export);
			appendStringInfo(&loses, "%s%s", n > 0 ? ", " : "", group->top->shown);
		}
		n++;
	}
	if (n > DATA_LOSS_NAMED_MAX)
		appendStringInfo(&names, " and %d more", n - DATA_LOSS_NAMED_MAX);
	if (n > DATA_LOSS_LINES_MAX)
		appendStringInfo(&detail, "\nAnd %d more.", n - DATA_LOSS_LINES_MAX);

	if (!refused && data_loss_is_said(loss, detail.data))
		return;
	ereport(refused ? ERROR : WARNING,
			(refused ? errcode(TAPMIG_ERRCODE_DATA_LOSS) : 0,
			 loss->listed != NIL ?
			 errmsg("the script would lose data that it does not list: %s", names.data) :
			 refused ? errmsg("the script would lose data without approval: %s", names.data) :
			 errmsg("the script loses data: %s", names.data),
			 errdetail("%s", detail.data),
			 loss->listed != NIL ?
			 errhint("Save it first where it may be needed, in psql:%s\nIf it may go, add it to the list at the head of the script: -- tapmig: loses=%s",
					 exports.data, loses.data) :
			 errhint("Save it first where it may be needed, in psql:%s\nIf it may go, say so at the head of the script: -- tapmig: loses=%s, approved-by=\"name, ticket\"",
					 exports.data, loses.data)));
}

/*
 * Reports what the statement under way loses and the script does not list, a
 * WARNING or TM008, and forgets it.
 */
void
data_loss_report(DataLoss *loss)
{
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, loss->pending)
	{
		const DataLossObject *object = lfirst(lc);

		if (object->probe.lost && !data_loss_is_listed(loss, object) &&
			loss->policy != SETTINGS_ALLOW)
			groups = data_loss_add_to_group(loss, groups, object);
	}
	if (groups != NIL)
		data_loss_say(loss, groups);
	loss->pending = NIL;
}
