/*
 * data_loss_type.c
 *		Whether ALTER COLUMN ... TYPE loses values.
 *
 * The statement's own expression is built as ALTER TABLE builds it, and tried on
 * the rows. A value is lost
 *	- by a cast from which the value before it cannot be had back: numeric(10,4) to
 *	  numeric(10,2), timestamp to date, an explicit varchar(10), timestamp to text by
 *	  way of date;
 *	- where it becomes NULL (but an empty text);
 *	- where the new value is not made from it, or from one of its elements only;
 *	- where another text is made from a text, a shorter one.
 * A cast that fails where it does not fit loses nothing, nor does one that is
 * known to keep every value: then no row is read. What text means is not judged
 * when it becomes a number, a time or jsonb. Whatever else stands after USING is
 * taken for a computation that somebody wanted.
 *
 * The trial runs in a subtransaction that is always rolled back: an error in it is
 * the statement's own to raise, and a volatile expression is not tried.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "data_loss_internal.h"
#include "trial.h"

/* How one column's change is tried on a row. */
typedef struct DataLossChange
{
	AttrNumber	column;
	bool		always;			/* whatever the value is, it does not go on */
	bool		was_text;
	Oid			old_output;		/* to compare texts; invalid: not compared */
	Oid			new_output;
	ExprState  *value;			/* the new one */
	ExprState  *differs;		/* true where a cast lost something; or NULL */
	ExprContext *econtext;
	bool		in_differs;		/* it is under way */
} DataLossChange;

/* Casts that keep every value, or fail: from, to. */
static const Oid data_loss_safe[][2] = {
	{INT2OID, INT4OID}, {INT2OID, INT8OID}, {INT2OID, NUMERICOID}, {INT2OID, FLOAT4OID},
	{INT2OID, FLOAT8OID},
	{INT4OID, INT2OID}, {INT4OID, INT8OID}, {INT4OID, NUMERICOID}, {INT4OID, FLOAT8OID},
	{INT8OID, INT2OID}, {INT8OID, INT4OID}, {INT8OID, NUMERICOID},
	{FLOAT4OID, FLOAT8OID},
	{DATEOID, TIMESTAMPOID}, {DATEOID, TIMESTAMPTZOID},
	{JSONOID, JSONBOID}, {JSONBOID, JSONOID}
};

/* Casts that keep a part of the value, and that no cast leads back from. */
static const Oid data_loss_partial[][2] = {
	{TIMESTAMPOID, TIMEOID}, {TIMESTAMPTZOID, TIMEOID}, {TIMESTAMPTZOID, TIMETZOID},
	{LSEGOID, POINTOID}, {BOXOID, POINTOID}, {POLYGONOID, POINTOID}, {CIRCLEOID, POINTOID},
	{BOXOID, LSEGOID}
};

static bool
data_loss_is_text(Oid type)
{
	char		category;
	bool		preferred;

	/* "char" has a category of its own since 15. */
	if (getBaseType(type) == CHAROID)
		return true;
	get_type_category_preferred(getBaseType(type), &category, &preferred);
	return category == TYPCATEGORY_STRING;
}

/* The base type; of an array: of its elements. */
static Oid
data_loss_scalar(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);

	return OidIsValid(element) ? getBaseType(element) : base;
}

static bool
data_loss_is_among(Oid from, Oid to, const Oid (*casts)[2], int n)
{
	for (int i = 0; i < n; i++)
	{
		if (casts[i][0] == data_loss_scalar(from) && casts[i][1] == data_loss_scalar(to))
			return true;
	}
	return false;
}

/*
 * What a cast is applied to, NULL where the node is none. *cuts is set where the
 * cast brings the value to a length or scale without failing at what is too long.
 */
static Node *
data_loss_cast_argument(Node *node, bool *cuts)
{
	switch (nodeTag(node))
	{
		case T_RelabelType:
			return (Node *) ((RelabelType *) node)->arg;
		case T_CoerceViaIO:
			return (Node *) ((CoerceViaIO *) node)->arg;
		case T_CollateExpr:
			return (Node *) ((CollateExpr *) node)->arg;
		case T_CoerceToDomain:
			return (Node *) ((CoerceToDomain *) node)->arg;
		case T_ConvertRowtypeExpr:
			return (Node *) ((ConvertRowtypeExpr *) node)->arg;
		case T_ArrayCoerceExpr:
			{
				Node	   *element = (Node *) ((ArrayCoerceExpr *) node)->elemexpr;

				while (element != NULL)
					element = data_loss_cast_argument(element, cuts);
				return (Node *) ((ArrayCoerceExpr *) node)->arg;
			}
		case T_FuncExpr:
			{
				FuncExpr   *call = (FuncExpr *) node;
				Node	   *strict = list_length(call->args) == 3 ? lthird(call->args) : NULL;

				if ((call->funcformat != COERCE_EXPLICIT_CAST &&
					 call->funcformat != COERCE_IMPLICIT_CAST) || call->args == NIL)
					return NULL;

				/* The third argument of a length coercion: was it an explicit cast? */
				if (list_length(call->args) > 1 &&
					!(strict != NULL && IsA(strict, Const) && !((Const *) strict)->constisnull &&
					  !DatumGetBool(((Const *) strict)->constvalue)))
					*cuts = true;
				return linitial(call->args);
			}
		default:
			return NULL;
	}
}

/* Whether it reads the column, alone or in the whole row. */
static bool
data_loss_reads(Node *expression, AttrNumber column)
{
	Bitmapset  *columns = NULL;

	pull_varattnos(expression, 1, &columns);
	return bms_is_member(column - FirstLowInvalidHeapAttributeNumber, columns) ||
		bms_is_member(-FirstLowInvalidHeapAttributeNumber, columns);
}

/* Whether it is an element of the column's array, row or JSON. */
static bool
data_loss_is_element(Node *node, AttrNumber column)
{
	Node	   *of = NULL;

	if (IsA(node, SubscriptingRef))
		of = (Node *) ((SubscriptingRef *) node)->refexpr;
	else if (IsA(node, FieldSelect))
		of = (Node *) ((FieldSelect *) node)->arg;
	else if (IsA(node, OpExpr))
	{
		OpExpr	   *op = (OpExpr *) node;
		char	   *name = get_opname(op->opno);
		Oid			type = exprType(linitial(op->args));

		if ((type == JSONOID || type == JSONBOID) && name != NULL &&
			(strncmp(name, "->", 2) == 0 || strncmp(name, "#>", 2) == 0))
			of = linitial(op->args);
	}
	if (of == NULL)
		return false;
	return (IsA(of, Var) && ((Var *) of)->varattno == column) ||
		data_loss_is_element(of, column);
}

/* `whole` cast to another type, NULL where there is no such cast. */
static Node *
data_loss_cast(Node *whole, Oid type)
{
	return coerce_to_target_type(NULL, copyObject(whole), exprType(whole), type, -1,
								 COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
}

static Node *
data_loss_as_text(Node *node)
{
	return data_loss_cast(node, TEXTOID);
}

/* left IS DISTINCT FROM right, by the type's own equality, or else as text. */
static Expr *
data_loss_distinct(Node *left, Node *right, Oid type)
{
	DistinctExpr *distinct = makeNode(DistinctExpr);
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;

	if (!OidIsValid(operator))
	{
		left = data_loss_as_text(left);
		right = data_loss_as_text(right);
		type = TEXTOID;
		operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
		if (left == NULL || right == NULL)
			return NULL;
	}
	distinct->opno = operator;
	distinct->opfuncid = get_opcode(operator);
	distinct->opresulttype = BOOLOID;
	distinct->inputcollid = type_is_collatable(type) ? C_COLLATION_OID : InvalidOid;
	distinct->args = list_make2(left, right);
	distinct->location = -1;
	return (Expr *) distinct;
}

/* The way back from `whole`: at once, or cast by cast as it came. */
static Node *
data_loss_back(Node *whole, Oid from, List *types)
{
	Node	   *back = data_loss_cast(whole, from);
	ListCell   *lc;

	if (back != NULL)
		return back;
	back = whole;
	foreach(lc, types)
	{
		back = data_loss_cast(back, lfirst_oid(lc));
		if (back == NULL)
			return NULL;
	}
	return back;
}

/*
 * Whether none of the casts to `to`, at the end, loses anything. types: of what
 * they are applied to, from the last cast to the first.
 */
static bool
data_loss_casts_keep(Oid to, List *types)
{
	ListCell   *lc;

	foreach(lc, types)
	{
		Oid			from = lfirst_oid(lc);

		if (from != to &&
			!data_loss_is_among(from, to, data_loss_safe, lengthof(data_loss_safe)) &&
			(!data_loss_is_text(to) || to == NAMEOID || to == CHAROID))
			return false;
		to = from;
	}
	return true;
}

/* Whether a text is cast to another type, and that to a text again. */
static bool
data_loss_is_detour(Oid to, List *types)
{
	bool		detour = false;
	ListCell   *lc;

	foreach(lc, types)
		detour = detour || !data_loss_is_text(lfirst_oid(lc));
	return detour && data_loss_is_text(to) && data_loss_is_text(llast_oid(types));
}

/*
 * An expression that is true where the casts on top of `whole` lose what `inner`
 * had; NULL where they cannot, or where that cannot be told. types: of what the
 * casts are applied to, from the last cast to the first.
 */
static Expr *
data_loss_round_trip(Node *whole, Node *inner, List *types, bool cuts)
{
	Oid			from = getBaseType(exprType(inner));
	Oid			to = getBaseType(exprType(whole));
	bool		to_text = data_loss_is_text(to);
	bool		keep = data_loss_casts_keep(to, types);
	Node	   *back;

	if (keep && !cuts)
		return NULL;
	if (data_loss_is_text(from) && !to_text)
		return NULL;
	if (data_loss_is_among(from, to, data_loss_partial, lengthof(data_loss_partial)))
		return (Expr *) makeBoolConst(true, false);
	if (to_text && (keep || data_loss_is_text(from)))
	{
		Node	   *before = data_loss_as_text(inner);
		Node	   *after = data_loss_as_text(whole);

		return before == NULL || after == NULL ? NULL :
			data_loss_distinct(after, before, TEXTOID);
	}
	back = data_loss_back(whole, from, types);
	return back == NULL ? NULL : data_loss_distinct(back, copyObject(inner), from);
}

/* The new value, as ALTER TABLE computes it; NULL where it will raise an error. */
static Node *
data_loss_new_value(Relation relation, AttrNumber column, AlterTableCmd *command,
					const char *text)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
	ColumnDef  *definition = copyObject((ColumnDef *) command->def);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Oid			type;
	int32		typmod;
	Node	   *value;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate, relation, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	typenameTypeIdAndMod(pstate, definition->typeName, &type, &typmod);
	if (definition->raw_default != NULL)
		value = transformExpr(pstate, definition->raw_default, EXPR_KIND_ALTER_COL_TRANSFORM);
	else
		value = (Node *) makeVar(1, column, attribute->atttypid, attribute->atttypmod,
								 attribute->attcollation, 0);
	value = coerce_to_target_type(pstate, value, exprType(value), type, typmod,
								  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (value == NULL)
		return NULL;
	assign_expr_collations(pstate, value);
	return (Node *) expression_planner((Expr *) value);
}

/* Fills in how the change is tried. Returns whether it may lose anything. */
static bool
data_loss_plan_change(DataLossChange *change, Relation relation, Node *value,
					  EState *estate)
{
	Oid			old_type = TupleDescAttr(RelationGetDescr(relation), change->column - 1)->atttypid;
	Node	   *inner = value;
	Node	   *next;
	bool		cuts = false;
	bool		detour = false;
	bool		computed;
	List	   *types = NIL;
	Expr	   *differs = NULL;

	change->econtext = GetPerTupleExprContext(estate);
	while ((next = data_loss_cast_argument(inner, &cuts)) != NULL)
	{
		inner = next;
		types = lappend_oid(types, getBaseType(exprType(inner)));
	}
	if (inner != value)
		detour = data_loss_is_detour(getBaseType(exprType(value)), types);
	computed = detour || !IsA(inner, Var) || ((Var *) inner)->varattno != change->column;
	change->always = !data_loss_reads(value, change->column) ||
		data_loss_is_element(inner, change->column);
	if (change->always)
		return true;
	if (contain_volatile_functions(value))
		return false;
	if (inner != value && !detour)
		differs = data_loss_round_trip(value, inner, types, cuts);
	if (differs == NULL && !computed)
		return false;

	change->was_text = data_loss_is_text(old_type);
	change->value = ExecPrepareExpr((Expr *) value, estate);
	if (differs != NULL)
		change->differs = ExecPrepareExpr(differs, estate);
	if (computed && change->was_text && data_loss_is_text(exprType(value)))
	{
		bool		varlena;

		getTypeOutputInfo(old_type, &change->old_output, &varlena);
		getTypeOutputInfo(exprType(value), &change->new_output, &varlena);
	}
	return true;
}

/* A text's characters, blanks at its end not counted. */
static int
data_loss_characters(const char *text)
{
	int			len = strlen(text);

	while (len > 0 && text[len - 1] == ' ')
		len--;
	return pg_mbstrlen_with_len(text, len);
}

static bool
data_loss_try_value(DataLossChange *change, TupleTableSlot *slot)
{
	bool		null;
	Datum		old = slot_getattr(slot, change->column, &null);
	Datum		new;

	if (null || change->always)
		return !null;
	change->econtext->ecxt_scantuple = slot;
	new = ExecEvalExpr(change->value, change->econtext, &null);
	if (null)
	{
		Oid			output;
		bool		varlena;

		if (!change->was_text)
			return true;
		getTypeOutputInfo(TupleDescAttr(slot->tts_tupleDescriptor, change->column - 1)->atttypid,
						  &output, &varlena);
		return data_loss_characters(OidOutputFunctionCall(output, old)) > 0;
	}
	if (OidIsValid(change->old_output) &&
		data_loss_characters(OidOutputFunctionCall(change->new_output, new)) <
		data_loss_characters(OidOutputFunctionCall(change->old_output, old)))
		return true;
	if (change->differs != NULL)
	{
		change->in_differs = true;
		new = ExecEvalExpr(change->differs, change->econtext, &null);
		change->in_differs = false;
		return !null && DatumGetBool(new);
	}
	return false;
}

static bool
data_loss_try_row(TupleTableSlot *slot, void *arg)
{
	DataLossChange *change = arg;
	MemoryContext old = MemoryContextSwitchTo(change->econtext->ecxt_per_tuple_memory);
	bool		lost = data_loss_try_value(change, slot);

	MemoryContextSwitchTo(old);
	ResetExprContext(change->econtext);
	return lost;
}

/* What is tried: the change of a column; what it loses is in *probe. */
typedef struct DataLossTrial
{
	DataLoss   *loss;
	Relation	relation;
	AlterTableCmd *command;
	const char *text;
	DataLossChange change;
	DataLossProbe *probe;
} DataLossTrial;

static void
data_loss_try(void *arg)
{
	DataLossTrial *t = arg;
	Node	   *value = data_loss_new_value(t->relation, t->change.column, t->command, t->text);
	EState	   *estate;

	if (value == NULL)
		return;
	estate = CreateExecutorState();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (data_loss_plan_change(&t->change, t->relation, value, estate))
		data_loss_look(t->loss, t->relation, true, data_loss_try_row, &t->change, t->probe);
	PopActiveSnapshot();
	FreeExecutorState(estate);
}

/* Errors: interrupts, and what ends a session or runs out. */
static void
data_loss_try_safely(DataLoss *loss, Relation relation, AlterTableCmd *command,
					 const char *text, AttrNumber column, DataLossProbe *probe)
{
	DataLossTrial t = {.loss = loss, .relation = relation, .command = command, .text = text, .probe = probe};

	t.change.column = column;
	if (trial_run(data_loss_try, &t, false))
		return;
	/* What was had cannot be had back. */
	memset(probe, 0, sizeof(DataLossProbe));
	probe->lost = t.change.in_differs;
}

static void
data_loss_alter_column(DataLoss *loss, Relation relation, AlterTableCmd *command,
					   const char *text)
{
	AttrNumber	column = get_attnum(RelationGetRelid(relation), command->name);
	DataLossProbe probe = {0};
	DataLossObject *object;
	TypeName   *type = ((ColumnDef *) command->def)->typeName;

	if (column <= 0 || !data_loss_is_watched(loss, relation, column))
		return;
	if (relation->rd_rel->relkind == RELKIND_RELATION)
		data_loss_try_safely(loss, relation, command, text, column, &probe);
	if (!probe.lost && !relation->rd_rel->relhassubclass)
		return;
	object = data_loss_touch(loss, DATA_LOSS_TYPE, relation, column);
	object->probe = probe;
	if (probe.lost)
	{
		Oid			oid;
		int32		typmod;

		typenameTypeIdAndMod(NULL, type, &oid, &typmod);
		object->becomes = MemoryContextStrdup(loss->statement,
											  format_type_with_typemod(oid, typmod));
	}
}

static Oid
data_loss_type_of_table(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			type;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	type = ((Form_pg_class) GETSTRUCT(tuple))->reloftype;
	ReleaseSysCache(tuple);
	return type;
}

/* The tables of a composite type, which ALTER TYPE ... CASCADE alters too. */
static List *
data_loss_typed_tables(Oid relation)
{
	List	   *tables = NIL;
	Oid			type = get_rel_type_id(relation);
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		/* Others have a column of the type. */
		if (form->classid == RelationRelationId && form->objsubid == 0 &&
			data_loss_type_of_table(form->objid) == type)
			tables = list_append_unique_oid(tables, form->objid);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return tables;
}

/* Whether a part of the statement changes a column's type in tables. */
static bool
data_loss_changes_type(AlterTableStmt *statement, AlterTableCmd *command)
{
	return command->subtype == AT_AlterColumnType &&
		(statement->objtype == OBJECT_TABLE ||
		 (statement->objtype == OBJECT_TYPE && command->behavior == DROP_CASCADE));
}

/*
 * Looks at the columns whose type an ALTER TABLE, or an ALTER TYPE with CASCADE, is
 * about to change, under the lock that it would take next. text: the statement's.
 * Errors: what it would raise itself when it looks for its table, and interrupts.
 */
void
data_loss_before_alter(DataLoss *loss, AlterTableStmt *statement, const char *text)
{
	LOCKMODE	lock = AlterTableGetLockLevel(statement->cmds);
	bool		changes = false;
	Oid			named;
	List	   *tables = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, statement->cmds)
		changes = changes || data_loss_changes_type(statement, lfirst(lc));
	if (!changes)
		return;
	named = AlterTableLookupRelation(statement, lock);
	if (!OidIsValid(named))
		return;
	foreach(lc, statement->objtype == OBJECT_TYPE ? data_loss_typed_tables(named) :
			list_make1_oid(named))
	{
		LockRelationOid(lfirst_oid(lc), lock);
		tables = list_concat_unique_oid(tables, statement->relation->inh || statement->objtype == OBJECT_TYPE ?
										find_all_inheritors(lfirst_oid(lc), lock, NULL) :
										list_make1_oid(lfirst_oid(lc)));
	}
	foreach(lc, tables)
	{
		Relation	relation = try_relation_open(lfirst_oid(lc), NoLock);

		if (relation == NULL)
			continue;

		/* What stands after USING is to see no rows of another owner's child. */
		foreach(lc2, COMPAT_OWNS_RELATION(lfirst_oid(lc), GetUserId()) ? statement->cmds : NIL)
		{
			AlterTableCmd *command = lfirst(lc2);

			if (data_loss_changes_type(statement, command))
				data_loss_alter_column(loss, relation, command, text);
		}
		relation_close(relation, NoLock);
	}
}
