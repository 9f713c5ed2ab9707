/*
 * lint_internal.h
 *		What the files of the room `lint` share.
 */
#ifndef TAPMIG_LINT_INTERNAL_H
#define TAPMIG_LINT_INTERNAL_H

#include "access/attnum.h"
#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "parser/parse_node.h"
#include "storage/lockdefs.h"
#include "utils/hsearch.h"
#include "utils/resowner.h"

#include "compat.h"
#include "lint.h"

/* The schema that stands for the session's own, whatever its number. */
#define LINT_TEMP "pg_temp"

/* ---- the state of the script: lint_state.c, lint_relation.c, lint_catalog.c */

typedef struct LintFunction LintFunction;
typedef struct LintRelation LintRelation;
typedef struct LintUse LintUse;
typedef struct LintRule LintRule;

/* A column as the script finds it at this statement. */
typedef struct LintColumn
{
	char	   *name;			/* NULL once it is dropped */
	AttrNumber	attnum;			/* as in the catalogs; higher for one of this script */
	Oid			type;			/* InvalidOid: unknown */
	int32		typmod;
	Oid			collation;
	bool		not_null;
	bool		not_null_below; /* and the children's, by this script */
	bool		has_default;
	bool		new_default;	/* the script has changed or dropped it */
	char		generated;		/* as attgenerated */
	bool		is_new;			/* added by this script */
	int			renamed_step;	/* renamed in this step, from 1; 0: not */
} LintColumn;

/* A CHECK that compares a column with a number, whatever the number. */
typedef struct LintComparison
{
	LintRelation *rel;
	LintColumn *column;
	Oid			type;			/* the column's, as it was */
	int32		typmod;
	Oid			collation;
	int			paths;			/* lint->paths of then */
	char	   *op;
	Node	   *expression;		/* analyzed */
	Const	   *number;			/* in it */
	bool		is_mutable;
} LintComparison;

typedef struct LintConstraint
{
	char	   *name;			/* NULL: the server will choose one */
	Oid			oid;
	char		type;			/* as contype */
	bool		validated;
	bool		enforced;
	bool		inherited;		/* a new CHECK, which the children have too */
	bool		gone;
	bool		is_new;			/* added by this script ... */
	int			made_step;		/* ... in this step */
	Oid			index;			/* of a primary key and its kin */
	Oid			other_table;	/* of a foreign key */
	int			number;			/* see below */
	List	   *keys;			/* attribute numbers */
	List	   *other_keys;
	char	   *stored;			/* expression of a CHECK as the catalogs have it */
	Node	   *expression;		/* of the script's, analyzed; NULL: not known */

	/* Where it is one, `expression` is the comparison's, but with this number. */
	const LintComparison *comparison;
} LintConstraint;

typedef struct LintIndex
{
	Oid			oid;			/* InvalidOid: made by this script ... */
	LintRelation *made;			/* ... as this relation; NULL: with its table */
	char	   *name;			/* NULL: the server will choose one */
	bool		valid;
	bool		unique;
	bool		partial;
	bool		of_constraint;	/* it is one's of the script, and has its name */
	bool		gone;
	List	   *keys;			/* attribute numbers, 0 for an expression */
} LintIndex;

typedef struct LintSize
{
	double		rows;
	double		bytes;
	bool		empty;
} LintSize;

/* A relation's size, read once: alone, and with all that inherits from it. */
typedef struct LintSizes
{
	LintSize	alone;
	LintSize	with_children;
	char	   *texts[2];		/* of both, for messages; NULL: not asked for yet */
	int			age;			/* lint->sizes_age of then */
} LintSizes;

/* Large scripts make many: what is small stands together. */
struct LintRelation
{
	const char *schema;
	char	   *name;			/* both as they are at this statement */
	Oid			oid;			/* InvalidOid: made by this script */
	Oid			namespace;		/* in the catalogs */
	char		relkind;
	char		persistence;
	bool		is_new;			/* made by this script */
	bool		gone;
	bool		emptied;		/* truncated by this script */
	bool		filled;			/* the script has put rows into it */
	bool		deleted;		/* ... or has deleted all that were in it */
	bool		untyped:1;		/* ALTER TABLE ... NOT OF */
	bool		replaced:1;		/* a view, by CREATE OR REPLACE */
	bool		has_name:1;		/* no other relation has been given it since */
	bool		has_no_parent;	/* in the catalogs, as far as is known */
	bool		open_columns;	/* new, with columns that the text doesn't name */
	bool		has_labels;		/* new, with a column of an enum that the script adds to */
	bool		has_children;	/* has had some, in the catalogs */
	bool		is_partition;	/* in the catalogs */
	bool		detached;		/* the script has taken it from its parent */
	bool		have_columns;	/* all that the catalogs have */
	bool		have_constraints;
	bool		have_indexes;
	bool		have_dependents;
	bool		have_keys_to;
	uint8		bucket;			/* of lint->names: the name's */
	int			unfilled_since; /* REFRESH ... WITH NO DATA, from 1; 0: none */
	int			rls_since;		/* the statement that enabled it, from 1; 0: none */
	int			renamed_step;	/* renamed in this step, from 1; 0: not */
	LOCKMODE	held;			/* strongest lock so far ... */
	int			held_step;		/* ... in this step */
	int			held_since;		/* the statement that took it */
	LOCKMODE	held_below;		/* the same on all that inherits from it ... */
	int			held_below_step;	/* ... in this step, from 1; 0: never */
	int			held_below_since;
	int			held_age;		/* lint->held_age of when its parents were asked */
	int			attnum;			/* last number given to a column of this script */
	int			made_step;
	int			column_lookups;
	int			n_children;		/* known with the sizes */
	int			label_age;
	char	   *label;			/* what messages call it, once it was asked for */
	LintSizes  *sizes;			/* NULL: not read */
	List	   *columns;		/* LintColumn, those that were looked at */
	struct lint_columns_of_hash *column_names;	/* the same by name, where they are many */
	List	   *constraints;
	List	   *indexes;
	PartitionSpec *partition_by;	/* of a new one */
	LintRelation *table;		/* of a new index */
	List	   *attached;		/* LintRelation: the script has given it these */
	List	   *policies;		/* names of those that this script gave it */
	List	   *dependents;		/* LintDependent, by the column that is used */
	List	   *keys_to;		/* oids of the foreign keys that refer to it */
	List	   *uses;			/* LintUse, by it and of it; see lint_uses.c */
};

/* What depends on a relation, or on one of its columns. */
typedef struct LintDependent
{
	int			column;			/* 0: on the relation */
	ObjectAddress object;
} LintDependent;

/* A type that the script made, or an enum that it has added to. */
typedef struct LintType
{
	char	   *schema;
	char	   *name;
	bool		is_new;
	bool		constrained;	/* a domain that checks something, by the script */
	bool		volatile_default;	/* a new one, whose default differs from row to row */
	int			relaxed;		/* so many checks the script has dropped */
	bool		has_not_null;	/* SET or DROP NOT NULL was the last ... */
	bool		not_null;		/* ... that it was given */
	char	   *label;			/* a new value of an enum */
	int			made_step;
} LintType;

/* A foreign key that the script made. */
typedef struct LintForeignKey
{
	LintRelation *rel;
	LintConstraint *constraint;
	LintRelation *other;		/* NULL: unknown */
	List	   *keys;			/* attribute numbers in rel */
	char	   *columns;		/* for messages */
	int			statement;
	int			step;
} LintForeignKey;

/* What a rename or SET SCHEMA left behind; judged at the end of its step. */
typedef struct LintRename
{
	const char *schema;			/* the old name */
	char	   *name;
	LintRelation *rel;
	LintColumn *column;			/* of it, where that was renamed; NULL */
	int			statement;
} LintRename;

/* What a DROP ... CASCADE takes with it; judged at the end of its step. */
typedef struct LintCascade
{
	ObjectAddress object;
	char	   *name;			/* "view a"; NULL: not to be told */
	LintRelation *rel;			/* NULL: no relation */
	LintRelation *key_of;		/* of a foreign key: its table, NULL: none ... */
	LintConstraint *key;		/* ... and itself */
	LintUse    *use;			/* the script's own; NULL: see object */
	bool		used;			/* by code, as far as can be told */
	int			statement;
	bool		told;
} LintCascade;

/* A SECURITY DEFINER function without a search_path, as far as the script is. */
typedef struct LintDefiner
{
	char	   *schema;			/* NULL: the statement names none */
	char	   *name;
	char	   *told;			/* as it was made */
	int			statement;
} LintDefiner;

/* Values that stand in an expression for calls of functions; see lint_call.c. */
typedef struct LintParams
{
	List	   *types;			/* oids, of $1 and so on */
	List	   *names;			/* String, of as many of the first ones as have names */
	char		volatility;		/* the worst of the functions', as provolatile */
} LintParams;

/* Their Params have numbers of their own. */
#define LINT_PARAM_FIRST 1000000

/* What is to be known of a function that something calls. */
typedef struct LintFunctionRead
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
} LintFunctionRead;

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
	LintFunctionRead *read;			/* NULL: not yet */
};

/* Catalogs whose names are kept; see lint_name_is_absent(). */
typedef enum LintNamesKind
{
	LINT_NAMES_RELATION,
	LINT_NAMES_FUNCTION,
	LINT_NAMES_TYPE,
	LINT_NAMES_SCHEMA,
	LINT_NAMES_TRIGGER
} LintNamesKind;

#define LINT_NAMES_KINDS (LINT_NAMES_TRIGGER + 1)

/* A set of names: it may have one more than were added. */
typedef struct LintNames
{
	uint32		missed;			/* names that were looked up in vain */
	uint32		pages;			/* of the catalog; 0: not known */
	uint32	   *slots;			/* hashes of its names, 0: free; NULL: none, not read */
	uint32		mask;
	uint32		used;
} LintNames;

/* A type's name whose meaning is known. */
typedef struct LintTypeName
{
	char		schema[NAMEDATALEN];	/* "": none is given */
	char		name[NAMEDATALEN];	/* "": free */
	int			paths;			/* lint->paths of then */
	Oid			type;			/* InvalidOid: not known yet */
	Oid			typmodin;		/* InvalidOid: it has no modifiers */
	bool		plain;			/* neither a domain nor with a default */
	Oid			collation;
} LintTypeName;

#define LINT_TYPE_NAMES 16
#define LINT_NAME_BUCKETS 64

/* Statements that are looked at together; see lint_statement(). */
#define LINT_BATCH			64
#define LINT_BATCH_BYTES	16384

typedef struct LintPending
{
	int			index;
	Node	   *node;
	const ShapeStatement *shape;
} LintPending;

/* A statement in the script's own BEGIN and COMMIT that can run outside of them only. */
typedef struct LintOutside
{
	char	   *what;			/* "VACUUM" */
	LintRelation *rel;			/* NULL: none */
	int			statement;
} LintOutside;

/* What a name means at this statement. */
typedef struct LintFound
{
	char		schema[NAMEDATALEN];	/* "": none is given */
	char		name[NAMEDATALEN];	/* "": nothing was looked for */
	LintRelation *rel;			/* may be NULL */
} LintFound;

#define LINT_FOUND 2

/* Memory that is taken piece by piece; see lint_memory.c. */
typedef struct LintRoom
{
	MemoryContext context;
	char	   *start;			/* of what is free in the block under way */
	char	   *end;
	Size		block;			/* its size ... */
	Size		largest;		/* ... and how far that grows */
} LintRoom;

/* Columns whose number alone is a list that is shared. */
#define LINT_ALONE 32

/* Messages that were made lately; see lint_find_at(). */
#define LINT_SAID 16

struct Lint
{
	Script	   *script;
	MemoryContext context;		/* of the state: lives to the end of the script */
	MemoryContext memory;		/* most of it, where that is the caller's; else NULL */
	MemoryContext scratch;		/* of one statement */
	int			lint_rows;
	LintRoom	state;			/* for lint_alloc() */
	List	   *alone[LINT_ALONE];	/* see lint_append_number() */
	List	   *name_alone;		/* see lint_state.c */
	char		object_name[NAMEDATALEN];	/* lint_object_name()'s */
	LintRoom	kept;			/* for lint_keep() */
	LintFindings findings;
	LintMessage *said[LINT_SAID];
	List	   *allow;
	List	   *allowed;		/* rules that allow has silenced */

	int			statement;		/* under way, from 0 */
	int			step;
	bool		in_block;		/* behind the script's own BEGIN ... */
	int			block_runs;		/* ... this many statements are, SET not counted */
	List	   *outside;		/* LintOutside: of them */
	bool		slow;			/* this statement reads or writes much */
	bool		cuts;			/* run ends the transaction before it */
	bool		inherit;		/* it means the children of its tables too */
	LintRelation *only;			/* its table, where it says ONLY; NULL */
	LOCKMODE	alter_lock;		/* of an ALTER TABLE with all its parts */
	const ShapeStatement *shape;
	char	   *last_insert;	/* where the statement before it INSERTed; NULL */
	char	   *last_insert_schema;
	List	   *last_call;		/* the function without DDL that a SELECT called last */
	const char *create_schema;	/* inside CREATE SCHEMA: its name */

	char	   *path_setting;	/* search_path, as the script has it now */
	char	   *path_outside;	/* as it is again once the transaction ends; NULL */
	Oid			login;			/* the session's user, as the script has it now */
	Oid			role;			/* the current one */
	Oid			role_outside;	/* once the transaction ends; InvalidOid: the same */
	char	   *timezone;		/* TimeZone, where the script has set it */
	bool		timezone_local; /* until the transaction ends; then: */
	char	   *timezone_outside;
	List	   *path;			/* schemas in order, NIL: to be built */
	char	   *path_create;	/* where unqualified names are made */
	char	   *last_schema;	/* the last one that was looked up, and its oid */
	Oid			last_schema_oid;

	LintNames	catalog_names[LINT_NAMES_KINDS];
	struct lint_names_to_hash *relations;	/* by schema and name */
	struct lint_oids_to_hash *relations_by_oid; /* of the catalogs' */
	const char *kept_schema;	/* the last schema's name that was copied */
	HTAB	   *schemas;		/* that the script has made, dropped or renamed */
	int			paths;			/* changes when the search_path may */
	int			names[LINT_NAME_BUCKETS];	/* ... when one of these names is another's */
	LintFound	found[LINT_FOUND];	/* the names that were looked for last */
	int			next_found;		/* the oldest of them */
	uint32		name_changes;	/* counts whenever any name may mean something else */
	const RangeVar *target;		/* the statement's own relation; NULL: none */
	bool		target_known;	/* what it means ... */
	LintRelation *target_rel;	/* ... is this ... */
	uint32		target_changes; /* ... when names were such */
	const RangeVar *absent;		/* of a statement: what it makes is not there yet ... */
	int			absent_statement;	/* ... at this one ... */
	uint32		absent_changes; /* ... when names were such */
	bool		has_temp;		/* the script has made a temporary relation */
	List	   *until_commit;	/* those of them that are dropped then */
	List	   *held;			/* relations that this step has locked */
	int			held_age;		/* changes when something is locked with its children */
	int			held_below_step;	/* the last step in which that was, from 1 */
	HTAB	   *types;			/* by name */
	List	   *labels;			/* LintType, new values of enums */
	List	   *renamed_types;	/* LintRenamedType, the latest first */
	LintNames	label_names;
	LintTypeName type_names[LINT_TYPE_NAMES];
	const TypeName *last_type;	/* the one that was looked up last ... */
	int			last_type_statement;	/* ... by this statement */
	LintTypeName *last_type_kept;
	const TypeName *known_type; /* the one that was found last ... */
	int			known_type_statement;	/* ... by this statement ... */
	Oid			known_type_oid; /* ... and what it is */
	int32		known_typmod;
	int			sizes_age;		/* changes when a child has lost rows or its parent */
	List	   *foreign_keys;
	List	   *renames;		/* LintRename, of relations ... */
	List	   *column_renames; /* ... and of columns */
	List	   *cascades;
	List	   *definers;
	LintNames	definer_names;	/* and more */
	HTAB	   *objects;		/* that are no relations, dropped or made anew */
	HTAB	   *functions;		/* that the script makes or changes, by name */
	LintNames	replaced_functions; /* and more */
	LintNames	renamed_functions;	/* names that were given up, and more */
	bool		lost_relations; /* some were dropped */
	bool		lost_columns;	/* likewise */
	bool		have_function_words;
	LintNames	function_words; /* in the texts of users' functions */
	bool		secures;		/* some table has got row security */
	int			no_timeout;		/* statements behind this one have no lock_timeout */
	int			no_timeout_outside; /* once the transaction ends, where ... */
	bool		timeout_local;	/* ... it was SET LOCAL */
	bool		reset_timeout;	/* RESET goes back to one of tapmig's */

	List	   *calls;			/* of users' functions, which planning would make */

	/* The CHECK that was analyzed last. */
	Node	   *checked_raw;
	int			checked_statement;
	Node	   *checked;
	bool		checked_mutable;
	LintComparison *comparison;	/* the last one */

	/* The call that gives a type other modifiers; see lint_change_rewrites(). */
	FuncExpr   *resize;
	Oid			resize_type;
	Oid			resize_support;

	LintPending pending[LINT_BATCH];
	int			n_pending;
	Size		pending_bytes;

	/* The subtransaction for what may raise an error; see lint_analysis(). */
	bool		analyzing;
	bool		stale;			/* its settings are those of earlier statements */
	ResourceOwner owner;
};

/* ---- rules */

typedef enum LintScale
{
	LINT_SCAN,					/* error above lint_rows, warning below */
	LINT_HOLD,					/* a short lock: warning above, notice below */
	LINT_ALWAYS_NOTICE,
	LINT_ALWAYS_WARNING,
	LINT_ALWAYS_ERROR
} LintScale;

/* Nodes that no statement has: when a rule is asked besides. */
#define LINT_BEFORE_STATEMENT	((NodeTag) 65001)
#define LINT_AFTER_STATEMENT	((NodeTag) 65002)
#define LINT_END_OF_STEP		((NodeTag) 65003)
#define LINT_END_OF_SCRIPT		((NodeTag) 65004)

#define LINT_ANY	(-1)

typedef struct LintCheck LintCheck;

struct LintRule
{
	const char *id;
	LintScale	scale;
	struct
	{
		int			node;		/* NodeTag; T_Invalid ends the list */
		int			subtype;	/* of ALTER TABLE, DROP, RENAME; LINT_ANY */
	}			on[9];
	void		(*check) (LintCheck *c);
	const char *message;
	const char *advice;
};

/* What a check gets: the rule, the statement, its table. */
struct LintCheck
{
	Lint	   *lint;
	const LintRule *rule;
	Node	   *node;			/* NULL for the LINT_... nodes */
	AlterTableCmd *cmd;			/* of ALTER TABLE */
	LintRelation *rel;			/* the statement's relation, NULL: unknown, none */
	void	   *known;			/* what a rule has found out for others of its file */
	List	   *typed;			/* the tables of the type that it alters */
};

extern const LintRule lint_rules_index[];
extern const LintRule lint_rules_constraint[];
extern const LintRule lint_rules_column[];
extern const LintRule lint_rules_type[];
extern const LintRule lint_rules_table[];
extern const LintRule lint_rules_drop[];
extern const LintRule lint_rules_object[];
extern const LintRule lint_rules_script[];

/* lint_analysis.c */
extern void lint_analysis(Lint *lint);
extern void lint_end_analysis(Lint *lint);
extern ErrorData *lint_take_error(Lint *lint);
extern void lint_guarded(Lint *lint, void (*part) (void *arg), void *arg);

/* lint_memory.c: see there for how long it lives */
extern void lint_room_begin(LintRoom *room, MemoryContext context, bool in_blocks);
extern void *lint_alloc(Lint *lint, Size size);
extern char *lint_strdup(Lint *lint, const char *text);
extern char *lint_concat(const char *a, const char *b);
extern const char *lint_join(List *names, const char *between);
extern const char *lint_object_name(Lint *lint, const char *relation, const char *columns,
									const char *label);
extern void *lint_keep(Lint *lint, Size size);
extern char *lint_keep_text(Lint *lint, const char *text);
extern List *lint_append(Lint *lint, List *list, void *element);
extern List *lint_append_number(Lint *lint, List *list, int number);

/* lint_finding.c */
extern void lint_find(LintCheck *c, LintRelation *rel, LOCKMODE lock,
					  const char *detail);
extern void lint_find_at(LintCheck *c, int statement, LintLevel level,
						 LintRelation *rel, LOCKMODE lock, const char *detail);
extern void lint_add(Lint *lint, const char *rule, int statement, int line,
					 LintLevel level, const char *relation, const char *lock_mode,
					 const char *message, const char *advice);
extern void lint_sort_findings(Lint *lint);
extern bool lint_is_large(Lint *lint, LintRelation *rel);
extern bool lint_was_large(Lint *lint, LintRelation *rel);
extern bool lint_is_bare_parent(Lint *lint, LintRelation *rel);
extern const char *lint_lock_name(LOCKMODE lock);

/* lint_state.c: what a statement does to the state */
extern void lint_follow(Lint *lint, Node *node);
extern void lint_follow_command(Lint *lint, LintRelation *rel, AlterTableCmd *cmd);
extern void lint_column_drop(Lint *lint, LintRelation *rel, LintColumn *column);

/* lint_locks.c: the locks of a step */
extern void lint_hold(Lint *lint, LintRelation *rel, LOCKMODE lock);
extern void lint_hold_all(Lint *lint, LintRelation *rel, LOCKMODE lock);
extern void lint_hold_children(Lint *lint, LintRelation *rel, AlterTableCmd *cmd);
extern bool lint_held_before(Lint *lint, LintRelation *rel, LOCKMODE lock);

/* lint_drop.c */
extern void lint_follow_drop(Lint *lint, DropStmt *stmt);
extern void lint_follow_cascade(Lint *lint);
extern void lint_follow_discard(Lint *lint);

/* lint_index.c: what a script does to indexes */
extern LintIndex *lint_index_add(Lint *lint, LintRelation *rel, const char *name,
								 bool unique, bool partial, List *keys);
extern void lint_index_make(Lint *lint, LintRelation *rel, LintIndex *index);
extern void lint_index_create(Lint *lint, IndexStmt *stmt);
extern void lint_index_drop(Lint *lint, LintRelation *index);
extern void lint_index_drop_all(Lint *lint, LintRelation *rel);
extern void lint_index_lose(Lint *lint, LintIndex *index);
extern LintIndex *lint_index_named(Lint *lint, LintRelation *rel, const char *name);
extern LintRelation *lint_table_of_index(Lint *lint, LintRelation *index);
extern LintIndex *lint_index_of(Lint *lint, LintRelation *index);
extern void lint_index_rename(Lint *lint, LintIndex *index, const char *name);
extern void lint_index_lose_constraint(Lint *lint, LintRelation *rel, Oid oid,
									   const char *name);

/* lint_gone.c: objects that are no relations */
extern void lint_object_drop(Lint *lint, Oid class, Oid object);
extern bool lint_object_is_gone(Lint *lint, Oid class, Oid object);
extern bool lint_object_is_changed(Lint *lint, Oid class, Oid object);
extern Oid	lint_part(Lint *lint, ObjectType type, LintRelation *rel, const char *name,
					  Oid *class);
extern LintRelation *lint_table_of_part(Lint *lint, List *names, const char **name);
extern LintRelation *lint_table_with(Lint *lint, const ObjectAddress *object);
extern void lint_drop_part(Lint *lint, ObjectType type, List *names);
extern void lint_follow_replace(Lint *lint, Node *node);
extern void lint_object_cascade(Lint *lint, const ObjectAddress *object);

/* lint_rename.c */
extern void lint_follow_rename(Lint *lint, RenameStmt *stmt);
extern void lint_follow_schema(Lint *lint, AlterObjectSchemaStmt *stmt);

/* lint_truncate.c */
extern void lint_follow_truncate(Lint *lint, TruncateStmt *stmt);

/* lint_session.c: what a script SETs */
extern void lint_session_begin(Lint *lint);
extern void lint_session_end_of_step(Lint *lint);
extern void lint_follow_set(Lint *lint, VariableSetStmt *stmt);
extern void lint_follow_set_config(Lint *lint, SelectStmt *stmt);
extern void lint_follow_reset(Lint *lint, bool all);

/* lint_schema.c: the script's schemas */
extern bool lint_schema_exists(Lint *lint, const char *name);
extern Oid	lint_schema_named(Lint *lint, const char *name);
extern char *lint_schema_name(Lint *lint, Oid schema);
extern void lint_schema_rename(Lint *lint, const char *from, const char *to);
extern void lint_schema_make(Lint *lint, const char *name);
extern void lint_schema_drop(Lint *lint, const char *name);
extern bool lint_schema_is_new(Lint *lint, const char *name);
extern List *lint_schema_content(Lint *lint, const char *schema);

/* lint_relation.c: names to relations, as the script finds them */
extern void lint_path_reset(Lint *lint);
extern List *lint_path(Lint *lint);
extern bool lint_path_has(Lint *lint, const char *schema);
extern char *lint_path_text(Lint *lint);
extern LintRelation *lint_relation(Lint *lint, const RangeVar *name);
extern LintRelation *lint_relation_to_make(Lint *lint, const RangeVar *name);
extern LintRelation *lint_relation_named(Lint *lint, List *names);
extern LintRelation *lint_relation_at(Lint *lint, const char *schema, const char *name);
extern LintRelation *lint_relation_by_oid(Lint *lint, Oid oid);
extern bool lint_is_gone(Lint *lint, Oid oid);
extern const char *lint_kept_schema(Lint *lint, const char *schema);
extern LintRelation *lint_relation_make_at(Lint *lint, const char *schema, char *name,
										   char persistence, char relkind);
extern LintRelation *lint_relation_make(Lint *lint, const RangeVar *name, char relkind);
extern void lint_relation_drop(Lint *lint, LintRelation *rel);
extern void lint_relations_commit(Lint *lint);
extern void lint_relation_move(Lint *lint, LintRelation *rel,
							   const char *schema, const char *name);
extern void lint_schema_of(Lint *lint, List *names, const char **schema,
						   const char **name);
extern List *lint_relations(Lint *lint);
extern char *lint_relation_label(Lint *lint, LintRelation *rel);
extern LintRelation *lint_default_partition(Lint *lint, LintRelation *parent);
extern bool lint_is_old(const LintRelation *rel);
extern bool lint_is_used(Lint *lint, LintRelation *rel);
extern bool lint_has_rows(Lint *lint, LintRelation *rel);

/* lint_names.c */
extern void lint_names_add(Lint *lint, LintNames *names, const char *name);
extern bool lint_names_may_have(const LintNames *names, const char *name);
extern bool lint_name_is_absent(Lint *lint, LintNamesKind kind, const char *name);
extern void lint_name_missed(Lint *lint, LintNamesKind kind);

/* lint_catalog.c: what the catalogs say of a relation; sizes */
extern LintColumn *lint_column(Lint *lint, LintRelation *rel, const char *name);
extern LintColumn *lint_column_numbered(Lint *lint, LintRelation *rel, AttrNumber attnum);
extern LintColumn *lint_column_add(Lint *lint, LintRelation *rel, const char *name);
extern void lint_column_rename(Lint *lint, LintRelation *rel, LintColumn *column,
							   const char *name);
extern List *lint_constraints(Lint *lint, LintRelation *rel);
extern LintConstraint *lint_constraint(Lint *lint, LintRelation *rel, const char *name);
extern char *lint_constraint_name(Lint *lint, LintRelation *rel, Constraint *con,
								  List *keys, Node *expression);
extern List *lint_indexes(Lint *lint, LintRelation *rel);
extern void lint_size_changes(Lint *lint, LintRelation *child);
extern const LintSize *lint_size(Lint *lint, LintRelation *rel);
extern char *lint_size_text(Lint *lint, LintRelation *rel);
extern List *lint_children(Lint *lint, LintRelation *rel);
extern List *lint_parents(Lint *lint, LintRelation *rel);
extern List *lint_dependents(Lint *lint, Oid class, Oid object);
extern List *lint_column_dependents(Lint *lint, LintRelation *rel, int column);
extern List *lint_keys_to(Lint *lint, LintRelation *table);
extern List *lint_typed_tables(Lint *lint, LintRelation *type);

/* lint_type.c: names of types */
extern bool lint_type(Lint *lint, TypeName *name, Oid *type, int32 *typmod);
extern Oid	lint_type_oid(Lint *lint, TypeName *name);
extern bool lint_is_serial(const TypeName *name);
extern Oid	lint_serial_type(const TypeName *name);
extern bool lint_type_is_plain(Lint *lint, TypeName *name, Oid type);
extern Oid	lint_type_collation(Lint *lint, TypeName *name, Oid type);
extern LintType *lint_type_add(Lint *lint, List *names, const char *label);
extern void lint_type_rename(Lint *lint, List *names, Oid type, const char *schema,
							 const char *name);
extern bool lint_type_is_moved(Lint *lint, Oid type);
extern bool lint_type_is_there(Lint *lint, TypeName *name);
extern LintType *lint_type_of_script(Lint *lint, List *names);
extern void lint_domain_create(Lint *lint, CreateDomainStmt *stmt);
extern void lint_domain_alter(Lint *lint, AlterDomainStmt *stmt);
extern bool lint_domain_is_constrained(Lint *lint, TypeName *name);
extern bool lint_type_has_labels(Lint *lint, const char *name);

/* lint_uses.c: what the script makes that depends on something else */
extern void lint_use_query(Lint *lint, LintRelation *view, Node *query);
extern void lint_use_expression(Lint *lint, ObjectType type, LintRelation *rel,
								const char *name, Node *expression);
extern void lint_use_parent(Lint *lint, LintRelation *child, LintRelation *parent);
extern void lint_use_part(Lint *lint, Node *node);
extern void lint_use_end(ObjectType type, LintRelation *user, const char *name);
extern void lint_use_end_parent(LintRelation *child, LintRelation *parent);
extern void lint_use_rename_column(Lint *lint, LintRelation *rel, const char *from,
								   const char *to);
extern char *lint_use_name(Lint *lint, const LintUse *use);
extern List *lint_uses_of_dropped(LintCheck *c, List *more, bool deep);
extern List *lint_uses_of_column(Lint *lint, LintRelation *rel, const char *column);
extern bool lint_column_is_inherited(Oid child, const char *column);
extern LintRelation *lint_use_relation(const LintUse *use);
extern LintRelation *lint_use_table(const LintUse *use);
extern bool lint_use_is_trigger(const LintUse *use);
extern void lint_use_drop(Lint *lint, LintUse *use);

/* lint_function.c: functions that a script makes or changes */
extern void lint_function_make(Lint *lint, int statement, CreateFunctionStmt *stmt);
extern void lint_function_follow(Lint *lint, Node *node);
extern const char *lint_function_source(Lint *lint, List *names, LintFunction **function,
										const char **language, int *n);
extern bool lint_function_is_users(Lint *lint, const char *name);
extern void lint_function_add_use(Lint *lint, const char *name, LintUse *use);
extern List *lint_function_uses(Lint *lint, const char *name);
extern const char *lint_function_in(Lint *lint, const char *schema);
extern bool lint_function_find(Lint *lint, ObjectType type, ObjectWithArgs *named,
							   const char **schema, int *n);
extern LintFunction *lint_function_first(Lint *lint, const char *name);
extern LintFunction *lint_function_called(Lint *lint, List *names, int n, List *arguments);
extern LintFunctionRead *lint_function_read(Lint *lint, LintFunction *function);

/* lint_call.c: calls of these */
extern Node *lint_take_out_calls(Lint *lint, LintRelation *rel, Node *raw, bool planned,
								 LintParams *params);

/* lint_expression.c: what only the server's own analysis can tell */
extern void lint_forbid_calls(void);
extern void lint_permit_calls(void);
extern ParseState *lint_expression_state(Lint *lint, LintRelation *rel, LintParams *params);
extern Node *lint_plan(Lint *lint, ParseState *pstate, Node *raw);
extern bool lint_default_is_volatile(Lint *lint, Node *raw, Oid type, int32 typmod);
extern bool lint_check_is_mutable(Lint *lint, LintRelation *rel, Node *raw);
extern void lint_note_check(Lint *lint, LintRelation *rel, LintConstraint *constraint,
							Node *raw);
extern Node *lint_constraint_expression(const LintConstraint *constraint);
extern bool lint_change_rewrites(Lint *lint, LintColumn *column, Node *transform,
								 LintRelation *rel, Oid type, int32 typmod);
extern bool lint_implied(Lint *lint, LintRelation *rel, List *test);
extern bool lint_is_not_null(Lint *lint, LintRelation *rel, LintColumn *column);
extern bool lint_not_null_proven(Lint *lint, LintRelation *rel, LintColumn *column);
extern bool lint_partition_qual(Lint *lint, LintRelation *parent,
								LintRelation *child, PartitionBoundSpec *bound,
								bool of_default, List **result);

/* lint_rules_type.c */
extern List *lint_tables_by_keys(Lint *lint, LintRelation *rel, const char *column, List **names);

/* lint_rules_drop.c */
extern char *lint_drop_refused_by(LintCheck *c);
extern void lint_note_drop(Lint *lint, DropStmt *stmt);
extern char *lint_label_of(Lint *lint, Oid relation);

/* lint_rules_script.c */
extern bool lint_is_always_true(Node *where);

/* Constraint nodes of a column or table definition. */
extern Constraint *lint_constraint_of(ColumnDef *def, ConstrType type);

#endif							/* TAPMIG_LINT_INTERNAL_H */
