/*
 * lint_function.c
 *		Functions that a script makes or changes: what a name means, what they are.
 *
 * Of the many that a large script makes only the name is kept; the statement is
 * read again when something calls it. That, and looking for those of the
 * catalogs, may raise errors, which end the subtransaction of lint_analysis().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

typedef struct FunctionEntry
{
	uint32		hash;			/* of the name */
	LintFunction *first;
	List	   *uses;			/* LintUse, of what the script lets call one */
} FunctionEntry;

static uint32
function_hash(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

static FunctionEntry *
function_entry(Lint *lint, const char *name)
{
	uint32		hash = function_hash(name);

	return lint->functions == NULL ? NULL : hash_search(lint->functions, &hash, HASH_FIND, NULL);
}

static FunctionEntry *
function_enter(Lint *lint, const char *name)
{
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
	if (!found)
	{
		entry->first = NULL;
		entry->uses = NIL;
	}
	return entry;
}

/* The first one of a name or another with its hash, or NULL. */
LintFunction *
lint_function_first(Lint *lint, const char *name)
{
	FunctionEntry *entry = function_entry(lint, name);

	return entry == NULL ? NULL : entry->first;
}

static LintFunction *
function_add(Lint *lint, const char *schema, const char *name)
{
	LintFunction *function = lint_alloc(lint, sizeof(LintFunction));
	FunctionEntry *entry = function_enter(lint, name);

	function->next = entry->first;
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

/* What a CREATE FUNCTION of the script says. */
static void
function_read_statement(Lint *lint, LintFunctionRead *read, CreateFunctionStmt *stmt)
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
		read->types = lappend_oid(read->types, lint_type_oid(lint, parameter->argType));
		read->names = lappend(read->names, makeString(parameter->name == NULL ? "" : parameter->name));
		read->n_defaults += parameter->defexpr != NULL;
		read->variadic = read->variadic || parameter->mode == FUNC_PARAM_VARIADIC;
	}
	read->result = read->returns == NULL ? InvalidOid : lint_type_oid(lint, read->returns);
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
function_read_catalog(LintFunctionRead *read, Oid oid)
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

/* What is to be known of it, read when it is asked for. */
LintFunctionRead *
lint_function_read(Lint *lint, LintFunction *function)
{
	LintFunctionRead *read;
	MemoryContext old;

	if (function->read != NULL)
		return function->read;
	lint_analysis(lint);
	old = MemoryContextSwitchTo(lint->context);
	read = palloc0(sizeof(LintFunctionRead));
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

	if (function->gone || function->schema == NULL || strcmp(function->name, strVal(llast(names))) != 0)
		return false;
	if (list_length(names) > 1)
		return strcmp(function->schema, strVal(list_nth(names, list_length(names) - 2))) == 0;
	return lint_path_has(lint, function->schema);
}

/* Whether the catalogs' function is still what a call means by that name. */
static bool
function_is_there(Lint *lint, Oid oid, const char *name)
{
	const LintFunction *function = lint_function_first(lint, name);

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
LintFunction *
lint_function_called(Lint *lint, List *names, int n, List *arguments)
{
	LintFunction *best = NULL;
	int			best_fit = -1;

	for (LintFunction *function = lint_function_first(lint, strVal(llast(names))); function != NULL;
		 function = function->next)
	{
		LintFunctionRead *read;
		int			fit;

		if (!function_is_meant(lint, function, names))
			continue;
		read = lint_function_read(lint, function);
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
	*function = *function == NULL ? lint_function_first(lint, strVal(llast(names))) : (*function)->next;
	for (; *function != NULL; *function = (*function)->next)
	{
		LintFunctionRead *read;

		if (!function_is_meant(lint, *function, names))
			continue;
		read = lint_function_read(lint, *function);
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
		LintFunctionRead *read;
		bool		same;
		ListCell   *lc;
		int			i = 0;

		if (!function_is_meant(lint, function, named->objname))
			continue;
		if (named->args_unspecified)
			return function;
		read = lint_function_read(lint, function);
		same = list_length(read->types) == list_length(named->objargs);
		foreach(lc, same ? named->objargs : NIL)
		{
			Oid			type = lfirst(lc) == NULL ? InvalidOid : lint_type_oid(lint, lfirst_node(TypeName, lc));
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
	function = function_named(lint, named, lint_function_first(lint, strVal(llast(named->objname))));
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

/* ---- what calls them */

/* Whether some function of users has that name, of the catalogs or of the script. */
bool
lint_function_is_users(Lint *lint, const char *name)
{
	CatCList   *functions;
	bool		found = false;

	if (lint_function_first(lint, name) != NULL)
		return true;
	if (lint_name_is_absent(lint, LINT_NAMES_FUNCTION, name))
		return false;
	lint_analysis(lint);
	functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	for (int i = 0; i < functions->n_members; i++)
		found = found || ((Form_pg_proc) GETSTRUCT(&functions->members[i]->tuple))->oid >= FirstNormalObjectId;
	ReleaseCatCacheList(functions);
	return found;
}

void
lint_function_add_use(Lint *lint, const char *name, LintUse *use)
{
	FunctionEntry *entry = function_enter(lint, name);

	entry->uses = lint_append(lint, entry->uses, use);
}

/* What may call a function of that name. */
List *
lint_function_uses(Lint *lint, const char *name)
{
	FunctionEntry *entry = function_entry(lint, name);

	return entry == NULL ? NIL : entry->uses;
}

/* A function that the script has made in a schema; NULL: none is left. */
const char *
lint_function_in(Lint *lint, const char *schema)
{
	HASH_SEQ_STATUS status;
	FunctionEntry *entry;
	const char *found = NULL;

	if (lint->functions == NULL)
		return NULL;
	hash_seq_init(&status, lint->functions);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		for (const LintFunction *function = entry->first; function != NULL; function = function->next)
		{
			if (!function->gone && !OidIsValid(function->oid) && function->schema != NULL &&
				strcmp(function->schema, schema) == 0)
				found = function->name;
		}
	}
	return found;
}

/* Whether a function that a DROP names is there, and if so, its schema and how much it takes. */
bool
lint_function_find(Lint *lint, ObjectType type, ObjectWithArgs *named, const char **schema, int *n)
{
	LintFunction *function;
	Oid			oid;

	lint_analysis(lint);
	function = function_named(lint, named, lint_function_first(lint, strVal(llast(named->objname))));
	if (function != NULL)
	{
		*schema = function->schema;
		*n = list_length(lint_function_read(lint, function)->types);
		return true;
	}
	oid = LookupFuncWithArgs(type, named, true);
	if (!OidIsValid(oid) || !function_is_there(lint, oid, strVal(llast(named->objname))))
		return false;
	*schema = lint_schema_name(lint, get_func_namespace(oid));
	*n = get_func_nargs(oid);
	return *schema != NULL;
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
				LintFunction *function = lint_function_first(lint, strVal(llast(named->objname)));

				/* Replaced ones stand there more than once. */
				while ((function = function_named(lint, named, function)) != NULL)
					function->gone = true;
			}
			break;
	}
}
