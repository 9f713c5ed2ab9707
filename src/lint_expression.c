/*
 * lint_expression.c
 *		What only the server's own analysis can tell: types, volatility,
 *		rewrites, proofs.
 *
 * Expressions are analyzed as ALTER TABLE would: the same functions, the same
 * planning. Columns are found in the script's state (a hook of the parser), so
 * that no relation needs to be opened. Errors are usual here (a type that the
 * script makes is not there yet): they end the subtransaction of
 * lint_analysis(), and with it the rules' look at the statement. Planning would
 * call immutable functions for their value: those of users are left out, since
 * they could lock, wait, or do anything.
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/relation.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "lint_internal.h"

typedef struct ExpressionColumns
{
	Lint	   *lint;
	LintRelation *rel;
	LintParams *params;			/* NULL: none */
} ExpressionColumns;

/* The constraint of that kind in a column's definition, or NULL. */
Constraint *
lint_constraint_of(ColumnDef *def, ConstrType type)
{
	ListCell   *lc;

	foreach(lc, def->constraints)
	{
		Constraint *constraint = lfirst(lc);

		if (IsA(constraint, Constraint) && constraint->contype == type)
			return constraint;
	}
	return NULL;
}

/* ---- functions of users, which are not called */

static object_access_hook_type previous_object_access_hook = NULL;
static bool calls_are_forbidden = false;

/* Whatever way the server takes to a call: it ends the analysis. */
static void
expression_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
						 void *arg)
{
	if (access == OAT_FUNCTION_EXECUTE && object_id >= FirstNormalObjectId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lint calls no function of a user: it could do anything")));
	if (previous_object_access_hook != NULL)
		previous_object_access_hook(access, class_id, object_id, sub_id, arg);
}

/* The analysis begins. */
void
lint_forbid_calls(void)
{
	if (calls_are_forbidden)
		return;
	previous_object_access_hook = object_access_hook;
	object_access_hook = expression_object_access;
	calls_are_forbidden = true;
}

/* The analysis ends. */
void
lint_permit_calls(void)
{
	if (!calls_are_forbidden)
		return;
	object_access_hook = previous_object_access_hook;
	calls_are_forbidden = false;
}

/* Whether planning would call a function of a user for its value. */
static bool
expression_is_called(Node *node)
{
	Oid			function = IsA(node, FuncExpr) ? ((FuncExpr *) node)->funcid :
		IsA(node, OpExpr) ? get_opcode(((OpExpr *) node)->opno) : InvalidOid;

	return function >= FirstNormalObjectId && !contain_var_clause(node) &&
		!contain_mutable_functions(node);
}

static Node *
expression_uncalled_mutator(Node *node, void *arg)
{
	Lint	   *lint = arg;
	Param	   *param;
	int			i = 0;
	ListCell   *lc;
	MemoryContext old;

	if (node == NULL)
		return NULL;
	if (!expression_is_called(node))
		return expression_tree_mutator(node, expression_uncalled_mutator, arg);
	foreach(lc, lint->calls)
	{
		if (equal(lfirst(lc), node))
			break;
		i++;
	}
	if (lc == NULL)
	{
		old = MemoryContextSwitchTo(lint->context);
		lint->calls = lappend(lint->calls, copyObject(node));
		MemoryContextSwitchTo(old);
	}
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = i + 1;
	param->paramtype = exprType(node);
	param->paramtypmod = exprTypmod(node);
	param->paramcollid = exprCollation(node);
	param->location = -1;
	return (Node *) param;
}

/*
 * The expression with an unknown value in the place of each call that planning
 * would make; the same for the same call.
 */
static Node *
expression_uncalled(Lint *lint, Node *expression)
{
	return expression_uncalled_mutator(expression, lint);
}

/* ---- expressions */

static Node *
expression_param(ParseState *pstate, ParamRef *ref)
{
	const LintParams *params = ((ExpressionColumns *) pstate->p_ref_hook_state)->params;
	Param	   *param;

	if (params == NULL || ref->number < 1 || ref->number > list_length(params->types))
		return NULL;
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = LINT_PARAM_FIRST + ref->number - 1;
	param->paramtype = list_nth_oid(params->types, ref->number - 1);
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(param->paramtype);
	param->location = -1;
	return (Node *) param;
}

static Node *
expression_column(ParseState *pstate, ColumnRef *ref)
{
	ExpressionColumns *columns = pstate->p_ref_hook_state;
	Node	   *last = llast(ref->fields);
	LintColumn *column;
	ListCell   *lc;

	if (!IsA(last, String) || list_length(ref->fields) > 2)
		return NULL;
	foreach(lc, columns->params == NULL ? NIL : columns->params->names)
	{
		ParamRef	named = {T_ParamRef, foreach_current_index(lc) + 1, -1};

		if (strcmp(strVal(lfirst(lc)), strVal(last)) == 0)
			return expression_param(pstate, &named);
	}
	if (columns->rel == NULL)
		return NULL;
	column = lint_column(columns->lint, columns->rel, strVal(last));
	if (column == NULL || !OidIsValid(column->type))
		return NULL;
	return (Node *) makeVar(1, column->attnum, column->type, column->typmod,
							column->collation, 0);
}

/* For the analysis of an expression over a relation's columns (NULL: of none) and params (likewise). */
ParseState *
lint_expression_state(Lint *lint, LintRelation *rel, LintParams *params)
{
	ParseState *pstate = make_parsestate(NULL);
	ExpressionColumns *columns = palloc(sizeof(ExpressionColumns));

	columns->lint = lint;
	columns->rel = rel;
	columns->params = params;
	pstate->p_pre_columnref_hook = expression_column;
	pstate->p_paramref_hook = expression_param;
	pstate->p_ref_hook_state = columns;
	return pstate;
}

/* A raw expression, analyzed and planned; no function of a user is called for it. */
Node *
lint_plan(Lint *lint, ParseState *pstate, Node *raw)
{
	Node	   *expression = transformExpr(pstate, copyObject(raw), EXPR_KIND_CHECK_CONSTRAINT);

	assign_expr_collations(pstate, expression);
	return (Node *) expression_planner((Expr *) expression_uncalled(lint, expression));
}

/*
 * Whether ADD COLUMN with that default (NULL: the type's) must write every row:
 * as ATExecAddColumn() decides, after planning, since a volatile function that
 * is inlined to a constant is none any more. type InvalidOid: unknown.
 */
bool
lint_default_is_volatile(Lint *lint, Node *raw, Oid type, int32 typmod)
{
	LintParams	params;
	ParseState *pstate;
	Node	   *expression;

	/* Most defaults: a constant. */
	if (raw != NULL && IsA(raw, A_Const))
		return false;

	lint_analysis(lint);
	raw = lint_take_out_calls(lint, NULL, raw, true, &params);
	if (params.volatility == PROVOLATILE_VOLATILE)
		return true;
	pstate = lint_expression_state(lint, NULL, &params);
	if (raw != NULL)
		expression = transformExpr(pstate, copyObject(raw), EXPR_KIND_COLUMN_DEFAULT);
	else
		expression = get_typdefault(type);
	if (expression != NULL && OidIsValid(type))
		expression = coerce_to_target_type(pstate, expression, exprType(expression),
										   type, typmod, COERCION_ASSIGNMENT,
										   COERCE_IMPLICIT_CAST, -1);
	if (expression == NULL)
		return false;
	assign_expr_collations(pstate, expression);
	expression = expression_uncalled(lint, expression);
	return contain_volatile_functions((Node *) expression_planner((Expr *) expression));
}

/* A CHECK's expression, analyzed; for the proofs, so it lives as long as the lint. */
static Node *
check_expression(Lint *lint, LintRelation *rel, Node *raw)
{
	LintParams	params;
	Node	   *calls;
	ParseState *pstate;
	Node	   *expression;
	MemoryContext old;

	/* A rule has asked, and the state does so again. */
	if (lint->checked_raw == raw && lint->checked_statement == lint->statement)
		return lint->checked;
	lint_analysis(lint);
	calls = lint_take_out_calls(lint, rel, raw, false, &params);
	pstate = lint_expression_state(lint, rel, &params);
	expression = transformExpr(pstate, copyObject(calls), EXPR_KIND_CHECK_CONSTRAINT);
	expression = coerce_to_boolean(pstate, expression, "CHECK");
	assign_expr_collations(pstate, expression);
	old = MemoryContextSwitchTo(lint->context);
	expression = copyObject(expression);
	MemoryContextSwitchTo(old);
	lint->checked_raw = raw;
	lint->checked_statement = lint->statement;
	lint->checked = expression;
	lint->checked_mutable = params.volatility != PROVOLATILE_IMMUTABLE || contain_mutable_functions(expression);
	return expression;
}

/*
 * The only whole number that an analyzed comparison has, where it stands alone on
 * the right side, but for a cast; NULL else.
 */
static Const *
comparison_number(Node *expression)
{
	Node	   *right;

	if (!IsA(expression, OpExpr) || list_length(((OpExpr *) expression)->args) != 2)
		return NULL;
	right = lsecond(((OpExpr *) expression)->args);
	if (IsA(right, FuncExpr) && list_length(((FuncExpr *) right)->args) == 1)
		right = linitial(((FuncExpr *) right)->args);
	return IsA(right, Const) && ((Const *) right)->consttype == INT4OID && !((Const *) right)->constisnull ?
		(Const *) right : NULL;
}

/*
 * Most CHECKs compare a column with a number, and many of a script differ in the
 * number only: what analysis makes of them differs in it likewise. NULL: it is no
 * such CHECK; else what it has in common with the one before, which is made where
 * need be, and its number.
 */
static const LintComparison *
check_comparison(Lint *lint, LintRelation *rel, Node *raw, int *number)
{
	A_Expr	   *e = (A_Expr *) raw;
	LintComparison *made = lint->comparison;
	ColumnRef  *ref;
	A_Const    *value;
	LintColumn *column;
	const char *op;
	Node	   *expression;
	Const	   *place;

	if (!IsA(e, A_Expr) || e->kind != AEXPR_OP || list_length(e->name) != 1 || e->lexpr == NULL ||
		!IsA(e->lexpr, ColumnRef) || !IsA(e->rexpr, A_Const))
		return NULL;
	ref = (ColumnRef *) e->lexpr;
	value = (A_Const *) e->rexpr;
	if (value->isnull || !IsA(&value->val, Integer) || list_length(ref->fields) != 1 ||
		!IsA(linitial(ref->fields), String))
		return NULL;
	column = lint_column(lint, rel, strVal(linitial(ref->fields)));
	if (column == NULL || !OidIsValid(column->type))
		return NULL;
	op = strVal(linitial(e->name));
	*number = intVal(&value->val);
	if (made != NULL && made->rel == rel && made->column == column && made->type == column->type &&
		made->typmod == column->typmod && made->collation == column->collation &&
		made->paths == lint->paths && strcmp(made->op, op) == 0)
		return made;

	expression = check_expression(lint, rel, raw);
	place = comparison_number(expression);
	if (place == NULL)
		return NULL;
	made = lint_alloc(lint, sizeof(LintComparison));
	made->rel = rel;
	made->column = column;
	made->type = column->type;
	made->typmod = column->typmod;
	made->collation = column->collation;
	made->paths = lint->paths;
	made->op = lint_strdup(lint, op);
	made->expression = expression;
	made->number = place;
	made->is_mutable = lint->checked_mutable;
	lint->comparison = made;
	return made;
}

/* Whether a CHECK calls what is not immutable. */
bool
lint_check_is_mutable(Lint *lint, LintRelation *rel, Node *raw)
{
	int			number;
	const LintComparison *comparison = check_comparison(lint, rel, raw, &number);

	if (comparison != NULL)
		return comparison->is_mutable;
	(void) check_expression(lint, rel, raw);
	return lint->checked_mutable;
}

/* Notes what a CHECK of the script says. */
void
lint_note_check(Lint *lint, LintRelation *rel, LintConstraint *constraint, Node *raw)
{
	constraint->comparison = check_comparison(lint, rel, raw, &constraint->number);
	constraint->expression = constraint->comparison != NULL ? constraint->comparison->expression :
		check_expression(lint, rel, raw);
}

/* A CHECK's expression, analyzed, for the caller to change; NULL: not known. */
Node *
lint_constraint_expression(const LintConstraint *constraint)
{
	if (constraint->stored != NULL)
		return stringToNode(constraint->stored);
	if (constraint->comparison != NULL)
		constraint->comparison->number->constvalue = Int32GetDatum(constraint->number);
	return copyObject(constraint->expression);
}

/* What ATColumnChangeRequiresRewrite() asks of a planned conversion. */
static bool
conversion_rewrites(LintColumn *column, Node *e)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (IsA(e, Var) && ((Var *) e)->varattno == column->attnum)
			return false;
		if (IsA(e, RelabelType))
			e = (Node *) ((RelabelType *) e)->arg;
		else if (IsA(e, CoerceToDomain))
		{
			if (DomainHasConstraints(((CoerceToDomain *) e)->resulttype))
				return true;
			e = (Node *) ((CoerceToDomain *) e)->arg;
		}
		else if (IsA(e, FuncExpr) &&
				 (((FuncExpr *) e)->funcid == F_TIMESTAMPTZ_TIMESTAMP ||
				  ((FuncExpr *) e)->funcid == F_TIMESTAMP_TIMESTAMPTZ) &&
				 !TimestampTimestampTzRequiresRewrite())
			e = linitial(((FuncExpr *) e)->args);
		else
			return true;
	}
}

/* Keeps the call that gives a type other modifiers, where its function can simplify itself. */
static void
note_resize(Lint *lint, Oid type, Node *e)
{
	FuncExpr   *call = (FuncExpr *) e;
	Oid			support;
	MemoryContext old;

	if (!IsA(e, FuncExpr) || call->funcid >= FirstNormalObjectId || list_length(call->args) < 2 ||
		!IsA(linitial(call->args), Var) || !IsA(lsecond(call->args), Const))
		return;
	support = get_func_support(call->funcid);
	if (!OidIsValid(support))
		return;
	old = MemoryContextSwitchTo(lint->context);
	lint->resize = copyObject(call);
	MemoryContextSwitchTo(old);
	lint->resize_type = type;
	lint->resize_support = support;
}

/*
 * The same, planned, for a column and modifiers: as simplify_function() asks the
 * function's own support function; NULL: nothing is known of that type yet.
 */
static Node *
planned_resize(Lint *lint, LintColumn *column, int32 typmod)
{
	SupportRequestSimplify request = {T_SupportRequestSimplify, NULL, lint->resize};
	Var		   *var;
	Node	   *simpler;

	if (lint->resize == NULL || lint->resize_type != column->type)
		return NULL;
	var = linitial_node(Var, lint->resize->args);
	var->varattno = column->attnum;
	var->vartypmod = column->typmod;
	var->varcollid = column->collation;
	lsecond_node(Const, lint->resize->args)->constvalue = Int32GetDatum(typmod);
	simpler = (Node *) DatumGetPointer(OidFunctionCall1(lint->resize_support,
														PointerGetDatum(&request)));
	return simpler != NULL ? simpler : (Node *) lint->resize;
}

/*
 * Whether ALTER COLUMN TYPE must write the table anew, by the planned conversion.
 */
bool
lint_change_rewrites(Lint *lint, LintColumn *column, Node *transform,
					 LintRelation *rel, Oid type, int32 typmod)
{
	LintParams	params;
	ParseState *pstate;
	bool		is_resize = transform == NULL && type == column->type && typmod >= 0 &&
		typmod != column->typmod;
	Node	   *e;

	lint_analysis(lint);
	e = is_resize ? planned_resize(lint, column, typmod) : NULL;
	if (e != NULL)
		return conversion_rewrites(column, e);
	transform = lint_take_out_calls(lint, rel, transform, false, &params);
	pstate = lint_expression_state(lint, rel, &params);
	if (transform != NULL)
		e = transformExpr(pstate, copyObject(transform), EXPR_KIND_ALTER_COL_TRANSFORM);
	else
		e = (Node *) makeVar(1, column->attnum, column->type, column->typmod,
							 column->collation, 0);
	e = coerce_to_target_type(pstate, e, exprType(e), type, typmod,
							  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (e == NULL)
		return false;			/* the statement will fail */
	assign_expr_collations(pstate, e);
	if (is_resize)
		note_resize(lint, type, e);
	return conversion_rewrites(column, (Node *) expression_planner((Expr *) expression_uncalled(lint, e)));
}

/* ---- proofs */

static List *
expression_clauses(Lint *lint, Node *expression)
{
	expression = expression_uncalled(lint, expression);
	expression = eval_const_expressions(NULL, expression);
	expression = (Node *) canonicalize_qual((Expr *) expression, true);
	return make_ands_implicit((Expr *) expression);
}

static NullTest *
expression_not_null(LintColumn *column)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) makeVar(1, column->attnum, column->type, column->typmod,
								 column->collation, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	return test;
}

/* Whether a column is NOT NULL, and that has been checked. */
bool
lint_is_not_null(Lint *lint, LintRelation *rel, LintColumn *column)
{
	ListCell   *lc;

	if (!column->not_null || !COMPAT_NOT_NULL_IS_CONSTRAINT)
		return column->not_null;
	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *constraint = lfirst(lc);

		if (constraint->type == COMPAT_CONSTRAINT_NOTNULL && !constraint->gone &&
			!constraint->validated && list_member_int(constraint->keys, column->attnum))
			return false;
	}
	return true;
}

/* Columns have the types that the script has given them: a CHECK is made anew with these. */
static bool
expression_retype(Node *node, void *arg)
{
	ExpressionColumns *columns = arg;
	LintColumn *column;

	if (node == NULL)
		return false;
	if (!IsA(node, Var))
		return expression_tree_walker(node, expression_retype, arg);
	column = ((Var *) node)->varattno <= 0 ? NULL :
		lint_column_numbered(columns->lint, columns->rel, ((Var *) node)->varattno);
	if (column != NULL && OidIsValid(column->type))
	{
		((Var *) node)->vartype = column->type;
		((Var *) node)->vartypmod = column->typmod;
		((Var *) node)->varcollid = column->collation;
	}
	return false;
}

/* What validated CHECKs of a relation say; inherited: those that the script gave its children too. */
static List *
expression_known(Lint *lint, LintRelation *rel, bool inherited)
{
	ExpressionColumns columns = {lint, rel, NULL};
	List	   *known = NIL;
	ListCell   *lc;

	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *constraint = lfirst(lc);
		Node	   *expression;

		if (constraint->gone || !constraint->validated || constraint->type != CONSTRAINT_CHECK ||
			(inherited && !constraint->inherited))
			continue;
		expression = lint_constraint_expression(constraint);
		(void) expression_retype(expression, &columns);
		if (expression != NULL)
			known = list_concat(known, expression_clauses(lint, expression));
	}
	return known;
}

/*
 * Whether the rows that are there satisfy the test, by what the relation's
 * validated constraints and NOT NULLs say: ConstraintImpliedByRelConstraint()
 * over the script's state.
 */
bool
lint_implied(Lint *lint, LintRelation *rel, List *test)
{
	List	   *known;
	Bitmapset  *attributes = NULL;
	int			x = -1;

	lint_analysis(lint);
	known = expression_known(lint, rel, false);

	/* As PartConstraintImpliedByRelConstraint(): columns that are NOT NULL. */
	pull_varattnos((Node *) test, 1, &attributes);
	while ((x = bms_next_member(attributes, x)) >= 0)
	{
		AttrNumber	attnum = x + FirstLowInvalidHeapAttributeNumber;
		LintColumn *column = attnum > 0 ? lint_column_numbered(lint, rel, attnum) : NULL;

		if (column != NULL && lint_is_not_null(lint, rel, column))
			known = lappend(known, expression_not_null(column));
	}
	return predicate_implied_by(test, known, true);
}

/* Whether what the script has done to a parent has proven it of the children too. */
static bool
expression_parent_proves(Lint *lint, LintRelation *rel, const char *name)
{
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, lint_parents(lint, rel))
	{
		LintRelation *parent = lfirst(lc);
		LintColumn *column = lint_column(lint, parent, name);

		if (column == NULL)
			continue;
		if (column->not_null_below ||
			(OidIsValid(column->type) &&
			 predicate_implied_by(list_make1(expression_not_null(column)),
								  expression_known(lint, parent, true), true)) ||
			expression_parent_proves(lint, parent, name))
			return true;
	}
	return false;
}

/* Whether SET NOT NULL can do without reading the table. */
bool
lint_not_null_proven(Lint *lint, LintRelation *rel, LintColumn *column)
{
	if (lint_is_not_null(lint, rel, column))
		return true;
	return (OidIsValid(column->type) &&
			lint_implied(lint, rel, list_make1(expression_not_null(column)))) ||
		(column->name != NULL && expression_parent_proves(lint, rel, column->name));
}

/* The relation, if it can be had without waiting; NULL else. */
static Relation
expression_open(Lint *lint, LintRelation *rel)
{
	if (!OidIsValid(rel->oid) || !ConditionalLockRelationOid(rel->oid, AccessShareLock))
		return NULL;

	/* The subtransaction's end gives the lock back: before the next statement. */
	lint->stale = true;
	return try_relation_open(rel->oid, NoLock);
}

/*
 * What must be true of the rows of `child` when `parent` gets a partition with
 * these bounds: of the partition itself, or (of_default) of the default
 * partition. NIL: anything goes. False where it can't be told: the parent is the
 * script's own, or locked.
 */
bool
lint_partition_qual(Lint *lint, LintRelation *parent, LintRelation *child,
					PartitionBoundSpec *bound, bool of_default, List **result)
{
	Relation	relation;
	List	   *qual;
	AttrMap    *map;
	bool		whole_row;
	Expr	   *of_ancestors;
	ListCell   *lc;

	lint_analysis(lint);
	relation = expression_open(lint, parent);
	if (relation == NULL)
		return false;
	if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
	{
		relation_close(relation, NoLock);
		return false;
	}
	if (relation->rd_rel->relispartition)
	{
		/* get_partition_qual_relid() would wait for these. */
		foreach(lc, get_partition_ancestors(parent->oid))
		{
			if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			{
				relation_close(relation, NoLock);
				return false;
			}
		}
	}
	bound = transformPartitionBound(make_parsestate(NULL), relation, copyObject(bound));
	qual = get_qual_from_partbound(relation, bound);
	of_ancestors = get_partition_qual_relid(parent->oid);
	map = make_attrmap(RelationGetDescr(relation)->natts);
	for (int i = 0; i < map->maplen; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), i);
		LintColumn *column = att->attisdropped ? NULL :
			lint_column(lint, child, NameStr(att->attname));

		map->attnums[i] = column == NULL ? 0 : column->attnum;
	}
	relation_close(relation, NoLock);

	if (of_default)
		qual = get_proposed_default_constraint(qual);
	else
	{
		if (of_ancestors != NULL)
			qual = lappend(list_copy(qual), of_ancestors);
		if (qual != NIL)
			qual = expression_clauses(lint, (Node *) make_ands_explicit(qual));
	}
	*result = (List *) map_variable_attnos((Node *) qual, 1, 0, map, InvalidOid, &whole_row);
	return true;
}
