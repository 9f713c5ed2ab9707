/*
 * script_internal.h
 *		What the files of the room `script` share.
 */
#ifndef TAPMIG_SCRIPT_INTERNAL_H
#define TAPMIG_SCRIPT_INTERNAL_H

#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "parser/scanner.h"

#include "compat.h"
#include "script.h"

/* Longest piece of a statement that an error shows, in characters. */
#define SCRIPT_EXCERPT_CHARS 80

/* What a line with a psql command means to a script. */
typedef enum ScriptPsqlKind
{
	SCRIPT_PSQL_DISPLAY,		/* changes only what psql prints */
	SCRIPT_PSQL_COPY			/* \copy t from stdin */
} ScriptPsqlKind;

typedef struct ScriptPsqlCommand
{
	ScriptPsqlKind kind;
	size_t		end;			/* where reading goes on */
	char	   *copy;			/* the COPY statement, for SCRIPT_PSQL_COPY */
} ScriptPsqlCommand;

/* Digest over tokens, which are written to it in pieces. */
typedef struct ScriptFingerprint
{
	pg_cryptohash_ctx *hash;
	StringInfoData pending;
	bool		in_statement;	/* a token came since the last end */
} ScriptFingerprint;

/* What a comment says that another tool divides a file by. */
typedef enum ScriptMarker
{
	SCRIPT_MARKER_NONE,
	SCRIPT_MARKER_UP,			/* what follows is run */
	SCRIPT_MARKER_DOWN,			/* what follows takes the migration back */
	SCRIPT_MARKER_END_STATEMENT
} ScriptMarker;

#define SCRIPT_SECTION_TOOLS 5

/* The parts of a file seen so far. */
typedef struct ScriptSections
{
	bool		divided;		/* an up or down part has begun */
	bool		up[SCRIPT_SECTION_TOOLS];	/* has an up part, by tool */
	bool		orphan;			/* a down part holds SQL, and no up part is above it */
	size_t		orphan_pos;
	int			orphan_tool;
} ScriptSections;

/* The scanner's settings where a script is being read. */
typedef struct ScriptScannerSettings
{
	core_yy_extra_type *extra;	/* has them */
	bool		has_local;		/* SET LOCAL came; at its transaction's end: */
	bool		then_conforming_strings;
	int			then_backslash_quote;
} ScriptScannerSettings;

/* script_settings.c */
extern void script_settings_follow(ScriptScannerSettings *settings, Node *node);
extern void script_settings_commit(ScriptScannerSettings *settings);
extern void script_settings_reset(ScriptScannerSettings *settings);

/* script_sections.c */
extern size_t script_line_end(const char *text, size_t pos, size_t len);
extern ScriptMarker script_marker(const char *text, size_t pos, size_t len, int *tool);
extern size_t script_down_part_end(const char *text, size_t pos, size_t len, int tool);
extern void script_sections_up(ScriptSections *sections, const Script *script,
							   int tool, size_t pos);
extern void script_sections_down(ScriptSections *sections, const Script *script,
								 int tool, size_t pos, size_t end);
extern void script_sections_check(const ScriptSections *sections, const Script *script);

/* script_head.c */
extern void script_head_read(Script *script);
extern size_t script_skip_block_comment(const char *text, size_t pos, size_t len);

/* script_psql.c */
extern void script_psql_read(Script *script, size_t pos, int line,
							 bool in_statement, bool after_echo,
							 ScriptPsqlCommand *command);

/* script_fingerprint.c */
extern void script_fingerprint_begin(ScriptFingerprint *f);
extern void script_fingerprint_token(ScriptFingerprint *f, int token,
									 const core_YYSTYPE *value, const char *source);
extern void script_fingerprint_end_statement(ScriptFingerprint *f);
extern void script_fingerprint_data(ScriptFingerprint *f, const char *data, size_t len);
extern void script_fingerprint_finish(ScriptFingerprint *f, uint8 *digest);
extern void script_fingerprint_abandon(ScriptFingerprint *f);
extern void script_sha256(const char *data, size_t len, uint8 *digest);

/* Tokens of the core scanner, with all keywords folded into one number. */
#define SCRIPT_KEYWORD	2000
extern const uint16 *script_keyword_tokens(void);

#endif							/* TAPMIG_SCRIPT_INTERNAL_H */
