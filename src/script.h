/*
 * script.h
 *		Text to statements, directives, checksum and fingerprint; runs nothing.
 */
#ifndef TAPMIG_SCRIPT_H
#define TAPMIG_SCRIPT_H

#include "common/sha2.h"
#include "nodes/pg_list.h"
#include "utils/elog.h"
#include "utils/jsonb.h"
#include "utils/palloc.h"

/* One statement. Offsets are bytes into Script.text. */
typedef struct ScriptStatement
{
	size_t		start;			/* first token, or a block comment before it */
	size_t		end;			/* one past the semicolon or the last token */
	size_t		token;			/* first token */
	size_t		copy_start;		/* inline COPY data ... */
	size_t		copy_end;		/* ... up to the line of the end marker */
	char	   *rewritten;		/* the COPY that a \copy stands for, or NULL */
	int			line;			/* of the first token, from 1 */
	int			copy_line;		/* of the first line of data; 0: no data */
	bool		conforming_strings; /* standard_conforming_strings here */
	uint8		backslash_quote;	/* backslash_quote here */
} ScriptStatement;

/* What "loses" may name: table, schema.table, table.column, schema.table.column. */
#define SCRIPT_NAME_PARTS 3

typedef struct ScriptName
{
	char	   *text;			/* as the directive has it */
	int			n;
	char	   *parts[SCRIPT_NAME_PARTS];	/* folded and unquoted, as the catalogs have them */
} ScriptName;

/* The directives at the head of a script. Lists hold C strings, NIL if absent. */
typedef struct ScriptDirectives
{
	char	   *why;			/* NULL where there is none */
	List	   *requires;
	List	   *compensates;
	List	   *replaces;		/* "001..120" or "007" */
	List	   *allow;			/* rules of lint ... */
	int			allow_line;		/* ... the last of them in this line */
	List	   *loses;			/* of ScriptName */
	int			lock_timeout_ms;	/* -1: not given */
	bool		store;
	Jsonb	   *all;			/* every directive, by key; NULL if none */
} ScriptDirectives;

/*
 * A script. Everything but the text itself lives in the memory context that was
 * current in script_new(); delete that to free it.
 */
typedef struct Script
{
	MemoryContext context;
	const char *label;			/* what errors call it: "036_add_index"; may be NULL */
	const char *source;			/* the caller's, without a byte order mark */
	const char *text;			/* server encoding; ends with a NUL byte until it is read */
	size_t		len;
	char	   *work;			/* the same length; COPY data and psql commands blanked */
	ScriptStatement *statements;
	int			n_statements;
	bool		complete;		/* all statements are known */
	int			error_line;		/* of the last error in it, 0: none */
	ScriptDirectives directives;
	List	   *notices;		/* C strings, for the caller that runs the script */
	bool		without_fingerprint;	/* script_read() need not work it out */
	uint8		fingerprint[PG_SHA256_DIGEST_LENGTH];
} Script;

/* What client_min_messages and log_min_messages were. */
typedef struct ScriptSilence
{
	int			client;
	int			log;
} ScriptSilence;

extern void script_checksum(const char *text, size_t len, uint8 *checksum);
extern Script *script_new(const char *text, size_t len, const char *label);
extern void script_read(Script *script);
extern char *script_statement_text(const Script *script, int index);
extern char *script_excerpt(const char *start, const char *end);
extern char *script_statement_head(const Script *script, int index);
extern int	script_line_at(const Script *script, size_t offset, int *column);
extern void script_errcontext(Script *script, int index,
							  int position, int line);
extern void script_range_fingerprint(const Script *script, int from, int to,
									 uint8 *digest);
extern void script_silence_scanner(ScriptSilence *silence);
extern void script_end_silence(const ScriptSilence *silence);
extern void script_obey_scanner_settings(const ScriptStatement *statement);
extern void script_clip_message(ErrorData *edata);
extern const char *script_bom_skip(const char *text, size_t *len);

#endif							/* TAPMIG_SCRIPT_H */
