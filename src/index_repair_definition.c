/*
 * index_repair_definition.c
 *		What an index is, and whether a CREATE INDEX means the same.
 *
 * Definitions are compared as the catalogs store them, not as text: what
 * pg_get_indexdef() prints doesn't always parse back to the same expression,
 * and names mean something only under a search_path.  A statement is resolved
 * as DefineIndex() resolves it, so that defaults that are written out are no
 * difference.
 *
 * An index can vanish between two reads of the catalogs, whose locks are none;
 * then it counts as not there.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_utilcmd.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "index_repair_internal.h"

/* A relation's name with its schema, quoted; NULL when it is gone. */
char *
index_repair_qualified_name(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char	   *schema = get_namespace_name(get_rel_namespace(relation));

	if (name == NULL || schema == NULL)
		return NULL;
	return quote_qualified_identifier(schema, name);
}

static int
index_repair_compare_strings(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* Options as the catalogs keep them, text[], to a sorted list of C strings. */
static List *
index_repair_options(Datum options)
{
	List	   *result = NIL;
	Datum	   *elements;
	int			n;

	if (options == (Datum) 0)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		result = lappend(result, TextDatumGetCString(elements[i]));
	list_sort(result, index_repair_compare_strings);
	return result;
}

/* The same of a statement's list of DefElem. */
static List *
index_repair_written_options(List *options)
{
	return index_repair_options(transformRelOptions((Datum) 0, options, NULL,
													NULL, false, false));
}

static bool
index_repair_same_options(List *a, List *b)
{
	ListCell   *cell_a;
	ListCell   *cell_b;

	if (list_length(a) != list_length(b))
		return false;
	forboth(cell_a, a, cell_b, b)
	{
		if (strcmp(lfirst(cell_a), lfirst(cell_b)) != 0)
			return false;
	}
	return true;
}

/* A tree that pg_index stores as text, NULL where there is none. */
static void *
index_repair_stored_tree(HeapTuple tuple, AttrNumber attribute)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(INDEXRELID, tuple, attribute, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(tree));
}

/* A vector column of pg_index. */
static void *
index_repair_vector(HeapTuple tuple, AttrNumber attribute)
{
	bool		isnull;
	Datum		vector = SysCacheGetAttr(INDEXRELID, tuple, attribute, &isnull);

	if (isnull)
		elog(ERROR, "a vector of pg_index is null");
	return DatumGetPointer(vector);
}

/* What an index can't be dropped without; NULL: nothing. */
static const char *
index_repair_bound(Oid oid, Form_pg_index form, Form_pg_class class)
{
	if (class->relkind != RELKIND_INDEX)
		return "is the index of a partitioned table";
	if (class->relispartition)
		return "is a partition of another index";
	if (form->indisprimary || form->indisexclusion ||
		OidIsValid(get_index_constraint(oid)))
		return "belongs to a constraint";
	return NULL;
}

/* Read an index. False: there is none of that oid, or not any more. */
bool
index_repair_read_index(Oid oid, IndexRepairIndex *index)
{
	IndexRepairDefinition *d = &index->definition;
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(oid));
	HeapTuple	class_tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(oid));
	Form_pg_index form;
	Form_pg_class class;
	Datum		options;
	bool		isnull;

	memset(index, 0, sizeof(*index));
	if (!HeapTupleIsValid(tuple) || !HeapTupleIsValid(class_tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	class = (Form_pg_class) GETSTRUCT(class_tuple);

	index->oid = oid;
	index->schema = class->relnamespace;
	index->name = pstrdup(NameStr(class->relname));
	index->qualified = index_repair_qualified_name(oid);
	if (index->qualified == NULL)
		return false;
	index->valid = form->indisvalid && form->indisready && form->indislive;
	index->immediate = form->indimmediate;
	index->bound = index_repair_bound(oid, form, class);

	d->table = form->indrelid;
	d->access_method = class->relam;
	d->unique = form->indisunique;
	d->nulls_not_distinct = form->indnullsnotdistinct;
	d->n_columns = form->indnatts;
	d->n_keys = form->indnkeyatts;
	memcpy(d->columns, form->indkey.values,
		   d->n_columns * sizeof(AttrNumber));
	memcpy(d->opclasses,
		   ((oidvector *) index_repair_vector(tuple, Anum_pg_index_indclass))->values,
		   d->n_keys * sizeof(Oid));
	memcpy(d->collations,
		   ((oidvector *) index_repair_vector(tuple, Anum_pg_index_indcollation))->values,
		   d->n_keys * sizeof(Oid));
	memcpy(d->order,
		   ((int2vector *) index_repair_vector(tuple, Anum_pg_index_indoption))->values,
		   d->n_keys * sizeof(int16));
	for (int i = 0; i < d->n_keys; i++)
	{
		/* get_attoptions() fails where the index has gone meanwhile. */
		if (!SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(oid),
								   Int16GetDatum(i + 1)))
			return false;
		d->opclass_options[i] = index_repair_options(get_attoptions(oid, i + 1));
	}
	d->expressions = index_repair_stored_tree(tuple, Anum_pg_index_indexprs);
	d->predicate = make_ands_implicit(index_repair_stored_tree(tuple,
															   Anum_pg_index_indpred));
	options = SysCacheGetAttr(RELOID, class_tuple, Anum_pg_class_reloptions,
							  &isnull);
	d->storage = isnull ? NIL : index_repair_options(options);
	return true;
}

/*
 * One column of a CREATE INDEX, as ComputeIndexAttrs() resolves it. False where
 * PostgreSQL will refuse it.
 */
static bool
index_repair_read_column(IndexElem *element, const IndexStmt *stmt,
						 IndexRepairDefinition *d)
{
	bool		key = d->n_columns < d->n_keys;
	int			i = d->n_columns++;
	Oid			type;
	Oid			collation;

	if (element->name != NULL)
	{
		int32		typmod;

		d->columns[i] = get_attnum(d->table, element->name);
		if (d->columns[i] == InvalidAttrNumber)
			return false;
		get_atttypetypmodcoll(d->table, d->columns[i], &type, &typmod, &collation);
	}
	else
	{
		Node	   *expr = element->expr;

		if (!key)
			return false;
		type = exprType(expr);
		collation = exprCollation(expr);
		while (IsA(expr, CollateExpr))
			expr = (Node *) ((CollateExpr *) expr)->arg;

		/* A column in parentheses is a column. */
		if (IsA(expr, Var) && ((Var *) expr)->varattno != InvalidAttrNumber)
			d->columns[i] = ((Var *) expr)->varattno;
		else
			d->expressions = lappend(d->expressions, expr);
	}
	if (!key)
		return true;

	if (element->collation != NIL)
		collation = get_collation_oid(element->collation, false);
	d->collations[i] = collation;
	d->opclasses[i] = ResolveOpClass(element->opclass, type, stmt->accessMethod,
									 d->access_method);
	d->opclass_options[i] = index_repair_written_options(element->opclassopts);
	if (GetIndexAmRoutineByAmId(d->access_method, false)->amcanorder)
	{
		bool		descending = element->ordering == SORTBY_DESC;

		if (descending)
			d->order[i] |= INDOPTION_DESC;
		if (element->nulls_ordering == SORTBY_NULLS_FIRST ||
			(element->nulls_ordering == SORTBY_NULLS_DEFAULT && descending))
			d->order[i] |= INDOPTION_NULLS_FIRST;
	}
	return true;
}

/*
 * What a CREATE INDEX on the table, locked by the caller, defines. stmt is
 * changed. False where PostgreSQL will refuse the statement; what is wrong in
 * an expression is an error here, the one that CREATE INDEX raises too.
 */
bool
index_repair_read_statement(IndexStmt *stmt, Oid table, const char *sql,
							IndexRepairDefinition *d)
{
	ListCell   *cell;

	memset(d, 0, sizeof(*d));
	if (list_length(stmt->indexParams) +
		list_length(stmt->indexIncludingParams) > INDEX_MAX_KEYS)
		return false;

	d->table = table;
	d->access_method = get_index_am_oid(stmt->accessMethod, true);
	if (!OidIsValid(d->access_method))
		return false;
	d->unique = stmt->unique;
	d->nulls_not_distinct = stmt->nulls_not_distinct;
	d->storage = index_repair_written_options(stmt->options);

	stmt = transformIndexStmt(table, stmt, sql);
	d->predicate = make_ands_implicit((Expr *) stmt->whereClause);
	d->n_keys = list_length(stmt->indexParams);
	foreach(cell, list_concat_copy(stmt->indexParams, stmt->indexIncludingParams))
	{
		if (!index_repair_read_column(lfirst_node(IndexElem, cell), stmt, d))
			return false;
	}
	return true;
}

static void
index_repair_add_difference(StringInfo buf, bool same, const char *what)
{
	if (!same)
		appendStringInfo(buf, "%s%s", buf->len > 0 ? ", " : "", what);
}

/* In what two definitions differ, for a message; NULL: in nothing. */
char *
index_repair_differences(const IndexRepairDefinition *a,
						 const IndexRepairDefinition *b)
{
	StringInfoData buf;
	bool		same_shape = a->n_columns == b->n_columns && a->n_keys == b->n_keys;

	initStringInfo(&buf);
	index_repair_add_difference(&buf, a->table == b->table, "table");
	index_repair_add_difference(&buf, a->access_method == b->access_method,
								"access method");
	index_repair_add_difference(&buf, a->unique == b->unique, "uniqueness");
	index_repair_add_difference(&buf,
								a->nulls_not_distinct == b->nulls_not_distinct,
								"NULLS NOT DISTINCT");
	index_repair_add_difference(&buf,
								same_shape &&
								memcmp(a->columns, b->columns,
									   a->n_columns * sizeof(AttrNumber)) == 0,
								"columns");
	index_repair_add_difference(&buf, equal(a->expressions, b->expressions),
								"expressions");

	/* Of other columns these say nothing. */
	if (same_shape)
	{
		bool		same_options = true;

		for (int i = 0; i < a->n_keys; i++)
			same_options = same_options &&
				index_repair_same_options(a->opclass_options[i],
										  b->opclass_options[i]);
		index_repair_add_difference(&buf,
									memcmp(a->opclasses, b->opclasses,
										   a->n_keys * sizeof(Oid)) == 0,
									"operator classes");
		index_repair_add_difference(&buf, same_options,
									"options of the operator classes");
		index_repair_add_difference(&buf,
									memcmp(a->collations, b->collations,
										   a->n_keys * sizeof(Oid)) == 0,
									"collations");
		index_repair_add_difference(&buf,
									memcmp(a->order, b->order,
										   a->n_keys * sizeof(int16)) == 0,
									"order");
	}
	index_repair_add_difference(&buf, equal(a->predicate, b->predicate), "WHERE");
	index_repair_add_difference(&buf,
								index_repair_same_options(a->storage, b->storage),
								"WITH");
	return buf.len > 0 ? buf.data : NULL;
}

/* The oids of all indexes of a table, those of a dropping under way too. */
List *
index_repair_indexes_of(Oid table)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		result = lappend_oid(result,
							 ((Form_pg_index) GETSTRUCT(tuple))->indexrelid);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* An index's CREATE INDEX statement; its name when it has gone meanwhile. */
char *
index_repair_definition_text(const IndexRepairIndex *index)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		definition;

	/* Not by DirectFunctionCall1(), which doesn't take null for an answer. */
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(index->oid);
	fcinfo->args[0].isnull = false;
	definition = pg_get_indexdef(fcinfo);
	return fcinfo->isnull ? index->qualified : TextDatumGetCString(definition);
}

/*
 * The label behind the last underscore of a name that makeObjectName() made,
 * digits that it was numbered with included; NULL where it is another one.
 */
const char *
index_repair_label(const char *name, const char *label)
{
	const char *found = strrchr(name, '_');
	size_t		len = strlen(label);

	if (found == NULL || strncmp(++found, label, len) != 0)
		return NULL;
	return found[len + strspn(found + len, "0123456789")] == '\0' ? found : NULL;
}

/* Whether `name` is what makeObjectName() makes of these, numbered or not. */
bool
index_repair_is_made_of(const char *name, const char *name1, const char *name2,
						const char *label)
{
	const char *found = index_repair_label(name, label);

	return found != NULL && strcmp(makeObjectName(name1, name2, found), name) == 0;
}
