/*
 * lint_call.c
 *		Calls of functions that a script makes or changes, in its expressions.
 *
 * Such a function is not in the catalogs, or not as it will be, so that the
 * server's analysis can't be asked about a call of it: in the expression's text a
 * value of the function's type takes the call's place, and what the function is
 * (volatile, stable, immutable) is kept beside. A volatile one in SQL counts as
 * what its text is, where planning would put that in the call's place, as
 * inline_function() does. Errors end the subtransaction of lint_analysis().
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_expr.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"

#include "lint_internal.h"

/* Calls in the texts of functions are looked into so deep. */
#define CALL_DEPTH_MAX 8

typedef struct CallWalk
{
	Lint	   *lint;
	LintRelation *rel;
	LintParams *params;
	bool		planned;		/* it is about what planning makes of the expression */
	int			depth;
} CallWalk;

static bool call_walker(Node *node, void *arg);

static void
call_note(LintParams *params, char volatility)
{
	if (volatility == PROVOLATILE_VOLATILE ||
		(volatility == PROVOLATILE_STABLE && params->volatility == PROVOLATILE_IMMUTABLE))
		params->volatility = volatility;
}

static bool
call_has_query(Node *node, void *arg)
{
	return node != NULL && (IsA(node, SubLink) || raw_expression_tree_walker(node, call_has_query, arg));
}

static bool
call_finds_param(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		Bitmapset **seen = arg;

		*seen = bms_add_member(*seen, ((Param *) node)->paramid - LINT_PARAM_FIRST);
		return false;
	}
	return expression_tree_walker(node, call_finds_param, arg);
}

/* Whether a call of a volatile function is so when planning has put its text in its place. */
static bool
call_text_is_volatile(CallWalk *walk, const LintFunctionRead *read)
{
	LintParams	params = {0};
	CallWalk inner = {walk->lint, NULL, &params, true, walk->depth + 1};
	Bitmapset  *seen = NULL;
	Node	   *raw;
	Node	   *expression;
	ListCell   *lc;

	if (!read->plain || read->text == NULL || inner.depth > CALL_DEPTH_MAX ||
		call_has_query(read->text, NULL))
		return true;
	foreach(lc, read->types)
	{
		if (!OidIsValid(lfirst_oid(lc)))
			return true;
	}
	params.types = list_copy(read->types);
	params.names = read->names;
	params.volatility = PROVOLATILE_IMMUTABLE;
	raw = copyObject(read->text);
	(void) call_walker(raw, &inner);
	expression = lint_plan(walk->lint, lint_expression_state(walk->lint, NULL, &params), raw);
	if (params.volatility == PROVOLATILE_VOLATILE || contain_volatile_functions(expression))
		return true;
	if (!read->strict)
		return false;
	(void) call_finds_param(expression, &seen);
	for (int i = 0; i < list_length(read->types); i++)
	{
		if (!bms_is_member(i, seen))
			return true;
	}
	return contain_nonstrict_functions(expression);
}

/* Whether it calls the server's own nextval(). */
static bool
call_is_number(const FuncCall *call, List *arguments)
{
	Oid			types[1];
	Oid			function;
	Oid			result;
	bool		retset;
	int			nvargs;
	Oid			vatype;
	Oid		   *declared;
	List	   *defaults;

	if (list_length(arguments) != 1)
		return false;
	types[0] = linitial_oid(arguments);
	return func_get_detail(call->funcname, NIL, NIL, 1, types, true, true, false, &function, &result,
						   &retset, &nvargs, &vatype, &declared, &defaults) == FUNCDETAIL_NORMAL &&
		function == F_NEXTVAL;
}

/* The type of what a call is given; regclass need not be there yet. */
static Oid
call_argument_type(CallWalk *walk, Node *argument)
{
	ParseState *pstate;

	if (IsA(argument, A_Const) && !((A_Const *) argument)->isnull && IsA(&((A_Const *) argument)->val, String))
		return UNKNOWNOID;
	if (IsA(argument, TypeCast))
		return lint_type_oid(walk->lint, ((TypeCast *) argument)->typeName);
	if (IsA(argument, NamedArgExpr))
		return InvalidOid;
	pstate = lint_expression_state(walk->lint, walk->rel, walk->params);
	return exprType(transformExpr(pstate, copyObject(argument), EXPR_KIND_CHECK_CONSTRAINT));
}

/* What is given to a function whose call is taken out may be volatile too. */
static void
call_note_argument(CallWalk *walk, Node *argument)
{
	ParseState *pstate = lint_expression_state(walk->lint, walk->rel, walk->params);
	Node	   *expression;

	if (IsA(argument, NamedArgExpr))
		argument = (Node *) ((NamedArgExpr *) argument)->arg;
	if (IsA(argument, A_Const))
		return;
	expression = walk->planned ? lint_plan(walk->lint, pstate, argument) :
		transformExpr(pstate, copyObject(argument), EXPR_KIND_CHECK_CONSTRAINT);
	if (contain_volatile_functions(expression))
		call_note(walk->params, PROVOLATILE_VOLATILE);
	else if (contain_mutable_functions(expression))
		call_note(walk->params, PROVOLATILE_STABLE);
}

/* Puts a value of a type in the place of a call. */
static void
call_take_out(LintParams *params, FuncCall *call, Oid type)
{
	ParamRef   *place = (ParamRef *) call;

	/* In the same memory: the call's parent is not at hand. */
	StaticAssertStmt(sizeof(ParamRef) <= sizeof(FuncCall), "a ParamRef has room where a FuncCall was");
	params->types = lappend_oid(params->types, type);
	memset(call, 0, sizeof(FuncCall));
	place->type = T_ParamRef;
	place->number = list_length(params->types);
	place->location = -1;
}

/* A call, whose arguments have been looked at. */
static void
call_judge(CallWalk *walk, FuncCall *call)
{
	bool		is_number = strcmp(strVal(llast(call->funcname)), "nextval") == 0;
	List	   *arguments = NIL;
	LintFunction *function;
	LintFunctionRead *read;
	char		volatility;
	ListCell   *lc;

	if (!is_number && lint_function_first(walk->lint, strVal(llast(call->funcname))) == NULL)
		return;
	foreach(lc, call->args)
		arguments = lappend_oid(arguments, call_argument_type(walk, lfirst(lc)));
	function = lint_function_called(walk->lint, call->funcname, list_length(arguments), arguments);
	if (function == NULL)
	{
		/* Its sequence may be one that the script has made, so that analysis would fail. */
		if (is_number && call_is_number(call, arguments))
		{
			call_note(walk->params, PROVOLATILE_VOLATILE);
			call_take_out(walk->params, call, INT8OID);
		}
		return;
	}
	read = lint_function_read(walk->lint, function);
	foreach(lc, call->args)
		call_note_argument(walk, lfirst(lc));
	volatility = function->volatility != '\0' ? function->volatility : read->volatility;
	if (volatility == PROVOLATILE_VOLATILE && walk->planned && !function->called_only &&
		!call_text_is_volatile(walk, read))
		volatility = PROVOLATILE_IMMUTABLE;
	call_note(walk->params, volatility);
	call_take_out(walk->params, call, OidIsValid(read->result) ? read->result : TEXTOID);
}

static bool
call_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	(void) raw_expression_tree_walker(node, call_walker, arg);
	if (IsA(node, FuncCall))
		call_judge(arg, (FuncCall *) node);
	return false;
}

static bool
call_is_there(Node *node, void *arg)
{
	const char *name;

	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
	{
		name = strVal(llast(((FuncCall *) node)->funcname));
		if (strcmp(name, "nextval") == 0 || lint_function_first(arg, name) != NULL)
			return true;
	}
	return raw_expression_tree_walker(node, call_is_there, arg);
}

/*
 * The expression with unknown values in the place of calls of the script's own
 * functions: params has their types, and whether one of them is volatile or
 * stable. planned: as planning sees them. Mostly it is the expression itself.
 */
Node *
lint_take_out_calls(Lint *lint, LintRelation *rel, Node *raw, bool planned, LintParams *params)
{
	CallWalk	walk = {lint, rel, params, planned, 0};

	params->types = params->names = NIL;
	params->volatility = PROVOLATILE_IMMUTABLE;
	if (raw == NULL || !call_is_there(raw, lint))
		return raw;
	lint_analysis(lint);
	raw = copyObject(raw);
	(void) call_walker(raw, &walk);
	return raw;
}
