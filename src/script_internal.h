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
