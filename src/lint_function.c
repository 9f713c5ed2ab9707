/*
 * lint_function.c
 *		Functions that a script makes or changes, as far as expressions call them.
 *
 * Such a function is not in the catalogs, or not as it will be, so that the
 * server's analysis can't be asked about a call of it: in the expression's text a
 * value of the function's type takes the call's place, and what the function is
 * (volatile, stable, immutable) is kept beside. A volatile one in SQL counts as
 * what its text is, where planning would put that in the call's place, as
 * inline_function() does. Of the many that a large script makes only the name
 * is kept; the statement is read again when something calls it. That may raise
 * errors, which end the subtransaction of lint_analysis().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* Calls in the texts of functions are looked into so deep. */
#define FUNCTION_DEPTH_MAX 8

/* What is to be known of a function that something calls. */
typedef struct FunctionRead
{
	List	   *types;			/* oids of what it is given; InvalidOid: not known */
	List	   *names;			/* String of these, "" where it has none */
	int			n_defaults;
	bool		variadic;
	TypeName   *returns;		/* NULL: see the next one */
	Oid			result;			/* InvalidOid: not known */
	char		volatility;		/* as provolatile */
	bool		strict;
	bool		procedure;
	bool		plain;			/* planning may put its text in the place of a call */
	Node	   *text;			/* that, a raw expression; NULL: it is none */
	const char *source;			/* all of its text, NULL: its own statement has it ... */
	const char *language;		/* ... in this language, NULL: the catalogs tell */
} FunctionRead;

struct LintFunction
{
	LintFunction *next;			/* of those with this hash, the latest first */
	const char *schema;			/* NULL: it would be made nowhere */
	char	   *name;
	Oid			oid;			/* one of the catalogs, changed by ALTER; InvalidOid ... */
	int			statement;		/* ... made by this one */
	char		volatility;		/* as it was altered; '\0': not */
	bool		called_only;	/* altered so that planning leaves the call */
	bool		gone;
	FunctionRead *read;			/* NULL: not yet */
};

typedef struct FunctionEntry
{
	uint32		hash;			/* of the name */
	LintFunction *first;
} FunctionEntry;

static uint32
function_hash(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

static LintFunction *
function_first(Lint *lint, const char *name)
{
	uint32		hash = function_hash(name);
	FunctionEntry *entry = lint->functions == NULL ? NULL :
		hash_search(lint->functions, &hash, HASH_FIND, NULL);

	return entry == NULL ? NULL : entry->first;
}

static LintFunction *
function_add(Lint *lint, const char *schema, const char *name)
{
	LintFunction *function = lint_alloc(lint, sizeof(LintFunction));
	uint32		hash = function_hash(name);
	FunctionEntry *entry;
	bool		found;

	if (lint->functions == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(uint32);
		ctl.entrysize = sizeof(FunctionEntry);
		ctl.hcxt = lint->context;
		lint->functions = hash_create("tapmig lint functions", 64, &ctl,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(lint->functions, &hash, HASH_ENTER, &found);
	function->next = found ? entry->first : NULL;
	entry->first = function;
	function->schema = schema == NULL ? NULL : lint_kept_schema(lint, schema);
	function->name = lint_strdup(lint, name);
	function->statement = -1;
	return function;
}

/* CREATE FUNCTION or PROCEDURE, by the script's statement of that number. */
void
lint_function_make(Lint *lint, int statement, CreateFunctionStmt *stmt)
{
	const char *schema;
	const char *name;

	lint_schema_of(lint, stmt->funcname, &schema, &name);
	function_add(lint, schema, name)->statement = statement;
	lint->last_call = NIL;
}

/* ---- reading one */

static DefElem *
function_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return lfirst_node(DefElem, lc);
	}
	return NULL;
}

static char
function_volatility(DefElem *option)
{
	const char *word = option == NULL ? "volatile" : strVal(option->arg);

	return strcmp(word, "immutable") == 0 ? PROVOLATILE_IMMUTABLE :
		strcmp(word, "stable") == 0 ? PROVOLATILE_STABLE : PROVOLATILE_VOLATILE;
}

/* The expression of SELECT expression, and nothing else; NULL: it is another query. */
static Node *
function_expression_of(Node *query)
{
	SelectStmt *select = (SelectStmt *) query;

	if (query == NULL)
		return NULL;
	if (IsA(query, ReturnStmt))
		return ((ReturnStmt *) query)->returnval;
	if (!IsA(query, SelectStmt) || select->op != SETOP_NONE || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->intoClause != NULL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL || select->withClause != NULL)
		return NULL;
	return linitial_node(ResTarget, select->targetList)->val;
}

static Node *
function_parse_text(const char *text)
{
	List	   *parsed = raw_parser(text, RAW_PARSE_DEFAULT);

	return list_length(parsed) != 1 ? NULL :
		function_expression_of(linitial_node(RawStmt, parsed)->stmt);
}

static Oid
function_type(Lint *lint, TypeName *name)
{
	Oid			type;
	int32		typmod;

	return lint_type(lint, name, &type, &typmod) ? type : InvalidOid;
}

/* What a CREATE FUNCTION of the script says. */
static void
function_read_statement(Lint *lint, FunctionRead *read, CreateFunctionStmt *stmt)
{
	DefElem    *language = function_option(stmt->options, "language");
	DefElem    *option;
	ListCell   *lc;

	read->procedure = stmt->is_procedure;
	read->returns = stmt->returnType;
	foreach(lc, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
		{
			read->plain = false;
			if (read->returns == NULL)
				read->returns = parameter->argType;
			continue;
		}
		read->types = lappend_oid(read->types, function_type(lint, parameter->argType));
		read->names = lappend(read->names, makeString(parameter->name == NULL ? "" : parameter->name));
		read->n_defaults += parameter->defexpr != NULL;
		read->variadic = read->variadic || parameter->mode == FUNC_PARAM_VARIADIC;
	}
	read->result = read->returns == NULL ? InvalidOid : function_type(lint, read->returns);
	read->volatility = function_volatility(function_option(stmt->options, "volatility"));
	option = function_option(stmt->options, "strict");
	read->strict = option != NULL && boolVal(option->arg);
	option = function_option(stmt->options, "security");
	read->language = language == NULL ? "sql" : strVal(language->arg);
	if ((option != NULL && boolVal(option->arg)) || function_option(stmt->options, "set") != NULL ||
		read->n_defaults > 0 || read->variadic || read->returns == NULL || read->returns->setof ||
		strcmp(read->language, "sql") != 0)
		read->plain = false;
	option = function_option(stmt->options, "as");
	if (option != NULL)
		read->source = strVal(linitial((List *) option->arg));
	if (!read->plain)
		return;
	if (stmt->sql_body != NULL && IsA(stmt->sql_body, List))
	{
		List	   *queries = linitial_node(List, (List *) stmt->sql_body);

		read->text = list_length(queries) == 1 ? function_expression_of(linitial(queries)) : NULL;
	}
	else if (stmt->sql_body != NULL)
		read->text = function_expression_of(stmt->sql_body);
	else if (read->source != NULL)
		read->text = function_parse_text(read->source);
}

/* What the catalogs say. */
static void
function_read_catalog(FunctionRead *read, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc form;
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			n;
	bool		isnull;
	Datum		value;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	n = get_func_arg_info(tuple, &types, &names, &modes);
	for (int i = 0; i < n; i++)
	{
		if (modes != NULL && (modes[i] == FUNC_PARAM_OUT || modes[i] == FUNC_PARAM_TABLE))
			continue;
		read->types = lappend_oid(read->types, types[i]);
		read->names = lappend(read->names, makeString(names == NULL ? "" : names[i]));
	}
	read->n_defaults = form->pronargdefaults;
	read->variadic = OidIsValid(form->provariadic);
	read->result = form->prorettype;
	read->volatility = form->provolatile;
	read->strict = form->proisstrict;
	read->plain = form->prolang == SQLlanguageId && form->prokind == PROKIND_FUNCTION && !form->prosecdef &&
		!form->proretset && form->prorettype != RECORDOID && read->n_defaults == 0 && !read->variadic &&
		heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL) &&
		heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL);
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	if (read->plain && !isnull)
		read->text = function_parse_text(TextDatumGetCString(value));
	ReleaseSysCache(tuple);
}

static FunctionRead *
function_read(Lint *lint, LintFunction *function)
{
	FunctionRead *read;
	MemoryContext old;

	if (function->read != NULL)
		return function->read;
	lint_analysis(lint);
	old = MemoryContextSwitchTo(lint->context);
	read = palloc0(sizeof(FunctionRead));
	read->plain = true;
	if (OidIsValid(function->oid))
		function_read_catalog(read, function->oid);
	else
	{
		List	   *parsed;

		script_obey_scanner_settings(&lint->script->statements[function->statement]);
		parsed = raw_parser(script_statement_text(lint->script, function->statement), RAW_PARSE_DEFAULT);
		function_read_statement(lint, read, castNode(CreateFunctionStmt, linitial_node(RawStmt, parsed)->stmt));
	}
	MemoryContextSwitchTo(old);
	function->read = read;
	return read;
}

/* ---- what a name means */

/* How well a function fits a call; -1: not at all. arguments NIL: only their number is known. */
static int
function_fit(List *types, int n_defaults, bool variadic, int n, List *arguments)
{
	int			exact = 0;
	int			i = 0;
	ListCell   *lc;

	if (variadic ? n < list_length(types) - 1 :
		n > list_length(types) || n < list_length(types) - n_defaults)
		return -1;
	foreach(lc, arguments)
	{
		Oid			given = lfirst_oid(lc);
		Oid			wanted = i < list_length(types) ? list_nth_oid(types, i) : InvalidOid;

		i++;
		if (!OidIsValid(wanted) || !OidIsValid(given) || (variadic && i >= list_length(types)))
			continue;
		if (given == wanted)
			exact++;
		else if (!can_coerce_type(1, &given, &wanted, COERCION_IMPLICIT))
			return -1;
	}
	return exact;
}

/* Whether names may mean a function in that schema. */
static bool
function_is_meant(Lint *lint, const LintFunction *function, List *names)
{
	ListCell   *lc;

	if (function->gone || function->schema == NULL || strcmp(function->name, strVal(llast(names))) != 0)
		return false;
	if (list_length(names) > 1)
		return strcmp(function->schema, strVal(list_nth(names, list_length(names) - 2))) == 0;
	foreach(lc, lint_path(lint))
	{
		if (strcmp(lfirst(lc), function->schema) == 0)
			return true;
	}
	return false;
}

/* Whether the catalogs' function is still what a call means by that name. */
static bool
function_is_there(Lint *lint, Oid oid, const char *name)
{
	const LintFunction *function = function_first(lint, name);

	for (; function != NULL; function = function->next)
	{
		if (function->oid == oid)
			return false;		/* altered: it stands in the list by itself */
	}
	return !lint_object_is_gone(lint, ProcedureRelationId, oid);
}

/* How well the best of the catalogs' functions fits; -1: none does. */
static int
function_fit_of_catalogs(Lint *lint, List *names, int n, List *arguments)
{
	FuncCandidateList candidate;
	int			best = -1;

	if (lint_name_is_absent(lint, LINT_NAMES_FUNCTION, strVal(llast(names))))
		return -1;
	for (candidate = FuncnameGetCandidates(names, n, NIL, true, true, false, true);
		 candidate != NULL; candidate = candidate->next)
	{
		List	   *types = NIL;

		for (int i = 0; i < n && i < candidate->nargs; i++)
			types = lappend_oid(types, candidate->args[i]);
		if (function_is_there(lint, candidate->oid, strVal(llast(names))))
			best = Max(best, function_fit(types, 0, false, n, arguments));
	}
	return best;
}

/*
 * The function of the script that a call means; NULL: none, or one of the
 * catalogs as it is there. arguments: the types of what it is given.
 */
static LintFunction *
function_called(Lint *lint, List *names, int n, List *arguments)
{
	LintFunction *best = NULL;
	int			best_fit = -1;

	for (LintFunction *function = function_first(lint, strVal(llast(names))); function != NULL;
		 function = function->next)
	{
		FunctionRead *read;
		int			fit;

		if (!function_is_meant(lint, function, names))
			continue;
		read = function_read(lint, function);
		fit = read->procedure ? -1 : function_fit(read->types, read->n_defaults, read->variadic, n, arguments);
		if (fit > best_fit)
		{
			best = function;
			best_fit = fit;
		}
	}
	return best != NULL && best_fit >= function_fit_of_catalogs(lint, names, n, arguments) ? best : NULL;
}

/*
 * The text of a function that the script has made by one of these names, and its
 * language and its number of arguments. *function: where to go on, NULL at first and in the end.
 */
const char *
lint_function_source(Lint *lint, List *names, LintFunction **function, const char **language, int *n)
{
	*function = *function == NULL ? function_first(lint, strVal(llast(names))) : (*function)->next;
	for (; *function != NULL; *function = (*function)->next)
	{
		FunctionRead *read;

		if (!function_is_meant(lint, *function, names))
			continue;
		read = function_read(lint, *function);
		*language = read->language;
		*n = list_length(read->types);
		if (read->source != NULL)
			return read->source;
	}
	return NULL;
}

/* The function of the script that DROP or ALTER FUNCTION names, from one on; NULL: none. */
static LintFunction *
function_named(Lint *lint, const ObjectWithArgs *named, LintFunction *function)
{
	for (; function != NULL; function = function->next)
	{
		FunctionRead *read;
		bool		same;
		ListCell   *lc;
		int			i = 0;

		if (!function_is_meant(lint, function, named->objname))
			continue;
		if (named->args_unspecified)
			return function;
		read = function_read(lint, function);
		same = list_length(read->types) == list_length(named->objargs);
		foreach(lc, same ? named->objargs : NIL)
		{
			Oid			type = lfirst(lc) == NULL ? InvalidOid : function_type(lint, lfirst_node(TypeName, lc));
			Oid			wanted = list_nth_oid(read->types, i++);

			same = same && (type == wanted || !OidIsValid(type) || !OidIsValid(wanted));
		}
		if (same)
			return function;
	}
	return NULL;
}

/* The function that is altered: one of the script, or of the catalogs, which is so from now on; NULL: none. */
static LintFunction *
function_to_alter(Lint *lint, ObjectType type, ObjectWithArgs *named)
{
	LintFunction *function;
	Oid			oid;
	char	   *schema;
	char	   *name;

	lint_analysis(lint);
	function = function_named(lint, named, function_first(lint, strVal(llast(named->objname))));
	if (function != NULL || lint_name_is_absent(lint, LINT_NAMES_FUNCTION, strVal(llast(named->objname))))
		return function;
	oid = LookupFuncWithArgs(type, named, true);
	if (!OidIsValid(oid) || get_func_prokind(oid) == PROKIND_PROCEDURE ||
		!function_is_there(lint, oid, strVal(llast(named->objname))))
		return NULL;
	schema = lint_schema_name(lint, get_func_namespace(oid));
	name = get_func_name(oid);
	if (schema == NULL || name == NULL)
		return NULL;
	function = function_add(lint, schema, name);
	function->oid = oid;
	return function;
}

/* ---- what the script does to them */

static void
function_follow_alter(Lint *lint, AlterFunctionStmt *stmt)
{
	DefElem    *volatility = function_option(stmt->actions, "volatility");
	DefElem    *security = function_option(stmt->actions, "security");
	bool		sets = function_option(stmt->actions, "set") != NULL;
	LintFunction *function;

	if (stmt->objtype == OBJECT_PROCEDURE || (volatility == NULL && security == NULL && !sets))
		return;
	function = function_to_alter(lint, stmt->objtype, stmt->func);
	if (function == NULL)
		return;
	if (volatility != NULL)
		function->volatility = function_volatility(volatility);
	if (sets || (security != NULL && boolVal(security->arg)))
		function->called_only = true;
}

/* Another name or schema; NULL: as it is. */
static void
function_follow_move(Lint *lint, ObjectType type, ObjectWithArgs *named, const char *schema, const char *name)
{
	LintFunction *function = function_to_alter(lint, type, named);
	LintFunction *moved;

	if (function == NULL || function->schema == NULL)
		return;
	moved = function_add(lint, schema != NULL ? schema : function->schema,
						 name != NULL ? name : function->name);
	moved->oid = function->oid;
	moved->statement = function->statement;
	moved->volatility = function->volatility;
	moved->called_only = function->called_only;
	function->gone = true;
}

/* ALTER, RENAME, SET SCHEMA and DROP of a function. */
void
lint_function_follow(Lint *lint, Node *node)
{
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_AlterFunctionStmt:
			function_follow_alter(lint, (AlterFunctionStmt *) node);
			break;
		case T_RenameStmt:
			function_follow_move(lint, ((RenameStmt *) node)->renameType,
								 castNode(ObjectWithArgs, ((RenameStmt *) node)->object),
								 NULL, ((RenameStmt *) node)->newname);
			break;
		case T_AlterObjectSchemaStmt:
			function_follow_move(lint, ((AlterObjectSchemaStmt *) node)->objectType,
								 castNode(ObjectWithArgs, ((AlterObjectSchemaStmt *) node)->object),
								 ((AlterObjectSchemaStmt *) node)->newschema, NULL);
			break;
		default:
			foreach(lc, castNode(DropStmt, node)->objects)
			{
				ObjectWithArgs *named = lfirst_node(ObjectWithArgs, lc);
				LintFunction *function = function_first(lint, strVal(llast(named->objname)));

				/* Replaced ones stand there more than once. */
				while ((function = function_named(lint, named, function)) != NULL)
					function->gone = true;
			}
			break;
	}
}

/* ---- calls */

typedef struct FunctionCalls
{
	Lint	   *lint;
	LintRelation *rel;
	LintParams *params;
	bool		planned;		/* it is about what planning makes of the expression */
	int			depth;
} FunctionCalls;

static bool function_calls_walker(Node *node, void *arg);

static void
function_note(LintParams *params, char volatility)
{
	if (volatility == PROVOLATILE_VOLATILE ||
		(volatility == PROVOLATILE_STABLE && params->volatility == PROVOLATILE_IMMUTABLE))
		params->volatility = volatility;
}

static bool
function_has_query(Node *node, void *arg)
{
	return node != NULL && (IsA(node, SubLink) || raw_expression_tree_walker(node, function_has_query, arg));
}

static bool
function_finds_param(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		Bitmapset **seen = arg;

		*seen = bms_add_member(*seen, ((Param *) node)->paramid - LINT_PARAM_FIRST);
		return false;
	}
	return expression_tree_walker(node, function_finds_param, arg);
}

/* Whether a call of a volatile function is so when planning has put its text in its place. */
static bool
function_text_is_volatile(FunctionCalls *calls, const FunctionRead *read)
{
	LintParams	params = {0};
	FunctionCalls inner = {calls->lint, NULL, &params, true, calls->depth + 1};
	Bitmapset  *seen = NULL;
	Node	   *raw;
	Node	   *expression;
	ListCell   *lc;

	if (!read->plain || read->text == NULL || inner.depth > FUNCTION_DEPTH_MAX ||
		function_has_query(read->text, NULL))
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
	(void) function_calls_walker(raw, &inner);
	expression = lint_plan(calls->lint, lint_expression_state(calls->lint, NULL, &params), raw);
	if (params.volatility == PROVOLATILE_VOLATILE || contain_volatile_functions(expression))
		return true;
	if (!read->strict)
		return false;
	(void) function_finds_param(expression, &seen);
	for (int i = 0; i < list_length(read->types); i++)
	{
		if (!bms_is_member(i, seen))
			return true;
	}
	return contain_nonstrict_functions(expression);
}

/* Whether it calls the server's own nextval(). */
static bool
function_is_number(const FuncCall *call, List *arguments)
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
function_argument_type(FunctionCalls *calls, Node *argument)
{
	ParseState *pstate;

	if (IsA(argument, A_Const) && !((A_Const *) argument)->isnull && IsA(&((A_Const *) argument)->val, String))
		return UNKNOWNOID;
	if (IsA(argument, TypeCast))
		return function_type(calls->lint, ((TypeCast *) argument)->typeName);
	if (IsA(argument, NamedArgExpr))
		return InvalidOid;
	pstate = lint_expression_state(calls->lint, calls->rel, calls->params);
	return exprType(transformExpr(pstate, copyObject(argument), EXPR_KIND_CHECK_CONSTRAINT));
}

/* What is given to a function whose call is taken out may be volatile too. */
static void
function_note_argument(FunctionCalls *calls, Node *argument)
{
	ParseState *pstate = lint_expression_state(calls->lint, calls->rel, calls->params);
	Node	   *expression;

	if (IsA(argument, NamedArgExpr))
		argument = (Node *) ((NamedArgExpr *) argument)->arg;
	if (IsA(argument, A_Const))
		return;
	expression = calls->planned ? lint_plan(calls->lint, pstate, argument) :
		transformExpr(pstate, copyObject(argument), EXPR_KIND_CHECK_CONSTRAINT);
	if (contain_volatile_functions(expression))
		function_note(calls->params, PROVOLATILE_VOLATILE);
	else if (contain_mutable_functions(expression))
		function_note(calls->params, PROVOLATILE_STABLE);
}

/* Puts a value of a type in the place of a call. */
static void
function_take_out(LintParams *params, FuncCall *call, Oid type)
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
function_judge_call(FunctionCalls *calls, FuncCall *call)
{
	bool		is_number = strcmp(strVal(llast(call->funcname)), "nextval") == 0;
	List	   *arguments = NIL;
	LintFunction *function;
	FunctionRead *read;
	char		volatility;
	ListCell   *lc;

	if (!is_number && function_first(calls->lint, strVal(llast(call->funcname))) == NULL)
		return;
	foreach(lc, call->args)
		arguments = lappend_oid(arguments, function_argument_type(calls, lfirst(lc)));
	function = function_called(calls->lint, call->funcname, list_length(arguments), arguments);
	if (function == NULL)
	{
		/* Its sequence may be one that the script has made, so that analysis would fail. */
		if (is_number && function_is_number(call, arguments))
		{
			function_note(calls->params, PROVOLATILE_VOLATILE);
			function_take_out(calls->params, call, INT8OID);
		}
		return;
	}
	read = function_read(calls->lint, function);
	foreach(lc, call->args)
		function_note_argument(calls, lfirst(lc));
	volatility = function->volatility != '\0' ? function->volatility : read->volatility;
	if (volatility == PROVOLATILE_VOLATILE && calls->planned && !function->called_only &&
		!function_text_is_volatile(calls, read))
		volatility = PROVOLATILE_IMMUTABLE;
	function_note(calls->params, volatility);
	function_take_out(calls->params, call, OidIsValid(read->result) ? read->result : TEXTOID);
}

static bool
function_calls_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	(void) raw_expression_tree_walker(node, function_calls_walker, arg);
	if (IsA(node, FuncCall))
		function_judge_call(arg, (FuncCall *) node);
	return false;
}

static bool
function_finds_call(Node *node, void *arg)
{
	const char *name;

	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
	{
		name = strVal(llast(((FuncCall *) node)->funcname));
		if (strcmp(name, "nextval") == 0 || function_first(arg, name) != NULL)
			return true;
	}
	return raw_expression_tree_walker(node, function_finds_call, arg);
}

/*
 * The expression with unknown values in the place of calls of the script's own
 * functions: params has their types, and whether one of them is volatile or
 * stable. planned: as planning sees them. Mostly it is the expression itself.
 */
Node *
lint_function_calls(Lint *lint, LintRelation *rel, Node *raw, bool planned, LintParams *params)
{
	FunctionCalls calls = {lint, rel, params, planned, 0};

	params->types = params->names = NIL;
	params->volatility = PROVOLATILE_IMMUTABLE;
	if (raw == NULL || !function_finds_call(raw, lint))
		return raw;
	lint_analysis(lint);
	raw = copyObject(raw);
	(void) function_calls_walker(raw, &calls);
	return raw;
}
